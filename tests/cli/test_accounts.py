"""`creamery user`, `creamery token` and `creamery journal`, as an operator and as a program call them."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from creamery.accounts import Passwords, find_user, tokens
from creamery.cli import main
from creamery.database import Database
from creamery.limits import Limits

Run = Callable[..., Result]

PASSWORD = "correct horse"
CREATE = ("token", "create")


@pytest.fixture(scope="module")
def upgraded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty database, as `creamery db upgrade` makes it."""
    folder = tmp_path_factory.mktemp("upgraded")
    assert CliRunner().invoke(main, ["db", "upgrade", "--data", str(folder)]).exit_code == 0
    return folder / "creamery.sqlite3"


@pytest.fixture
def url(tmp_path: Path, upgraded: Path) -> str:
    copy = tmp_path / "creamery.sqlite3"
    shutil.copyfile(upgraded, copy)
    return f"sqlite:///{copy}"


@pytest.fixture
def run(tmp_path: Path, url: str) -> Run:
    """A command over an empty database; what it ends with is checked by whoever calls."""

    def call(*arguments: str, typed: str | None = None) -> Result:
        return CliRunner().invoke(main, [*arguments, "--data", str(tmp_path)], input=typed)

    return call


def ask(url: str, question: Callable[..., Any], *given: Any) -> Any:
    database = Database(url, Limits())
    try:
        return database.read(lambda connection: question(connection, *given))
    finally:
        database.close()


def test_a_user_is_made_with_a_password_that_is_asked_for_twice(run: Run, url: str) -> None:
    made = run("user", "add", "Alice", "--admin", typed=f"{PASSWORD}\n{PASSWORD}\n")

    assert made.exit_code == 0, made.output
    assert "Alice is an administrator now." in made.output
    assert PASSWORD not in made.output
    user = ask(url, find_user, "alice")
    assert user.is_admin
    assert user.password.startswith("$argon2id$")


@pytest.mark.parametrize(
    ("arguments", "typed", "says"),
    [
        (("user", "add", "a b", "--no-password"), None, "'a b' cannot be a name"),
        (("user", "add", "alice", "--password-stdin"), "short\n", "at least 8 characters"),
        (("user", "add", "alice", "--password-stdin"), "", "standard input holds no password"),
        (("user", "add", "ROOT", "--no-password"), None, "there is a 'ROOT' already"),
        (("user", "show", "nobody"), None, "there is no user 'nobody'"),
        (("user", "passwd", "nobody", "--password-stdin"), PASSWORD, "there is no user 'nobody'"),
        (("user", "disable", "root"), None, "last administrator"),
        (("user", "remove", "root", "--yes"), None, "last administrator"),
        (("user", "admin", "root", "--revoke"), None, "last administrator"),
        (("user", "group", "remove", "team"), None, "there is no group 'team'"),
        (("user", "group", "add", "team", "nobody"), None, "there is no user 'nobody'"),
        (("token", "create", "--user", "nobody", "--name", "x", "--scope", "index:read"), None, "no user 'nobody'"),
        (
            ("token", "create", "--user", "root", "--name", "x", "--scope", "index:paint"),
            None,
            "there are: admin, index",
        ),
        (
            ("token", "create", "--user", "root", "--name", "x", "--scope", "admin:all"),
            None,
            "nothing may stand behind",
        ),
        (("token", "create", "--user", "root", "--name", "", "--scope", "admin"), None, "a token has a name"),
        (("token", "create", "--user", "root", "--name", "x", "--scope", "admin", "--expires", "soon"), None, "30d"),
        (
            ("token", "create", "--user", "root", "--name", "x", "--scope", "admin", "--expires", "9999y"),
            None,
            "after the year 9999",
        ),
        (("token", "revoke", "7"), None, "there is no token 7"),
        (("token", "list", "--user", "nobody"), None, "there is no user 'nobody'"),
    ],
)
def test_what_cannot_be_done_ends_with_1_and_says_why(
    run: Run, arguments: tuple[str, ...], typed: str | None, says: str
) -> None:
    run("user", "add", "root", "--admin", "--no-password")

    refused = run(*arguments, typed=typed)

    assert refused.exit_code == 1
    assert says in refused.output
    assert "Traceback" not in refused.output


