"""Guessing is slow: so many wrong passwords, then one more try every half minute, for an account and for an address.

Nobody is locked out: from an address where the right password was given before, an account's own limit does not count;
a browser that has signed in before is counted by itself, whatever others do; and tokens are not guessed at all. What is
remembered is bounded, and gone with the process.
"""

from __future__ import annotations

from collections import OrderedDict
from ipaddress import IPv6Address, ip_address

from creamery.clock import Clock
from creamery.limits import Limits

REMEMBERED = 100_000
_OWN_NETWORK_BITS = 64
"""Whoever has one IPv6 address has that many more of them."""


class Throttled(Exception):
    """There were too many wrong passwords; `seconds` until the next one is looked at."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"too many tries; ask again in {seconds:.0f} s")
        self.seconds = seconds


class _Buckets:
    """Failures by key, each forgotten after a while: the oldest first."""

    def __init__(self, failures: int, seconds: float) -> None:
        self._failures = failures
        self._seconds = seconds
        self._full_until: OrderedDict[str, float] = OrderedDict()

    def wait(self, key: str, now: float) -> float:
        """Seconds until this key may try again; 0: now."""
        return max(0.0, self._full_until.get(key, now) - now - (self._failures - 1) * self._seconds)

    def took(self, key: str, now: float) -> None:
        """A try, which is taken for a wrong one until it is known to be right."""
        self._full_until[key] = max(now, self._full_until.get(key, now)) + self._seconds
        self._full_until.move_to_end(key)
        while len(self._full_until) > REMEMBERED:
            self._full_until.popitem(last=False)

    def take(self, key: str, now: float) -> None:
        """`took`, where it may.

        Raises:
            Throttled: not yet.
        """
        if wait := self.wait(key, now):
            raise Throttled(wait)
        self.took(key, now)

    def gave_back(self, key: str) -> None:
        """It was right."""
        if key in self._full_until:
            self._full_until[key] -= self._seconds


class Throttle:
    """Counts wrong passwords. Used on the event loop only."""

    def __init__(self, limits: Limits, clock: Clock) -> None:
        self._clock = clock
        self._accounts = _Buckets(limits.login_failures, limits.login_seconds)
        self._addresses = _Buckets(limits.login_failures_address, limits.login_seconds)
        self._devices = _Buckets(limits.login_failures, limits.login_seconds)
        self._registrations = _Buckets(limits.registrations_address, limits.login_seconds)
        self._returns = _Buckets(limits.login_failures_address, limits.login_seconds)
        self._known: OrderedDict[tuple[str, str], None] = OrderedDict()

    def take(self, account: str, address: str, device: str = "") -> None:
        """A try for this account; `succeeded` gives it back.

        Whether there is such an account makes no difference, so that nobody sees one.

        Args:
            account: whose password it should be.
            address: where it comes from.
            device: of a browser that has signed in to this very account before; empty: none is known.

        Raises:
            Throttled: not yet.
        """
        now, network = self._clock.monotonic(), _network(address)
        if device:
            self._devices.take(device, now)
            return
        wait = self._addresses.wait(network, now)
        if (account, network) not in self._known:
            wait = max(wait, self._accounts.wait(account, now))
        if wait > 0:
            raise Throttled(wait)
        self._accounts.took(account, now)
        self._addresses.took(network, now)

    def register(self, address: str) -> None:
        """Somebody wants to become a user; that too is slowed.

        Raises:
            Throttled: not yet.
        """
        self._registrations.take(_network(address), self._clock.monotonic())

    def come_back(self, address: str) -> None:
        """Somebody brings a provider's code; `let_in` gives it back. Passwords are counted by themselves.

        Raises:
            Throttled: not yet.
        """
        self._returns.take(_network(address), self._clock.monotonic())

    def let_in(self, address: str) -> None:
        """The code was right."""
        self._returns.gave_back(_network(address))

    def succeeded(self, account: str, address: str, device: str = "") -> None:
        """It was right: this address is known to be the account's from now on."""
        network = _network(address)
        if device:
            self._devices.gave_back(device)
        else:
            self._accounts.gave_back(account)
            self._addresses.gave_back(network)
        self._known[account, network] = None
        self._known.move_to_end((account, network))
        while len(self._known) > REMEMBERED:
            self._known.popitem(last=False)


def _network(address: str) -> str:
    try:
        parsed = ip_address(address)
    except ValueError:  # a Unix socket
        return address
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped is None:
        return f"{int(parsed) >> _OWN_NETWORK_BITS:x}"
    return str(parsed)
