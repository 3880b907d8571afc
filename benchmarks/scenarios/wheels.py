"""Built wheels: many that are pushed beside raw writes of the same files, and a folder with very many."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import statistics
import time
from collections.abc import Iterator
from http import HTTPStatus
from http.client import HTTPConnection
from urllib.parse import urlsplit

from benchmarks.bench import Bench, Target
from benchmarks.clients import fetch
from benchmarks.filling import fill_wheels, key_of_wheel
from benchmarks.goals import Figure
from benchmarks.peers.upstream import UNBUILT
from benchmarks.processes import CannotMeasure, Server, running_folder
from benchmarks.scenarios.asking import page_headers
from benchmarks.scenarios.pages import same_page
from benchmarks.sending import Sender, raw_seconds, seconds_of_many
from tests.doubles.distributions import wheel

GOALS = ("wheel-push", "wheel-page", "wheel-lookup", "folder-start", "folder-first", "folder-dropped")

PUSHED, PUSHED_BYTES, SENDERS = 1_000, 100_000, 8
LYING = 20_000
LONG_AGO = 1_600_000_000
LONGEST_SECONDS = 30
PROJECT = "numpy"
INSTALLER = 'pip/26.3 {"installer":{"name":"pip","version":"26.3"},"distro":{"libc":{"lib":"glibc","version":"2.36"}}}'
ASKED, LOOKS = 1_000, 25
PASSWORD = "the password of a benchmark"


def measure(bench: Bench) -> Iterator[Figure]:
    yield _push(bench)
    yield from _page(bench)
    yield _lookup(bench)
    yield from _folder(bench)


def _builders(bench: Bench) -> tuple[str, dict[str, str]]:
    """A password file of who pushes, and their headers."""
    users = bench.folder / "builders"
    digest = base64.b64encode(hashlib.sha1(PASSWORD.encode(), usedforsecurity=False).digest()).decode()
    users.write_text(f"builder:{{SHA}}{digest}\n", encoding="ascii")
    login = base64.b64encode(f"builder:{PASSWORD}".encode()).decode()
    return str(users), {"Authorization": f"Basic {login}"}


def _push(bench: Bench) -> Figure:
    made = [wheel(f"pushed-{number}", "1.0", size=PUSHED_BYTES) for number in range(PUSHED + 1)]
    users, known = _builders(bench)
    requests = [Sender.request("PUT", f"/w/p/{each.filename}", known, each.content) for each in made]
    with bench.hub("pushed-wheels", max_age=0, CREAMERY_WHEELS_HTPASSWD=users) as hub:
        with Sender(hub.base) as sender:
            sender.send(requests.pop())  # what is imported at the first push is imported
        raw = raw_seconds(bench.folder / "raw-wheels", {each.filename: each.content for each in made[:PUSHED]})
        ours = seconds_of_many(hub, requests, SENDERS)
    shown = (f"{PUSHED / ours:,.0f}/s", f"{PUSHED / raw:,.0f}/s")
    return Figure("wheel-push", f"{PUSHED:,} wheels, {SENDERS} senders", raw / ours, *shown)


def _page(bench: Bench) -> Iterator[Figure]:
    users, known = _builders(bench)
    with (
        bench.hub("merged-pages", max_age=86_400, CREAMERY_WHEELS_HTPASSWD=users) as hub,
        bench.nginx("merged-pages") as (nginx, folder),
    ):
        built = wheel(PROJECT, UNBUILT)
        with Sender(hub.base) as sender:
            sender.send(Sender.request("PUT", f"/w/p/{built.filename}", known, built.content))
        for encoding in ("gzip", "zstd"):
            headers = {**page_headers("json", encoding), "User-Agent": INSTALLER}
            ours = Target(hub, f"/w/i/{PROJECT}/", headers)
            plain = fetch(hub.base, ours.path, {**headers, "Accept-Encoding": "identity"})
            if built.filename.encode() not in plain.body:
                raise CannotMeasure(f"{ours.path} does not list {built.filename}")
            yield bench.compare("wheel-page", f"{PROJECT} json {encoding}", ours, same_page(nginx, folder, ours))


def _lookup(bench: Bench) -> Figure:
    with bench.hub("many-wheels", max_age=0) as hub:
        fill_wheels(bench.folder / "hub-many-wheels" / "data" / "creamery.sqlite3", LYING)
        keys = [key_of_wheel(number).hex() for number in range(LYING - ASKED // 2, LYING + ASKED // 2)]
        body = json.dumps({"keys": keys}).encode()
        with contextlib.closing(HTTPConnection(urlsplit(hub.base).netloc, timeout=60)) as connection:
            seconds = [_asked(connection, body) for _ in range(LOOKS)]
    return Figure("wheel-lookup", f"{ASKED:,} keys, {LYING:,} wheels", statistics.median(seconds) * 1_000)


def _asked(connection: HTTPConnection, body: bytes) -> float:
    """Seconds until the whole answer has come."""
    began = time.perf_counter()
    connection.request("POST", "/w/v1/lookup", body, {"Content-Type": "application/json"})
    answer = connection.getresponse().read()
    seconds = time.perf_counter() - began
    if answer.count(b'"hit"') != ASKED // 2:
        raise CannotMeasure(f"a lookup was answered {answer[:300]!r}")
    return seconds


def _folder(bench: Bench) -> Iterator[Figure]:
    wheels = bench.folder / "full"
    wheels.mkdir()
    for number in range(LYING):
        path = wheels / f"project_{number // 10}-{number % 10}.0-py3-none-any.whl"
        path.write_bytes(b"wheel")
        os.utime(path, (LONG_AGO, LONG_AGO))
    began = time.perf_counter()
    with running_folder(bench.folder / "curd-server", wheels) as server:
        listens = time.perf_counter() - began
        first = _seconds_until_known(server, "project-7")
        (wheels / "dropped-1.0-py3-none-any.whl").write_bytes(b"wheel")
        dropped = _seconds_until_known(server, "dropped")
    case = f"{LYING:,} wheels"
    yield Figure("folder-start", case, listens)
    yield Figure("folder-first", case, first)
    yield Figure("folder-dropped", case, dropped)


def _seconds_until_known(server: Server, project: str) -> float:
    began = time.perf_counter()
    while fetch(server.base, f"/api/{project}").status != HTTPStatus.OK:
        if time.perf_counter() - began > LONGEST_SECONDS:
            raise CannotMeasure(f"nothing of {project} is offered")
        time.sleep(0.02)
    return time.perf_counter() - began
