"""How commands that bring much in or out name a folder of a tree."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from creamery.hive.ledger import Space

F = TypeVar("F", bound=Callable[..., Any])


def of_a_space(command: F) -> F:
    """Give a command `--space` and `--user`; it receives them as `space_id` and `user`."""
    with_space = click.option("--space", "space_id", type=int, help="The number of the space.")
    with_user = click.option("--user", help="Or the user, for their home.")
    return with_space(with_user(command))


def names_of(path: str) -> tuple[str, ...]:
    """The names of a path as people write it."""
    return tuple(name for name in path.split("/") if name)


def space_of(connection: Connection, space_id: int | None, user: str | None, *, now: int | None) -> Space:
    """The space that the options name.

    Args:
        connection: a committer's, where `now` is given.
        space_id, user: what was said.
        now: make a user's home where they have none yet; None: do not.

    Raises:
        UsageError: neither was said, or both.
        ClickException: there is no such user or space.
    """
    from creamery.accounts import find_user  # noqa: PLC0415 - a command's help costs click alone
    from creamery.hive import spaces  # noqa: PLC0415

    if (space_id is None) == (user is None):
        raise click.UsageError("say --space or --user, and not both")
    if space_id is not None:
        found = spaces.find_space(connection, space_id)
        if found is None:
            raise click.ClickException(f"there is no space {space_id}; creamery hive space list shows all")
        return found
    known = find_user(connection, user or "")
    if known is None:
        raise click.ClickException(f"there is no user {user!r}")
    if now is not None:
        return spaces.make_home(connection, known.id, known.name, now)
    home = spaces.home_of(connection, known.id)
    if home is None:
        raise click.ClickException(f"{user} has no files yet")
    return home
