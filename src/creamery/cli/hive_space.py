"""`creamery hive space`: the spaces of a hub, whether it runs or not; for whoever runs it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from creamery.cli.amounts import Amount
from creamery.cli.hub import say
from creamery.cli.operator import NotDone, OpenedData, opened_data
from creamery.cli.options import opens_the_data
from creamery.cli.showing import show

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from creamery.hive.ledger import Space

COLUMNS = ("id", "kind", "name", "owner", "quota", "files", "versions", "trash")

for_programs = click.option("--json", "as_json", is_flag=True, help="For programs.")


@click.group(name="space")
def space() -> None:
    """List spaces, make some for projects, and say how much they may have and whose they are."""


@space.command(name="list")
@for_programs
@opens_the_data
def list_spaces(data: Path | None, config: Path | None, *, as_json: bool) -> None:
    """List all spaces, and what of them is used, in bytes."""
    from creamery.hive.spaces import every_space  # noqa: PLC0415 - a command's help costs click alone

    with opened_data(data, config) as opened:
        rows = opened.read(lambda c: [_facts(c, row) for row in every_space(c)])
    show(rows, COLUMNS, as_json=as_json, empty="There are no spaces.")


@space.command(name="create")
@click.argument("name")
@click.option("--owner", required=True, help="The user whose it is.")
@click.option("--quota", type=Amount(), help="Bytes that its files may have, as 500GiB.  [hive.quota]")
@click.option("--ignore-case", is_flag=True, help="`a` and `A` are one name in it, as on Windows and macOS.")
@for_programs
@opens_the_data
def create(
    name: str,
    owner: str,
    quota: int | None,
    data: Path | None,
    config: Path | None,
    *,
    ignore_case: bool,
    as_json: bool,
) -> None:
    """Make a space for the project NAME."""
    from creamery.hive.managing import NewSpace, create_space  # noqa: PLC0415

    new = NewSpace(name, owner, _quota(quota), "preserving" if ignore_case else "sensitive")
    with _opened(data, config) as opened:
        found = opened.write(lambda c: _facts(c, create_space(c, new, opened.by)))
    say(f"{name} is space {found['id']}, at /dav/spaces/{found['id']}/.", found, as_json=as_json)


@space.command(name="quota")
@click.argument("which", metavar="SPACE")
@click.argument("size", type=Amount(), metavar="BYTES|default")
@for_programs
@opens_the_data
def quota(which: str, size: int, data: Path | None, config: Path | None, *, as_json: bool) -> None:
    """Say how many bytes the files of SPACE may have, as 500GiB; SPACE is its number, or a user, for their home."""
    from creamery.hive.managing import set_quota  # noqa: PLC0415

    with _opened(data, config) as opened:
        default = opened.settings.hive.quota
        found = opened.write(lambda c: _facts(c, set_quota(c, _number(c, which), _quota(size), default, opened.by)))
    said = "as many bytes as hive.quota says" if found["quota"] is None else f"{found['quota']} bytes"
    say(f"Space {found['id']} ({found['name']}) may have {said}.", found, as_json=as_json)


@space.command(name="transfer")
@click.argument("which", metavar="SPACE")
@click.argument("user")
@for_programs
@opens_the_data
def transfer(which: str, user: str, data: Path | None, config: Path | None, *, as_json: bool) -> None:
    """Give the project's space SPACE, by its number, to USER."""
    from creamery.hive.managing import transfer_space  # noqa: PLC0415

    with _opened(data, config) as opened:
        found = opened.write(lambda c: _facts(c, transfer_space(c, _number(c, which), user, opened.by)))
    say(f"Space {found['id']} ({found['name']}) is {found['owner']}'s now.", found, as_json=as_json)


@contextmanager
def _opened(data: Path | None, config: Path | None) -> Iterator[OpenedData]:
    """The hub's data; what is refused ends the command.

    Raises:
        NotDone: it cannot be opened, or what is asked for is refused.
    """
    from creamery.hive.access import NoSuchSpace  # noqa: PLC0415
    from creamery.hive.managing import HomeStays  # noqa: PLC0415
    from creamery.hive.names import NameRefused  # noqa: PLC0415

    with opened_data(data, config) as opened:
        try:
            yield opened
        except (NoSuchSpace, HomeStays, NameRefused) as error:
            raise NotDone(str(error)) from error


def _number(connection: Connection, which: str) -> int:
    """A space's number, which was said, or that of a user's home."""
    from creamery.accounts import find_user  # noqa: PLC0415
    from creamery.hive.access import NoSuchSpace  # noqa: PLC0415
    from creamery.hive.spaces import home_of  # noqa: PLC0415

    if which.isascii() and which.isdigit() and len(which) < len(str(2**63)):
        return int(which)
    user = find_user(connection, which)
    home = None if user is None else home_of(connection, user.id)
    if home is None:
        raise NoSuchSpace(which)
    return home.id


def _facts(connection: Connection, row: Space) -> dict[str, Any]:
    from creamery.accounts import user_by_id  # noqa: PLC0415

    owner = user_by_id(connection, row.owner_id)
    return {
        "id": row.id,
        "kind": row.kind,
        "name": row.name,
        "owner": None if owner is None else owner.name,
        "quota": row.quota,
        "files": row.used_files,
        "versions": row.used_versions,
        "trash": row.used_trash,
    }


def _quota(said: int | None) -> int | None:
    return None if said is None or said < 0 else said
