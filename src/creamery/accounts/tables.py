"""Users, groups, tokens, sessions and identities: their tables, and the questions about them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    Connection,
    ForeignKey,
    Row,
    String,
    Table,
    UniqueConstraint,
    bindparam,
    case,
    delete,
    exists,
    func,
    insert,
    literal,
    or_,
    select,
    update,
)

from creamery.accounts.names import NAME_LENGTH, could_be_name, key_of
from creamery.accounts.principals import ADMIN, Scope
from creamery.accounts.scopes import from_stored
from creamery.clock import Micros
from creamery.contract import Digest, digest_of
from creamery.database import TABLE_OPTIONS, BigId, DigestColumn, LongText, metadata

# Numbers are never given twice: what other rooms have granted to a number must not come to whoever is added next.
_NUMBERED: dict[str, Any] = {**TABLE_OPTIONS, "sqlite_autoincrement": True}

account_user = Table(
    "account_user",
    metadata,
    Column("id", BigId, primary_key=True, autoincrement=True),
    Column("name", String(NAME_LENGTH), nullable=False),
    Column("name_key", String(NAME_LENGTH), nullable=False),
    Column("password", String(255)),
    Column("is_admin", Boolean, nullable=False),
    Column("disabled", Boolean, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("changed", BigInteger, nullable=False),
    UniqueConstraint("name_key"),
    **_NUMBERED,
)

account_group = Table(
    "account_group",
    metadata,
    Column("id", BigId, primary_key=True, autoincrement=True),
    Column("name", String(NAME_LENGTH), nullable=False),
    Column("name_key", String(NAME_LENGTH), nullable=False),
    Column("created", BigInteger, nullable=False),
    UniqueConstraint("name_key"),
    **_NUMBERED,
)

account_member = Table(
    "account_member",
    metadata,
    Column("group_id", BigInteger, ForeignKey("account_group.id"), primary_key=True, autoincrement=False),
    Column("user_id", BigInteger, ForeignKey("account_user.id"), primary_key=True, autoincrement=False, index=True),
    Column("is_claimed", Boolean, nullable=False),  # a provider's word, which goes when it says so no more
    **TABLE_OPTIONS,
)

account_token = Table(
    "account_token",
    metadata,
    Column("id", BigId, primary_key=True, autoincrement=True),
    Column("user_id", BigInteger, ForeignKey("account_user.id"), nullable=False, index=True),
    Column("name", String(NAME_LENGTH), nullable=False),
    Column("digest", DigestColumn, nullable=False),
    Column("ending", String(8), nullable=False),
    Column("scopes", LongText, nullable=False),
    Column("expires", BigInteger),
    Column("created", BigInteger, nullable=False),
    Column("used", BigInteger),
    UniqueConstraint("digest"),
    **_NUMBERED,
)

account_session = Table(
    "account_session",
    metadata,
    Column("id", BigId, primary_key=True, autoincrement=True),
    Column("user_id", BigInteger, ForeignKey("account_user.id"), nullable=False, index=True),
    Column("digest", DigestColumn, nullable=False),
    Column("means", String(16), nullable=False),
    Column("address", String(64), nullable=False),
    Column("agent", String(255), nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("used", BigInteger, nullable=False, index=True),
    Column("expires", BigInteger, nullable=False, index=True),
    UniqueConstraint("digest"),
    **_NUMBERED,
)

account_identity = Table(
    "account_identity",
    metadata,
    Column("issuer_key", DigestColumn, primary_key=True),  # an address may be longer than a key
    Column("issuer", LongText, nullable=False),
    Column("subject", String(255), primary_key=True),
    Column("user_id", BigInteger, ForeignKey("account_user.id"), nullable=False, index=True),
    Column("created", BigInteger, nullable=False),
    **TABLE_OPTIONS,
)


@dataclass(frozen=True, slots=True)
class User:
    """A user's row, and the groups that it is in.

    Attributes:
        password: what argon2 made of it; None where nobody gets in with one.
        groups: names as they are compared.
    """

    id: int
    name: str
    password: str | None
    is_admin: bool
    disabled: bool
    created: Micros
    changed: Micros
    groups: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Group:
    """A group's row, and the names of its members."""

    id: int
    name: str
    members: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Membership:
    """A user's place in a group; `is_claimed`: by a provider's word alone, which goes when it says so no more."""

    group_id: int
    group: str
    is_claimed: bool


