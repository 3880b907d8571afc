"""While a backup is made, nothing is deleted; when its process dies, that ends by itself."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from creamery.blobs import Pause, PauseLost
from creamery.contract import digest_of
from creamery.sections import Cache
from tests.doubles.cellar import Cellar
from tests.doubles.hand_clock import HandClock


def garbage(cellar: Cellar) -> None:
    """A blob that nobody holds, whose grace is over."""
    cellar.put(b"garbage", "name")
    cellar.take_away("name")
    cellar.clock.advance(cellar.limits.sweep_grace_seconds + 1)  # type: ignore[attr-defined]
    cellar.blobs.sweep()
    cellar.clock.advance(cellar.limits.sweep_grace_seconds + 1)  # type: ignore[attr-defined]


def test_while_it_lasts_no_process_deletes_anything(any_database_url: str, open_cellar: Callable[..., Cellar]) -> None:
    one, other = open_cellar(any_database_url), open_cellar(any_database_url)
    garbage(one)

    with Pause(other.committer, other.limits, other.clock):
        skipped = one.blobs.sweep(slices=16).skipped
        late = one.blobs._sweeper.delete_due(one.blobs.holders)  # of a sweep that began before the pause
        during = one.stored()
    one.blobs.sweep()

    assert skipped == "a backup is being made"
    assert late == 0
    assert during == {digest_of(b"garbage")}
    assert one.stored() == set()


def test_while_it_lasts_nothing_is_evicted(open_cellar: Callable[..., Cellar], database_url: str) -> None:
    cellar = open_cellar(database_url, cache=Cache(max_bytes=0))
    cellar.put(b"fetched", "name", kept=False)

    with Pause(cellar.committer, cellar.limits, cellar.clock):
        paused = cellar.blobs.evict().blobs

    assert paused == 0
    assert cellar.blobs.evict().blobs == 1


def test_one_whose_process_died_ends_by_itself(cellar: Cellar, clock: HandClock) -> None:
    garbage(cellar)
    killed = Pause(cellar.committer, cellar.limits, clock)
    killed.__enter__()
    assert cellar.blobs.sweep().skipped is not None

    clock.advance(cellar.limits.pause_seconds + 1)
    cellar.blobs.sweep()

    assert cellar.stored() == set()
    killed.__exit__(None, None, None)


def test_it_is_renewed_as_long_as_its_process_lives(open_cellar: Callable[..., Cellar], database_url: str) -> None:
    cellar = open_cellar(database_url, pause_seconds=0.4)
    garbage(cellar)

    with Pause(cellar.committer, cellar.limits, cellar.clock) as pause:
        cellar.clock.sleep(0.6)
        pause.check()

        assert cellar.blobs.sweep().skipped is not None


def test_its_holder_is_told_that_it_ended_too_early(cellar: Cellar, clock: HandClock) -> None:
    with Pause(cellar.committer, cellar.limits, clock) as pause:
        pause.check()

        clock.advance(cellar.limits.pause_seconds + 1)

        with pytest.raises(PauseLost, match="begin anew"):
            pause.check()


def test_one_from_before_the_clock_was_set_back_does_not_last_for_ever(cellar: Cellar, clock: HandClock) -> None:
    garbage(cellar)
    killed = Pause(cellar.committer, cellar.limits, clock)
    killed.__enter__()

    clock.jump(-3_600)

    assert cellar.blobs.sweep().skipped != "a backup is being made"
    killed.__exit__(None, None, None)
