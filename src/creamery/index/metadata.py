"""`FILE.metadata`: a wheel's METADATA beside it, so that nobody downloads a wheel to resolve (PEP 658, PEP 714).

The upstream's where it serves them; else read out of the wheel: from its blob, or by range from the zip's tail at the
upstream (`wheel.py`), by a job, for the newest files of a page that somebody asked for. The bytes are those of the
wheel, for pip compares.
"""

from __future__ import annotations

from http import HTTPStatus

from packaging.version import InvalidVersion, Version
from sqlalchemy import Connection

from creamery.blobs import BlobError
from creamery.clock import Micros
from creamery.contract import Digest, InvalidName, ProjectName, digest_of, parse_filename
from creamery.door import Hub
from creamery.egress import EgressError, TooSlow, Unreachable, public_reason
from creamery.index.catalog import Catalog
from creamery.index.project import KeptFile, KnownProject, StoredFile
from creamery.index.tables import (
    files_of,
    find_project,
    record_metadata,
    record_metadata_failed,
    tell_metadata,
)
from creamery.index.upstream import UpstreamDown, Upstreams, is_about_the_host, is_no_answer
from creamery.index.wheel import NoMetadata, RemoteWheel, metadata_in_wheel, stored_wheel
from creamery.jobs import Job, Postpone, enqueue
from creamery.sharing import Sharing
from creamery.telemetry import log

JOB_KIND = "index.metadata"
NEWEST_VERSIONS = 3
MOST_FILES = 40
UPSTREAM_DOWN_SECONDS = 60.0


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
        if project is None:
            return
        files = self._catalog.offers.offered(self._database.read(lambda connection: files_of(connection, project.id)))
        for file in _newest_lacking(files):
            if file.digest is None and self._upstreams.why_unasked(file) is not None:
                continue
            try:
                self._egress.call(self._read_out(file))
            except NoMetadata as error:
                log.warning("index.no_metadata", project=name, file=file.filename, reason=str(error))
                self._give_up(file)
            except (Unreachable, TooSlow) as error:
                log.info("index.metadata_postponed", project=name, reason=str(error))
                raise Postpone(UPSTREAM_DOWN_SECONDS) from error

    def tell(self, job: Job) -> None:
        """The handler of `TELL_JOB`: a serial for the METADATA that a project's page advertises since a while."""
        project_id, now, epoch = int(job.payload["project"]), self._clock.now(), self._catalog.epoch
        project = self._committer.write(lambda connection: tell_metadata(connection, project_id, now))
        self._catalog.remember_from_thread(project, epoch)

    async def _fetch(self, file: KeptFile) -> StoredFile:
        if not file.is_fetchable or not file.listed_file.has_metadata:
            return await self._read_out_or_give_up(file)
        try:
            body, status = await self._from_upstream(file)
        except UpstreamDown as error:
            if file.digest is None and self._is_host_down(file, error.__cause__):
                raise
            return await self._read_out_instead(file, error)
        if status == HTTPStatus.OK and file.listed_file.metadata_sha256 in {None, digest_of(body)}:
            return await self._pools.disk.run(self._keep, file, body, "upstream")
        log.error("index.metadata_missing", project=file.project, file=file.filename, status=status)
        return await self._read_out_or_give_up(file)

    def _is_host_down(self, file: KeptFile, cause: BaseException | None) -> bool:
        if isinstance(cause, EgressError):
            return is_about_the_host(cause)
        return self._upstreams.breaker(file.listed_file.url).is_open

    async def _from_upstream(self, file: KeptFile) -> tuple[bytes, int]:
        url = f"{file.listed_file.url}.metadata"
        origin = self._upstreams.origin_for(file.origin)
        self._upstreams.refuse_unasked(file)
        await self._upstreams.refuse_private(file.project)
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

    async def _read_out_instead(self, file: KeptFile, error: UpstreamDown) -> StoredFile:
        """The upstream cannot be asked for METADATA: the wheel has it too. It may pass, so nobody gives up.

        Raises:
            UpstreamDown: the wheel cannot be read either.
        """
        try:
            return await self._read_out(file)
        except (NoMetadata, Unreachable, TooSlow) as second:
            log.warning("index.no_metadata", project=file.project, file=file.filename, reason=str(second))
            raise error from second

    async def _read_out_or_give_up(self, file: KeptFile) -> StoredFile:
        try:
            return await self._read_out(file)
        except NoMetadata:
            await self._pools.disk.run(self._give_up, file)
            raise
        except (Unreachable, TooSlow) as error:
            raise UpstreamDown(file.listed_file.url, public_reason(error)) from error

    async def _read_out(self, file: KeptFile) -> StoredFile:
        """Read METADATA out of the wheel, wherever that is.

        Raises:
            NoMetadata: it is no sound wheel, or the upstream knows no ranges, or what is advertised is another.
            Unreachable, TooSlow: the upstream cannot be asked.
        """
        body, origin = await self._pools.disk.run(self._from_blob, file), "blob"
        if body is None and (reason := self._upstreams.why_unasked(file)) is not None:
            raise NoMetadata(f"its bytes are not here, and its upstream {reason}")
        if body is None:
            body, origin = await self._from_tail(file), "tail"
        expected = file.listed_file.metadata_sha256
        if expected is not None and expected != digest_of(body):
            raise NoMetadata("what its page advertises is not what is in the wheel")
        return await self._pools.disk.run(self._keep, file, body, origin)

    def _from_blob(self, file: KeptFile) -> bytes | None:
        stored = file.stored
        if stored is None:
            return None
        wheel = stored_wheel(
            stored.size, lambda start, stop: b"".join(self._blobs.reader.open(stored.digest, start, stop))
        )
        try:
            return metadata_in_wheel(wheel, file.filename, self._limits.metadata_bytes)
        except BlobError as error:
            log.warning("index.blob_missing", file=file.filename, reason=str(error))
            return None

    async def _from_tail(self, file: KeptFile) -> bytes:
        try:
            await self._upstreams.refuse_private(file.project)
        except UpstreamDown as error:
            raise NoMetadata(str(error)) from error
        origin = self._upstreams.origin_for(file.origin)
        wheel = RemoteWheel(self._egress, file.listed_file.url, origin, self._limits)
        try:
            return await wheel.metadata(file.filename, self._pools.cpu)
        except (Unreachable, TooSlow):
            raise
        except EgressError as error:
            raise NoMetadata(str(error)) from error

    def _keep(self, file: KeptFile, body: bytes, origin: str) -> StoredFile:
        now, epoch = self._clock.now(), self._catalog.epoch

        def reference(connection: Connection, digest: Digest) -> KnownProject | None:
            record_metadata(connection, file, digest, len(body), now)
            return find_project(connection, file.project)

        project = self._blobs.keep_bytes(body, reference)
        if project is not None:
            self._catalog.remember_from_thread(project, epoch)
        self._brought.labels(origin).inc()
        return StoredFile(digest_of(body), len(body))

    def _give_up(self, file: KeptFile) -> None:
        now, epoch = self._clock.now(), self._catalog.epoch

        def write(connection: Connection) -> KnownProject | None:
            record_metadata_failed(connection, file, now)
            return find_project(connection, file.project)

        project = self._committer.write(write)
        if project is not None:
            self._catalog.remember_from_thread(project, epoch)


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
