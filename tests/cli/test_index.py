"""`creamery index`, over a hub that knows its answers by heart: what it asks, what it says, how it ends."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from creamery.cli import main
from tests.doubles.loopback import Reply
from tests.doubles.stub_hub import StubHub

Run = Callable[..., Result]

FILE = "acme_tool-1.0-py3-none-any.whl"
FACTS: dict[str, Any] = {
    "name": "acme-tool",
    "status": "deprecated",
    "reason": "use acme-lathe",
    "hosted": True,
    "merged": False,
    "upstream": None,
    "serial": 42,
    "versions": ["1.0"],
    "owners": ["alice"],
    "maintainers": ["bob"],
    "files": [
        {
            "filename": FILE,
            "version": "1.0",
            "size": 1234,
            "sha256": "0" * 64,
            "upload_time": "2026-01-02T03:04:05Z",
            "yanked": "",
            "origin": None,
            "cached": True,
            "uploaded_by": "alice",
        }
    ],
}
EXPLAINED: dict[str, Any] = {
    "name": "acme-tool",
    "hosted": True,
    "merged": False,
    "status": "active",
    "status_reason": None,
    "owner": None,
    "asked": [],
    "unanswerable": None,
    "hidden": None,
    "target": "python3.12-linux-x86_64",
    "taken": None,
    "files": [
        {
            "filename": FILE,
            "version": "1.0",
            "origin": None,
            "cached": True,
            "yanked": None,
            "offered": False,
            "reason": "it is denied here",
            "fits": True,
            "misfit": None,
        }
    ],
}
P = "/index/projects/acme-tool"
CHANGED = {"files": [FILE]}
ROLES = {"owners": ["alice"], "maintainers": ["bob"]}

COMMANDS: list[tuple[list[str], tuple[str, str, Any], dict[str, Any] | None, str]] = [
    (["show", "Acme_Tool"], ("GET", P, None), FACTS, "deprecated: use acme-lathe"),
    (["explain", "acme-tool"], ("GET", f"{P}/explain", None), EXPLAINED, "asked        no upstream"),
    (
        ["explain", "acme-tool", "--for", "python3.12-linux"],
        ("GET", f"{P}/explain?for=python3.12-linux", None),
        EXPLAINED,
        "python3.12-linux-x86_64 takes nothing",
    ),
    (
        ["yank", "acme-tool", "1.0", "--reason", "broken"],
        ("POST", f"{P}/yank", {"what": "1.0", "reason": "broken"}),
        CHANGED,
        f"Yanked: {FILE}.",
    ),
    (["unyank", "acme-tool", FILE], ("POST", f"{P}/unyank", {"what": FILE}), CHANGED, f"Yanked no more: {FILE}."),
    (
        ["delete", "acme-tool", "1.0", "--reason", "secret inside", "--yes"],
        ("POST", f"{P}/delete", {"what": "1.0", "reason": "secret inside"}),
        CHANGED,
        f"Deleted: {FILE}.",
    ),
    (
        ["status", "acme-tool", "archived", "--reason", "done"],
        ("PUT", f"{P}/status", {"status": "archived", "reason": "done"}),
        {**FACTS, "status": "archived"},
        "acme-tool is archived.",
    ),
    (["claim", "acme-tool", "--yes"], ("POST", f"{P}/claim", None), FACTS, "acme-tool belongs to this hub"),
    (["merge", "acme-tool"], ("POST", f"{P}/merge", {"merged": True}), FACTS, "Upstreams are asked for acme-tool too."),
    (["merge", "acme-tool", "--off"], ("POST", f"{P}/merge", {"merged": False}), FACTS, "No upstream is asked"),
    (
        ["assign", "numpy", "scipy", "--to", "https://b/"],
        ("POST", "/index/assign", {"from": None, "to": "https://b/", "names": ["numpy", "scipy"]}),
        {"names": ["numpy", "scipy"]},
        "2 names belong to https://b/ now.",
    ),
    (
        ["assign", "--from", "https://a/", "--to", "https://b/"],
        ("POST", "/index/assign", {"from": "https://a/", "to": "https://b/", "names": None}),
        {"names": ["numpy"]},
        "1 name belongs to https://b/ now.",
    ),
    (
        ["reserve", "acme-*"],
        ("PUT", "/index/reserved/acme-%2A", None),
        {"pattern": "acme-*", "of": "command", "projects": ["acme-lathe"]},
        "acme-* is reserved. Nobody gets these of upstreams any more: acme-lathe.",
    ),
    (["unreserve", "acme-*"], ("DELETE", "/index/reserved/acme-%2A", None), None, "acme-* is reserved no more."),
    (["reserved"], ("GET", "/index/reserved", None), {"items": [{"pattern": "acme-*", "of": "command"}]}, "acme-*"),
    (["owner", "list", "acme-tool"], ("GET", f"{P}/roles", None), ROLES, "bob    maintainer"),
    (["owner", "add", "acme-tool", "a@b"], ("PUT", f"{P}/owners/a%40b", None), ROLES, "a@b is an owner of acme-tool."),
    (
        ["owner", "add", "acme-tool", "bob", "--maintainer"],
        ("PUT", f"{P}/maintainers/bob", None),
        ROLES,
        "bob is a maintainer of acme-tool.",
    ),
    (
        ["owner", "remove", "acme-tool", "bob"],
        ("DELETE", f"{P}/owners/bob", None),
        ROLES,
        "an owner of acme-tool no more",
    ),
    (
        ["owner", "remove", "acme-tool", "bob", "--maintainer"],
        ("DELETE", f"{P}/maintainers/bob", None),
        ROLES,
        "bob is a maintainer of acme-tool no more.",
    ),
]
"""What is called, what the hub is asked, what it answers, what people are told."""

names = [" ".join(call) for call, *_ in COMMANDS]


@pytest.fixture
def stub() -> Iterator[StubHub]:
    with StubHub() as stub:
        yield stub


@pytest.fixture
def run(stub: StubHub, tmp_path: Path) -> Run:
    def call(*arguments: str, text: str | None = None, **environment: str) -> Result:
        given = {"HOME": str(tmp_path), "CREAMERY_HUB": stub.url, "CREAMERY_TOKEN": "", "NETRC": "", "COLUMNS": "80"}
        done = CliRunner().invoke(main, ["index", *arguments], input=text, env={**given, **environment})
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        return done

    return call


ELSEWHERE = {"prefetch", "pin", "unpin", "pins"}
"""Tried in test_index_fetch.py."""


def test_every_command_of_the_family_is_tried() -> None:
    shown = CliRunner().invoke(main, ["index", "--help"]).output
    listed = [line.split()[0] for line in shown.partition("Commands:")[2].splitlines() if line.startswith("  ")]
    spoken = {line for line in listed if f"\n  {line} " in shown}

    assert {call[0] for call, *_ in COMMANDS} | ELSEWHERE == spoken - {""}


@pytest.mark.parametrize(("call", "asked", "answer", "said"), COMMANDS, ids=names)
def test_a_command_asks_the_hub_and_says_what_came_of_it(
    run: Run, stub: StubHub, call: list[str], asked: tuple[str, str, Any], answer: Any, said: str
) -> None:
    stub.says(*asked[:2], answer)

    for_people = run(*call)
    for_programs = run(*call, "--json")

    assert (for_people.exit_code, for_people.stderr) == (0, "")
    assert said in for_people.stdout
    assert stub.asked == [asked, asked]
    assert for_programs.exit_code == 0
    assert json.loads(for_programs.stdout) == (answer or {"pattern": "acme-*", "reserved": False})


@pytest.mark.parametrize(("call", "asked", "answer", "said"), COMMANDS, ids=names)
def test_a_refusal_is_told_in_the_hubs_words_with_its_remedy(
    run: Run, stub: StubHub, call: list[str], asked: tuple[str, str, Any], answer: Any, said: str
) -> None:
    stub.refuses(*asked[:2], 409, "Conflict", "acme-tool is taken.", "Take another name.")

    for_people = run(*call)
    for_programs = run(*call, "--json")

    assert (for_people.exit_code, for_people.stdout) == (1, "")
    assert for_people.stderr == "Error: acme-tool is taken.\nTake another name.\n"
    assert for_programs.exit_code == 1
    assert json.loads(for_programs.stdout) == {
        "code": 1,
        "status": 409,
        "title": "Conflict",
        "detail": "acme-tool is taken.",
        "remedy": "Take another name.",
    }


def test_show_has_a_line_for_every_fact_and_a_row_for_every_file(run: Run, stub: StubHub) -> None:
    stub.says("GET", P, FACTS)

    shown = run("show", "acme-tool").stdout

    lines = [line.split(maxsplit=1) for line in shown.splitlines()]
    assert ["owners", "alice"] in lines
    assert ["belongs", "to   this hub"] in lines
    assert shown.splitlines()[-1].split() == [
        *(FILE, "1.0", "1234", "2026-01-02T03:04:05Z", "alice", "yes"),
        *("this", "hub", "yes"),
    ]


@pytest.mark.parametrize(
    ("facts", "line"),
    [
        ({}, "belongs to   this hub"),
        ({"hosted": False, "owner": "https://a/", "asked": ["https://a/"]}, "asked        https://a/"),
        ({"hosted": False, "owner": "https://a/", "unanswerable": "is gone"}, "asked        https://a/ is gone"),
        ({"hosted": False, "hidden": "the name is reserved"}, "no page      the name is reserved"),
        ({"status": "quarantined", "status_reason": "malware"}, "status       quarantined: malware"),
        ({"taken": FILE}, f"python3.12-linux-x86_64 takes {FILE}"),
        ({"files": []}, "The hub knows no files of it."),
    ],
)
def test_explain_says_first_what_holds_for_all_files(run: Run, stub: StubHub, facts: dict[str, Any], line: str) -> None:
    stub.says("GET", f"{P}/explain", {**EXPLAINED, **facts})

    assert line in run("explain", "acme-tool").stdout.splitlines()


@pytest.mark.parametrize(
    ("facts", "owner"),
    [
        ({"hosted": False, "upstream": "https://up.example/simple/"}, "https://up.example/simple/"),
        ({"hosted": False}, "nobody"),
        ({"merged": True}, "this hub, with the files of upstreams beside its own"),
    ],
)
def test_show_says_whose_a_name_is(run: Run, stub: StubHub, facts: dict[str, Any], owner: str) -> None:
    stub.says("GET", P, {**FACTS, **facts, "files": []})

    shown = run("show", "acme-tool").stdout

    assert f"belongs to   {owner}\n" in shown
    assert "It has no files." in shown


@pytest.mark.parametrize(
    "call", [["delete", "acme-tool", "1.0", "--reason", "x"], ["claim", "acme-tool"]], ids=" ".join
)
def test_what_cannot_be_undone_is_asked_for(run: Run, stub: StubHub, call: list[str]) -> None:
    stub.says("POST", f"{P}/{call[0]}", {**FACTS, **CHANGED})

    no, nobody, program = run(*call, text="n\n"), run(*call, text=""), run(*call, "--json")

    assert [no.exit_code, nobody.exit_code, program.exit_code] == [1, 1, 2]
    assert "[y/N]" in no.stderr
    assert "--yes" in program.stderr
    assert stub.asked == []
    assert run(*call, text="y\n").exit_code == 0
    assert len(stub.asked) == 1


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (["show", "-nothing-"], "No such option"),
        (["show", "nothing-"], "is no project name"),
        (["yank", "acme-tool", "1.0"], "Missing option '--reason'"),
        (["delete", "acme-tool", "1.0", "--yes"], "Missing option '--reason'"),
        (["status", "acme-tool", "gone"], "'gone' is not one of"),
        (["assign", "--to", "https://b/"], "name the projects; or say with --from"),
        (["assign", "numpy", "--from", "https://a/", "--to", "https://b/"], "name the projects; or say with --from"),
        (["show", "acme-tool", "--token", "s3cret"], "does not belong on the command line"),
        (["show", "acme-tool", "--hub", "hub.example"], "is no hub's address"),
        (["show", "acme-tool", "--token-file", "missing"], "The token file missing cannot be read"),
        (["owner", "add", "acme-tool", ".."], "can be no name on a hub"),
    ],
    ids=lambda call: " ".join(call) if isinstance(call, list) else None,
)
def test_who_calls_a_command_wrongly_is_told_and_nothing_is_asked(
    run: Run, stub: StubHub, call: list[str], says: str
) -> None:
    refused = run(*call)

    assert (refused.exit_code, refused.stdout) == (2, "")
    assert says in refused.stderr
    assert "s3cret" not in refused.stderr
    assert stub.asked == []


@pytest.mark.parametrize("as_json", [False, True])
def test_a_hub_that_is_away_ends_with_a_code_of_its_own(run: Run, stub: StubHub, *, as_json: bool) -> None:
    stub.replies("GET", f"/api/v1{P}", Reply(200, {"Content-Type": "text/html"}, b"<h1>It works!</h1>"))
    flags = ["--json"] if as_json else []

    no_hub = run("show", "acme-tool", *flags)
    stub.__exit__(None, None, None)
    away = run("show", "acme-tool", *flags)

    for ended, says in ((no_hub, "does not answer as a hub does (200, text/html)"), (away, "cannot be reached")):
        assert ended.exit_code == 3
        told: dict[str, Any] = json.loads(ended.stdout) if as_json else {"code": 3, "detail": ended.stderr}
        assert told["code"] == 3
        assert says in told["detail"]


def test_whoever_has_shown_no_token_is_told_how(run: Run, stub: StubHub) -> None:
    stub.refuses("GET", P, 401, "Unauthorized", "This needs a token.", "Give it as the password.")

    assert run("show", "acme-tool").stderr == (
        "Error: This needs a token.\n"
        "Give a token: in CREAMERY_TOKEN, in a file that --token-file names, or in ~/.netrc.\n"
    )


def test_a_token_comes_from_flag_environment_address_and_netrc_in_this_order(
    run: Run, stub: StubHub, tmp_path: Path
) -> None:
    stub.says("GET", P, FACTS)
    (tmp_path / "token").write_text("of-the-file\n")
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login a password b\n")
    flag = ["--token-file", str(tmp_path / "token")]
    hub = {"CREAMERY_HUB": stub.url.replace("//", "//u:p@")}
    kept = {"NETRC": str(tmp_path / "netrc")}

    sent = []
    for call, environment in (
        (flag, {**kept, **hub, "CREAMERY_TOKEN": "of-the-environment"}),
        ([], {**kept, **hub, "CREAMERY_TOKEN": "of-the-environment"}),
        ([], {**kept, **hub}),
        ([], kept),
    ):
        assert run("show", "acme-tool", *call, **environment).exit_code == 0
        sent.append(stub.last.headers["authorization"])

    assert sent == ["Bearer of-the-file", "Bearer of-the-environment", "Basic dTpw", "Basic YTpi"]
    assert run("show", "acme-tool").exit_code == 0
    assert "authorization" not in stub.last.headers


def test_a_password_that_is_typed_into_the_command_line_is_warned_of(run: Run, stub: StubHub) -> None:
    stub.says("GET", P, FACTS)
    url = stub.url.replace("//", "//u:s3cret@")

    typed, kept = run("show", "acme-tool", "--hub", url), run("show", "acme-tool", CREAMERY_HUB=url)

    assert typed.exit_code == kept.exit_code == 0
    assert "Warning: everybody on this machine can read" in typed.stderr
    assert "s3cret" not in typed.output
    assert kept.stderr == ""


def test_the_family_works_where_only_the_client_is_installed(stub: StubHub, tmp_path: Path) -> None:
    stub.says("GET", P, FACTS)
    only_client = (
        "import sys\n"
        "for absent in ('pydantic', 'pydantic_settings', 'uvicorn', 'sqlalchemy', 'starlette', 'yarl', 'aiohttp'):\n"
        "    sys.modules[absent] = None\n"
        "from creamery.cli import main\n"
        "main(sys.argv[1:], prog_name='creamery')\n"
    )
    command = [sys.executable, "-c", only_client, "index", "show", "acme-tool", "--hub", stub.url]

    shown = subprocess.run(command, capture_output=True, text=True, check=False, env={"HOME": str(tmp_path)})

    assert (shown.returncode, shown.stderr) == (0, "")
    assert FILE in shown.stdout
