"""What mirrors read: serials, PyPI's JSON, and files under addresses like PyPI's."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx2
import pytest
from sqlalchemy import Connection

from creamery.contract import ProjectName
from creamery.database import announce
from creamery.index import tables
from creamery.index.releases import delete, yank
from creamery.index.tables import DOUBTED, find_project, index_file
from creamery.jobs import jobs
from creamery.journal import Entry, since
from tests.doubles.distributions import Distribution, sdist, wheel
from tests.doubles.running import JSON, RunningHub
from tests.doubles.uploading import BY, PASSCODE, upload
from tests.doubles.upstream import Upstream, status

SERIAL = "x-pypi-last-serial"
WHEEL = "demo-1.1-py3-none-any.whl"


@pytest.fixture
def private(upstream: Upstream, tmp_path: Path) -> Iterator[RunningHub]:
    """A hub that takes uploads."""
    with RunningHub(tmp_path, index={"upstreams": [upstream.url], "passcode": PASSCODE}) as started:
        yield started


def json_of(hub: RunningHub, project: str, version: str | None = None) -> dict[str, Any]:
    response = hub.get(f"/pypi/{project}/{'' if version is None else version + '/'}json")
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/json"
    found: dict[str, Any] = response.json()
    return found


def path_of(hub: RunningHub, url: str) -> str:
    assert url.startswith(hub.base)
    return url.removeprefix(hub.base)


def listed_serial(hub: RunningHub, project: str) -> int:
    projects = hub.get("/simple/", accept=JSON).json()["projects"]
    return int(next(each["_last-serial"] for each in projects if each["name"] == project))


@pytest.mark.parametrize("accept", [JSON, "text/html"])
def test_pages_carry_their_serial_also_when_nothing_has_changed(relaxed_hub: RunningHub, accept: str) -> None:
    whole = [relaxed_hub.get("/simple/demo/", accept=accept) for _ in range(2)]
    not_modified = relaxed_hub.get("/simple/demo/", accept=accept, If_None_Match=whole[0].headers["etag"])
    listing = relaxed_hub.get("/simple/", accept=accept)

    serial = str(listed_serial(relaxed_hub, "demo"))
    assert not_modified.status_code == 304
    assert [answer.headers[SERIAL] for answer in (*whole, not_modified, listing)] == [serial] * 4


def test_a_serial_grows_with_each_change_of_a_page_and_of_no_other(hub: RunningHub, upstream: Upstream) -> None:
    hub.page("dep")
    first = int(hub.get("/simple/demo/").headers[SERIAL])
    upstream.add("demo", "2.0")

    second = int(hub.get("/simple/demo/").headers[SERIAL])

    assert second > first
    assert listed_serial(hub, "demo") == second
    assert int(hub.get("/pypi/demo/json").headers[SERIAL]) == json_of(hub, "demo")["last_serial"] == second
    assert int(hub.get("/simple/dep/").headers[SERIAL]) < first


def test_what_lists_only_files_that_are_here_has_no_serial_for_a_mirror_would_believe_it(
    hub: RunningHub, upstream: Upstream
) -> None:
    hub.download("demo", WHEEL)
    upstream.stop()

    answers = [hub.get(path) for path in ("/pypi/demo/json", "/simple/demo/")]

    assert [answer.status_code for answer in answers] == [200, 200]
    assert not any(SERIAL in answer.headers for answer in answers)
    assert list(answers[0].json()["releases"]) == ["1.1"]


def test_a_projects_json_has_what_pypis_has(hub: RunningHub, upstream: Upstream) -> None:
    made = upstream.add("demo", "2.0", requires=["dep>=1"], requires_python=">=3.9")
    upstream.add("demo", "2.1rc1")
    upstream.add("demo", "3.0", yanked="broken")

    page = json_of(hub, "demo")

    assert list(page["releases"]) == ["1.0", "1.1", "2.0", "2.1rc1", "3.0"]
    assert page["urls"] == page["releases"]["2.0"]  # final, and not yanked
    assert (
        page["info"]
        | {
            "name": "demo",
            "version": "2.0",
            "summary": "made for a test",
            "description": "Made for a test.\n",
            "requires_dist": ["dep>=1"],
            "requires_python": ">=3.9",
            "yanked": False,
            "yanked_reason": None,
        }
        == page["info"]
    )
    (file,) = page["urls"]
    digest = made.sha256
    assert file == {
        "comment_text": None,
        "core-metadata": {"sha256": file["core-metadata"]["sha256"]},
        "digests": {"sha256": digest},
        "downloads": -1,
        "filename": made.filename,
        "has_sig": False,
        "md5_digest": None,
        "packagetype": "bdist_wheel",
        "python_version": "py3",
        "requires_python": ">=3.9",
        "size": len(made.content),
        "upload_time": "2024-01-02T03:04:05",
        "upload_time_iso_8601": "2024-01-02T03:04:05.000000Z",
        "url": f"{hub.base}/packages/{digest[:2]}/{digest[2:4]}/{digest[4:]}/{made.filename}",
        "yanked": False,
        "yanked_reason": None,
    }
    assert [(each["yanked"], each["yanked_reason"]) for each in page["releases"]["3.0"]] == [(True, "broken")]


def test_one_versions_json_tells_of_that_version(hub: RunningHub, upstream: Upstream) -> None:
    upstream.add("demo", "3.0", "sdist", yanked="broken")

    older, yanked = json_of(hub, "demo", "1.0.0"), json_of(hub, "demo", "3.0")

    assert older["info"]["version"] == "1.0"
    assert [file["filename"] for file in older["urls"]] == ["demo-1.0-py3-none-any.whl"]
    assert "releases" not in older
    assert (yanked["info"]["yanked"], yanked["info"]["yanked_reason"]) == (True, "broken")
    assert (yanked["urls"][0]["packagetype"], yanked["urls"][0]["python_version"]) == ("sdist", "source")


@pytest.mark.parametrize("path", ["/pypi/demo/9/json", "/pypi/demo/nonsense/json", "/pypi/nobody/json", "/pypi/-/json"])
def test_what_there_is_not_is_404(shared_hub: RunningHub, path: str) -> None:
    assert shared_hub.get(path).status_code == 404


@pytest.mark.parametrize(
    ("path", "location"),
    [("/pypi/De.Mo/json", "../de-mo/json"), ("/pypi/DEMO/1.0%2Blocal/json", "../../demo/1.0%2Blocal/json")],
)
def test_other_spellings_are_led_to_the_one(shared_hub: RunningHub, path: str, location: str) -> None:
    response = shared_hub.get(path)

    assert (response.status_code, response.headers["location"]) == (301, location)


def test_a_file_has_the_same_bytes_and_headers_under_both_addresses(hub: RunningHub) -> None:
    page = json_of(hub, "demo")
    path = path_of(hub, page["urls"][0]["url"])

    plain, packages = hub.get(f"/i/demo/{WHEEL}"), hub.get(path)
    piece = hub.get(path, Range="bytes=0-9")
    metadata = [hub.get(f"{address}.metadata") for address in (f"/i/demo/{WHEEL}", path)]

    assert packages.content == plain.content
    assert packages.headers["etag"] == plain.headers["etag"]
    assert (piece.status_code, piece.content) == (206, plain.content[:10])
    assert metadata[0].status_code == 200
    assert metadata[0].content == metadata[1].content


def test_a_digest_is_no_key(private: RunningHub) -> None:
    ours = wheel("ours", "1.0")
    assert upload(private, ours).status_code == 200
    path = path_of(private, json_of(private, "ours")["urls"][0]["url"])
    other = json_of(private, "demo")["urls"][0]["digests"]["sha256"]
    elsewhere = f"/packages/{other[:2]}/{other[2:4]}/{other[4:]}/{ours.filename}"
    renamed = path.replace("ours-1.0", "ours-1.1")

    assert private.get(path).content == ours.content
    assert [private.get(each).status_code for each in (elsewhere, renamed, path.upper())] == [404, 404, 404]


def test_of_files_with_one_name_and_hash_the_one_that_is_offered_is_sent(upstream: Upstream, tmp_path: Path) -> None:
    index: dict[str, Any] = {"upstreams": [upstream.url]}
    with RunningHub(tmp_path, index=index) as hub:
        hub.page("dep")
        hub.page("demo")
        path = path_of(hub, json_of(hub, "demo")["urls"][0]["url"])
        named = index_file.select().where(index_file.c.filename == WHEEL)
        twin = dict(hub.ask(lambda connection: connection.execute(named).mappings().one()))
        dep = hub.ask(lambda connection: find_project(connection, ProjectName("dep")))
        first = {**twin, "id": -1, "project_id": dep.id}  # it comes before the other, in each order there is
        hub.built.hub.committer.write(lambda connection: connection.execute(index_file.insert().values(first)))

    with RunningHub(tmp_path, index=index | {"deny": ["dep"]}) as hub:
        answers = [hub.get(path), hub.get(f"{path}.metadata")]
    with RunningHub(tmp_path, index=index | {"deny": ["demo", "dep"]}) as hub:
        refused = hub.get(path)

    assert [answer.status_code for answer in answers] == [200, 200]
    assert refused.status_code == 404


def test_a_file_that_nobody_has_heard_of_is_asked_of_no_upstream(hub: RunningHub, upstream: Upstream) -> None:
    assert hub.get(f"/packages/aa/bb/{'c' * 60}/demo-1.0-py3-none-any.whl").status_code == 404
    assert upstream.count() == 0


def test_rules_hold_for_the_json_and_for_its_addresses(hub: RunningHub, upstream: Upstream, tmp_path: Path) -> None:
    path = path_of(hub, json_of(hub, "demo")["urls"][0]["url"])
    with RunningHub(tmp_path / "second", index={"upstreams": [upstream.url], "deny": ["demo>1", "dep"]}) as second:
        page = json_of(second, "demo")
        refused = [second.get(each) for each in (path, f"{path}.metadata", "/pypi/dep/json", "/pypi/demo/1.1/json")]

    assert list(page["releases"]) == ["1.0"]
    assert page["info"]["version"] == "1.0"
    assert [answer.status_code for answer in refused] == [404] * 4
    assert all("index.deny" in answer.json()["detail"] for answer in refused[:3])


def test_uploads_yanks_and_deletions_are_in_it_at_once_with_a_newer_serial(private: RunningHub) -> None:
    def change(rule: Any) -> None:
        def work(connection: Connection) -> None:
            known = find_project(connection, ProjectName("ours"))
            assert known is not None
            rule(connection, known, "1.0", "a reason", BY)
            announce(connection, DOUBTED)

        private.built.hub.committer.write(work)
        private.wait_until(lambda: listed_serial(private, "ours") > serials[-1])

    serials = [0]
    seen = []
    assert upload(private, wheel("ours", "1.0")).status_code == 200
    assert upload(private, sdist("ours", "1.1")).status_code == 200
    for rule in (None, yank, delete):
        if rule is not None:
            change(rule)
        page = json_of(private, "ours")
        serials.append(page["last_serial"])
        seen.append({version: [file["yanked"] for file in files] for version, files in page["releases"].items()})

    assert seen == [{"1.0": [False], "1.1": [False]}, {"1.0": [True], "1.1": [False]}, {"1.1": [False]}]
    assert serials == sorted(set(serials))


def entries_of(hub: RunningHub, action: str) -> list[Entry]:
    return [entry for entry in hub.ask(lambda connection: since(connection, 0, 1_000)) if entry.action == action]


def test_metadata_that_the_hub_reads_out_of_wheels_has_a_serial_one_for_all_that_came_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "TELL_AFTER_SECONDS", 1)
    with Upstream(metadata=False) as upstream:
        for version in ("1.0", "2.0", "3.0"):
            upstream.add("plain", version)
        with RunningHub(tmp_path, index={"upstreams": [upstream.url]}) as hub:
            first = hub.page("plain")

            hub.wait_until(lambda: all(file["core-metadata"] for file in hub.page("plain")["files"]))
            hub.wait_until(lambda: listed_serial(hub, "plain") > first["meta"]["_last-serial"])

            second = hub.page("plain")
            entries = entries_of(hub, "metadata changed")
            assert [entry.subject for entry in entries] == ["plain"]
            assert second["meta"]["_last-serial"] == json_of(hub, "plain")["last_serial"] == entries[0].serial
    assert [file["core-metadata"] for file in first["files"]] == [False] * 3


def test_metadata_that_is_advertised_and_cannot_be_had_has_a_serial(
    hub: RunningHub, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "TELL_AFTER_SECONDS", 0)
    upstream.add_file("odd", "1.0", Distribution("odd-1.0-py3-none-any.whl", b"no zip", b"METADATA"), metadata=True)
    first = hub.page("odd")
    upstream.misbehave("/packages/*.metadata", status(404))

    assert hub.get("/i/odd/odd-1.0-py3-none-any.whl.metadata").status_code == 404

    hub.wait_until(lambda: listed_serial(hub, "odd") > first["meta"]["_last-serial"])
    assert first["files"][0]["core-metadata"]
    assert hub.page("odd")["files"][0]["core-metadata"] is False


def test_metadata_whose_hash_the_upstream_tells_costs_no_entry_of_the_journal(
    hub: RunningHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "TELL_AFTER_SECONDS", 0)
    first = hub.page("demo")

    assert hub.get(f"/i/demo/{WHEEL}.metadata").status_code == 200
    hub.download("demo", WHEEL)

    waiting = hub.ask(lambda connection: [row.kind for row in jobs(connection, limit=100)])
    assert hub.page("demo") == first
    assert tables.TELL_JOB not in waiting


def test_a_python_that_is_required_over_two_lines_is_told_in_one(private: RunningHub) -> None:
    assert upload(private, wheel("ours", "1.0", requires_python=">=3.9,\n <4")).status_code == 200

    page, file = json_of(private, "ours"), private.page("ours")["files"][0]

    told = (page["info"]["requires_python"], page["urls"][0]["requires_python"], file["requires-python"])
    assert told == (">=3.9, <4",) * 3


@pytest.mark.parametrize("hashes", [True, False])
def test_files_without_hash_or_size_are_left_out_until_their_bytes_are_here(tmp_path: Path, *, hashes: bool) -> None:
    with Upstream(hashes=hashes, sizes=False) as upstream:
        made = upstream.add("bare", "1.0")
        upstream.add("bare", "2.0")
        with RunningHub(tmp_path, index={"upstreams": [upstream.url]}) as hub:
            before = json_of(hub, "bare")
            hub.download("bare", made.filename)
            after = json_of(hub, "bare")
            listed = listed_serial(hub, "bare")

    assert before["releases"] == {}
    assert before["info"]["name"] == "bare"
    assert list(after["releases"]) == ["1.0"]
    assert after["last_serial"] == listed > before["last_serial"]


@pytest.mark.parametrize("told", [None, "yesterday"])
def test_an_upload_time_that_nobody_tells_is_when_the_hub_saw_the_file_first(
    hub: RunningHub, upstream: Upstream, told: str | None
) -> None:
    upstream.add("untimed", "1.0", upload_time=told)

    (file,) = json_of(hub, "untimed")["urls"]

    created = hub.ask(
        lambda connection: (
            connection.execute(index_file.select().where(index_file.c.filename == file["filename"])).one().created
        )
    )
    assert abs(datetime.fromisoformat(file["upload_time_iso_8601"]).timestamp() - created / 1e6) < 0.001


def test_without_metadata_the_page_says_what_it_knows(hub: RunningHub, upstream: Upstream) -> None:
    sdists = upstream.add("only-sdist", "1.0", "sdist", requires_python=">=3.7")
    wheels = upstream.add("demo", "2.0", requires_python=">=3.9")
    hub.page("demo")
    upstream.misbehave("/packages/*", status(500))

    bare, refused = json_of(hub, "only-sdist"), json_of(hub, "demo")

    assert bare["urls"][0]["filename"] == sdists.filename
    assert (bare["info"]["name"], bare["info"]["version"]) == ("only-sdist", "1.0")
    assert (bare["info"]["summary"], bare["info"]["requires_python"]) == (None, ">=3.7")
    assert refused["urls"][0]["filename"] == wheels.filename
    assert (refused["info"]["summary"], refused["info"]["requires_python"]) == (None, ">=3.9")


def test_addresses_are_those_that_users_see(upstream: Upstream, tmp_path: Path) -> None:
    with RunningHub(tmp_path, index={"upstreams": [upstream.url]}, public_url="https://hub.example/") as hub:
        page = json_of(hub, "demo")

    assert page["urls"][0]["url"].startswith("https://hub.example/packages/")


def test_a_closed_index_is_closed_here_too(upstream: Upstream, tmp_path: Path) -> None:
    with RunningHub(tmp_path, index={"upstreams": [upstream.url], "read": "users"}) as hub:
        answers = [hub.get(path) for path in ("/pypi/demo/json", f"/packages/aa/bb/{'c' * 60}/{WHEEL}")]

    assert [answer.status_code for answer in answers] == [401, 401]


def test_a_project_of_thousands_of_files_holds_nobody_up(hub: RunningHub, upstream: Upstream) -> None:
    upstream.add_many("numpy", 4_400)
    hub.page("numpy")
    waits: list[float] = []
    done = threading.Event()

    def look() -> None:
        with httpx2.Client(trust_env=False) as client:
            while not done.is_set():
                started = time.perf_counter()
                client.get(f"{hub.base}/healthz")
                waits.append(time.perf_counter() - started)

    looking = threading.Thread(target=look)
    looking.start()
    started = time.perf_counter()
    page = json_of(hub, "numpy")
    seconds = time.perf_counter() - started
    done.set()
    looking.join()

    assert sum(map(len, page["releases"].values())) == 4_400
    print(f"{seconds * 1e3:.0f} ms; others waited {max(waits) * 1e3:.0f} ms at most, {len(waits)} times")
    assert max(waits) < 1.0  # what it takes on an idle machine is measured elsewhere
