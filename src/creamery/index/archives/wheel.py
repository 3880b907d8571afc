"""A wheel's own promises: its `.dist-info` folder, METADATA, WHEEL and RECORD (PEP 427, PEP 491)."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import BinaryIO

from packaging.tags import InvalidTag, Tag, TooManyTagsError, parse_tag
from packaging.version import InvalidVersion, Version

from creamery.contract import InvalidName, normalize
from creamery.index.archives.core_metadata import CoreMetadata, read_core_metadata
from creamery.index.archives.fields import read_fields
from creamery.index.archives.filename import Promise
from creamery.index.archives.paths import DIST_INFO
from creamery.index.archives.record import Recorded, read_record
from creamery.index.archives.refusal import BadArchive, shown
from creamery.index.archives.tape import Tape
from creamery.index.archives.zip_directory import Directory, Member
from creamery.index.archives.zip_members import read_member
from creamery.limits import Limits

DATA = b".data"
SCHEMES = frozenset({b"purelib", b"platlib", b"headers", b"scripts", b"data"})
_BUILD = "Build the wheel with a build tool, `python -m build --wheel`."


@dataclass(frozen=True, slots=True)
class WheelFiles:
    """What a wheel says about itself; that its files are as RECORD says is still to be seen."""

    body: bytes
    metadata: CoreMetadata
    record: dict[bytes, Recorded]


def read_wheel(stream: BinaryIO, directory: Directory, promise: Promise, limits: Limits) -> WheelFiles:
    """What METADATA, WHEEL and RECORD say.

    Raises:
        BadArchive: one is missing, or contradicts another or the file's name.
    """
    members = {member.name: member for member in directory.members}
    folder = _dist_info(members, promise)
    _check_data(members, folder.removesuffix(DIST_INFO.encode()) + DATA)
    body = _read_file(stream, members, folder + b"/METADATA", "metadata_bytes", limits.metadata_bytes)
    metadata = read_core_metadata(body, "METADATA", limits)
    check_agrees(metadata, promise, "METADATA")
    wheel = _read_file(stream, members, folder + b"/WHEEL", "metadata_fields_bytes", limits.metadata_fields_bytes)
    _check_wheel_file(wheel, promise)
    record = _read_file(stream, members, folder + b"/RECORD", "record_bytes", limits.record_bytes)
    return WheelFiles(body, metadata, read_record(record, folder, members, limits))


def check_agrees(metadata: CoreMetadata, promise: Promise, of: str) -> None:
    """See that METADATA or PKG-INFO is that of the project and version in the file's name.

    Raises:
        BadArchive: it is another's.
    """
    if (metadata.project, metadata.version) != (promise.project, promise.version):
        raise BadArchive(
            f"The file name promises {promise.project} {promise.version}, and {of} says {shown(metadata.name)}"
            f" {shown(metadata.version_text)}. Build it anew instead of renaming it."
        )


def read_small(stream: BinaryIO, member: Member, limit: str, max_bytes: int) -> bytes:
    """A member's content, out of its turn; `limit` is the name of the limit that bounds it.

    Raises:
        BadArchive: it is too large, or broken.
    """
    if member.size > max_bytes:
        raise BadArchive(f"{shown(member.name)} has {member.size} bytes; limits.{limit} are {max_bytes}. Shorten it.")
    end = stream.seek(0, io.SEEK_END)
    return b"".join(read_member(Tape(stream, member.offset, end), member))


def _dist_info(members: Mapping[bytes, Member], promise: Promise) -> bytes:
    """The name of the one folder that describes the wheel. Installers take a second one for an error as well."""
    tops = {name.partition(b"/")[0] for name in members}
    folders = sorted(top for top in tops if top.lower().endswith(DIST_INFO.encode()))
    if len(folders) != 1:
        found = ", ".join(shown(folder) for folder in folders[:3]) or "none"
        raise BadArchive(f"A wheel has one .dist-info folder; this one has {len(folders)}: {found}. {_BUILD}")
    name, _, version = folders[0].removesuffix(DIST_INFO.encode()).decode().partition("-")
    try:
        agrees = (normalize(name), Version(version)) == (promise.project, promise.version)
    except (InvalidName, InvalidVersion):
        agrees = False
    if not agrees:
        raise BadArchive(
            f"The file name promises {promise.project} {promise.version}, and the wheel has {shown(folders[0])}."
            " Build it anew instead of renaming it."
        )
    return folders[0]


def _check_data(members: Iterable[bytes], own: bytes) -> None:
    """What installers spread (PEP 427): some take every `.data` folder for the wheel's, others its own alone."""
    for path in members:
        top, _, rest = path.partition(b"/")
        if not top.lower().endswith(DATA):
            continue
        if top != own:
            raise BadArchive(f"The folder {shown(top)} is not {shown(own)}, and installers disagree about it. {_BUILD}")
        scheme = rest.partition(b"/")[0]
        if scheme and scheme not in SCHEMES:
            known = b", ".join(sorted(SCHEMES)).decode()
            raise BadArchive(f"{shown(path)} lies where no installer looks; folders there are {known}. {_BUILD}")


def _read_file(stream: BinaryIO, members: Mapping[bytes, Member], name: bytes, limit: str, max_bytes: int) -> bytes:
    if name not in members:
        raise BadArchive(f"The wheel has no {name.decode()}. {_BUILD}")
    return read_small(stream, members[name], limit, max_bytes)


def _check_wheel_file(body: bytes, promise: Promise) -> None:
    versions: list[str] = []
    builds: list[str] = []
    tags: set[Tag] = set()
    for name, start, end in read_fields(body, "WHEEL"):
        value = body[start:end].partition(b":")[2].strip().decode(errors="replace")
        if name == "wheel-version":
            versions.append(value)
        elif name == "build":
            builds.append(value)
        elif name == "tag":
            try:
                tags |= parse_tag(value, limit=len(promise.tags))  # `a.a.a-b.b.b-c.c.c` is 27
            except (InvalidTag, TooManyTagsError) as error:
                raise BadArchive(
                    f"WHEEL has a tag {shown(value)} that is none, or that the file name lacks (PEP 425). {_BUILD}"
                ) from error
    if len(versions) != 1 or not versions[0].startswith("1."):
        raise BadArchive(f"WHEEL has the Wheel-Version {shown(', '.join(versions))}; 1.x is known. {_BUILD}")
    # Only what contradicts: a name may have a build number though WHEEL has none, as some tools give it by renaming.
    if builds and builds != [promise.build]:
        raise BadArchive(
            f"The build in the wheel's name ({shown(promise.build)}) is not that in its WHEEL"
            f" ({shown(', '.join(builds))}). Change both with `wheel tags` instead of renaming the file."
        )
    if tags != promise.tags:
        inside = ", ".join(sorted(map(str, tags))[:5])
        raise BadArchive(
            f"The tags in the wheel's name are not those in its WHEEL ({shown(inside)}). Change both with `wheel tags`"
            " instead of renaming the file."
        )
