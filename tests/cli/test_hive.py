"""`creamery hive trash`, `versions`, `usage` at a running hub, and `space` on its data."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from creamery.accounts import By, add_user
from creamery.cli import main
from creamery.clock import Micros
from creamery.hive import spaces
from tests.doubles.dav import Dav
from tests.doubles.running import RunningHub

Run = Callable[..., Result]


@pytest.fixture
def alice(hub_data: Path) -> Iterator[Dav]:
    with RunningHub(hub_data, index={"upstreams": []}) as hub:
        yield Dav(hub)


@pytest.fixture
def run(alice: Dav, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("CREAMERY_HUB", alice.hub.base)
    monkeypatch.setenv("CREAMERY_TOKEN", alice.auth[1])

    def call(*arguments: object, stdin: str | None = None) -> Result:
        return CliRunner().invoke(main, ["hive", *map(str, arguments)], input=stdin)

    return call


_LOGGED = re.compile(r"^[0-9]{4}-[0-9]{2}-[0-9]{2} .*\n", re.MULTILINE)
"""What the hub itself says meanwhile, which runs in the tests' own process."""


def told(result: Result) -> Any:
    """What a command says to programs."""
    assert result.exit_code == 0, result.output
    return json.loads(_LOGGED.sub("", result.output))


def test_what_was_deleted_is_listed_restored_and_removed(run: Run, alice: Dav) -> None:
    assert "The trash is empty." in run("trash", "list").output
    alice.folder("/folder")
    for name in ("one", "two", "three"):
        alice.put(f"/folder/{name}", name)
        alice("DELETE", f"/folder/{name}")
    alice("DELETE", "/folder")

    shown = run("trash", "list").output
    folder, three, two, one = told(run("trash", "list", "--json"))

    assert shown.splitlines()[0].split() == ["id", "deleted", "by", "bytes", "path"]
    assert shown.splitlines()[1].rstrip().endswith("  /folder/")
    assert shown.splitlines()[4].split()[-3:] == ["alice", "3", "/folder/one"]
    restored = _LOGGED.sub("", run("trash", "restore", folder["id"], one["id"]).output)
    assert restored == "/folder\n/folder/one\n"
    assert told(run("trash", "purge", two["id"], "--yes", "--json")) == {"removed": 1}
    assert run("trash", "purge", "--all", stdin="n\n").exit_code == 1
    assert [each["id"] for each in told(run("trash", "list", "--json"))] == [three["id"]]
    assert "Removed: 1." in run("trash", "purge", "--all", stdin="y\n").output
    assert alice.names("/folder") == ["one"]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("trash", "purge", "--yes"), 2, "name the things by their numbers, or say --all"),
        (("trash", "purge", "--all", "1", "--yes"), 2, "name the things by their numbers, or say --all"),
        (("trash", "purge", "--all", "--json"), 2, "say --yes if you mean it"),
        (("trash", "restore", "999"), 1, "Nothing in the trash of this space has the number 999."),
        (("trash", "list", "--space", "999"), 1, "There is no space '999'."),
        (("versions", "list", "/nothing"), 1, "There is nothing called '/nothing'."),
        (("versions", "list", "/"), 1, "is a folder"),
        (("versions", "restore", "/file", "7"), 1, "no former content of revision 7"),
    ],
)
def test_what_cannot_be_done_ends_with_its_code_and_says_why(
    run: Run, alice: Dav, arguments: tuple[str, ...], code: int, said: str
) -> None:
    alice.put("/file", "x")

    ended = run(*arguments)

    assert ended.exit_code == code
    assert said in ended.output


