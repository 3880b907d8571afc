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
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import platformdirs

from creamery.client.address import HubAddress
from creamery.client.errors import NotAHub, Refused, UnusableInput
from creamery.client.wire import Hub

NOT_FOUND = 404
_STATE = re.compile(r"[!-~]{1,200}", re.ASCII)
_NAME = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*", re.ASCII)
"""Normalised; they become lines of a file that uv reads."""
_PATTERN = re.compile(r"[!-~]+", re.ASCII)


@dataclass(frozen=True, slots=True)
class OwnNames:
    """What a hub has ever said.

    Attributes:
        claimed: names, normalised.
        reserved: patterns of names, such as `acme-*`.
    """

    claimed: frozenset[str] = frozenset()
    reserved: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.claimed or self.reserved)

    def has(self, name: str) -> bool:
        """Is a name, normalised, the hub's own?"""
        return name in self.claimed or any(fnmatchcase(name, pattern) for pattern in self.reserved)

    def __or__(self, other: OwnNames) -> OwnNames:
        return OwnNames(self.claimed | other.claimed, self.reserved | other.reserved)


class Memory:
    """What is remembered of one hub, in a file of this user's."""

    def __init__(self, address: HubAddress, folder: Path | None = None) -> None:
        """`folder`: where such files lie; None: where this system has them."""
        folder = folder or platformdirs.user_state_path("creamery", appauthor=False) / "names"
        self._path = folder / f"{hashlib.sha256(str(address).encode()).hexdigest()[:32]}.json"
        self._address = address

    def recall(self) -> tuple[OwnNames, str]:
        """What was seen, and the state of the hub's list when it was last read; nothing, where nobody looked yet.

        Raises:
            UnusableInput: something is there that cannot be read; it may hold any name.
        """
        try:
            told = json.loads(self._path.read_text(encoding="utf-8"))
            names = OwnNames(frozenset(map(str, told["claimed"])), frozenset(map(str, told["reserved"])))
            return names, str(told["state"])
        except (FileNotFoundError, NotADirectoryError):
            return OwnNames(), ""
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UnusableInput(
                f"Which names {self._address} keeps for itself stands in {self._path}, which cannot be read.",
                "Nothing was installed. Start the hub: it tells them again.",
            ) from error

    def learn(self, hub: Hub) -> OwnNames:
        """Ask the hub, at its root, and remember what it says beside what was known.

        Raises:
            HubError: it does not answer, or as no hub does.
            OSError: it cannot be remembered.
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
        self._path.parent.mkdir(parents=True, exist_ok=True)
        kept = {
            "hub": str(self._address),
            "state": state,
            "claimed": sorted(names.claimed),
            "reserved": sorted(names.reserved),
        }
        part = self._path.with_name(f"{self._path.name}.{os.getpid()}")
        try:
            part.write_text(json.dumps(kept), encoding="utf-8")
            part.replace(self._path)
        finally:
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)


def _are_words(found: object, kind: re.Pattern[str]) -> bool:
    return isinstance(found, list) and all(isinstance(each, str) and kind.fullmatch(each) for each in found)
