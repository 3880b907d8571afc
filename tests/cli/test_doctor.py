"""`creamery doctor`: each thing that can be wrong with a set-up is one line, and says what to do."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from creamery.accounts import Scope
from tests.doubles.loopback import Reply
from tests.doubles.proxy import ForwardProxy
from tests.doubles.running import RunningHub
from tests.doubles.stub_hub import StubHub
from tests.doubles.uploading import token_of

SECRET = "s3cret-of-all"
LINES = {"uv", "hub", "indexes", "python", "compiler", "temporary folder", "uv's cache", "PYTHONPATH"}
"""What is looked at, whatever else is wrong."""

SPY = """\
#!{python}
import os, sys
answers = {{
    "--version": os.environ.get("UV_IS", "uv 0.9.15 (a build)"),
    "cache": os.environ["HOME"] + "/cache/uv",
    "python": "3.13.1" if "--show-version" in sys.argv else "/somewhere/bin/python",
}}
print(answers[sys.argv[1]])
"""


@dataclass(frozen=True)
class Told:
    """How the command ended, and its lines by name; the worst one of a name."""

    code: int
    lines: dict[str, dict[str, str]]
    text: str

    def states(self) -> dict[str, str]:
        return {name: line["state"] for name, line in self.lines.items()}


Doctor = Callable[..., Told]


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHub]:
    with RunningHub(tmp_path_factory.mktemp("hub") / "data", index={"upstreams": []}) as started:
        yield started


@pytest.fixture
def call(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Call `creamery` where nothing is configured, and a spy stands for uv."""
    spy, compiler = tmp_path / "spy", tmp_path / "bin" / "cc"
    compiler.parent.mkdir()
    for path, text in ((spy, SPY.format(python=sys.executable)), (compiler, "#!/bin/sh\n")):
        path.write_text(text)
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
    (tmp_path / "home" / "project").mkdir(parents=True)
    nothing = {"PIP_CONFIG_FILE": os.devnull, "XDG_CONFIG_DIRS": str(tmp_path / "none")}

    def called(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        home = {"PATH": str(tmp_path / "bin"), "HOME": str(tmp_path / "home"), "UV": str(spy)}
        command = [sys.executable, "-m", "creamery", "doctor", *arguments]
        return subprocess.run(
            command,
            env={**home, **nothing, **variables},
            cwd=tmp_path / "home" / "project",
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return called


@pytest.fixture
def doctor(call: Callable[..., subprocess.CompletedProcess[str]]) -> Doctor:
    """The same with `--json`, read."""

    def told(*arguments: str, **variables: str) -> Told:
        ended = call("--json", *arguments, **variables)
        assert (ended.stderr, ended.stdout[:1]) == ("", "{")
        found: dict[str, Any] = json.loads(ended.stdout)
        ranks = ("ok", "note", "warning", "wrong")
        lines = {line["name"]: line for line in sorted(found["checks"], key=lambda line: ranks.index(line["state"]))}
        assert found["ok"] is all(line["state"] != "wrong" for line in found["checks"]) is (ended.returncode == 0)
        assert set(lines) >= LINES
        return Told(ended.returncode, lines, ended.stdout)

    return told


def test_of_a_sound_set_up_everything_is_said_to_be_well(doctor: Doctor, hub: RunningHub) -> None:
    _, token = token_of(hub, "alice", [Scope("accounts:own"), Scope("wheels:read"), Scope("wheels:push", "pr-17")])

    told = doctor("-c", hub.base, CREAMERY_TOKEN=token)

    assert (told.code, set(told.states().values())) == (0, {"ok"})
    assert told.lines["uv"]["found"].startswith("uv 0.9.15 ")
    assert told.lines["hub"]["found"].startswith(f"{hub.base} answers in ")
    assert told.lines["credentials"]["found"] == "found in CREAMERY_TOKEN; the hub takes you for alice"
    assert told.lines["wheels"]["found"] == "they may be read, and pushed to the ring pr-17"
    assert told.lines["python"]["found"] == "packages go to /somewhere/bin/python (3.13.1)"
    assert token not in told.text


def test_people_get_a_table_with_what_to_do(
    call: Callable[..., subprocess.CompletedProcess[str]], hub: RunningHub
) -> None:
    ended = call(CREAMERY_HUB=hub.base, UV_INDEX="https://other.example/simple/")

    lines = ended.stdout.splitlines()
    assert (ended.returncode, ended.stderr) == (0, "")
    assert lines[0].split() == ["what", "state", "found", "remedy"]
    assert any(line.startswith("hub ") and " OK " in line for line in lines)
    assert any("https://other.example/simple/" in line and "Take it out of UV_INDEX" in line for line in lines)


@pytest.mark.parametrize(
    ("scopes", "state", "found"),
    [
        (["wheels:read"], "note", "may not be pushed"),
        (["wheels:read", "wheels:push"], "ok", "pushed to the ring that the token names, else to the hub's own"),
        (["accounts:own", "wheels:push"], "ok", "pushed to the hub's own ring"),
        (["wheels:push:a", "wheels:push:b"], "warning", "names a, b as the ring"),
    ],
)
def test_what_a_token_may_is_what_the_hub_lets_it(
    doctor: Doctor, hub: RunningHub, scopes: list[str], state: str, found: str
) -> None:
    words = [scope.split(":") for scope in scopes]
    _, token = token_of(hub, "alice", [Scope(":".join(each[:2]), "".join(each[2:])) for each in words])

    told = doctor(CREAMERY_HUB=hub.base, CREAMERY_TOKEN=token)

    assert (told.code, told.lines["wheels"]["state"], told.lines["credentials"]["state"]) == (0, state, "ok")
    assert found in told.lines["wheels"]["found"]


def test_a_look_leaves_nothing_on_the_hub(doctor: Doctor, hub: RunningHub) -> None:
    _, token = token_of(hub, "alice", [Scope("wheels:read"), Scope("wheels:push")])

    _, admin = token_of(hub, "root", [Scope("admin")], is_admin=True)

    def journal() -> Any:
        return hub.client.get(f"{hub.base}/api/v1/journal", auth=("__token__", admin)).raise_for_status().json()

    before = journal()
    assert doctor(CREAMERY_HUB=hub.base, CREAMERY_TOKEN=token).lines["wheels"]["state"] == "ok"

    assert journal() == before
    lease = hub.client.post(f"{hub.base}/w/v1/lease/{'0' * 64}", auth=("__token__", token))
    assert lease.status_code == 201


def test_a_token_that_the_hub_refuses_is_wrong_and_not_shown(doctor: Doctor, hub: RunningHub) -> None:
    told = doctor(CREAMERY_HUB=hub.base, CREAMERY_TOKEN=SECRET)

    assert (told.code, told.lines["hub"]["state"], told.lines["credentials"]["state"]) == (1, "ok", "wrong")
    assert "creamery token create" in told.lines["credentials"]["remedy"]
    assert SECRET not in told.text


def test_a_hub_that_wants_to_know_who_asks_is_there_and_nobody_asks(doctor: Doctor, tmp_path: Path) -> None:
    settings: Any = {"index": {"upstreams": []}, "wheels": {"read": "users"}}
    with RunningHub(tmp_path / "data", **settings) as closed:
        _, other = token_of(closed, "alice", [Scope("index:read")])

        nobody = doctor(CREAMERY_HUB=closed.base)
        somebody = doctor(CREAMERY_HUB=closed.base, CREAMERY_TOKEN=other)

    assert (nobody.code, nobody.lines["hub"]["state"], nobody.lines["credentials"]["state"]) == (1, "ok", "wrong")
    assert "CREAMERY_TOKEN" in nobody.lines["credentials"]["remedy"]
    assert (somebody.code, somebody.lines["credentials"]["state"]) == (1, "ok")
    assert "may not be read: alice may not do this" in somebody.lines["wheels"]["found"]


def test_a_hub_that_is_away_or_none_is_one_line_and_the_others_are_there(doctor: Doctor) -> None:
    away = doctor(CREAMERY_HUB="http://127.0.0.1:9", CREAMERY_TOKEN=SECRET)
    with StubHub() as stub:
        stub.replies("POST", "/w/v1/lookup", Reply(200, {"Content-Type": "text/html"}, b"<h1>Welcome</h1>"))
        other = doctor(CREAMERY_HUB=stub.url)
        stub.replies("POST", "/w/v1/lookup", Reply(302, {"Location": "http://elsewhere.example/"}))
        moved = doctor(CREAMERY_HUB=stub.url)
        stub.refuses("POST", "/../../w/v1/lookup", 404, "Not found")
        without = doctor(CREAMERY_HUB=f"{stub.url}/below")

    for told in (away, other, moved, without):
        assert (told.code, told.lines["hub"]["state"]) == (1, "wrong")
        assert told.lines["hub"]["found"]
    assert "cannot be reached" in away.lines["hub"]["found"]
    assert "Does the hub run?" in away.lines["hub"]["remedy"]
    assert "answers, but not about wheels" in without.lines["hub"]["found"]
    assert SECRET not in away.text


def test_what_answers_wrongly_in_the_middle_is_a_line_of_its_own(doctor: Doctor) -> None:
    with StubHub() as stub:
        stub.replies("POST", "/w/v1/lookup", Reply(200, {"Content-Type": "application/json"}, b'{"keys": {}}'))
        old_date = {"Content-Type": "application/json", "Date": "Thu, 01 Jan 2026 00:00:00 GMT"}
        stub.replies("GET", "/healthz", Reply(200, old_date, b'["no", "version"]'))
        stub.says("GET", "/me", ["no", "object"])

        told = doctor(CREAMERY_HUB=stub.url, CREAMERY_TOKEN=SECRET)

    assert told.code == 1
    assert told.lines["time"]["state"] == "warning"
    assert "ahead of the hub's" in told.lines["time"]["found"]
    assert told.lines["hub"]["found"] == "this cannot be looked at: AttributeError"
    assert SECRET not in told.text


@pytest.mark.parametrize("address", ["constraints.txt", f"alice:{SECRET}@hub.example", f"https://a:{SECRET}@:1/"])
def test_an_address_that_is_none_is_a_line_without_its_password(doctor: Doctor, address: str) -> None:
    told = doctor(CREAMERY_HUB=address)

    assert (told.code, told.lines["hub"]["state"]) == (1, "wrong")
    assert "is no hub's address" in told.lines["hub"]["found"]
    assert SECRET not in told.text


def test_credentials_that_cannot_be_read_are_a_line_and_the_hub_is_looked_at(
    doctor: Doctor, hub: RunningHub, tmp_path: Path
) -> None:
    (tmp_path / "home" / ".netrc").write_text(f"machine hub.example login alice password half {SECRET}\n")

    told = doctor(CREAMERY_HUB=hub.base)

    assert (told.code, told.lines["hub"]["state"], told.lines["credentials"]["state"]) == (1, "ok", "wrong")
    assert ".netrc, line " in told.lines["credentials"]["found"]
    assert SECRET not in told.text


def test_a_user_without_a_password_is_warned_of_and_the_keyring_may_have_it(
    doctor: Doctor, hub: RunningHub, tmp_path: Path
) -> None:
    _, token = token_of(hub, "alice", [Scope("accounts:own"), Scope("wheels:read"), Scope("wheels:push")])
    address = hub.base.replace("//", "//alice@")

    without = doctor("-c", address)
    keyring = tmp_path / "bin" / "keyring"
    keyring.write_text(f"#!/bin/sh\necho {token}\n")
    keyring.chmod(0o755)
    having = doctor("-c", address)

    assert (without.code, without.lines["credentials"]["state"]) == (0, "warning")
    assert f"keyring set {hub.base} NAME" in without.lines["credentials"]["remedy"]
    assert having.lines["credentials"]["found"] == "found in the keyring; the hub takes you for alice"
    assert token not in having.text


def test_whoever_is_on_the_way_to_another_machine_is_warned_of(doctor: Doctor, hub: RunningHub) -> None:
    _, token = token_of(hub, "alice", [Scope("wheels:read")])
    with ForwardProxy({"hub.test:80": ("127.0.0.1", int(hub.base.rpartition(":")[2]))}) as proxy:
        told = doctor("-c", "http://hub.test", CREAMERY_TOKEN=token, http_proxy=proxy.url)

    assert (told.code, told.lines["credentials"]["state"]) == (0, "warning")
    assert "whoever is on the way" in told.lines["credentials"]["found"]


@pytest.mark.parametrize(
    ("version", "state"),
    [("uv 0.9.14", "warning"), ("uv 0.10.0", "ok"), ("uv 1.0.0 (x)", "ok"), ("something else", "wrong")],
)
def test_a_uv_that_does_not_say_what_it_does_is_warned_of(
    doctor: Doctor, hub: RunningHub, version: str, state: str
) -> None:
    told = doctor(CREAMERY_HUB=hub.base, UV_IS=version)

    assert told.lines["uv"]["state"] == state


def test_other_indexes_are_named_with_where_they_stand_and_without_passwords(
    doctor: Doctor, hub: RunningHub, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    (home / "project" / "uv.toml").write_text(f'extra-index-url = ["https://me:{SECRET}@of-uv.example/simple"]\n')
    (home / "pip.conf").write_text(
        f"[global]\nindex-url = {hub.base}/simple/\nextra-index-url =\n  https://me:{SECRET}@of-pip.example/s\n  b\n"
    )

    told = doctor(
        CREAMERY_HUB=hub.base,
        PIP_CONFIG_FILE=str(home / "pip.conf"),
        UV_INDEX=f"mine=https://me:{SECRET}@of-variables.example/s {hub.base}/i/",
    )

    found = [line["found"] for line in json.loads(told.text)["checks"] if line["name"] == "indexes"]
    assert told.code == 0
    assert [line.partition(" is asked")[0] for line in found] == [
        "mine=https://***@of-variables.example/s (UV_INDEX)",
        f"https://***@of-uv.example/simple (extra-index-url in {home / 'project' / 'uv.toml'})",
        f"https://***@of-pip.example/s (extra-index-url in {home / 'pip.conf'})",
        f"b (extra-index-url in {home / 'pip.conf'})",
    ]
    assert SECRET not in told.text


@pytest.mark.parametrize(("file", "state"), [("uv.toml", "wrong"), ("pyproject.toml", "warning")])
def test_a_file_that_uv_cannot_read_is_as_bad_as_uv_takes_it(
    doctor: Doctor, hub: RunningHub, tmp_path: Path, file: str, state: str
) -> None:
    (tmp_path / "home" / "project" / file).write_text(f'index-url = "https://me:{SECRET}')

    told = doctor(CREAMERY_HUB=hub.base)

    assert told.lines["indexes"]["state"] == state
    assert file in told.lines["indexes"]["found"]
    assert SECRET not in told.text


def test_a_machine_that_lacks_things_is_told_of_each(doctor: Doctor, hub: RunningHub, tmp_path: Path) -> None:
    (tmp_path / "bin" / "cc").unlink()
    (tmp_path / "home" / "cache").write_text("a file where a folder should be")
    (tmp_path / "sitecustomize.py").touch()

    told = doctor(CREAMERY_HUB=hub.base, TMPDIR=str(tmp_path / "gone"), PYTHONPATH=str(tmp_path), VIRTUAL_ENV="/nope")

    states = told.states()
    assert told.code == 1
    assert (states["compiler"], states["PYTHONPATH"], states["python"]) == ("note", "note", "warning")
    assert (states["temporary folder"], states["uv's cache"]) == ("wrong", "wrong")
    assert "TMPDIR" in told.lines["temporary folder"]["remedy"]
    assert "sitecustomize" in told.text


def test_what_nobody_has_thought_of_is_a_line_and_no_traceback(doctor: Doctor, hub: RunningHub, tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    told = doctor(CREAMERY_HUB=hub.base, NETRC=str(tmp_path / "file" / "netrc"), CC="'half")

    assert (told.code, told.lines["hub"]["state"]) == (1, "ok")
    assert "cannot be read: Not a directory" in told.lines["credentials"]["found"]
    assert told.lines["compiler"]["found"] == "this cannot be looked at: ValueError"


def test_a_password_on_the_command_line_is_warned_of_and_a_name_is_not(
    call: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    for user in (f"alice:{SECRET}", "cmy_a_token"):
        assert "password on the command line" in call("-c", f"http://{user}@127.0.0.1:9").stderr
    assert call("-c", "http://alice@127.0.0.1:9").stderr == ""