@dataclass(frozen=True, slots=True)
class Identity:
    """By which name a provider of OpenID Connect knows a user."""

    issuer: str
    subject: str
    created: Micros


@dataclass(frozen=True, slots=True)
class Token:
    """A token's row.

    Attributes:
        ending: its last characters, for people to know it by.
        scopes: what it is limited to.
        expires: when it ends; None: never.
        used: when it was used last, within seconds.
    """

    id: int
    user_id: int
    name: str
    ending: str
    scopes: tuple[Scope, ...]
    expires: Micros | None
    created: Micros
    used: Micros | None


@dataclass(frozen=True, slots=True)
class Session:
    """A session's row: somebody signed in with a browser.

    Attributes:
        means: what they signed in with: `password`, `first` or `oidc`.
        address, agent: where from and with what, for people to know it by.
        used: when it was used last, within seconds.
        expires: when it ends, however much it is used.
    """

    id: int
    user_id: int
    means: str
    address: str
    agent: str
    created: Micros
    used: Micros
    expires: Micros


def find_user(connection: Connection, name: str) -> User | None:
    """By name, in whatever case: two point reads; none for a text that is no name."""
    if not could_be_name(name):
        return None
    row = connection.execute(select(account_user).where(account_user.c.name_key == key_of(name))).first()
    return None if row is None else _user(row, groups_of(connection, row.id))


def user_by_id(connection: Connection, user_id: int) -> User | None:
    """Two point reads."""
    row = connection.execute(select(account_user).where(account_user.c.id == user_id)).first()
    return None if row is None else _user(row, groups_of(connection, row.id))


def users(connection: Connection, *, after: str = "", limit: int | None = None) -> list[User]:
    """All of them, by name; or so many that come after that one."""
    groups: dict[int, set[str]] = {}
    joined = select(account_member.c.user_id, account_group.c.name_key).join_from(account_member, account_group)
    for row in connection.execute(joined):
        groups.setdefault(row.user_id, set()).add(row.name_key)
    query = select(account_user).where(account_user.c.name_key > key_of(after)).order_by(account_user.c.name_key)
    rows = connection.execute(query.limit(limit))
    return [_user(row, frozenset(groups.get(row.id, ()))) for row in rows]


def has_users(connection: Connection) -> bool:
    """Is there anybody yet?"""
    return connection.execute(select(account_user.c.id).limit(1)).first() is not None


def groups_of(connection: Connection, user_id: int) -> frozenset[str]:
    """The names, as they are compared, of a user's groups."""
    query = select(account_group.c.name_key).join_from(account_group, account_member)
    return frozenset(connection.execute(query.where(account_member.c.user_id == user_id)).scalars())


def administrators(connection: Connection, now: Micros) -> tuple[int, int]:
    """How many are not disabled; and how many of those have a way in.

    That is a password, an identity elsewhere, or a token that may administer and has not ended.
    """
    lives = or_(account_token.c.expires.is_(None), account_token.c.expires > now)
    words = literal(" ") + account_token.c.scopes + literal(" ")
    ways = (
        account_user.c.password.is_not(None),
        exists().where(account_identity.c.user_id == account_user.c.id),
        exists().where(account_token.c.user_id == account_user.c.id, lives, words.contains(f" {ADMIN} ")),
    )
    enabled = select(func.count()).select_from(account_user).where(account_user.c.is_admin, ~account_user.c.disabled)
    counts = (connection.execute(question).scalar_one() for question in (enabled, enabled.where(or_(*ways))))
    return tuple(map(int, counts))  # type: ignore[return-value]  # two of them


def insert_user(connection: Connection, name: str, password: str | None, *, is_admin: bool, now: Micros) -> int:
    """Write a user; IntegrityError where the name is taken."""
    row = {"name": name, "name_key": key_of(name), "password": password, "is_admin": is_admin, "disabled": False}
    key: Any = connection.execute(insert(account_user).values(**row, created=now, changed=now)).inserted_primary_key
    return int(key[0])


def change_user(connection: Connection, user_id: int, now: Micros, **values: object) -> None:
    """Set columns of a user's row; `changed` grows with every change, whatever the clock does."""
    later = case((account_user.c.changed >= now, account_user.c.changed + 1), else_=now)
    connection.execute(update(account_user).where(account_user.c.id == user_id).values(**values, changed=later))


def delete_user(connection: Connection, user_id: int) -> None:
    """Delete a user with all that hangs on the row here."""
    for table in (account_token, account_session, account_identity, account_member):
        connection.execute(delete(table).where(table.c.user_id == user_id))
    connection.execute(delete(account_user).where(account_user.c.id == user_id))


