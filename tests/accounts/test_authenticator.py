"""Passwords and cookies that are looked at: at the same time, after a change, and once more."""

from __future__ import annotations

import asyncio
import base64
import gc
import os
import shutil
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from passlib.context import CryptContext
from passlib.hash import apr_md5_crypt, bcrypt, ldap_sha1
from sqlalchemy import Connection

from creamery.accounts import (
    BadCredentials,
    By,
    Passwords,
    Presented,
    Principal,
    Scope,
    Throttled,
    add_user,
    create_token,
    set_admin,
    set_disabled,
    set_password,
    tables,
)
from creamery.accounts.changes import rights_changed
from creamery.clock import SECOND, Micros
from creamery.limits import Limits
from tests.accounts.test_revocation import BY, Process, empty_database
from tests.doubles.hand_clock import HandClock

DAY = 86_400.0
LIMITS = Limits(login_failures=3, login_failures_address=6, session_seconds=30 * DAY, session_idle_seconds=7 * DAY)
PASSWORD, OTHER = "correct horse", "battery staple"
HASHED = Passwords(LIMITS).hash(PASSWORD)
KINDS = {"hank": ldap_sha1, "bea": bcrypt.using(rounds=5), "bob": bcrypt.using(rounds=4), "apu": apr_md5_crypt}


def basic(name: str, password: str, address: str = "192.0.2.1", encoding: str = "utf-8") -> Presented:
    text = base64.b64encode(f"{name}:{password}".encode(encoding)).decode()
    return Presented(f"Basic {text}", address, door="index")


class Run:
    """Runs coroutines with one process's accounts, on one event loop, and keeps what that complains of."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "htpasswd"
        self.file.write_text("\n".join(f"{name}:{kind.hash(PASSWORD)}" for name, kind in KINDS.items()))
        path = folder / "db.sqlite3"
        path.write_bytes(empty_database())
        self.clock = HandClock()
        self.process = Process(f"sqlite:///{path}", LIMITS, self.clock, {"index": self.file})
        self.complaints: list[Any] = []
        self.loop = asyncio.new_event_loop()
        self.loop.set_exception_handler(lambda _, context: self.complaints.append(context))
        self.loop.run_until_complete(self.process.accounts.start())
        self.write(lambda c: add_user(c, "alice", HASHED, BY))
        self.write(lambda c: add_user(c, "root", HASHED, BY, is_admin=True))

    def write(self, work: Callable[[Connection], Any]) -> Any:
        return self.loop.run_until_complete(self.process.committer.commit(work))

    def ask(self, *presented: Presented) -> list[str]:
        """All at the same time: who each is, or what each is told."""

        async def together() -> list[Principal | BaseException]:
            asked = [self.process.accounts.authenticate(one) for one in presented]
            return await asyncio.gather(*asked, return_exceptions=True)

        return [
            f"{one.kind} {one.name}" if isinstance(one, Principal) else type(one).__name__
            for one in self.loop.run_until_complete(together())
        ]

    def sign_in(self, name: str, password: str) -> str:
        try:
            asked = self.process.accounts.sign_in(name, password, Presented("", "192.0.2.9"))
            return f"user {self.loop.run_until_complete(asked).name}"
        except (BadCredentials, Throttled) as error:
            return type(error).__name__

    def close(self) -> None:
        self.loop.run_until_complete(self.process.stop())
        gc.collect()
        self.loop.close()
        assert self.complaints == []


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    made = Run(tmp_path)
    yield made
    made.close()


@pytest.fixture
def hashes(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was hashed: `argon2`, and each kind of hash of a password file with its cost; not what failed at once."""
    seen: list[str] = []
    argon, other = Passwords._fits, CryptContext.verify

    def noted_argon(passwords: Passwords, normal: str, hashed: str | None) -> bool:
        seen.append("argon2")
        return argon(passwords, normal, hashed)

    def noted_other(context: CryptContext, password: str, hashed: str) -> bool:
        fits: bool = other(context, password, hashed)
        seen.append(hashed[:6] if hashed[0] == "$" else hashed[:5])
        return fits

    monkeypatch.setattr(Passwords, "_fits", noted_argon)
    monkeypatch.setattr(CryptContext, "verify", noted_other)
    return seen


