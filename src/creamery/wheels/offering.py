"""Which built wheels the plain index lists beside a project's own files, and why not the others.

One answer for the page and for whoever asks why: a wheel is listed where it saves a build, and never where the project
itself has published one. Read first: PEP 592 (yanked), PEP 658 (METADATA), PEP 700 (upload-time); what tags mean is in
`precedence.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from packaging.tags import Tag
from packaging.utils import InvalidWheelFilename, parse_wheel_filename
from packaging.version import InvalidVersion, Version

from creamery.clock import Micros
from creamery.contract import Digest, ProjectName, version_text
from creamery.index import ListedFile
from creamery.wheels.clients import Libc
from creamery.wheels.precedence import stands_in_for

_Name = tuple[Version, tuple[()] | tuple[int, str], tuple[str, ...]]
"""What an installer sees in a wheel's name: version, build number and tags. Of two that agree it takes either."""

_NO_SDISTS = (".whl", ".egg", ".exe", ".msi", ".rpm", ".deb", ".dmg")


@dataclass(frozen=True, slots=True)
class Candidate:
    """A built wheel that is here, with all that decides whether it is listed.

    Attributes:
        filename: under which it would be listed: its tags say honestly where it runs.
        version: as PEP 440 writes it.
        size, metadata_size: in bytes.
        metadata_digest: SHA-256 of its METADATA; None: it is not beside it.
        requires_python: its own.
        source: SHA-256 of the sdist that it was built from; None: nobody has said.
        ring: whose it is.
        rank: 0 for the ring of whoever asks, then the rings that it trusts, in order.
        is_neutral: built as everybody builds: default settings, nothing declared of the environment, and no build
            requirement that shapes its ABI.
        libc: of the machine that built it.
    """

    filename: str
    project: ProjectName
    version: str
    digest: Digest
    size: int
    metadata_digest: Digest | None
    metadata_size: int | None
    requires_python: str | None
    source: Digest | None
    ring: str
    rank: int
    is_neutral: bool
    libc: Libc | None
    pushed: Micros
    id: int


@dataclass(frozen=True, slots=True)
class Offered:
    """What becomes of one.

    Attributes:
        reason: a sentence for people.
        sdist: what it stands in for, where it is listed.
    """

    candidate: Candidate
    listed: bool
    reason: str
    sdist: ListedFile | None = None


def offer(published: Iterable[ListedFile], built: Sequence[Candidate], libc: Libc | None = None) -> list[Offered]:
    """What becomes of each of a project's built wheels, by version, then tags; of one name those first that go first.

    Args:
        published: what the index's own page lists of the project.
        built: all in the rings that whoever asks may read.
        libc: of whoever asks, where that is known.
    """
    ordered = sorted(built, key=lambda each: (*_name_as_read(each.filename, each.version), _preference(each, libc)))
    releases = _releases(published, built)
    first: dict[_Name, Candidate] = {}
    return [_judge(each, releases[Version(each.version)], first) for each in ordered]


def as_listed(offered: Iterable[Offered]) -> list[ListedFile]:
    """Those that are listed, as a page at `/w/i/{project}/` lists them, with their addresses as seen from there.

    Their time, and whether they are yanked, is their sdist's: uv with `--exclude-newer` passes over a wheel that is
    newer, and builds. So is the Python that they require, unless it says nothing.
    """
    return [_listed(each.candidate, each.sdist) for each in offered if each.listed and each.sdist is not None]


def _listed(wheel: Candidate, sdist: ListedFile) -> ListedFile:
    return ListedFile(
        filename=wheel.filename,
        url=f"../../f/{wheel.digest}/{wheel.filename.replace('+', '%2B')}",
        sha256=wheel.digest,
        size=wheel.size,
        upload_time=sdist.upload_time,
        requires_python=wheel.requires_python if sdist.requires_python is None else sdist.requires_python,
        yanked=sdist.yanked,
        has_metadata=wheel.metadata_digest is not None,
        metadata_sha256=wheel.metadata_digest,
    )


