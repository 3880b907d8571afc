"""`creamery install` and `creamery run`: what the program that they run is told, and what if the hub is away."""

from __future__ import annotations

import json
import netrc
import os
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from creamery.accounts import Scope
from creamery.cli.installing import place
from tests.doubles.running import RunningHub
from tests.doubles.uploading import token_of

Call = Callable[..., subprocess.CompletedProcess[str]]

SPY = """\
#!{python}
import json, os, sys, time
if sys.argv[1:] == ["--version"]:
    print("uv 0.9.15")
    sys.exit()
if ":9/" in os.environ.get("UV_DEFAULT_INDEX", ""):  # as uv does: it asks again and again, and then gives up
    time.sleep(20)
    sys.exit(2)
netrc = os.environ.get("NETRC")
mode = oct(os.stat(netrc).st_mode & 0o777) if netrc else None
found = {{"argv": sys.argv[1:], "env": dict(os.environ), "mode": mode}}
print(json.dumps({{**found, "netrc": netrc and open(netrc).read()}}))
sys.exit(int(os.environ.get("ENDS", "0")))
"""


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[RunningHub]:
    with RunningHub(tmp_path / "data", index={"upstreams": []}) as started:
        yield started


@pytest.fixture
def call(tmp_path: Path) -> Call:
    """Call `creamery` where a spy stands for uv."""
    spy = tmp_path / "spy"
    spy.write_text(SPY.format(python=sys.executable))
    spy.chmod(spy.stat().st_mode | stat.S_IXUSR)
    (tmp_path / "home").mkdir()

    def called(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path / "home"), "UV": str(spy), **variables}
        command = [sys.executable, "-m", "creamery", *arguments]
        return subprocess.run(
            command, env=environment, cwd=tmp_path / "home", capture_output=True, text=True, timeout=60, check=False
        )

    return called


