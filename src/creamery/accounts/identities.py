"""Whom a provider of OpenID Connect means: users by issuer and subject, and the groups that it puts them into.

A subject is the provider's own name for somebody and never given to another; what people call themselves there proves
nothing. So a user who is here already is nobody's by name: an administrator links them.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from dataclasses import dataclass, replace

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from creamery.accounts import tables
from creamery.accounts.changes import rights_changed
from creamery.accounts.names import InvalidAccountName, key_of
from creamery.accounts.people import NameTaken, NoSuchAccount, add_user
from creamery.accounts.sessions import SignedIn, end_sessions, open_session
from creamery.accounts.tables import User
from creamery.journal import By
from creamery.limits import Limits

SUBJECT_LENGTH = 255


@dataclass(frozen=True, slots=True)
class Claimed:
    """What the provider says of whoever has signed in there.

    Attributes:
        issuer: which provider.
        subject: its own name for them, for ever.
        name: what a new user would be called; None: it does not say.
        groups: as the provider calls them.
    """

    issuer: str
    subject: str
    name: str | None = None
    groups: frozenset[str] = frozenset()


class NotKnownHere(Exception):
    """The provider knows them and the hub does not; the text says what an administrator can do.

    Attributes:
        subject: the provider's name for them, by which they can be linked.
    """

    def __init__(self, reason: str, subject: str, name: str = "NAME") -> None:
        self.subject = subject
        command = f"creamery user link {name} -- {shlex.quote(subject)}"  # `--`: a subject may look like an option
        super().__init__(f"{reason}; an administrator can link them: {command}")


class UserDisabled(Exception):
    """They are kept out."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name!r} is disabled")


class InvalidSubject(ValueError):
    """The provider cannot mean anybody by it."""

    def __init__(self) -> None:
        super().__init__(f"a subject has 1 to {SUBJECT_LENGTH} printable ASCII characters")


class IdentityTaken(Exception):
    """Somebody has it, or the user has another one of the same provider."""


class NoSuchIdentity(LookupError):
    """The user has none of that provider."""

    def __init__(self, name: str, issuer: str) -> None:
        super().__init__(f"{name!r} is not linked to anybody at {issuer}")


def check_subject(text: str) -> str:
    """The subject as it was given (OpenID Connect Core section 2: ASCII, at most 255, case counts).

    Raises:
        InvalidSubject: it is not like this.
    """
    if not 0 < len(text) <= SUBJECT_LENGTH or not text.isascii() or not text.isprintable():
        raise InvalidSubject
    return text


def sign_in_claimed(
    connection: Connection,
    claimed: Claimed,
    by: By,
    limits: Limits,
    *,
    registers: bool,
    agent: str = "",
    former: str | None = None,
) -> SignedIn:
    """Let in whom the provider has made known: find or make the user, follow the claimed groups, begin a session.

    Args:
        connection: within a transaction, which all of it shares.
        claimed: what the provider says, checked.
        by: when and from where; the actor is the user.
        limits: of sessions.
        registers: whether somebody new becomes a user.
        agent, former: as `open_session`.

    Raises:
        NotKnownHere: nobody is linked, and nobody new can be made.
        UserDisabled: they are kept out.
        IdentityTaken: another process has let them in at the same moment; asking again helps.
    """
    user = tables.user_by_identity(connection, claimed.issuer, claimed.subject)
    if user is None:
        user = _register(connection, claimed, by, registers=registers)
    if user.disabled:
        raise UserDisabled(user.name)
    by = replace(by, actor=user.name)
    follow_claims(connection, user, claimed.groups, by)
    return open_session(connection, user, by, limits, means="oidc", agent=agent, former=former)


def follow_claims(connection: Connection, user: User, names: Iterable[str], by: By) -> None:
    """Be in exactly those of the hub's groups by the provider's word; one's own memberships stay.

    Names that no group of the hub has are somebody else's affair.
    """
    known, held = tables.group_keys(connection), tables.memberships(connection, user.id)
    wanted = dict(known[key] for key in {key_of(name) for name in names} if key in known)
    has = {membership.group_id for membership in held}
    for group_id, group in sorted(wanted.items()):
        if group_id not in has:
            tables.insert_member(connection, group_id, user.id, is_claimed=True)
            rights_changed(connection, "member added", group, by, {"user": user.name, "claimed": True})
    for membership in held:
        if membership.is_claimed and membership.group_id not in wanted:
            tables.delete_member(connection, membership.group_id, user.id)
            rights_changed(connection, "member removed", membership.group, by, {"user": user.name, "claimed": True})


def link_identity(connection: Connection, name: str, issuer: str, subject: str, by: By) -> User:
    """From now on the provider means this user by that subject.

    Raises:
        NoSuchAccount: there is no such user.
        InvalidSubject: it cannot be one.
        IdentityTaken: it is somebody's, or the user has one of that provider.
    """
    user = _user(connection, name)
    check_subject(subject)
    owner = tables.user_by_identity(connection, issuer, subject)
    if owner is not None:
        raise IdentityTaken(f"{subject!r} at {issuer} is {owner.name!r} already")
    if any(identity.issuer == issuer for identity in tables.identities(connection, user.id)):
        raise IdentityTaken(f"{user.name!r} is linked to somebody at {issuer}; unlink them first")
    _insert(connection, user, issuer, subject, by)
    return user


def unlink_identity(connection: Connection, name: str, issuer: str, by: By) -> User:
    """The provider means this user no more; sessions end, and claimed memberships with them.

    Raises:
        NoSuchAccount: there is no such user.
        NoSuchIdentity: they are not linked.
    """
    user = _user(connection, name)
    linked = [identity for identity in tables.identities(connection, user.id) if identity.issuer == issuer]
    if not linked:
        raise NoSuchIdentity(user.name, issuer)
    for identity in linked:
        tables.delete_identity(connection, issuer, identity.subject)
        detail = {"issuer": issuer, "subject": identity.subject}
        rights_changed(connection, "identity unlinked", user.name, by, detail)
    follow_claims(connection, user, (), by)
    end_sessions(connection, user, by, reason="identity unlinked")
    return _user(connection, name)


def _register(connection: Connection, claimed: Claimed, by: By, *, registers: bool) -> User:
    if not registers:
        raise NotKnownHere("nobody here is linked to whoever signed in", claimed.subject)
    if claimed.name is None:
        raise NotKnownHere("the provider does not say what whoever signed in is called", claimed.subject)
    try:
        user = add_user(connection, claimed.name, None, replace(by, actor=claimed.name))
    except InvalidAccountName as error:
        raise NotKnownHere(str(error), claimed.subject) from error
    except NameTaken as error:
        reason = f"there is a user {claimed.name!r} already, and a name alone does not prove who somebody is"
        raise NotKnownHere(reason, claimed.subject, claimed.name) from error
    _insert(connection, user, claimed.issuer, claimed.subject, replace(by, actor=user.name))
    return user


def _insert(connection: Connection, user: User, issuer: str, subject: str, by: By) -> None:
    try:
        tables.insert_identity(connection, issuer, subject, user.id, by.now)
    except IntegrityError as error:  # another process was faster
        raise IdentityTaken(f"{subject!r} at {issuer} is somebody's already") from error
    rights_changed(connection, "identity linked", user.name, by, {"issuer": issuer, "subject": subject})


def _user(connection: Connection, name: str) -> User:
    user = tables.find_user(connection, name)
    if user is None:
        raise NoSuchAccount("user", name)
    return user