@dataclass(slots=True)
class _Release:
    """What the index lists of one version."""

    sdists: list[ListedFile] = field(default_factory=list)
    wheels: list[tuple[str, frozenset[Tag]]] = field(default_factory=list)


def _judge(wheel: Candidate, release: _Release, first: dict[_Name, Candidate]) -> Offered:
    """`first`: those that are listed already, by their names as installers read them."""
    sdist = next((each for each in release.sdists if wheel.source in {None, each.sha256}), None)
    reason = _why_not(wheel, release, sdist)
    if reason is not None or sdist is None:
        return Offered(wheel, listed=False, reason=reason or "")
    winner = first.setdefault(_name_as_read(wheel.filename, wheel.version), wheel)
    if winner is not wheel:
        reason = f"another build of that name goes first: SHA-256 {winner.digest[:12]}, in ring {winner.ring}"
        return Offered(wheel, listed=False, reason=reason)
    reason = f"it is listed: the index has {sdist.filename}, and no wheel of this version that goes where it goes"
    return Offered(wheel, listed=True, reason=reason, sdist=sdist)


def _why_not(wheel: Candidate, release: _Release, sdist: ListedFile | None) -> str | None:
    tags = _tags(wheel.filename)
    if tags is None:
        return "no tags can be read in its name"
    if any(tag.platform.startswith("linux_") for tag in tags):
        return "its name does not say which libc it needs (linux_*), so it is had by its key alone"
    if not wheel.is_neutral:
        return "it was built with settings, an environment or requirements of its own, so it is had by its key alone"
    if not release.sdists:
        return f"the index lists no sdist of version {wheel.version}"
    if sdist is None:
        return f"it was built from another source than the index lists: SHA-256 {wheel.source}"
    other = next((name for name, theirs in release.wheels if stands_in_for(tags, theirs)), None)
    return None if other is None else f"the project has published a wheel that goes where it goes: {other}"


def _preference(wheel: Candidate, libc: Libc | None) -> tuple[int, bool, tuple[int, int, int], Micros, int]:
    """Of several with one name the least goes first."""
    return wheel.rank, wheel.source is None, _distance(wheel.libc, libc), wheel.pushed, wheel.id


def _distance(built: Libc | None, asking: Libc | None) -> tuple[int, int, int]:
    """The newest libc that whoever asks has comes first, one that is newer than theirs last.

    Either loads, by its honest name; but one that was built against a newer libc was never tried with an older one.
    """
    if built is None or asking is None or built[0] != asking[0]:
        return (1, 0, 0)
    _, major, minor = built
    return (2 if built > asking else 0, -major, -minor)


def _releases(published: Iterable[ListedFile], built: Sequence[Candidate]) -> dict[Version, _Release]:
    """What the index lists of the versions that built wheels are of; other names are not taken apart."""
    releases = {Version(each.version): _Release() for each in built}
    for file in published if built else ():
        version = _version(version_text(file.filename, built[0].project))
        release = None if version is None else releases.get(version)
        if release is None:
            continue
        if not file.filename.endswith(_NO_SDISTS):
            release.sdists.append(file)
        elif (tags := _tags(file.filename)) is not None:
            release.wheels.append((file.filename, tags))
    return releases


@lru_cache(4_096)
def _name_as_read(filename: str, version: str) -> _Name:
    """The same for `zope.x-1.0-...` and `zope_x-1.0.0-...`, as older and newer backends write one name."""
    try:
        _, _, build, tags = parse_wheel_filename(filename)
    except InvalidWheelFilename:
        return Version(version), (), (filename,)
    return Version(version), build, tuple(sorted(map(str, tags)))


@lru_cache(4_096)
def _version(text: str | None) -> Version | None:
    try:
        return None if text is None else Version(text)
    except InvalidVersion:
        return None


@lru_cache(4_096)
def _tags(filename: str) -> frozenset[Tag] | None:
    """A wheel's; None: no installer can read its name either."""
    try:
        return parse_wheel_filename(filename)[3]
    except InvalidWheelFilename:
        return None
