"""Pages with built wheels on them, over a running hub and built wheels that do as they are told."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Hashable, Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx2
import pytest
from starlette.requests import Request
from starlette.responses import Response

from creamery import index, operations
from creamery.contract import ProjectName, digest_of
from creamery.door import Door, Hub
from creamery.http import Needs, Route
from creamery.wheels.merged import MergedPages
from creamery.wheels.offering import Candidate
from creamery.wheels.place import Ring, Sight
from tests.doubles.running import JSON, RunningHub
from tests.doubles.upstream import Upstream
from tests.wheels.agents import PIP, uv
from tests.wheels.built import candidate

HTML = "application/vnd.pypi.simple.v1+html"
INSTALLER, LOCKER = uv(b'["pip","install"]').decode(), uv(b'["lock"]').decode()


class Told:
    """A `Built`: what a test says."""

    def __init__(self) -> None:
        self.candidates_now: list[Candidate] = []
        self.number = 0
        self.asked = 0

    def tell(self, *built: Candidate) -> None:
        """From now on these are there."""
        self.candidates_now = list(built)
        self.number += 1

    def revision(self, project: str) -> Hashable:
        return self.number

    async def candidates(self, project: ProjectName, sight: Sight) -> Sequence[Candidate]:
        self.asked += 1
        found = [each for each in self.candidates_now if each.project == project and each.ring in sight]
        await asyncio.sleep(0.01)
        return found


class MergingHub(RunningHub):
    """The index and, below `/w/i/` and `/ring/{ring}/w/i/`, its pages with built wheels."""

    def list_doors(self) -> Callable[[Hub], tuple[Door, ...]]:
        return self.doors

    def doors(self, hub: Hub) -> tuple[Door, ...]:
        self.told = Told()
        packages = index.door(hub)
        self.merged = merged = MergedPages(packages.pages, self.told, hub.pools.cpu, is_open=True)

        async def page(request: Request) -> Response:
            await hub.settling.settle()
            sight = (Ring(request.path_params.get("ring", "main")),)
            return await merged.answer(request.scope, request.path_params["project"], sight)

        read = Needs("index:read", "project")
        routes = tuple(Route(("GET",), f"{path}/w/i/{{project}}/", page, read) for path in ("", "/ring/{ring}"))
        doors = (packages, Door(name="merged", routes=routes))
        return (*doors, operations.door(hub, doors))

    def ask_for(self, path: str, agent: str = INSTALLER, accept: str = JSON, **headers: str) -> httpx2.Response:
        """A page, as somebody asks for it."""
        answer = self.get(path, accept=accept, user_agent=agent, **headers)
        assert answer.status_code in {200, 304}, answer.text
        return answer

    def built_names(self, path: str = "/w/i/demo/", agent: str = INSTALLER) -> list[str]:
        """The built wheels on a page."""
        files = self.ask_for(path, agent).json()["files"]
        return [file["filename"] for file in files if file["url"].startswith("../../f/")]


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with Upstream() as started:
        started.add("demo", "1.0", "sdist", requires_python=">=3.8", yanked="broken")
        started.add("demo", "1.1", "sdist")
        started.add("demo", "1.2", tag="cp311-cp311-manylinux_2_17_x86_64")
        started.add("demo", "1.2", "sdist")
        yield started


@pytest.fixture
def hub(upstream: Upstream, tmp_path: Path) -> Iterator[MergingHub]:
    with MergingHub(tmp_path, index={"upstreams": [upstream.url], "max_age": 1e6}) as started:
        yield started


def test_an_installer_is_shown_built_wheels_and_nobody_else(hub: MergingHub) -> None:
    hub.told.tell(candidate())
    pure = hub.ask_for("/i/demo/").content

    for agent in (INSTALLER, PIP.decode()):
        assert hub.built_names(agent=agent) == [candidate().filename]
    for agent in (LOCKER, "poetry/2.5.1", "Mozilla/5.0", ""):
        assert hub.ask_for("/w/i/demo/", agent).content == pure
    for path in ("/i/demo/", "/simple/demo/"):
        assert hub.ask_for(path).content == pure


def test_a_built_wheel_in_json_has_all_that_an_installer_asks_about(hub: MergingHub) -> None:
    built = candidate()
    hub.told.tell(built)
    page, pure = (hub.ask_for(path).json() for path in ("/w/i/demo/", "/i/demo/"))

    added = [file for file in page["files"] if file not in pure["files"]]
    assert added == [
        {
            "filename": built.filename,
            "url": f"../../f/{built.digest}/{built.filename}",
            "hashes": {"sha256": built.digest},
            "requires-python": ">=3.8",
            "yanked": "broken",
            "size": built.size,
            "upload-time": next(file["upload-time"] for file in pure["files"] if "1.0" in file["filename"]),
            "provenance": None,
            "core-metadata": {"sha256": built.metadata_digest},
        }
    ]
    assert {**page, "files": []} == {**pure, "files": []}
    assert [file for file in page["files"] if file not in added] == pure["files"]


def test_a_built_wheel_in_html_has_the_same(hub: MergingHub) -> None:
    built = candidate()
    hub.told.tell(built)
    page, pure = (hub.ask_for(path, accept=HTML).text for path in ("/w/i/demo/", "/i/demo/"))

    (anchor,) = set(page.splitlines()) - set(pure.splitlines())
    assert anchor.strip() == (
        f'<a href="../../f/{built.digest}/{built.filename}#sha256={built.digest}" data-requires-python="&gt;=3.8"'
        f' data-dist-info-metadata="sha256={built.metadata_digest}" data-core-metadata="sha256={built.metadata_digest}"'
        f' data-yanked="broken">{built.filename}</a><br>'
    )
    assert page.replace(f"{anchor}\n", "") == pure


def test_the_addresses_lead_where_they_should_from_the_page(hub: MergingHub) -> None:
    hub.told.tell(candidate())
    base = httpx2.URL(f"{hub.base}/w/i/demo/")

    paths = {base.join(file["url"]).path for file in hub.ask_for("/w/i/demo/").json()["files"]}

    assert f"/w/f/{candidate().digest}/{candidate().filename}" in paths
    assert "/w/i/demo/demo-1.0.tar.gz" in paths


def test_a_published_wheel_hides_a_built_one_from_the_page(hub: MergingHub) -> None:
    hub.told.tell(candidate("demo-1.2-cp311-cp311-manylinux_2_34_x86_64.whl"))

    assert hub.built_names() == []
    assert hub.ask_for("/w/i/demo/").content == hub.ask_for("/i/demo/").content


def test_the_page_is_asked_for_at_each_use_and_answered_with_304(hub: MergingHub) -> None:
    hub.told.tell(candidate())
    pure, merged, locking = (
        hub.ask_for(path, agent)
        for path, agent in (("/i/demo/", INSTALLER), ("/w/i/demo/", INSTALLER), ("/w/i/demo/", LOCKER))
    )

    for answer in (merged, locking):
        assert answer.headers["cache-control"] == "no-cache"
        assert answer.headers["vary"] == "Accept, Accept-Encoding, User-Agent"
    assert pure.headers["cache-control"].startswith("max-age=")
    assert pure.headers["vary"] == "Accept, Accept-Encoding"
    assert merged.headers["etag"] != pure.headers["etag"] == locking.headers["etag"]
    for agent, answer in ((INSTALLER, merged), (LOCKER, locking)):
        again = hub.ask_for("/w/i/demo/", agent, if_none_match=answer.headers["etag"])
        assert again.status_code == 304
        assert again.headers["vary"] == answer.headers["vary"]
    assert hub.ask_for("/w/i/demo/", if_none_match=pure.headers["etag"]).status_code == 200


def test_a_warm_page_costs_no_statement_and_asks_for_no_built_wheels(hub: MergingHub) -> None:
    hub.told.tell(candidate())
    first = hub.ask_for("/w/i/demo/")
    asked = hub.told.asked

    def read_warm() -> list[str]:
        with hub.statements() as statements:
            for agent in (INSTALLER, PIP.decode()):
                assert hub.ask_for("/w/i/demo/", agent).content == first.content
        return statements

    assert any(not read_warm() for _ in range(20))  # a job may commit meanwhile, which costs a look
    assert hub.told.asked == asked


def renders(hub: MergingHub) -> float:
    return hub.metric("index_renders_total", format="json")


def test_a_wheel_that_comes_or_goes_is_seen_at_once(hub: MergingHub) -> None:
    pure = hub.ask_for("/w/i/demo/").content
    hub.told.tell(candidate())
    assert hub.built_names() == [candidate().filename]

    hub.told.tell()
    before = renders(hub)

    assert hub.ask_for("/w/i/demo/").content == pure
    assert renders(hub) == before


def test_what_changes_nothing_on_a_page_renders_nothing(hub: MergingHub) -> None:
    hub.told.tell(candidate())
    first = hub.ask_for("/w/i/demo/").content
    before = renders(hub)

    hub.told.tell(candidate(), candidate("other-1.0-py3-none-any.whl"))

    assert hub.ask_for("/w/i/demo/").content == first
    assert renders(hub) == before


def test_each_ring_has_its_page(hub: MergingHub) -> None:
    theirs = candidate("demo-1.1-py3-none-any.whl", ring="theirs")
    hub.told.tell(candidate(), theirs)

    assert hub.built_names() == [candidate().filename]
    assert hub.built_names("/ring/theirs/w/i/demo/") == [theirs.filename]


def test_a_page_that_changes_upstream_is_weighed_anew(upstream: Upstream, tmp_path: Path) -> None:
    with MergingHub(tmp_path, index={"upstreams": [upstream.url]}) as hub:
        hub.told.tell(candidate())
        assert hub.built_names() == [candidate().filename]

        upstream.add("demo", "1.0", tag="py3-none-any")

        assert hub.built_names() == []
        assert "demo-1.0-py3-none-any.whl" in hub.ask_for("/w/i/demo/").text


def test_nothing_built_is_shown_of_a_project_that_is_quarantined(upstream: Upstream, tmp_path: Path) -> None:
    with MergingHub(tmp_path, index={"upstreams": [upstream.url], "quarantined_upstream": "serve"}) as hub:
        hub.told.tell(candidate())
        assert hub.built_names() == [candidate().filename]
        hub.download("demo", "demo-1.0.tar.gz")

        upstream.set_status("demo", "quarantined")

        assert hub.built_names() == []


def test_while_the_upstream_is_down_built_wheels_stay(upstream: Upstream, tmp_path: Path) -> None:
    with MergingHub(tmp_path, index={"upstreams": [upstream.url], "offline_pages": "here"}) as hub:
        hub.told.tell(candidate())
        before = hub.ask_for("/w/i/demo/").json()

        upstream.stop()
        after = hub.ask_for("/w/i/demo/")

    assert after.headers["cache-control"] == "no-cache"
    assert "stale" in after.headers["cache-status"]
    assert [file["filename"] for file in after.json()["files"]] == [candidate().filename]
    assert after.json()["versions"] == ["1.0"]
    assert set(after.json()["versions"]) < set(before["versions"])


def test_those_who_ask_together_cost_one_page(hub: MergingHub) -> None:
    hub.told.tell(candidate())
    hub.ask_for("/i/demo/")
    before, asked = renders(hub), hub.told.asked

    async def together() -> set[bytes]:
        async with httpx2.AsyncClient(trust_env=False, headers={"User-Agent": INSTALLER, "Accept": JSON}) as client:
            answers = await asyncio.gather(*(client.get(f"{hub.base}/w/i/demo/") for _ in range(10)))
        return {answer.content for answer in answers}

    assert len(asyncio.run(together())) == 1
    assert renders(hub) == before + 1
    assert hub.told.asked == asked + 1


def test_a_page_under_another_spelling_leads_to_its_own(hub: MergingHub) -> None:
    answer = hub.get("/w/i/Demo/", user_agent=INSTALLER)

    assert answer.status_code == 301
    assert httpx2.URL(f"{hub.base}/w/i/Demo/").join(answer.headers["location"]).path == "/w/i/demo/"
    assert hub.get("/w/i/unknown/", user_agent=INSTALLER).status_code == 404


def lists(hub: MergingHub, count: int) -> None:
    """So many different pages of one project, the pure one aside."""
    for number in range(count):
        hub.told.tell(candidate(number=number))
        assert hub.built_names() == [candidate().filename]


@pytest.mark.parametrize("limits", [{}, {"page_cache_bytes": 6_000}])
def test_pages_of_one_project_are_bounded(upstream: Upstream, tmp_path: Path, limits: dict[str, Any]) -> None:
    with MergingHub(tmp_path, index={"upstreams": [upstream.url], "max_age": 1e6}, limits=limits) as hub:
        hub.ask_for("/i/demo/")
        lists(hub, 3)
        few = hub.metric("index_page_bytes")
        lists(hub, 40)

        assert 0 < few <= hub.metric("index_page_bytes") <= limits.get("page_cache_bytes", 8 * few)


def test_why_a_built_wheel_is_listed_or_not_is_told(hub: MergingHub) -> None:
    hub.told.tell(candidate(), candidate(number=2), candidate("demo-1.2-cp311-cp311-manylinux_2_17_x86_64.whl"))
    hub.ask_for("/w/i/demo/")

    async def explained() -> list[tuple[bool, str]]:
        return [(each.listed, each.reason) for each in await hub.merged.explain(ProjectName("demo"), (Ring("main"),))]

    loop = hub._loop
    assert loop is not None
    told = asyncio.run_coroutine_threadsafe(explained(), loop).result(10)
    assert [listed for listed, _ in told] == [True, False, False]
    assert re.search("has demo-1.0.tar.gz", told[0][1])
    assert "another build" in told[1][1]
    assert "has published" in told[2][1]


def test_a_source_is_known_by_its_bytes_where_the_upstream_names_no_hash(hub: MergingHub, upstream: Upstream) -> None:
    sdist = hub.download("demo", "demo-1.1.tar.gz")
    right = candidate("demo-1.1-py3-none-any.whl", source=digest_of(sdist))
    hub.told.tell(right, candidate("demo-1.1-py2-none-any.whl", source=digest_of(b"other")))

    assert hub.built_names() == [right.filename]