def test_users_and_groups_for_programs(run: Run) -> None:
    for name in ("root", "bob"):
        run("user", "add", name, "--no-password", "--admin")
    run("user", "add", "alice", "--password-stdin", typed=PASSWORD + "\r\n")
    grouped = run("user", "group", "add", "team", "alice", "bob", "--json")
    run("user", "disable", "bob")
    listed = json.loads(run("user", "list", "--json").output)

    assert json.loads(grouped.output) == {"name": "team", "members": ["alice", "bob"]}
    assert [(user["name"], user["admin"], user["disabled"], user["password"], user["groups"]) for user in listed] == [
        ("alice", False, False, True, ["team"]),
        ("bob", True, True, False, ["team"]),
        ("root", True, False, False, []),
    ]
    assert json.loads(run("user", "group", "list", "--json").output) == [json.loads(grouped.output)]
    assert json.loads(run("user", "enable", "bob", "--json").output)["disabled"] is False
    assert json.loads(run("user", "admin", "bob", "--revoke", "--json").output)["admin"] is False
    assert json.loads(run("user", "group", "remove", "team", "bob", "--json").output)["members"] == ["alice"]
    assert json.loads(run("user", "remove", "bob", "--yes", "--json").output)["name"] == "bob"
    assert json.loads(run("user", "group", "remove", "team", "--json").output)["name"] == "team"
    assert "There are no groups." in run("user", "group", "list").output


def test_nobody_is_removed_by_a_slip(run: Run, url: str) -> None:
    run("user", "add", "alice", "--no-password")

    assert run("user", "remove", "alice", typed="n\n").exit_code == 1
    assert ask(url, find_user, "alice") is not None


def test_another_password_fits_and_the_old_one_no_more(run: Run, url: str) -> None:
    run("user", "add", "alice", "--password-stdin", typed=PASSWORD)
    before = ask(url, find_user, "alice").password

    changed = run("user", "passwd", "alice", "--password-stdin", typed="another horse")

    assert changed.exit_code == 0
    kept, passwords = ask(url, find_user, "alice").password, Passwords(Limits())
    assert kept != before
    assert passwords._fits("another horse", kept)
    assert not passwords._fits(PASSWORD, kept)


def test_a_token_goes_to_standard_output_alone_and_is_never_shown_again(run: Run, url: str) -> None:
    run("user", "add", "alice", "--no-password")

    made = run("token", "create", "--user", "alice", "--name", "laptop", "--scope", "index:read", "--expires", "2d")
    lasting = json.loads(
        run(
            *("token", "create", "--user", "alice", "--name", "ever", "--scope", "admin", "--scope", "index:read"),
            *("--expires", "never", "--json"),
        ).output
    )

    text = made.stdout.strip()
    first, second = ask(url, tokens)
    assert text.startswith("cmy_")
    assert first.expires - first.created == 2 * 86_400 * 1_000_000
    assert (second.expires, lasting["expires"], lasting["scopes"]) == (None, "never", ["admin", "index:read"])
    shown = run("token", "list").output + run("user", "show", "alice", "--json").output
    assert text not in shown
    assert lasting["token"] not in shown
    assert "laptop" in shown

    assert run("token", "revoke", str(first.id)).exit_code == 0
    assert [token["id"] for token in json.loads(run("token", "list", "--user", "alice", "--json").output)] == [
        second.id
    ]


def test_without_tables_a_command_says_what_to_do(tmp_path: Path) -> None:
    refused = CliRunner().invoke(main, ["user", "list", "--data", str(tmp_path)])

    assert refused.exit_code == 1
    assert "there is no database" in refused.output
    assert "--data or --config" in refused.output


def test_the_journal_has_it_all_for_people_and_for_programs(run: Run) -> None:
    run("user", "add", "alice", "--no-password")
    run("user", "disable", "alice")

    for_people = run("journal").output.splitlines()
    for_programs = [json.loads(line) for line in run("journal", "--json", "--lines", "1").output.splitlines()]
    later = [json.loads(line)["serial"] for line in run("journal", "--json", "--since", "1").output.splitlines()]

    assert len(for_people) == 2
    assert "accounts: user added alice  by command:" in for_people[0]
    assert [(entry["serial"], entry["action"], entry["subject"]) for entry in for_programs] == [
        (2, "user disabled", "alice")
    ]
    assert later == [2]
    assert run("journal", "--lines", "0").output == ""