def find_group(connection: Connection, name: str) -> Group | None:
    """By name, in whatever case; of a text that is no name there is none."""
    if not could_be_name(name):
        return None
    row = connection.execute(select(account_group).where(account_group.c.name_key == key_of(name))).first()
    return None if row is None else Group(row.id, row.name, _members(connection, row.id))


def groups(connection: Connection, *, after: str = "", limit: int | None = None) -> list[Group]:
    """All of them, by name; or so many that come after that one."""
    query = select(account_group).where(account_group.c.name_key > key_of(after)).order_by(account_group.c.name_key)
    rows = connection.execute(query.limit(limit)).all()
    return [Group(row.id, row.name, _members(connection, row.id)) for row in rows]


def insert_group(connection: Connection, name: str, now: Micros) -> int:
    """Write a group; IntegrityError where the name is taken."""
    row = {"name": name, "name_key": key_of(name), "created": now}
    key: Any = connection.execute(insert(account_group).values(**row)).inserted_primary_key
    return int(key[0])


def delete_group(connection: Connection, group_id: int) -> None:
    """Delete a group; its members stay users."""
    connection.execute(delete(account_member).where(account_member.c.group_id == group_id))
    connection.execute(delete(account_group).where(account_group.c.id == group_id))


def insert_member(connection: Connection, group_id: int, user_id: int, *, is_claimed: bool = False) -> None:
    """IntegrityError where it is one already."""
    row = {"group_id": group_id, "user_id": user_id, "is_claimed": is_claimed}
    connection.execute(insert(account_member).values(row))


def delete_member(connection: Connection, group_id: int, user_id: int) -> bool:
    """Was it one?"""
    gone = connection.execute(
        delete(account_member).where(account_member.c.group_id == group_id, account_member.c.user_id == user_id)
    )
    return gone.rowcount > 0


def own_member(connection: Connection, group_id: int, user_id: int) -> bool:
    """Keep a claimed membership, whatever the provider says; was it claimed?"""
    claimed = update(account_member).where(account_member.c.group_id == group_id, account_member.c.user_id == user_id)
    return connection.execute(claimed.where(account_member.c.is_claimed).values(is_claimed=False)).rowcount > 0


def memberships(connection: Connection, user_id: int) -> list[Membership]:
    """A user's, by the group's name."""
    query = select(account_group.c.id, account_group.c.name, account_member.c.is_claimed)
    joined = query.join_from(account_group, account_member).where(account_member.c.user_id == user_id)
    return [Membership(*row) for row in connection.execute(joined.order_by(account_group.c.name_key))]


def group_keys(connection: Connection) -> dict[str, tuple[int, str]]:
    """All groups' numbers and names, by the name that is compared: a scan of the groups."""
    rows = connection.execute(select(account_group.c.name_key, account_group.c.id, account_group.c.name))
    return {row.name_key: (row.id, row.name) for row in rows}


def user_by_identity(connection: Connection, issuer: str, subject: str) -> User | None:
    """Three point reads."""
    user_id = connection.execute(select(account_identity.c.user_id).where(*_is(issuer, subject))).scalar_one_or_none()
    return None if user_id is None else user_by_id(connection, user_id)


def identities(connection: Connection, user_id: int) -> list[Identity]:
    """A user's, oldest first."""
    query = select(account_identity.c.issuer, account_identity.c.subject, account_identity.c.created)
    ordered = query.where(account_identity.c.user_id == user_id).order_by(account_identity.c.created)
    return [Identity(*row) for row in connection.execute(ordered)]


def insert_identity(connection: Connection, issuer: str, subject: str, user_id: int, now: Micros) -> None:
    """IntegrityError where it is somebody's already."""
    row = {"issuer_key": _issuer_key(issuer), "issuer": issuer, "subject": subject, "user_id": user_id, "created": now}
    connection.execute(insert(account_identity).values(row))


def delete_identity(connection: Connection, issuer: str, subject: str) -> None:
    """Whoever the provider means by it is nobody here any more."""
    connection.execute(delete(account_identity).where(*_is(issuer, subject)))


def insert_token(connection: Connection, token: Mapping[str, Any]) -> int:
    """Write a token's row."""
    key: Any = connection.execute(insert(account_token).values(**token)).inserted_primary_key
    return int(key[0])


