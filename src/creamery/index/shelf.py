"""Small files that are asked for often, in memory with their answer made: no look at the disk, nothing built anew.

A file comes onto the shelf when it is asked for the second time, hashed as it is read. Its bytes are named by their
hash and cannot become wrong; it leaves when it was not asked for the longest, or when its reference goes.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from creamery.contract import Digest
from creamery.http import HeldResponse
from creamery.limits import Limits
from creamery.telemetry import Telemetry

ASKED_ONCE = 10_000
"""How many addresses are remembered as asked for once."""

Address = tuple[str, str]
"""Project and file name."""


@dataclass(frozen=True, slots=True)
class Held:
    """A file on the shelf."""

    digest: Digest
    response: HeldResponse


class Shelf:
    """A bounded number of bytes. Used on the event loop only."""

    def __init__(self, limits: Limits, telemetry: Telemetry) -> None:
        self._limits = limits
        self._files: OrderedDict[Address, Held] = OrderedDict()
        self._asked: set[Address] = set()
        self._bytes = 0
        self._gauge = telemetry.gauge("index_shelf_bytes", "Small files in memory, in bytes.")

    def get(self, address: Address) -> Held | None:
        """The file, when it is on the shelf."""
        held = self._files.get(address)
        if held is not None:
            self._files.move_to_end(address)
        return held

    def wants(self, address: Address, size: int) -> bool:
        """Is it small, and asked for not for the first time?"""
        if size > min(self._limits.shelf_file_bytes, self._limits.shelf_bytes):
            return False
        if address in self._asked:
            self._asked.discard(address)
            return True
        if len(self._asked) >= ASKED_ONCE:
            self._asked.clear()
        self._asked.add(address)
        return False

    def put(self, address: Address, held: Held) -> None:
        """Take a file; those that were not asked for the longest make room."""
        self.remove(address)
        self._files[address] = held
        self._count(len(held.response.held))
        while self._bytes > self._limits.shelf_bytes:
            _, oldest = self._files.popitem(last=False)
            self._count(-len(oldest.response.held))

    def remove(self, address: Address) -> None:
        """Its reference has gone, or changed."""
        held = self._files.pop(address, None)
        if held is not None:
            self._count(-len(held.response.held))

    def clear(self) -> None:
        """Nobody knows which references are left."""
        self._files.clear()
        self._count(-self._bytes)

    def _count(self, size: int) -> None:
        self._bytes += size
        self._gauge.set(self._bytes)
