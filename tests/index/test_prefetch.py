"""A prefetch brings what it names, each file once, whatever happens meanwhile; what is pinned stays."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from creamery.index import prefetch as rule
from creamery.index.tables import index_file
from creamery.jobs import cancel, find_job, retry
from tests.doubles.desk import BY, Desk
from tests.doubles.distributions import wheel
from tests.doubles.loopback import Exchange
from tests.doubles.running import RunningHub
from tests.doubles.uploading import PASSCODE, upload
from tests.doubles.upstream import Upstream, status, wrong_bytes


@pytest.fixture
def desk(hub: RunningHub) -> Desk:
    return Desk(hub)


def counts(found: Any) -> dict[str, int]:
    return {name: found[name] for name in ("files", "here", "fetched", "failed", "left")}


def metadata_of(hub: RunningHub, filename: str) -> str | None:
    query = select(index_file.c.metadata_digest).where(index_file.c.filename == filename)
    found: str | None = hub.ask(lambda connection: connection.execute(query).scalar_one())
    return found


def test_files_come_with_their_metadata_and_without_anybody_asking_for_them(upstream: Upstream, desk: Desk) -> None:
    made = upstream.add("demo", "2.0", size=100_000)

    found = desk.bring("/prefetch", ("Demo", made.filename, made.sha256), ("dep", "dep-1.0-py3-none-any.whl"))

    assert counts(found) == {"files": 2, "here": 0, "fetched": 2, "failed": 0, "left": 0}
    assert found["state"] == "done"
    assert found["fetched_bytes"] > 100_000
    assert metadata_of(desk.hub, made.filename) == hashlib.sha256(made.metadata).hexdigest()
    upstream.stop()
    assert desk.hub.get(f"/i/demo/{made.filename}").content == made.content
    assert desk.hub.get(f"/i/demo/{made.filename}.metadata").content == made.metadata
    assert desk.hub.get("/i/dep/dep-1.0-py3-none-any.whl").status_code == 200


def test_what_is_here_is_not_fetched_again(upstream: Upstream, desk: Desk) -> None:
    made = upstream.add("demo", "2.0")
    desk.bring("/prefetch", ("demo", made.filename))
    upstream.forget()

    found = desk.bring("/prefetch", ("demo", made.filename))

    assert counts(found) == {"files": 1, "here": 1, "fetched": 0, "failed": 0, "left": 0}
    assert upstream.requests() == []


def test_what_was_here_counts_as_just_used(upstream: Upstream, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    made = upstream.add("demo", "2.0")
    desk.bring("/prefetch", ("demo", made.filename))
    used: list[str] = []
    monkeypatch.setattr(desk.hub.built.hub.blobs, "used", used.append)

    found = desk.bring("/prefetch", ("demo", made.filename))

    assert found["here"] == 1
    assert used == [made.sha256]


def test_all_of_a_project_is_what_its_page_lists(upstream: Upstream, desk: Desk) -> None:
    upstream.add("demo", "1.1", "sdist")

    found = desk.bring("/prefetch", projects=("demo",))

    assert counts(found) == {"files": 3, "here": 0, "fetched": 3, "failed": 0, "left": 0}
    assert desk.hub.is_here("demo-1.1.tar.gz")


def test_a_file_that_cannot_be_had_fails_with_its_reason_and_no_other(upstream: Upstream, desk: Desk) -> None:
    wrong, gone, good = (upstream.add("demo", version) for version in ("3.0", "4.0", "5.0"))
    upstream.misbehave(upstream.path_of(wrong.filename), wrong_bytes())
    upstream.misbehave(upstream.path_of(gone.filename), status(404))

    found = desk.bring(
        "/prefetch",
        ("demo", wrong.filename),
        ("demo", gone.filename),
        ("demo", good.filename),
        ("demo", "demo-9.0.tar.gz"),
        ("dep", "dep-1.0-py3-none-any.whl", "0" * 64),
        ("nobody-has-this", "nobody_has_this-1.0.tar.gz"),
        projects=("nor-this",),
    )

    assert counts(found) == {"files": 7, "here": 0, "fetched": 1, "failed": 6, "left": 0}
    assert desk.hub.is_here(good.filename)
    dep = hashlib.sha256(desk.hub.get("/i/dep/dep-1.0-py3-none-any.whl").content).hexdigest()
    assert {failure["filename"] or failure["project"]: failure["reason"] for failure in found["failures"]} == {
        wrong.filename: "its upstream sends other bytes than its page announces",
        gone.filename: "its upstream lists this file and does not have it",
        "demo-9.0.tar.gz": "its index does not list this file",
        "dep-1.0-py3-none-any.whl": f"its index says that its SHA-256 is {dep}, and {'0' * 64} is wanted",
        "nobody_has_this-1.0.tar.gz": "no index has this project",
        "nor-this": "no index has this project",
    }


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be had now is tried again soon."""
    monkeypatch.setattr(rule, "AGAIN_SECONDS", 0.2)


