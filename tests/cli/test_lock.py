"""`creamery lock --enrich`: what is added to a lock file, what is not, and what if the hub lies."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from creamery import telemetry
from creamery.accounts import Scope
from creamery.cli import main
from tests.doubles.building import build_of, put_entry
from tests.doubles.distributions import wheel
from tests.doubles.loopback import Exchange, Loopback
from tests.doubles.pushing import push
from tests.doubles.running import RunningHub
from tests.doubles.uploading import token_of

SDIST = "a" * 64
LOCK = f"""\
# Who reads this finds their comments again.
lock-version = "1.0"
created-by = "a test"

[[packages]]
name = "acme"
version = "1.0"
sdist = {{ name = "acme-1.0.tar.gz", url = "https://files.example/acme-1.0.tar.gz", hashes = {{ sha256 = "{SDIST}" }} }}

[[packages]]
name = "other"
version = "2.0"
wheels = [
    {{ name = "other-2.0-py3-none-any.whl", url = "https://files.example/o.whl", hashes = {{ sha256 = "{"b" * 64}" }} }}
]
"""
MADE = wheel("acme", "1.0", size=100)

Enrich = Callable[..., Result]


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunningHub]:
    monkeypatch.setattr(telemetry.log, "info", lambda *_, **__: None)  # here it is the command's output
    with RunningHub(tmp_path / "data", index={"upstreams": []}) as started:
        yield started


def enrich(lock: Path, base: str, *options: str) -> Result:
    return CliRunner().invoke(main, ["lock", "--enrich", str(lock), *options], env={"CREAMERY_HUB": base})


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    path = tmp_path / "pylock.toml"
    path.write_text(LOCK)
    return path


def wheels_in(lock: Path) -> list[dict[str, Any]]:
    packages = tomllib.loads(lock.read_text())["packages"]
    return [dict(each) for each in packages[0].get("wheels", [])]


def test_what_was_built_of_just_that_sdist_stands_beside_it(hub: RunningHub, lock: Path) -> None:
    put_entry(hub, MADE, token_of(hub, "alice", [Scope("wheels:push")]), build_of(SDIST))

    ended = enrich(lock, hub.base, "--json")

    assert ended.exit_code == 0, ended.output
    assert [each["filename"] for each in json.loads(ended.output)["added"]] == [MADE.filename]
    url = f"{hub.base}/w/f/{MADE.sha256}/{MADE.filename}"
    assert wheels_in(lock) == [
        {"name": MADE.filename, "url": url, "size": len(MADE.content), "hashes": {"sha256": MADE.sha256}}
    ]
    assert lock.read_text().startswith("# Who reads this finds their comments again.\n")
    assert tomllib.loads(lock.read_text())["packages"][1] == tomllib.loads(LOCK)["packages"][1]
    again = enrich(lock, hub.base)
    assert again.output == "The hub has built nothing that this lock file lacks.\n"
    assert len(wheels_in(lock)) == 1


def test_nothing_else_does(hub: RunningHub, lock: Path) -> None:
    alice = token_of(hub, "alice", [Scope("wheels:push")])
    push(hub, MADE, alice)  # nobody has said of what
    put_entry(hub, MADE, alice, build_of("c" * 64))
    put_entry(hub, wheel("acme", "1.0", size=5), alice, build_of(SDIST, environment={"CFLAGS": "-O3"}))
    other = {"system": "linux", "architecture": "x86_64", "libc": "glibc 2.31"}
    put_entry(hub, wheel("acme", "1.1"), alice, build_of(SDIST, platform=other))

    ended = enrich(lock, hub.base)

    assert ended.output == "The hub has built nothing that this lock file lacks.\n"
    assert lock.read_text() == LOCK


def test_it_can_be_written_elsewhere(hub: RunningHub, lock: Path, tmp_path: Path) -> None:
    put_entry(hub, MADE, token_of(hub, "alice", [Scope("wheels:push")]), build_of(SDIST))
    other = tmp_path / "pylock.other.toml"

    assert enrich(lock, hub.base, "--output", str(other)).exit_code == 0
    assert lock.read_text() == LOCK
    assert len(wheels_in(other)) == 1


@pytest.mark.parametrize(
    ("text", "word"), [("x = [", "no lock file"), ("x = 1\n", "no lock file"), ('lock-version = "9.0"', "no lock file")]
)
def test_what_is_no_lock_file_is_refused(hub: RunningHub, lock: Path, text: str, word: str) -> None:
    lock.write_text(text)

    ended = enrich(lock, hub.base)

    assert ended.exit_code == 2
    assert word in ended.output
    assert lock.read_text() == text


@pytest.mark.parametrize("lie", ["other bytes", "no wheels", "nonsense", "half"])
def test_of_a_hub_that_lies_nothing_is_written(lock: Path, lie: str) -> None:
    said: dict[str, Any] = {
        "project": "acme",
        "version": "1.0",
        "url": f"http://elsewhere.example/w/f/{MADE.sha256}/{MADE.filename}",
        "seconds": 1,
        "record": {"build": build_of(SDIST)},
        "listing": {"state": "listed", "filename": MADE.filename, "sha256": MADE.sha256, "size": len(MADE.content)},
    }

    async def answer(exchange: Exchange) -> None:
        if exchange.request.path.startswith("/w/v1/projects/acme"):
            told: Any = {"no wheels": {}, "half": {"wheels": [{"listing": 1}]}}.get(lie, {"wheels": [said]})
            exchange.reply.body = b"<html>" if lie == "nonsense" else json.dumps(told).encode()
            exchange.reply.headers["Content-Type"] = "application/json"
        elif exchange.request.path.startswith("/w/f/"):
            exchange.reply.body = MADE.content[:-1] + b"?"
        else:
            exchange.reply.status = 404
        await exchange.send()

    with Loopback(answer) as server:
        ended = enrich(lock, f"http://127.0.0.1:{server.ports[0]}")

    assert ended.exit_code == 3, ended.output
    assert lock.read_text() == LOCK