def test_the_journal_can_be_followed(run: Run, tmp_path: Path) -> None:
    run("user", "add", "before", "--no-password")
    command = [sys.executable, "-m", "creamery", "journal", "--follow", "--since", "1", "--data", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as following:
        run("user", "add", "meanwhile", "--no-password")

        assert following.stdout is not None
        assert "user added meanwhile" in following.stdout.readline()
        following.terminate()


def test_the_secret_is_replaced_and_the_former_one_believed_for_a_while(run: Run, tmp_path: Path) -> None:
    assert "Nothing that was signed before is believed" in run("secret", "rotate").output, "there was none"
    assert "believed for 7 more days" in run("secret", "rotate").output
    first = (tmp_path / "secret").read_text()
    assert json.loads(run("secret", "rotate", "--json").output) == {
        "path": str(tmp_path / "secret"),
        "former_believed": 2,
    }
    assert first in (tmp_path / "secret").read_text()
    assert "everybody signs in again" in run("secret", "rotate", "--leaked").output
    assert len((tmp_path / "secret").read_text().splitlines()) == 1


def test_a_secret_that_is_a_setting_is_replaced_there(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_KEY", "0123456789" * 4)

    refused = run("secret", "rotate")

    assert refused.exit_code == 1
    assert "secret_key_fallbacks" in refused.output
    assert not (tmp_path / "secret").exists()


def test_a_tokens_pattern_is_of_names_as_they_are_compared(run: Run) -> None:
    run("user", "add", "root", "--admin", "--password-stdin", typed=PASSWORD)

    made = run(*CREATE, "--user", "root", "--name", "ci", "--scope", "index:upload:Acme_*", "--json")

    assert json.loads(made.output)["scopes"] == ["index:upload:acme-*"]


def test_a_user_is_linked_to_whom_the_provider_means(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    run("user", "add", "alice", "--no-password")
    without = run("user", "link", "alice", "s-1")
    monkeypatch.setenv("CREAMERY_ACCOUNTS_OIDC_ISSUER", "https://id.example")
    monkeypatch.setenv("CREAMERY_ACCOUNTS_OIDC_CLIENT_ID", "hub")

    assert without.exit_code == 1
    assert "set accounts.oidc_issuer" in without.output
    assert run("user", "link", "alice", "s-1").output == "Whom https://id.example calls s-1 signs in as alice now.\n"
    again = run("user", "link", "alice", "s-2")
    assert (again.exit_code, "unlink them first" in again.output) == (1, True)
    (shown,) = json.loads(run("user", "show", "alice", "--json").output)["identities"]
    assert (shown["issuer"], shown["subject"]) == ("https://id.example", "s-1")
    assert "https://id.example" in run("user", "show", "alice").output
    assert json.loads(run("user", "unlink", "alice", "--json").output)["name"] == "alice"
    assert run("user", "unlink", "alice").exit_code == 1
    assert json.loads(run("user", "show", "alice", "--json").output)["identities"] == []


def test_a_users_quota_of_carts_is_shown_and_set(run: Run) -> None:
    run("user", "add", "alice", "--no-password")

    def quota(*options: str) -> list[tuple[int, bool]]:
        return [
            (row["quota"], row["own"]) for row in json.loads(run("user", "quota", "alice", "--json", *options).output)
        ]

    assert quota() == [(1_000, False), (1 << 40, False)]
    assert quota("--carts", "5", "--cart-bytes", "2TiB") == [(5, True), (2 << 40, True)]
    assert quota("--carts", "default") == [(1_000, False), (2 << 40, True)]
    assert quota("--cart-bytes", "0") == [(1_000, False), (0, True)]
    assert "quota" in run("journal").output


def test_a_quota_that_is_none_is_refused(run: Run) -> None:
    run("user", "add", "alice", "--no-password")

    bad, nobody = run("user", "quota", "alice", "--carts", "-1"), run("user", "quota", "bob")

    assert bad.exit_code == 2
    assert "'-1' is no number, such as 100 or 500GiB, nor `default`" in bad.output
    assert nobody.exit_code == 1
    assert "bob" in nobody.output
