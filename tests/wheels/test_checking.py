"""Wheels with compiled code on a hub: on no page before their check, and under a true name after it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from creamery.accounts import Scope
from creamery.jobs import Postpone
from creamery.wheels import checking
from tests.doubles.building import build_of, put_entry
from tests.doubles.compiled import NEW, compiled, compiled_wheel, needing, needs_gcc
from tests.doubles.distributions import Distribution, sdist
from tests.doubles.pushing import push
from tests.doubles.running import JSON, RunningHub
from tests.doubles.uploading import Auth, token_of
from tests.doubles.upstream import Upstream

pytestmark = needs_gcc

SOURCE = sdist("acme", "1.0")
PIP = 'pip/26.3 {"installer":{"name":"pip","version":"26.3"}}'
TRUE_NAME = "acme-1.0-cp311-cp311-manylinux_2_34_x86_64.whl"


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with Upstream() as started:
        started.add_file("acme", "1.0", SOURCE)
        yield started


@pytest.fixture
def hub(upstream: Upstream, tmp_path: Path) -> Iterator[RunningHub]:
    with RunningHub(tmp_path / "data", index={"upstreams": [upstream.url]}) as started:
        yield started


@pytest.fixture
def alice(hub: RunningHub) -> Auth:
    return token_of(hub, "alice", [Scope("wheels:push")])


def native(tmp_path: Path, code: bytes | None = None) -> Distribution:
    made = compiled_wheel(tmp_path, {"acme/ext.so": compiled(tmp_path, NEW) if code is None else code})
    return Distribution(made.name, made.read_bytes(), b"")


def listed(hub: RunningHub) -> list[str]:
    answer = hub.get("/w/i/acme/", accept=JSON, user_agent=PIP)
    return [file["filename"] for file in answer.json()["files"] if file["filename"].endswith(".whl")]


def states(hub: RunningHub) -> list[str]:
    return [each["state"] for each in hub.get("/api/v1/wheels").json()["items"]]


def test_it_is_listed_under_its_true_name_and_had_as_it_was_sent_under_its_own(
    hub: RunningHub, alice: Auth, tmp_path: Path
) -> None:
    made = native(tmp_path)
    put_entry(hub, made, alice, build_of(SOURCE.sha256))
    hub.wait_until(lambda: states(hub) == ["listed"])

    page = hub.get("/w/i/acme/", accept=JSON, user_agent=PIP).json()["files"]
    file = next(each for each in page if each["filename"] == TRUE_NAME)
    corrected = hub.get(f"/w/f/{file['hashes']['sha256']}/{TRUE_NAME}")

    assert listed(hub) == [TRUE_NAME]
    assert corrected.status_code == 200
    assert corrected.content != made.content
    assert hub.get(f"/w/f/{file['hashes']['sha256']}/{TRUE_NAME}.metadata").status_code == 200
    assert hub.get(f"/w/p/{made.filename}").content == made.content
    assert hub.get(f"/w/f/{made.sha256}/{made.filename}").content == made.content
    assert hub.get(f"/w/f/{made.sha256}/{TRUE_NAME}").status_code == 404
    row = hub.get("/api/v1/wheels").json()["items"][0]
    assert (row["filename"], row["sha256"], row["listed_as"]) == (made.filename, made.sha256, TRUE_NAME)
    assert hub.metric("wheels_checked_total", result="retagged") == 1


def test_the_same_bytes_are_the_same_also_after_their_tags_were_corrected(
    hub: RunningHub, alice: Auth, tmp_path: Path
) -> None:
    made = native(tmp_path)
    put_entry(hub, made, alice)
    hub.wait_until(lambda: states(hub) == ["listed"])

    assert put_entry(hub, made, alice).json()["outcome"] == "same"
    assert put_entry(hub, native(tmp_path, compiled(tmp_path, NEW, options=["-O2"])), alice).status_code == 409


def test_before_its_check_it_is_here_and_on_no_page(
    hub: RunningHub, alice: Auth, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def later(*_: object) -> None:
        raise Postpone(60)

    monkeypatch.setattr(checking, "examine", later)
    made = native(tmp_path)
    push(hub, made, alice)

    assert listed(hub) == []
    assert hub.get(f"/w/p/{made.filename}").content == made.content
    why = hub.get("/api/v1/wheels/projects/acme/1.0").json()["builds"][0]
    assert (why["offered"], why["why"]) == (False, "its tags are being checked")


def test_a_wheel_that_is_promoted_before_its_check_is_checked_in_its_new_ring(
    upstream: Upstream, tmp_path: Path
) -> None:
    with RunningHub(tmp_path / "data", index={"upstreams": [upstream.url]}, wheels={"agree": 2}) as hub:
        made = native(tmp_path)
        for user in ("ada", "bob"):
            put_entry(hub, made, token_of(hub, user, [Scope("wheels:push", f"of-{user}")]), build_of(SOURCE.sha256))

        hub.wait_until(lambda: listed(hub) == [TRUE_NAME])


def test_what_is_refused_says_why_and_is_had_by_its_key_and_name(hub: RunningHub, alice: Auth, tmp_path: Path) -> None:
    made = native(tmp_path, needing(tmp_path, "libfoo.so.1"))
    push(hub, made, alice)
    hub.wait_until(lambda: states(hub) == ["unlisted"])

    why = hub.get("/api/v1/wheels/projects/acme/1.0").json()["builds"][0]
    assert not why["offered"]
    assert "libfoo.so.1" in why["why"]
    assert listed(hub) == []
    assert hub.get(f"/w/p/{made.filename}").content == made.content


def test_a_check_that_was_lost_in_a_crash_is_made_at_the_next_start(upstream: Upstream, tmp_path: Path) -> None:
    settings = {"index": {"upstreams": [upstream.url]}}
    made = native(tmp_path)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(checking.Checking, "run", lambda *_: None)
        with RunningHub(tmp_path / "data", **settings) as hub:
            push(hub, made, token_of(hub, "alice", [Scope("wheels:push")]))
            hub.wait_until(lambda: hub.metric("jobs_total", kind="wheels.check", result="done") == 1)

    with RunningHub(tmp_path / "data", **settings) as hub:
        hub.wait_until(lambda: listed(hub) == [TRUE_NAME])
