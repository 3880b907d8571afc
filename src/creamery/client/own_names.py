"""The names that a hub keeps for itself: claimed by an upload, or reserved before one. No other index hears them.

The hub tells them whenever it is asked how it is, and they are remembered for the day on which it is away: a name stays
what it was once seen to be.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re

from creamery.client.errors import NotAHub, Refused, UnusableInput
from creamery.client.state import state_folder

TYPE_CHECKING = False  # `typing`, dataclasses and pathlib take longer than a hub does to answer
if TYPE_CHECKING:
    from pathlib import Path

    from creamery.client.address import HubAddress
    from creamery.client.glance import Glance
    from creamery.client.wire import Hub

NOT_FOUND = 404
_STATE = re.compile(r"[!-~]{1,200}", re.ASCII)
_NAME = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*", re.ASCII)
"""Normalised; they become lines of a file that uv reads."""
_PATTERN = re.compile(r"[!-~]+", re.ASCII)


class OwnNames:
    """What a hub has ever said.

    Attributes:
        claimed: names, normalised.
        reserved: patterns of names, such as `acme-*`.
    """

    __slots__ = ("claimed", "reserved")

    def __init__(self, claimed: frozenset[str] = frozenset(), reserved: frozenset[str] = frozenset()) -> None:
        self.claimed = claimed
        self.reserved = reserved

    def __bool__(self) -> bool:
        return bool(self.claimed or self.reserved)

    def has(self, name: str) -> bool:
        """Is a name, normalised, the hub's own?"""
        from fnmatch import fnmatchcase  # noqa: PLC0415 - where the hub is away

        return name in self.claimed or any(fnmatchcase(name, pattern) for pattern in self.reserved)

    def __or__(self, other: OwnNames) -> OwnNames:
        return OwnNames(self.claimed | other.claimed, self.reserved | other.reserved)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, OwnNames) and (self.claimed, self.reserved) == (other.claimed, other.reserved)

    def __hash__(self) -> int:
        return hash((self.claimed, self.reserved))

    def __repr__(self) -> str:
        return f"OwnNames({set(self.claimed)}, {set(self.reserved)})"


class Memory:
    """What is remembered of one hub, in a file of this user's."""

    def __init__(self, address: HubAddress, folder: Path | None = None) -> None:
        """`folder`: where such files lie; None: where this system has them."""
        name = f"{hashlib.sha256(str(address).encode()).hexdigest()[:32]}.json"
        self._path = os.path.join(folder or os.path.join(state_folder(), "names"), name)  # noqa: PTH118 - see above
        self._address = address

    def recall(self) -> tuple[OwnNames, str]:
        """What was seen, and the state of the hub's list when it was last read; nothing, where nobody looked yet.

        Raises:
            UnusableInput: something is there that cannot be read; it may hold any name.
        """
        try:
            with open(self._path, encoding="utf-8") as file:  # noqa: PTH123
                told = json.load(file)
            names = OwnNames(frozenset(map(str, told["claimed"])), frozenset(map(str, told["reserved"])))
            return names, str(told["state"])
        except (FileNotFoundError, NotADirectoryError):
            return OwnNames(), ""
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UnusableInput(
                f"Which names {self._address} keeps for itself stands in {self._path}, which cannot be read.",
                "Nothing was installed. Start the hub: it tells them again.",
            ) from error

    def learn(self, hub: Hub | Glance) -> OwnNames:
        """Ask the hub, at its root, and remember what it says beside what was known.

        Raises:
            HubError: it does not answer, or as no hub does.
            OSError: it cannot be remembered.
            Unclear: of a `Glance`, which tells no more than that.
        """
        try:
            known, state = self.recall()
        except UnusableInput:  # read anew, as if nobody had looked
            known, state = OwnNames(), ""
        try:
            told = hub.get("w", "v1", "names", query={"state": state or None})
        except Refused as error:
            told = None
            if error.status != NOT_FOUND:
                raise
        if not isinstance(told, dict) or not _are_words([told.get("state")], _STATE):
            raise NotAHub(f"{hub.address} does not answer as a hub does.", "Is it the hub's address?")
        if told["state"] == state:
            return known
        if not _are_words(told.get("claimed"), _NAME) or not _are_words(told.get("reserved"), _PATTERN):
            raise NotAHub(f"What {hub.address} says of its names cannot be read.")
        names = known | OwnNames(frozenset(told["claimed"]), frozenset(told["reserved"]))
        self._write(names, told["state"])
        return names

    def _write(self, names: OwnNames, state: str) -> None:
        os.makedirs(os.path.dirname(self._path), exist_ok=True)  # noqa: PTH103, PTH120
        kept = {
            "hub": str(self._address),
            "state": state,
            "claimed": sorted(names.claimed),
            "reserved": sorted(names.reserved),
        }
        part = f"{self._path}.{os.getpid()}"
        try:
            with open(part, "w", encoding="utf-8") as file:  # noqa: PTH123
                json.dump(kept, file)
            os.replace(part, self._path)  # noqa: PTH105
        finally:
            with contextlib.suppress(OSError):
                os.unlink(part)  # noqa: PTH108


def _are_words(found: object, kind: re.Pattern[str]) -> bool:
    return isinstance(found, list) and all(isinstance(each, str) and kind.fullmatch(each) for each in found)
