"""What it costs to know who asks: a token beside nobody, and logins beside an index that goes on answering.

A password is looked at anew each time here (`limits.password_seconds` = 0): four logins a second are four argon2.
"""

from __future__ import annotations

import base64
import json
import random
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.bench import Bench, Target
from benchmarks.clients import Client, fetch
from benchmarks.goals import Figure
from benchmarks.offering import half_of_highest, offer
from benchmarks.processes import CannotMeasure, Server
from benchmarks.scenarios.asking import get_page, page_headers

GOALS = ("token-check", "index-beside-logins")

PAGE = "/simple/numpy/"
HEADERS = page_headers("json", "gzip")
PASSWORD = "correct horse battery"
LOGINS_A_SECOND = 4
SECONDS = 10
TRIES = 60

CLOSED = {
    "CREAMERY_INDEX_READ": "users",
    "CREAMERY_LIMITS_PASSWORD_SECONDS": "0",
    "CREAMERY_LIMITS_LOGIN_FAILURES": "1000000",
    "CREAMERY_LIMITS_LOGIN_FAILURES_ADDRESS": "1000000",
}


def measure(bench: Bench) -> Iterator[Figure]:
    with bench.hub("open", max_age=86_400) as hub, bench.hub("closed", max_age=86_400, **CLOSED) as closed:
        data = bench.folder / "hub-closed" / "data"
        _creamery(data, "user", "add", "alice", "--password-stdin", typed=PASSWORD)
        made = _creamery(data, "token", "create", "--user", "alice", "--name", "b", "--scope", "index:read", "--json")
        token = {**HEADERS, "Authorization": f"Bearer {json.loads(made)['token']}"}
        etag = get_page(hub, "numpy", "json", "gzip").headers["etag"]
        closed_etag = fetch(closed.base, PAGE, token).headers["etag"]  # its page has another serial
        known, known_by_token = {**HEADERS, "If-None-Match": etag}, {**token, "If-None-Match": closed_etag}
        if {fetch(hub.base, PAGE, known).status, fetch(closed.base, PAGE, known_by_token).status} != {304}:
            raise CannotMeasure("no 304 came for the pages' ETags")
        yield _token_check(bench, Target(hub, PAGE, known), Target(closed, PAGE, known_by_token))
        yield _beside_logins(bench, Target(closed, PAGE, known_by_token))
        yield _who_there_is(closed)


def _token_check(bench: Bench, without: Target, with_token: Target) -> Figure:
    """The processor's time for a 304 with a token, less that for one that nobody need be known for."""
    loads = [(bench.load(with_token).cpu_micros, bench.load(without).cpu_micros) for _ in range(bench.rounds)]
    added = tuple(mine - its for mine, its in loads)
    shown = [f"{statistics.median(load[side] for load in loads):.0f} us CPU" for side in (0, 1)]
    return Figure("token-check", "a 304, with and without", statistics.median(added), shown[0], shown[1], added)


def _beside_logins(bench: Bench, target: Target) -> Figure:
    """At half of the hub's highest rate: which share of the requests is answered promptly while people log in."""
    rate = half_of_highest(bench, target)
    quiet = offer(target, rate, SECONDS)
    with _logging_in(target.server) as logins:
        beside = offer(target, rate, SECONDS)
    if len(logins) < LOGINS_A_SECOND * SECONDS // 2:
        raise CannotMeasure(f"only {len(logins)} logins in {SECONDS} s")
    took = statistics.median(logins) * 1e3
    shown = f"{beside.answered:,} of {beside.requests:,}, {len(logins)} logins of {took:.0f} ms"
    return Figure(
        "index-beside-logins", f"{rate:,}/s offered", beside.share, shown, f"{quiet.share:.3f} without logins"
    )


@contextmanager
def _logging_in(hub: Server) -> Iterator[list[float]]:
    """Somebody with a password, four times a second; the seconds that each took."""
    took: list[float] = []
    over = threading.Event()

    def log_in() -> None:
        with Client(hub.base) as client:
            while not over.wait(max(0.0, 1 / LOGINS_A_SECOND - (took[-1] if took else 0.0))):
                answer = client.get("/simple/nothing-here/", {"Authorization": _basic("alice", PASSWORD)})
                if answer.status not in {200, 404}:
                    raise CannotMeasure(f"a login was answered with {answer.status}")
                took.append(answer.seconds)

    person = threading.Thread(target=log_in)
    person.start()
    try:
        yield took
    finally:
        over.set()
        person.join()


def _who_there_is(hub: Server) -> Figure:
    """Does time tell who exists? Told, not judged: the medians' difference, and how far chance alone goes."""
    seconds: dict[str, list[float]] = {"alice": [], "nobody": []}
    with Client(hub.base) as client:
        for number in range(TRIES):
            for name in random.sample(sorted(seconds), 2):
                begun = time.perf_counter()
                answer = client.get("/simple/", {"Authorization": _basic(name, f"wrong password {number}")})
                seconds[name].append(time.perf_counter() - begun)
                if answer.status != 401:
                    raise CannotMeasure(f"a wrong password was answered with {answer.status}")
    known, unknown = (statistics.median(seconds[name]) * 1e3 for name in ("alice", "nobody"))
    spread = statistics.stdev(seconds["alice"]) * 1e3 * (2 / TRIES) ** 0.5
    case = "a wrong password of a user less that of nobody, ms"
    return Figure(None, case, known - unknown, f"{known:.2f} and {unknown:.2f} ms, by chance {spread:.2f}")


def _basic(name: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode("ascii")


def _creamery(data: Path, *arguments: str, typed: str = "") -> str:
    command = [sys.executable, "-m", "creamery", *arguments, "--data", str(data)]
    done = subprocess.run(command, input=typed, capture_output=True, text=True, check=False)
    if done.returncode:
        raise CannotMeasure(f"creamery {' '.join(arguments)}: {done.stderr}")
    return done.stdout
