"""What blobs ask of a restore: a mark that it has begun, and what must be true of the rows before anybody serves.

The steps must stay in this order: `begin`, the bytes, the rows, `make_true` in the rows' own transaction, `end`. Until
the last one the directory opens for nobody.
"""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

from sqlalchemy import Connection

from creamery.blobs import places, tables
from creamery.blobs.copying import Item
from creamery.blobs.holders import Holder, held_by
from creamery.blobs.local import LocalStore, sync_folder
from creamery.blobs.ownership import Layout, refuse_half_restored, write_owner
from creamery.blobs.store import StoreMismatch
from creamery.clock import Micros

FORGOTTEN_AT_ONCE = 500
_UNFINISHED = "restoring."


@dataclass(frozen=True, slots=True)
class Restoring:
    """A restore that has begun: of which backup, and the epoch that its rows will have."""

    backup: str
    epoch: str


def find(data: Path) -> Restoring | None:
    """What is being restored into this directory; None where nothing is.

    Raises:
        StoreMismatch: the mark cannot be read.
    """
    mark = Layout(data).restoring
    try:
        return Restoring(**json.loads(mark.read_bytes()))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError) as error:
        raise StoreMismatch(f"{mark} is damaged ({error}); empty {data} and begin anew") from error


def is_unfinished_mark(name: str) -> bool:
    """Is a file of this name what `begin` leaves behind where it is cut short?"""
    return name.startswith(_UNFINISHED)


def refuse(data: Path) -> None:
    """`refuse_half_restored`, for who opens the data without a store.

    Raises:
        StoreMismatch: it is half a hub.
    """
    refuse_half_restored(Layout(data))


def begin(data: Path, backup: str) -> Restoring:
    """From here on the directory holds half a hub, which says so."""
    layout = Layout(data)
    restoring = Restoring(backup, str(uuid.uuid4()))
    for left in data.glob(f"{_UNFINISHED}*"):
        left.unlink()
    temporary = layout.data / f"{_UNFINISHED}{uuid.uuid4().hex}"
    with temporary.open("wb") as file:
        file.write(json.dumps(asdict(restoring)).encode())
        file.flush()
        os.fsync(file.fileno())
    temporary.rename(layout.restoring)
    layout.make()
    return restoring


def has_rows_of(connection: Connection, restoring: Restoring) -> bool:
    """Was `make_true` committed here for this very restore?"""
    return tables.owner(connection) is not None and tables.epoch(connection) == restoring.epoch


def make_true(
    connection: Connection,
    data: Path,
    holders: Sequence[Holder],
    items: Iterable[Item],
    restoring: Restoring,
    now: Micros,
) -> int:
    """Let the rows say what is here. Returns how many blobs were forgotten that can be fetched again.

    Where bytes are missing, cached references become "known, not here", and rows that nobody holds go; what somebody
    has kept stays a row without a file, which fsck names until its bytes come back. Serials get a new epoch.
    """
    layout = Layout(data)
    store = LocalStore(layout.blobs, layout.quarantine)
    tables.remove_all_gone(connection)
    places.forget_places(connection)
    left = iter(items)
    forgotten = 0
    while batch := list(islice(left, FORGOTTEN_AT_ONCE)):
        lost = [item.digest for item in batch if store.size(item.digest) != item.size]
        here = {item.digest for item in batch}.difference(lost)
        tables.set_found(connection, [item.digest for item in batch if not item.is_whole and item.digest in here], now)
        if lost:
            for holder in holders:
                holder.forget(connection, lost)
            forgotten += tables.remove_unless(connection, lost, held_by(holders, tables.blob.c.digest))
    tables.begin_epoch(connection, restoring.epoch)
    return forgotten


def end(data: Path, connection: Connection) -> None:
    """Directory and database belong together from now on, and whoever comes may open them.

    Raises:
        StoreMismatch: the rows name no owner, or the directory has another.
    """
    layout = Layout(data)
    owner = tables.owner(connection)
    if owner is None or write_owner(layout, owner[0]).instance != owner[0]:
        raise StoreMismatch(f"{data} and the restored database name different hubs; empty both and begin anew")
    layout.restoring.unlink()
    sync_folder(data)