class Held:
    """Holds the answer of the nth hash back until it is released."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
        self.came, self.released, self._left = asyncio.Event(), asyncio.Event(), number
        in_turn = Passwords.in_turn

        async def held(passwords: Passwords, *args: Any) -> Any:
            self._left -= 1
            holds = self._left == 0
            answer = await in_turn(passwords, *args)
            if holds:
                self.came.set()
                await self.released.wait()
            return answer

        monkeypatch.setattr(Passwords, "in_turn", held)


@pytest.mark.parametrize(("name", "kind", "kinds"), [("alice", "user alice", 0), ("bea", "htpasswd index:bea", 4)])
def test_those_who_bring_the_same_right_password_at_the_same_time_share_one_look(
    run: Run, hashes: list[str], name: str, kind: str, kinds: int
) -> None:
    """Fifty requests of one installation: forty were told to wait half a minute."""
    assert run.ask(*[basic(name, PASSWORD)] * 50) == [kind] * 50
    assert len(hashes) == 1 + kinds
    assert run.ask(*[basic(name, "wrong password")] * 50) == ["BadCredentials"] * 50
    assert run.ask(basic(name, PASSWORD)) == [kind]


def test_the_same_wrong_password_at_the_same_time_counts_once(run: Run) -> None:
    for _ in range(3):
        assert run.ask(*[basic("alice", OTHER)] * 20) == ["BadCredentials"] * 20
    assert run.ask(basic("alice", OTHER)) == ["Throttled"]


def test_different_passwords_at_the_same_time_count_each(run: Run) -> None:
    told = run.ask(*[basic("alice", f"guess number {number}") for number in range(10)])

    assert sorted(told) == ["BadCredentials"] * 3 + ["Throttled"] * 7


def test_who_is_slowed_down_keeps_nobody_else_out_with_the_same_password(run: Run) -> None:
    run.ask(*[basic(f"nobody{number}", OTHER, "192.0.2.66") for number in range(6)])

    told = run.ask(basic("alice", PASSWORD, "192.0.2.66"), basic("alice", PASSWORD, "192.0.2.1"))

    assert told == ["Throttled", "user alice"]


@pytest.mark.parametrize(("password", "told"), [(PASSWORD, "user alice"), (OTHER, "BadCredentials")])
def test_a_client_that_leaves_takes_the_look_from_nobody(
    run: Run, monkeypatch: pytest.MonkeyPatch, hashes: list[str], password: str, told: str
) -> None:
    async def leave() -> None:
        held = Held(monkeypatch, 1)
        first, second = (asyncio.create_task(run.process.accounts.authenticate(basic("alice", password))) for _ in "ab")
        await held.came.wait()
        first.cancel()
        await asyncio.wait([first])
        held.released.set()
        (outcome,) = await asyncio.gather(second, return_exceptions=True)
        assert (f"user {outcome.name}" if isinstance(outcome, Principal) else type(outcome).__name__) == told

    run.loop.run_until_complete(leave())

    assert hashes.count("argon2") == 1


def test_a_look_that_all_have_left_ends_without_a_word(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    async def leave() -> None:
        held = Held(monkeypatch, 2)
        only = asyncio.create_task(run.process.accounts.authenticate(basic("alice", OTHER)))
        await held.came.wait()
        only.cancel()
        await asyncio.wait([only])
        held.released.set()
        looks = run.process.accounts._authenticator._looks._tasks
        while looks:
            await asyncio.sleep(0)

    run.loop.run_until_complete(leave())
    gc.collect()

    assert run.complaints == []


async def another_password(run: Run) -> None:
    hashed = Passwords(LIMITS).hash(OTHER)
    await run.process.committer.commit(lambda c: set_password(c, "alice", hashed, BY))


async def another_line(run: Run) -> None:
    run.file.write_text(f"alice:{ldap_sha1.hash(OTHER)}\n")


@pytest.mark.parametrize(("change", "number"), [(another_password, 1), (another_line, 2)])
def test_nobody_joins_a_look_that_began_before_a_change(
    run: Run, monkeypatch: pytest.MonkeyPatch, change: Callable[[Run], Awaitable[None]], number: int
) -> None:
    async def overtake() -> tuple[Any, Principal]:
        held = Held(monkeypatch, number)
        early = asyncio.create_task(run.process.accounts.authenticate(basic("alice", OTHER)))
        await held.came.wait()
        await change(run)
        late = await asyncio.wait_for(run.process.accounts.authenticate(basic("alice", OTHER)), 10)
        held.released.set()
        return (await asyncio.gather(early, return_exceptions=True))[0], late

    early, late = run.loop.run_until_complete(overtake())

    assert late.name.endswith("alice")
    assert isinstance(early, BadCredentials)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda c: set_password(c, "alice", "another hash", BY), "BadCredentials"),
        (lambda c: set_disabled(c, "alice", BY, disabled=True), "BadCredentials"),
        (lambda c: set_admin(c, "alice", BY, is_admin=True), "user alice"),
    ],
)
@pytest.mark.parametrize("way", ["ask", "sign in"])
def test_what_changes_while_the_hash_is_computed_counts(
    run: Run, monkeypatch: pytest.MonkeyPatch, way: str, change: Callable[[Connection], Any], told: str
) -> None:
    fits = Passwords.fits

    async def and_meanwhile(passwords: Passwords, *args: Any) -> bool:
        answer = await fits(passwords, *args)
        await run.process.committer.commit(change)
        return answer

    monkeypatch.setattr(Passwords, "fits", and_meanwhile)

    assert (run.ask(basic("alice", PASSWORD))[0] if way == "ask" else run.sign_in("alice", PASSWORD)) == told


def test_a_right_that_was_taken_away_meanwhile_is_not_given(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    fits = Passwords.fits

    async def and_meanwhile(passwords: Passwords, *args: Any) -> bool:
        answer = await fits(passwords, *args)
        await run.process.committer.commit(lambda c: set_admin(c, "second", BY, is_admin=False))
        return answer

    run.write(lambda c: add_user(c, "second", HASHED, BY, is_admin=True))
    monkeypatch.setattr(Passwords, "fits", and_meanwhile)

    asked = run.process.accounts.authenticate(basic("second", PASSWORD))

    assert not run.loop.run_until_complete(asked).is_admin


@pytest.mark.parametrize("way", ["ask", "sign in"])
@pytest.mark.parametrize("password", [PASSWORD, OTHER])
def test_a_disabled_users_right_password_is_a_wrong_one(run: Run, hashes: list[str], password: str, way: str) -> None:
    """It stayed 401 for ever where a wrong one became 429, which told who knew it that it was right."""
    run.write(lambda c: set_disabled(c, "alice", BY, disabled=True))

    def one_try() -> str:
        return run.ask(basic("alice", password))[0] if way == "ask" else run.sign_in("alice", password)

    assert [one_try() for _ in range(5)] == ["BadCredentials"] * 3 + ["Throttled"] * 2
    assert len(hashes) == 3 * (5 if way == "ask" else 1), "and costs as much"


def test_who_stands_in_a_password_file_is_known_again_while_the_file_is_the_same(run: Run, hashes: list[str]) -> None:
    def again() -> int:
        hashes.clear()
        assert run.ask(basic("bea", PASSWORD)) == ["htpasswd index:bea"]
        return len(hashes)

    assert [again(), again(), again()] == [5, 0, 0]

    os.utime(run.file)
    assert [again(), again()] == [5, 0]
    run.clock.advance(LIMITS.password_seconds + 1)
    assert [again(), again()] == [5, 0]
    assert run.ask(basic("BEA", PASSWORD)) == ["BadCredentials"], "Apache's names are compared as they are"


def without_bea(file: Path) -> None:
    file.write_text(file.read_text().replace("bea:", "tea:"))


def without_bea_at_the_same_time(file: Path) -> None:
    """As `cp -p` and `rsync --inplace --times` do: the same size, the same time, the same inode."""
    was = file.stat()
    without_bea(file)
    os.utime(file, ns=(was.st_atime_ns, was.st_mtime_ns))


def another_file_in_its_place(file: Path) -> None:
    was, other = file.stat(), file.with_name("other")
    shutil.copy(file, other)
    without_bea(other)
    os.utime(other, ns=(was.st_atime_ns, was.st_mtime_ns))
    other.replace(file)


@pytest.mark.parametrize("change", [without_bea, without_bea_at_the_same_time, another_file_in_its_place, Path.unlink])
def test_who_is_taken_out_of_a_password_file_is_out_at_once(run: Run, change: Callable[[Path], Any]) -> None:
    assert run.ask(basic("bea", PASSWORD), basic("alice", PASSWORD)) == ["htpasswd index:bea", "user alice"]

    change(run.file)

    assert run.ask(basic("bea", PASSWORD), basic("alice", PASSWORD)) == ["BadCredentials", "user alice"]


def test_each_password_costs_the_same_whoever_stands_in_the_file(run: Run, hashes: list[str]) -> None:
    """A wrong password for who had a hash of another kind than the file's first took three times as long."""
    broken = f"odd:$9$what\ncut:{KINDS['bea'].hash(PASSWORD)[:29]}\nsalt:$apr1$abcdefgh\ncommented:\n"
    run.file.write_text(broken + run.file.read_text())
    costs: dict[tuple[str, str], list[str]] = {}
    for name in (*KINDS, "nobody", "odd", "cut", "salt", "alice"):
        for password in (PASSWORD, OTHER):
            hashes.clear()
            told = run.ask(basic(name, password, f"192.0.2.{len(costs) + 1}"))
            costs[name, password] = sorted(hashes)
            is_in = name in KINDS and password == PASSWORD
            assert name == "alice" or told == [f"htpasswd index:{name}" if is_in else "BadCredentials"]

    assert costs.pop(("alice", PASSWORD)) == ["argon2"]
    one_of_each = ["$2b$04", "$2b$05", "$apr1$", "argon2", "{SHA}"]
    assert [cost for cost in costs.values() if cost != one_of_each] == []


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_a_password_beyond_ascii_is_right_as_uv_sends_it_and_as_pip_does(run: Run, encoding: str) -> None:
    run.write(lambda c: add_user(c, "zoe", Passwords(LIMITS).hash("pässwörd1"), BY))
    run.file.write_text(f"yves:{ldap_sha1.hash('élève de lycée')}\n")

    assert run.ask(basic("zoe", "pässwörd1", encoding=encoding)) == ["user zoe"]
    assert run.ask(basic("yves", "élève de lycée", encoding=encoding)) == ["htpasswd index:yves"]
    assert run.ask(basic("zoe", "pässwörd2", encoding=encoding)) == ["BadCredentials"]