@pytest.mark.usefixtures("impatient")
def test_while_its_upstream_is_down_a_prefetch_waits_and_says_so(upstream: Upstream, desk: Desk) -> None:
    made = upstream.add("demo", "2.0")
    desk.hub.page("demo")
    upstream.stop()
    _, asked = desk.ask("POST", "/prefetch", files=[{"project": "demo", "filename": made.filename}])

    desk.hub.wait_until(lambda: desk.show(asked["id"])["waits"] != [])
    waiting = desk.show(asked["id"])
    upstream.start()
    found = desk.wait(asked["id"])

    assert waiting["state"] == "running"
    assert waiting["waits"][0]["filename"] == made.filename
    assert waiting["waits"][0]["reason"].startswith("its upstream ")
    assert counts(found) == {"files": 1, "here": 0, "fetched": 1, "failed": 0, "left": 0}


@pytest.mark.usefixtures("impatient")
def test_a_prefetch_does_not_wait_longer_than_its_limit(upstream: Upstream, tmp_path: Path) -> None:
    made = upstream.add("demo", "2.0")
    limits = {"prefetch_seconds": 1}
    with RunningHub(tmp_path, index={"upstreams": [upstream.url]}, limits=limits) as hub:
        desk = Desk(hub)
        hub.page("demo")
        upstream.stop()

        found = desk.bring("/prefetch", ("demo", made.filename))

    assert counts(found) == {"files": 1, "here": 0, "fetched": 0, "failed": 1, "left": 0}


@pytest.mark.parametrize("at_once", [1, 3])
def test_a_prefetch_brings_so_many_files_at_once(upstream: Upstream, tmp_path: Path, at_once: int) -> None:
    for number in range(7):
        upstream.add("many", f"1.{number}")
    under_way: list[Exchange] = []
    seen: list[int] = []

    async def slowly(exchange: Exchange) -> None:
        under_way.append(exchange)
        await asyncio.sleep(0.1)
        seen.append(len(under_way))
        under_way.pop()
        await exchange.send()

    upstream.misbehave("/packages/*.whl", slowly)
    with RunningHub(tmp_path, index={"upstreams": [upstream.url]}, limits={"prefetch_files": at_once}) as hub:
        Desk(hub).bring("/prefetch", projects=("many",))

    assert (len(seen), max(seen)) == (7, at_once)


@pytest.fixture
def evicting_hub(upstream: Upstream, tmp_path: Path) -> Iterator[RunningHub]:
    """A hub whose cache may hold nothing."""
    with RunningHub(tmp_path, index={"upstreams": [upstream.url]}, cache={"max_bytes": 0}) as hub:
        yield hub


def test_a_pinned_file_survives_eviction_until_it_is_unpinned(upstream: Upstream, evicting_hub: RunningHub) -> None:
    hub, desk = evicting_hub, Desk(evicting_hub)
    pinned, other = upstream.add("demo", "2.0", size=100_000), upstream.add("demo", "3.0", size=100_000)
    found = desk.bring("/pins", ("demo", pinned.filename))
    desk.bring("/prefetch", ("demo", other.filename))

    hub.built.hub.blobs.evict()

    assert counts(found) == {"files": 1, "here": 0, "fetched": 1, "failed": 0, "left": 0}
    assert hub.is_here(pinned.filename)
    assert metadata_of(hub, pinned.filename) is not None
    assert not hub.is_here(other.filename)
    assert metadata_of(hub, other.filename) is None
    assert desk.ask("DELETE", "/pins/demo/2.0.0") == (200, {"unpinned": [pinned.filename]})
    hub.built.hub.blobs.evict()
    assert not hub.is_here(pinned.filename)


