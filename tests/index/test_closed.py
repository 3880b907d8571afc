"""An index that is not for everybody: who gets in with what, and what the others are told."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from passlib.hash import apr_md5_crypt, bcrypt, des_crypt, ldap_sha1, md5_crypt, sha256_crypt, sha512_crypt
from pwdlib import PasswordHash
from sqlalchemy import Connection

from creamery.accounts import (
    By,
    Passwords,
    Scope,
    Token,
    add_group,
    add_members,
    add_user,
    create_token,
    find_user,
    remove_user,
    revoke_token,
    set_disabled,
    set_password,
    tokens,
)
from creamery.clock import SECOND, Micros, SystemClock
from creamery.database import Committer, Database, Generations
from creamery.limits import Limits
from creamery.telemetry import Telemetry
from tests.doubles.running import RunningHub
from tests.doubles.upstream import Upstream

PASSWORD = "correct horse"
BY = By(Micros(1_800_000_000_000_000))
READ = (Scope("index:read"),)
KINDS = {
    "bcrypt": bcrypt.using(rounds=4),
    "sha512": sha512_crypt.using(rounds=1_000),
    "sha256": sha256_crypt.using(rounds=1_000),
    "apr1": apr_md5_crypt,
    "md5": md5_crypt,
    "sha1": ldap_sha1,
    "crypt": des_crypt,
}

Work = Callable[[Connection], Any]


def basic(name: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


@dataclass
class Closed:
    """A running hub whose index is for users, and those who may read it."""

    hub: RunningHub
    filename: str = ""
    tokens: dict[str, str] = field(default_factory=dict)

    def write(self, work: Work) -> Any:
        return self.hub.built.hub.committer.write(work)

    def ask(self, authorization: str | None, path: str = "/simple/demo/") -> int:
        headers = {} if authorization is None else {"authorization": authorization}
        return self.hub.get(path, **headers).status_code

    def token(self, user: str, *scopes: Scope, expires: Micros | None = None) -> str:
        text, _ = self.write(lambda c: create_token(c, user, "a test's", scopes or READ, expires, BY))
        return str(text)


@pytest.fixture(scope="module")
def hashed() -> str:
    return Passwords(Limits()).hash(PASSWORD)


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory, hashed: str) -> Iterator[Closed]:
    folder = tmp_path_factory.mktemp("closed")
    lines = [f"{name}:{kind.hash(PASSWORD)}" for name, kind in KINDS.items()]
    (folder / "htpasswd").write_text("\n".join(["# who may read", *lines, f"alice:{ldap_sha1.hash('other password')}"]))
    with Upstream() as upstream:
        upstream.add("demo", "1.0")
        index = {
            "upstreams": [upstream.url],
            "max_age": 1e6,
            "read": "users",
            "htpasswd": folder / "htpasswd",
            "passcode": "open sesame",
        }
        limits = {"login_failures": 1_000, "login_failures_address": 1_000, "uses_seconds": 0.1}
        with RunningHub(folder / "var", index=index, limits=limits) as hub:
            made = Closed(hub)
            made.write(lambda c: add_user(c, "Alice", hashed, BY))
            made.write(lambda c: add_user(c, "root", hashed, BY, is_admin=True))
            page = hub.get(
                "/simple/demo/", accept="application/vnd.pypi.simple.v1+json", authorization=basic("alice", PASSWORD)
            )
            made.filename = page.json()["files"][0]["filename"]
            yield made


@pytest.mark.parametrize(
    "path",
    ["/simple/", "/i/", "/simple/demo/", "/i/demo/", "/simple/nothing/", "/i/demo/x.whl", "/i/demo/x.whl.metadata"],
)
def test_a_stranger_is_asked_who_he_is_whatever_there_is(closed: Closed, path: str) -> None:
    answer = closed.hub.get(path)

    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == 'Basic realm="Creamery", charset="UTF-8"'
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("path", ["/", "/healthz", "/readyz", "/robots.txt"])
def test_what_a_hub_tells_anyone_it_tells_with_wrong_credentials_too(closed: Closed, path: str) -> None:
    assert closed.ask(None, path) == closed.ask(basic("nobody", "wrong"), path) != 401


@pytest.mark.parametrize("name", ["alice", "ALICE", "root"])
def test_a_user_reads_with_his_password(closed: Closed, name: str) -> None:
    authorization = basic(name, PASSWORD)

    assert closed.ask(authorization) == 200
    assert closed.ask(authorization, f"/i/demo/{closed.filename}") == 200
    assert closed.ask(authorization, "/simple/nothing/") == 404  # uv goes on at 404


@pytest.mark.parametrize(
    "shape",
    [
        lambda token: f"Bearer {token}",
        lambda token: f"bearer {token}",
        lambda token: basic("__token__", token),
        lambda token: basic("alice", token),
        lambda token: basic(token, ""),
    ],
)
def test_a_token_does_in_every_shape(closed: Closed, shape: Callable[[str], str]) -> None:
    assert closed.ask(shape(closed.token("alice"))) == 200


@pytest.mark.parametrize(
    "wrong",
    [
        lambda token: basic("alice", "wrong password"),
        lambda token: basic("nobody", PASSWORD),
        lambda token: basic("alice", ""),
        lambda token: basic("alice", "x" * 1_000_000)[:20_000],
        lambda token: basic("al\0ice", PASSWORD),
        lambda token: basic("root", token),
        lambda token: f"Bearer {token[:-1]}",
        lambda token: f"Bearer {token}{token}",
        lambda token: f"Bearer {token[:-1]}{'a' if token[-1] != 'a' else 'b'}",
        lambda token: f"Token {token}",
        lambda token: f"Digest {token}",
        lambda token: token,
        lambda token: "Bearer",
        lambda token: "Basic",
        lambda token: "Basic !!!",
        lambda token: "Basic " + base64.b64encode(b"\xff\xfe:x").decode(),
        lambda token: "Basic " + base64.b64encode(b"no colon").decode(),
        lambda token: f"{basic('alice', PASSWORD)}, {basic('alice', PASSWORD)}",
        lambda token: f"{basic('alice', PASSWORD)} {basic('alice', PASSWORD)}",
    ],
)
def test_what_is_wrong_in_any_way_is_asked_again(closed: Closed, wrong: Callable[[str], str]) -> None:
    assert closed.ask(wrong(closed.token("alice"))) == 401


def test_two_headers_are_none(closed: Closed) -> None:
    line = f"Authorization: {basic('alice', PASSWORD)}\r\n".encode()

    assert closed.hub.raw(b"/simple/demo/", line).startswith(b"HTTP/1.1 200")
    assert closed.hub.raw(b"/simple/demo/", line * 2).startswith(b"HTTP/1.1 401")


def test_a_token_without_the_right_is_refused_and_not_asked_again(closed: Closed) -> None:
    assert closed.ask(f"Bearer {closed.token('alice', Scope('index:upload', 'demo'))}") == 403
    assert closed.ask(f"Bearer {closed.token('alice', Scope('index:upload'), Scope('index:read'))}") == 200
    assert closed.ask(f"Bearer {closed.token('alice', Scope('admin'))}") == 200


def test_a_token_ends_when_it_says(closed: Closed) -> None:
    now = SystemClock().now()
    short = closed.token("alice", expires=Micros(BY.now + SECOND))  # BY is in the future of these tests
    closed.write(lambda c: c.exec_driver_sql(f"UPDATE account_token SET expires = {now - 1} WHERE expires IS NOT NULL"))

    assert closed.ask(f"Bearer {short}") == 401


@pytest.mark.parametrize("name", KINDS)
def test_a_password_file_lets_in_whoever_stands_in_it(closed: Closed, name: str) -> None:
    assert closed.ask(basic(name, PASSWORD)) == 200
    assert closed.ask(basic(name, "wrong password")) == 401
    assert closed.ask(basic(name.upper(), PASSWORD)) == 401  # Apache's names are compared as they are


def test_a_name_in_the_file_is_another_one_than_the_users(closed: Closed) -> None:
    assert closed.ask(basic("alice", "other password")) == 200
    closed.write(lambda c: set_disabled(c, "alice", BY, disabled=True))
    try:
        assert closed.ask(basic("alice", PASSWORD)) == 401
        assert closed.ask(basic("alice", "other password")) == 200
    finally:
        closed.write(lambda c: set_disabled(c, "alice", BY, disabled=False))


def test_the_file_is_read_again_when_it_has_changed(closed: Closed) -> None:
    path = closed.hub.settings.password_files()["index"]
    before = path.read_text()
    assert closed.ask(basic("later", PASSWORD)) == 401

    path.write_text(f"{before}\nlater:{KINDS['bcrypt'].hash(PASSWORD)}\nplain:{PASSWORD}\nodd:$9$what\n")
    assert closed.ask(basic("later", PASSWORD)) == 200
    assert closed.ask(basic("plain", PASSWORD)) == 401
    assert closed.ask(basic("odd", PASSWORD)) == 401

    path.write_text(before)
    assert closed.ask(basic("later", PASSWORD)) == 401
    path.rename(path.with_name("away"))
    assert closed.ask(basic("bcrypt", PASSWORD)) == 401
    path.with_name("away").rename(path)
    assert closed.ask(basic("bcrypt", PASSWORD)) == 200


def test_the_passcode_is_a_principal_of_its_own(closed: Closed) -> None:
    assert closed.ask(basic("havarti", "open sesame")) == 200
    assert closed.ask(basic("havarti", "open")) == 401
    assert closed.ask(basic("Havarti", "open sesame")) == 401


@pytest.mark.parametrize(
    "take_away",
    [
        lambda c: set_disabled(c, "bob", BY, disabled=True),
        lambda c: remove_user(c, "bob", BY),
    ],
)
def test_whoever_is_out_is_out_at_once_tokens_included(closed: Closed, hashed: str, take_away: Work) -> None:
    closed.write(lambda c: find_user(c, "bob") and remove_user(c, "bob", BY))
    closed.write(lambda c: add_user(c, "bob", hashed, BY))
    credentials = [basic("bob", PASSWORD), f"Bearer {closed.token('bob')}"]
    assert [closed.ask(one) for one in credentials] == [200, 200]

    closed.write(take_away)

    assert [closed.ask(one) for one in credentials] == [401, 401]


def test_another_process_takes_a_right_away_before_its_own_answer(closed: Closed, hashed: str) -> None:
    """As `creamery token revoke` beside the hub does."""
    closed.write(lambda c: add_user(c, "carol", hashed, BY))
    text = closed.token("carol")
    credentials = [basic("carol", PASSWORD), f"Bearer {text}"]
    assert [closed.ask(one) for one in credentials] == [200, 200]
    database = Database(closed.hub.settings.resolved_database_url(), Limits())
    other = Committer(database, Generations(database), Limits(), SystemClock(), Telemetry())
    other.start()

    number = next(token.id for token in database.read(tokens) if token.ending == text[-4:])
    other.write(lambda c: revoke_token(c, number, BY))
    after_revoking = [closed.ask(one) for one in credentials]
    other.write(lambda c: set_password(c, "carol", "another hash", BY))
    after_changing = [closed.ask(one) for one in credentials]
    other.close()
    database.close()

    assert (after_revoking, after_changing) == ([200, 401], [401, 401])


def test_a_group_alone_may_read_where_the_setting_says_so(closed: Closed, tmp_path: Path, hashed: str) -> None:
    upstreams = closed.hub.settings.index.upstreams
    assert upstreams is not None
    index = {"upstreams": [upstreams[0].url], "max_age": 1e6, "read": "group:Team"}
    with RunningHub(tmp_path, index=index) as hub:
        only = Closed(hub)
        only.write(lambda c: add_user(c, "alice", hashed, BY))
        only.write(lambda c: add_user(c, "root", hashed, BY, is_admin=True))
        alice, root = basic("alice", PASSWORD), basic("root", PASSWORD)
        assert [only.ask(alice), only.ask(root), only.ask(None)] == [403, 200, 401]

        only.write(lambda c: add_members(c, add_group(c, "team", BY).name, ["alice"], BY))

        assert [only.ask(alice), only.ask(root)] == [200, 200]


def test_what_one_was_given_no_cache_keeps_for_others(closed: Closed) -> None:
    authorization = basic("alice", PASSWORD)

    page = closed.hub.get("/simple/demo/", authorization=authorization)
    file = closed.hub.get(f"/i/demo/{closed.filename}", authorization=authorization)

    assert page.headers["cache-control"].startswith("private")
    assert file.headers["cache-control"] == "private, max-age=31536000, immutable"


def test_a_known_token_and_a_known_password_cost_no_statement(closed: Closed) -> None:
    credentials = [f"Bearer {closed.token('alice')}", basic("alice", PASSWORD)]
    for one in credentials * 2:
        assert closed.ask(one) == 200
    closed.hub.wait_until(lambda: all(token.used for token in closed.hub.ask(tokens)[-1:]))

    with closed.hub.statements() as seen:
        for _ in range(50):
            assert closed.ask(credentials[0]) == closed.ask(credentials[1]) == 200

    # The token's uses are written down meanwhile, after which the hub looks whether anybody has changed anything.
    assert not [one for one in seen if "FROM account" in one]


def test_a_tokens_last_use_is_written_down(closed: Closed) -> None:
    text = closed.token("alice")

    def used() -> Micros | None:
        found: list[Token] = closed.hub.ask(tokens)
        return next(token.used for token in found if token.ending == text[-4:])

    assert used() is None

    closed.ask(f"Bearer {text}")

    closed.hub.wait_until(lambda: used() is not None)


def test_all_requests_of_one_installation_get_in_at_once_with_its_password(tmp_path: Path, hashed: str) -> None:
    """Each counted as a wrong one while it was looked at: forty of fifty were told to wait half a minute."""
    (tmp_path / "htpasswd").write_text(f"bea:{KINDS['bcrypt'].hash(PASSWORD)}")
    index = {"upstreams": [], "read": "users", "htpasswd": tmp_path / "htpasswd"}
    with RunningHub(tmp_path / "var", index=index, limits={"login_failures": 2}) as hub, ThreadPoolExecutor(20) as many:
        busy = Closed(hub)
        busy.write(lambda c: add_user(c, "alice", hashed, BY))

        for name in ("alice", "bea"):
            asked = [many.submit(busy.ask, basic(name, PASSWORD), "/simple/") for _ in range(20)]
            assert [one.result() for one in asked] == [200] * 20


def test_guessing_is_slowed_down_and_a_token_passes(tmp_path: Path, hashed: str) -> None:
    limits = {"login_failures": 2, "login_failures_address": 4, "login_seconds": 1_000}
    with RunningHub(tmp_path, index={"upstreams": [], "read": "users"}, limits=limits) as hub:
        guarded = Closed(hub)
        guarded.write(lambda c: add_user(c, "alice", hashed, BY))
        token = guarded.token("alice")

        answers = [
            guarded.ask(basic(name, "wrong password")) for name in ("alice", "alice", "alice", "nobody", "nobody")
        ]

        assert answers == [401, 401, 429, 401, 401]  # whether there is such a user makes no difference
        slowed = hub.get("/simple/", authorization=basic("alice", PASSWORD))
        assert slowed.status_code == 429
        assert 900 < int(slowed.headers["retry-after"]) <= 1_001
        assert guarded.ask(f"Bearer {token}", "/simple/") == 200


@pytest.mark.parametrize(
    ("limits", "statements"), [({"known_accounts": 10}, 0), ({"known_accounts": 1}, 10)], ids=["all fit", "one fits"]
)
def test_as_many_tokens_are_known_as_the_limit_says(
    tmp_path: Path, hashed: str, limits: dict[str, int], statements: int
) -> None:
    with RunningHub(tmp_path, index={"upstreams": [], "read": "users"}, limits=limits) as hub:
        small = Closed(hub)
        small.write(lambda c: add_user(c, "alice", hashed, BY))
        authorizations = [f"Bearer {small.token('alice')}" for _ in range(2)]
        for authorization in authorizations:
            assert small.ask(authorization, "/simple/") == 200

        with hub.statements() as seen:
            for authorization in authorizations * 5:
                assert small.ask(authorization, "/simple/") == 200

        assert len([one for one in seen if "FROM account_token" in one]) == statements


@pytest.mark.parametrize(("seconds", "hashes"), [(1_000.0, 1), (0.0, 5)])
def test_a_right_password_is_known_again_for_as_long_as_the_limit_says(
    tmp_path: Path, hashed: str, seconds: float, hashes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    verified: list[str] = []
    verify = PasswordHash.verify

    def counted(hasher: PasswordHash, password: str | bytes, kept: str | bytes) -> bool:
        verified.append("once")
        return verify(hasher, password, kept)

    monkeypatch.setattr(PasswordHash, "verify", counted)
    limits = {"password_seconds": seconds}
    with RunningHub(tmp_path, index={"upstreams": [], "read": "users"}, limits=limits) as hub:
        remembering = Closed(hub)
        remembering.write(lambda c: add_user(c, "alice", hashed, BY))

        answers = [remembering.ask(basic("alice", PASSWORD), "/simple/") for _ in range(5)]

    assert answers == [200] * 5
    assert len(verified) == hashes
