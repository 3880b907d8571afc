"""A project as PyPI's JSON API has it: for bandersnatch, and for tools that know no other way.

PyPI documents this form, and no standard does. Addresses are absolute and look like those of PyPI's files,
`/packages/{ab}/{cd}/{rest of the SHA-256}/{file}`, for bandersnatch takes no others; the hub has the same files there.

A file without SHA-256 or size is left out: mirrors check both, and one file that lacks them ends bandersnatch's work
on the whole project. Both are known as soon as its bytes have come through the hub.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

import orjson
from packaging.metadata import RawMetadata, parse_email
from packaging.version import InvalidVersion, Version

from creamery.clock import Micros
from creamery.contract import ProjectName, version_text
from creamery.index.project import KeptFile, KnownProject
from creamery.index.simple import Listing, advertised_metadata, all_hashes

_PACKAGE_TYPES = {
    ".whl": "bdist_wheel",
    ".egg": "bdist_egg",
    ".exe": "bdist_wininst",
    ".msi": "bdist_msi",
    ".rpm": "bdist_rpm",
    ".deb": "bdist_dumb",
    ".dmg": "bdist_dmg",
}


@dataclass(frozen=True, slots=True)
class Release:
    """A version and its files.

    Attributes:
        text: the version as its page lists it, where it can be read as PEP 440 writes it.
    """

    text: str
    files: tuple[KeptFile, ...]

    @property
    def is_yanked(self) -> bool:
        """Is every file of it?"""
        return all(file.listed_file.yanked is not None for file in self.files)


def releases_of(project: ProjectName, files: Iterable[KeptFile]) -> list[Release]:
    """The versions that a mirror can have, oldest first; files that say of no version are passed over."""
    found: dict[Version | str, list[KeptFile]] = {}
    for file in files:
        if file.expected is None or file.listed_file.size is None:
            continue
        text = version_text(file.filename, project)
        if text is not None:
            found.setdefault(_parsed(text) or text, []).append(file)
    return sorted((Release(str(key), tuple(each)) for key, each in found.items()), key=lambda each: _order(each.text))


def newest(releases: Sequence[Release]) -> Release | None:
    """What `info` tells of: the newest final version that is not yanked, else the newest that there is."""
    ranked = sorted(
        releases, key=lambda release: (not release.is_yanked, _is_final(release.text), _order(release.text))
    )
    return ranked[-1] if ranked else None


def release_named(releases: Sequence[Release], written: str) -> Release | None:
    """The one that somebody means by this text."""
    wanted = _parsed(written) or written
    return next((release for release in releases if (_parsed(release.text) or release.text) == wanted), None)


def render_project(  # noqa: PLR0913 - what the page says, by name
    project: KnownProject,
    releases: Sequence[Release],
    release: Release | None,
    *,
    base: str,
    listing: Listing,
    metadata: bytes | None,
    first_seen: Mapping[str, Micros],
    is_whole: bool,
) -> bytes:
    """The page of a project, or (not `is_whole`) of one release.

    Args:
        release: what `info` and `urls` tell of; None: the project has none.
        base: the hub's own address.
        metadata: METADATA of the release, where it can be had.
        first_seen: for files whose upload time nobody has told: when the hub saw them first.
    """

    def shown(files: Iterable[KeptFile]) -> list[dict[str, Any]]:
        return [_file(file, base, listing, first_seen) for file in files]

    page: dict[str, Any] = {
        "info": _info(project, release, base, metadata),
        "last_serial": project.serial,
        "urls": [] if release is None else shown(release.files),
        "vulnerabilities": [],
    }
    if is_whole:
        page["releases"] = {each.text: shown(each.files) for each in releases}
    return orjson.dumps(page)


def packages_path(file: KeptFile) -> str:
    """Where a mirror finds a file whose SHA-256 is known, below the hub's address."""
    digest = file.expected or ""
    return f"packages/{digest[:2]}/{digest[2:4]}/{digest[4:]}/{file.filename.replace('+', '%2B')}"