def test_a_pinned_file_does_not_grow_too_old(upstream: Upstream, tmp_path: Path) -> None:
    pinned, other = upstream.add("demo", "2.0"), upstream.add("demo", "3.0")
    limits = {"sweep_share": 1, "uses_seconds": 0.05}
    cache = {"max_age": 0.5}
    with RunningHub(tmp_path, index={"upstreams": [upstream.url]}, cache=cache, limits=limits) as hub:
        desk = Desk(hub)
        desk.bring("/prefetch", ("demo", other.filename))
        desk.bring("/pins", ("demo", pinned.filename))

        def is_evicted() -> bool:
            hub.built.hub.blobs.evict()
            return not hub.is_here(other.filename)

        hub.wait_until(is_evicted)
        time.sleep(0.6)
        hub.built.hub.blobs.evict()

        assert hub.here() == [pinned.filename]


def test_a_file_that_is_pinned_already_is_kept_by_whoever_pinned_it_first(upstream: Upstream, desk: Desk) -> None:
    made = upstream.add("demo", "2.0")

    first, second = desk.bring("/pins", ("demo", made.filename)), desk.bring("/pins", ("demo", made.filename))

    assert (first["fetched"], second["here"]) == (1, 1)
    assert len(desk.ask("GET", "/pins")[1]["items"]) == 1


def test_what_the_hub_withholds_is_not_fetched(upstream: Upstream, tmp_path: Path) -> None:
    index: dict[str, Any] = {"upstreams": [upstream.url]}
    with RunningHub(tmp_path, index=index) as hub:
        hub.page("demo")
    upstream.forget()

    with RunningHub(tmp_path, index=index | {"reserved": ["dem*"]}) as hub:
        found = Desk(hub).bring("/pins", ("demo", "demo-1.0-py3-none-any.whl"), projects=("demo",))

    assert counts(found) == {"files": 2, "here": 0, "fetched": 0, "failed": 2, "left": 0}
    assert found["failures"][0]["reason"].startswith("it is withheld here: the name is reserved (dem*)")
    assert upstream.requests() == []


def test_all_of_a_project_that_nobody_gets_fails_with_the_reason(upstream: Upstream, tmp_path: Path) -> None:
    index = {"upstreams": [upstream.url], "passcode": PASSCODE, "deny": ["dep", "demo<9"]}
    with RunningHub(tmp_path, index=index) as hub:
        desk = Desk(hub, "admin")
        upload(hub, wheel("ours", "1.0"))
        desk.ask("PUT", "/projects/ours/status", status="quarantined", reason="malware")

        found = desk.bring("/prefetch", projects=("dep", "demo", "ours", "nobody-has-this"))

    assert counts(found) == {"files": 4, "here": 0, "fetched": 0, "failed": 4, "left": 0}
    assert {failure["project"]: failure["reason"] for failure in found["failures"]} == {
        "dep": "it is withheld here: it is denied here (index.deny: dep)",
        "demo": "its files are withheld here: it is denied here (index.deny: demo<9)",
        "ours": "its files are withheld here: the project is quarantined: malware",
        "nobody-has-this": "no index has this project",
    }


@pytest.mark.parametrize(
    ("status", "reason", "said"),
    [
        ("active", None, "its page lists no files"),
        ("archived", None, "its page lists no files; the project is archived"),
        ("archived", "it is done", "its page lists no files; the project is archived: it is done"),
    ],
)
def test_all_of_a_project_without_files_fails_with_its_status(
    upstream: Upstream, tmp_path: Path, status: str, reason: str | None, said: str
) -> None:
    with RunningHub(tmp_path, index={"upstreams": [upstream.url]}) as hub:
        desk = Desk(hub, "admin")
        desk.ask("POST", "/projects/ours/claim")
        desk.ask("PUT", "/projects/ours/status", status=status, reason=reason)

        found = desk.bring("/prefetch", projects=("ours",))

    assert [failure["reason"] for failure in found["failures"]] == [said]


def test_pins_are_listed_with_who_pinned_what_in_pieces(upstream: Upstream, desk: Desk) -> None:
    desk.bring("/pins", projects=("demo", "dep"))

    _, first = desk.ask("GET", "/pins?limit=2")
    _, rest = desk.ask("GET", f"/pins?limit=2&after={first['next']}")

    listed = [*first["items"], *rest["items"]]
    assert sorted(pin["filename"] for pin in listed) == [
        "demo-1.0-py3-none-any.whl",
        "demo-1.1-py3-none-any.whl",
        "dep-1.0-py3-none-any.whl",
    ]
    assert {pin["pinned_by"] for pin in listed} == {"root (token 1)"}
    assert all(pin["is_here"] and pin["size"] for pin in listed)
    assert rest["next"] is None


