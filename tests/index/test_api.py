"""`/api/v1/index`, asked of a running hub: what it tells, who may change what, and what the index then serves."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import httpx2
import pytest

from creamery.accounts import By, Scope, add_user, create_token
from creamery.clock import Micros
from creamery.contract import Digest
from creamery.index.releases import LONGEST_REASON
from creamery.journal import Entry, latest
from tests.doubles.hosted import host
from tests.doubles.running import RunningHub
from tests.doubles.uploading import HAVARTI, PASSCODE
from tests.doubles.upstream import Upstream

BY = By(Micros(1_700_000_000_000_000))
FIRST, SECOND = "acme_tool-1.0-py3-none-any.whl", "acme_tool-1.1-py3-none-any.whl"
SDIST = "acme_tool-1.1.tar.gz"
P = "/projects/acme-tool"

DAVE = ("dave", "123456")

Ask = Callable[..., httpx2.Response]


@pytest.fixture
def people(tmp_path: Path) -> Path:
    """A password file with dave in it."""
    found = tmp_path / "people"
    found.write_text("dave:{SHA}fEqNCco3Yq9h5ZUglD3CZJT4lBs=\n")
    return found


@pytest.fixture
def hub(upstream: Upstream, tmp_path: Path, people: Path) -> Iterator[RunningHub]:
    """Over an upstream with `demo`; alice owns acme-tool, bob maintains it, eve is a stranger, root administers."""
    settings = {"upstreams": [upstream.url], "reserved": ["inner-*"], "htpasswd": people, "passcode": PASSCODE}
    with RunningHub(tmp_path, index=settings) as started:
        for name in ("alice", "bob", "eve", "root"):
            started.built.hub.committer.write(
                partial(add_user, name=name, password=None, by=BY, is_admin=name == "root")
            )
        host(started, "acme-tool", FIRST, SECOND, SDIST, owner="alice", maintainer="bob")
        yield started


@pytest.fixture
def ask(hub: RunningHub) -> Ask:
    """Asks as somebody, with a token of such a scope; without one as nobody."""
    tokens: dict[tuple[str, str, str], str] = {}

    def token(user: str, scope: tuple[str, str]) -> str:
        if (user, *scope) not in tokens:
            made = hub.built.hub.committer.write(lambda c: create_token(c, user, "a test's", [Scope(*scope)], None, BY))
            tokens[(user, *scope)] = made[0]
        return tokens[(user, *scope)]

    def call(
        user: str, method: str, path: str, body: Any = None, *, scope: tuple[str, str] = ("admin", "")
    ) -> httpx2.Response:
        headers = {"Authorization": f"Bearer {token(user, scope)}"} if user else {}
        return hub.client.request(method, f"{hub.base}/api/v1/index{path}", json=body, headers=headers)

    return call


def yanked(hub: RunningHub) -> dict[str, str | bool]:
    return {file["filename"]: file.get("yanked", False) for file in hub.page("acme-tool")["files"]}


def last_entry(hub: RunningHub) -> Entry:
    entry: Entry = hub.ask(lambda connection: latest(connection, 1))[0]
    return entry


def test_a_hosted_project_is_told_by_any_spelling_of_its_name(ask: Ask) -> None:
    facts = ask("", "GET", "/projects/Acme_Tool").json()

    files = facts.pop("files")
    assert facts.pop("serial") > 0
    assert facts == {
        "name": "acme-tool",
        "status": "active",
        "reason": None,
        "hosted": True,
        "merged": False,
        "upstream": None,
        "versions": ["1.0", "1.1"],
        "owners": ["alice"],
        "maintainers": ["bob"],
    }
    assert [file["filename"] for file in files] == [FIRST, SECOND, SDIST]
    assert files[0] | {"sha256": "?"} == {
        "filename": FIRST,
        "version": "1.0",
        "size": len(FIRST),
        "sha256": "?",
        "upload_time": None,
        "yanked": None,
        "origin": None,
        "cached": True,
        "uploaded_by": "alice",
    }


def test_an_upstreams_project_is_told_once_the_hub_knows_it_and_no_upstream_is_asked(
    hub: RunningHub, ask: Ask, upstream: Upstream
) -> None:
    unknown = ask("", "GET", "/projects/demo")
    assert upstream.count() == 0
    filename = hub.files("demo")[0]
    hub.download("demo", filename)
    upstream.forget()

    facts = ask("", "GET", "/projects/demo").json()

    assert (unknown.status_code, facts["hosted"], facts["upstream"]) == (404, False, upstream.url)
    assert [file["cached"] for file in facts["files"]] == [file["filename"] == filename for file in facts["files"]]
    assert {file["origin"] for file in facts["files"]} == {upstream.url}
    assert upstream.count() == 0


def test_versions_come_in_their_order(hub: RunningHub, ask: Ask) -> None:
    names = [f"acme_many-{version}.tar.gz" for version in ("1.10", "1.9", "1.9rc1", "2.0", "1.9")]
    host(hub, "acme-many", *dict.fromkeys(names), owner="alice")

    assert ask("", "GET", "/projects/acme-many").json()["versions"] == ["1.9rc1", "1.9", "1.10", "2.0"]


def test_what_is_withheld_is_explained(hub: RunningHub, ask: Ask) -> None:
    ask("alice", "POST", f"{P}/delete", {"what": "1.0", "reason": "a password in it"})

    told = ask("", "GET", f"{P}/explain").json()

    assert told["name"] == "acme-tool"
    assert {file["filename"]: file["offered"] for file in told["files"]} == {FIRST: False, SECOND: True, SDIST: True}
    assert told["files"][0]["reason"] == "it was deleted; its name never returns"
    assert told["files"][1]["reason"] is None
    listed = hub.files("acme-tool")
    assert listed == [file["filename"] for file in told["files"] if file["offered"]]


def test_it_is_explained_whether_a_file_fits_a_python_and_a_platform(hub: RunningHub, ask: Ask) -> None:
    names = ["acme_lib-1.0-cp311-cp311-win_amd64.whl", "acme_lib-1.0-cp312-cp312-manylinux_2_28_x86_64.whl"]
    host(hub, "acme-lib", *names, owner="alice")

    told = ask("", "GET", "/projects/acme-lib/explain?for=python3.12-linux").json()
    plain = ask("", "GET", "/projects/acme-lib/explain").json()

    assert [(file["offered"], file["fits"]) for file in told["files"]] == [(True, False), (True, True)]
    assert [file["misfit"] for file in told["files"]] == ["its tags are for other Pythons or platforms", None]
    assert (told["target"], told["taken"]) == ("python3.12-linux-x86_64", names[1])
    assert {file["fits"] for file in plain["files"]} == {None}
    refused = ask("", "GET", "/projects/acme-lib/explain?for=python2")
    assert refused.status_code == 422
    assert "such as python3.12-linux" in refused.json()["detail"]


def test_it_is_explained_of_any_name_whom_the_hub_would_ask(ask: Ask, upstream: Upstream) -> None:
    unknown, reserved = (ask("", "GET", f"/projects/{name}/explain").json() for name in ("new", "inner-new"))

    assert (unknown["known"], unknown["asked"], unknown["hidden"]) == (False, [upstream.url], None)
    assert (reserved["asked"], reserved["reserved"]) == ([], "inner-*")
    assert "reserved" in reserved["hidden"]
    assert upstream.count() == 0


@pytest.mark.parametrize(("what", "changed"), [("1.1", [SECOND, SDIST]), ("1.1.0", [SECOND, SDIST]), (SDIST, [SDIST])])
def test_a_maintainer_yanks_a_version_or_a_file_and_takes_it_back(
    hub: RunningHub, ask: Ask, what: str, changed: list[str]
) -> None:
    done = ask("bob", "POST", f"{P}/yank", {"what": what, "reason": "loses data"})
    entry = last_entry(hub)

    assert done.json() == {"files": changed, "serial": entry.serial}
    assert yanked(hub) == {name: "loses data" if name in changed else False for name in (FIRST, SECOND, SDIST)}
    assert (entry.action, entry.subject, entry.origin) == ("yanked", f"acme-tool/{what}", "127.0.0.1")
    assert entry.actor.startswith("bob (token ")
    assert entry.detail["reason"] == "loses data"

    again = ask("bob", "POST", f"{P}/yank", {"what": what, "reason": "loses data"})
    back = ask("bob", "POST", f"{P}/unyank", {"what": what})

    assert again.json() == {"files": [], "serial": None}
    assert back.json()["files"] == changed
    assert set(yanked(hub).values()) == {False}


def test_what_an_owner_deletes_is_gone_from_page_and_address(hub: RunningHub, ask: Ask) -> None:
    assert hub.get(f"/i/acme-tool/{FIRST}").content == FIRST.encode()

    done = ask("alice", "POST", f"{P}/delete", {"what": FIRST, "reason": "a password in it"})

    assert done.json()["files"] == [FIRST]
    assert hub.files("acme-tool") == [SECOND, SDIST]
    assert hub.get(f"/i/acme-tool/{FIRST}").status_code in {404, 410}
    assert FIRST not in {file["filename"] for file in ask("", "GET", P).json()["files"]}
    assert ask("alice", "POST", f"{P}/delete", {"what": FIRST, "reason": "again"}).status_code == 404


def test_a_marker_reaches_the_page_and_quarantine_hides_its_files(hub: RunningHub, ask: Ask) -> None:
    marked = ask("alice", "PUT", f"{P}/status", {"status": "deprecated", "reason": "use acme-mill"})
    page = hub.page("acme-tool")
    ask("root", "PUT", f"{P}/status", {"status": "quarantined"})

    assert marked.json() == {"status": "deprecated", "reason": "use acme-mill"}
    assert page["project-status"] == {"status": "deprecated", "reason": "use acme-mill"}
    assert hub.files("acme-tool") == []
    assert hub.get(f"/i/acme-tool/{FIRST}").status_code in {403, 404}
    assert ask("", "GET", P).json()["status"] == "quarantined"


CHANGES: list[tuple[str, str, Any, str]] = [
    ("POST", f"{P}/yank", {"what": "1.0", "reason": ""}, "maintainer"),
    ("POST", f"{P}/unyank", {"what": "1.0"}, "maintainer"),
    ("POST", f"{P}/delete", {"what": "1.0", "reason": "x"}, "owner"),
    ("PUT", f"{P}/status", {"status": "archived"}, "owner"),
    ("PUT", f"{P}/owners/eve", None, "owner"),
    ("DELETE", f"{P}/maintainers/bob", None, "owner"),
    ("POST", f"{P}/claim", None, "administrator"),
    ("POST", f"{P}/merge", {"merged": True}, "administrator"),
    ("POST", "/assign", {"names": ["demo"], "to": "https://nowhere.example/"}, "administrator"),
    ("GET", "/reserved", None, "administrator"),
    ("PUT", "/reserved/new-*", None, "administrator"),
    ("DELETE", "/reserved/new-*", None, "administrator"),
]
PEOPLE = {"root": 3, "alice": 2, "bob": 1, "eve": 0}
RANKS = {"maintainer": 1, "owner": 2, "administrator": 3}


@pytest.mark.parametrize(("method", "path", "body", "needs"), CHANGES, ids=[f"{m} {p}" for m, p, *_ in CHANGES])
def test_each_change_is_for_those_whose_it_is(ask: Ask, method: str, path: str, body: Any, needs: str) -> None:
    """Strangers first, so that nobody is refused for what an earlier one has done."""
    assert ask("", method, path, body).status_code == 401
    for person, rank in sorted(PEOPLE.items(), key=lambda item: item[1]):
        status = ask(person, method, path, body).status_code
        if rank < RANKS[needs]:
            assert status == 403, person
        else:
            assert status in {200, 204, 409, 422}, person
            break


@pytest.mark.parametrize(
    ("scope", "status"),
    [
        (("index:upload", ""), 200),
        (("index:upload", "acme-*"), 200),
        (("index:upload", "other-*"), 403),
        (("index:read", ""), 403),
    ],
)
def test_a_token_reaches_as_far_as_its_scope_says(ask: Ask, scope: tuple[str, str], status: int) -> None:
    body = {"what": "1.0", "reason": ""}

    assert ask("alice", "POST", f"{P}/yank", body, scope=scope).status_code == status


def test_an_administrators_token_for_uploads_manages_no_names(ask: Ask) -> None:
    assert ask("root", "POST", f"{P}/yank", {"what": "1.0", "reason": ""}, scope=("index:upload", "")).is_success
    assert ask("root", "POST", "/projects/demo/claim", scope=("index:upload", "")).status_code == 403
    assert ask("root", "POST", "/projects/demo/claim", scope=("index:manage", "")).is_success


def test_owners_and_maintainers_come_and_go_but_for_the_last_owner(ask: Ask) -> None:
    assert ask("alice", "PUT", f"{P}/owners/bob").json() == {"owners": ["alice", "bob"], "maintainers": []}
    assert ask("bob", "DELETE", f"{P}/owners/alice").json() == {"owners": ["bob"], "maintainers": []}

    last = ask("bob", "DELETE", f"{P}/owners/bob")
    demoted = ask("bob", "PUT", f"{P}/maintainers/bob")

    assert (last.status_code, demoted.status_code) == (409, 409)
    assert "would be left without an owner" in last.json()["detail"]
    assert ask("", "GET", f"{P}/roles").json() == {"owners": ["bob"], "maintainers": []}


@pytest.mark.parametrize(
    ("method", "path", "says"),
    [
        ("PUT", "owners/nobody", "there is no user nobody"),
        ("DELETE", "owners/bob", "bob is no owner of acme-tool"),
        ("DELETE", "maintainers/alice", "alice is no maintainer of acme-tool"),
        ("DELETE", "maintainers/eve", "eve is no maintainer of acme-tool"),
    ],
)
def test_a_role_that_cannot_be_given_or_taken_is_told(ask: Ask, method: str, path: str, says: str) -> None:
    refused = ask("alice", method, f"{P}/{path}")

    assert refused.status_code == 409
    assert says in refused.json()["detail"]
    assert ask("", "GET", f"{P}/roles").json() == {"owners": ["alice"], "maintainers": ["bob"]}


@pytest.mark.parametrize("who", ["htpasswd:dave", "passcode:havarti"])
def test_whoever_is_no_user_of_the_hub_has_a_role_by_the_name_that_is_shown(ask: Ask, who: str) -> None:
    given = ask("alice", "PUT", f"{P}/maintainers/{who}").json()

    assert who in given["maintainers"]
    assert ask("alice", "DELETE", f"{P}/maintainers/{who}").json()["maintainers"] == ["bob"]


@pytest.mark.parametrize(
    ("who", "remedy"),
    [
        ("htpasswd:zz", "index.htpasswd"),
        ("passcode:zz", "passcode:havarti"),
        ("user:999", "creamery user list"),
        ("user:99999999999999999999999", "creamery user list"),
        ("user:01", "creamery user list"),
        ("user:", "creamery user list"),
    ],
)
@pytest.mark.parametrize("role", ["owners", "maintainers"])
def test_nobody_who_cannot_come_is_given_a_role(ask: Ask, who: str, remedy: str, role: str) -> None:
    refused, taken = (ask("alice", method, f"{P}/{role}/{who}") for method in ("PUT", "DELETE"))

    assert [refused.status_code, taken.status_code] == [409, 409]
    assert f"nobody can come as {who}" in refused.json()["detail"]
    assert remedy in refused.json()["detail"]
    assert ask("", "GET", f"{P}/roles").json() == {"owners": ["alice"], "maintainers": ["bob"]}


def test_a_project_keeps_an_owner_who_can_come(ask: Ask, people: Path) -> None:
    """Whose entry the password file has no more is none."""
    assert ask("alice", "PUT", f"{P}/owners/htpasswd:dave").json()["owners"] == ["alice", "htpasswd:dave"]
    people.write_text("")

    refused = ask("alice", "DELETE", f"{P}/owners/alice")
    cleared = ask("alice", "DELETE", f"{P}/owners/htpasswd:dave")

    assert "without an owner" in refused.json()["detail"]
    assert cleared.json()["owners"] == ["alice"]


def test_who_is_refused_is_called_as_owners_call_them(hub: RunningHub, ask: Ask) -> None:
    path = f"{hub.base}/api/v1/index{P}/yank"
    body = {"what": "1.0", "reason": ""}

    refused = [hub.client.post(path, json=body, auth=auth) for auth in (DAVE, HAVARTI)]

    assert [answer.status_code for answer in refused] == [403, 403]
    assert refused[0].json()["detail"].startswith("htpasswd:dave is not")
    assert refused[1].json()["detail"].startswith("passcode:havarti is not")
    assert ask("alice", "PUT", f"{P}/maintainers/htpasswd:dave").is_success
    assert hub.client.post(path, json=body, auth=DAVE).is_success


def test_a_name_that_is_claimed_on_purpose_is_never_asked_for_upstream_again(
    hub: RunningHub, ask: Ask, upstream: Upstream
) -> None:
    filename = hub.files("demo")[0]
    hub.download("demo", filename)

    claimed = ask("root", "POST", "/projects/demo/claim").json()
    upstream.forget()

    assert (claimed["hosted"], claimed["upstream"]) == (True, None)
    assert hub.files("demo") == []
    assert hub.get(f"/i/demo/{filename}").status_code in {403, 404}
    assert upstream.count() == 0
    assert ask("", "GET", "/projects/demo").json()["owners"] == []
    assert ask("root", "PUT", "/projects/demo/owners/eve").json()["owners"] == ["eve"]


def test_a_claimed_name_that_is_merged_is_asked_for_again_and_no_more_when_it_is_not(
    hub: RunningHub, ask: Ask, upstream: Upstream
) -> None:
    ask("root", "POST", "/projects/demo/claim")

    assert ask("root", "POST", "/projects/demo/merge", {"merged": True}).json()["merged"] is True
    merged = hub.files("demo")
    assert ask("root", "POST", "/projects/demo/merge", {"merged": False}).json()["merged"] is False
    upstream.forget()

    assert len(merged) == 2
    assert hub.files("demo") == []
    assert upstream.count() == 0


def test_reserved_names_are_listed_hidden_and_given_free_again(hub: RunningHub, ask: Ask, upstream: Upstream) -> None:
    hub.files("demo")

    reserved = ask("root", "PUT", "/reserved/De*")
    upstream.forget()
    hidden = [hub.get(f"/simple/{name}/").status_code for name in ("demo", "dep")]
    listed = ask("root", "GET", "/reserved").json()["items"]
    freed = ask("root", "DELETE", "/reserved/De*")

    assert reserved.json() == {"pattern": "de*", "of": "command", "projects": ["demo"]}
    assert (hidden, upstream.count()) == ([404, 404], 0)
    assert listed == [{"pattern": "inner-*", "of": "settings"}, {"pattern": "de*", "of": "command"}]
    assert freed.status_code == 204
    assert len(hub.files("demo")) == 2


@pytest.mark.parametrize(
    ("method", "path", "status", "says"),
    [
        ("PUT", "/reserved/*", 422, "is no pattern of names"),
        ("PUT", "/reserved/a%20b", 422, "is no pattern of names"),
        ("DELETE", "/reserved/unknown", 409, "is not reserved by command"),
        ("DELETE", "/reserved/inner-*", 409, "is changed there"),
    ],
)
def test_a_pattern_that_cannot_be_reserved_or_given_free_is_told(
    ask: Ask, method: str, path: str, status: int, says: str
) -> None:
    refused = ask("root", method, path)

    assert refused.status_code == status
    assert says in refused.json()["detail"]


def test_names_are_given_from_one_upstream_to_another(tmp_path: Path, upstream: Upstream) -> None:
    with Upstream() as other:
        other.add("demo", "9.9")
        with RunningHub(tmp_path, index={"upstreams": [upstream.url, other.url]}) as hub:
            write = hub.built.hub.committer.write
            write(partial(add_user, name="root", password=None, by=BY, is_admin=True))
            text, _ = write(lambda c: create_token(c, "root", "a test's", [Scope("admin")], None, BY))

            def assign(**body: Any) -> httpx2.Response:
                headers = {"Authorization": f"Bearer {text}"}
                return hub.client.post(f"{hub.base}/api/v1/index/assign", json=body, headers=headers)

            before = hub.files("demo")
            hub.files("dep")

            given = assign(names=["Demo"], to=other.url.rstrip("/")).json()
            after = hub.files("demo")
            back = assign(**{"from": other.url, "to": upstream.url}).json()

            assert (given, back) == ({"names": ["demo"]}, {"names": ["demo"]})
            assert before == hub.files("demo")
            assert [name for name in after if "9.9" in name] == after != []
            stranger = assign(names=["demo"], to="https://user:s3cret@nowhere.example/")
            assert stranger.status_code == 422
            assert upstream.url in stranger.json()["remedy"]
            assert "s3cret" not in stranger.text
            unknown = assign(names=["never-heard-of"], to=other.url)
            assert (unknown.status_code, "does not know never-heard-of" in unknown.text) == (409, True)


@pytest.mark.parametrize(
    "body",
    [
        {"to": "https://a.example/"},
        {"to": "https://a.example/", "names": []},
        {"to": "https://a.example/", "names": ["demo"], "from": "https://b.example/"},
        {"to": "https://a.example/", "names": ["-"]},
        {"to": "", "names": ["demo"]},
    ],
)
def test_an_assignment_that_does_not_say_what_is_meant_is_refused(ask: Ask, body: dict[str, Any]) -> None:
    assert ask("root", "POST", "/assign", body).status_code == 422


def test_a_reason_is_as_long_as_a_reason_may_be(hub: RunningHub, ask: Ask) -> None:
    longest = "x" * LONGEST_REASON

    assert ask("bob", "POST", f"{P}/yank", {"what": "1.0", "reason": longest}).is_success
    assert yanked(hub)[FIRST] == longest
    for wrong in (longest + "x", "a\nb", "a\x00b"):
        assert ask("bob", "POST", f"{P}/yank", {"what": "1.0", "reason": wrong}).status_code == 422
    assert ask("alice", "PUT", f"{P}/status", {"status": "gone"}).status_code == 422


def test_what_was_changed_in_one_process_holds_in_the_next(tmp_path: Path, upstream: Upstream) -> None:
    """A pattern under which no project was yet known reached no other process: nothing told them."""
    settings = {"upstreams": [upstream.url], "max_age": 1e6}
    with RunningHub(tmp_path, index=settings) as first, RunningHub(tmp_path, index=settings) as second:
        write = first.built.hub.committer.write
        write(partial(add_user, name="root", password=None, by=BY, is_admin=True))
        text, _ = write(lambda c: create_token(c, "root", "a test's", [Scope("admin")], None, BY))
        assert second.get("/simple/other/").status_code == 404

        answer = first.client.put(
            f"{first.base}/api/v1/index/reserved/dem*", headers={"Authorization": f"Bearer {text}"}
        )

        assert answer.is_success
        assert second.get("/simple/demo/").status_code == 404
        assert upstream.count("/simple/demo/") == 0


def test_what_is_deleted_while_it_is_read_into_memory_is_gone(
    hub: RunningHub, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    blobs, reads, goes_on = hub.built.hub.blobs, threading.Event(), threading.Event()
    read = blobs.read

    def read_slowly(digest: Digest, size: int) -> bytes:
        reads.set()
        assert goes_on.wait(10)
        return read(digest, size)

    monkeypatch.setattr(blobs, "read", read_slowly)
    assert hub.get(f"/i/acme-tool/{FIRST}").status_code == 200
    with ThreadPoolExecutor(1) as clients:
        second = clients.submit(hub.get, f"/i/acme-tool/{FIRST}")
        assert reads.wait(10)
        assert ask("alice", "POST", f"{P}/delete", {"what": FIRST, "reason": "a password in it"}).status_code == 200
        goes_on.set()
        assert second.result().status_code == 200  # it was asked for before

    assert hub.get(f"/i/acme-tool/{FIRST}").status_code == 404
