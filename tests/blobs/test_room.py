"""What did not fit has the cache make room, now and when what goes may be deleted."""

from __future__ import annotations

import errno
import threading

import pytest

from creamery.blobs.room import Room
from creamery.database import WritesBusy


def test_room_is_made_at_once_and_again_after_the_grace() -> None:
    made = threading.Semaphore(0)
    room = Room(made.release, grace_seconds=0.01)
    room.start()

    room.want()
    rounds = [made.acquire(timeout=5) for _ in range(2)]
    room.close()

    assert rounds == [True, True]


@pytest.mark.parametrize("error", [WritesBusy("later"), OSError(errno.EPERM, "immutable")])
def test_nothing_ends_it(error: Exception) -> None:
    made = threading.Semaphore(0)

    def busy() -> None:
        made.release()
        raise error

    room = Room(busy, grace_seconds=0.01)
    room.start()
    for _ in range(2):
        room.want()
        assert made.acquire(timeout=5)
        assert made.acquire(timeout=5)
    room.close()
