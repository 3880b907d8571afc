"""How guessing is slowed down, and whom that does not keep out."""

from __future__ import annotations

import contextlib

import pytest

from creamery.accounts.throttle import Throttle, Throttled
from creamery.limits import Limits
from tests.doubles.hand_clock import HandClock

LIMITS = Limits(login_failures=3, login_failures_address=6, login_seconds=10)


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def throttle(clock: HandClock) -> Throttle:
    return Throttle(LIMITS, clock)


def tries(throttle: Throttle, account: str, address: str, most: int = 100) -> int:
    """How many wrong passwords are looked at before one has to wait."""
    for number in range(most):
        try:
            throttle.take(account, address)
        except Throttled:
            return number
    return most


def test_an_account_is_guessed_at_so_often_and_then_slowly(throttle: Throttle, clock: HandClock) -> None:
    assert tries(throttle, "alice", "192.0.2.1") == 3
    with pytest.raises(Throttled) as refusal:
        throttle.take("alice", "192.0.2.2")
    assert refusal.value.seconds == pytest.approx(10, abs=1)

    clock.advance(11)
    assert tries(throttle, "alice", "192.0.2.3") == 1
    clock.advance(1_000)
    assert tries(throttle, "alice", "192.0.2.4") == 3


def test_an_address_is_slowed_whatever_accounts_it_tries(throttle: Throttle) -> None:
    assert sum(tries(throttle, f"user{number}", "192.0.2.1", most=1) for number in range(20)) == 6
    assert tries(throttle, "user30", "192.0.2.2") == 3


def test_the_owner_gets_in_from_where_he_was_before(throttle: Throttle) -> None:
    throttle.take("alice", "192.0.2.1")
    throttle.succeeded("alice", "192.0.2.1")

    tries(throttle, "alice", "192.0.2.66")

    throttle.take("alice", "192.0.2.1")
    with pytest.raises(Throttled):
        throttle.take("alice", "192.0.2.7")


def test_right_passwords_count_for_nothing(throttle: Throttle) -> None:
    for _ in range(50):
        throttle.take("alice", "192.0.2.1")
        throttle.succeeded("alice", "192.0.2.1")


def test_right_passwords_do_not_pay_for_wrong_ones(throttle: Throttle) -> None:
    """Who has an account of his own cannot guess at another's from there without end."""
    looked_at = 0
    with contextlib.suppress(Throttled):
        for _ in range(50):
            throttle.take("mine", "192.0.2.1")
            throttle.succeeded("mine", "192.0.2.1")
            throttle.take("alice", "192.0.2.1")
            looked_at += 1

    assert looked_at == 3


@pytest.mark.parametrize(
    ("one", "other", "are_one"),
    [
        ("2001:db8::1", "2001:db8::2:3", True),
        ("2001:db8:0:1::1", "2001:db8:0:2::1", False),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2", False),
        ("192.0.2.1", "192.0.2.2", False),
        ("unix", "unix", True),
    ],
)
def test_whoever_has_one_ipv6_address_has_its_whole_network(
    throttle: Throttle, one: str, other: str, are_one: bool
) -> None:
    for number in range(6):
        throttle.take(f"user{number}", one)

    assert (tries(throttle, "alice", other) == 0) is are_one
