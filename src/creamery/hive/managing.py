"""What administrators do to spaces, each with its entry in the journal; for the API and for commands."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, update

from creamery.accounts import By, NoSuchAccount, User, find_user
from creamery.hive import spaces
from creamery.hive.access import NoSuchSpace
from creamery.hive.ledger import Space
from creamery.hive.names import CasePolicy, check_name
from creamery.hive.quotas import enqueue_purge, excess
from creamery.hive.tables import HOME, space
from creamery.journal import record_by

DOOR = "hive"


class HomeStays(ValueError):
    """A home is its user's, and cannot be given to anybody else."""

    def __init__(self, row: Space) -> None:
        super().__init__(
            f"Space {row.id} is {row.name}'s home, and stays it. Move what is in it into a project's space instead."
        )


@dataclass(frozen=True, slots=True)
class NewSpace:
    """A project's space that is to be.

    Attributes:
        name: for people; several may have one.
        owner: the user whose it is.
        quota: bytes of its own; None: as `hive.quota` says.
        case_policy: see `names.py`.
    """

    name: str
    owner: str
    quota: int | None = None
    case_policy: CasePolicy = "sensitive"


def create_space(connection: Connection, new: NewSpace, by: By) -> Space:
    """Make a project's space.

    Raises:
        NoSuchAccount: nobody is called as its owner.
        NameRefused: it cannot be called so.
    """
    owner = _user_named(connection, new.owner)
    name = check_name(new.name)
    made = spaces.make_project(connection, owner.id, name, by.now, new.case_policy, new.quota)
    detail = {"name": name, "owner": owner.name, "quota": new.quota, "case_policy": new.case_policy}
    record_by(connection, DOOR, "space created", str(made.id), by, detail)
    return made


def set_quota(connection: Connection, space_id: int, quota: int | None, default: int | None, by: By) -> Space:
    """Say how many bytes a space's files may have; what is beyond it of versions and trash goes soon.

    Files that are there stay, whatever it is: then there is nothing that may be added.

    Args:
        connection: of the write.
        space_id: which, homes included.
        quota: its own; None: what the hub says.
        default: that.
        by: who does it.

    Raises:
        NoSuchSpace: there is none.
    """
    row = _space(connection, space_id)._replace(quota=quota)
    connection.execute(update(space).where(space.c.id == space_id).values(quota=quota))
    if excess(row, default):
        enqueue_purge(connection, space_id, by.now)
    record_by(connection, DOOR, "space quota set", str(space_id), by, {"name": row.name, "quota": quota})
    return row


def transfer_space(connection: Connection, space_id: int, owner: str, by: By) -> Space:
    """Give a project's space to another user.

    Raises:
        NoSuchSpace: there is none.
        NoSuchAccount: nobody is called so.
        HomeStays: it is a home.
    """
    row = _space(connection, space_id)
    if row.kind == HOME:
        raise HomeStays(row)
    user = _user_named(connection, owner)
    connection.execute(update(space).where(space.c.id == space_id).values(owner_id=user.id))
    record_by(connection, DOOR, "space transferred", str(space_id), by, {"name": row.name, "owner": user.name})
    return row._replace(owner_id=user.id)


def _space(connection: Connection, space_id: int) -> Space:
    row = spaces.find_space(connection, space_id)
    if row is None:
        raise NoSuchSpace(str(space_id))
    return row


def _user_named(connection: Connection, name: str) -> User:
    found = find_user(connection, name)
    if found is None:
        raise NoSuchAccount("user", name[:80])
    return found
