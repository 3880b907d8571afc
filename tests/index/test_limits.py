"""What pages, projects and METADATA may take: at the limit, and one beyond."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.doubles.running import JSON, RunningHub
from tests.doubles.upstream import Upstream, drip


def hub_over(upstream: Upstream, data: Path, *, max_age: float = 1e6, **limits: float) -> RunningHub:
    return RunningHub(data, index={"upstreams": [upstream.url], "max_age": max_age}, limits=limits)


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
