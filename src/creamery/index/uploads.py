"""An upload, from the file that has come to the page that lists it. The file is believed, not the form around it.

The order matters, and each step that refuses leaves nothing behind:

1. the digests that the client named are those of the bytes;
2. a file that is here already is the answer at once: the same bytes are welcome, others never take its name;
3. the archive is checked (`archives/`), and its METADATA says whose it is and which version;
4. a name that nobody has is asked upstream: an upload must not take the place of what everybody installs;
5. it becomes a blob, and its METADATA another; in that one transaction the right is confirmed, the name is claimed
   where it was free, and the page lists the file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from packaging.utils import parse_wheel_filename
from sqlalchemy import Connection, insert, select, update

from creamery.accounts import By, Principal, confirm
from creamery.blobs import Part
from creamery.contract import Digest, InvalidName, ProjectName, check_filename, digest_of, parse_filename
from creamery.database import announce
from creamery.door import Hub
from creamery.index.access import Access, holder_of
from creamery.index.archives import Artefact, check, read_promise
from creamery.index.catalog import Catalog
from creamery.index.ownership import NameOwnedUpstream, claim_found, refuse_confusable
from creamery.index.project import KeptFile, KnownProject, Owner
from creamery.index.refresh import bury
from creamery.index.releases import takes_uploads
from creamery.index.tables import (
    DOUBTED,
    files_of,
    find_file,
    find_project,
    index_file,
    locked_project,
    next_serial,
)
from creamery.index.upstream import UpstreamDown, Upstreams
from creamery.journal import record_by
from creamery.telemetry import log

_INSERT = insert(index_file)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class UploadRefused(Exception):
    """The file cannot be taken; the text says why, and what to do."""


class FileExists(UploadRefused):
    """Other bytes have this name, for ever."""


class NameUndecided(Exception):
    """Nobody has the name here, and an upstream cannot be asked for it now.

    Attributes:
        name: of the project.
        reason: what keeps the upstream from answering.
    """

    def __init__(self, name: ProjectName, reason: str) -> None:
        super().__init__(
            f"{name} is new here, and whether an upstream index has a project of that name cannot be asked: it {reason}"
            ". Try again later; or ask an administrator to reserve the name (creamery index reserve) or to claim it"
            " (creamery index claim)"
        )
        self.name = name
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Sent:
    """What a client has sent.

    Attributes:
        filename: as the form names the file.
        part: its bytes, finished.
        digests: what the form says of them: `sha256`, `md5`, `blake2_256`, in hexadecimal digits.
        principal: who sent it.
        by: the same, for the journal.
    """

    filename: str
    part: Part
    digests: Mapping[str, str]
    principal: Principal
    by: By

    @property
    def digest(self) -> Digest:
        """SHA-256 of what came."""
        return self.part.kept_digest()


class Uploads:
    """Takes files in. Coroutines belong to the event loop."""

    def __init__(self, hub: Hub, catalog: Catalog, upstreams: Upstreams, access: Access) -> None:
        self._catalog = catalog
        self._upstreams = upstreams
        self._access = access
        self._blobs = hub.blobs
        self._database = hub.database
        self._pools = hub.pools
        self._limits = hub.settings.limits
        self._clock = hub.clock
        self._taken = hub.telemetry.counter("index_uploads", "Files uploaded here.", ["outcome"])
        seconds = hub.telemetry.histogram("index_upload_seconds", "Time that uploads took, by step.", ["step"])
        self._seconds = {step: seconds.labels(step) for step in ("check", "decide", "keep")}

    async def take(self, sent: Sent) -> KnownProject:
        """Check a file and list it; on return it is durable and stands on its page.

        Raises:
            UploadRefused, BadArchive, OwnershipRefused, NotYours: it cannot be taken.
            NameUndecided: nobody can say whose the name is.
            RightEnded: whoever sent it may no longer.
        """
        try:
            return await self._take(sent)
        except Exception:
            await sent.part.drop_soon()  # not when its last reference goes: the error has one
            raise

    async def _take(self, sent: Sent) -> KnownProject:
        project = _project_of(sent.filename)
        _check_sha256(sent)
        known, is_here = await self._pools.database.run(
            self._database.read, lambda connection: self._known(connection, project, sent)
        )
        if known is not None and is_here:
            self._taken.labels("same").inc()
            return known
        with self._timed("check"):
            artefact = await self._pools.cpu.run(self._check, sent)
        _check_other_digests(sent, artefact)
        with self._timed("decide"):
            await self._decide(project, None if known is None else known.owner)
        epoch = self._catalog.epoch
        with self._timed("keep"):
            listed = await self._keep(sent, artefact)
        self._catalog.remember(listed, epoch)
        self._taken.labels("new").inc()
        log.info("index.uploaded", project=project, file=sent.filename, by=sent.by.actor, sha256=sent.digest)
        return listed

    def why_withheld(self, project: ProjectName, filename: str) -> str | None:
        """Why nobody gets a file that was taken; None: whoever may read gets it."""
        return self._catalog.offers.why_ruled_out(project, filename)

    @contextmanager
    def _timed(self, step: str) -> Iterator[None]:
        began = self._clock.monotonic()
        yield
        self._seconds[step].observe(self._clock.monotonic() - began)

    def _check(self, sent: Sent) -> Artefact:
        with sent.part.open() as stream:
            return check(stream, sent.filename, self._limits)

    def _known(self, connection: Connection, name: ProjectName, sent: Sent) -> tuple[KnownProject | None, bool]:
        """The project, and whether it has this very file; refuses early what the transaction would refuse anyway."""
        known = find_project(connection, name)
        if known is None or not known.owner.hosted:
            self._access.refuse_uploader(sent.principal, name)
            return known, False
        self._access.refuse_strangers(connection, sent.principal, known, needs="maintainer")
        file = find_file(connection, name, sent.filename)
        return known, file is not None and _is_same(file, sent.digest)

    async def _decide(self, name: ProjectName, owner: Owner | None) -> None:
        """Is the name the hub's, or free for it?

        Raises:
            UploadRefused: the hub's rules let nobody have anything of that name.
            NameOwnedUpstream: an upstream has it.
            NameUndecided: an upstream cannot be asked.
        """
        reason = self._catalog.offers.why_hidden(name, hosted=True)
        if reason is not None:
            raise UploadRefused(f"nothing of {name} would be served: {reason}")
        if (owner is not None and owner.hosted) or self._catalog.offers.hides(name, hosted=False):
            return
        if owner is not None and owner.upstream is not None:
            raise NameOwnedUpstream(name)
        try:
            found = await self._upstreams.fetch(name, owner, None)
        except UpstreamDown as error:
            raise NameUndecided(name, error.reason) from error
        if found is not None:
            raise NameOwnedUpstream(name)

    async def _keep(self, sent: Sent, artefact: Artefact) -> KnownProject:
        """A wheel's METADATA is a blob of its own, and comes into being with the wheel."""
        beside = (artefact.metadata,) if artefact.kind == "wheel" else ()
        return await self._blobs.keep(sent.part, partial(self._list, sent, artefact), beside=beside)

    # In the transaction

    def _list(self, sent: Sent, artefact: Artefact, connection: Connection, _: Digest) -> KnownProject:
        confirm(connection, sent.principal, sent.by.now)
        known = self._claimed(connection, artefact.project, sent)
        others = files_of(connection, known.id)
        file = next((other for other in others if other.filename == sent.filename), None)
        if file is not None and _is_same(file, sent.digest):
            return known
        _refuse_twice(sent, file, others)
        self._blobs.note_digests(connection, sent.digest, {"md5": artefact.md5, "blake2b_256": artefact.blake2b_256})
        detail = {"version": artefact.version, "sha256": sent.digest, "size": sent.part.written}
        by, subject = sent.by, f"{known.name}/{sent.filename}"
        serial = record_by(connection, "index", "uploaded", subject, by, detail)
        values = _row(sent, artefact, serial)
        if file is None:
            fixed = {"project_id": known.id, "filename": sent.filename, "created": by.now}
            connection.execute(_INSERT, {**fixed, **values})
        else:  # an upstream's, of the same bytes
            bury(connection, connection.execute(select(index_file).where(index_file.c.id == file.id)).all(), serial)
            connection.execute(update(index_file).where(index_file.c.id == file.id).values(**values))
            announce(connection, DOUBTED)
        return next_serial(connection, known.id, serial, by.now)

    def _claimed(self, connection: Connection, name: ProjectName, sent: Sent) -> KnownProject:
        """The project, which its first uploader makes theirs.

        Raises:
            NotYours: it is somebody else's.
            NameOwnedUpstream: somebody has been shown an upstream's project of that name meanwhile.
            NameConfusable: it is too much like another one.
            UploadRefused: its marker allows no uploads.
        """
        known = locked_project(connection, name)
        if known is not None and known.owner.hosted:
            self._access.refuse_strangers(connection, sent.principal, known, needs="maintainer")
            if not takes_uploads(known.status):
                raise UploadRefused(f"{name} is {known.status}: nothing can be added to it (creamery index status)")
            return known
        if known is not None and known.upstream is not None and not self._catalog.offers.hides(name, hosted=False):
            raise NameOwnedUpstream(name)
        refuse_confusable(connection, name)
        return claim_found(connection, name, known, sent.by, holder=holder_of(sent.principal), why="first upload")


