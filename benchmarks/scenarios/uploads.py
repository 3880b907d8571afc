"""Uploads: a large wheel beside nginx's PUT of the same bytes and `unzip -t` of it; small ones beside raw writes."""

from __future__ import annotations

import statistics
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.bench import Bench
from benchmarks.clients import fetch
from benchmarks.goals import Figure
from benchmarks.processes import CannotMeasure, Server, find_program
from benchmarks.sending import Sender, raw_seconds, seconds_of_many
from tests.doubles.distributions import Distribution, wheel
from tests.doubles.uploading import form_of

GOALS = ("upload-received", "upload-checked", "upload-memory", "upload-small")

LARGE_DIGITS = 178_000_000
SMALL = 1_000
UPLOADERS = 8
ROUNDS = 3
PASSCODE = "the passcode of a benchmark"
NAMES = "first, large-upload, small-*"


def measure(bench: Bench) -> Iterator[Figure]:
    yield from _large(bench, wheel("large-upload", "1.0", digits=LARGE_DIGITS))
    yield _small(bench, [wheel(f"small-{number}", "1.0") for number in range(SMALL)])


def _large(bench: Bench, made: Distribution) -> Iterator[Figure]:
    """What is received and durable is all but the check, which the hub's own metric tells."""
    file = bench.folder / made.filename
    file.write_bytes(made.content)
    puts, tests, uploads = [], [], []
    with bench.nginx("uploads") as (nginx, _):
        for number in range(ROUNDS):
            puts.append(_sent(nginx, _put(f"/put/{number}.whl", made.content)))
            tests.append(_unzip_seconds(file))
            uploads.append(_upload_to_a_new_hub(bench, f"upload-{number}", made))
    file.unlink()
    received = tuple(put / (upload.seconds - upload.check) for put, upload in zip(puts, uploads, strict=True))
    checked = tuple(upload.check / test for test, upload in zip(tests, uploads, strict=True))
    case = f"{len(made.content):,} bytes"
    ours, theirs = (statistics.median(upload.seconds - upload.check for upload in uploads), statistics.median(puts))
    yield Figure("upload-received", case, statistics.median(received), f"{ours:.3f} s", f"{theirs:.3f} s", received)
    ours, theirs = statistics.median(upload.check for upload in uploads), statistics.median(tests)
    yield Figure("upload-checked", case, statistics.median(checked), f"{ours:.3f} s", f"{theirs:.3f} s", checked)
    yield Figure("upload-memory", case, max(upload.grown for upload in uploads))


@dataclass(frozen=True, slots=True)
class _Upload:
    """One upload: seconds until its answer, seconds of them that its check took, MiB that the hub grew."""

    seconds: float
    check: float
    grown: float


def _upload_to_a_new_hub(bench: Bench, name: str, made: Distribution) -> _Upload:
    with _hub(bench, name) as hub:
        _sent(hub, _post(wheel("first", "1.0")))  # what is imported at the first upload is imported
        before, checked = hub.resident_mib(), _check_seconds(hub)
        hub.forget_highest()
        seconds = _sent(hub, _post(made))
        return _Upload(seconds, _check_seconds(hub) - checked, hub.highest_mib() - before)


def _small(bench: Bench, all_made: Sequence[Distribution]) -> Figure:
    requests = [_post(made) for made in all_made]
    with _hub(bench, "small-uploads") as hub:
        _sent(hub, _post(wheel("first", "1.0")))
        raw = raw_seconds(bench.folder / "raw", {made.filename: made.content for made in all_made})
        ours = seconds_of_many(hub, requests, UPLOADERS)
    shown = (f"{SMALL / ours:,.0f}/s", f"{SMALL / raw:,.0f}/s")
    return Figure("upload-small", f"{SMALL:,} wheels, {UPLOADERS} uploaders", raw / ours, *shown)


def _hub(bench: Bench, name: str) -> AbstractContextManager[Server]:
    """A hub that need not ask its upstream whose the names are."""
    return bench.hub(name, max_age=0, CREAMERY_INDEX_RESERVED=NAMES, CREAMERY_INDEX_PASSCODE=PASSCODE)


def _post(made: Distribution) -> bytes:
    return Sender.form("/u/", *form_of(made), ("havarti", PASSCODE))


def _put(path: str, body: bytes) -> bytes:
    return Sender.request("PUT", path, {}, body)


def _sent(server: Server, request: bytes) -> float:
    """Seconds until the answer to a request.

    Raises:
        CannotMeasure: it is an error.
    """
    with Sender(server.base) as sender:
        return sender.send(request)


def _unzip_seconds(file: Path) -> float:
    began = time.perf_counter()
    subprocess.run([find_program("unzip"), "-tq", str(file)], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def _check_seconds(hub: Server) -> float:
    """What all checks so far have taken, by the hub's own metric."""
    lines = fetch(hub.base, "/metrics").body.decode().splitlines()
    sums = [line for line in lines if line.startswith("creamery_index_upload_seconds_sum{") and 'step="check"' in line]
    if not sums:
        raise CannotMeasure("the hub tells no seconds of its checks")
    return sum(float(line.rpartition(" ")[2]) for line in sums)