def test_a_file_that_is_deleted_is_pinned_no_more_and_others_are(upstream: Upstream, tmp_path: Path) -> None:
    with RunningHub(tmp_path, index={"upstreams": [upstream.url], "passcode": PASSCODE}) as hub:
        desk, made = Desk(hub, "admin"), [wheel("ours", version) for version in ("1.0", "1.1")]
        for one in made:
            assert upload(hub, one).status_code == 200
        desk.bring("/pins", *(("ours", one.filename) for one in made))

        code, _ = desk.ask("POST", "/projects/ours/delete", what="1.0", reason="never meant")

        assert code == 200
        assert [pin["filename"] for pin in desk.ask("GET", "/pins")[1]["items"]] == [made[1].filename]


@pytest.mark.parametrize(
    ("what", "left"),
    [
        ("", []),
        ("/1.0", ["demo-1.1-py3-none-any.whl"]),
        ("/demo-1.1-py3-none-any.whl", ["demo-1.0-py3-none-any.whl"]),
        ("/9.9", ["demo-1.0-py3-none-any.whl", "demo-1.1-py3-none-any.whl"]),
    ],
)
def test_a_project_a_version_or_a_file_is_unpinned(desk: Desk, what: str, left: list[str]) -> None:
    desk.bring("/pins", projects=("demo",))

    desk.ask("DELETE", f"/pins/Demo{what}")

    _, listed = desk.ask("GET", "/pins")
    assert sorted(pin["filename"] for pin in listed["items"]) == left


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"files": [{"project": "demo", "filename": "../demo-1.0.tar.gz"}]},
        {"files": [{"project": "de mo", "filename": "demo-1.0.tar.gz"}]},
        {"files": [{"project": "demo", "filename": ""}]},
        {"files": [{"project": "demo", "filename": "demo-1.0.tar.gz", "sha256": "0" * 63}]},
        {"projects": ["-"]},
    ],
)
def test_what_cannot_be_a_file_is_refused_and_nothing_begun(desk: Desk, body: dict[str, Any]) -> None:
    code, said = desk.ask("POST", "/prefetch", **(body or {"files": []}))

    assert code == 422, said
    assert desk.ask("GET", "/prefetch/1")[0] == 404


def test_the_json_of_a_prefetch_may_be_as_long_as_its_own_limit(upstream: Upstream, tmp_path: Path) -> None:
    with RunningHub(tmp_path, index={"upstreams": []}, limits={"prefetch_bytes": 1_000, "json_bytes": 10}) as hub:
        desk = Desk(hub)
        just = b'{"projects": ["demo"]}'.ljust(1_000)
        url, headers = f"{hub.base}/api/v1/index/prefetch", {**desk.headers, "Content-Type": "application/json"}

        assert hub.client.post(url, content=just, headers=headers).status_code == 202
        assert hub.client.post(url, content=just + b" ", headers=headers).status_code == 413


@pytest.mark.usefixtures("impatient")
def test_a_prefetch_whose_job_was_cancelled_says_so_and_goes_on_when_that_is_retried(
    upstream: Upstream, desk: Desk
) -> None:
    made = upstream.add("demo", "2.0")
    desk.hub.page("demo")
    upstream.stop()
    _, asked = desk.ask("POST", "/prefetch", files=[{"project": "demo", "filename": made.filename}])
    desk.hub.wait_until(lambda: desk.show(asked["id"])["waits"] != [])
    write = desk.hub.built.hub.committer.write
    desk.hub.wait_until(lambda: desk.hub.ask(lambda c: find_job(c, asked["job"])).state == "new")

    write(lambda connection: cancel(connection, asked["job"], BY))
    cancelled = desk.show(asked["id"])
    upstream.start()
    write(lambda connection: retry(connection, asked["job"], BY))
    found = desk.wait(asked["id"])

    assert cancelled["state"] == "canceled"
    assert counts(found) == {"files": 1, "here": 0, "fetched": 1, "failed": 0, "left": 0}
