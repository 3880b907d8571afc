"""What becomes of many keys at once: three ranges of indices, however many keys."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Connection, bindparam, select

from creamery.clock import SECOND, Micros
from creamery.contract import Digest
from creamery.limits import Limits
from creamery.wheels import leases
from creamery.wheels.place import UPSTREAM, Ring, Sight
from creamery.wheels.showing import address_of
from creamery.wheels.tables import wheel_entry

State = Literal["hit", "failed", "leased", "miss"]


@dataclass(frozen=True, slots=True)
class Looked:
    """What was found of one key."""

    state: State
    told: Mapping[str, Any]
    filename: str = ""
    digest: Digest | None = None

    def shown(self, key: Digest, base: str) -> dict[str, Any]:
        """As JSON has it; `base`: of addresses."""
        if self.state != "hit":
            return {"state": self.state, **self.told}
        url = f"{base}/v1/entries/{key}" if self.digest is None else address_of(base, self.digest, self.filename)
        return {"state": self.state, **self.told, "url": url}


def elsewhere(said: Mapping[str, Any]) -> Looked:
    """What an upstream has said of a key that it has; it is brought when its entry is asked for."""
    told = {name: said.get(name) for name in ("filename", "sha256", "size", "seconds")}
    return Looked("hit", {**told, "ring": UPSTREAM})


def look_up(
    connection: Connection, keys: Sequence[Digest], sight: Sight, home: Ring, now: Micros, limits: Limits
) -> dict[Digest, Looked]:
    """Each key once; a wheel in an earlier ring goes before one in a later. `home`: whose leases and failures count."""
    found: dict[Digest, Looked] = dict.fromkeys(keys, _MISS)
    rows = connection.execute(_ENTRIES, {"keys": list(found), "rings": sight}).all()
    for row in sorted(rows, key=lambda row: (sight.index(row.ring), row.id)):
        if found[row.key] is _MISS:
            told = {"filename": row.filename, "sha256": row.digest, "size": row.size, "ring": row.ring}
            told["seconds"] = row.millis / 1_000
            found[row.key] = Looked("hit", told, row.filename, row.digest)
    missing = [key for key, each in found.items() if each is _MISS]
    if missing:
        for lease in leases.leases_of(connection, missing, home, now, limits):
            left = (lease.until - now) / SECOND
            found[lease.key] = Looked("leased", {"by": lease.holder, "seconds": left})
        for failure in leases.failures_of(connection, missing, home, now, limits):
            told = {"reason": failure.reason, "until": failure.until / SECOND, "times": failure.times}
            found[failure.key] = Looked("failed", told)
    return found


def counted(found: Mapping[Digest, Looked]) -> Counter[State]:
    """How often each state."""
    return Counter(each.state for each in found.values())


_MISS = Looked("miss", {})
_ENTRIES = select(
    wheel_entry.c.id,
    wheel_entry.c.ring,
    wheel_entry.c.key,
    wheel_entry.c.filename,
    wheel_entry.c.digest,
    wheel_entry.c.size,
    wheel_entry.c.millis,
).where(
    wheel_entry.c.key.in_(bindparam("keys", expanding=True)),
    wheel_entry.c.ring.in_(bindparam("rings", expanding=True)),
    wheel_entry.c.digest.is_not(None),
)
