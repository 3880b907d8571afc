"""`creamery index prefetch|pin|unpin|pins`, over a hub that knows its answers by heart, and a uv that does too."""

from __future__ import annotations

import json
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from creamery.cli import index_fetch, main
from creamery.client import uv
from tests.doubles.loopback import Exchange, Reply
from tests.doubles.stub_hub import StubHub

Run = Callable[..., Result]

JSON = {"Content-Type": "application/json"}
TOKEN = "crm_secret"
WHEEL = "demo-1.0-py3-none-any.whl"
DIGEST = "0" * 64
WANTED = {"files": [{"project": "demo", "filename": WHEEL, "sha256": DIGEST}]}


def shown(state: str = "done", **more: Any) -> dict[str, Any]:
    counts = {"files": 1, "left": 0, "here": 0, "fetched": 1, "failed": 0, "fetched_bytes": 2_000_000}
    return {"id": 7, "state": state, "job": 9, "pins": False, "failures": [], "waits": [], **counts, **more}


@pytest.fixture
def hub() -> Iterator[StubHub]:
    with StubHub() as started:
        yield started


@pytest.fixture
def run(hub: StubHub, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run `creamery index ...` against that hub, without waiting long between looks."""
    monkeypatch.setattr(index_fetch, "LOOK_SECONDS", (0.01,))

    def called(*arguments: str) -> Result:
        variables = {"CREAMERY_HUB": hub.url, "CREAMERY_TOKEN": TOKEN}
        return CliRunner().invoke(main, ["index", *arguments], env=variables)

    return called


@pytest.fixture
def said_to_uv(hub: StubHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Any]:
    """A uv that has found `demo` on the hub, and writes down what it was told."""
    program, told, found = tmp_path / "uv", tmp_path / "told.json", tmp_path / "found.toml"
    line = f'{{url = "{hub.url}/i/demo/{WHEEL}", hashes = {{sha256 = "{DIGEST}"}}}}'
    package = f'[[packages]]\nname = "demo"\nversion = "1.0"\nwheels = [{line}]\n'
    found.write_text(f'lock-version = "1.0"\ncreated-by = "uv"\n{package}')
    program.write_text(
        f"#!{sys.executable}\nimport json, os, pathlib, shutil, sys\n"
        f"given = [pathlib.Path(a).read_text() for a in sys.argv if a.endswith('.in')]\n"
        f"told = [sys.argv[1:], {{n: v for n, v in os.environ.items() if n.startswith('UV_')}}, given]\n"
        f"pathlib.Path({str(told)!r}).write_text(json.dumps(told))\n"
        f"shutil.copy({str(found)!r}, sys.argv[sys.argv.index('--output-file') + 1])\n"
    )
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr(uv, "find_uv", lambda: program)
    return lambda: json.loads(told.read_text())


@pytest.mark.parametrize(("command", "where"), [("prefetch", "prefetch"), ("pin", "pins")])
def test_what_uv_finds_is_asked_for_and_waited_for(
    hub: StubHub, run: Run, said_to_uv: Callable[[], Any], command: str, where: str
) -> None:
    hub.says("POST", f"/index/{where}", shown("running", left=1, fetched=0), 202)
    hub.says("GET", "/index/prefetch/7", shown(pins=where == "pins"))

    ran = run(command, "demo>=1", "--python", "3.12", "--platform", "linux")

    assert ran.exit_code == 0, ran.output
    stays = " They stay." if where == "pins" else ""
    assert ran.stdout == f"There are 1 of 1 file: 1 fetched (2.0 MB), 0 were there before.{stays}\n"
    assert hub.asked == [("POST", f"/index/{where}", WANTED), ("GET", "/index/prefetch/7", None)]
    options, variables, requirements = said_to_uv()
    assert options[:2] == ["pip", "compile"]
    assert options[options.index("--default-index") + 1] == f"creamery={hub.url}/simple/"
    assert options[options.index("--python-version") + 1] == "3.12"
    assert options[options.index("--python-platform") + 1] == "linux"
    assert "--no-build" in options
    assert requirements == ["demo>=1\n"]
    assert variables == {"UV_INDEX_CREAMERY_USERNAME": "__token__", "UV_INDEX_CREAMERY_PASSWORD": TOKEN}


def test_uv_gets_no_other_index_of_the_environment_and_no_password_in_its_options(
    hub: StubHub, run: Run, said_to_uv: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UV_EXTRA_INDEX_URL", "https://elsewhere.example/simple/")
    monkeypatch.setenv("UV_PRERELEASE", "allow")
    hub.says("POST", "/index/prefetch", shown(), 202)

    run("prefetch", "demo", "--build")

    options, variables, _ = said_to_uv()
    assert "UV_EXTRA_INDEX_URL" not in variables
    assert variables["UV_PRERELEASE"] == "allow"
    assert not [option for option in options if TOKEN in option]
    assert "--no-build" not in options


def test_a_file_that_would_come_from_elsewhere_is_refused_and_nothing_asked(
    hub: StubHub, run: Run, said_to_uv: Callable[[], Any], tmp_path: Path
) -> None:
    found = tmp_path / "found.toml"
    found.write_text(found.read_text().replace(hub.url, "https://user:secret@elsewhere.example"))

    ran = run("prefetch", "demo")

    assert ran.exit_code == 2
    assert f"{WHEEL} would come from https://elsewhere.example/i/demo, and not from this hub." in ran.output
    assert "secret" not in ran.output
    assert hub.asked == []


def test_a_lock_file_needs_no_uv(hub: StubHub, run: Run, said_to_uv: Callable[[], Any], tmp_path: Path) -> None:
    lock = tmp_path / "pylock.toml"
    lock.write_text((tmp_path / "found.toml").read_text().replace(hub.url, "https://elsewhere.example"))
    hub.says("POST", "/index/prefetch", shown(), 202)

    ran = run("prefetch", "-r", str(lock))

    assert ran.exit_code == 0, ran.output
    assert hub.asked == [("POST", "/index/prefetch", WANTED)]
    assert not (tmp_path / "told.json").exists()


def test_a_lock_file_that_has_an_sdist_alone_needs_build_or_every_file(hub: StubHub, run: Run, tmp_path: Path) -> None:
    lock = tmp_path / "pylock.toml"
    digest = "a" * 64
    lock.write_text(
        'lock-version = "1.0"\ncreated-by = "a test"\n[[packages]]\nname = "demo"\nversion = "1.0"\n'
        f'sdist = {{url = "https://elsewhere.example/demo-1.0.tar.gz", hashes = {{sha256 = "{digest}"}}}}\n'
    )
    hub.says("POST", "/index/prefetch", shown(), 202)

    refused = run("prefetch", "-r", str(lock))
    built, every = run("prefetch", "-r", str(lock), "--build"), run("prefetch", "-r", str(lock), "--all")

    assert (refused.exit_code, built.exit_code, every.exit_code) == (2, 0, 0)
    assert "demo-1.0.tar.gz" in refused.output
    assert "say --build" in refused.output
    file = {"project": "demo", "filename": "demo-1.0.tar.gz", "sha256": digest}
    assert [body for *_, body in hub.asked] == [{"files": [file]}, {"projects": ["demo"]}]


def test_all_files_of_projects_need_no_uv_either(hub: StubHub, run: Run) -> None:
    hub.says("POST", "/index/prefetch", shown(), 202)

    assert run("prefetch", "Demo.Project", "other", "--all").exit_code == 0
    assert run("prefetch", "demo>=2", "--all").exit_code == 2

    assert hub.asked == [("POST", "/index/prefetch", {"projects": ["demo-project", "other"]})]


def test_without_uv_the_remedy_is_named(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))

    ran = run("prefetch", "demo")

    assert ran.exit_code == 2
    assert "Install it: pip install uv." in ran.output


def test_what_uv_says_is_said_when_it_finds_nothing(run: Run, said_to_uv: Callable[[], Any], tmp_path: Path) -> None:
    (tmp_path / "uv").write_text(f"#!{sys.executable}\nprint('no such thing, see --no-build')\nraise SystemExit(1)\n")

    ran = run("prefetch", "demo", "--json")

    assert (ran.exit_code, json.loads(ran.stdout)) == (
        2,
        {
            "code": 2,
            "detail": "uv finds nothing to install:\nno such thing, see --no-build",
            "remedy": uv._BUILD,
        },
    )


def test_files_that_are_missing_end_it_with_one_and_their_reasons(hub: StubHub, run: Run) -> None:
    failure = {"project": "demo", "filename": WHEEL, "reason": "its upstream\x1b[2J is odd"}
    hub.says("GET", "/index/prefetch/7", shown(fetched=0, failed=1, failures=[failure]))

    ran = run("prefetch", "--follow", "7")

    assert ran.exit_code == 1
    assert f"{WHEEL} is not there: its upstream�[2J is odd" in ran.stderr
    assert ran.stdout.startswith("There are 0 of 1 file")


def test_a_cancelled_one_ends_it_with_one(hub: StubHub, run: Run) -> None:
    hub.says("GET", "/index/prefetch/7", shown("canceled", left=3))

    ran = run("prefetch", "--follow", "7")

    assert (ran.exit_code, ran.stdout) == (1, "Its job 9 was cancelled or has failed: 3 files are left.\n")


def test_without_waiting_it_says_how_to_watch(hub: StubHub, run: Run) -> None:
    hub.says("POST", "/index/prefetch", shown("running", left=1), 202)

    ran = run("prefetch", "demo", "--all", "--no-wait")

    assert (ran.exit_code, ran.stdout) == (
        0,
        "The hub fetches. To watch: creamery index prefetch --follow 7\n",
    )


@pytest.mark.parametrize(("away", "code"), [(3, 0), (1_000, 3)])
def test_a_hub_that_is_restarted_is_waited_for_and_one_that_stays_away_is_not(
    hub: StubHub, run: Run, monkeypatch: pytest.MonkeyPatch, away: int, code: int
) -> None:
    looks = iter([shown("running", left=1), *[None] * away, shown()])

    async def in_turn(exchange: Exchange) -> None:
        look = next(looks)
        content = json.dumps(look).encode()
        exchange.reply = Reply(503, {}, b"") if look is None else Reply(200, JSON, content)
        await exchange.send()

    monkeypatch.setattr(index_fetch, "AWAY_SECONDS", 0.2)
    hub.instead = in_turn

    assert run("prefetch", "--follow", "7").exit_code == code


PINNED = {"pinned_by": "root", "created": "2026-11-27T06:00:00Z"}
PINS = [
    {"project": "demo", "filename": WHEEL, "size": 2_000, "is_here": True, **PINNED},
    {"project": "dep", "filename": "dep-2.tar.gz", "size": None, "is_here": False, **PINNED},
]


@pytest.fixture
def pinned(hub: StubHub) -> StubHub:
    """A hub with two pins, which it lists in two pieces."""
    hub.says("GET", "/index/pins?limit=1000", {"items": PINS[:1], "next": "1"})
    hub.says("GET", "/index/pins?after=1&limit=1000", {"items": PINS[1:], "next": None})
    for path in ("demo", "dep", "demo/1.0", f"demo/{WHEEL}"):
        hub.says("DELETE", f"/index/pins/{path}", {"unpinned": [path]})
    return hub


def test_pins_are_listed_whole(pinned: StubHub, run: Run) -> None:
    assert json.loads(run("pins", "--json").stdout) == PINS
    assert run("pins").stdout.splitlines()[-1] == "2 files, 2.0 kB."


@pytest.mark.parametrize(
    ("arguments", "paths"),
    [
        (["Demo"], ["demo"]),
        (["demo==1.0", "dep"], ["demo/1.0", "dep"]),
        ([WHEEL], [f"demo/{WHEEL}"]),
        (["--all"], ["demo", "dep"]),
    ],
)
def test_a_project_a_version_a_file_or_everything_is_unpinned(
    pinned: StubHub, run: Run, arguments: list[str], paths: list[str]
) -> None:
    ran = run("unpin", *arguments)

    assert (ran.exit_code, ran.stdout) == (0, f"Pinned no more: {', '.join(paths)}.\n")
    assert [path for method, path, _ in pinned.asked if method == "DELETE"] == [f"/index/pins/{path}" for path in paths]


def test_unpinning_what_is_not_pinned_says_so_and_ends_with_one(hub: StubHub, run: Run) -> None:
    hub.says("DELETE", "/index/pins/typo", {"unpinned": []})
    hub.says("GET", "/index/pins?limit=1000", {"items": [], "next": None})

    typo, everything = run("unpin", "typo"), run("unpin", "--all")

    assert (typo.exit_code, typo.stdout) == (1, "Pinned no more: nothing.\n")
    assert "Nothing that is pinned is called so" in typo.stderr
    assert (everything.exit_code, everything.stderr) == (0, "")


@pytest.mark.parametrize(
    "arguments",
    [
        ["prefetch"],
        ["pin"],
        ["unpin"],
        ["unpin", "demo", "--all"],
        ["prefetch", "demo", "--follow", "7"],
        ["unpin", "-"],
    ],
)
def test_what_is_called_wrongly_ends_with_two_and_asks_nothing(hub: StubHub, run: Run, arguments: list[str]) -> None:
    assert run(*arguments).exit_code == 2
    assert hub.asked == []
