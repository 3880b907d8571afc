"""A hub's built wheels, by the keys of builds (`/w/v1/`)."""

from __future__ import annotations

import hashlib
import json
import platform
import time
from collections.abc import Callable, Iterator
from io import BufferedIOBase
from pathlib import Path
from typing import Any

from creamery import __version__
from creamery.client.asking import Asked
from creamery.client.caches import Fate, Made, Offer
from creamery.client.errors import HubError, NotAHub, Unshareable
from creamery.client.form import Form
from creamery.client.sdists import find_sdist
from creamery.client.serving import seconds_said
from creamery.client.wire import Hub
from creamery.contract import Digest

MOST_LOG = 8 * 1024**2
"""Bytes of a log that are sent: its end says why."""
PIECE_BYTES = 256 * 1024
SLOW_SECONDS = 20.0
SLOW_BYTES = 20_000
"""A second: what comes more slowly for as long as that is built here."""
LEAST_RATE = 64 * 1024
"""Bytes a second that a hub has to take; one that takes fewer is done without."""
FETCH_SECONDS = 1_200.0
"""Of any wheel: the hook does not wait for ever either."""
MOST_SHOWN = 4_000


class HubCache:
    """Wheels by key, leases, failures."""

    def __init__(self, hub: Hub) -> None:
        """`hub`: at its root."""
        self._hub = hub
        self.name = str(hub.address)

    def look(self, asked: Asked) -> Fate:
        """One question."""
        told = _object(self._hub.post("w", "v1", "lookup", body={"keys": [asked.key]}), self._hub)
        keys = told.get("keys")
        found = keys.get(asked.key) if isinstance(keys, dict) else None
        return _fate(_object(found, self._hub), self._hub)

    def fetch(self, offer: Offer, into: Path, most: int) -> None:
        """By its digest, which the bytes are held against as they come."""
        place = ("w", "f", offer.sha256, offer.filename)
        with self._hub.stream("GET", *place, headers={"Accept": "*/*"}, within=FETCH_SECONDS) as answer:
            write_verified(answer, offer, into, most)

    def push(self, made: Made, sent: Callable[[int], object]) -> None:
        """Record, wheel and log in one form."""
        if made.asked is None:
            raise Unshareable(f"{self.name} has its own index.")
        sdist = find_sdist(self._hub, made.asked.source, made.wheel)
        fields = {"record": json.dumps(_record(made.asked, made.seconds, sdist))}
        if made.log is not None:
            fields["log"] = end_of(made.log)
        form = Form(fields, ("wheel", made.wheel))
        place = ("w", "v1", "entries", made.asked.key)
        answer = self._hub.put_form(*place, form=form, sent=sent, least_rate=LEAST_RATE)
        _object(answer.parsed(), self._hub)

    def lease(self, asked: Asked, wait_seconds: float) -> Fate:
        """Waits at the hub."""
        told = self._hub.post("w", "v1", "lease", asked.key, query={"wait": f"{wait_seconds:g}"})
        return _fate(_object(told, self._hub), self._hub)

    def renew(self, asked: Asked, token: str) -> float:
        """409 where it has passed on."""
        told = _object(self._hub.put("w", "v1", "lease", asked.key, query={"token": token}), self._hub)
        return seconds_said(told.get("seconds"))

    def give_back(self, asked: Asked, token: str) -> None:
        """The next who waits has it."""
        self._hub.delete("w", "v1", "lease", asked.key, query={"token": token})

    def fail(self, asked: Asked, reason: str, log: Path | None) -> None:
        """The hub refuses what is no backend's."""
        project, version = asked.source.project, asked.source.version
        record = {"project": project, "version": version, "kind": "backend", "reason": reason[:4_000]}
        fields = {"record": json.dumps(record)} | ({} if log is None else {"log": end_of(log)})
        place = ("w", "v1", "failures", asked.key)
        self._hub.put_form(*place, form=Form(fields), sent=lambda _: None, least_rate=LEAST_RATE)


def write_verified(answer: BufferedIOBase, offer: Offer, into: Path, most: int) -> None:
    """Write what comes; what is left behind is the wheel that was offered, or nothing.

    Raises:
        HubError: it is larger than `most`, or other bytes, or hardly comes.
    """
    found, size, began = hashlib.sha256(), 0, time.monotonic()
    is_slow = False
    limit = most if offer.size is None else min(most, offer.size)
    try:
        with into.open("xb") as file:
            for piece in _pieces(answer):
                size += len(piece)
                took = time.monotonic() - began
                is_slow = took > SLOW_SECONDS and size < took * SLOW_BYTES
                if is_slow or size > limit:
                    break
                found.update(piece)
                file.write(piece)
    except BaseException:
        into.unlink(missing_ok=True)
        raise
    if found.hexdigest() != offer.sha256 or offer.size not in {None, size}:
        into.unlink()
        why = f"too slowly: {size} bytes until now" if is_slow else "with other bytes than were promised"
        raise HubError(f"{offer.filename} came {why}.")


def end_of(log: Path) -> str:
    """What is sent of a log."""
    with log.open("rb") as file:
        file.seek(0, 2)
        file.seek(max(0, file.tell() - MOST_LOG))
        return file.read().decode("utf-8", "replace")


def _pieces(answer: BufferedIOBase) -> Iterator[bytes]:
    while piece := answer.read1(PIECE_BYTES):
        yield piece


def _record(asked: Asked, seconds: float, sdist: Digest | None) -> dict[str, Any]:
    provenance: dict[str, Any] = {
        "seconds": round(seconds, 3),
        "backend": asked.backend[:2_000],
        "machine": platform.node()[:2_000],
        "client": f"creamery/{__version__}",
        "requirements": dict(list(asked.requirements.items())[:2_000]),
    }
    if sdist is not None:
        provenance["sdist"] = sdist
    return {"schema": 1, "build": asked.build.to_json(), "provenance": provenance}


def _fate(told: dict[str, Any], hub: Hub) -> Fate:
    state = told.get("state")
    if state == "hit":
        name, digest, size = (told.get(each) for each in ("filename", "sha256", "size"))
        if not (isinstance(name, str) and isinstance(digest, str) and isinstance(size, int)):
            raise _unreadable(hub)
        return Fate("hit", Offer(name, digest, size, digest, seconds_said(told.get("seconds"))))
    if state == "yours":
        return Fate("yours", token=str(told.get("token", "")))
    if state == "leased":
        return Fate("leased", told=_shown(told.get("by", "")))
    if state == "failed":
        return Fate("failed", told=_shown(told.get("reason", "")))
    return Fate("miss")


def _shown(value: object) -> str:
    """What somebody else has written, without what a terminal would obey."""
    return "".join(character if character.isprintable() else " " for character in str(value)[:MOST_SHOWN])


def _object(told: Any, hub: Hub) -> dict[str, Any]:
    if not isinstance(told, dict):
        raise _unreadable(hub)
    return told


def _unreadable(hub: Hub) -> NotAHub:
    return NotAHub(f"What {hub.address} says of built wheels cannot be read.", "Is it a hub of this age?")
