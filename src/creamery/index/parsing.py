"""From an upstream's page, JSON (PEP 691) or HTML (PEP 503), to a `ProjectPage`.

An upstream's word is data: an entry that could do harm or means nothing (a file name with a slash, an address that is
no http address, a hash that is none) is left out, the rest stands. A page that is no page at all is refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from html.parser import HTMLParser
from typing import Any, cast
from urllib.parse import unquote, urldefrag, urljoin, urlsplit

import orjson

from creamery.contract import Digest, InvalidName, NotADigest, ProjectName, check_filename, normalize, parse_digest
from creamery.index.project import STATUSES, ListedFile, ProjectPage, Status

JSON_TYPE = "application/vnd.pypi.simple.v1+json"
HTML_TYPES = frozenset({"application/vnd.pypi.simple.v1+html", "text/html"})

_HASH = re.compile(r"(\w{1,20})=([0-9a-fA-F]{16,128})", re.ASCII)
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z", re.ASCII)
_PLAIN_ADDRESS = re.compile(r"https?://[A-Za-z0-9.-]+(?::[1-9][0-9]{0,4})?/[!-~]*", re.ASCII)
_MAX_TEXT = 4_000
_MAX_LOCATIONS = 100
_MAX_TAG = 100_000
_PIECE = 16_000

_SUFFIXES = (
    ".whl",
    ".tar.gz",
    ".zip",
    ".egg",
    ".tar.bz2",
    ".tar.xz",
    ".tar.Z",
    ".tgz",
    ".tar",
    ".exe",
    ".msi",
    ".rpm",
    ".deb",
    ".dmg",
)
"""What an anchor must end in to be a distribution and not the way to another folder."""


class NotAPage(ValueError):
    """The upstream sent something that is no project page."""


def parse_page(
    body: bytes,
    content_type: str,
    *,
    name: ProjectName,
    url: str,
    max_files: int,
    is_late: Callable[[], bool] = lambda: False,
) -> ProjectPage:
    """Read a page by its content type.

    Args:
        url: the page's own address, against which its links are resolved.
        is_late: asked now and then while HTML is read; True ends it.

    Raises:
        NotAPage: neither of the two formats, broken, another project's, of a major version beyond 1, or with more
            than `max_files`.
    """
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type == JSON_TYPE:
        return _parse_json(body, name, url, max_files)
    if media_type in HTML_TYPES:
        return _parse_html(body, name, url, max_files, is_late)
    raise NotAPage(f"{media_type or 'no content type'!r} is no content type of a project page")


def _parse_json(body: bytes, name: ProjectName, url: str, max_files: int) -> ProjectPage:
    try:
        page = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise NotAPage(f"it is no JSON: {error}") from error
    if not isinstance(page, dict) or not isinstance(page.get("files"), list):
        raise NotAPage("its JSON has no list of files")
    _check_name(page.get("name"), name)
    meta = page.get("meta")
    _check_version(str(meta.get("api-version", "1.0")) if isinstance(meta, dict) else "1.0")
    entries = cast("list[object]", page["files"])
    if len(entries) > max_files:
        raise NotAPage(f"it lists more than {max_files} files")
    files = tuple(file for entry in entries if isinstance(entry, dict) for file in _json_file(entry, url))
    versions = page.get("versions")
    status, reason = _status(page.get("project-status"))
    return ProjectPage(
        name=name,
        files=files,
        versions=tuple(_texts(versions)) if isinstance(versions, list) else None,
        status=status,
        status_reason=reason,
        tracks=_locations(meta.get("tracks") if isinstance(meta, dict) else None, url),
        alternate_locations=_locations(page.get("alternate-locations"), url),
    )


def _json_file(entry: Mapping[str, Any], page_url: str) -> Iterator[ListedFile]:
    """The entry's file, or nothing where it could do harm."""
    filename, address = entry.get("filename"), entry.get("url")
    if not isinstance(filename, str) or not isinstance(address, str):
        return
    url = _http_address(page_url, address)
    if url is None or not _is_filename(filename):
        return
    hashes = entry.get("hashes")
    sha256, others = _hashes(hashes if isinstance(hashes, dict) else {})
    has_metadata, metadata_sha256 = _metadata(entry.get("core-metadata", entry.get("dist-info-metadata")))
    size, upload_time = entry.get("size"), entry.get("upload-time")
    provenance, gpg_sig = entry.get("provenance"), entry.get("gpg-sig")
    yanked = entry.get("yanked")
    yield ListedFile(
        filename=filename,
        url=url,
        sha256=sha256,
        hashes=others,
        size=size if isinstance(size, int) and not isinstance(size, bool) and 0 <= size < 2**62 else None,
        upload_time=upload_time if isinstance(upload_time, str) and _TIME.fullmatch(upload_time) else None,
        requires_python=_text(entry.get("requires-python")),
        yanked=(_text(yanked) or "") if yanked else None,
        has_metadata=has_metadata,
        metadata_sha256=metadata_sha256,
        provenance=_http_address(page_url, provenance) if isinstance(provenance, str) else None,
        gpg_sig=gpg_sig if isinstance(gpg_sig, bool) else None,
    )


