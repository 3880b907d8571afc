"""Built wheels: many that are pushed beside raw writes of the same files, and a folder with very many."""

from __future__ import annotations

import base64
import hashlib
import os
import time
from collections.abc import Iterator
from http import HTTPStatus

from benchmarks.bench import Bench
from benchmarks.clients import fetch
from benchmarks.goals import Figure
from benchmarks.processes import CannotMeasure, Server, running_folder
from benchmarks.sending import Sender, raw_seconds, seconds_of_many
from tests.doubles.distributions import wheel

GOALS = ("wheel-push", "folder-start", "folder-first", "folder-dropped")

PUSHED, PUSHED_BYTES, SENDERS = 1_000, 100_000, 8
LYING = 20_000
LONG_AGO = 1_600_000_000
LONGEST_SECONDS = 30
PASSWORD = "the password of a benchmark"


def measure(bench: Bench) -> Iterator[Figure]:
    yield _push(bench)
    yield from _folder(bench)


def _push(bench: Bench) -> Figure:
    made = [wheel(f"pushed-{number}", "1.0", size=PUSHED_BYTES) for number in range(PUSHED + 1)]
    users = bench.folder / "builders"
    digest = base64.b64encode(hashlib.sha1(PASSWORD.encode(), usedforsecurity=False).digest()).decode()
    users.write_text(f"builder:{{SHA}}{digest}\n", encoding="ascii")
    login = base64.b64encode(f"builder:{PASSWORD}".encode()).decode()
    requests = [
        Sender.request("PUT", f"/w/p/{each.filename}", {"Authorization": f"Basic {login}"}, each.content)
        for each in made
    ]
    with bench.hub("pushed-wheels", max_age=0, CREAMERY_WHEELS_HTPASSWD=str(users)) as hub:
        with Sender(hub.base) as sender:
            sender.send(requests.pop())  # what is imported at the first push is imported
        raw = raw_seconds(bench.folder / "raw-wheels", {each.filename: each.content for each in made[:PUSHED]})
        ours = seconds_of_many(hub, requests, SENDERS)
    shown = (f"{PUSHED / ours:,.0f}/s", f"{PUSHED / raw:,.0f}/s")
    return Figure("wheel-push", f"{PUSHED:,} wheels, {SENDERS} senders", raw / ours, *shown)


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
