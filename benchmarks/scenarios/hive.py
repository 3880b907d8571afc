"""Files over WebDAV: many small ones and a large one beside nginx's PUT and GET; listings; large folders moved."""

from __future__ import annotations

import json
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.bench import Bench
from benchmarks.filling import fill_folder
from benchmarks.goals import Figure
from benchmarks.processes import CannotMeasure, Server, find_program
from benchmarks.sending import Sender

GOALS = (
    "hive-put-small",
    "hive-put-large",
    "hive-get-large",
    "hive-list",
    "hive-list-again",
    "hive-look",
    "hive-move",
    "hive-delete",
)

HOME = "/dav/files/alice"
LUA = Path(__file__).parents[1] / "peers" / "put.lua"
CONNECTIONS, SECONDS, ROUNDS = 8, 3, 5
LARGE = 1 << 30
LISTED, ELSEWHERE, DESCENDANTS = 10_000, 990_000, 100_000
TRIES = 7
ASKED = """<d:propfind xmlns:d="DAV:"><d:prop><d:getcontentlength/><d:getlastmodified/><d:getetag/><d:resourcetype/>
<d:displayname/><d:creationdate/></d:prop></d:propfind>"""

_RATE = re.compile(r"^Requests/sec:\s+([0-9.]+)$", re.MULTILINE)
_TROUBLE = re.compile(r"Non-2xx|Socket errors")


def measure(bench: Bench) -> Iterator[Figure]:
    with bench.hub("files", max_age=0) as hub, bench.nginx("files") as (nginx, _):
        known = _known(bench.folder / "hub-files" / "data")
        _ask(hub, "MKCOL", f"{HOME}/small", known)
        yield _small(hub, nginx, known)
        yield from _large(hub, nginx, known)
    with bench.hub("many-files", max_age=0) as hub:
        data = bench.folder / "hub-many-files" / "data"
        known = _known(data)
        for name, count in (("listed", LISTED), ("elsewhere", ELSEWHERE), ("large", DESCENDANTS)):
            _ask(hub, "MKCOL", f"{HOME}/{name}", known)
            fill_folder(data / "creamery.sqlite3", name, count)
        yield from _listings(hub, known)
        yield _look(hub, known)
        yield from _moves(hub, known)


def _known(data: Path) -> dict[str, str]:
    """A user, and the header of a token of hers."""
    _creamery(data, "user", "add", "alice", "--no-password")
    scopes = ("--scope", "hive:read", "--scope", "hive:write")
    made = _creamery(data, "token", "create", "--user", "alice", "--name", "b", *scopes, "--json")
    return {"Authorization": f"Bearer {json.loads(made)['token']}"}


def _small(hub: Server, nginx: Server, known: Mapping[str, str]) -> Figure:
    """Alternated: nginx itself is now three times as fast as then."""
    ours, theirs, cpu = [], [], []
    for number in range(ROUNDS):
        before = hub.cpu_seconds()
        ours.append(_puts(hub, f"{HOME}/small/", f"r{number}-", known["Authorization"]))
        cpu.append((hub.cpu_seconds() - before) / (ours[-1] * SECONDS) * 1e6)
        theirs.append(_puts(nginx, "/put/", f"r{number}-", "-"))
    ratios = tuple(mine / its for mine, its in zip(ours, theirs, strict=True))
    shown = (
        f"{statistics.median(ours):,.0f}/s, {statistics.median(cpu):,.0f} us CPU",
        f"{statistics.median(theirs):,.0f}/s",
    )
    return Figure("hive-put-small", f"4 kB, {CONNECTIONS} connections", statistics.median(ratios), *shown, ratios)


def _puts(server: Server, where: str, word: str, authorization: str) -> float:
    command = [find_program("wrk"), "-t1", f"-c{CONNECTIONS}", f"-d{SECONDS}s", "-s", str(LUA), server.base]
    run = subprocess.run([*command, "--", where, word, authorization], capture_output=True, text=True, check=False)
    rate = _RATE.search(run.stdout)
    if rate is None or _TROUBLE.search(run.stdout):
        raise CannotMeasure(f"wrk on {where}:\n{run.stdout}{run.stderr}")
    return float(rate[1])