def _parse_html(body: bytes, name: ProjectName, url: str, max_files: int, is_late: Callable[[], bool]) -> ProjectPage:
    parser = _Anchors(max_files)
    _feed(parser, body.decode("utf-8", "replace"), is_late)
    _check_version(parser.meta.get("pypi:repository-version", "1.0"))
    base = urljoin(url, parser.base) if parser.base else url
    files = tuple(file for attributes, text in parser.anchors for file in _html_file(attributes, text, base))
    if not files and "pypi:repository-version" not in parser.meta and b"Links for" not in body:
        raise NotAPage("its HTML names no distribution")  # a login page, a proxy's error page
    status, reason = _status(
        {"status": parser.meta.get("pypi:project-status"), "reason": parser.meta.get("pypi:project-status-reason")}
    )
    return ProjectPage(
        name=name,
        files=files,
        status=status,
        status_reason=reason,
        tracks=_locations(parser.locations["pypi:tracks"], base),
        alternate_locations=_locations(parser.locations["pypi:alternate-locations"], base),
    )


def _html_file(attributes: Mapping[str, str], text: str, base: str) -> Iterator[ListedFile]:
    href, fragment = urldefrag(attributes.get("href", ""))
    url = _http_address(base, href)
    if url is None:
        return
    # The address's last segment is the name (PEP 503 wants the text to be the same); some put numbers there.
    names = (unquote(urlsplit(url).path.rpartition("/")[2]), text.strip())
    filename = next((name for name in names if name.endswith(_SUFFIXES) and _is_filename(name)), None)
    if filename is None:
        return
    sha256, others = _hashes(_stated_hashes(fragment))
    stated = attributes.get("data-core-metadata", attributes.get("data-dist-info-metadata"))
    has_metadata, metadata_sha256 = _metadata(None if stated is None else _stated_hashes(stated) or True)
    gpg_sig = attributes.get("data-gpg-sig")
    provenance = attributes.get("data-provenance")
    yield ListedFile(
        filename=filename,
        url=url,
        sha256=sha256,
        hashes=others,
        requires_python=_text(attributes.get("data-requires-python")),
        yanked=_text(attributes["data-yanked"]) or "" if "data-yanked" in attributes else None,
        has_metadata=has_metadata,
        metadata_sha256=metadata_sha256,
        provenance=_http_address(base, provenance) if provenance else None,
        gpg_sig={"true": True, "false": False}.get(gpg_sig or ""),
    )


def _feed(parser: _Anchors, text: str, is_late: Callable[[], bool]) -> None:
    """In pieces, bounded.

    On a tag that never ends, or a million of them, the library's time grows with the square of what it was fed, and
    nothing else runs while one of its patterns does.
    """
    for start in range(0, len(text), _PIECE):
        try:
            parser.feed(text[start : start + _PIECE])
        except AssertionError as error:  # how the library says that a declaration is none
            raise NotAPage(f"it is no HTML: {error}") from error
        if len(parser.rawdata) > _MAX_TAG:
            raise NotAPage(f"its HTML has a tag of more than {_MAX_TAG} characters")
        if is_late():
            raise NotAPage("reading its HTML took too long")
    parser.close()