def token_and_owner(connection: Connection, digest: Digest) -> tuple[Token, User] | None:
    """By what it is kept as: three point reads."""
    row = connection.execute(select(account_token).where(account_token.c.digest == digest)).first()
    owner = None if row is None else user_by_id(connection, row.user_id)
    return None if row is None or owner is None else (_token(row), owner)


def token_by_id(connection: Connection, token_id: int) -> Token | None:
    """One point read."""
    row = connection.execute(select(account_token).where(account_token.c.id == token_id)).first()
    return None if row is None else _token(row)


def tokens(
    connection: Connection, user_id: int | None = None, *, after: int = 0, limit: int | None = None
) -> list[Token]:
    """All tokens, or a user's, oldest first; or so many that come after that one."""
    query = select(account_token).where(account_token.c.id > after).order_by(account_token.c.id).limit(limit)
    if user_id is not None:
        query = query.where(account_token.c.user_id == user_id)
    return [_token(row) for row in connection.execute(query)]


def delete_tokens(connection: Connection, token_ids: Sequence[int]) -> None:
    """They open nothing any more."""
    connection.execute(delete(account_token).where(account_token.c.id.in_(token_ids)))


def set_used(connection: Connection, table: Table, uses: Mapping[int, Micros]) -> None:
    """When tokens or sessions were used last; a use moves no topic."""
    later = update(table).where(table.c.id == bindparam("row")).values(used=bindparam("at"))
    connection.execute(later, [{"row": row, "at": at} for row, at in sorted(uses.items())])


def insert_session(connection: Connection, session: Mapping[str, Any]) -> int:
    """Write a session's row."""
    key: Any = connection.execute(insert(account_session).values(**session)).inserted_primary_key
    return int(key[0])


def session_and_owner(connection: Connection, digest: Digest) -> tuple[Session, User] | None:
    """By what it is kept as: three point reads."""
    row = connection.execute(select(account_session).where(account_session.c.digest == digest)).first()
    owner = None if row is None else user_by_id(connection, row.user_id)
    return None if row is None or owner is None else (_session(row), owner)


def session_by_id(connection: Connection, session_id: int) -> Session | None:
    """One point read."""
    row = connection.execute(select(account_session).where(account_session.c.id == session_id)).first()
    return None if row is None else _session(row)


def sessions(connection: Connection, user_id: int) -> list[Session]:
    """A user's, the one that was used last first."""
    query = select(account_session).where(account_session.c.user_id == user_id)
    ordered = query.order_by(account_session.c.used.desc(), account_session.c.id.desc())
    return [_session(row) for row in connection.execute(ordered)]


def delete_sessions(connection: Connection, session_ids: Sequence[int]) -> None:
    """Whoever has their cookies is nobody any more."""
    connection.execute(delete(account_session).where(account_session.c.id.in_(session_ids)))


def delete_all_sessions(connection: Connection) -> None:
    """Everybody's."""
    connection.execute(delete(account_session))


def ended_sessions(connection: Connection, now: Micros, unused_since: Micros, limit: int) -> list[int]:
    """Sessions that have reached their end, or were not used for long; at most so many."""
    is_over = or_(account_session.c.expires <= now, account_session.c.used <= unused_since)
    return list(connection.execute(select(account_session.c.id).where(is_over).limit(limit)).scalars())


def _issuer_key(issuer: str) -> Digest:
    return digest_of(issuer.encode())


def _is(issuer: str, subject: str) -> tuple[ColumnElement[bool], ...]:
    return account_identity.c.issuer_key == _issuer_key(issuer), account_identity.c.subject == subject


def _members(connection: Connection, group_id: int) -> tuple[str, ...]:
    query = select(account_user.c.name).join_from(account_user, account_member)
    return tuple(
        connection.execute(
            query.where(account_member.c.group_id == group_id).order_by(account_user.c.name_key)
        ).scalars()
    )


def _user(row: Row[Any], groups: frozenset[str]) -> User:
    return User(row.id, row.name, row.password, row.is_admin, row.disabled, row.created, row.changed, groups)


def _session(row: Row[Any]) -> Session:
    columns = (row.id, row.user_id, row.means, row.address, row.agent, row.created, row.used, row.expires)
    return Session(*columns)


def _token(row: Row[Any]) -> Token:
    return Token(
        id=row.id,
        user_id=row.user_id,
        name=row.name,
        ending=row.ending,
        scopes=from_stored(row.scopes),
        expires=row.expires,
        created=row.created,
        used=row.used,
    )
