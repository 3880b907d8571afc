"""Pages as bytes: rendered and compressed once per change, then only sent.

Read first: PEP 691 (JSON), PEP 503 (HTML), PEP 833 (HTML stays at 1.4). Addresses in a page are relative to it and
lead to `/i/{project}/{file}` from `/i/{project}/` and `/simple/{project}/` alike, so that both send the same bytes
and lock files survive a move of the hub.
"""

from __future__ import annotations

import hashlib
import html
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import orjson
import zstandard
from packaging.version import InvalidVersion, Version

from creamery.contract import version_text
from creamery.http import SharedBytes
from creamery.index.project import KeptFile, KnownProject, ListedFile

API_VERSION = "1.4"

Format = Literal["json", "html"]
Encoding = Literal["identity", "gzip", "zstd"]
Listing = Literal["all", "here"]

Added = tuple[ListedFile, ...]
"""Files that a door above lists on a page of its own, beside those of the index."""

_Shown = tuple[ListedFile, str, dict[str, str] | bool]
"""A file of a page: what is said of it, its address, and what is said of its METADATA."""

CONTENT_TYPES: dict[Format, str] = {
    "json": "application/vnd.pypi.simple.v1+json",
    "html": "application/vnd.pypi.simple.v1+html",
}


@dataclass(slots=True)
class Page:
    """One page in one format; each encoding is made when first asked for, and kept.

    Attributes:
        serial: of the journal's entry up to which it tells everything; None: it leaves out what is not here.
    """

    format: Format
    identity: bytes
    digest: str
    serial: int | None = None
    encoded: dict[Encoding, bytes] = field(default_factory=dict)

    def body(self, encoding: Encoding) -> bytes | None:
        """The bytes, where they are made already."""
        return self.identity if encoding == "identity" else self.encoded.get(encoding)

    def encode(self, encoding: Encoding) -> bytes:
        """Make (or take) the bytes of an encoding; 8 ms (zstd) and 47 ms (gzip) for numpy's page, without the GIL."""
        body = self.body(encoding)
        if body is None:
            body = self.encoded[encoding] = SharedBytes(_COMPRESSORS[encoding](self.identity))
        return body

    def etag(self, encoding: Encoding) -> str:
        """Strong: another one for each sequence of bytes (RFC 9110, 8.8.3.3)."""
        return f'"{self.digest}-{encoding}"'

    @property
    def size(self) -> int:
        """Bytes in memory."""
        return len(self.identity) + sum(map(len, self.encoded.values()))


def render(
    project: KnownProject, files: Sequence[KeptFile], page_format: Format, listing: Listing, added: Added = ()
) -> Page:
    """A project's page. About 1 ms for 1,000 files."""
    kept = _files_here(files) if listing == "here" else files
    shown = [_shown(file, listing) for file in kept] + [(file, file.url, _metadata(file)) for file in added]
    if page_format == "json":
        # What is added is of versions that the index has, though perhaps not here.
        named = [file.listed_file for file in kept] + (list(added) if listing == "here" else [])
        body = _json(project, _versions(project, named, listing), shown)
    else:
        body = _html(project, shown)
    return page_of(page_format, body, None if listing == "here" else project.serial)


def _files_here(files: Sequence[KeptFile]) -> list[KeptFile]:
    """Files whose bytes are here; where there are none, those whose METADATA is.

    uv and poetry resolve for every platform: of colorama, which only Windows needs, they read the METADATA and leave
    the wheel alone, and without it nothing that depends on it could be resolved again.
    """
    return [file for file in files if file.digest is not None] or [
        file for file in files if file.metadata_digest is not None
    ]


def render_projects(serials: Sequence[tuple[str, int]], page_format: Format) -> Page:
    """The list of projects that the hub knows, with the serial of each one's last change, as mirrors read it."""
    last = max((serial for _, serial in serials), default=0)
    if page_format == "json":
        meta = {"api-version": API_VERSION, "_last-serial": last}
        projects = [{"name": name, "_last-serial": serial} for name, serial in serials]
        return page_of("json", orjson.dumps({"meta": meta, "projects": projects}), last)
    anchors = "".join(f'    <a href="{name}/">{name}</a><br>\n' for name, _ in serials)
    return page_of("html", _document("Simple index", "", anchors), last)


def page_of(page_format: Format, body: bytes, serial: int | None) -> Page:
    """These bytes as a page."""
    return Page(page_format, SharedBytes(body), hashlib.sha256(body).hexdigest()[:32], serial)


def _shown(file: KeptFile, listing: Listing) -> _Shown:
    return file.listed_file, _address(file), advertised_metadata(file, listing)


def _address(file: KeptFile) -> str:
    # Every character of a file name is one that an address may hold, except '+', which some decode to a blank.
    return f"../../i/{file.project}/{file.filename.replace('+', '%2B')}"


def advertised_metadata(file: KeptFile, listing: Listing) -> dict[str, str] | bool:
    """What a page says of `FILE.metadata` (PEP 714): its hash, True (no hash known), or False.

    Only what is stored, or what the upstream serves while it can be asked: a file that is advertised and then
    missing aborts uv's resolution.
    """
    if file.metadata_digest is not None:
        return {"sha256": file.metadata_digest}
    return False if listing == "here" or file.metadata_failed else _metadata(file.listed_file)


