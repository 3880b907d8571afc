"""`creamery index` and a real hub: each command once, and what its own answers look like to the commands."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from creamery.accounts import By, Scope, add_user, create_token
from creamery.cli import main
from creamery.clock import Micros
from tests.doubles.hosted import host
from tests.doubles.running import RunningHub
from tests.doubles.upstream import Upstream

BY = By(Micros(1_700_000_000_000_000))
FIRST, SECOND = "acme_tool-1.0-py3-none-any.whl", "acme_tool-1.1-py3-none-any.whl"

Run = Callable[..., Result]


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHub]:
    """Over an upstream with `demo`, which it knows."""
    with Upstream() as upstream:
        upstream.add("demo", "1.0")
        with RunningHub(tmp_path_factory.mktemp("hub"), index={"upstreams": [upstream.url]}) as started:
            for name in ("alice", "bob", "root"):
                started.built.hub.committer.write(
                    partial(add_user, name=name, password=None, by=BY, is_admin=name == "root")
                )
            host(started, "acme-tool", FIRST, SECOND, owner="alice")
            started.files("demo")
            yield started


@pytest.fixture
def run(hub: RunningHub, tmp_path: Path) -> Run:
    """Calls a command as somebody; as nobody where no name is given."""

    def call(user: str, *arguments: str) -> Result:
        token = ""
        if user:
            token, _ = hub.built.hub.committer.write(
                lambda c: create_token(c, user, "a test's", [Scope("admin")], None, BY)
            )
        given = {"HOME": str(tmp_path), "CREAMERY_HUB": hub.base, "CREAMERY_TOKEN": token, "NETRC": ""}
        done = CliRunner().invoke(main, ["index", *arguments], env=given)
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        return done

    return call


def test_every_command_understands_what_a_hub_answers(hub: RunningHub, run: Run) -> None:
    other = "acme-tool"
    for user, call, says in (
        ("", ["show", other], "belongs to   this hub"),
        ("", ["show", "demo"], "http://127.0.0.1:"),
        ("alice", ["yank", other, "1.0", "--reason", "[bold] reason"], f"Yanked: {FIRST}."),
        ("", ["show", other], "[bold] reason"),
        ("alice", ["yank", other, "1.0", "--reason", "[bold] reason"], "Yanked: nothing."),
        ("alice", ["unyank", other, FIRST], f"Yanked no more: {FIRST}."),
        ("alice", ["owner", "add", other, "bob", "--maintainer"], "bob is a maintainer"),
        ("", ["owner", "list", other], "maintainer"),
        ("alice", ["owner", "remove", other, "bob", "--maintainer"], "no more"),
        ("alice", ["delete", other, "1.0", "--reason", "x", "--yes"], f"Deleted: {FIRST}."),
        ("", ["explain", other], "it was deleted; its name never returns"),
        ("", ["explain", other, "--for", "python3.12-linux"], f"python3.12-linux-x86_64 takes {SECOND}"),
        ("alice", ["status", other, "archived", "--reason", "done"], "acme-tool is archived."),
        ("root", ["reserve", "Inner_*"], "inner-* is reserved."),
        ("root", ["reserved"], "inner-*"),
        ("root", ["unreserve", "inner-*"], "reserved no more"),
        ("root", ["assign", "demo", "--to", hub.settings.resolved_upstreams()[0].url], "0 names belong"),
        ("root", ["claim", "demo", "--yes"], "creamery index owner add demo USER"),
        ("root", ["merge", "demo"], "Upstreams are asked for demo too."),
        ("root", ["merge", "demo", "--off"], "No upstream is asked for demo any more."),
    ):
        done = run(user, *call)

        assert (done.exit_code, done.stderr) == (0, ""), (call, done.output)
        assert says in done.stdout, call


@pytest.mark.parametrize(
    ("user", "call", "says"),
    [
        ("", ["claim", "acme-tool", "--yes"], "~/.netrc"),
        ("bob", ["claim", "acme-tool", "--yes"], "bob may not do this (index:manage)."),
        ("bob", ["delete", "acme-tool", "1.1", "--reason", "x", "--yes"], "bob is not an owner of acme-tool."),
        ("alice", ["yank", "acme-tool", "9.9", "--reason", "x"], "no version and no file '9.9'"),
        ("alice", ["owner", "remove", "acme-tool", "alice"], "would be left without an owner"),
        ("", ["show", "never-heard-of"], "The hub knows no project never-heard-of."),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_a_hubs_refusal_is_told_in_its_words(run: Run, user: str, call: list[str], says: str) -> None:
    done, told = run(user, *call), json.loads(run(user, *call, "--json").stdout)

    assert (done.exit_code, done.stdout) == (1, "")
    assert says in done.stderr
    assert (told["code"], told["status"] >= 400) == (1, True)
