"""The system's keyring is asked where a hub's address names a user whose password is nowhere else."""

from __future__ import annotations

import base64
import os
import stat
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from creamery.client import Credentials, HubAddress, Sources, User, find_credentials
from creamery.client.programs import ask

HUB = HubAddress("https", "hub.example", 8443, "/creamery")
ALICE = User("alice", None)

KEYRING = """\
#!{python}
import pathlib, sys
pathlib.Path(__file__).with_name("asked").write_text(repr(sys.argv[1:]))
{does}
"""


@pytest.fixture
def keyring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """A program of that name, alone on PATH, that does as it is told; the file has what it was asked."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("HOME", str(tmp_path))

    def made(does: str) -> Path:
        program = tmp_path / "bin" / "keyring"
        program.write_text(KEYRING.format(python=sys.executable, does=does))
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        return program.with_name("asked")

    return made


def found(user: User | None, **given: str) -> Credentials | None:
    return find_credentials(HUB, user, Sources(**given))


def test_it_has_a_users_password_under_the_hubs_address(keyring: Callable[[str], Path]) -> None:
    asked = keyring("print('a pass word ')")

    credentials = found(ALICE)

    assert credentials is not None
    assert (credentials.pair, credentials.place) == (("alice", "a pass word "), "the keyring")
    assert asked.read_text() == "['get', 'https://hub.example:8443/creamery', 'alice']"


def test_it_is_asked_last_and_only_for_somebody(keyring: Callable[[str], Path], tmp_path: Path) -> None:
    asked = keyring("print('of-the-keyring')")
    assert found(None) is None
    for nobody in ("", "--help", "a\nb", "cmy_a_token"):
        assert found(User(nobody, None)) is None
    assert found(User("alice", "of-the-address")) is not None
    assert found(ALICE, token="of-the-environment") is not None
    (tmp_path / ".netrc").write_text("machine hub.example login alice password of-netrc\n")
    assert found(ALICE) == Credentials.of_password("alice", "of-netrc", str(tmp_path / ".netrc"))
    assert not asked.exists()

    assert found(User("bob", None)) == Credentials.of_password("bob", "of-the-keyring", "the keyring")


@pytest.mark.parametrize(
    "does",
    [
        "sys.exit(1)",
        "print('half'); sys.exit(1)",
        "",
        "print()",
        "print('two'); print('lines')",
        r"sys.stdout.buffer.write(b'\xff\n')",
        "print(input())",
        "print(open('/dev/tty').read())",
        "import getpass; print(getpass.getpass())",
    ],
)
def test_one_that_has_nothing_or_wants_to_ask_somebody_has_none(
    keyring: Callable[[str], Path], does: str, capfd: pytest.CaptureFixture[str]
) -> None:
    asked = keyring(does)

    assert found(ALICE) is None
    assert asked.exists()
    assert capfd.readouterr() == ("", "")


def test_where_there_is_no_keyring_nobody_is_asked(keyring: Callable[[str], Path]) -> None:
    assert found(ALICE) is None
    keyring("").with_name("keyring").write_text("no program")
    assert found(ALICE) is None


def test_a_program_that_is_slow_is_not_waited_for(keyring: Callable[[str], Path]) -> None:
    asked = keyring("import time; time.sleep(60)")

    assert ask([os.fspath(asked.with_name("keyring"))], seconds=0.5) is None


def test_no_representation_shows_what_it_has(keyring: Callable[[str], Path]) -> None:
    keyring("print('s3cret-of-all')")

    shown = repr(found(ALICE))

    assert "the keyring" in shown
    assert "s3cret" not in shown
    assert base64.b64encode(b"alice:s3cret-of-all").decode() not in shown
