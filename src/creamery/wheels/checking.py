"""A wheel with compiled code is listed when its tags are true: the job that finds out, and corrects them.

`wheels.check` goes on where any crash left it. Until it has ended the wheel is here under its key and its name, and on
no page. What was pushed stays as it is; where tags are wrong, pages list another file of its own name.
"""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from sqlalchemy import Connection

from creamery.blobs import BlobMissing, Part
from creamery.clock import Micros
from creamery.contract import MAX_NAME_LENGTH, Digest
from creamery.database import DatabaseUnavailable, DiskFull, WritesBusy
from creamery.door import Hub
from creamery.index import BadArchive, check_archive
from creamery.jobs import Job, enqueue
from creamery.telemetry import log
from creamery.wheels import tables
from creamery.wheels.elf import Verdict, examine, has_elf
from creamery.wheels.place import BuiltFile
from creamery.wheels.retagging import retag, retagged_name
from creamery.wheels.tables import Entry

CHECK_JOB = "wheels.check"
PIECE = 1024 * 1024


def enqueue_check(connection: Connection, entry_id: int, now: Micros) -> None:
    """Have a wheel checked, unless that waits already."""
    enqueue(connection, CHECK_JOB, {"entry": entry_id}, now=now, key=f"{CHECK_JOB}:{entry_id}")


class Checking:
    """The handler of `CHECK_JOB`. For threads."""

    def __init__(self, hub: Hub) -> None:
        self._blobs = hub.blobs
        self._clock = hub.clock
        self._committer = hub.committer
        self._database = hub.database
        self._egress = hub.egress
        self._limits = hub.settings.limits
        self._checked = hub.telemetry.counter("wheels_checked", "Wheels whose tags were checked.", ["result"])

    def resume(self) -> None:
        """Whatever waits for a check, and has no job any more, gets one: at the start, and now and then."""
        waiting = self._database.read(tables.unchecked)

        def again(connection: Connection) -> None:
            for entry_id in waiting:
                enqueue_check(connection, entry_id, self._clock.now())

        try:
            if waiting:
                self._committer.write(again)
        except (DatabaseUnavailable, DiskFull, WritesBusy) as error:  # no reason not to serve what is here
            log.warning("wheels.not_resumed", wheels=len(waiting), reason=str(error))

    def run(self, job: Job) -> None:
        """Check one wheel."""
        entry = self._database.read(partial(tables.entry_by_id, entry_id=int(job.payload["entry"])))
        if entry is None or entry.state != "checking":
            return
        try:
            with self._file_of(entry.file) as path:
                self._check(entry, path)
        except BlobMissing:
            log.warning("wheels.lost", file=entry.file.filename, sha256=entry.file.digest)

    def _check(self, entry: Entry, path: Path) -> None:
        known = self._known(entry, path)
        with path.open("rb") as stream:
            is_compiled = has_elf(stream)
        verdict = examine(path, entry.file.filename, self._limits) if is_compiled else None
        if verdict is not None and verdict.reason is not None:
            self._settle(entry, "refused", {**known, "state": "unlisted", "reason": verdict.reason})
        elif verdict is None or verdict.tags is None:
            self._settle(entry, "true", {**known, "state": "listed", "reason": ""})
        elif len(retagged_name(entry.file.filename, verdict.tags)) > MAX_NAME_LENGTH:
            reason = f"its name has no room for the tags that are true: {', '.join(verdict.tags)}"
            self._settle(entry, "refused", {**known, "state": "unlisted", "reason": reason})
        else:
            self._retag(entry, path, verdict, known)

    def _known(self, entry: Entry, path: Path) -> dict[str, Any]:
        """What a row from before there were keys does not know of its wheel."""
        if entry.metadata_digest is not None:
            return {}
        try:
            with path.open("rb") as stream:
                artefact = check_archive(stream, entry.file.filename, self._limits, is_hashed=False)
        except BadArchive as error:
            log.warning("wheels.unsound", file=entry.file.filename, reason=str(error))
            return {}
        digest = self._blobs.keep_bytes(artefact.metadata, lambda _, kept: kept)
        return {
            "metadata_digest": digest,
            "metadata_size": len(artefact.metadata),
            "requires_python": artefact.requires_python,
        }

    def _retag(self, entry: Entry, path: Path, verdict: Verdict, known: dict[str, Any]) -> None:
        assert verdict.tags is not None  # noqa: S101 - else nothing is written
        with path.open("rb") as source, tempfile.TemporaryFile(dir=self._blobs.layout.incoming) as corrected:
            name = retag(source, entry.file.filename, verdict.tags, corrected)
            part = self._egress.call(self._part_of(corrected, name))
        values = {**known, "state": "listed", "reason": "", "listed_name": name, "listed_size": part.written}

        def write(connection: Connection, digest: Digest) -> None:
            tables.settle(connection, entry, {**values, "listed_digest": digest})

        self._egress.call(self._blobs.keep(part, write))
        self._told(entry, "retagged", name)

    async def _part_of(self, corrected: BinaryIO, name: str) -> Part:
        size = corrected.seek(0, io.SEEK_END)
        corrected.seek(0)
        part = self._blobs.begin(size, f"{name}, its tags corrected")
        while piece := corrected.read(PIECE):
            await part.write(piece)
        await part.finish(None)
        return part

    def _settle(self, entry: Entry, result: str, values: dict[str, Any]) -> None:
        self._committer.write(lambda connection: tables.settle(connection, entry, values))
        self._told(entry, result, values["reason"])

    def _told(self, entry: Entry, result: str, detail: str) -> None:
        self._checked.labels(result).inc()
        log.info("wheels.checked", file=entry.file.filename, result=result, detail=detail, ring=entry.ring)

    @contextmanager
    def _file_of(self, file: BuiltFile) -> Iterator[Path]:
        """The wheel as a file that another process can read; what is small lies among others."""
        assert file.digest is not None  # noqa: S101 - the row is here
        extent = self._blobs.locate(file.digest, file.size)
        if extent.length > self._limits.small_bytes:
            yield extent.path
            return
        with tempfile.NamedTemporaryFile(suffix=".whl") as copy:
            copy.write(self._blobs.read(file.digest, file.size))
            copy.flush()
            yield Path(copy.name)