def test_a_files_versions_are_listed_pinned_restored_and_deleted(run: Run, alice: Dav) -> None:
    alice.put("/a%20file", "first")
    assert "Nothing is kept" in run("versions", "list", "/a file").output
    alice("PUT", "/a%20file", "second", X_OC_Mtime="1000000")
    alice("PUT", "/a%20file", "third", X_OC_Mtime="1000000")

    [two, *_] = told(run("versions", "list", "/a file", "--json"))
    pinned = run("versions", "pin", "/a file", 2, "--label", "as it was sent")
    shown = run("versions", "list", "a file").output
    restored = run("versions", "restore", "/a file", 2)

    assert (two["revision"], two["size"], two["pinned"]) == (2, 6, False)
    assert pinned.output == "Revision 2 of /a file stays.\n"
    assert shown.splitlines()[0].split() == ["revision", "replaced", "author", "bytes", "pinned", "label"]
    assert shown.splitlines()[1].split()[3:] == ["alice", "6", "yes", "as", "it", "was", "sent"]
    assert restored.output == "/a file is as it was at revision 2; it has revision 4 now.\n"
    assert alice.text("/a%20file") == "second"
    assert told(run("versions", "unpin", "/a file", 2, "--json"))["pinned"] is False
    assert run("versions", "delete", "/a file", 2, "--yes").exit_code == 0
    assert [each["revision"] for each in told(run("versions", "list", "/a file", "--json"))] == [3]


def test_somebody_sees_what_they_have_used(run: Run, alice: Dav) -> None:
    assert "There are no spaces yet." in run("usage").output
    alice.put("/file", "12345")
    alice.put("/gone", "123")
    alice("DELETE", "/gone")

    [home] = told(run("usage", "--json"))
    line = run("usage").output.splitlines()[1].split()

    assert (home["used"], home["used_trash"], home["quota"]) == (8, 3, None)
    assert line[1:7] == ["alice", "home", "alice", "5", "0", "3"]


def test_whoever_runs_the_hub_makes_spaces_and_says_whose_they_are_and_how_large(run: Run, alice: Dav) -> None:
    data = alice.hub.settings.data
    alice.put("/file", "12345")
    alice.hub.built.hub.committer.write(lambda c: add_user(c, "bob", None, By(Micros(1))))

    made = told(run("space", "create", "hives", "--owner", "alice", "--quota", "10KiB", "--data", data, "--json"))
    number = str(made["id"])
    given = run("space", "transfer", number, "bob", "--data", data)
    home = run("space", "quota", "alice", "4", "--data", data)
    reset = run("space", "quota", number, "default", "--data", data)

    assert (made["owner"], made["quota"], made["kind"]) == ("alice", 10_240, "project")
    assert given.output == f"Space {number} (hives) is bob's now.\n"
    assert home.output.endswith("(alice) may have 4 bytes.\n")
    assert reset.output == f"Space {number} (hives) may have as many bytes as hive.quota says.\n"
    assert alice("PUT", "/other", "x").status_code == 507
    rows = told(run("space", "list", "--data", data, "--json"))
    assert [(row["name"], row["owner"], row["quota"], row["files"]) for row in rows] == [
        ("alice", "alice", 4, 5),
        ("hives", "bob", None, 0),
    ]
    assert run("space", "list", "--data", data).output.splitlines()[0].split()[:4] == ["id", "kind", "name", "owner"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("space", "quota", "999", "5"), "There is no space '999'."),
        (("space", "quota", "nobody", "5"), "There is no space 'nobody'."),
        (("space", "transfer", "HOME", "alice"), "is alice's home, and stays it."),
        (("space", "create", "hives", "--owner", "nobody"), "there is no user 'nobody'"),
        (("space", "create", "a/b", "--owner", "alice"), "has a slash in it"),
    ],
)
def test_what_a_space_cannot_be_is_refused_and_nothing_is_changed(
    run: Run, alice: Dav, arguments: tuple[str, ...], said: str
) -> None:
    alice.put("/file", "x")
    before = alice.hub.ask(spaces.every_space)
    numbers = {"HOME": str(before[0].id)}

    ended = run(*(numbers.get(each, each) for each in arguments), "--data", alice.hub.settings.data)

    assert ended.exit_code == 1
    assert said in ended.output
    assert alice.hub.ask(spaces.every_space) == before