def _refuse_twice(sent: Sent, file: KeptFile | None, others: Sequence[KeptFile]) -> None:
    """What a name means never changes.

    Raises:
        FileExists: other bytes have it, or had it; or the same distribution is here under another spelling.
    """
    if file is not None and file.deleted is not None:
        raise FileExists(
            "This filename has already been used, use a different version."
            f" {sent.filename} was deleted here, and its name never returns"
        )
    if file is not None and file.expected != sent.digest:
        raise FileExists(
            f"File already exists ({sent.filename!r}, with SHA-256 {file.expected}). Other bytes never take its"
            " name: upload them as another version"
        )
    identity = _identity(sent.filename)
    for other in others:
        if other.origin is None and other.filename != sent.filename and _identity(other.filename) == identity:
            raise FileExists(
                f"File already exists: {other.filename} is the same distribution as {sent.filename}. Upload"
                " another version"
            )


def _is_same(file: KeptFile, digest: Digest) -> bool:
    return file.origin is None and file.deleted is None and file.digest == digest


def _project_of(filename: str) -> ProjectName:
    """Whose file it is, by its name.

    Raises:
        UploadRefused: nothing is called so.
        BadArchive: something is, but no wheel and no sdist; the text says what to build instead.
    """
    try:
        return read_promise(check_filename(filename)).project
    except InvalidName as error:
        raise UploadRefused(f"{error}. Upload wheels (.whl) and sdists (.tar.gz)") from error


