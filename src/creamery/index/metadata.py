"""`FILE.metadata`: a wheel's METADATA beside it, so that nobody downloads a wheel to resolve (PEP 658, PEP 714).

The upstream's where it serves them; else read out of the wheel: from its blob, or by range from the zip's tail at the
upstream, by a job, for the newest files of a page that somebody asked for. The bytes are those of the wheel, for pip
compares. A zip is hostile: nothing is extracted, one member is read, bounded, and only where exactly one can be meant.
"""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Callable
from http import HTTPStatus
from typing import BinaryIO, cast

from packaging.version import InvalidVersion, Version
from sqlalchemy import Connection

from creamery.blobs import BlobError
from creamery.clock import Micros
from creamery.contract import Digest, InvalidName, ProjectName, digest_of, normalize, parse_filename
from creamery.door import Hub
from creamery.egress import BadAnswer, Egress, EgressError, Origin, TooSlow, Unreachable
from creamery.index.catalog import Catalog
from creamery.index.project import KeptFile, KnownProject, StoredFile
from creamery.index.tables import (
    find_project,
    listed_files,
    record_metadata,
    record_metadata_failed,
)
from creamery.index.upstream import UpstreamDown, Upstreams, is_about_the_host, is_no_answer, public_reason
from creamery.jobs import Job, Postpone, enqueue
from creamery.limits import KIB, Limits
from creamery.sharing import Sharing
from creamery.telemetry import log

JOB_KIND = "index.metadata"
NEWEST_VERSIONS = 3
MOST_FILES = 40
WINDOW_BYTES = 64 * KIB
UPSTREAM_DOWN_SECONDS = 60.0
MAX_MEMBERS = 200_000

# What zipfile raises over broken zips; `InvalidName` is a ValueError, and so is a seek to before the beginning.
_BROKEN = (ValueError, zipfile.BadZipFile, zlib.error, struct.error, EOFError, NotImplementedError, RuntimeError)


class NoMetadata(Exception):
    """The METADATA of a file cannot be had; the text says why."""


def enqueue_metadata(connection: Connection, project: ProjectName, now: Micros) -> None:
    """Have the METADATA of a project's newest wheels read, in the caller's transaction; at most one job waits."""
    enqueue(connection, JOB_KIND, {"project": project}, now=now, key=f"{JOB_KIND}:{project}")


