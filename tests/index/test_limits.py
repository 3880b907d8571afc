"""What pages, projects and METADATA may take: at the limit, and one beyond."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

import pytest

from creamery.egress import pace
from tests.doubles.running import JSON, hub_over
from tests.doubles.upstream import Upstream, close_at, drip, hang, say


@pytest.mark.parametrize(("files", "status"), [(3, 200), (4, 503)])
def test_a_page_may_list_so_many_files(upstream: Upstream, tmp_path: Path, files: int, status: int) -> None:
    upstream.add_many("many", files)

    with hub_over(upstream, tmp_path, page_files=3) as hub:
        assert hub.get("/simple/many/").status_code == status


@pytest.mark.parametrize(("beyond", "status"), [(0, 200), (1, 503)])
def test_an_upstreams_page_may_have_so_many_bytes(upstream: Upstream, tmp_path: Path, beyond: int, status: int) -> None:
    size = len(upstream._page("demo", "json").body)

    with hub_over(upstream, tmp_path, upstream_page_bytes=size - beyond) as hub:
        assert hub.get("/simple/demo/").status_code == status


@pytest.mark.parametrize(("seconds", "status"), [(10, 200), (0.2, 503)])
def test_an_upstreams_page_may_take_so_long(upstream: Upstream, tmp_path: Path, seconds: float, status: int) -> None:
    size = len(upstream._page("demo", "json").body)
    upstream.misbehave("/simple/demo/", drip(size))  # without compression, a second

    with hub_over(upstream, tmp_path, upstream_page_seconds=seconds) as hub:
        assert hub.get("/simple/demo/").status_code == status


@pytest.mark.parametrize(("beyond", "status"), [(0, 200), (1, 503)])
def test_metadata_may_have_so_many_bytes(upstream: Upstream, tmp_path: Path, beyond: int, status: int) -> None:
    made = upstream.add("sized", "1.0")

    with hub_over(upstream, tmp_path, metadata_bytes=len(made.metadata) - beyond) as hub:
        hub.page("sized")
        assert hub.get(f"/i/sized/{made.filename}.metadata").status_code == status


@pytest.mark.parametrize(("pages", "renders"), [(2, 0), (1, 1)])
def test_pages_beyond_the_cache_are_rendered_anew(upstream: Upstream, tmp_path: Path, pages: int, renders: int) -> None:
    """page_cache_bytes: the page that was asked for last always stays."""
    upstream.add("twin", "1.0")
    upstream.add("twix", "1.0")
    with hub_over(upstream, tmp_path / "measured") as hub:
        hub.page("twin")
        size = int(hub.metric("index_page_bytes"))

    with hub_over(upstream, tmp_path / "hub", page_cache_bytes=pages * size) as hub:
        hub.page("twin")
        hub.page("twix")
        before = hub.metric("index_renders_total", format="json")
        hub.page("twin")

        assert hub.metric("index_renders_total", format="json") - before == renders


@pytest.mark.parametrize(("known", "statements"), [(2, 0), (1, 1)])
def test_projects_beyond_those_kept_in_memory_cost_a_look(
    upstream: Upstream, tmp_path: Path, known: int, statements: int
) -> None:
    with hub_over(upstream, tmp_path, known_projects=known) as hub:
        for name in ("demo", "dep") * 2:  # the second time sees what the first one wrote
            hub.page(name)
        with hub.statements() as seen:
            hub.get("/simple/demo/", accept=JSON)

        assert min(len(seen), 1) == statements


@pytest.mark.parametrize(("known", "statements"), [(2, 0), (1, 1)])
def test_files_beyond_those_kept_in_memory_cost_a_look(
    upstream: Upstream, tmp_path: Path, known: int, statements: int
) -> None:
    with hub_over(upstream, tmp_path, known_files=known) as hub:
        first, second = hub.files("demo")
        hub.download("demo", first)
        hub.download("demo", second)
        catalog_settles = [hub.get(f"/i/demo/{name}").status_code for name in (first, second)]
        with hub.statements() as seen:
            hub.get(f"/i/demo/{first}")

        assert catalog_settles == [200, 200]
        assert min(len(seen), 1) == statements


@pytest.mark.parametrize("attempts", [2, 3])
def test_a_transfer_without_progress_has_so_many_tries(upstream: Upstream, tmp_path: Path, attempts: int) -> None:
    made = upstream.add("broken", "1.0", size=20_000)
    path = upstream.path_of(made.filename)
    upstream.misbehave(path, close_at(0.5))

    with hub_over(upstream, tmp_path, upstream_attempts=attempts) as hub:
        hub.raw(b"/i/broken/" + made.filename.encode())

    assert upstream.count(path) == attempts


@pytest.mark.parametrize(("flights", "second_begins"), [(1, 0), (2, 1)])
def test_so_many_transfers_run_at_once(upstream: Upstream, tmp_path: Path, flights: int, second_begins: int) -> None:
    paths = []
    for project in ("first", "second"):
        made = upstream.add(project, "1.0", size=20_000)
        paths.append(upstream.path_of(made.filename))
        upstream.misbehave(paths[-1], hang(0.5))

    with hub_over(upstream, tmp_path, upstream_flights=flights) as hub:
        for project in ("first", "second"):
            with contextlib.suppress(TimeoutError):
                hub.raw(f"/i/{project}/{hub.files(project)[0]}".encode(), seconds=0.3)

        assert [upstream.count(path) for path in paths] == [1, second_begins]
        upstream.behave()
        upstream.cut()


@pytest.mark.parametrize(("rate", "is_whole"), [(20_000, True), (500_000, False)])
def test_a_transfer_must_bring_so_much_a_second(
    upstream: Upstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rate: int, is_whole: bool
) -> None:
    monkeypatch.setattr(pace, "WINDOW_SECONDS", 0.2)
    made = upstream.add("slow", "1.0", size=60_000)
    upstream.misbehave(upstream.path_of(made.filename), drip(100_000))

    with hub_over(upstream, tmp_path, upstream_minimum_rate=rate, upstream_attempts=1) as hub:
        hub.page("slow")
        answer = hub.raw(b"/i/slow/" + made.filename.encode())

    assert (answer.partition(b"\r\n\r\n")[2] == made.content) is is_whole


@pytest.mark.parametrize("ends_by", ["upstream_page_seconds", "the hub's end"])
def test_a_page_that_takes_long_to_read_ends_with_its_time_or_the_hub(
    upstream: Upstream, tmp_path: Path, ends_by: str
) -> None:
    body = b"Links for long " + b"<" * 9_000_000  # no error, and many seconds of the processor
    upstream.misbehave("/simple/long/", say(body, "text/html"))
    seconds = 0.5 if ends_by == "upstream_page_seconds" else 600.0

    with hub_over(upstream, tmp_path, upstream_page_seconds=seconds) as hub:
        began = time.monotonic()
        with contextlib.suppress(TimeoutError):
            status = hub.raw(b"/simple/long/", seconds=20 if seconds < 1 else 0.5)[9:12]
            assert status == b"503"
    ended = time.monotonic() - began

    assert ended < 5
