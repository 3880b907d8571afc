"""No sequence of granting, revoking, disabling and restarting lets a revoked right live, in either of two processes."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, rule

from creamery.accounts import (
    Accounts,
    BadCredentials,
    By,
    Presented,
    Rule,
    Scope,
    Secret,
    Thing,
    User,
    UserChanged,
    add_group,
    add_members,
    add_user,
    create_token,
    end_sessions,
    find_user,
    remove_members,
    remove_user,
    revoke_token,
    set_disabled,
    set_password,
)
from creamery.clock import Clock, Micros, SystemClock
from creamery.database import Committer, Database, Generations, Settling
from creamery.limits import Limits
from creamery.telemetry import Telemetry
from creamery.threads import Pools
from tests.databases import create_tables

BY = By(Micros(1_700_000_000_000_000))
READ, WRITE = "index:read", "index:write"
RULES = {READ: Rule("users"), WRITE: Rule("group", "team")}


@cache
def empty_database() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "empty.sqlite3")
        create_tables(f"sqlite:///{path}")
        return path.read_bytes()


@dataclass
class Owner:
    """What ought to be so."""

    disabled: bool = False
    member: bool = False


class Process:
    """One process's accounts over a database that two of them share."""

    def __init__(
        self, url: str, limits: Limits | None = None, clock: Clock | None = None, files: dict[str, Path] | None = None
    ) -> None:
        limits, clock = limits or Limits(), clock or SystemClock()
        self.database = Database(url, limits)
        self.generations = Generations(self.database)
        self.committer = Committer(self.database, self.generations, limits, clock, Telemetry())
        self.committer.start()
        self.pools = Pools(limits)
        settling = Settling(self.database, self.generations, self.pools)
        self.accounts = Accounts(
            self.database,
            self.committer,
            self.generations,
            settling,
            self.pools,
            limits,
            clock,
            password_files=files or {},
            passcodes={},
            secret=Secret(Path(tempfile.gettempdir()), limits, clock, keys=["a test's" * 4]),
        )
        self.accounts.declare(RULES)

    async def sign_in(self, owner: str, former: str) -> str | None:
        """A new session's cookie, as after the right password; None: that user is kept out."""
        user = self.database.read(lambda connection: find_user(connection, owner))
        assert user is not None
        try:
            now = By(SystemClock().now())
            opened = await self.accounts.open_session(user, now, means="password", agent="", former=former)
        except UserChanged:
            return None
        return self.accounts.session_cookie(opened)

    async def may(self, presented: Presented) -> set[str]:
        """What a token or a cookie opens here."""
        try:
            principal = await self.accounts.authenticate(presented)
        except BadCredentials:
            return set()
        return {action for action in RULES if self.accounts.may(principal, action, Thing("project"))}

    async def stop(self) -> None:
        await self.accounts.stop()
        self.committer.close()
        self.generations.close()
        self.pools.close()
        self.database.close()


