"""One private project's whole life, on each database: what the statements say there is what they say on SQLite."""

from __future__ import annotations

import threading
from pathlib import Path

from creamery.accounts import add_user
from creamery.contract import ProjectName
from creamery.index.ownership import add_role, assign, claim, merge, reserve, roles, unreserve
from creamery.index.releases import delete, mark, unyank, yank
from creamery.index.tables import find_project, index_file_past
from creamery.journal import since
from tests.doubles.distributions import sdist, wheel
from tests.doubles.running import JSON, RunningHub
from tests.doubles.uploading import BY, PASSCODE, token_of, upload
from tests.doubles.upstream import Upstream


def test_a_project_is_uploaded_yanked_deleted_and_marked(database_url: str, upstream: Upstream, tmp_path: Path) -> None:
    index = {"upstreams": [upstream.url], "passcode": PASSCODE}
    with RunningHub(tmp_path / "data", database_url=database_url, index=index) as hub:
        change = hub.built.hub.committer.write
        change(lambda c: reserve(c, "acme*", BY))
        made, source, second = wheel("acme", "1.0"), sdist("acme", "1.0"), wheel("acme", "2.0")
        answers = [upload(hub, each).status_code for each in (made, source, made, second)]
        known = hub.ask(lambda c: find_project(c, ProjectName("acme")))
        change(lambda c: yank(c, known, "1.0", "broken", BY))
        yanked = {file["filename"]: file["yanked"] for file in hub.page("acme")["files"]}
        change(lambda c: unyank(c, known, made.filename, BY))
        change(lambda c: delete(c, known, "2.0", "a test", BY))
        change(lambda c: mark(c, known, "deprecated", "use another", BY))
        page = hub.page("acme")
        past = hub.ask(lambda c: len(c.execute(index_file_past.select()).all()))

        assert answers == [200] * 4
        assert yanked == {made.filename: "broken", source.filename: "broken", second.filename: False}
        assert {file["filename"]: file["yanked"] for file in page["files"]} == {
            made.filename: False,
            source.filename: "broken",
        }
        assert page["project-status"] == {"status": "deprecated", "reason": "use another"}
        assert upload(hub, second).status_code == 400
        assert past == 4
        serials = [entry.serial for entry in hub.ask(lambda c: since(c, 0, 1000))]
        assert serials == sorted(set(serials))
        assert page["meta"]["_last-serial"] == serials[-1]


def test_names_are_claimed_reserved_merged_and_assigned(database_url: str, upstream: Upstream, tmp_path: Path) -> None:
    with RunningHub(tmp_path / "data", database_url=database_url, index={"upstreams": [upstream.url]}) as hub:
        change = hub.built.hub.committer.write
        change(lambda c: add_user(c, "alice", None, BY))
        listed = hub.files("demo")
        known = change(lambda c: claim(c, ProjectName("demo"), BY, holder=None, why="a test"))
        change(lambda c: add_role(c, known, "alice", "owner", BY))
        hidden = hub.files("demo")
        change(lambda c: merge(c, ProjectName("demo"), BY, merged=True))
        merged = hub.files("demo")
        hub.files("dep")
        under = change(lambda c: reserve(c, "dep*", BY))
        reserved = hub.get("/simple/dep/").status_code
        change(lambda c: unreserve(c, "dep*", BY))
        assigned = change(lambda c: assign(c, BY, to="http://127.0.0.1:9/simple/", formerly=upstream.url))

        assert (hidden, merged) == ([], listed)
        assert [(role.name, role.role) for role in hub.ask(lambda c: roles(c, known.id))] == [("alice", "owner")]
        assert (under, reserved) == (["dep"], 404)
        assert assigned == ["dep"]


def test_of_two_who_upload_one_new_name_to_two_hubs_at_once_one_owns_it(
    database_url: str, upstream: Upstream, tmp_path: Path
) -> None:
    index = {"upstreams": [upstream.url]}
    with (
        RunningHub(tmp_path / "data", database_url=database_url, index=index) as first,
        RunningHub(tmp_path / "data", database_url=database_url, index=index) as second,
    ):
        people = {"alice": first, "bob": second}
        tokens = {name: token_of(first, name) for name in people}
        answers: dict[str, int] = {}
        together = threading.Barrier(len(people))

        def send(name: str, version: str) -> None:
            together.wait()
            answers[name] = upload(people[name], wheel("acme", version), tokens[name]).status_code

        threads = [threading.Thread(target=send, args=(name, f"1.{n}")) for n, name in enumerate(people)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        pages = [hub.get("/simple/acme/", accept=JSON).json()["files"] for hub in (first, second)]

        assert sorted(answers.values()) == [200, 403]
        assert pages[0] == pages[1]
        assert len(pages[0]) == 1
