"""Where a client finds who asks, in which order, and that it shows nobody what it found."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest

from creamery.client import Credentials, HubAddress, Sources, UnusableInput, User, find_credentials, parse_address

HUB = HubAddress("https", "hub.example", 443)
SECRET = "s3cret-of-all"


def basic(name: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def found(user: User | None = None, **given: Any) -> str | None:
    credentials = find_credentials(HUB, user, Sources(**given))
    return None if credentials is None else credentials.header


def test_a_flag_goes_before_the_environment_that_before_the_address_and_netrc_comes_last(home: Path) -> None:
    (home / "token").write_text("of-the-file\nand more\n")
    (home / ".netrc").write_text("machine hub.example login alice password of-netrc\n")
    everything = {"token_file": home / "token", "token": "of-the-environment"}
    user = User("bob", "of-the-address")

    assert found(user, **everything) == "Bearer of-the-file"
    assert found(user, token="of-the-environment") == "Bearer of-the-environment"
    assert found(user) == basic("bob", "of-the-address")
    assert found() == basic("alice", "of-netrc")


def test_where_there_is_nothing_nobody_asks(home: Path) -> None:
    assert found() is None
    (home / ".netrc").write_text("machine other.example login alice password x\n")
    assert found() is None


def test_a_name_in_the_address_finds_its_own_password_in_netrc_alone(home: Path) -> None:
    (home / ".netrc").write_text("machine hub.example login alice password of-netrc\n")

    assert found(User("alice", None)) == basic("alice", "of-netrc")
    assert found(User("bob", None)) is None


def test_of_several_entries_the_named_users_counts_else_the_last_as_with_uv_and_pip(home: Path) -> None:
    """Only the last was ever looked at, and a hub was asked as nobody."""
    entries = [f"machine hub.example login {name} password of-{name}" for name in ("alice", "bob")]
    (home / ".netrc").write_text("\n".join([*entries, "default login carol password of-all"]))

    assert found(User("alice", None)) == basic("alice", "of-alice")
    assert found(User("bob", None)) == basic("bob", "of-bob")
    assert found(User("carol", None)) is None
    assert found() == basic("bob", "of-bob")


def test_the_environment_may_name_another_netrc(home: Path) -> None:
    (home / ".netrc").write_text("machine hub.example login alice password of-home\n")
    (home / "other").write_text("machine hub.example login alice password of-other\n")

    assert found(netrc_file=home / "other") == basic("alice", "of-other")


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"token_file": Path("missing")}, r"^The token file missing cannot be read: No such file"),
        ({"netrc_file": Path("missing")}, r"^NETRC names missing, and there is no such file"),
        ({"token": ""}, r"^CREAMERY_TOKEN holds no token"),
        ({"token": f"{SECRET} {SECRET}"}, r"^What CREAMERY_TOKEN holds is no token"),
        ({"token": f"{SECRET}\r\nX-Evil: 1"}, r"^What CREAMERY_TOKEN holds is no token"),
        ({"token": "x" * 4_097}, r"^What CREAMERY_TOKEN holds is no token"),
    ],
)
@pytest.mark.usefixtures("home")
def test_what_is_no_credential_is_refused_without_being_shown(given: dict[str, Any], says: str) -> None:
    assert found(token="x" * 4_096) is not None

    with pytest.raises(UnusableInput, match=says) as caught:
        found(**given)

    assert SECRET not in str(caught.value)


def test_a_netrc_that_cannot_be_read_is_told_by_its_line_and_not_by_its_words(home: Path) -> None:
    """The standard library's own text quotes the word that it stumbled over: here a password with a blank in it."""
    (home / ".netrc").write_text(f"machine hub.example login alice password half {SECRET}\n")

    with pytest.raises(UnusableInput, match=r"\.netrc, line \d+: this is not how a netrc file is written") as caught:
        found()

    assert SECRET not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


@pytest.mark.parametrize(("name", "password"), [("a:b", "x"), ("a", "x\ny"), ("a", "\ud800")])
def test_a_name_or_password_that_no_header_takes_is_refused(name: str, password: str) -> None:
    with pytest.raises(UnusableInput, match="cannot be sent"):
        Credentials.of_password(name, password, "the hub's address")


def test_no_representation_shows_a_secret() -> None:
    held = [
        Credentials.of_token(SECRET, "a test"),
        User("alice", SECRET),
        Sources(token=SECRET),
        parse_address(f"https://alice:{SECRET}@hub.example"),
    ]

    assert SECRET not in repr(held)
    assert base64.b64encode(SECRET.encode()).decode() not in repr(Credentials.of_password("", SECRET, "a test"))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://hub.example", "https://hub.example"),
        ("https://HUB.example:443/", "https://hub.example"),
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000"),
        ("http://[::1]:8000/", "http://[::1]:8000"),
        ("https://alice:x@hub.example/creamery/", "https://hub.example/creamery"),
    ],
)
def test_an_address_is_read_and_shown_without_its_user(text: str, shown: str) -> None:
    assert str(parse_address(text)[0]) == shown


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hub.example",
        "ftp://hub.example",
        "https://",
        "https://alice:s3cret-of-all@",
        "alice:s3cret-of-all@hub.example",
        "alice:s3cret-of-all@http://hub.example",
        "https://hub.example/?token=s3cret-of-all",
        "https://alice:s3cret-of-all/x@hub.example:port",
        "https://alice:s3cret-of-all@hub.example:99999",
        "https://hub.example:0",
        "https://hub.example/?q=1",
        "https://hub.example/#a",
        "https://hub.example/a b",
        "https://[::1",
        "https://hub example",
    ],
)
def test_what_is_no_address_is_refused_without_its_password(text: str) -> None:
    with pytest.raises(UnusableInput, match="is no hub's address") as caught:
        parse_address(text)

    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("host", "is_here"),
    [("localhost", True), ("a.localhost", True), ("127.8.8.8", True), ("::1", True), ("10.0.0.1", False), ("h", False)],
)
def test_this_machine_is_known_by_its_names(host: str, *, is_here: bool) -> None:
    assert HubAddress("http", host, 80).is_loopback is is_here
