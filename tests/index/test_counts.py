"""What requests cost, in things that can be counted: statements, commits, syncs, renders, upstream requests."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event
from sqlalchemy.engine import Engine

from tests.doubles.distributions import wheel
from tests.doubles.running import RunningHub
from tests.doubles.uploading import PASSCODE, upload
from tests.doubles.upstream import Upstream

WITHOUT_USES = {"uses_seconds": 1e6}
"""Uses are flushed by a thread of their own, a commit now and then; here they wait."""


@pytest.fixture
def quiet_hub(upstream: Upstream, tmp_path: Path) -> Iterator[RunningHub]:
    """A hub that takes pages as fresh for a minute."""
    settings = {"upstreams": [upstream.url], "max_age": 60}
    with RunningHub(tmp_path, index=settings, limits=WITHOUT_USES) as hub:
        yield hub


@pytest.fixture
def syncs(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """One entry for each fsync and fdatasync that Python asks for; the database's own come with its commits."""
    seen: list[int] = []

    def counting(sync: Callable[[int], None]) -> Callable[[int], None]:
        def counted(descriptor: int) -> None:
            seen.append(descriptor)
            sync(descriptor)

        return counted

    for name in ("fsync", "fdatasync"):
        monkeypatch.setattr(os, name, counting(getattr(os, name)))
    return seen


def test_warm_pages_and_cached_files_cost_no_statement_and_no_render(quiet_hub: RunningHub) -> None:
    filename = quiet_hub.files("demo")[0]
    quiet_hub.download("demo", filename)
    for _ in range(2):
        quiet_hub.page("demo")
        quiet_hub.get(f"/i/demo/{filename}")
    renders = quiet_hub.metric("index_renders_total", format="json")

    def read_warm() -> tuple[list[str], float]:
        """The statements of a hundred requests, and how many commits of jobs fell between them."""
        commits = quiet_hub.metric("commits_total")
        with quiet_hub.statements() as statements:
            for _ in range(50):
                quiet_hub.page("demo")
                assert quiet_hub.get(f"/i/demo/{filename}").status_code == 200
        return statements, quiet_hub.metric("commits_total") - commits

    statements, _ = next(read for read in iter(read_warm, None) if read[1] == 0)

    assert statements == []
    assert quiet_hub.metric("index_renders_total", format="json") == renders


def test_a_change_costs_one_render_however_many_ask(hub: RunningHub, upstream: Upstream) -> None:
    hub.page("demo")
    renders = hub.metric("index_renders_total", format="json")
    upstream.add("demo", "1.2")
    upstream.latency = 0.1

    barrier = threading.Barrier(10)

    def ask(_: int) -> None:
        barrier.wait()
        hub.page("demo")

    with ThreadPoolExecutor(10) as clients:
        list(clients.map(ask, range(10)))

    assert hub.metric("index_renders_total", format="json") == renders + 1


def test_a_miss_costs_one_upstream_request(hub: RunningHub, upstream: Upstream) -> None:
    filename = hub.files("demo")[0]
    upstream.forget()

    hub.download("demo", filename)

    assert upstream.count() == 1


@pytest.fixture
def cost(quiet_hub: RunningHub, syncs: list[int]) -> Callable[[Callable[[str], object], list[str]], tuple[int, float]]:
    """Syncs and commits of one call: the middle of some, because jobs commit now and then, and counters come late."""

    def of(act: Callable[[str], object], names: list[str]) -> tuple[int, float]:
        found = []
        for name in names:
            before = len(syncs), quiet_hub.metric("commits_total")
            act(name)
            found.append((len(syncs) - before[0], quiet_hub.metric("commits_total") - before[1]))
        return sorted(found)[len(found) // 2]

    return of


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        pytest.param(300_000, 4, id="large"),  # the file, its folder, and, because that is new, the two folders above
        pytest.param(1_000, 1, id="small"),  # the segment
    ],
)
def test_keeping_costs_one_commit_and_a_file_its_syncs(
    quiet_hub: RunningHub,
    upstream: Upstream,
    cost: Callable[[Callable[[str], object], list[str]], tuple[int, float]],
    size: int,
    expected: int,
) -> None:
    projects = [f"project{number}" for number in range(5)]
    for project in projects:
        upstream.add(project, "1.0", size=size)

    def download(project: str) -> object:
        return quiet_hub.download(project, f"{project}-1.0-py3-none-any.whl")

    assert cost(quiet_hub.page, projects) == (0, 1)
    assert cost(download, projects) == (expected, 1)
    assert cost(download, projects) == (0, 0)
    assert cost(quiet_hub.page, projects) == (0, 0)


@pytest.fixture
def private_hub(upstream: Upstream, tmp_path: Path) -> Iterator[RunningHub]:
    """A hub that takes uploads, with one in it."""
    settings = {"upstreams": [upstream.url], "passcode": PASSCODE, "reserved": ["acme*"]}
    with RunningHub(tmp_path, index=settings, limits=WITHOUT_USES) as hub:
        upload(hub, wheel("acme", "1.0"))
        yield hub


def test_a_warm_page_of_what_was_uploaded_costs_no_statement_and_no_render(private_hub: RunningHub) -> None:
    private_hub.page("acme")
    private_hub.page("acme")
    renders = private_hub.metric("index_renders_total", format="json")

    def read_warm() -> tuple[list[str], float]:
        commits = private_hub.metric("commits_total")
        with private_hub.statements() as statements:
            for _ in range(50):
                private_hub.page("acme")
        return statements, private_hub.metric("commits_total") - commits

    statements, _ = next(read for read in iter(read_warm, None) if read[1] == 0)

    assert statements == []
    assert private_hub.metric("index_renders_total", format="json") == renders


def test_a_small_upload_costs_one_commit_and_one_sync_beside_it(
    private_hub: RunningHub, syncs: list[int], upstream: Upstream
) -> None:
    written: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if threading.current_thread().name.startswith("committer"):
            written.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        batches = private_hub.metric("commits_total")
        answer = upload(private_hub, wheel("acme-new", "1.0"))
        commits = private_hub.metric("commits_total") - batches
    finally:
        event.remove(Engine, "before_cursor_execute", note)

    assert answer.status_code == 200
    assert commits == 1
    assert len(written) <= 18, written
    assert len(syncs) == 1  # of the segment, with wheel and METADATA
    assert upstream.requests() == []
