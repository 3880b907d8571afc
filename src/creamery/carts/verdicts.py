"""What becomes of a file that waited, once its source was fetched: decided here, by no question to anybody."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import NamedTuple

from creamery.carts.archives import ItemStat
from creamery.carts.sources import Settled, Source, Waiting
from creamery.clock import Micros
from creamery.contract import Digest

CHANGED = "its size is not what the archive had said: it changed while it was staged"


class Fetched(NamedTuple):
    """What came of a source: its digest, and what else its bytes hash to; or why it never will."""

    source: Source
    digest: Digest | None
    others: Mapping[str, str]
    refusal: str | None = None


def known(source: Source) -> ItemStat:
    """What the archive said of it when it was planned."""
    return ItemStat(source.size, source.mtime, source.near, source.version)


def lost(source: Source, now: Micros) -> Source:
    """Its bytes are gone: they come anew."""
    return source._replace(state="waiting", near=False, digest=None, asked=None, due=now, attempts=0)


def judge(waiting: Waiting, fetched: Fetched) -> Settled | None:
    """What becomes of a file; None: what it must hash to is not known yet, and somebody will look."""
    place = (waiting.cart_id, waiting.position, fetched.source.size)
    if fetched.digest is None:
        return Settled(*place, None, fetched.refusal or "it cannot be had")
    if waiting.algorithm is None:
        return Settled(*place, fetched.digest, None)
    found = fetched.digest if waiting.algorithm == "sha256" else fetched.others.get(waiting.algorithm)
    if found is None:
        return None
    if found != waiting.expected:
        came = f"{waiting.algorithm} {found} came, {waiting.expected} is wanted"
        return Settled(*place, None, f"File hash does not match provided hash: {came}")
    return Settled(*place, fetched.digest, None)


def hashed(content: bytes, algorithms: set[str]) -> dict[str, str]:
    """What bytes hash to, by name, in hexadecimal digits."""
    return {name: hashlib.new(name, content, usedforsecurity=False).hexdigest() for name in algorithms}
