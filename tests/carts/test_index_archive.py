"""Carts of what the hub's own index has: taken as it lies here, fetched as installers fetch, by the index's rules."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx2
import pytest

from creamery.accounts import By, Scope, add_user, create_token
from creamery.carts import find_cart, planning
from creamery.carts.archives import ItemRefused, ItemStat, open_archives
from creamery.clock import Micros
from creamery.index import Files, IndexDoor
from tests.doubles.carting import carting_hub, entry, head, post, ready, wait_for
from tests.doubles.distributions import Distribution
from tests.doubles.running import RunningHub
from tests.doubles.upstream import Upstream, status
from tests.suites.archive import read

BY = By(Micros(1_700_000_000_000_000))


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with Upstream() as started:
        yield started


@pytest.fixture
def hub(upstream: Upstream, tmp_path: Path) -> Iterator[RunningHub]:
    with carting_hub(tmp_path / "data", index={"upstreams": [upstream.url]}) as hub:
        yield hub


def item(made: Distribution, project: str = "demo") -> dict[str, Any]:
    """A file of the index in a cart, verified, under its own name."""
    return {**entry(f"{project}/{made.filename}", made.filename, made.content, "sha256"), "archive": "index"}


def content(hub: RunningHub, uid: str, path: str) -> bytes:
    return hub.get(f"/carts/{uid}/files/{path}").content


def blobs(hub: RunningHub) -> int:
    return len([path for path in (hub.settings.data / "blobs").rglob("*") if path.is_file()])


def message(hub: RunningHub, uid: str) -> str:
    answer = wait_for(hub, uid)
    assert answer.status_code == 500
    said: str = answer.headers["x-pacifica-message"]
    return said


def test_what_is_cached_is_ready_at_post_without_a_request_or_a_copy(upstream: Upstream, hub: RunningHub) -> None:
    made = [upstream.add("demo", version, size=100_000) for version in ("1.0", "2.0")]
    for each in made:
        hub.download("demo", each.filename)
    upstream.forget()
    stored = blobs(hub)

    uid = post(hub, [item(each) for each in made])

    assert head(hub, uid).status_code == 204
    assert upstream.requests() == []
    assert blobs(hub) == stored
    assert [content(hub, uid, each.filename) for each in made] == [each.content for each in made]
    told = hub.get(f"/carts/{uid}/status").json()
    assert (told["files_here"], told["bytes_here"]) == (2, sum(len(each.content) for each in made))
    assert hub.get("/healthz").status_code == 200


def test_what_is_not_cached_is_one_request_and_stays_in_the_index(upstream: Upstream, hub: RunningHub) -> None:
    made = upstream.add("demo", "1.0", size=100_000)
    hub.page("demo")
    upstream.forget()

    first, second = post(hub, [item(made)]), post(hub, [item(made)])
    answers = [wait_for(hub, uid).status_code for uid in (first, second)]

    assert answers == [204, 204]
    assert [seen.path for seen in upstream.requests()] == [upstream.path_of(made.filename)]
    assert content(hub, second, made.filename) == hub.get(f"/i/demo/{made.filename}").content == made.content
    assert blobs(hub) == 1


def test_a_file_of_a_project_that_nobody_knew_has_the_time_of_its_upload(upstream: Upstream, hub: RunningHub) -> None:
    told = upstream.add("demo", "1.0", upload_time="2024-05-06T07:08:09.123456Z")
    silent = upstream.add("demo", "2.0", upload_time=None)

    uid = ready(hub, [{**item(told), "id": f"Demo/{told.filename}"}, item(silent)])

    files = hub.get(f"/carts/{uid}/files").json()["files"]
    assert [file["mtime"] for file in files] == [1_714_979_289, 0]


def test_an_upstream_that_says_neither_sizes_nor_hashes_is_asked_for_the_files_themselves(tmp_path: Path) -> None:
    with Upstream(json=False, hashes=False, sizes=False) as upstream:
        made = upstream.add("demo", "1.0", size=100_000)
        with carting_hub(tmp_path / "data", index={"upstreams": [upstream.url]}) as hub:
            uid = ready(hub, [item(made)])

            assert content(hub, uid, made.filename) == made.content
            assert upstream.count(upstream.path_of(made.filename)) == 1


def test_what_is_cached_and_not_what_was_expected_is_that_files_error(upstream: Upstream, hub: RunningHub) -> None:
    made = upstream.add("demo", "1.0")
    hub.download("demo", made.filename)
    named = {"id": f"demo/{made.filename}", "archive": "index"}

    uid = post(hub, [{**entry("", kind, b"other", kind), **named} for kind in ("sha256", "sha1")])

    assert "File hash does not match provided hash" in message(hub, uid)
    assert hub.get(f"/carts/{uid}/status").json()["files_failed"] == 2


def test_what_is_withheld_at_its_address_is_withheld_in_carts(upstream: Upstream, tmp_path: Path) -> None:
    cached, never = (upstream.add("demo", version) for version in ("1.0", "2.0"))
    with carting_hub(tmp_path / "data", index={"upstreams": [upstream.url]}) as hub:
        hub.download("demo", cached.filename)
    upstream.forget()
    with carting_hub(tmp_path / "data", index={"upstreams": [upstream.url], "deny": ["demo"]}) as hub:
        said = [message(hub, post(hub, [item(made)])) for made in (cached, never)]

        assert hub.get(f"/i/demo/{cached.filename}").status_code == 404
    assert f"demo/{cached.filename}: it is withheld here" in said[0]
    assert f"demo/{never.filename}: it is withheld here" in said[1]
    assert upstream.requests() == []


def test_what_the_index_has_not_is_that_items_error_and_names_it(upstream: Upstream, hub: RunningHub) -> None:
    made = upstream.add("demo", "1.0")
    reasons = {
        "demo/demo-9.0-py3-none-any.whl": "its index does not list this file",
        "nobody/nobody-1.0.tar.gz": "no index has this project",
        "demo": "what the index has is called PROJECT/FILENAME",
        f"demo/../{made.filename}": "",
        "-/x.whl": "",
    }

    uid = post(hub, [item(made), *({**entry(name, f"{at}"), "archive": "index"} for at, name in enumerate(reasons))])

    assert message(hub, uid).startswith("0: demo/demo-9.0-py3-none-any.whl: ")
    good, *bad = hub.get(f"/carts/{uid}/files").json()["files"]
    assert good["state"] == "here"
    for file, (name, reason) in zip(bad, reasons.items(), strict=True):
        assert file["message"].startswith(f"{name}: {reason}")


def test_a_cart_waits_for_an_upstream_that_is_away(
    upstream: Upstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planning, "DOWN_SECONDS", 0.1)
    made = upstream.add("demo", "1.0")
    upstream.misbehave("/simple/demo/", status(503))
    with carting_hub(tmp_path / "data", index={"upstreams": [upstream.url]}) as hub:
        uid = post(hub, [item(made)])
        hub.wait_until(lambda: "waiting for an archive" in head(hub, uid).headers["x-pacifica-message"])
        upstream.behave()

        assert wait_for(hub, uid).status_code == 204


def test_what_a_cart_holds_is_not_evicted(upstream: Upstream, tmp_path: Path) -> None:
    held, other = (upstream.add("big", version, size=200_000, metadata=False) for version in ("1.0", "2.0"))
    with carting_hub(tmp_path / "data", index={"upstreams": [upstream.url]}, cache={"max_bytes": 0}) as hub:
        for each in (held, other):
            hub.download("big", each.filename)
        uid = post(hub, [item(held, "big")])

        hub.built.hub.blobs.evict()
        hub.wait_until(lambda: not hub.is_here(other.filename))
        upstream.stop()

        assert head(hub, uid).status_code == 204
        assert content(hub, uid, held.filename) == held.content


def test_what_was_evicted_comes_again(upstream: Upstream, tmp_path: Path) -> None:
    made = upstream.add("big", "1.0", size=200_000, metadata=False)
    with carting_hub(tmp_path / "data", index={"upstreams": [upstream.url]}, cache={"max_bytes": 0}) as hub:
        hub.download("big", made.filename)
        hub.client.delete(f"{hub.base}/{ready(hub, [item(made, 'big')])}")
        hub.built.hub.blobs.evict()
        hub.wait_until(lambda: not hub.is_here(made.filename))

        uid = ready(hub, [item(made, "big")])

        assert content(hub, uid, made.filename) == made.content
        assert upstream.count(upstream.path_of(made.filename)) >= 2


def test_to_those_who_may_not_read_the_index_it_is_no_archive(upstream: Upstream, tmp_path: Path) -> None:
    made = upstream.add("demo", "1.0")
    upstream.misbehave(upstream.path_of(made.filename), status(404))
    (tmp_path / "disk").mkdir()
    index = {"upstreams": [upstream.url], "read": "users"}
    with carting_hub(tmp_path / "data", tmp_path / "disk", index=index) as hub:
        hub.built.hub.committer.write(partial(add_user, name="alice", password=None, by=BY))

        def answer(*scopes: str, path: str | None = None, archive: str = "index") -> httpx2.Response:
            headers = {}
            if scopes:
                given = [Scope(scope) for scope in scopes]
                token = hub.built.hub.committer.write(lambda c: create_token(c, "alice", "a test's", given, None, BY))
                headers = {"Authorization": f"Bearer {token[0]}"}
            body = json.dumps({"fileids": [{**item(made), "archive": archive}]}).encode()
            return hub.client.post(f"{hub.base}/{path or uuid.uuid4()}", content=body, headers=headers)

        stranger, nameless = answer(), answer(archive="nowhere")
        too_little, enough = answer("carts:use"), answer("carts:use", "index:read", path="carts/mine")
        hub.wait_until(lambda: hub.ask(lambda c: find_cart(c, "mine")).state == "error")
        again = [answer(*scopes, path="carts/mine/fix") for scopes in (("carts:use",), ("carts:use", "index:read"))]

    assert (stranger.status_code, too_little.status_code, enough.status_code) == (400, 400, 201)
    assert [each.status_code for each in again] == [400, 202]
    assert stranger.json()["message"] == too_little.json()["message"]
    assert stranger.json()["message"] == nameless.json()["message"].replace("nowhere", "index")


def test_it_is_the_archive_of_those_who_name_none_where_no_other_is(upstream: Upstream, hub: RunningHub) -> None:
    made = upstream.add("demo", "1.0")

    uid = ready(hub, [{name: value for name, value in item(made).items() if name != "archive"}])

    assert content(hub, uid, made.filename) == made.content


def test_a_cart_too_large_to_be_ready_at_post_is_ready_soon(
    upstream: Upstream, hub: RunningHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planning, "AHEAD", 1)
    made = [upstream.add("demo", version) for version in ("1.0", "2.0")]
    for each in made:
        hub.download("demo", each.filename)
    upstream.forget()

    ready(hub, [item(each) for each in made])

    assert upstream.requests() == []


def test_large_carts_of_it_are_no_childs_work(upstream: Upstream, tmp_path: Path) -> None:
    """A child has not started the doors, and so not read which names are reserved."""
    made = upstream.add("demo", "1.0")
    index = {"upstreams": [upstream.url]}
    with carting_hub(tmp_path / "data", index=index, limits={"cart_child_files": 1}) as hub:
        ready(hub, [item(made)])

        assert hub.metric("job_children_total", kind="carts.plan", result="done") == 0


def test_beyond_its_owners_quota_it_is_refused_all_the_same(upstream: Upstream, tmp_path: Path) -> None:
    made = upstream.add("demo", "1.0", size=100_000)
    carts = {"quota_bytes": 50_000}
    with carting_hub(tmp_path / "data", index={"upstreams": [upstream.url]}, carts=carts) as hub:
        hub.download("demo", made.filename)

        assert "carts.quota_bytes" in message(hub, post(hub, [item(made)]))


def test_it_is_read_from_any_byte_on(upstream: Upstream, hub: RunningHub) -> None:
    """As every archive is, though carts take what it has as it lies."""
    made = upstream.add("demo", "1.0", size=100_000)
    name = f"demo/{made.filename}"
    archive = open_archives(hub.built.hub, files_of(hub))["index"]
    call = hub.built.hub.egress.call
    known = call(archive.stat([name]))[name]
    assert isinstance(known, ItemStat)
    other = known._replace(version="0" * 64)

    assert (known.size, known.version, known.digest) == (len(made.content), made.sha256, None)
    assert call(read(archive, name)) == made.content
    assert call(read(archive, name, 99_000, known)) == made.content[99_000:]
    with pytest.raises(ItemRefused, match="has changed"):
        call(read(archive, name, 0, other))
    with pytest.raises(ItemRefused, match="ends before"):
        call(read(archive, name, known.size + 1, known))


def files_of(hub: RunningHub) -> Files:
    return next(door.files for door in hub.built.doors if isinstance(door, IndexDoor))