def test_what_the_log_hears_of_wrong_credentials_holds_nothing_of_them(run: Run) -> None:
    """`Authorization: cmy_...` without a scheme had its first twenty characters in the log, as the scheme."""
    secret = "cmy_abcdefghijklmnopqrst"
    ways = ["{}", "{} ", "Token {}", "Bearer {}", "Bearer {} {}", "Basic {}", "Basic\t{}", "{}, {}", "Digest name={}"]
    for way in ways:
        with pytest.raises(BadCredentials) as refused:
            run.loop.run_until_complete(run.process.accounts.authenticate(Presented(way.format(secret, secret))))

        text = str(refused.value) + str(refused.value.__cause__ or "")
        assert not [start for start in range(len(secret) - 3) if secret[start : start + 4] in text], way


def test_a_session_in_memory_ends_by_rest_without_any_change(run: Run) -> None:
    cookie = run.loop.run_until_complete(signed_in(run, run.clock.now()))
    presented = Presented("", session=cookie)
    for _ in range(3):
        run.clock.advance(6 * DAY)
        assert run.ask(presented) == ["user alice"]

    run.clock.advance(7 * DAY + 1)

    assert run.ask(presented) == ["BadCredentials"]


def test_a_session_in_memory_ends_by_age_without_any_change(run: Run) -> None:
    """Its row's age: that of the cookie's signature would end it much later here."""
    began = Micros(run.clock.now() - int(24 * DAY) * SECOND)
    cookie = run.loop.run_until_complete(signed_in(run, began))
    run.write(lambda c: tables.set_used(c, tables.account_session, {1: run.clock.now()}))
    presented = Presented("", session=cookie)
    assert run.ask(presented) == ["user alice"]
    run.clock.advance(5 * DAY)
    assert run.ask(presented) == ["user alice"]

    run.clock.advance(DAY + 1)

    assert run.ask(presented) == ["BadCredentials"]


