"""A project's page as values: what an upstream says, what the hub lists.

Read first: PEP 503 (the page), PEP 592 (yanked), PEP 658/714 (metadata files), PEP 691 (JSON), PEP 700 (size,
upload-time, versions), PEP 740 (provenance), PEP 792 (project status).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from creamery.contract import Digest, ProjectName

Status = Literal["active", "archived", "quarantined", "deprecated"]
STATUSES: frozenset[Status] = frozenset({"active", "archived", "quarantined", "deprecated"})


@dataclass(frozen=True, slots=True)
class ListedFile:
    """One file of a page.

    Attributes:
        url: where the upstream has it, absolute.
        sha256: what its bytes must hash to; None where the upstream names no SHA-256.
        hashes: what else the upstream names, by algorithm.
        size: bytes (PEP 700); None where the upstream does not say.
        upload_time: RFC 3339 in UTC, as the upstream wrote it (PEP 700).
        yanked: the reason, perhaps empty (PEP 592); None for a file that is not yanked.
        has_metadata: the upstream serves `FILE.metadata` (PEP 658).
        metadata_sha256: what that must hash to (PEP 714).
        provenance: address of its attestations (PEP 740).
        gpg_sig: has it a signature file; None where the upstream does not say.
    """

    filename: str
    url: str
    sha256: Digest | None = None
    hashes: dict[str, str] = field(default_factory=dict)
    size: int | None = None
    upload_time: str | None = None
    requires_python: str | None = None
    yanked: str | None = None
    has_metadata: bool = False
    metadata_sha256: Digest | None = None
    provenance: str | None = None
    gpg_sig: bool | None = None


@dataclass(frozen=True, slots=True)
class ProjectPage:
    """What one upstream says about one project.

    Attributes:
        tracks, alternate_locations: addresses of other indexes that have the project (PEP 708).
    """

    name: ProjectName
    files: tuple[ListedFile, ...]
    versions: tuple[str, ...] | None = None
    status: Status = "active"
    status_reason: str | None = None
    tracks: tuple[str, ...] = ()
    alternate_locations: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file (or its METADATA) that is here, ready to be sent."""

    digest: Digest
    size: int
    pinned: bool = False


@dataclass(frozen=True, slots=True)
class KeptFile:
    """A file as the hub knows it: what was listed, and what of it is here.

    Attributes:
        digest: its blob; None: known, not here.
        metadata_digest, metadata_size: the blob of its METADATA; None: not here.
        pinned: the upstream named no hash; that of the bytes that came first counts, unverified.
        listed: the upstream still lists it.
        metadata_failed: its METADATA could not be had; nobody tries again until the upstream's page changes.
        quarantined: the project is (PEP 792): nothing of it is fetched.
    """

    id: int
    project: ProjectName
    project_id: int
    listed_file: ListedFile
    digest: Digest | None
    metadata_digest: Digest | None
    metadata_size: int | None
    pinned: bool
    listed: bool
    metadata_failed: bool
    upstream: str | None
    quarantined: bool

    @property
    def filename(self) -> str:
        """The last segment of its address."""
        return self.listed_file.filename

    @property
    def expected(self) -> Digest | None:
        """What its bytes must hash to."""
        return self.listed_file.sha256

    @property
    def stored(self) -> StoredFile | None:
        """Its bytes, where its row says that they are here."""
        size = self.listed_file.size
        return None if self.digest is None or size is None else StoredFile(self.digest, size, self.pinned)


@dataclass(frozen=True, slots=True)
class KnownProject:
    """A project's row.

    Attributes:
        upstream: the address of the index that has it; None: no upstream has it.
        etag, last_modified: what that index sent with its page, to ask conditionally.
        page_digest: of the page's bytes, for indexes that send neither.
        listed: it has a page; False after the upstream answered 404.
        revision: counts changes of what its page lists; here_revision: of which files are here.
    """

    id: int
    name: ProjectName
    status: Status
    status_reason: str | None
    versions: tuple[str, ...] | None
    tracks: tuple[str, ...]
    alternate_locations: tuple[str, ...]
    upstream: str | None
    etag: str | None
    last_modified: str | None
    page_digest: Digest | None
    listed: bool
    revision: int
    here_revision: int
