"""Revalidation, and what happens when upstream does not do as it should."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.doubles.running import JSON, RunningHub, hub_over
from tests.doubles.upstream import (
    Upstream,
    close_at,
    drip,
    endless_json,
    garbage,
    gzip_bomb,
    hang,
    lie_about_length,
    redirect_to,
    status,
)

WITHIN = 1.5
"""Seconds for an answer that is promised within one, on a machine that does other things too."""


def test_the_newest_version_is_visible_at_once(hub: RunningHub, upstream: Upstream) -> None:
    hub.page("demo")

    made = upstream.add("demo", "1.2")

    assert made.filename in hub.files("demo")


def test_a_page_request_asks_upstream_conditionally(hub: RunningHub, upstream: Upstream) -> None:
    hub.page("demo")
    upstream.forget()

    first, again = hub.page("demo"), hub.page("demo")

    assert first == again
    assert [(seen.path, seen.status) for seen in upstream.requests()] == [("/simple/demo/", 304)] * 2


def test_all_who_ask_together_cost_one_upstream_request(hub: RunningHub, upstream: Upstream) -> None:
    upstream.latency = 0.3

    with ThreadPoolExecutor(20) as clients:
        pages = list(clients.map(lambda _: hub.page("demo"), range(20)))

    assert pages == [pages[0]] * 20
    assert upstream.count("/simple/demo/") == 1


def test_within_max_age_upstream_is_not_asked(relaxed_hub: RunningHub, upstream: Upstream) -> None:
    response = relaxed_hub.get("/simple/demo/")
    upstream.add("demo", "1.2")

    again = relaxed_hub.get("/simple/demo/")

    assert upstream.count("/simple/demo/") == 1
    assert again.text == response.text
    assert 55 <= int(response.headers["cache-control"].removeprefix("max-age=")) <= 60


def test_an_upstream_without_validators_and_with_html_only_works(tmp_path: Path) -> None:
    with Upstream(json=False, etag=False, last_modified=False, sizes=False) as upstream:
        made = upstream.add("demo", "1.0", requires_python=">=3.7")
        with RunningHub(tmp_path, index={"upstreams": [upstream.url]}) as hub:
            first = hub.page("demo")
            again = hub.page("demo")
            newer = upstream.add("demo", "1.1")
            changed = hub.files("demo")

            assert first == again
            assert first["versions"] == ["1.0"]
            assert first["files"][0]["hashes"] == {"sha256": made.sha256}
            assert first["files"][0]["requires-python"] == ">=3.7"
            assert newer.filename in changed
            assert hub.metric("index_pages_total", outcome="changed") == 2
            assert hub.metric("index_pages_total", outcome="revalidated") == 1


def test_a_file_that_upstream_withdraws_leaves_the_page_and_comes_back(hub: RunningHub, upstream: Upstream) -> None:
    before = hub.files("demo")

    upstream.remove("demo", "1.1")
    without = hub.files("demo")
    upstream.add("demo", "1.1", requires=["dep>=1"], requires_python=">=3.8")

    assert without == [name for name in before if "1.1" not in name]
    assert hub.files("demo") == before


def test_an_unknown_name_is_remembered_for_a_while(tmp_path: Path, upstream: Upstream) -> None:
    with RunningHub(tmp_path, index={"upstreams": [upstream.url]}, limits={"unknown_seconds": 0.5}) as hub:
        answers = [hub.get("/simple/later/").status_code for _ in range(3)]
        asked = upstream.count("/simple/later/")
        upstream.add("later", "1.0")
        time.sleep(0.6)

        assert answers == [404, 404, 404]
        assert asked == 1
        assert hub.get("/simple/later/").status_code == 200


@pytest.mark.parametrize("is_served", [True, False])
def test_of_a_project_that_upstream_drops_the_copies_stay_where_they_are_served(
    tmp_path: Path, upstream: Upstream, *, is_served: bool
) -> None:
    settings = {"upstreams": [upstream.url], "deleted_upstream": "serve" if is_served else "withhold"}
    with RunningHub(tmp_path, index=settings) as hub:
        here, other = hub.files("demo")
        hub.download("demo", here)

        upstream.remove("demo")
        page, copy, lost = (
            hub.get("/simple/demo/", accept=JSON),
            hub.get(f"/i/demo/{here}"),
            hub.get(f"/i/demo/{other}"),
        )

        if is_served:
            reason = "deleted upstream; the copy that is here is still served"
            assert [(file["filename"], file["yanked"]) for file in page.json()["files"]] == [(here, reason)]
            assert copy.status_code == 200
        else:
            assert (page.status_code, copy.status_code) == (404, 404)
            assert "deleted upstream" in copy.json()["detail"]
        assert lost.status_code == 404
        listed = [project["name"] for project in hub.get("/simple/", accept=JSON).json()["projects"]]
        assert listed == (["demo"] if is_served else [])
        assert hub.get("/simple/demo/").status_code == page.status_code


def test_a_file_that_upstream_deletes_becomes_a_tombstone(hub: RunningHub, upstream: Upstream) -> None:
    here, other = hub.files("demo")
    hub.download("demo", here)

    upstream.remove("demo", "1.0")
    upstream.remove("demo", "1.1")
    upstream.add("demo", "2.0")
    page = hub.page("demo")

    newest = "demo-2.0-py3-none-any.whl"
    assert [(file["filename"], bool(file["yanked"])) for file in page["files"]] == [(here, True), (newest, False)]
    assert (hub.get(f"/i/demo/{here}").status_code, hub.get(f"/i/demo/{other}").status_code) == (200, 404)


def _say_nothing(upstream: Upstream) -> None:
    upstream.stop()


def _hang(upstream: Upstream) -> None:
    upstream.misbehave("/simple/*", hang())


def _fail(upstream: Upstream) -> None:
    upstream.misbehave("/simple/*", status(503))


def _talk_nonsense(upstream: Upstream) -> None:
    upstream.misbehave("/simple/*", garbage())


def _send_a_bomb(upstream: Upstream) -> None:
    upstream.misbehave("/simple/*", gzip_bomb())


def _send_without_end(upstream: Upstream) -> None:
    upstream.misbehave("/simple/*", endless_json())


def _drip(upstream: Upstream) -> None:
    upstream.add("demo", "1.2")  # so that there is a page to send
    upstream.misbehave("/simple/*", drip(50))


def _lie(upstream: Upstream) -> None:
    upstream.add("demo", "1.2")  # so that there is a page to send
    upstream.misbehave("/simple/*", lie_about_length(100))


def _break_off(upstream: Upstream) -> None:
    upstream.add("demo", "1.2")  # so that there is a page to send
    upstream.misbehave("/simple/*", close_at(0.99))


def _lead_inside(upstream: Upstream) -> None:
    upstream.misbehave("/simple/*", redirect_to("http://127.0.0.2:1/secret"))


TROUBLES = [
    _say_nothing,
    _hang,
    _fail,
    _talk_nonsense,
    _send_a_bomb,
    _send_without_end,
    _drip,
    _lie,
    _break_off,
    _lead_inside,
]


@pytest.mark.parametrize("trouble", TROUBLES, ids=lambda trouble: trouble.__name__.strip("_"))
def test_what_is_known_is_served_stale_within_a_second_and_said_so(
    hub: RunningHub, upstream: Upstream, trouble: Any
) -> None:
    filename = hub.files("demo")[0]
    hub.download("demo", filename)

    trouble(upstream)
    started = time.monotonic()
    response = hub.get("/simple/demo/", accept=JSON)
    seconds = time.monotonic() - started

    assert response.status_code == 200
    assert filename in [file["filename"] for file in response.json()["files"]]
    assert response.headers["cache-status"].startswith("creamery; hit; fwd=stale; detail=")
    assert upstream.host not in response.headers["cache-status"]
    assert seconds < WITHIN


@pytest.mark.parametrize("trouble", [_say_nothing, _fail, _talk_nonsense, _lead_inside], ids=lambda each: each.__name__)
def test_what_is_not_known_is_503_with_the_remedy(hub: RunningHub, upstream: Upstream, trouble: Any) -> None:
    trouble(upstream)

    response = hub.get("/simple/demo/")

    assert response.status_code == 503
    assert response.headers["retry-after"] == "5"
    assert "its upstream cannot be asked" in response.reason_phrase  # all that pip and uv show of it
    assert "creamery index reserve" in response.reason_phrase
    assert upstream.host not in response.text + response.reason_phrase  # where a hub asks is nobody else's business


@pytest.mark.parametrize("trouble", [_say_nothing, _hang], ids=lambda each: each.__name__)
def test_a_dead_upstream_slows_nothing_and_its_stale_pages_list_what_is_here(
    hub: RunningHub, upstream: Upstream, trouble: Any
) -> None:
    here = hub.files("demo")[0]
    hub.download("demo", here)
    hub.page("dep")
    trouble(upstream)
    hub.page("demo")

    started = time.monotonic()
    pages = [hub.page("demo") for _ in range(20)]
    seconds = time.monotonic() - started

    assert [file["filename"] for file in pages[0]["files"]] == [here]
    assert pages[0]["versions"] == ["1.0"]
    assert hub.page("dep")["files"] == []
    assert seconds < WITHIN


def test_offline_a_project_without_a_file_here_lists_those_whose_metadata_is(
    hub: RunningHub, upstream: Upstream
) -> None:
    upstream.add("elsewhere", "1.0")
    upstream.add("elsewhere", "1.1")
    older, newer = hub.files("elsewhere")
    hub.get(f"/i/elsewhere/{newer}.metadata")
    hub.get("/simple/elsewhere/")
    upstream.stop()
    with_metadata = hub.files("elsewhere")
    upstream.start()
    hub.wait_until(lambda: len(hub.files("elsewhere")) == 2)
    hub.download("elsewhere", older)
    upstream.stop()

    assert with_metadata == [newer]
    assert hub.files("elsewhere") == [older]


def test_offline_pages_can_list_all(tmp_path: Path, upstream: Upstream) -> None:
    with RunningHub(tmp_path, index={"upstreams": [upstream.url], "offline_pages": "all"}) as hub:
        before = hub.files("demo")

        upstream.stop()

        assert hub.files("demo") == before


def test_an_upstream_that_is_back_is_asked_again(hub: RunningHub, upstream: Upstream) -> None:
    hub.page("demo")
    upstream.stop()
    hub.page("demo")

    upstream.start()
    upstream.add("demo", "3.0")

    hub.wait_until(lambda: "demo-3.0-py3-none-any.whl" in hub.files("demo"))


def test_a_slow_upstream_earns_patience_and_its_pages_stay_whole(upstream: Upstream, tmp_path: Path) -> None:
    with hub_over(upstream, tmp_path, max_age=0, upstream_stale_seconds=0.3) as hub:
        hub.page("demo")
        upstream.latency = 0.4
        made = upstream.add("demo", "3.0")

        hub.wait_until(lambda: made.filename in hub.files("demo"), seconds=15)
        assert len(hub.files("demo")) == 3


def test_the_first_upstream_that_knows_a_name_owns_it_whatever_the_others_say_later(tmp_path: Path) -> None:
    with Upstream() as first, Upstream() as second:
        second.add("demo", "9.9")
        with RunningHub(tmp_path, index={"upstreams": [first.url, second.url]}) as hub:
            from_second = hub.files("demo")
            first.add("demo", "1.0")
            later = hub.files("demo")
            second.remove("demo")
            gone = hub.get("/simple/demo/")
            asked = first.count("/simple/demo/")
            first.stop()
            unknown = hub.get("/simple/other/")

            assert from_second == later == ["demo-9.9-py3-none-any.whl"]
            assert gone.status_code == 404
            assert asked == 1
            assert unknown.status_code == 503


def test_a_name_whose_owner_is_configured_no_more_is_asked_of_nobody_else(tmp_path: Path) -> None:
    with Upstream() as first, Upstream() as second:
        first.add("demo", "1.0")
        second.add("demo", "9.9")
        with RunningHub(tmp_path, index={"upstreams": [first.url, second.url]}) as hub:
            filename = hub.files("demo")[0]
            hub.download("demo", filename)
        with RunningHub(tmp_path, index={"upstreams": [second.url]}) as hub:
            page = hub.get("/simple/demo/", accept=JSON)

            assert [file["filename"] for file in page.json()["files"]] == [filename]
            assert "is configured no more" in page.headers["cache-status"]
            assert second.count("/simple/demo/") == 0


def test_an_upstream_that_may_not_hear_a_name_any_more_does_not_hear_of_its_files_either(
    tmp_path: Path, upstream: Upstream
) -> None:
    with RunningHub(tmp_path, index={"upstreams": [upstream.url]}) as hub:
        here, other = hub.files("demo")
        hub.download("demo", here)
        upstream.forget()
    with RunningHub(tmp_path, index={"upstreams": [{"url": upstream.url, "names": ["acme-*"]}]}) as hub:
        page = hub.get("/simple/demo/", accept=JSON)
        refused = [hub.get(f"/i/demo/{other}{suffix}") for suffix in ("", ".metadata")]

        assert [file["filename"] for file in page.json()["files"]] == [here]
        assert [answer.status_code for answer in refused] == [503, 503]
        assert "may not answer for the name" in refused[0].json()["detail"]
        assert upstream.requests() == []


def test_an_upstream_never_hears_of_names_that_it_may_not_answer_for(tmp_path: Path) -> None:
    with Upstream() as inner, Upstream() as outer:
        outer.add("acme-tool", "6.6")
        outer.add("demo", "1.0")
        inner.add("acme-tool", "1.0")
        upstreams = [{"url": inner.url, "names": ["Acme_*"]}, {"url": outer.url, "names": ["d*"]}]
        with RunningHub(tmp_path, index={"upstreams": upstreams}) as hub:
            assert hub.files("acme-tool") == ["acme_tool-1.0-py3-none-any.whl"]
            assert hub.files("demo") == ["demo-1.0-py3-none-any.whl"]
            assert hub.get("/simple/other/").status_code == 404
            assert inner.count("/simple/demo/") == outer.count("/simple/acme-tool/") == 0
            assert inner.count("/simple/other/") == outer.count("/simple/other/") == 0


def test_a_hub_without_upstream_serves_what_it_has(tmp_path: Path, upstream: Upstream) -> None:
    with RunningHub(tmp_path, index={"upstreams": [upstream.url]}) as hub:
        here, other = hub.files("demo")
        hub.download("demo", here)
        upstream.forget()
    with RunningHub(tmp_path, index={"upstreams": []}) as hub:
        assert hub.files("demo") == [here]
        assert hub.get(f"/i/demo/{here}").status_code == 200
        assert hub.get(f"/i/demo/{other}").status_code == 503
        assert hub.client.head(f"{hub.base}/i/demo/{other}").status_code == 503
        assert hub.get("/simple/other/").status_code == 404
        assert upstream.requests() == []


@pytest.fixture
def pressing() -> Iterator[threading.Event]:
    """Set when the test is over."""
    over = threading.Event()
    yield over
    over.set()


def test_conditional_requests_are_one_per_round_however_many_clients(
    hub: RunningHub, upstream: Upstream, pressing: threading.Event
) -> None:
    hub.page("demo")
    upstream.latency = 0.1
    upstream.forget()
    answered: list[int] = []

    def press() -> None:
        while not pressing.is_set():
            answered.append(hub.get("/simple/demo/", accept=JSON).status_code)

    with ThreadPoolExecutor(10) as clients:
        for _ in range(10):
            clients.submit(press)
        time.sleep(1.0)
        pressing.set()

    rounds = upstream.count("/simple/demo/")
    assert set(answered) == {200}
    assert rounds <= 11  # a second holds ten rounds of 100 ms
    assert len(answered) >= 5 * rounds
