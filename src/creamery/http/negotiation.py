"""Content negotiation: which of several offers a client likes best (RFC 9110 section 12.5).

Only the weights decide and, among equals, the order of the offers: the hub's preference.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

CACHED_HEADER_LENGTH = 400  # real clients send less; longer headers are read each time, so that none fills the memory
MAX_WEIGHT_LENGTH = len("0.123")


def negotiate(accept: str | None, offers: Sequence[str]) -> str | None:
    """The media type of `offers` that `Accept` likes best; None where it likes none (406).

    A missing or empty header accepts anything. Parameters other than `q` are ignored (RFC 9110 section 12.5.1): no
    offer of ours has any that a client could ask for.
    """
    if not accept:
        return offers[0]
    if len(accept) > CACHED_HEADER_LENGTH:
        return _best_type(accept, tuple(offers))
    return _cached_type(accept, tuple(offers))


def negotiate_encoding(accept_encoding: str | None, offers: Sequence[str]) -> str:
    """The coding of `offers` that `Accept-Encoding` likes best; `identity` where none is liked better.

    `identity` is acceptable unless it is excluded, and is sent even then: RFC 9110 section 12.5.3 lets a server answer
    without a coding rather than fail. A missing header gets `identity`, because a client that does not ask for a
    coding may not undo it.
    """
    if not accept_encoding:
        return "identity"
    if len(accept_encoding) > CACHED_HEADER_LENGTH:
        return _best_encoding(accept_encoding, tuple(offers))
    return _cached_encoding(accept_encoding, tuple(offers))


def weights(header: str) -> dict[str, float]:
    """What a header of the form `thing;q=0.5, other` names, in lower case, with each one's weight.

    A weight that is no number between 0 and 1 counts as 0: who writes nonsense gets what needs no preference.
    """
    found: dict[str, float] = {}
    for item in header.split(","):
        name, *parameters = item.split(";")
        name = name.strip().lower()
        if name:
            found[name] = max(found.get(name, 0.0), _weight(parameters))
    return found


def _weight(parameters: list[str]) -> float:
    for parameter in parameters:
        key, _, value = parameter.partition("=")
        if key.strip().lower() == "q":
            text = value.strip()
            digits = text.replace(".", "", 1)
            well_formed = len(text) <= MAX_WEIGHT_LENGTH and digits.isascii() and digits.isdigit()
            weight = float(text) if well_formed else 0.0
            return weight if weight <= 1.0 else 0.0
    return 1.0


def _best_type(accept: str, offers: tuple[str, ...]) -> str | None:
    liked = weights(accept)
    best, best_weight = None, 0.0
    for offer in offers:
        essence = offer.partition(";")[0].strip().lower()
        kind = essence.partition("/")[0]
        for pattern in (essence, f"{kind}/*", "*/*"):  # the most specific that matches decides
            if pattern in liked:
                if liked[pattern] > best_weight:
                    best, best_weight = offer, liked[pattern]
                break
    return best


def _best_encoding(accept_encoding: str, offers: tuple[str, ...]) -> str:
    liked = weights(accept_encoding)
    others = liked.get("*", 0.0)
    best, best_weight = "identity", liked.get("identity", 0.0)
    for offer in offers:
        weight = liked.get(offer, others if offer != "identity" else 0.0)
        if weight > 0 and (weight > best_weight or (best == "identity" and weight >= best_weight)):
            best, best_weight = offer, weight
    return best


_cached_type = lru_cache(1024)(_best_type)
_cached_encoding = lru_cache(1024)(_best_encoding)