def _check_sha256(sent: Sent) -> None:
    _compare(sent, "sha256", sent.digest)


def _check_other_digests(sent: Sent, artefact: Artefact) -> None:
    _compare(sent, "md5", artefact.md5)
    _compare(sent, "blake2_256", artefact.blake2b_256)


def _compare(sent: Sent, algorithm: str, found: str) -> None:
    named = sent.digests.get(algorithm)
    if named is not None and named.strip().lower() != found:
        raise UploadRefused(
            f"the form names {algorithm} {named[:80]!r}, and the bytes of {sent.filename} that came have {found}:"
            " something changed them on the way. Upload again"
        )


def _identity(filename: str) -> tuple[object, ...] | None:
    """What a file's name says, however it is spelled: two of one identity are the same thing to an installer."""
    try:
        said = parse_filename(filename)
        if said.kind == "sdist":
            return (said.version, "sdist")
        _, _, build, tags = parse_wheel_filename(filename)
    except InvalidName:
        return None
    return (said.version, build, tags)


def _row(sent: Sent, artefact: Artefact, serial: int) -> dict[str, Any]:
    moment = _EPOCH + timedelta(microseconds=sent.by.now)
    stated = dict.fromkeys(("origin", "hashes", "yanked", "metadata_sha256", "provenance", "gpg_sig", "deleted"))
    flags = {"has_metadata": False, "pinned": False, "listed": True, "metadata_failed": False}
    return {
        **stated,
        **flags,
        "url": "",
        "sha256": sent.digest,
        "digest": sent.digest,
        "size": sent.part.written,
        "upload_time": moment.isoformat(timespec="microseconds").replace("+00:00", "Z"),
        "requires_python": artefact.requires_python,
        "metadata_digest": digest_of(artefact.metadata) if artefact.kind == "wheel" else None,
        "metadata_size": len(artefact.metadata) if artefact.kind == "wheel" else None,
        "born": serial,
        "uploaded_by": sent.by.actor,
        "changed": sent.by.now,
    }
