"""`/w/i/`: the index with built wheels, over a whole hub; its rules are in test_offering.py and test_merged.py."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from creamery.accounts import Scope
from tests.doubles.building import build_of, put_entry
from tests.doubles.distributions import sdist, wheel
from tests.doubles.pushing import push
from tests.doubles.running import JSON, RunningHub
from tests.doubles.uploading import Auth, token_of
from tests.doubles.upstream import Upstream

LIBC = '"distro":{"libc":{"lib":"glibc","version":"2.36"}}'
UV = 'uv/0.13.9 {"installer":{"name":"uv","version":"0.13.9","subcommand":%s},' + LIBC + "}"
INSTALLING = UV % '["pip","install"]'
LOCKING = UV % '["lock"]'
PIP = 'pip/26.3 {"installer":{"name":"pip","version":"26.3"}}'

SOURCE = sdist("acme", "1.0", requires_python=">=3.9")
BUILT = wheel("acme", "1.0")


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with Upstream() as started:
        started.add_file("acme", "1.0", SOURCE)
        yield started


@pytest.fixture
def hub(upstream: Upstream, tmp_path: Path) -> Iterator[RunningHub]:
    """An index that knows an sdist alone."""
    with RunningHub(tmp_path, index={"upstreams": [upstream.url]}) as started:
        yield started


def listed(hub: RunningHub, agent: str = INSTALLING, path: str = "/w/i/acme/", auth: Auth | None = None) -> list[str]:
    known: Any = {} if auth is None else {"auth": auth}
    answer = hub.client.get(hub.base + path, headers={"Accept": JSON, "User-Agent": agent}, **known)
    assert answer.status_code == 200, answer.text
    return [file["filename"] for file in answer.json()["files"]]


def test_an_installer_gets_the_built_wheel_and_whoever_locks_does_not(hub: RunningHub) -> None:
    alice = token_of(hub, "alice", [Scope("wheels:push")])
    assert listed(hub) == [SOURCE.filename]
    push(hub, BUILT, alice)

    assert sorted(listed(hub)) == sorted([SOURCE.filename, BUILT.filename])
    assert sorted(listed(hub, PIP)) == sorted([SOURCE.filename, BUILT.filename])
    for agent in (LOCKING, "poetry/2.0", "Mozilla/5.0"):
        assert listed(hub, agent) == [SOURCE.filename]
    assert listed(hub, path="/i/acme/") == [SOURCE.filename]


def test_what_is_listed_is_there_with_its_metadata_and_its_sdists_word(hub: RunningHub) -> None:
    push(hub, BUILT, token_of(hub, "alice", [Scope("wheels:push")]))

    page = hub.client.get(f"{hub.base}/w/i/acme/", headers={"Accept": JSON, "User-Agent": INSTALLING})
    files = {file["filename"]: file for file in page.json()["files"]}
    built, source = files[BUILT.filename], files[SOURCE.filename]

    assert built["url"] == f"../../f/{BUILT.sha256}/{BUILT.filename}"
    assert built["hashes"] == {"sha256": BUILT.sha256}
    assert built["core-metadata"] == {"sha256": hashlib.sha256(BUILT.metadata).hexdigest()}
    assert built["requires-python"] == source["requires-python"]
    assert built.get("upload-time") == source.get("upload-time")
    assert hub.get(f"/w/f/{BUILT.sha256}/{BUILT.filename}").content == BUILT.content
    assert hub.get(f"/w/f/{BUILT.sha256}/{BUILT.filename}.metadata").content == BUILT.metadata
    assert hub.get(f"/w/i/acme/{SOURCE.filename}").content == SOURCE.content
    assert "User-Agent" in page.headers["vary"]
    assert page.headers["cache-control"] == "no-cache"


def test_a_page_is_asked_for_again_with_its_etag(hub: RunningHub) -> None:
    push(hub, BUILT, token_of(hub, "alice", [Scope("wheels:push")]))
    headers = {"Accept": JSON, "User-Agent": INSTALLING}
    tag = hub.client.get(f"{hub.base}/w/i/acme/", headers=headers).headers["etag"]

    def again(agent: str) -> int:
        asked = {**headers, "User-Agent": agent, "If-None-Match": tag}
        return hub.client.get(f"{hub.base}/w/i/acme/", headers=asked).status_code

    assert (again(INSTALLING), again(LOCKING)) == (304, 200)
    push(hub, wheel("acme", "1.0", tag="py2.py3-none-any"), token_of(hub, "alice", [Scope("wheels:push")]))
    assert again(INSTALLING) == 200


def test_a_removed_wheel_is_on_no_page_from_the_answer_on(hub: RunningHub) -> None:
    push(hub, BUILT, token_of(hub, "alice", [Scope("wheels:push")]))
    assert BUILT.filename in listed(hub)

    root = token_of(hub, "root", [Scope("admin")], is_admin=True)
    hub.client.delete(f"{hub.base}/api/v1/wheels/{BUILT.filename}", auth=root)

    assert listed(hub) == [SOURCE.filename]


def test_what_was_built_with_flags_or_from_another_source_is_on_no_page(hub: RunningHub) -> None:
    alice = token_of(hub, "alice", [Scope("wheels:push")])
    put_entry(hub, BUILT, alice, build_of(SOURCE.sha256, environment={"CFLAGS": "-O3"}))
    assert listed(hub) == [SOURCE.filename]
    put_entry(hub, BUILT, alice, build_of("9" * 64))
    assert listed(hub) == [SOURCE.filename]

    put_entry(hub, BUILT, alice, build_of(SOURCE.sha256))
    assert BUILT.filename in listed(hub)


def test_why_tells_what_becomes_of_each_build(hub: RunningHub) -> None:
    alice = token_of(hub, "alice", [Scope("wheels:push")])
    put_entry(hub, BUILT, alice, build_of("9" * 64))
    put_entry(hub, wheel("acme", "1.0", size=5), alice, build_of("9" * 64))
    put_entry(hub, BUILT, alice, build_of(SOURCE.sha256))
    put_entry(hub, wheel("acme", "1.0", size=7), alice, build_of(SOURCE.sha256, settings={"x": "y"}), log="built\n")

    told = hub.get("/api/v1/wheels/projects/Acme/1.0.0").json()

    assert [each["offered"] for each in told["builds"]] == [False, True, False]
    assert "another source" in told["builds"][0]["why"]
    assert SOURCE.filename in told["builds"][1]["why"]
    assert "by its key alone" in told["builds"][2]["why"]
    assert [each["has_log"] for each in told["builds"]] == [False, False, True]
    assert [each["pushed_by"].split()[0] for each in told["conflicts"]] == ["alice"]
    assert hub.get("/api/v1/wheels/projects/acme/2.0").json()["builds"] == []
    assert hub.get("/api/v1/wheels/projects/acme/new").status_code == 404


def test_each_ring_has_the_page_of_what_it_trusts(hub: RunningHub) -> None:
    branch = token_of(hub, "bob", [Scope("wheels:push", "pr-17")])
    push(hub, BUILT, branch)

    assert BUILT.filename in listed(hub, auth=branch)
    assert listed(hub) == [SOURCE.filename]
    file = f"{hub.base}/w/f/{BUILT.sha256}/{BUILT.filename}"
    mine = hub.client.get(file, auth=branch)
    assert (mine.status_code, mine.headers["cache-control"].split(",")[0]) == (200, "private")
    assert hub.client.get(file).status_code == 404


def test_what_pip_was_handed_stays_whatever_the_cache_gives_way_to(upstream: Upstream, tmp_path: Path) -> None:
    handed, other = (wheel("acme", "1.0", size=80_000, tag=tag) for tag in ("py3-none-any", "py2.py3-none-any"))
    settings: Any = {"index": {"upstreams": [upstream.url]}, "cache": {"max_bytes": 0}}
    settings["limits"] = {"wheel_handed_seconds": 3_600}
    with RunningHub(tmp_path, **settings) as hub:
        alice = token_of(hub, "alice", [Scope("wheels:push")])
        push(hub, handed, alice)
        hub.get(f"/w/f/{handed.sha256}/{handed.filename}.metadata", user_agent=PIP)
        push(hub, other, alice)
        hub.get(f"/w/f/{other.sha256}/{other.filename}", user_agent=INSTALLING)

        def gone() -> bool:
            hub.built.hub.blobs.evict()
            return hub.get(f"/w/f/{other.sha256}/{other.filename}", user_agent=INSTALLING).status_code == 404

        hub.wait_until(gone)
        assert hub.get(f"/w/f/{handed.sha256}/{handed.filename}", user_agent=PIP).content == handed.content
        assert listed(hub) == [SOURCE.filename, handed.filename]
        rows = hub.get("/api/v1/wheels").json()["items"]
        assert [row["filename"] for row in rows] == [handed.filename]


def test_whoever_may_not_read_the_index_gets_no_page_of_it(upstream: Upstream, tmp_path: Path) -> None:
    with RunningHub(tmp_path, index={"upstreams": [upstream.url], "read": "users"}) as hub:
        for path in ("", "acme", "acme/", f"acme/{SOURCE.filename}", f"acme/{SOURCE.filename}.metadata"):
            assert hub.client.get(f"{hub.base}/w/i/{path}").status_code == 401
        builders = token_of(hub, "alice", [Scope("wheels:push")])
        readers = token_of(hub, "bob", [Scope("index:read")])
        assert hub.client.get(f"{hub.base}/w/i/acme/", auth=builders).status_code == 403
        assert SOURCE.filename in listed(hub, auth=readers)


@pytest.mark.parametrize(
    "path", ["/w/i", "/w/i/acme", "/w/i/Acme/", "/w/i/nothing/", "/w/f/beef/x.whl", "/w/f/" + "1" * 64 + "/x.whl"]
)
def test_other_spellings_lead_to_the_page_and_what_is_not_there_is_404(hub: RunningHub, path: str) -> None:
    answer: httpx2.Response = hub.client.get(hub.base + path, headers={"Accept": "text/html", "User-Agent": PIP})

    assert answer.status_code == (404 if "nothing" in path or "/f/" in path else 301)


def test_served_wheels_and_the_seconds_that_they_save_are_counted(hub: RunningHub) -> None:
    put_entry(hub, BUILT, token_of(hub, "alice", [Scope("wheels:push")]), build_of(SOURCE.sha256))

    for _ in range(3):
        hub.get(f"/w/f/{BUILT.sha256}/{BUILT.filename}")

    assert hub.metric("wheels_saved_seconds_total") == 37.5

    def is_written() -> bool:
        return [row["hits"] for row in hub.get("/api/v1/wheels").json()["items"]] == [3]

    hub.wait_until(is_written)
