"""Users, groups and tokens in the database: what is allowed, what goes along, what the journal says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Connection

from creamery.accounts import (
    By,
    InvalidAccountName,
    LastAdministrator,
    NameTaken,
    NoSuchAccount,
    NoSuchToken,
    Scope,
    TokenRefused,
    add_group,
    add_members,
    add_user,
    create_token,
    find_group,
    find_user,
    remove_group,
    remove_members,
    remove_user,
    revoke_token,
    set_admin,
    set_disabled,
    set_password,
    tokens,
    users,
)
from creamery.accounts.tables import token_and_owner
from creamery.accounts.tokens import token_digest
from creamery.clock import Micros
from creamery.database import Committer, Database, Generations
from creamery.journal import since

NOW = Micros(1_800_000_000_000_000)
BY = By(NOW, "root", "::1")
READ = (Scope("index:read"),)


class Hub:
    """A database to ask and to change."""

    def __init__(self, committer: Committer, database: Database) -> None:
        self.committer = committer
        self.database = database

    def do(self, rule: Callable[..., Any], *given: Any, **named: Any) -> Any:
        return self.committer.write(lambda connection: rule(connection, *given, **named))

    def ask(self, question: Callable[..., Any], *given: Any) -> Any:
        return self.database.read(lambda connection: question(connection, *given))

    def journal(self) -> list[str]:
        return [f"{entry.action} {entry.subject}" for entry in self.ask(since, 0, 100)]


@pytest.fixture
def hub(committer: Committer, database: Database) -> Hub:
    """With one administrator."""
    made = Hub(committer, database)
    made.do(add_user, "Root", "hash", BY, is_admin=True)
    return made


def test_a_user_is_found_in_whatever_case_and_nobody_else_is_called_so(hub: Hub) -> None:
    alice = hub.do(add_user, "Alice", None, BY)

    assert hub.ask(find_user, "aLICE") == alice
    assert (alice.name, alice.is_admin, alice.disabled, alice.password) == ("Alice", False, False, None)
    with pytest.raises(NameTaken, match="alice"):
        hub.do(add_user, "alice", None, BY)
    with pytest.raises(InvalidAccountName):
        hub.do(add_user, "a b", None, BY)
    assert [user.name for user in hub.ask(users)] == ["Alice", "Root"]


def test_the_journal_says_who_did_what_from_where(hub: Hub) -> None:
    hub.do(add_user, "alice", None, BY)
    entry = hub.ask(since, 1, 10)[0]

    assert (entry.door, entry.action, entry.subject, entry.actor, entry.origin, entry.at) == (
        "accounts",
        "user added",
        "alice",
        "root",
        "::1",
        NOW,
    )


@pytest.mark.parametrize(
    ("rule", "named"), [(set_disabled, {"disabled": True}), (set_admin, {"is_admin": False}), (remove_user, {})]
)
def test_the_last_administrator_stays(hub: Hub, rule: Callable[..., Any], named: dict[str, Any]) -> None:
    hub.do(add_user, "alice", None, BY)
    before = hub.journal()

    with pytest.raises(LastAdministrator, match="Root"):
        hub.do(rule, "root", BY, **named)
    assert hub.journal() == before
    assert hub.ask(find_user, "root").is_admin

    hub.do(set_admin, "alice", BY, is_admin=True)
    with pytest.raises(LastAdministrator, match="Root"):
        hub.do(rule, "root", BY, **named)  # alice has neither password nor token: she cannot get in
    hub.do(set_password, "alice", "hash", BY)
    hub.do(rule, "root", BY, **named)


def test_an_administrator_can_get_in_by_a_token_that_may_administer_and_lives(hub: Hub) -> None:
    hub.do(add_user, "bot", None, BY, is_admin=True)
    hub.do(create_token, "bot", "reads", READ, None, BY)
    hub.do(create_token, "bot", "short", (Scope("admin"),), Micros(NOW + 1), BY)
    later = By(Micros(NOW + 2))

    with pytest.raises(LastAdministrator):
        hub.do(set_admin, "root", later, is_admin=False)
    hub.do(create_token, "bot", "lasting", (*READ, Scope("admin")), None, later)
    hub.do(set_admin, "root", later, is_admin=False)


def test_a_change_of_the_same_moment_shows_all_the_same(hub: Hub) -> None:
    before = hub.ask(find_user, "root")

    assert hub.do(set_password, "root", "another", BY).changed > before.changed


def test_a_disabled_administrator_is_none_who_could_get_in(hub: Hub) -> None:
    hub.do(add_user, "alice", "hash", BY, is_admin=True)
    hub.do(set_disabled, "alice", BY, disabled=True)

    with pytest.raises(LastAdministrator):
        hub.do(remove_user, "root", BY)
    hub.do(remove_user, "alice", BY)  # who could not get in is missed by nobody


def test_what_is_not_there_cannot_be_changed(hub: Hub) -> None:
    for rule, named in (
        (set_disabled, {"disabled": True}),
        (set_admin, {"is_admin": True}),
        (remove_user, {}),
        (remove_group, {}),
    ):
        with pytest.raises(NoSuchAccount, match="'bob'"):
            hub.do(rule, "bob", BY, **named)
    with pytest.raises(NoSuchAccount, match="user 'bob'"):
        hub.do(set_password, "bob", "hash", BY)


def test_groups_have_members_who_come_and_go(hub: Hub) -> None:
    hub.do(add_user, "alice", None, BY)
    hub.do(add_group, "Team", BY)
    with pytest.raises(NameTaken):
        hub.do(add_group, "team", BY)

    assert hub.do(add_members, "team", ["alice", "root", "ALICE"], BY).members == ("alice", "Root")
    assert hub.ask(find_user, "alice").groups == {"team"}
    assert hub.do(remove_members, "team", ["alice"], BY).members == ("Root",)
    with pytest.raises(NoSuchAccount, match="bob"):
        hub.do(add_members, "team", ["alice", "bob"], BY)
    assert hub.ask(find_group, "team").members == ("Root",)  # all or none

    hub.do(remove_user, "alice", BY)
    hub.do(remove_group, "team", BY)
    assert hub.ask(find_user, "root").groups == frozenset()


def test_a_token_is_shown_once_and_kept_as_its_sha_256(hub: Hub) -> None:
    text, token = hub.do(create_token, "root", "laptop", READ, None, BY)

    assert hub.ask(token_and_owner, token_digest(text)) == (token, hub.ask(find_user, "root"))
    assert (token.name, token.ending, token.scopes, token.expires, token.used) == (
        "laptop",
        text[-4:],
        READ,
        None,
        None,
    )
    assert text not in repr(hub.ask(since, 0, 100))


def test_a_token_that_would_be_of_no_use_is_refused(hub: Hub) -> None:
    for name, scopes, expires in (
        ("", READ, None),
        ("x" * 65, READ, None),
        ("x", (), None),
        ("x", READ, NOW),
    ):
        with pytest.raises(TokenRefused):
            hub.do(create_token, "root", name, scopes, expires, BY)
    with pytest.raises(NoSuchAccount):
        hub.do(create_token, "bob", "x", READ, None, BY)


def test_a_token_is_taken_back_by_its_user_alone_and_goes_with_the_user(hub: Hub) -> None:
    alice = hub.do(add_user, "alice", None, BY)
    root = hub.ask(find_user, "root")
    _, first = hub.do(create_token, "alice", "first", READ, None, BY)
    text, second = hub.do(create_token, "alice", "second", READ, None, BY)

    with pytest.raises(NoSuchToken):
        hub.do(revoke_token, first.id, BY, of_user=root.id)
    hub.do(revoke_token, first.id, BY, of_user=alice.id)
    with pytest.raises(NoSuchToken):
        hub.do(revoke_token, first.id, BY)
    assert hub.ask(tokens, alice.id) == [second]

    hub.do(remove_user, "alice", BY)
    assert hub.ask(token_and_owner, token_digest(text)) is None


def test_a_number_is_never_given_twice(hub: Hub) -> None:
    first = hub.do(add_user, "alice", None, BY)
    hub.do(remove_user, "alice", BY)

    assert hub.do(add_user, "alice", None, BY).id > first.id


def test_each_change_of_a_right_is_news_for_other_processes(hub: Hub) -> None:
    heard: list[str] = []
    generations = Generations(hub.database)
    generations.on_change("rights", lambda: heard.append("rights"))
    generations.look()
    changes: list[Callable[[Connection], Any]] = [
        lambda c: add_user(c, "alice", None, BY),
        lambda c: set_password(c, "alice", "hash", BY),
        lambda c: set_disabled(c, "alice", BY, disabled=True),
        lambda c: set_admin(c, "alice", BY, is_admin=True),
        lambda c: add_group(c, "team", BY),
        lambda c: add_members(c, "team", ["alice"], BY),
        lambda c: create_token(c, "alice", "x", READ, None, BY),
        lambda c: revoke_token(c, tokens(c)[0].id, BY),
        lambda c: remove_members(c, "team", ["alice"], BY),
        lambda c: remove_group(c, "team", BY),
        lambda c: remove_user(c, "alice", BY),
    ]

    for number, change in enumerate(changes, 1):
        hub.committer.write(change)
        generations.look()
        assert len(heard) == number
    generations.close()
