"""The commands: what a person meets first."""

from __future__ import annotations

import contextlib
import json
import resource
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from creamery import __version__
from creamery.cli import main
from creamery.cli.commands import COMMANDS
from creamery.settings import Settings

ONLY_CLIENT = """
import sys

for absent in ("pydantic", "pydantic_settings", "uvicorn", "sqlalchemy", "starlette"):
    sys.modules[absent] = None
from creamery.cli import main
main(sys.argv[1:], prog_name="creamery")
"""
"""`creamery` as it is where only the client was installed."""


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=False)


def test_help_lists_every_command_and_imports_none() -> None:
    shown = run("-X", "importtime", "-m", "creamery", "--help")

    assert shown.returncode == 0
    assert [name for name in COMMANDS if f"\n  {name} " not in shown.stdout] == []
    imported = {line.rpartition("|")[2].strip() for line in shown.stderr.splitlines()}
    assert "creamery.cli.commands" in imported
    assert imported.isdisjoint({*(module for module, _ in COMMANDS.values()), "pydantic", "rich", "creamery.settings"})


def test_help_is_there_at_once() -> None:
    def seconds() -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        run("-m", "creamery", "--help")
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    # Seconds of the processor's time, which waiting for a busy machine does not count into.
    assert min(seconds() for _ in range(5)) < 0.2


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_has_a_module_and_a_help_of_its_own(name: str) -> None:
    shown = CliRunner().invoke(main, [name, "--help"])

    assert shown.exit_code == 0
    assert shown.output.startswith(f"Usage: main {name}")


def test_without_the_hub_serve_says_in_one_line_how_to_get_it() -> None:
    refused = run("-c", ONLY_CLIENT, "serve")

    assert refused.returncode == 1
    assert refused.stdout == ""
    assert refused.stderr == (
        'Error: `creamery serve` is part of the hub; install it with: pip install "creamery[server]"\n'
    )


def test_without_the_hub_help_and_version_work() -> None:
    assert run("-c", ONLY_CLIENT, "--help").returncode == 0
    assert run("-c", ONLY_CLIENT, "version").returncode == 0


def test_without_the_hub_doctor_works() -> None:
    told = json.loads(run("-c", ONLY_CLIENT, "doctor", "--json", "--hub", "http://127.0.0.1:9").stdout)

    assert [check["name"] for check in told["checks"] if "cannot be looked at" in check["found"]] == []
    assert next(check["state"] for check in told["checks"] if check["name"] == "hub") == "wrong"


def test_an_unknown_command_is_refused_by_its_name() -> None:
    refused = CliRunner().invoke(main, ["serv"])

    assert refused.exit_code == 2
    assert "No such command 'serv'" in refused.output


def test_version_is_told_to_people_and_to_programs() -> None:
    for_people = CliRunner().invoke(main, ["--version"])
    for_programs = CliRunner().invoke(main, ["version", "--json"])

    assert for_people.output == f"creamery, version {__version__}\n"
    assert json.loads(for_programs.output)["creamery"] == __version__


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--port", "70000"], "listen.port = 70000: "),
        (["--config", "missing.toml"], "--config missing.toml: there is no such file"),
        (["--config", "."], "is a directory"),
    ],
)
def test_serve_refuses_a_wrong_setting_plainly(
    arguments: list[str], complaint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    refused = CliRunner().invoke(main, ["serve", *arguments])

    assert refused.exit_code == 2
    assert complaint in refused.output


def test_a_port_that_is_asked_for_wins_over_a_socket_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "creamery.toml").write_text('[listen]\nuds = "creamery.socket"\n')
    monkeypatch.chdir(tmp_path)
    served: list[Settings] = []
    monkeypatch.setattr("creamery.cli.serve.serve", served.append)

    CliRunner().invoke(main, ["serve", "--port", "8001"])

    assert (served[0].listen.port, served[0].listen.uds) == (8001, None)


def test_serve_names_what_is_wrong_in_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "creamery.toml").write_text('[listen]\nprot = 8080\nport = "eighty"\n')
    monkeypatch.chdir(tmp_path)

    refused = CliRunner().invoke(main, ["serve"])

    assert refused.exit_code == 2
    assert "Error: listen.port = 'eighty': " in refused.output
    assert "listen.prot: there is no such setting" in refused.output


def test_a_strangers_database_is_told_before_it_is_upgraded(tmp_path: Path) -> None:
    with contextlib.closing(sqlite3.connect(tmp_path / "creamery.sqlite3")) as database:
        database.execute("CREATE TABLE customers (id INTEGER)")

    ended = CliRunner().invoke(main, ["db", "check", "--data", str(tmp_path), "--json"])

    assert ended.exit_code == 2
    assert "customers" in json.loads(ended.stdout)["error"]


@pytest.mark.parametrize(("command", "code"), [("upgrade", 1), ("check", 2)])
@pytest.mark.parametrize("as_json", [False, True])
def test_a_directory_that_cannot_be_is_told_in_one_line(
    tmp_path: Path, command: str, code: int, *, as_json: bool
) -> None:
    (tmp_path / "file").write_text("in the way")
    data = str(tmp_path / "file" / "var")

    ended = CliRunner().invoke(main, ["db", command, "--data", data, *(["--json"] if as_json else [])])

    assert ended.exit_code == code
    if as_json:
        assert data in json.loads(ended.stdout)["error"]
    else:
        assert ended.stdout == ""
        assert ended.stderr.startswith("Error: ")
        assert ended.stderr.count("\n") == 1
