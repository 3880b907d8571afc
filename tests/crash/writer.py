"""A process that keeps blobs until something strikes it, writing down what it was told is kept.

`python -m tests.crash.writer` reads orders, a JSON object a line, and forks for each of them, so that a hundred deaths
cost one start of Python. It answers with how the child ended, or that it is stopped.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import sys
import time
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from creamery import faults
from creamery.blobs import local, segments
from creamery.contract import Digest, digest_of
from creamery.database import committer, connect
from creamery.sections import Cache
from creamery.telemetry import configure_logging
from tests.crash.scene import SEGMENT_BYTES
from tests.doubles.cellar import Cellar
from tests.doubles.hand_clock import HandClock
from tests.doubles.shelf import shelve

ROUNDS = 4
_RUN = committer._run


class _Early(Future[Any]):
    """Takes a result that comes a second time."""

    def set_result(self, result: Any) -> None:
        if not self.done():
            super().set_result(result)


def _answer_early(connection: Any, write: Any) -> Any:
    """What a committer would do that does not wait for its commit."""
    outcome = _RUN(connection, write)
    if outcome.refusal is None:
        write.result.set_result(outcome.value)
        time.sleep(0.3)  # whoever waits tells the world
    return outcome


MUTANTS: dict[str, tuple[tuple[Any, str, Any], ...]] = {
    "no file sync": ((local, "sync_file", lambda descriptor: None),),
    "no directory sync": ((local, "sync_folder", lambda folder: None),),
    "no segment sync": ((segments, "sync_data", lambda descriptor: None),),
    "synchronous=NORMAL": ((connect, "SYNCHRONOUS", "NORMAL"),),
    "answers before the commit": ((committer, "_run", _answer_early), (committer, "Future", _Early)),
}
ONCE_OPEN = {"answers before the commit"}
"""To open a store is to read what was just written."""


class Log:
    """What the world was told, safe from whatever strikes this process: it lies elsewhere."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)

    def say(self, **event: str) -> None:
        os.write(self._descriptor, json.dumps(event).encode() + b"\n")
        os.fsync(self._descriptor)


class Writer:
    """Does everything that blobs can do, in an order that is always the same."""

    def __init__(self, cellar: Cellar, log: Log) -> None:
        self._cellar = cellar
        self._log = log

    def work(self) -> None:
        for number in range(ROUNDS):
            body = random.Random(number).randbytes(300_000)
            self._keep_part(f"large {number}", body)
            self._put(f"small {number}", b"%d" % number * 1000)
            self._put(f"the same {number}", body)
            self._cellar.blobs.keep_bytes(b"cached %d" % number * 1000, shelve(f"cached {number}", kept=False))
            self._be_refused(number)
            self._spoil(number)
            if number:
                self._take_away(f"small {number - 1}")
            self._cellar.clock.advance(61)  # type: ignore[attr-defined]  # a HandClock
            self._cellar.blobs.sweep(slices=16)
            self._cellar.blobs.evict()

    def _keep_part(self, name: str, body: bytes) -> None:
        async def keep() -> Digest:
            part = self._cellar.blobs.begin(len(body), "crash")
            for offset in range(0, len(body), 65_536):
                await part.write(body[offset : offset + 65_536])
                await part.flush()
            digest = await part.finish(digest_of(body))
            await self._cellar.blobs.keep(part, shelve(name))
            return digest

        self._log.say(kept=name, digest=asyncio.run(keep()))

    def _put(self, name: str, body: bytes) -> None:
        self._log.say(kept=name, digest=self._cellar.put(body, name))

    def _be_refused(self, number: int) -> None:
        def refuse(connection: object, digest: Digest) -> None:
            raise KeyError(digest)

        try:
            self._cellar.blobs.keep_bytes(b"refused %d" % number, refuse)
        except KeyError:
            return

    def _spoil(self, number: int) -> None:
        digest = self._cellar.put(b"spoilt %d" % number, f"spoilt {number}", kept=False)
        self._log.say(spoilt=digest)
        self._cellar.blobs.quarantine_now(digest, "the crash test says so")

    def _take_away(self, name: str) -> None:
        self._log.say(removing=name)
        self._cellar.take_away(name)


def mutate(mutant: str) -> None:
    """Leave out a step of the durable write."""
    for module, name, harmless in MUTANTS.get(mutant, ()):
        setattr(module, name, harmless)


def stand_still(point: str, action: object) -> None:
    """Stop the process. Signals take a moment: until then this thread, at least, gets no further."""
    os.kill(os.getpid(), signal.SIGSTOP)
    time.sleep(60)


def work(order: dict[str, str]) -> None:
    """Carry out an order in this process."""
    mutant = order.get("mutant", "")
    if mutant not in ONCE_OPEN:
        mutate(mutant)
    if order["strike"] == "stop":
        faults._strike = stand_still
    cellar = Cellar(
        Path(order["data"]),
        order["url"],
        HandClock(),
        cache=Cache(max_bytes=5_000),
        sweep_share=1.0,
        sweep_grace_seconds=60,
        reserve_bytes=0,
        small_bytes=int(order["small_bytes"]),
        segment_bytes=SEGMENT_BYTES,
    ).open()
    if mutant in ONCE_OPEN:
        mutate(mutant)
    faults.arm(order["faults"])
    Writer(cellar, Log(Path(order["log"]))).work()
    faults.disarm()
    cellar.close()


def serve() -> None:
    """Fork for each order; a child that was stopped is killed by whoever ordered it, and reaped before the next."""
    configure_logging(as_json=True, level="error")
    stopped = 0
    for line in sys.stdin:
        if stopped:
            os.waitpid(stopped, 0)
            stopped = 0
        order = json.loads(line)
        if order.get("reap"):
            print(json.dumps({"ended": "reaped"}), flush=True)
            continue
        child = os.fork()
        if child == 0:
            work(order)
            os._exit(0)
        _, status = os.waitpid(child, os.WUNTRACED)
        if os.WIFSTOPPED(status):
            stopped = child
            answer = "stopped"
        else:
            answer = "killed" if os.WIFSIGNALED(status) else f"exit {os.WEXITSTATUS(status)}"
        print(json.dumps({"ended": answer, "pid": child}), flush=True)


if __name__ == "__main__":
    serve()
