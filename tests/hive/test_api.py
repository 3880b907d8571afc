"""`/api/v1/hive`: spaces, entries, trash, versions, quotas; and that nobody gets at what is not theirs."""

from __future__ import annotations

import pytest

from creamery.accounts import Scope
from creamery.contract import digest_of
from creamery.journal import latest
from tests.doubles.dav import Dav
from tests.doubles.hiving import Keeper
from tests.doubles.running import RunningHub
from tests.doubles.uploading import token_of

HOME = "/home"
TRASH = f"{HOME}/trash"


@pytest.fixture
def keeper(hub: RunningHub) -> Keeper:
    """Alice."""
    return Keeper(hub)


@pytest.fixture
def root(hub: RunningHub) -> Keeper:
    """An administrator."""
    return Keeper(hub, "root", is_admin=True)


def test_a_home_is_there_when_it_is_first_asked_for(keeper: Keeper) -> None:
    assert keeper.get() == {"items": []}

    home = keeper.get("/home")

    assert home.pop("available") > 0
    assert home == {
        "id": home["id"],
        "kind": "home",
        "name": "alice",
        "owner": "alice",
        "address": "/dav/files/alice/",
        "ignores_case": False,
        "quota": None,
        "used": 0,
        "used_files": 0,
        "used_versions": 0,
        "used_trash": 0,
    }
    assert [each["id"] for each in keeper.get()["items"]] == [home["id"]]
    assert keeper.get(f"/{home['id']}")["name"] == "alice"


def test_entries_are_listed_in_pieces_and_found_by_their_path(alice: Dav, keeper: Keeper) -> None:
    alice.folder("/a%20folder")
    etags = [alice.put(f"/a%20folder/{name}", name * 3).headers["etag"] for name in ("b", "c", "d")]

    first = keeper.get("/home/entries", path="/a folder", limit=2)
    second = keeper.get("/home/entries", path="a folder/", after=first["next"])
    folder, root = (keeper.get("/home/entry", path=path) for path in ("/a folder", "/"))

    assert [each["name"] for each in first["items"]] == ["b", "c"]
    [last] = second["items"]
    assert second["next"] is None
    assert (last["kind"], last["size"], last["sha256"], last["etag"]) == ("file", 3, digest_of(b"ddd"), etags[-1])
    assert (folder["kind"], folder["name"], folder["size"], folder["sha256"]) == ("folder", "a folder", 9, None)
    assert (root["kind"], root["name"], root["size"]) == ("folder", "", 9)
    assert keeper("GET", "/home/entries", path="/a folder/b").status_code == 409
    assert keeper("GET", "/home/entry", path="/nothing").status_code == 404
    assert keeper("GET", "/home/entry", path="/\x01").status_code == 422


def test_what_was_deleted_is_listed_brought_back_and_removed(alice: Dav, keeper: Keeper) -> None:
    for name in ("one", "two", "three"):
        alice.put(f"/{name}", name)
        alice("DELETE", f"/{name}")

    first = keeper.get(TRASH, limit=2)
    [one] = keeper.get(TRASH, after=first["next"])["items"]
    three = first["items"][0]

    assert [each["path"] for each in first["items"]] == ["/three", "/two"]
    assert (one["name"], one["kind"], one["size"], one["by"]) == ("one", "file", 3, "alice")
    alice.put("/one", "another")
    back = keeper.post(f"{TRASH}/{one['id']}/restoration")
    assert back["path"].startswith("/one (restored 2")
    assert alice.text(back["path"].replace(" ", "%20")) == "one"
    assert keeper.delete(f"{TRASH}/{three['id']}") == {"removed": 1}
    assert [each["name"] for each in keeper.get(TRASH)["items"]] == ["two"]
    assert keeper.delete(TRASH) == {"removed": 1}
    assert keeper.delete(TRASH) == {"removed": 0}
    keeper.hub.wait_until(lambda: keeper.get("/home")["used_trash"] == 0)
    told = [each.action for each in keeper.hub.ask(lambda connection: latest(connection, limit=10))]
    assert told.count("trash removed") == 2


def test_what_a_file_had_in_it_is_listed_pinned_named_restored_and_let_go(alice: Dav, keeper: Keeper) -> None:
    for content in ("first", "second", "third"):
        alice("PUT", "/file", content, X_OC_Mtime="1000000")
    number = keeper.get("/home/entry", path="/file")["id"]
    at = f"{HOME}/files/{number}/versions"

    two, one = keeper.get(at)["items"]
    pinned = keeper.put(f"{at}/1/pin")
    named = keeper.put(f"{at}/1/label", {"label": "as it was sent"})

    assert (one["revision"], one["size"], one["sha256"], one["author"]) == (1, 5, digest_of(b"first"), "alice")
    assert (one["mtime"], one["label"], one["pinned"], two["revision"]) == ("1970-01-12T13:46:40Z", None, False, 2)
    assert (pinned["pinned"], named["label"], named["pinned"]) == (True, "as it was sent", True)
    assert keeper.delete(f"{at}/1/pin")["pinned"] is False
    assert keeper.post(f"{at}/1/restoration")["revision"] == 4
    assert alice.text("/file") == "first"
    keeper.delete(f"{at}/2")
    assert [each["revision"] for each in keeper.get(at)["items"]] == [3, 1]
    assert keeper("DELETE", f"{at}/2").status_code == 404