class MetadataFiles:
    """Brings METADATA files into the store."""

    def __init__(self, hub: Hub, catalog: Catalog, upstreams: Upstreams) -> None:
        self._catalog = catalog
        self._upstreams = upstreams
        self._egress = hub.egress
        self._blobs = hub.blobs
        self._database = hub.database
        self._committer = hub.committer
        self._pools = hub.pools
        self._clock = hub.clock
        self._limits = hub.settings.limits
        self._fetches: Sharing[StoredFile] = Sharing()
        self._brought = hub.telemetry.counter("index_metadata", "METADATA files brought into the store.", ["origin"])

    async def fetch(self, file: KeptFile) -> StoredFile:
        """The METADATA that the upstream serves, once for all who ask together. On the event loop.

        Raises:
            NoMetadata: the upstream advertises it and does not have it, nor can it be read out of the file.
            UpstreamDown: the upstream cannot be asked.
        """
        return await self._fetches.once(file.id, lambda: self._fetch(file))

    def read_newest(self, job: Job) -> None:
        """The handler of `JOB_KIND`: the METADATA of the newest wheels that lack it, and of all that are here."""
        name = ProjectName(job.payload["project"])
        project = self._database.read(lambda connection: find_project(connection, name))
        if project is None or project.status == "quarantined":
            return
        files = self._database.read(lambda connection: listed_files(connection, project.id))
        for file in _newest_lacking(files):
            try:
                self._read_out(file)
            except NoMetadata as error:
                log.warning("index.no_metadata", project=name, file=file.filename, reason=str(error))
                self._give_up(file)
            except (Unreachable, TooSlow) as error:
                log.info("index.metadata_postponed", project=name, reason=str(error))
                raise Postpone(UPSTREAM_DOWN_SECONDS) from error

    async def _fetch(self, file: KeptFile) -> StoredFile:
        try:
            body, status = await self._from_upstream(file)
        except UpstreamDown as error:
            if file.digest is None and self._is_host_down(file, error.__cause__):
                raise
            return await self._pools.disk.run(self._read_out_instead, file, error)
        if status == HTTPStatus.OK and file.listed_file.metadata_sha256 in {None, digest_of(body)}:
            return await self._pools.disk.run(self._keep, file, body, "upstream")
        log.error("index.metadata_missing", project=file.project, file=file.filename, status=status)
        return await self._pools.disk.run(self._read_out_or_give_up, file)

    def _is_host_down(self, file: KeptFile, cause: BaseException | None) -> bool:
        if isinstance(cause, EgressError):
            return is_about_the_host(cause)
        return self._upstreams.breaker(file.listed_file.url).is_open

    async def _from_upstream(self, file: KeptFile) -> tuple[bytes, int]:
        url = f"{file.listed_file.url}.metadata"
        origin = self._upstreams.origin_for(file.upstream)
        breaker = self._upstreams.breaker(url)
        self._upstreams.refuse_if_down(breaker, url)
        started = self._clock.monotonic()
        try:
            headers = {"Accept-Encoding": "gzip, zstd"}
            async with self._egress.request("GET", url, origin=origin, headers=headers) as answer:
                self._upstreams.heard(breaker, url, self._clock.monotonic() - started)
                if is_no_answer(answer.status):
                    raise UpstreamDown(url, f"answered {answer.status}")
                return await answer.body(self._limits.metadata_bytes, self._limits.upstream_page_seconds), answer.status
        except (Unreachable, TooSlow) as error:
            raise self._upstreams.failed(breaker, origin, url, error) from error
        except EgressError as error:
            log.warning("index.metadata_refused", url=url, reason=str(error))
            raise UpstreamDown(url, public_reason(error)) from error

    def _read_out_instead(self, file: KeptFile, error: UpstreamDown) -> StoredFile:
        """The upstream cannot be asked for METADATA: the wheel has it too. It may pass, so nobody gives up.

        Raises:
            UpstreamDown: the wheel cannot be read either.
        """
        try:
            return self._read_out(file)
        except (NoMetadata, Unreachable, TooSlow) as second:
            log.warning("index.no_metadata", project=file.project, file=file.filename, reason=str(second))
            raise error from second

    def _read_out_or_give_up(self, file: KeptFile) -> StoredFile:
        try:
            return self._read_out(file)
        except NoMetadata:
            self._give_up(file)
            raise
        except (Unreachable, TooSlow) as error:
            raise UpstreamDown(file.listed_file.url, public_reason(error)) from error

    def _read_out(self, file: KeptFile) -> StoredFile:
        """Read METADATA out of the wheel, wherever that is. In a thread.

        Raises:
            NoMetadata: it is no sound wheel, or the upstream knows no ranges, or what is advertised is another.
            Unreachable, TooSlow: the upstream cannot be asked.
        """
        body, origin = self._from_blob(file), "blob"
        if body is None:
            body, origin = self._from_tail(file), "tail"
        expected = file.listed_file.metadata_sha256
        if expected is not None and expected != digest_of(body):
            raise NoMetadata("what its page advertises is not what is in the wheel")
        return self._keep(file, body, origin)

    def _from_blob(self, file: KeptFile) -> bytes | None:
        digest, size = file.digest, file.listed_file.size
        if digest is None or size is None:
            return None
        wheel = _Window(size, lambda start, stop: b"".join(self._blobs.store.open(digest, start, stop)))
        try:
            return metadata_in_wheel(cast("BinaryIO", wheel), file.filename, self._limits.metadata_bytes)
        except BlobError as error:
            log.warning("index.blob_missing", file=file.filename, reason=str(error))
            return None

    def _from_tail(self, file: KeptFile) -> bytes:
        origin = self._upstreams.origin_for(file.upstream)
        try:
            wheel = _remote_file(self._egress, file.listed_file.url, origin, self._limits)
            return metadata_in_wheel(cast("BinaryIO", wheel), file.filename, self._limits.metadata_bytes)
        except (Unreachable, TooSlow):
            raise
        except EgressError as error:
            raise NoMetadata(str(error)) from error

    def _keep(self, file: KeptFile, body: bytes, origin: str) -> StoredFile:
        now = self._clock.now()

        def reference(connection: Connection, digest: Digest) -> KnownProject | None:
            record_metadata(connection, file, digest, len(body), now)
            return find_project(connection, file.project)

        project = self._blobs.keep_bytes(body, reference)
        if project is not None:
            self._catalog.remember_from_thread(project)
        self._brought.labels(origin).inc()
        return StoredFile(digest_of(body), len(body))

    def _give_up(self, file: KeptFile) -> None:
        now = self._clock.now()

        def write(connection: Connection) -> KnownProject | None:
            record_metadata_failed(connection, file, now)
            return find_project(connection, file.project)

        project = self._committer.write(write)
        if project is not None:
            self._catalog.remember_from_thread(project)


