"""Whom a provider means: linking, and the groups that it puts people into."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from creamery.accounts import (
    By,
    Claimed,
    IdentityTaken,
    InvalidSubject,
    NoSuchAccount,
    NoSuchIdentity,
    NotKnownHere,
    UserDisabled,
    add_group,
    add_members,
    add_user,
    end_sessions,
    find_user,
    identities,
    link_identity,
    remove_members,
    remove_user,
    sessions,
    set_disabled,
    unlink_identity,
    users,
)
from creamery.accounts.identities import follow_claims, sign_in_claimed
from creamery.accounts.tables import memberships
from creamery.clock import Micros
from creamery.database import Committer, Database
from creamery.journal import since
from creamery.limits import Limits

NOW = Micros(1_800_000_000_000_000)
BY = By(NOW, "root", "::1")
ISSUER = "https://id.example"
ALICE = Claimed(ISSUER, "s-1", "alice", frozenset({"devs"}))


class Hub:
    """A database to ask and to change, with the groups devs and ops."""

    def __init__(self, committer: Committer, database: Database) -> None:
        self.committer = committer
        self.database = database
        for group in ("devs", "ops"):
            self.do(add_group, group, BY)

    def do(self, rule: Callable[..., Any], *given: Any, **named: Any) -> Any:
        return self.committer.write(lambda connection: rule(connection, *given, **named))

    def ask(self, question: Callable[..., Any], *given: Any) -> Any:
        return self.database.read(lambda connection: question(connection, *given))

    def sign_in(self, claimed: Claimed = ALICE, *, registers: bool = True) -> Any:
        return self.do(sign_in_claimed, claimed, BY, Limits(), registers=registers)

    def groups(self, name: str) -> dict[str, bool]:
        """Of a user: whether each is by the provider's word alone."""
        user = self.ask(find_user, name)
        return {one.group: one.is_claimed for one in self.ask(memberships, user.id)}

    def serial(self) -> int:
        return int(self.ask(since, 0, 1_000)[-1].serial)


@pytest.fixture
def hub(committer: Committer, database: Database) -> Hub:
    return Hub(committer, database)


def test_who_is_refused_leaves_nothing_behind(hub: Hub) -> None:
    hub.do(add_user, "alice", None, BY)
    before = hub.serial()

    for claimed, registers in ((ALICE, True), (ALICE, False), (Claimed(ISSUER, "s-2", "a b"), True)):
        with pytest.raises(NotKnownHere):
            hub.sign_in(claimed, registers=registers)
    with pytest.raises(NotKnownHere, match="does not say what"):
        hub.sign_in(Claimed(ISSUER, "s-2"))

    assert hub.serial() == before
    assert [user.name for user in hub.ask(users)] == ["alice"]


def test_a_subject_in_what_an_administrator_is_told_to_type_is_no_command(hub: Hub) -> None:
    with pytest.raises(NotKnownHere, match=r"creamery user link NAME -- 'x; rm -rf ~'$"):
        hub.sign_in(Claimed(ISSUER, "x; rm -rf ~"))


def test_two_providers_may_have_the_same_subject(hub: Hub) -> None:
    hub.sign_in()
    other = hub.sign_in(Claimed("https://other.example", "s-1", "bob"))

    assert other.user.name == "bob"
    assert hub.sign_in().user.name == "alice"


def test_a_linked_user_is_who_they_are_and_what_they_were(hub: Hub) -> None:
    hub.do(add_user, "root", "hash", BY, is_admin=True)
    hub.do(link_identity, "ROOT", ISSUER, "s-1", BY)

    opened = hub.sign_in(registers=False)

    assert (opened.user.name, opened.user.is_admin, opened.user.password) == ("root", True, "hash")
    assert opened.session.means == "oidc"
    assert hub.groups("root") == {"devs": True}