class Revocation(RuleBasedStateMachine):
    """Changes come through either process; after each of them both are asked about all that was ever given out."""

    owners: Bundle[str] = Bundle("owners")

    @initialize()
    def begin(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        (self.folder / "db.sqlite3").write_bytes(empty_database())
        self.loop = asyncio.new_event_loop()
        self.processes = [self._started(), self._started()]
        self.added = 0
        self.model: dict[str, Owner] = {}
        self.tokens: dict[str, tuple[str, int, frozenset[str]]] = {}
        self.cookies: dict[str, str | None] = {}
        self._write(0, lambda c: add_group(c, "team", BY))

    @rule(target=owners, process=st.integers(0, 1))
    def add_user(self, process: int) -> str:
        self.added += 1
        name = f"user{self.added}"
        self._write(process, lambda c: add_user(c, name, None, BY))
        self.model[name] = Owner()
        return name

    @rule(owner=owners, process=st.integers(0, 1), scopes=st.sets(st.sampled_from(sorted(RULES)), min_size=1))
    def create_token(self, owner: str, process: int, scopes: set[str]) -> None:
        given = [Scope(scope) for scope in sorted(scopes)]
        text, token = self._write(process, lambda c: create_token(c, owner, "x", given, None, BY))
        self.tokens[text] = (owner, token.id, frozenset(scopes))

    @rule(process=st.integers(0, 1), number=st.integers(0, 99))
    def revoke_token(self, process: int, number: int) -> None:
        alive = [text for text, (owner, _, scopes) in self.tokens.items() if scopes and owner in self.model]
        if alive:
            text = alive[number % len(alive)]
            owner, token_id, _ = self.tokens[text]
            self._write(process, lambda c: revoke_token(c, token_id, BY))
            self.tokens[text] = (owner, token_id, frozenset())

    @rule(owner=owners, process=st.integers(0, 1), former=st.integers(0, 9))
    def sign_in(self, owner: str, process: int, former: int) -> None:
        """With the cookie of another session, or without one; that session ends."""
        came = ([*self.cookies, *[""] * 10])[former]
        cookie = self.loop.run_until_complete(self.processes[process].sign_in(owner, came))
        assert (cookie is None) == self.model[owner].disabled
        if cookie is not None:
            self.cookies[came] = None
            self.cookies[cookie] = owner

    @rule(owner=owners, process=st.integers(0, 1))
    def change_password(self, owner: str, process: int) -> None:
        self._write(process, lambda c: set_password(c, owner, "hashed", BY))
        self._end_sessions(owner)

    @rule(owner=owners, process=st.integers(0, 1))
    def sign_out_everywhere(self, owner: str, process: int) -> None:
        self._write(process, lambda c: end_sessions(c, _there(find_user(c, owner)), BY))
        self._end_sessions(owner)

    @rule(owner=owners, process=st.integers(0, 1), disabled=st.booleans())
    def disable(self, owner: str, process: int, disabled: bool) -> None:
        self._write(process, lambda c: set_disabled(c, owner, BY, disabled=disabled))
        self.model[owner].disabled = disabled
        if disabled:
            self._end_sessions(owner)

    @rule(owner=owners, process=st.integers(0, 1), member=st.booleans())
    def join_or_leave(self, owner: str, process: int, member: bool) -> None:
        change = add_members if member else remove_members
        self._write(process, lambda c: change(c, "team", [owner], BY))
        self.model[owner].member = member

    @rule(owner=consumes(owners), process=st.integers(0, 1))
    def remove_user(self, owner: str, process: int) -> None:
        self._write(process, lambda c: remove_user(c, owner, BY))
        del self.model[owner]
        self._end_sessions(owner)

    @rule(process=st.integers(0, 1))
    def restart(self, process: int) -> None:
        self.loop.run_until_complete(self.processes[process].stop())
        self.processes[process] = self._started()

    @invariant()
    def both_open_what_is_granted_and_nothing_else(self) -> None:
        for text, (owner, _, scopes) in getattr(self, "tokens", {}).items():
            user = self.model.get(owner)
            granted = set(scopes) if user is not None and not user.disabled else set()
            expected = granted if user is not None and user.member else granted - {WRITE}
            self._opens(Presented(f"Bearer {text}"), expected)
        for cookie, signed_in in getattr(self, "cookies", {}).items():
            expected = set() if signed_in is None else {READ, WRITE} if self.model[signed_in].member else {READ}
            self._opens(Presented("", session=cookie), expected)

    def _opens(self, presented: Presented, expected: set[str]) -> None:
        for process in self.processes:
            assert self.loop.run_until_complete(process.may(presented)) == expected

    def _end_sessions(self, owner: str) -> None:
        self.cookies |= {cookie: None for cookie, signed_in in self.cookies.items() if signed_in == owner}

    def teardown(self) -> None:
        if hasattr(self, "loop"):
            for process in self.processes:
                self.loop.run_until_complete(process.stop())
            self.loop.close()
            shutil.rmtree(self.folder)

    def _started(self) -> Process:
        process = Process(f"sqlite:///{self.folder / 'db.sqlite3'}")
        self.loop.run_until_complete(process.accounts.start())
        return process

    def _write(self, process: int, work: Any) -> Any:
        return self.loop.run_until_complete(self.processes[process].committer.commit(work))


def _there(user: User | None) -> User:
    assert user is not None
    return user


TestRevocation = Revocation.TestCase
TestRevocation.settings = settings(
    max_examples=8,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.reuse, Phase.generate),  # a step takes milliseconds: shrinking would take minutes
)