def lacks_upload_time(files: Iterable[KeptFile]) -> bool:
    """Is there a file of which nobody has told when it was uploaded, in a way that can be read?"""
    return any(_moment(file.listed_file.upload_time) is None for file in files)


def _file(file: KeptFile, base: str, listing: Listing, first_seen: Mapping[str, Micros]) -> dict[str, Any]:
    listed = file.listed_file
    digests = all_hashes(listed)
    uploaded = _moment(listed.upload_time) or _EPOCH + timedelta(microseconds=first_seen.get(file.filename, 0))
    return {
        "comment_text": None,
        "core-metadata": advertised_metadata(file, listing),
        "digests": digests,
        "downloads": -1,
        "filename": file.filename,
        "has_sig": bool(listed.gpg_sig),
        "md5_digest": digests.get("md5"),
        "packagetype": _package_type(file.filename),
        "python_version": _python_version(file.filename),
        "requires_python": listed.requires_python,
        "size": listed.size,
        "upload_time": uploaded.strftime("%Y-%m-%dT%H:%M:%S"),
        "upload_time_iso_8601": uploaded.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "url": f"{base}/{packages_path(file)}",
        "yanked": listed.yanked is not None,
        "yanked_reason": listed.yanked or None,
    }


def _info(project: KnownProject, release: Release | None, base: str, metadata: bytes | None) -> dict[str, Any]:
    raw: RawMetadata = {} if metadata is None else parse_email(metadata)[0]
    keywords = raw.get("keywords")
    files = () if release is None else release.files
    said = " ".join(raw.get("requires_python", "").split())  # it may go on in the next line
    requires_python = said or next((file.listed_file.requires_python for file in files), None)
    page = f"{base}/simple/{project.name}/"
    told: dict[str, Any] = {field: raw.get(field) for field in _AS_IN_METADATA}
    return told | {
        "bugtrack_url": None,
        "classifiers": raw.get("classifiers", []),
        "description": raw.get("description", ""),
        "docs_url": None,
        "downloads": {"last_day": -1, "last_month": -1, "last_week": -1},
        "keywords": None if keywords is None else ",".join(keywords),
        "name": raw.get("name") or project.name,
        "package_url": page,
        "platform": ",".join(raw.get("platforms", [])) or None,
        "project_url": page,
        "release_url": page if release is None else f"{base}/pypi/{project.name}/{release.text}/json",
        "requires_python": requires_python,
        "version": "" if release is None else release.text,
        "yanked": release is not None and release.is_yanked,
        "yanked_reason": _yanked_reason(release),
    }


_AS_IN_METADATA = (
    *("author", "author_email", "description_content_type", "download_url", "dynamic", "home_page", "license"),
    *("license_expression", "license_files", "maintainer", "maintainer_email", "project_urls", "provides_extra"),
    *("requires_dist", "summary"),
)


def _yanked_reason(release: Release | None) -> str | None:
    if release is None or not release.is_yanked:
        return None
    return next((file.listed_file.yanked for file in release.files if file.listed_file.yanked), None)


def _package_type(filename: str) -> str:
    return _PACKAGE_TYPES.get(filename[filename.rfind(".") :].lower(), "sdist")


def _python_version(filename: str) -> str:
    """PyPI's word for it: a wheel's Python tag, an egg's Python, `source` of an sdist."""
    kind = _package_type(filename)
    if kind == "sdist":
        return "source"
    parts = filename.rsplit(".", 1)[0].split("-")
    if kind == "bdist_wheel":
        return parts[-3] if len(parts) > 3 else "any"  # noqa: PLR2004 - tags are the last three of five or six
    return next((part.removeprefix("py") for part in parts if part.startswith("py") and part[2:3].isdigit()), "any")


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _moment(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


@lru_cache(20_000)
def _parsed(text: str) -> Version | None:
    try:
        return Version(text)
    except InvalidVersion:
        return None


def _is_final(text: str) -> bool:
    version = _parsed(text)
    return version is not None and not version.is_prerelease


def _order(text: str) -> tuple[bool, Version | str]:
    version = _parsed(text)
    return (False, text) if version is None else (True, version)