@pytest.mark.parametrize(
    ("name", "subject", "error"),
    [
        ("nobody", "s-9", NoSuchAccount),
        ("bob", "s-1", IdentityTaken),
        ("alice", "s-9", IdentityTaken),
        ("bob", "", InvalidSubject),
        ("bob", "é", InvalidSubject),
        ("bob", "x" * 256, InvalidSubject),
    ],
)
def test_one_user_one_subject(hub: Hub, name: str, subject: str, error: type[Exception]) -> None:
    hub.do(add_user, "bob", None, BY)
    hub.sign_in()

    with pytest.raises(error):
        hub.do(link_identity, name, ISSUER, subject, BY)


def test_who_is_unlinked_is_out_and_keeps_what_is_their_own(hub: Hub) -> None:
    alice = hub.sign_in().user
    hub.do(add_members, "ops", ["alice"], BY)

    hub.do(unlink_identity, "alice", ISSUER, BY)

    assert hub.ask(sessions, alice.id) == []
    assert hub.ask(identities, alice.id) == []
    assert hub.groups("alice") == {"ops": False}
    with pytest.raises(NoSuchIdentity):
        hub.do(unlink_identity, "alice", ISSUER, BY)
    with pytest.raises(NotKnownHere, match="there is a user 'alice' already"):
        hub.sign_in()


def test_who_is_disabled_changes_nothing_by_trying(hub: Hub) -> None:
    alice = hub.sign_in().user
    hub.do(set_disabled, "alice", BY, disabled=True)
    before = hub.serial()

    with pytest.raises(UserDisabled):
        hub.sign_in(Claimed(ISSUER, "s-1", "alice", frozenset({"ops"})))

    assert hub.serial() == before
    assert hub.groups("alice") == {"devs": True}
    assert hub.ask(sessions, alice.id) == []


def test_who_is_removed_comes_back_as_somebody_new(hub: Hub) -> None:
    first = hub.sign_in().user
    hub.do(remove_user, "alice", BY)

    assert hub.sign_in().user.id != first.id


@pytest.mark.parametrize(
    ("own", "claimed", "then"),
    [
        (set(), {"devs"}, {"devs": True}),
        (set(), {"DEVS", "Devs"}, {"devs": True}),
        (set(), {"devs", "ops"}, {"devs": True, "ops": True}),
        ({"devs"}, {"devs"}, {"devs": False}),
        ({"devs"}, set(), {"devs": False}),
        ({"devs"}, {"ops"}, {"devs": False, "ops": True}),
        (set(), {"strangers", "", "x" * 1_000}, {}),
    ],
)
def test_claims_add_to_ones_own_groups_and_take_only_themselves_away(
    hub: Hub, own: set[str], claimed: set[str], then: dict[str, bool]
) -> None:
    hub.do(add_user, "bob", None, BY)
    for group in own:
        hub.do(add_members, group, ["bob"], BY)
    hub.do(link_identity, "bob", ISSUER, "s-2", BY)

    hub.sign_in(Claimed(ISSUER, "s-2", None, frozenset(claimed)))
    assert hub.groups("bob") == then
    hub.sign_in(Claimed(ISSUER, "s-2"))
    assert hub.groups("bob") == dict.fromkeys(own, False)


def test_what_changes_no_right_moves_no_process(hub: Hub) -> None:
    alice = hub.sign_in().user
    hub.do(end_sessions, alice, BY)
    before = hub.serial()

    hub.do(follow_claims, hub.ask(find_user, "alice"), {"devs", "strangers"}, BY)

    assert hub.serial() == before


def test_an_administrators_word_outlives_the_providers(hub: Hub) -> None:
    hub.sign_in()
    hub.do(add_members, "devs", ["alice"], BY)
    hub.do(add_members, "devs", ["alice"], BY)

    assert hub.groups("alice") == {"devs": False}
    kept = [entry.action for entry in hub.ask(since, 0, 1_000) if entry.subject == "devs"]
    assert kept == ["group added", "member added", "member kept"]
    hub.do(remove_members, "devs", ["alice"], BY)
    hub.sign_in()
    assert hub.groups("alice") == {"devs": True}, "until the provider is asked to say it no more"
