"""When a request may do what it asks: the `If` header (RFC 4918 section 10.4), `If-Match` and `If-None-Match`.

Both are judged inside the transaction that writes, from values that were read before it began.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from creamery.http import etag_matches, etag_matches_strongly
from creamery.limits import Limits

_BLANKS = re.compile("[ \t]*")
_TAG = re.compile(r"<([^<>\x00-\x1f\x7f]+)>")
_CONDITION = re.compile(
    r"""
    (?P<negated> [Nn][Oo][Tt] [ \t]* )?
    (?:
        < (?P<token> [^<>\x00-\x20\x7f]+ ) >
      | \[ [ \t]* (?P<etag> (?:W/)? "[^"\x00-\x1f\x7f]*" ) [ \t]* \]
    )
    """,
    re.VERBOSE,
)


class BadIf(ValueError):
    """The `If` header cannot be read, or is beyond its bounds (400): the write is not to happen unguarded."""


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition: a state token or an entity tag, the other is None; `negated`: it must not hold."""

    negated: bool
    token: str | None = None
    etag: str | None = None


@dataclass(frozen=True, slots=True)
class ConditionList:
    """Conditions that must hold together.

    Attributes:
        tag: of which resource they speak, as it was sent (an address or an absolute path); None: of the request's.
        conditions: at least one.
    """

    tag: str | None
    conditions: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class If:
    """The header: one of its lists has to be true."""

    lists: tuple[ConditionList, ...]


@dataclass(frozen=True, slots=True)
class State:
    """What a resource is like.

    Attributes:
        etag: of what is there; None: nothing is, or it has none.
        tokens: the state tokens that match it: of locks that cover it, from above too, and its sync-token (RFC 6578
            section 5).
    """

    etag: str | None = None
    tokens: frozenset[str] = frozenset()


def parse_if(header: str, limits: Limits) -> If:
    """The header, strictly: what is let through unread would be a write without the guard that was asked for.

    Entity tags may hold `)`, `]`, blanks and commas; blanks between parts may be there or not; a state token is any
    text without blanks, since one that is no URI cannot match either.

    Raises:
        BadIf: it is malformed, speaks of tagged resources after it began without a tag, or is beyond
            `limits.if_bytes` or `limits.if_lists`.
    """
    if len(header) > limits.if_bytes:
        raise BadIf(f"The If header has {len(header)} bytes, and {limits.if_bytes} is the most (limits.if_bytes)")
    lists: list[ConditionList] = []
    tag: str | None = None
    place = _skip(header, 0)
    while place < len(header):
        if found := _TAG.match(header, place):
            if lists and tag is None:
                raise BadIf("The If header names a resource after a list that names none: name one for each")
            tag = found[1]
            place = _skip(header, found.end())
        conditions, place = _conditions(header, place)
        lists.append(ConditionList(tag, conditions))
        if len(lists) > limits.if_lists:
            raise BadIf(f"The If header has more than {limits.if_lists} lists (limits.if_lists)")
    if not lists:
        raise BadIf("The If header is empty: leave it out, or send a list such as (<urn:uuid:...>)")
    return If(tuple(lists))


def _conditions(header: str, place: int) -> tuple[tuple[Condition, ...], int]:
    if not header.startswith("(", place):
        raise _malformed(place)
    found: list[Condition] = []
    place = _skip(header, place + 1)
    while match := _CONDITION.match(header, place):
        found.append(Condition(match["negated"] is not None, match["token"], match["etag"]))
        place = _skip(header, match.end())
    if not found or not header.startswith(")", place):
        raise _malformed(place)
    return tuple(found), _skip(header, place + 1)


def _skip(header: str, place: int) -> int:
    blanks = _BLANKS.match(header, place)
    return blanks.end() if blanks else place


def _malformed(place: int) -> BadIf:
    return BadIf(f'The If header is malformed at character {place + 1}: it is lists such as (<urn:uuid:...> ["etag"])')


def evaluate(header: If, look: Callable[[str | None], State]) -> bool:
    """Does one of its lists hold? False is 412, before any lock is looked at (RFC 4918 section 10.4.3).

    Entity tags are compared weakly, as RFC 4918 section 10.4.4 leaves to the server: proxies that compress make
    `W/"x"` of ours. `<DAV:no-lock>` is a token that nothing has.

    Args:
        header: what was sent.
        look: the state of what a tag names, None for the request's own resource. Asked once for each; for another
            server's resource and for what is not there it answers `State()`.
    """
    states: dict[str | None, State] = {}
    for each in header.lists:
        state = states.get(each.tag)
        if state is None:
            state = states[each.tag] = look(each.tag)
        if all(_holds(condition, state) != condition.negated for condition in each.conditions):
            return True
    return False


def _holds(condition: Condition, state: State) -> bool:
    if condition.token is not None:
        return condition.token in state.tokens and condition.token != "DAV:no-lock"  # noqa: S105 - RFC 4918 10.4.8
    if condition.etag is None or state.etag is None:
        return False
    return condition.etag.removeprefix("W/") == state.etag.removeprefix("W/")


def submitted(header: If | None) -> frozenset[str]:
    """All tokens in the header, wherever they stand: their sender knows of these locks (RFC 4918 section 10.4.1).

    A lock that guards what is written, and whose token is not among them, is 423.
    """
    if header is None:
        return frozenset()
    return frozenset(
        condition.token for each in header.lists for condition in each.conditions if condition.token is not None
    )


@dataclass(frozen=True, slots=True)
class Preconditions:
    """`If-Match` and `If-None-Match` as they were sent, None where they were not (RFC 9110 section 13.1)."""

    if_match: str | None = None
    if_none_match: str | None = None

    @classmethod
    def of(cls, headers: Mapping[bytes, bytes]) -> Preconditions:
        """Those of a request; `headers` as an Exchange has them."""
        if_match, if_none_match = headers.get(b"if-match"), headers.get(b"if-none-match")
        return cls(
            None if if_match is None else if_match.decode("latin-1"),
            None if if_none_match is None else if_none_match.decode("latin-1"),
        )

    def check(self, etag: str | None, exists: bool) -> bool:  # noqa: FBT001 - a pair, as the tree finds it
        """May a request go on that changes what has this `etag`? False is 412.

        What is no entity tag matches nothing: Joplin sends `If-None-Match: JoplinIgnore-123` with everything, so that
        the cache of iOS has nothing to add.

        Args:
            etag: of what is there; None where nothing is, or what is there has none.
            exists: whether something is there.
        """
        if self.if_match is not None and not (exists and etag_matches_strongly(self.if_match, etag or "")):
            return False
        if self.if_none_match is None or not exists:
            return True
        if etag is None:  # a folder without a tag is matched by any, and by no tag
            return self.if_none_match.strip() != "*"
        return not etag_matches(self.if_none_match, etag)
