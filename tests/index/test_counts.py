"""What requests cost, in things that can be counted: statements, commits, syncs, renders, upstream requests."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.doubles.running import RunningHub
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
    """One entry for each fsync that Python asks for; the database's own come with its commits."""
    seen: list[int] = []
    fsync = os.fsync

    def counted(descriptor: int) -> None:
        seen.append(descriptor)
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", counted)
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
    """Syncs and commits of one call: the least of some, because jobs commit now and then."""

    def of(act: Callable[[str], object], names: list[str]) -> tuple[int, float]:
        found = []
        for name in names:
            before = len(syncs), quiet_hub.metric("commits_total")
            act(name)
            found.append((len(syncs) - before[0], quiet_hub.metric("commits_total") - before[1]))
        return min(found)

    return of


def test_keeping_costs_one_commit_and_a_file_its_syncs(
    quiet_hub: RunningHub, upstream: Upstream, cost: Callable[[Callable[[str], object], list[str]], tuple[int, float]]
) -> None:
    projects = [f"project{number}" for number in range(5)]
    for project in projects:
        upstream.add(project, "1.0")

    def download(project: str) -> object:
        return quiet_hub.download(project, f"{project}-1.0-py3-none-any.whl")

    assert cost(quiet_hub.page, projects) == (0, 1)
    # The file, its folder, and, because that is new, the two folders above.
    assert cost(download, projects) == (4, 1)
    assert cost(download, projects) == (0, 0)
    assert cost(quiet_hub.page, projects) == (0, 0)
