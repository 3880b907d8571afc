"""Names, passwords and tokens by themselves."""

from __future__ import annotations

import hashlib

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pwdlib import PasswordHash

from creamery.accounts import (
    HUB,
    InvalidAccountName,
    PasswordRefused,
    Passwords,
    Principal,
    Rights,
    Rule,
    Thing,
    TooManyLogins,
    check_account_name,
    parse_scope,
)
from creamery.accounts.scopes import from_stored, stored
from creamery.accounts.tokens import looks_like_token, new_token, token_digest
from creamery.hub import offline_scopes
from creamery.limits import Limits
from creamery.threads import Pools

TOKEN = "cmy_" + "a" * 32


@pytest.mark.parametrize("name", ["a", "Alice", "a.b-c_d@example.org", "a+b", "0", "a" * 64])
def test_a_name_of_letters_and_digits_is_one(name: str) -> None:
    assert check_account_name(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        "a" * 65,
        "al\0ice",
        "alice\n",
        "\u0430lice",  # a Cyrillic first letter
        "ali\u0301ce",  # NFD
        "alíce",
        "\u202ealice",  # right to left
        "\u212a",  # the Kelvin sign
        ".alice",
        "alice.",
        "al ice",
        "al/ice",
        "__token__",
        "havarti",
        "Havarti",
        "anonymous",
        "hub",
    ],
)
def test_a_name_that_could_be_taken_for_another_is_refused(name: str) -> None:
    with pytest.raises(InvalidAccountName):
        check_account_name(name)


def test_a_token_has_160_random_bits_and_tells_when_it_was_mistyped() -> None:
    tokens = [new_token() for _ in range(200)]

    assert len(set(tokens)) == 200
    assert all(len(token) == 4 + 32 + 6 and looks_like_token(token) for token in tokens)
    assert token_digest(tokens[0]) == hashlib.sha256(tokens[0].encode()).hexdigest()


@given(st.integers(0, 41), st.sampled_from("abcdefghijklmnopqrstuvwxyz234567"))
def test_any_other_character_makes_it_no_token(place: int, character: str) -> None:
    token = new_token()
    other = token[:place] + character + token[place + 1 :]

    assert (token_digest(other) is None) == (other != token)


@pytest.mark.parametrize(
    "wrong", [str.upper, lambda t: t[:-1], lambda t: t * 2, lambda t: f" {t}", lambda t: f"{t}\n", lambda t: t[4:]]
)
def test_a_truncated_or_doubled_token_is_none(wrong: object) -> None:
    assert callable(wrong)
    assert token_digest(wrong(new_token())) is None


def fits(typed: str, kept: str | None, **limits: int) -> bool:
    async def ask() -> bool:
        pools = Pools(Limits())
        try:
            return await Passwords(Limits(**limits)).fits(typed, kept, pools)
        finally:
            pools.close()

    return anyio.run(ask)


def test_a_password_is_kept_as_argon2id_with_at_least_19_mib_and_two_passes() -> None:
    kept = Passwords(Limits()).hash("correct horse")

    assert kept.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert fits("correct horse", kept)
    assert not fits("correct hors", kept)


@pytest.mark.parametrize("typed", ["pa\u0301ssword", "pássword"])
def test_a_password_is_the_same_from_every_keyboard(typed: str) -> None:
    assert fits(typed, Passwords(Limits()).hash("pássword"))
    assert fits("two\u00a0words", Passwords(Limits()).hash("two words"))


@pytest.mark.parametrize("kept", [None, "", "no hash", "$argon2id$v=19$m=1"])
def test_nobody_gets_in_without_a_kept_password(kept: str | None) -> None:
    assert not fits("nobody's", kept)


def test_a_megabyte_is_refused_before_it_is_hashed(monkeypatch: pytest.MonkeyPatch) -> None:
    passwords, kept = Passwords(Limits(password_bytes=64)), Passwords(Limits()).hash("x" * 65)
    assert fits("x" * 65, kept, password_bytes=65)
    assert not fits("x" * 65, kept, password_bytes=64)

    monkeypatch.setattr(PasswordHash, "hash", None)  # whoever hashes now, fails
    with pytest.raises(PasswordRefused, match="64 bytes"):
        passwords.hash("x" * 1_000_000)


def test_a_new_password_has_as_many_characters_as_the_limit_says() -> None:
    passwords = Passwords(Limits(password_characters=9))

    with pytest.raises(PasswordRefused, match="at least 9"):
        passwords.hash("x" * 8)
    assert passwords.hash("x" * 9)
    with pytest.raises(PasswordRefused, match="control"):
        passwords.hash("nine\0chars")


def test_what_would_be_taken_for_a_token_cannot_be_a_password() -> None:
    """It was accepted when it was set, and never fitted afterwards."""
    with pytest.raises(PasswordRefused, match="does not begin with cmy_"):
        Passwords(Limits()).hash("cmy_correct horse")
    assert Passwords(Limits()).hash("CMY_correct horse")


def test_more_logins_than_may_wait_are_told_so() -> None:
    async def ask() -> list[object]:
        passwords, pools = Passwords(Limits(waiting_logins=3)), Pools(Limits())
        answers: list[object] = []

        async def one() -> None:
            try:
                answers.append(await passwords.fits("some password", None, pools))
            except TooManyLogins:
                answers.append("too many")

        async with anyio.create_task_group() as group:
            for _ in range(5):
                group.start_soon(one)
        pools.close()
        return answers

    assert sorted(map(str, anyio.run(ask))) == ["False", "False", "False", "too many", "too many"]


@pytest.mark.parametrize(
    ("scope", "action", "name", "covered"),
    [
        ("index:upload:acme-*", "index:upload", "acme-tools", True),
        ("index:upload:acme-*", "index:upload", "acme", False),
        ("index:upload:acme-*", "index:upload", "not-acme-tools", False),
        ("index:upload:acme-*", "index:read", "acme-tools", False),
        ("index:upload", "index:upload", "anything", True),
        ("index:upload", "index:uploads", "anything", False),
        ("admin", "index:upload", "anything", True),
    ],
)
def test_a_scope_covers_its_right_and_the_names_that_it_is_limited_to(
    scope: str, action: str, name: str, covered: bool
) -> None:
    parsed = parse_scope(scope, offline_scopes())

    assert parsed.covers(action, Thing("project", name)) is covered
    assert from_stored(stored([parsed])) == (parsed,)


def test_a_link_is_no_user_and_the_hubs_own_work_may_everything() -> None:
    rights = Rights()
    rights.declare({"index:read": Rule("users"), "index:upload": Rule("admins")})
    link = Principal("link", "a link")

    assert not rights.may(link, "index:read", Thing("project"))
    assert rights.may(HUB, "index:upload", Thing("project"))
    assert not rights.may(HUB, "index:paint", Thing("project")), "but what no door has declared"
