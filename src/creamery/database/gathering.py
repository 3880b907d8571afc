"""What the writes of a batch would each change of the same few rows, gathered and written once before the commit.

Eight uploads below one folder are one update of that folder's row. What a write has gathered goes with its savepoint
where it is refused. Only writes that say so (`gathers`) run while something is gathered and not written; before all
others it is written, so that they may read rows as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from sqlalchemy import Connection

T = TypeVar("T")

GATHERED = "gathered"
_LOADED = "loaded"

Flush = Callable[[Connection, Sequence[Any]], None]
"""Writes what was gathered under it, in the order in which it was."""


def begin_gathering(connection: Connection) -> None:
    """A transaction begins."""
    connection.info.update({GATHERED: [], _LOADED: {}})


def gather(connection: Connection, flush: Flush, item: Any) -> None:
    """Have `flush` write `item`, together with others of its kind, before the transaction ends."""
    connection.info[GATHERED].append((flush, item))


def gathered(connection: Connection, flush: Flush) -> Iterator[Any]:
    """What waits for `flush`, the latest first."""
    return (item for kind, item in reversed(connection.info[GATHERED]) if kind is flush)


def loaded(connection: Connection, key: Any, load: Callable[[], T]) -> T:
    """What `load` returned when this transaction first asked for `key`.

    For rows that nobody but gathered items change: committers take turns, so it stays true until those are written.
    """
    found = connection.info[_LOADED]
    if key not in found:
        found[key] = load()
    value: T = found[key]
    return value


def forget_loaded(connection: Connection) -> None:
    """Rows may be other ones now: a write was taken back that had changed them itself."""
    connection.info[_LOADED].clear()


def write_gathered(connection: Connection) -> None:
    """Write everything that waits; what was loaded is forgotten."""
    waiting = connection.info[GATHERED]
    if not waiting:
        forget_loaded(connection)
        return
    by_kind: dict[Flush, list[Any]] = {}
    for flush, item in waiting:
        by_kind.setdefault(flush, []).append(item)
    begin_gathering(connection)
    for flush, items in by_kind.items():
        flush(connection, items)