class _Anchors(HTMLParser):
    """Collects anchors, meta tags and the base address."""

    def __init__(self, max_files: int) -> None:
        super().__init__(convert_charrefs=True)
        self.anchors: list[tuple[dict[str, str], str]] = []
        self.meta: dict[str, str] = {}
        self.locations: dict[str, list[object]] = {"pypi:tracks": [], "pypi:alternate-locations": []}
        self.base = ""
        self._open: dict[str, str] | None = None
        self._text = ""
        self._max_files = max_files

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in attrs}
        if tag == "a":
            self._open, self._text = attributes, ""
        elif tag == "meta" and "name" in attributes:
            name, content = attributes["name"], attributes.get("content", "")
            self.meta[name] = content
            if name in self.locations:
                self.locations[name].append(content)
        elif tag == "base" and not self.base:
            self.base = attributes.get("href", "")

    def handle_data(self, data: str) -> None:
        if self._open is not None and len(self._text) < _MAX_TEXT:
            self._text += data

    def handle_endtag(self, tag: str) -> None:
        if tag == "a" and self._open is not None:
            self.anchors.append((self._open, self._text))
            self._open = None
            if len(self.anchors) > self._max_files:
                raise NotAPage(f"it lists more than {self._max_files} files")


def _check_name(stated: object, name: ProjectName) -> None:
    """A page that says whose it is, is believed for nobody else: every file of ours would count as deleted."""
    if not isinstance(stated, str):
        return
    try:
        is_ours = normalize(stated) == name
    except InvalidName:
        is_ours = False
    if not is_ours:
        raise NotAPage(f"it is the page of {stated[:100]!r}")


def _check_version(version: str) -> None:
    """A newer major version means something that we do not know (PEP 629)."""
    if version.partition(".")[0] != "1":
        raise NotAPage(f"its API version is {version[:20]!r}; 1.x is understood")


def _http_address(base: str, address: str) -> str | None:
    """The absolute http address; None where it is none, or holds a user. Nearly all are plain and need no joining."""
    if len(address) <= _MAX_TEXT and _PLAIN_ADDRESS.fullmatch(address) and "/../" not in address:
        return address
    if len(address) > _MAX_TEXT or any(character < " " or character == "\x7f" for character in address):
        return None
    try:
        joined = urljoin(base, address)
        parts = urlsplit(joined)
        has_host = bool(parts.hostname) and parts.port != 0
    except ValueError:
        return None
    return joined if parts.scheme in {"http", "https"} and has_host and parts.username is None else None


def _is_filename(filename: str) -> bool:
    try:
        check_filename(filename)
    except InvalidName:
        return False
    return True


def _hashes(stated: Mapping[Any, Any]) -> tuple[Digest | None, dict[str, str]]:
    sha256: Digest | None = None
    others: dict[str, str] = {}
    for algorithm, value in stated.items():
        if not isinstance(algorithm, str) or not isinstance(value, str):
            continue
        if algorithm == "sha256":
            try:
                sha256 = parse_digest(value)
            except NotADigest:
                continue
        elif _HASH.fullmatch(f"{algorithm}={value}"):
            others[algorithm] = value.lower()
    return sha256, others


def _stated_hashes(text: str) -> dict[str, str]:
    return {match[1]: match[2] for match in _HASH.finditer(text)}


def _metadata(stated: object) -> tuple[bool, Digest | None]:
    """`core-metadata` is true, or a dictionary of hashes, or absent (PEP 714)."""
    if isinstance(stated, dict):
        return True, _hashes(stated)[0]
    return stated is True, None


def _status(stated: object) -> tuple[Status, str | None]:
    if not isinstance(stated, dict):
        return "active", None
    status = stated.get("status")
    return (cast("Status", status) if status in STATUSES else "active"), _text(stated.get("reason"))


def _text(value: object) -> str | None:
    """A text that may go into a page and a database: no NUL, not endless."""
    if not isinstance(value, str) or not value:
        return None
    return value.replace("\0", "")[:_MAX_TEXT]


def _locations(values: object, base: str) -> tuple[str, ...]:
    """Addresses of the project elsewhere (PEP 708); what is none is left out."""
    listed = values if isinstance(values, list) else []
    found = (_http_address(base, value) for value in listed[:_MAX_LOCATIONS] if isinstance(value, str))
    return tuple(address for address in found if address is not None)


def _texts(values: list[object]) -> Iterator[str]:
    for value in values:
        if text := _text(value):
            yield text