def test_a_token_in_memory_ends_when_it_says_without_any_change(run: Run) -> None:
    now, scopes = run.clock.now(), [Scope("index:read")]
    expires = Micros(now + 60 * SECOND)
    text, _ = run.write(lambda c: create_token(c, "alice", "a test's", scopes, expires, By(now)))
    assert run.ask(Presented(f"Bearer {text}")) == ["token alice"]

    run.clock.advance(61)

    assert run.ask(Presented(f"Bearer {text}")) == ["BadCredentials"]


def test_a_disabled_users_session_opens_nothing_even_where_it_has_not_ended(run: Run) -> None:
    """As where somebody has changed the row by hand, or another version of the hub has."""
    cookie = run.loop.run_until_complete(signed_in(run, run.clock.now()))
    assert run.ask(Presented("", session=cookie)) == ["user alice"]

    def disable_alone(connection: Connection) -> None:
        user = tables.find_user(connection, "alice")
        assert user is not None
        tables.change_user(connection, user.id, BY.now, disabled=True)
        rights_changed(connection, "user disabled", "alice", BY, {})

    run.write(disable_alone)

    assert run.ask(Presented("", session=cookie)) == ["BadCredentials"]


async def signed_in(run: Run, now: Micros) -> str:
    """A session's cookie, of a session that began then."""
    accounts = run.process.accounts
    user = await accounts.sign_in("alice", PASSWORD, Presented("", "192.0.2.1"))
    opened = await accounts.open_session(user, By(now), means="password", agent="", former="")
    return accounts.session_cookie(opened)
