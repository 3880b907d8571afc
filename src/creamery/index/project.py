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
        url: where the upstream has it, absolute; of a file that another door adds, as seen from that door's page.
        sha256: what its bytes must hash to; None where the upstream names no SHA-256.
        hashes: what else the upstream names, by algorithm.
        size: bytes (PEP 700); None where the upstream does not say.
        upload_time: RFC 3339 in UTC, as the upstream wrote it (PEP 700).
        yanked: the reason, perhaps empty (PEP 592); None for a file that is not yanked.
        has_metadata: the upstream serves `FILE.metadata` (PEP 658).
        metadata_sha256: what that must hash to (PEP 714).
        provenance: address of its attestations (PEP 740).
        gpg_sig: has it a signature file; None where the upstream does not say.
        origin: the upstream whose file this is, where its page is merged from several.
    """

    filename: str
    url: str
    sha256: Digest | None = None
    hashes: dict[str, str] = field(default_factory=dict, hash=False)
    size: int | None = None
    upload_time: str | None = None
    requires_python: str | None = None
    yanked: str | None = None
    has_metadata: bool = False
    metadata_sha256: Digest | None = None
    provenance: str | None = None
    gpg_sig: bool | None = None
    origin: str | None = None


@dataclass(frozen=True, slots=True)
class ProjectPage:
    """What one upstream says about one project.

    Attributes:
        tracks, alternate_locations: addresses of other indexes that have the project (PEP 708).
        quarantined: where the page is merged from several, the addresses of those that keep theirs back.
    """

    name: ProjectName
    files: tuple[ListedFile, ...]
    versions: tuple[str, ...] | None = None
    status: Status = "active"
    status_reason: str | None = None
    tracks: tuple[str, ...] = ()
    alternate_locations: tuple[str, ...] = ()
    quarantined: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file (or its METADATA) that is here, ready to be sent."""

    digest: Digest
    size: int
    pinned: bool = False


@dataclass(frozen=True, slots=True)
class Owner:
    """A project's name, and who answers for it.

    Attributes:
        hosted: the name is claimed: its files are uploaded here, and no upstream is ever asked for it.
        merged: somebody insisted that upstreams are asked for it all the same.
        upstream: the address of the index that owns the name; None: no upstream does.
        status, status_reason: the marker of PEP 792.
        quarantined: where it is merged, the addresses of the upstreams that keep their files back.
    """

    name: ProjectName
    hosted: bool = False
    merged: bool = False
    upstream: str | None = None
    status: Status = "active"
    status_reason: str | None = None
    quarantined: tuple[str, ...] = ()

    @property
    def is_asked_upstream(self) -> bool:
        """May any upstream hear the name?"""
        return not self.hosted or self.merged


@dataclass(frozen=True, slots=True)
class KeptFile:
    """A file as the hub knows it: what was listed, and what of it is here.

    Attributes:
        origin: the upstream that lists it, or did last; None: it was uploaded here.
        digest: its blob; None: known, not here.
        metadata_digest, metadata_size: the blob of its METADATA; None: not here.
        pinned: the upstream named no hash; that of the bytes that came first counts, unverified.
        listed: its origin still lists it.
        metadata_failed: its METADATA could not be had; nobody tries again until the upstream's page changes.
        born: the serial since which its page says of it what it says now.
        deleted: the serial with which it was deleted here; its name never returns.
        uploaded_by: who brought it, as the journal has them.
        owner: what there is to know of its project.
    """

    id: int
    owner: Owner
    project_id: int
    origin: str | None
    listed_file: ListedFile
    digest: Digest | None
    metadata_digest: Digest | None
    metadata_size: int | None
    pinned: bool
    listed: bool
    metadata_failed: bool
    born: int
    deleted: int | None
    uploaded_by: str | None

    @property
    def project(self) -> ProjectName:
        """Whose file it is."""
        return self.owner.name

    @property
    def is_fetchable(self) -> bool:
        """May its origin be asked for it? Never where the name is claimed here."""
        return self.origin is not None and self.owner.is_asked_upstream

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
        owner: its name, and who answers for it.
        etag, last_modified: what that index sent with its page, to ask conditionally.
        page_digest: of the page's bytes, for indexes that send neither.
        listed: it has a page; False after its upstream answered 404.
        serial: of the journal's last entry about it.
        revision: counts changes of what its page lists; here_revision: of which files are here.
    """

    id: int
    owner: Owner
    versions: tuple[str, ...] | None
    tracks: tuple[str, ...]
    alternate_locations: tuple[str, ...]
    etag: str | None
    last_modified: str | None
    page_digest: Digest | None
    listed: bool
    serial: int
    revision: int
    here_revision: int

    @property
    def name(self) -> ProjectName:
        """As names are compared."""
        return self.owner.name

    @property
    def upstream(self) -> str | None:
        """The index that owns the name."""
        return self.owner.upstream

    @property
    def status(self) -> Status:
        """The marker of PEP 792."""
        return self.owner.status

    @property
    def status_reason(self) -> str | None:
        """Why."""
        return self.owner.status_reason

    @property
    def quarantined(self) -> tuple[str, ...]:
        """Upstreams that keep their files back, where it is merged."""
        return self.owner.quarantined