def metadata_in_wheel(stream: BinaryIO, filename: str, max_bytes: int) -> bytes:
    """The METADATA of a wheel (PEP 427: `{name}-{version}.dist-info/METADATA`).

    Raises:
        NoMetadata: no zip, none or several METADATA, one of another project, one that is too large, or a broken one.
    """
    try:
        wanted = parse_filename(filename)
        with zipfile.ZipFile(stream) as archive:
            members = archive.infolist()
            if len(members) > MAX_MEMBERS:
                raise NoMetadata(f"it has more than {MAX_MEMBERS} members")
            found = [member for member in members if _is_metadata_of(member.filename, wanted.project)]
            if len(found) != 1:
                raise NoMetadata(f"it has {len(found)} METADATA of {wanted.project}, where one is right")
            if found[0].file_size > max_bytes:
                raise NoMetadata(f"its METADATA has {found[0].file_size} bytes; {max_bytes} are read at most")
            if found[0].compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
                raise NoMetadata("its METADATA is compressed in a way that no wheel is")
            with archive.open(found[0]) as member:
                body = member.read(max_bytes + 1)  # ends with a check of the CRC
    except _BROKEN as error:
        raise NoMetadata(f"it is no wheel that can be read: {error}") from error
    if len(body) > max_bytes:
        raise NoMetadata(f"its METADATA has more than {max_bytes} bytes")
    return body


def _is_metadata_of(member: str, project: ProjectName) -> bool:
    folder, _, name = member.partition("/")
    if name != "METADATA" or not folder.endswith(".dist-info"):
        return False
    try:
        return normalize(folder.removesuffix(".dist-info").partition("-")[0]) == project
    except InvalidName:
        return False


def _newest_lacking(files: list[KeptFile]) -> list[KeptFile]:
    """Wheels without METADATA: all that are here, and those of the newest versions."""
    lacking = [file for file in files if _lacks_metadata(file)]
    versions = sorted({version for file in lacking if (version := _version(file))}, reverse=True)
    newest = set(versions[:NEWEST_VERSIONS])
    chosen = [file for file in lacking if file.digest is not None or _version(file) in newest]
    return chosen[-MOST_FILES:]


def _lacks_metadata(file: KeptFile) -> bool:
    served_upstream = file.listed_file.has_metadata and file.digest is None
    return (
        file.filename.endswith(".whl")
        and file.metadata_digest is None
        and not served_upstream
        and not file.metadata_failed
    )


def _version(file: KeptFile) -> Version | None:
    try:
        return parse_filename(file.filename).version
    except (InvalidName, InvalidVersion):
        return None


class _Window(io.RawIOBase):
    """A file somewhere else, read in pieces of at least 64 KiB; the one read last is kept."""

    def __init__(self, size: int, fetch: Callable[[int, int], bytes], tail: bytes = b"") -> None:
        super().__init__()
        self._size = size
        self._fetch = fetch
        self._position = 0
        self._start, self._bytes = size - len(tail), tail

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = max(base + offset, 0)
        return self._position

    def read(self, size: int | None = -1) -> bytes:
        stop = self._size if size is None or size < 0 else min(self._position + size, self._size)
        if stop <= self._position:
            return b""
        if not (self._start <= self._position and stop <= self._start + len(self._bytes)):
            self._start = self._position
            self._bytes = self._fetch(self._position, max(stop, min(self._position + WINDOW_BYTES, self._size)))
        data = self._bytes[self._position - self._start : stop - self._start]
        self._position += len(data)
        return data


def _remote_file(egress: Egress, url: str, origin: Origin | None, limits: Limits) -> _Window:
    """A file at an upstream that answers ranges: its tail comes first, and nearly always holds all that is needed."""
    budget = limits.metadata_bytes + 2 * WINDOW_BYTES

    async def ask(asked: str) -> tuple[bytes, int]:
        nonlocal budget
        headers = {"Range": asked, "Accept-Encoding": "identity"}
        async with egress.request("GET", url, origin=origin, headers=headers) as answer:
            total = answer.headers.get("Content-Range", "").rpartition("/")[2]
            if answer.status != HTTPStatus.PARTIAL_CONTENT or not total.isascii() or not total.isdigit():
                raise BadAnswer(url, f"it answered {answer.status} where a range was asked for")
            body = await answer.body(budget, limits.upstream_page_seconds)
            budget -= len(body)
            return body, int(total)

    tail, size = egress.call(ask(f"bytes=-{WINDOW_BYTES}"))
    return _Window(size, lambda start, stop: egress.call(ask(f"bytes={start}-{stop - 1}"))[0], tail)