def test_a_project_has_a_space_an_owner_and_a_quota(keeper: Keeper, root: Keeper) -> None:
    made = root.post("", {"name": "hives", "owner": "alice", "quota": 10, "ignores_case": True})
    number = made["id"]
    dav = Dav(keeper.hub)
    dav.home = f"/dav/spaces/{number}"

    assert (made["kind"], made["owner"], made["quota"], made["available"]) == ("project", "alice", 10, 10)
    assert (made["address"], made["ignores_case"]) == (f"/dav/spaces/{number}/", True)
    assert dav("PUT", "/file", b"x" * 11).status_code == 507
    assert root.put(f"/{number}/quota", {"quota": 11})["quota"] == 11
    assert dav("PUT", "/file", b"x" * 11).status_code == 201
    assert keeper.get(f"/{number}")["used_files"] == 11
    assert root.put(f"/{number}/quota", {"quota": None})["quota"] is None
    assert root.put(f"/{number}/owner", {"owner": "root"})["owner"] == "root"
    assert keeper("GET", f"/{number}").status_code == 404
    assert dav("GET", "/file").status_code == 404
    told = [each.action for each in keeper.hub.ask(lambda connection: latest(connection, limit=20))]
    told = [action for action in told if action.startswith("space ")]
    assert sorted(told) == ["space created", "space quota set", "space quota set", "space transferred"]


def test_a_home_has_a_quota_and_stays_its_users(keeper: Keeper, root: Keeper) -> None:
    home = keeper.get("/home")["id"]

    assert root.put(f"/{home}/quota", {"quota": 5})["quota"] == 5
    assert root("PUT", f"/{home}/owner", {"owner": "root"}).status_code == 409
    assert Dav(keeper.hub)("PUT", "/file", b"123456").status_code == 507


def test_nobody_gets_at_what_is_not_theirs_and_administrators_at_no_home(
    alice: Dav, keeper: Keeper, root: Keeper
) -> None:
    alice.put("/file", "x")
    alice("PUT", "/file", "xy", X_OC_Mtime="1000000")
    number = keeper.get("/home/entry", path="/file")["id"]
    alice.put("/gone", "x")
    alice("DELETE", "/gone")
    [gone] = keeper.get(TRASH)["items"]
    home = keeper.get("/home")["id"]
    project = root.post("", {"name": "hives"})["id"]
    bob = Keeper(keeper.hub, "bob")

    for asker in (bob, root):
        for method, path in (
            ("GET", ""),
            ("GET", "/entry"),
            ("GET", "/entries"),
            ("GET", "/trash"),
            ("DELETE", "/trash"),
            ("DELETE", f"/trash/{gone['id']}"),
            ("POST", f"/trash/{gone['id']}/restoration"),
            ("GET", f"/files/{number}/versions"),
            ("DELETE", f"/files/{number}/versions/1"),
            ("PUT", f"/files/{number}/versions/1/pin"),
            ("POST", f"/files/{number}/versions/1/restoration"),
        ):
            for space in (str(home), "home"):
                answer = asker(method, f"/{space}{path}")
                if space == "home" and str(number) not in path and str(gone["id"]) not in path:
                    continue  # their own
                assert answer.status_code == 404, (method, path, answer.text)
    assert bob("GET", f"/{project}").status_code == 404
    assert [each["id"] for each in root.get()["items"] if each["kind"] == "project"] == [project]
    assert keeper.get(TRASH)["items"] == [gone]


@pytest.mark.parametrize("space", ["0", "999999", "1" * 18, "1" * 30, "no", "HOME"])
def test_what_names_no_space_is_not_there(keeper: Keeper, space: str) -> None:
    assert keeper("GET", f"/{space}").status_code == 404


def test_a_token_may_be_limited_to_reading(alice: Dav, keeper: Keeper) -> None:
    alice.put("/gone", "x")
    alice("DELETE", "/gone")
    reader = Keeper(keeper.hub, auth=token_of(keeper.hub, "alice", [Scope("hive:read")]))

    assert len(reader.get(TRASH)["items"]) == 1
    assert reader("DELETE", TRASH).status_code == 403
    assert keeper("POST", "", {"name": "hives"}).status_code == 403