def told(ended: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert ended.stdout, ended.stderr
    found: dict[str, Any] = json.loads(ended.stdout)
    return found


def test_uv_is_told_the_plain_index_and_gets_its_own_options_as_they_are(call: Call, hub: RunningHub) -> None:
    words = ["-r", "asked.txt", "--target", "there", "flask>=3", "-U", "--constraints", "c.txt"]

    for arguments in ([f"-c{hub.base}", *words], [*words, "-c", hub.base]):
        found = told(call("install", *arguments))

        assert found["argv"] == ["pip", "install", *words]
        assert found["env"]["UV_DEFAULT_INDEX"] == f"{hub.base}/w/i/"
        assert found["netrc"] is None


def test_a_command_is_told_the_same_and_ends_as_it_ends(call: Call, hub: RunningHub) -> None:
    code = "import os, sys; print(os.environ['PIP_INDEX_URL'], sys.argv[1:]); sys.exit(7)"
    ended = call("run", "--", sys.executable, "-c", code, "-c", "x", CREAMERY_HUB=hub.base)

    assert (ended.returncode, ended.stdout.strip()) == (7, f"{hub.base}/w/i/ ['-c', 'x']")
    assert "CREAMERY_HUB" not in told(call("install", "x", CREAMERY_HUB=hub.base))["env"]
    missing = call("run", "--", "no-such-program", CREAMERY_HUB=hub.base)
    assert missing.returncode == 2
    assert "There is no program no-such-program." in missing.stderr


@pytest.mark.parametrize("place", ["address", "token", "netrc", "keyring"])
def test_credentials_are_in_a_file_for_its_owner_alone_and_in_no_variable(
    call: Call, hub: RunningHub, tmp_path: Path, place: str
) -> None:
    name, password = token_of(hub, "alice", [Scope("wheels:read"), Scope("index:read")])
    own = tmp_path / "home" / ".netrc"
    own.write_text("machine elsewhere.example\nlogin me\npassword mine\n")
    own.chmod(0o600)
    variables = {"CREAMERY_HUB": hub.base}
    if place == "address":
        variables["CREAMERY_HUB"] = hub.base.replace("//", f"//{name}:{password}@")
    elif place == "token":
        variables["CREAMERY_TOKEN"] = password
    elif place == "keyring":
        keyring = tmp_path / "bin" / "keyring"
        keyring.parent.mkdir()
        keyring.write_text(f"#!/bin/sh\n[ \"$*\" = 'get {hub.base} {name}' ] && echo {password}\n")
        keyring.chmod(0o755)
        variables |= {"CREAMERY_HUB": hub.base.replace("//", f"//{name}@"), "PATH": f"{keyring.parent}:/usr/bin:/bin"}
    else:
        own.write_text(own.read_text() + f"machine 127.0.0.1\nlogin {name}\npassword {password}\n")

    found = told(call("install", "x", **variables))

    assert found["mode"] == "0o600"
    assert password in found["netrc"]
    assert "machine elsewhere.example" in found["netrc"]
    assert password not in json.dumps([found["argv"], found["env"]])
    assert not Path(found["env"]["NETRC"]).exists()


def test_a_hub_is_asked_as_whom_it_was_said_whatever_netrc_has_for_its_host(
    call: Call, hub: RunningHub, tmp_path: Path
) -> None:
    """uv and pip take the last entry of a host: the user's own, of another service there, went before the token."""
    own = tmp_path / "home" / ".netrc"
    own.write_text("machine 127.0.0.1\nlogin old\npassword of-another\n\nmacdef init\ncd /pub\n\n")
    own.chmod(0o600)
    token = token_of(hub, "alice", [Scope("wheels:read"), Scope("index:read")])[1]

    found = told(call("install", "x", CREAMERY_HUB=hub.base, CREAMERY_TOKEN=token))

    read = tmp_path / "read"
    read.write_text(found["netrc"])
    assert netrc.netrc(str(read)).authenticators("127.0.0.1") == ("__token__", "", token)


@pytest.mark.parametrize("arguments", [["--allow-fallback"], ["--require-hashes"]])
def test_a_hub_that_is_away_is_passed_over_in_one_line_where_that_is_safe(call: Call, arguments: list[str]) -> None:
    ended = call("install", "-c", "http://127.0.0.1:9", *arguments, "x", UV_DEFAULT_INDEX="http://own.example/")

    assert told(ended)["env"]["UV_DEFAULT_INDEX"] == "http://own.example/"
    assert len(ended.stderr.strip().splitlines()) == 1
    assert "cannot be reached" in ended.stderr


@pytest.mark.parametrize(
    "arguments", [[], ["--require-cache", "--allow-fallback"], ["--require-cache", "--require-hashes"]]
)
def test_otherwise_nothing_is_installed_from_elsewhere(call: Call, arguments: list[str]) -> None:
    ended = call("install", "-c", "http://127.0.0.1:9", *arguments, "x")

    assert (ended.returncode, ended.stdout) == (3, "")
    assert "--allow-fallback" in ended.stderr


def test_an_address_of_something_else_is_said_to_be_no_hub(call: Call, hub: RunningHub) -> None:
    """It was told that there is nothing at /w/w/v1/names, and ended as if a hub had refused."""
    ended = call("install", "-c", f"{hub.base}/w/", "x", ENDS="1")

    assert ended.returncode == 3
    assert f"{hub.base}/w does not answer as a hub does." in ended.stderr


def test_an_address_that_is_none_is_refused(call: Call) -> None:
    ended = call("install", "-c", "constraints.txt", "x")

    assert ended.returncode == 2
    assert "'constraints.txt' is no hub's address" in ended.stderr


@pytest.mark.parametrize(
    ("arguments", "environ", "folders", "is_ours"),
    [
        (["x"], {}, [], True),
        (["--python", "3.12", "x"], {}, [], False),
        (["--target=there", "x"], {}, [], False),
        (["-p3.12", "x"], {}, [], False),
        (["-tthere", "x"], {}, [], False),
        (["-U", "--system", "x"], {}, [], False),
        (["--python-platform", "linux", "x"], {}, [], True),
        (["x"], {"VIRTUAL_ENV": "/v"}, [], False),
        (["x"], {}, [".venv"], False),
    ],
)
def test_packages_go_where_uv_would_put_them_else_where_creamery_is(
    tmp_path: Path, arguments: list[str], environ: dict[str, str], folders: list[str], is_ours: bool
) -> None:
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    for folder in folders:
        (tmp_path / folder).mkdir()

    assert place(arguments, environ, str(below)) == (["--python", sys.executable] if is_ours else [])
