"""The cache's limit: the least recently used files go, and come again when they are asked for."""

from __future__ import annotations

from pathlib import Path

import orjson
from sqlalchemy import select

from creamery.blobs.tables import blob
from creamery.journal import since
from tests.doubles.running import JSON, RunningHub
from tests.doubles.upstream import Upstream, say


def test_beyond_the_limit_the_least_recently_used_file_goes_and_comes_again(tmp_path: Path, upstream: Upstream) -> None:
    old = upstream.add("big", "1.0", size=200_000, metadata=False)
    new = upstream.add("big", "2.0", size=200_000, metadata=False)
    limits = {"uses_seconds": 0.05}
    with RunningHub(tmp_path, index={"upstreams": [upstream.url]}, cache={"max_bytes": 300_000}, limits=limits) as hub:
        hub.download("big", old.filename)
        hub.download("big", new.filename)
        hub.get(f"/i/big/{new.filename}")
        hub.built.hub.blobs.flush_uses()

        hub.built.hub.blobs.evict()

        hub.wait_until(lambda: not hub.is_here(old.filename))
        assert hub.is_here(new.filename)
        assert hub.get(f"/i/big/{new.filename}").content == new.content
        assert hub.download("big", old.filename) == old.content
        assert upstream.count(upstream.path_of(old.filename)) >= 2


def test_an_evicted_file_leaves_the_offline_page(tmp_path: Path, upstream: Upstream) -> None:
    made = upstream.add("big", "1.0", size=200_000)
    with RunningHub(tmp_path, index={"upstreams": [upstream.url]}, cache={"max_bytes": 0}) as hub:
        hub.download("big", made.filename)
        hub.page("big")

        hub.built.hub.blobs.evict()
        hub.wait_until(lambda: not hub.is_here(made.filename))
        upstream.stop()

        hub.wait_until(lambda: hub.files("big") == [])


def test_a_pin_outlives_its_file(tmp_path: Path) -> None:
    """Other bytes under a name that was installed once are what a pin is against, whoever names their hash later."""
    with Upstream(hashes=False, metadata=False) as upstream:
        made = upstream.add("demo", "1.0", size=200_000)
        with RunningHub(tmp_path, index={"upstreams": [upstream.url]}, cache={"max_bytes": 0}) as hub:
            hub.page("demo")
            hub.download("demo", made.filename)
            hub.built.hub.blobs.evict()
            hub.wait_until(lambda: not hub.is_here(made.filename))

            line = {"filename": made.filename, "url": upstream.url_of(made.filename), "hashes": {"sha256": "0" * 64}}
            page = {"meta": {"api-version": "1.0"}, "name": "demo", "files": [line]}
            upstream.misbehave("/simple/demo/", say(orjson.dumps(page), JSON))

            assert hub.page("demo")["files"][0]["hashes"] == {"sha256": made.sha256}
            assert hub.download("demo", made.filename) == made.content


def test_what_is_evicted_is_deleted_after_its_grace(tmp_path: Path, upstream: Upstream) -> None:
    made = upstream.add("big", "1.0", size=200_000, metadata=False)
    with RunningHub(tmp_path, index={"upstreams": [upstream.url]}, cache={"max_bytes": 0}) as hub:
        hub.download("big", made.filename)

        def is_gone() -> bool:
            hub.built.hub.blobs.evict()
            rows = hub.ask(lambda connection: connection.execute(select(blob)).all())
            return rows == [] and list((tmp_path / "blobs").rglob(f"{made.sha256}*")) == []

        hub.wait_until(is_gone)


def serial_of(hub: RunningHub, project: str) -> int:
    projects = hub.get("/simple/", accept=JSON).json()["projects"]
    return int(next(each["_last-serial"] for each in projects if each["name"] == project))


def test_a_tombstone_that_is_evicted_leaves_its_page_with_a_serial_and_no_other_page_has_one(tmp_path: Path) -> None:
    with Upstream() as upstream:
        gone = upstream.add("gone", "1.0", size=200_000)
        upstream.add("gone", "2.0")
        kept = upstream.add("kept", "1.0", size=200_000)
        with RunningHub(tmp_path, index={"upstreams": [upstream.url]}, cache={"max_bytes": 0}) as hub:
            for project, made in (("gone", gone), ("kept", kept)):
                hub.page(project)
                hub.download(project, made.filename)
            upstream.remove("gone", "1.0")
            assert gone.filename in hub.files("gone")
            before = {name: serial_of(hub, name) for name in ("gone", "kept")}

            hub.built.hub.blobs.evict()
            hub.wait_until(lambda: not hub.is_here(gone.filename) and not hub.is_here(kept.filename))

            after = {name: hub.page(name)["meta"]["_last-serial"] for name in ("gone", "kept")}
            entries = [entry for entry in hub.ask(lambda c: since(c, 0, 100)) if entry.action == "evicted"]
            assert gone.filename not in hub.files("gone")
            assert [entry.subject for entry in entries] == ["gone"]
            assert after == {"gone": entries[0].serial, "kept": before["kept"]}
            assert after["gone"] > before["gone"]


def test_metadata_that_only_the_hub_had_is_advertised_no_more_when_it_is_evicted_and_a_serial_says_so(
    tmp_path: Path,
) -> None:
    with Upstream(metadata=False) as upstream:
        made = upstream.add("plain", "1.0", size=200_000)
        with RunningHub(tmp_path, index={"upstreams": [upstream.url]}, cache={"max_bytes": 0}) as hub:
            hub.download("plain", made.filename)
            hub.wait_until(lambda: bool(hub.page("plain")["files"][0]["core-metadata"]))
            before = serial_of(hub, "plain")

            hub.built.hub.blobs.evict()
            hub.wait_until(lambda: not hub.is_here(made.filename))

            page = hub.page("plain")
            assert page["files"][0]["core-metadata"] is False
            assert page["meta"]["_last-serial"] == serial_of(hub, "plain") > before


def test_metadata_that_a_page_in_somebodys_hands_advertises_comes_again_after_it_was_evicted(tmp_path: Path) -> None:
    with Upstream(metadata=False) as upstream:
        made = upstream.add("demo", "1.0", size=200_000)
        with RunningHub(tmp_path, index={"upstreams": [upstream.url]}, cache={"max_bytes": 0}) as hub:
            hub.download("demo", made.filename)
            hub.wait_until(lambda: hub.page("demo")["files"][0]["core-metadata"] is not False)
            hub.built.hub.blobs.evict()
            hub.wait_until(lambda: not hub.is_here(made.filename))
            hub.wait_until(lambda: hub.page("demo")["files"][0]["core-metadata"] is False)

            assert hub.get(f"/i/demo/{made.filename}.metadata").content == made.metadata