def _large(hub: Server, nginx: Server, known: Mapping[str, str]) -> Iterator[Figure]:
    body = bytes(range(256)) * (LARGE // 256)
    puts: tuple[list[float], list[float]] = ([], [])
    gets: tuple[list[float], list[float]] = ([], [])
    for number in range(3):
        for side, (server, path, headers) in enumerate(
            ((hub, f"{HOME}/large-{number}", known), (nginx, f"/put/large-{number}", {}))
        ):
            with Sender(server.base) as sender:
                puts[side].append(sender.send(Sender.request("PUT", path, headers, body)))
            gets[side].append(_seconds_of_get(server, path, headers))
    for goal, (ours, theirs) in (("hive-put-large", puts), ("hive-get-large", gets)):
        ratios = tuple(its / mine for mine, its in zip(ours, theirs, strict=True))
        shown = (f"{statistics.median(ours):.2f} s", f"{statistics.median(theirs):.2f} s")
        yield Figure(goal, "1 GiB", statistics.median(ratios), *shown, ratios)


def _seconds_of_get(server: Server, path: str, headers: Mapping[str, str]) -> float:
    command = [find_program("curl"), "-sS", "--fail", "-o", "/dev/null", "-w", "%{time_total}"]
    words = [f"-H{name}: {value}" for name, value in headers.items()]
    run = subprocess.run([*command, *words, server.base + path], capture_output=True, text=True, check=True)
    return float(run.stdout)


def _listings(hub: Server, known: Mapping[str, str]) -> Iterator[Figure]:
    """Cold: each time after a change, so that no kept answer will do."""
    headers = {**known, "Depth": "1", "Accept-Encoding": "gzip"}
    first, again = [], []
    for number in range(TRIES):
        _ask(hub, "PUT", f"{HOME}/listed/changed", known, str(number).encode())
        first.append(_millis(lambda: _ask(hub, "PROPFIND", f"{HOME}/listed", headers, ASKED.encode())))
        again.append(_millis(lambda: _ask(hub, "PROPFIND", f"{HOME}/listed", headers, ASKED.encode())))
    case = f"{LISTED:,} of {LISTED + ELSEWHERE + DESCENDANTS:,} entries, 6 properties"
    yield Figure("hive-list", case, statistics.median(first))
    yield Figure("hive-list-again", case, statistics.median(again))


def _look(hub: Server, known: Mapping[str, str]) -> Figure:
    """Both one after the other, over one connection."""
    _ask(hub, "PUT", f"{HOME}/one", known, b"x" * 4_096)
    got = _cpu_micros(hub, Sender.request("GET", f"{HOME}/one", known, b""))
    looked = _cpu_micros(hub, Sender.request("PROPFIND", f"{HOME}/one", {**known, "Depth": "0"}, ASKED.encode()))
    return Figure("hive-look", "a file of 4 kB", looked / got, f"{looked:,.0f} us CPU", f"{got:,.0f} us CPU")


def _cpu_micros(hub: Server, request: bytes) -> float:
    count = 2_000
    with Sender(hub.base) as sender:
        before = hub.cpu_seconds()
        for _ in range(count):
            sender.send(request, 207)
        return (hub.cpu_seconds() - before) / count * 1e6


def _moves(hub: Server, known: Mapping[str, str]) -> Iterator[Figure]:
    moved = []
    for number in range(TRIES):
        names = ("large", "moved") if number % 2 == 0 else ("moved", "large")
        headers = {**known, "Destination": f"{HOME}/{names[1]}"}
        moved.append(_millis(partial(_ask, hub, "MOVE", f"{HOME}/{names[0]}", headers)))
    last = "moved" if TRIES % 2 else "large"
    deleted = _millis(lambda: _ask(hub, "DELETE", f"{HOME}/{last}", known))
    case = f"a folder with {DESCENDANTS:,} below"
    yield Figure("hive-move", case, statistics.median(moved))
    yield Figure("hive-delete", case, deleted)


def _millis(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return (time.perf_counter() - began) * 1_000


def _ask(hub: Server, method: str, path: str, headers: Mapping[str, str], body: bytes = b"") -> bytes:
    parts = urlsplit(hub.base)
    connection = HTTPConnection(parts.hostname or "", parts.port, timeout=60)
    try:
        connection.request(method, path, body or None, dict(headers))
        answer = connection.getresponse()
        content = answer.read()
    finally:
        connection.close()
    if answer.status >= 300:
        raise CannotMeasure(f"{method} {path} is answered {answer.status}: {content[:300]!r}")
    return content


def _creamery(data: Path, *words: str) -> str:
    command = [sys.executable, "-m", "creamery", *words, "--data", str(data)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    if run.returncode:
        raise CannotMeasure(f"creamery {' '.join(words)}: {run.stderr}")
    return run.stdout
