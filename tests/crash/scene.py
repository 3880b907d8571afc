"""Orders a writer to its death, and judges what it leaves behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, cast

from creamery.blobs import Audit, BlobMissing, Depth
from creamery.blobs.verification import hash_of
from creamery.contract import Digest
from tests.doubles.cellar import Cellar
from tests.doubles.hand_clock import HandClock
from tests.doubles.shelf import SHELF

ROOT = Path(__file__).parents[2]

SMALL_BYTES = 5_000
"""Less than what the writer calls large, and more than the rest."""
SEGMENT_BYTES = 2_000

PLACING = [
    "blobs.before_file_sync",
    "blobs.after_file_sync",
    "blobs.before_link",
    "blobs.after_link",
    "blobs.before_dir_sync",
    "blobs.after_dir_sync",
]
"""The steps of each durable write; the third visit is that of bytes which are there already."""
POINTS = [
    "blobs.reserved",
    "blobs.reserved@2",
    "blobs.created",
    "blobs.mid_body@3",
    *(f"{point}@{visit}" for point in PLACING for visit in (1, 2, 3)),
    *(
        f"database.{moment}@{visit}"
        for moment in ("before_commit", "after_commit")
        for visit in (1, 2, 5, 8, 9, 13, 17)
    ),
    "quarantine.moved",
    "quarantine.moved@2",
    "sweep.marked",
    "sweep.deleting",
    "sweep.gone",
    "sweep.gone@2",
    "sweep.unlinked",
    "sweep.unlinked@2",
]
IN_SEGMENTS = [
    "segments.begun",
    "segments.begun@2",
    *(
        f"segments.{moment}@{visit}"
        for moment in ("mid_write", "before_sync", "after_sync")
        for visit in (1, 2, 3, 6, 9)
    ),
    "segments.emptied",
    "segments.removed",
    "database.before_commit@2",
    "database.after_commit@2",
    "quarantine.moved",
    "sweep.gone",
]
"""The same where what is small lies in segments, which fill quickly."""


class Stage:
    """The writer's parent."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.crash.writer"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=ROOT,
            text=True,
        )
        self._stopped: int | None = None

    def order(
        self, data: Path, url: str, log: Path, faults: str, *, strike: str, mutant: str = "", small_bytes: int = 0
    ) -> str:
        """Let a writer work until it is struck; how it ended, or `stopped`."""
        order = {"data": str(data), "url": url, "log": str(log), "faults": faults, "strike": strike, "mutant": mutant}
        order["small_bytes"] = str(small_bytes)
        answer = self._ask(order)
        self._stopped = int(answer["pid"]) if answer["ended"] == "stopped" else None
        return answer["ended"]

    def kill_stopped(self) -> None:
        """End the writer that was stopped; after this it holds nothing open any more."""
        if self._stopped is not None:
            os.kill(self._stopped, signal.SIGKILL)
            self._ask({"reap": "yes"})
            self._stopped = None

    def close(self) -> None:
        self.kill_stopped()
        cast("IO[str]", self._process.stdin).close()
        self._process.wait()
        cast("IO[str]", self._process.stdout).close()

    def _ask(self, order: dict[str, str]) -> dict[str, str]:
        cast("IO[str]", self._process.stdin).write(json.dumps(order) + "\n")
        cast("IO[str]", self._process.stdin).flush()
        return cast("dict[str, str]", json.loads(cast("IO[str]", self._process.stdout).readline()))


@dataclass
class Told:
    """What the writer had told the world before it died."""

    kept: dict[str, Digest] = field(default_factory=dict)
    spoilt: set[str] = field(default_factory=set)

    @classmethod
    def read(cls, log: Path) -> Told:
        told = cls()
        for line in log.read_text().splitlines() if log.exists() else []:
            event = json.loads(line)
            if "kept" in event:
                told.kept[event["kept"]] = Digest(event["digest"])
            elif "removing" in event:
                told.kept.pop(event["removing"], None)
            else:
                told.spoilt.add(event["spoilt"])
        return told


def complaints(data: Path, url: str, log: Path) -> list[str]:
    """Start again, look at everything, use it: whatever breaks a promise.

    I1: what was acknowledged is readable and has its hash. I2, I3: what was not acknowledged is whole or not there.
    I4: what is left over goes by itself.
    """
    told = Told.read(log)
    cellar = Cellar(data, url, HandClock(), sweep_share=1.0, reserve_bytes=0, segment_bytes=SEGMENT_BYTES).open()
    found: list[str] = []
    try:
        found += _unwell(cellar, told)
        found += _lost(cellar, told)
        cellar.sweep_all()
        found += [f"after sweeping: {text}" for text in (*_unwell(cellar, told), *_lost(cellar, told), *_left(cellar))]
        cellar.put(b"life goes on", "afterwards")
    finally:
        cellar.close()
    return found


def _unwell(cellar: Cellar, told: Told) -> list[str]:
    audit = Audit(cellar.data, cellar.database, [SHELF], cellar.limits, cellar.clock)
    findings = audit.run(Depth.DATA, lambda size: None)
    return [str(finding) for finding in findings if finding.subject not in told.spoilt]


def _lost(cellar: Cellar, told: Told) -> list[str]:
    names = cellar.names()
    lost = [f"{name}: not referred to" for name, digest in told.kept.items() if names.get(name) != (digest, True)]
    for name, (digest, here) in names.items():
        if here and digest not in told.spoilt and not _is_whole(cellar, digest):
            lost.append(f"{name}: its bytes are lost")
    return lost


def _is_whole(cellar: Cellar, digest: Digest) -> bool:
    try:
        return hash_of(cellar.blobs.reader, digest) == digest
    except BlobMissing:
        return False


def _left(cellar: Cellar) -> list[str]:
    known = {digest for digest, _ in cellar.names().values()}
    left = [f"{digest}: nobody holds it" for digest in cellar.stored() - known]
    return left + [f"{path}: left over" for path in cellar.blobs.layout.incoming.iterdir()]
