"""Claimed and reserved names are never asked of any upstream, whatever address they are asked by."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import pytest
from sqlalchemy import select

from creamery.clock import Micros
from creamery.contract import ProjectName, digest_of
from creamery.index.names import NoPattern, parse_pattern
from creamery.index.ownership import assign, claim, merge, reserve, unreserve
from creamery.index.project import ListedFile, ProjectPage
from creamery.index.refresh import Saved, save_page
from creamery.index.releases import NothingCalledSo, delete, yank
from creamery.index.tables import find_file, find_project, index_file_past
from tests.doubles.distributions import wheel
from tests.doubles.misbehaviour import after
from tests.doubles.running import JSON, RunningHub
from tests.doubles.uploading import BY, HAVARTI, PASSCODE, upload
from tests.doubles.upstream import Upstream

DIGEST = digest_of(b"a page")
PRIVATE = ("acme", "claimed-here", "corp-tool", "corp-unknown", "fixed-one")
SPELLINGS = (str, str.upper, lambda name: name.replace("-", "_"), lambda name: name.replace("-", "."))
ADDRESSES = (
    "/simple/{name}/",
    "/i/{name}/",
    "/simple/{name}",
    "/i/{name}",
    "/simple/{name}/?format=application/vnd.pypi.simple.v1%2Bhtml",
    "/i/{name}/{file}",
    "/i/{name}/{file}.metadata",
    "/pypi/{name}/json",
    "/pypi/{name}/1.0/json",
    "/packages/ab/cd/{digest}/{file}",
    "/api/v1/index/projects/{name}",
    "/api/v1/index/projects/{name}/explain",
)


def claim_for_havarti(hub: RunningHub, name: str) -> None:
    """Claim it on purpose."""
    hub.built.hub.committer.write(lambda c: claim(c, ProjectName(name), BY, holder="passcode:havarti", why="a test"))


@pytest.fixture
def private(tmp_path: Path) -> Iterator[tuple[RunningHub, Upstream]]:
    """A hub whose private names its upstream has as well; some were asked for and cached before they were private."""
    with Upstream() as upstream:
        for name in (*PRIVATE, "public"):
            upstream.add(name, "1.0")
        settings = {"upstreams": [upstream.url], "passcode": PASSCODE, "reserved": ["Fixed_*"]}
        with RunningHub(tmp_path, index=settings) as hub:
            for name in ("claimed-here", "corp-tool"):
                hub.download(name, hub.files(name)[0])
            hub.built.hub.committer.write(lambda c: reserve(c, "corp-*", BY))
            for name in ("acme", "claimed-here"):
                claim_for_havarti(hub, name)
            upstream.forget()
            yield hub, upstream


def ask_at_random(hub: RunningHub, rng: random.Random, times: int) -> int:
    """Ask by random addresses and spellings, and upload now and then; returns how many answers were good."""
    good = 0
    for number in range(times):
        name = rng.choice(PRIVATE)
        filename = f"{name.replace('-', '_')}-{rng.choice(('1.0', '2.0'))}-py3-none-any.whl"
        written = rng.choice(SPELLINGS)(name)
        path = rng.choice(ADDRESSES).format(name=written, file=filename, digest="0" * 60)
        if number % 97 == 0:
            answer: httpx2.Response = upload(hub, wheel(name, f"3.{number}"), HAVARTI)
        else:
            answer = hub.get(path, accept=rng.choice((JSON, "text/html", "*/*")))
        assert answer.status_code in {200, 301, 401, 404}, (path, answer.text)
        good += answer.status_code == 200
    return good


@pytest.mark.parametrize("times", [400, pytest.param(10_000, marks=pytest.mark.installed)])
def test_no_upstream_ever_hears_of_a_private_name(private: tuple[RunningHub, Upstream], times: int) -> None:
    hub, upstream = private

    good = ask_at_random(hub, random.Random(times), times)
    heard = upstream.requests()
    hub.get("/simple/public/")

    assert heard == []
    assert good > times / 50
    assert upstream.count("/simple/public/") == 1


def test_what_an_upstream_had_under_a_name_that_became_private_is_served_no_more(
    private: tuple[RunningHub, Upstream],
) -> None:
    hub, _ = private

    for name in ("claimed-here", "corp-tool"):
        filename = f"{name.replace('-', '_')}-1.0-py3-none-any.whl"
        assert hub.get(f"/i/{name}/{filename}").status_code == 404
        assert hub.get(f"/i/{name}/{filename}.metadata").status_code == 404
    listed = [project["name"] for project in hub.get("/simple/", accept=JSON).json()["projects"]]
    assert hub.get("/simple/corp-tool/").status_code == 404
    assert hub.files("claimed-here") == []
    assert listed == ["acme", "claimed-here"]


def test_a_reserved_name_is_its_first_uploaders(private: tuple[RunningHub, Upstream]) -> None:
    hub, upstream = private

    answers = [upload(hub, wheel(name, "2.0")).status_code for name in ("corp-tool", "fixed-one")]

    assert answers == [200, 200]
    assert hub.files("corp-tool") == ["corp_tool-2.0-py3-none-any.whl"]
    assert upstream.requests() == []


def test_a_name_is_free_again_when_it_is_no_longer_reserved(private: tuple[RunningHub, Upstream]) -> None:
    hub, upstream = private

    hub.built.hub.committer.write(lambda c: unreserve(c, "corp-*", BY))

    assert hub.files("corp-tool") == ["corp_tool-1.0-py3-none-any.whl"]
    assert upstream.count("/simple/corp-tool/") == 1


def test_who_insists_gets_the_files_of_all(private: tuple[RunningHub, Upstream]) -> None:
    hub, _ = private
    upload(hub, wheel("acme", "2.0"))

    hub.built.hub.committer.write(lambda c: merge(c, ProjectName("acme"), BY, merged=True))
    both = hub.files("acme")
    upstreams_bytes = hub.download("acme", "acme-1.0-py3-none-any.whl")
    hub.built.hub.committer.write(lambda c: merge(c, ProjectName("acme"), BY, merged=False))

    assert sorted(both) == ["acme-1.0-py3-none-any.whl", "acme-2.0-py3-none-any.whl"]
    assert upstreams_bytes == wheel("acme", "1.0").content
    assert hub.files("acme") == ["acme-2.0-py3-none-any.whl"]
    assert hub.get("/i/acme/acme-1.0-py3-none-any.whl").status_code == 404


@pytest.mark.parametrize("rule", [yank, delete])
@pytest.mark.parametrize("what", ["1.0", "acme-1.0-py3-none-any.whl"])
def test_of_a_merged_name_its_owner_takes_back_what_is_theirs_alone(
    private: tuple[RunningHub, Upstream], rule: Any, what: str
) -> None:
    hub, _ = private
    upload(hub, wheel("acme", "2.0"))
    hub.built.hub.committer.write(lambda c: merge(c, ProjectName("acme"), BY, merged=True))
    before = hub.page("acme")["files"]
    known = hub.ask(lambda c: find_project(c, ProjectName("acme")))

    with pytest.raises(NothingCalledSo):
        hub.built.hub.committer.write(lambda c: rule(c, known, what, "not ours", BY))

    assert hub.page("acme")["files"] == before
    assert {file["filename"]: file["yanked"] for file in before} == {
        "acme-1.0-py3-none-any.whl": False,
        "acme-2.0-py3-none-any.whl": False,
    }


def test_of_a_name_that_two_upstreams_have_the_first_ones_files_count_when_it_is_merged(tmp_path: Path) -> None:
    with Upstream() as first, Upstream() as second:
        theirs = first.add("demo", "1.0")
        second.add("demo", "1.0", size=500)
        second.add("demo", "2.0")
        with RunningHub(tmp_path, index={"upstreams": [first.url, second.url]}) as hub:
            alone = hub.files("demo")
            hub.built.hub.committer.write(lambda c: merge(c, ProjectName("demo"), BY, merged=True))
            merged = hub.page("demo")
            again = hub.page("demo")

            assert alone == [theirs.filename]
            assert [file["filename"] for file in merged["files"]] == [theirs.filename, "demo-2.0-py3-none-any.whl"]
            assert again == merged
            assert hub.download("demo", theirs.filename) == theirs.content
            assert len(hub.download("demo", "demo-2.0-py3-none-any.whl")) > 0


def test_a_name_goes_to_another_upstream_by_command_alone(tmp_path: Path) -> None:
    with Upstream() as old, Upstream() as new:
        old.add("demo", "1.0")
        new.add("demo", "1.0")
        new.add("demo", "2.0")
        with RunningHub(tmp_path, index={"upstreams": [old.url]}) as hub:
            hub.files("demo")
        with RunningHub(tmp_path, index={"upstreams": [new.url]}) as hub:
            before = hub.get("/simple/demo/", accept=JSON).json()["files"]
            changed = hub.built.hub.committer.write(lambda c: assign(c, BY, to=new.url, formerly=old.url))

            assert before == []
            assert changed == ["demo"]
            hub.wait_until(lambda: hub.files("demo") == ["demo-1.0-py3-none-any.whl", "demo-2.0-py3-none-any.whl"])


def test_of_a_merged_name_each_upstream_keeps_back_its_own_files_alone(tmp_path: Path) -> None:
    with Upstream() as first, Upstream() as second:
        theirs, others = first.add("demo", "1.0"), second.add("demo", "2.0")
        with RunningHub(tmp_path, index={"upstreams": [first.url, second.url], "passcode": PASSCODE}) as hub:
            hub.files("demo")
            hub.built.hub.committer.write(lambda c: merge(c, ProjectName("demo"), BY, merged=True))
            for made in (theirs, others):
                hub.page("demo")
                hub.download("demo", made.filename)
            second.set_status("demo", "quarantined", "malware")
            kept_back_second = hub.files("demo")
            malware = hub.get(f"/i/demo/{others.filename}")
            second.set_status("demo", "active")
            first.set_status("demo", "quarantined", "malware")
            kept_back_first = hub.page("demo")

            assert kept_back_second == [theirs.filename]
            assert malware.status_code == 404
            assert [file["filename"] for file in kept_back_first["files"]] == [others.filename]
            assert kept_back_first["project-status"]["status"] == "active"
            assert hub.get(f"/i/demo/{theirs.filename}").status_code == 404


def test_a_new_owner_is_asked_at_once_and_from_scratch(tmp_path: Path) -> None:
    with Upstream() as old, Upstream() as new:
        old.add("demo", "1.0")
        new.add("demo", "2.0")
        settings = {"upstreams": [{"url": old.url}, {"url": new.url}], "max_age": 1_000}
        with RunningHub(tmp_path, index=settings) as hub:
            before = hub.page("demo")
            hub.built.hub.committer.write(lambda c: assign(c, BY, to=new.url, names=[ProjectName("demo")]))
            known = hub.ask(lambda c: find_project(c, ProjectName("demo")))
            hub.wait_until(lambda: hub.files("demo") == ["demo-2.0-py3-none-any.whl"])

            assert (known.upstream, known.etag, known.last_modified, known.page_digest) == (new.url, None, None, None)
            assert known.serial > before["meta"]["_last-serial"]
            assert new.conditional == []


def test_an_answer_that_was_under_way_changes_nothing_of_a_name_that_has_another_owner_since(tmp_path: Path) -> None:
    with Upstream() as old:
        old.add("demo", "1.0")
        with RunningHub(tmp_path, index={"upstreams": [old.url]}) as hub:
            hub.files("demo")
            hub.built.hub.committer.write(lambda c: assign(c, BY, to="http://127.0.0.1:9/simple/", formerly=old.url))
            before = hub.ask(lambda c: find_project(c, ProjectName("demo")))
            late = ProjectPage(ProjectName("demo"), (ListedFile("demo-9.0.tar.gz", "http://127.0.0.1:9/"),))

            def save(connection: Any) -> Saved:
                return save_page(
                    connection, late, upstream=old.url, etag=None, last_modified=None, page_digest=DIGEST, now=Micros(5)
                )

            saved = hub.built.hub.committer.write(save)

            assert saved.project == before


def test_what_a_page_said_of_a_file_before_is_kept_with_its_birth_and_death(tmp_path: Path) -> None:
    with Upstream() as upstream:
        made = upstream.add("demo", "1.0")
        with RunningHub(tmp_path, index={"upstreams": [upstream.url]}) as hub:
            born = hub.page("demo")["meta"]["_last-serial"]
            upstream.add("demo", "1.0", yanked="broken")
            died = hub.page("demo")["meta"]["_last-serial"]
            (past,) = hub.ask(lambda c: c.execute(select(index_file_past)).all())

            assert (past.born, past.died, past.yanked, past.sha256) == (born, died, None, made.sha256)


def test_the_look_for_an_upstream_that_is_back_tells_no_name_that_became_private_meanwhile(tmp_path: Path) -> None:
    with Upstream() as upstream:
        settings = {"upstreams": [upstream.url], "passcode": PASSCODE}
        with RunningHub(tmp_path, index=settings, limits={"breaker_seconds": 0.2}) as hub:
            upstream.stop()
            waiting = [hub.get(f"/simple/{name}/").status_code for name in ("acme-secret", "other-secret")]
            hub.built.hub.committer.write(lambda c: reserve(c, "acme-*", BY))
            claim_for_havarti(hub, "other-secret")
            upstream.start()
            hub.wait_until(lambda: bool(upstream.requests()), 20)
            hub.wait_until(lambda: hub.get("/simple/public/").status_code == 404, 20)

            assert waiting == [503, 503]
            assert [seen.path for seen in upstream.requests() if "secret" in seen.path] == []


def test_a_name_that_is_claimed_while_the_first_upstream_thinks_is_not_asked_of_the_second(tmp_path: Path) -> None:
    with Upstream() as first, Upstream() as second, ThreadPoolExecutor(1) as client:
        first.misbehave("/simple/acme/", after(1.0))
        hub = RunningHub(tmp_path, index={"upstreams": [first.url, second.url]})
        with hub:
            asked = client.submit(hub.get, "/simple/acme/")
            hub.wait_until(lambda: first.count("/simple/acme/") == 1)
            claim_for_havarti(hub, "acme")

            assert asked.result().status_code == 503
            assert second.requests() == []


def test_of_a_name_that_is_claimed_no_more_metadata_is_fetched_by_the_job_that_was_at_it(tmp_path: Path) -> None:
    with Upstream() as upstream:
        for number in range(12):
            upstream.add("acme", f"1.{number}", metadata=False, size=200_000)
        upstream.misbehave("/packages/*", after(0.2))
        with RunningHub(tmp_path, index={"upstreams": [upstream.url]}) as hub:
            hub.files("acme")
            hub.wait_until(lambda: upstream.count("/packages/") > 0)
            claim_for_havarti(hub, "acme")
            at_claim = upstream.count("/packages/")
            time.sleep(1.0)

            assert upstream.count("/packages/") <= at_claim + 1


def test_an_answer_for_a_name_that_was_claimed_meanwhile_is_not_written_down(tmp_path: Path) -> None:
    with RunningHub(tmp_path, index={"upstreams": []}) as hub:
        claim_for_havarti(hub, "acme")
        page = ProjectPage(ProjectName("acme"), (ListedFile("acme-9.0.tar.gz", "http://127.0.0.1:9/"),))

        def save(connection: Any) -> Saved:
            return save_page(
                connection, page, upstream="http://u/", etag=None, last_modified=None, page_digest=DIGEST, now=Micros(5)
            )

        hub.built.hub.committer.write(save)

        assert hub.ask(lambda c: find_file(c, ProjectName("acme"), "acme-9.0.tar.gz")) is None


def test_a_claim_closes_what_an_upstream_listed(private: tuple[RunningHub, Upstream]) -> None:
    hub, _ = private

    file = hub.ask(lambda c: find_file(c, ProjectName("claimed-here"), "claimed_here-1.0-py3-none-any.whl"))
    past = hub.ask(lambda c: c.execute(select(index_file_past).where(index_file_past.c.file_id == file.id)).all())

    assert not file.listed
    assert [row.died for row in past] == [file.born]


@pytest.mark.parametrize("text", ["", "*", "a/b", "-", "Ä*", "a" * 256, "a b"])
def test_what_cannot_be_a_pattern_of_names_is_refused(text: str) -> None:
    with pytest.raises(NoPattern, match="is no pattern of names"):
        parse_pattern(text)


def test_a_pattern_is_read_as_names_are() -> None:
    assert parse_pattern("Acme_.Tool*") == "acme-tool*"
