"""`creamery wheels`, against a running hub."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from creamery import telemetry
from creamery.accounts import Scope, parse_scope
from creamery.cli import main
from creamery.hub import offline_scopes
from tests.doubles.building import build_of, key_of, put_entry, put_failure
from tests.doubles.distributions import Distribution, sdist, wheel
from tests.doubles.pushing import push
from tests.doubles.running import RunningHub
from tests.doubles.uploading import token_of

Run = Callable[..., Result]
ONE, TWO = wheel("acme", "1.0"), wheel("gherkin", "2.0", size=600_000)


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[RunningHub]:
    with RunningHub(tmp_path / "data", index={"upstreams": []}, limits={"results": 2}) as hub:
        yield hub


@pytest.fixture
def run(hub: RunningHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CREAMERY_HUB", hub.base)

    def call(*arguments: str, user: str | None = "alice", scope: str = "wheels:push") -> Result:
        token = (
            ""
            if user is None
            else token_of(hub, user, [parse_scope(scope, offline_scopes())], is_admin=user == "root")[1]
        )
        return CliRunner().invoke(main, ["wheels", *arguments], env={"CREAMERY_TOKEN": token})

    # The hub's log is here the command's output.
    monkeypatch.setattr(telemetry.log, "info", lambda *_, **__: None)

    return call


def write(folder: Path, *made: Distribution) -> list[str]:
    for each in made:
        (folder / each.filename).write_bytes(each.content)
    return [each.filename for each in made]


def test_what_was_pushed_is_listed(run: Run, hub: RunningHub, tmp_path: Path) -> None:
    files = write(tmp_path, ONE, TWO, wheel("acme", "1.1"))
    pushed = run("push", *files)
    listed, of_one = run("list", user=None), run("list", "ACME", "--json", user=None)

    assert pushed.exit_code == 0, pushed.output
    assert pushed.output.splitlines() == [f"Pushed {name}." for name in files]
    assert [line.split()[0] for line in listed.output.splitlines()[1:]] == sorted(files)
    assert [each["version"] for each in json.loads(of_one.output)] == ["1.0", "1.1"]
    first = json.loads(of_one.output)[0]
    assert (first["sha256"], first["size"]) == (ONE.sha256, len(ONE.content))
    assert first["pushed_by"].startswith("alice")
    assert hub.get(f"/w/p/{TWO.filename}").content == TWO.content


def test_the_first_that_is_refused_ends_it_with_the_reason(run: Run, hub: RunningHub, tmp_path: Path) -> None:
    files = write(tmp_path, ONE, sdist("acme", "1.0"), TWO)

    refused = run("push", *files)

    assert refused.exit_code == 1
    assert f"Pushed {ONE.filename}." in refused.output
    assert "their names end in .whl" in refused.output
    assert hub.get("/w/api/").json() == ["acme"]


def test_programs_get_json(run: Run, tmp_path: Path) -> None:
    (name,) = write(tmp_path, ONE)

    assert json.loads(run("push", name, "--json").output) == {"pushed": [name]}
    assert json.loads(run("push", name, "--json", user=None).output)["code"] == 1


def test_a_file_that_is_not_there_is_no_call(run: Run) -> None:
    assert run("push", "nowhere.whl").exit_code == 2


def test_an_administrator_takes_a_wheel_away(run: Run, hub: RunningHub, tmp_path: Path) -> None:
    (name,) = write(tmp_path, ONE)
    run("push", name)

    assert run("remove", name, "--yes").exit_code == 1  # alice is none
    removed = run("remove", name, "--yes", user="root", scope="admin")
    again = run("remove", name, "--yes", "--json", user="root", scope="admin")

    assert removed.output == f"Removed {name}.\n"
    assert json.loads(again.output)["status"] == 404
    assert hub.get("/w/api/").json() == []
    assert run("list", user=None).output == "There are no built wheels.\n"
    assert run("push", name).exit_code == 0


def test_an_administrator_says_which_wheels_stay(run: Run, tmp_path: Path) -> None:
    (name,) = write(tmp_path, ONE)
    run("push", name)

    assert run("pin", name).exit_code == 1  # alice is none
    assert run("pin", name, user="root", scope="admin").output == f"{name} stays.\n"
    assert [each["pinned"] for each in json.loads(run("list", "--json", user=None).output)] == [True]
    assert run("unpin", name, user="root", scope="admin").output == f"{name} gives way again.\n"
    assert [each["pinned"] for each in json.loads(run("list", "--json", user=None).output)] == [False]
    assert run("pin", "nothing-1.0-py3-none-any.whl", user="root", scope="admin").exit_code == 1


def test_nobody_is_asked_twice(run: Run, hub: RunningHub, tmp_path: Path) -> None:
    (name,) = write(tmp_path, ONE)
    run("push", name)

    assert run("remove", name, user="root", scope="admin").exit_code == 1  # nobody answers the question
    assert hub.get("/w/api/").json() == ["acme"]


BUILD = build_of("9" * 64)
OTHERS = wheel("acme", "1.0", size=9)


def test_why_shows_builds_conflicts_and_failures(run: Run, hub: RunningHub) -> None:
    alice = token_of(hub, "alice", [Scope("wheels:push")])
    put_entry(hub, ONE, alice, BUILD, log="cc\n")
    put_entry(hub, OTHERS, alice, BUILD)
    put_failure(hub, "7" * 64, alice, log="error: no foo.h\n")

    told = run("why", "Acme", "1.0", user=None)
    as_json = json.loads(run("why", "acme", "1.0", "--json", user=None).output)

    assert told.exit_code == 0, told.output
    assert told.output.splitlines()[1].split()[:4] == [ONE.filename, "main", "alice", "(token"]
    assert "the index has no such project" in told.output
    assert f"came with {OTHERS.sha256[:12]} for a key that had others" in told.output
    assert "Failed once" in told.output
    assert "gcc ended with 1" in told.output
    assert (len(as_json["builds"]), len(as_json["conflicts"]), len(as_json["failures"])) == (1, 1, 1)
    assert run("why", "acme", "2.0", user=None).output == "No built wheel of acme 2.0 is here.\n"
    assert run("why", "acme", "new", user=None).exit_code == 1


def test_why_does_not_say_that_nobody_has_pushed_what_is_gone(run: Run, hub: RunningHub) -> None:
    push(hub, ONE, token_of(hub, "alice", [Scope("wheels:push")]))
    run("remove", ONE.filename, "--yes", user="root", scope="admin")

    assert run("why", "acme", "1.0", user=None).output == "No built wheel of acme 1.0 is here.\n"


def test_the_logs_of_builds_are_printed_and_nothing_in_them_is_obeyed(run: Run, hub: RunningHub) -> None:
    alice = token_of(hub, "alice", [Scope("wheels:push")])
    put_entry(hub, ONE, alice, BUILD, log="cc \x1b[31mred\nended\n")
    assert run("log", "acme", "1.0", user=None).output == "cc \N{REPLACEMENT CHARACTER}[31mred\nended\n"

    put_failure(hub, "7" * 64, alice, log="error: no foo.h\n")
    both = run("log", "acme", "1.0", user=None).output.splitlines()
    one = run("log", "acme", "1.0", "--key", "7" * 64, user=None)

    assert both[0] == f"== {key_of(BUILD)}"
    assert both[3:] == [f"== {'7' * 64}, which failed", "error: no foo.h"]
    assert one.output == "error: no foo.h\n"
    assert [each["failed"] for each in json.loads(run("log", "acme", "1.0", "--json", user=None).output)] == [
        False,
        True,
    ]
    assert run("log", "acme", "2.0", user=None).exit_code == 1


def test_logs_are_printed_of_all_rings_whose_builds_are_listed(run: Run, hub: RunningHub) -> None:
    alice, bob = (token_of(hub, user, [Scope("wheels:push", ring)]) for user, ring in (("alice", "main"), ("bob", "x")))
    put_entry(hub, ONE, bob, BUILD, log="built by bob\n")
    put_failure(hub, "7" * 64, alice, log="error: of main\n")
    put_failure(hub, "7" * 64, bob, log="error: of x\n")

    for_root = run("log", "acme", "1.0", user="root", scope="admin")
    for_bob = run("log", "acme", "1.0", user="bob", scope="wheels:push:x")
    for_anybody = run("log", "acme", "1.0", user=None)

    for all_of_them in (for_root, for_bob):
        said = [line for line in all_of_them.output.splitlines() if "==" not in line]
        assert sorted(said) == ["built by bob", "error: of main", "error: of x"]
    assert for_anybody.output == "error: of main\n"
    assert hub.get(f"/w/v1/failures/{'7' * 64}/log?ring=x").status_code == 404


def test_an_administrator_lets_everybody_have_a_branchs_wheel(run: Run, hub: RunningHub, tmp_path: Path) -> None:
    (name,) = write(tmp_path, ONE)
    branch = token_of(hub, "bob", [Scope("wheels:push", "pr-17")])
    put_entry(hub, ONE, branch, BUILD)
    assert run("list", user=None).output == "There are no built wheels.\n"

    assert run("promote", name).exit_code == 1  # alice is none
    assert run("promote", name, "--ring", "pr-18", user="root", scope="admin").exit_code == 1
    promoted = run("promote", name, "--ring", "pr-17", user="root", scope="admin")

    assert promoted.output == f"Everybody sees {name}.\n"
    assert [each["ring"] for each in json.loads(run("list", "--json", user=None).output)] == ["main"]
    mine = json.loads(run("list", "--json", "--ring", "pr-17", user="root", scope="admin").output)
    assert [each["filename"] for each in mine] == [name]


def test_of_two_with_one_name_the_one_with_the_digest_is_meant(run: Run, hub: RunningHub) -> None:
    alice = token_of(hub, "alice", [Scope("wheels:push")])
    put_entry(hub, ONE, alice, BUILD)
    put_entry(hub, OTHERS, alice, build_of("8" * 64))

    assert run("pin", ONE.filename, "--sha256", OTHERS.sha256, user="root", scope="admin").exit_code == 0
    assert run("remove", ONE.filename, "--yes", "--sha256", ONE.sha256, user="root", scope="admin").exit_code == 0

    left = json.loads(run("list", "--json", user=None).output)
    assert [(each["sha256"], each["pinned"]) for each in left] == [(OTHERS.sha256, True)]