def _metadata(listed: ListedFile) -> dict[str, str] | bool:
    sha256 = listed.metadata_sha256
    return listed.has_metadata and ({"sha256": sha256} if sha256 is not None else True)


def _json(project: KnownProject, versions: Sequence[str], files: Sequence[_Shown]) -> bytes:
    status: dict[str, str] = {"status": project.status}
    if project.status_reason is not None:
        status["reason"] = project.status_reason
    meta: dict[str, object] = {"api-version": API_VERSION, "_last-serial": project.serial}
    if project.tracks:
        meta["tracks"] = project.tracks
    page: dict[str, object] = {"meta": meta, "name": project.name, "project-status": status}
    if project.alternate_locations:
        page["alternate-locations"] = project.alternate_locations
    page["versions"] = versions
    page["files"] = [_json_file(file) for file in files]
    return orjson.dumps(page)


def _json_file(file: _Shown) -> dict[str, Any]:
    listed, address, metadata = file
    entry: dict[str, Any] = {
        "filename": listed.filename,
        "url": address,
        "hashes": all_hashes(listed),
        "requires-python": listed.requires_python,
        "yanked": False if listed.yanked is None else listed.yanked or True,
    }
    if listed.size is not None:
        entry["size"] = listed.size
    if listed.upload_time is not None:
        entry["upload-time"] = listed.upload_time
    if listed.gpg_sig is not None:
        entry["gpg-sig"] = listed.gpg_sig
    entry["provenance"] = listed.provenance
    # Not under PEP 658's key, `dist-info-metadata`: pip 22.3 to 23.1 end with a TypeError there (PEP 714).
    entry["core-metadata"] = metadata
    return entry


def all_hashes(listed: ListedFile) -> dict[str, str]:
    """What is said of its bytes, by algorithm."""
    sha256 = listed.sha256
    return {**listed.hashes, **({} if sha256 is None else {"sha256": sha256})}


def _versions(project: KnownProject, files: Sequence[ListedFile], listing: Listing) -> list[str]:
    """The upstream's own list, or what the file names say, in order (PEP 700)."""
    if project.versions is not None and listing == "all":
        return list(project.versions)
    found = {text for file in files if (text := version_text(file.filename, project.name))}
    return sorted(found, key=_version_key)


def _version_key(text: str) -> tuple[bool, Version | str]:
    try:
        return (True, Version(text))
    except InvalidVersion:
        return (False, text)


def _html(project: KnownProject, files: Sequence[_Shown]) -> bytes:
    head = f'    <meta name="pypi:project-status" content="{project.status}">\n'
    if project.status_reason is not None:
        reason = html.escape(project.status_reason)
        head += f'    <meta name="pypi:project-status-reason" content="{reason}">\n'
    elsewhere = {"pypi:tracks": project.tracks, "pypi:alternate-locations": project.alternate_locations}
    for name, addresses in elsewhere.items():
        head += "".join(f'    <meta name="{name}" content="{html.escape(address)}">\n' for address in addresses)
    anchors = "".join(_anchor(file) for file in files)
    return _document(f"Links for {project.name}", head, anchors)


def _anchor(file: _Shown) -> str:
    listed, address, metadata = file
    hashes = all_hashes(listed)
    algorithm = next((name for name in ("sha256", *hashes) if name in hashes), None)
    fragment = f"#{algorithm}={hashes[algorithm]}" if algorithm else ""
    attributes = [f'href="{address}{fragment}"']
    if listed.requires_python is not None:
        attributes.append(f'data-requires-python="{html.escape(listed.requires_python)}"')
    if metadata:
        stated = "true" if metadata is True else f"sha256={metadata['sha256']}"
        attributes += [f'data-dist-info-metadata="{stated}"', f'data-core-metadata="{stated}"']
    if listed.yanked is not None:
        attributes.append(f'data-yanked="{html.escape(listed.yanked)}"')
    if listed.gpg_sig is not None:
        attributes.append(f'data-gpg-sig="{"true" if listed.gpg_sig else "false"}"')
    if listed.provenance is not None:
        attributes.append(f'data-provenance="{html.escape(listed.provenance)}"')
    return f"    <a {' '.join(attributes)}>{listed.filename}</a><br>\n"


def _document(title: str, head: str, anchors: str) -> bytes:
    return (
        "<!DOCTYPE html>\n<html>\n  <head>\n"
        f'    <meta name="pypi:repository-version" content="{API_VERSION}">\n'
        f"{head}    <title>{title}</title>\n"
        f"  </head>\n  <body>\n    <h1>{title}</h1>\n{anchors}  </body>\n</html>\n"
    ).encode()


def _gzip(data: bytes) -> bytes:
    compressor = zlib.compressobj(6, zlib.DEFLATED, 31)
    return compressor.compress(data) + compressor.flush()


def _zstd(data: bytes) -> bytes:
    return zstandard.ZstdCompressor(level=3).compress(data)


_COMPRESSORS = {"gzip": _gzip, "zstd": _zstd}
