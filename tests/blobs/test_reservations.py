"""Space is promised before bytes move."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from creamery.blobs import NoSpace
from creamery.blobs.reservations import Reservations
from creamery.limits import Limits
from tests.doubles.hand_clock import HandClock


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A disk of 10,000 bytes, 3,000 of them free."""
    disk = SimpleNamespace(f_frsize=1, f_blocks=10_000, f_bavail=3_000)
    monkeypatch.setattr(os, "statvfs", lambda path: disk)
    return disk


@pytest.mark.parametrize(
    ("reserve_bytes", "reserve_share", "free"), [(0, 0.5, 3_000), (1_000, 0.02, 2_800), (100, 0.02, 2_900)]
)
def test_the_smaller_reserve_holds(
    disk: SimpleNamespace, tmp_path: Path, reserve_bytes: int, reserve_share: float, free: int
) -> None:
    reservations = Reservations(tmp_path, Limits(reserve_bytes=reserve_bytes, reserve_share=reserve_share), HandClock())

    assert reservations.free() == free


def test_the_last_byte_can_be_promised_and_not_one_more(disk: SimpleNamespace, tmp_path: Path) -> None:
    reservations = Reservations(tmp_path, Limits(reserve_bytes=0), HandClock())

    reservation = reservations.reserve(3_000, "3000")
    with pytest.raises(NoSpace) as caught:
        reservations.reserve(1, "1")

    assert (caught.value.needed, caught.value.free) == (1, 0)
    reservation.release()
    reservations.reserve(3_000, "3000")


def test_it_recovers_when_the_disk_does(disk: SimpleNamespace, tmp_path: Path) -> None:
    reservations = Reservations(tmp_path, Limits(reserve_bytes=1_000, reserve_share=0.5), HandClock())
    disk.f_bavail = 900
    with pytest.raises(NoSpace):
        reservations.reserve(1, "1")

    disk.f_bavail = 1_100

    reservations.reserve(100, "100")


def test_releasing_twice_gives_back_once(disk: SimpleNamespace, tmp_path: Path) -> None:
    reservations = Reservations(tmp_path, Limits(reserve_bytes=0), HandClock())
    other, reservation = reservations.reserve(500, "a"), reservations.reserve(1_000, "b")

    reservation.used(400)
    reservation.release()
    reservation.release()

    assert reservations.outstanding == 500
    other.release()


def test_what_did_not_fit_is_told_at_once_and_wanted_for_a_while(disk: SimpleNamespace, tmp_path: Path) -> None:
    clock, told = HandClock(), []
    reservations = Reservations(tmp_path, Limits(reserve_bytes=0), clock)
    reservations.on_refused = lambda: told.append(True)

    for count in (5_000, 4_000):
        with pytest.raises(NoSpace):
            reservations.reserve(count, str(count))
    wanted = [reservations.wanted(most) for most in (10_000, 8_999, 5_000, 4_500, 3_999)]
    clock.advance(601)

    assert told == [True, True]
    assert wanted == [9_000, 5_000, 5_000, 4_000, 0]
    assert reservations.wanted(10_000) == 0


def test_what_is_refused_twice_is_wanted_once(disk: SimpleNamespace, tmp_path: Path) -> None:
    reservations = Reservations(tmp_path, Limits(reserve_bytes=0), HandClock())

    for owner in ("one", "one", "another"):
        with pytest.raises(NoSpace):
            reservations.reserve(4_000, owner)

    assert reservations.wanted(100_000) == 8_000


def test_what_fits_in_the_end_is_wanted_no_longer(disk: SimpleNamespace, tmp_path: Path) -> None:
    reservations = Reservations(tmp_path, Limits(reserve_bytes=0), HandClock())
    for count in (5_000, 4_000):
        with pytest.raises(NoSpace):
            reservations.reserve(count, str(count))

    disk.f_bavail = 4_500
    reservations.reserve(4_000, "4000")

    assert reservations.wanted(4_500) == 0
    assert reservations.wanted(10_000) == 5_000
