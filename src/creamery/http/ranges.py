"""Byte ranges: what a Range header asks of something with a known size (RFC 9110 section 14)."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import NamedTuple

MAX_DIGITS = 18  # more than any file's size has; int() refuses 5,000 of them, so they are never given to it

_SPECIFIER = re.compile(r"[ \t]*([0-9]*)-([0-9]*)[ \t]*", re.ASCII)


class ByteRange(NamedTuple):
    """From `start` up to, and without, `stop`."""

    start: int
    stop: int

    @property
    def length(self) -> int:
        """Its bytes."""
        return self.stop - self.start


class RangeNotSatisfiable(Exception):
    """Nothing of what was asked exists (416)."""


def parse_range(header: str, size: int, *, asked: int = 1_000, answered: int = 32) -> tuple[ByteRange, ...] | None:
    """The ranges to answer; None where the header is to be ignored and the whole sent.

    Ignored are, as RFC 9110 section 14.2 allows: other units, malformed sets, more than `asked` ranges, and what
    still is more than `answered` ranges after those that overlap were put together.

    Raises:
        RangeNotSatisfiable: the set is well-formed and none of it lies within `size`.
    """
    unit, equals, listed = header.partition("=")
    if not equals or unit.strip().lower() != "bytes" or listed.count(",") >= asked:
        return None
    found: list[ByteRange] = []
    well_formed = 0
    for specifier in listed.split(","):
        if not specifier.strip(" \t"):
            continue  # RFC 9110 section 5.6.1: empty elements of a list are no error
        match = _SPECIFIER.fullmatch(specifier)
        if match is None:
            return None
        first, last = match.groups()
        if not first and not last:
            return None
        if first and last and _number(last) < _number(first):
            return None
        well_formed += 1
        asked_range = _within(first, last, size)
        if asked_range is not None:
            found.append(asked_range)
    if not well_formed:
        return None
    if not found:
        raise RangeNotSatisfiable
    together = _together(found)
    return together if len(together) <= answered else None


def _number(digits: str) -> int:
    digits = digits.lstrip("0")
    return 10**MAX_DIGITS if len(digits) > MAX_DIGITS else int(digits or "0")


def _within(first: str, last: str, size: int) -> ByteRange | None:
    if not first:
        suffix = _number(last)
        return ByteRange(max(0, size - suffix), size) if suffix and size else None
    start = _number(first)
    if start >= size:
        return None
    return ByteRange(start, min(size, _number(last) + 1) if last else size)


def _together(ranges: list[ByteRange]) -> tuple[ByteRange, ...]:
    """Overlapping ranges as one, or a client could ask for a file a thousand times over; else the order asked."""
    in_order = sorted(ranges)
    if all(before.stop < after.start for before, after in pairwise(in_order)):
        return tuple(ranges)
    merged = [in_order[0]]
    for candidate in in_order[1:]:
        if candidate.start <= merged[-1].stop:
            merged[-1] = ByteRange(merged[-1].start, max(merged[-1].stop, candidate.stop))
        else:
            merged.append(candidate)
    return tuple(merged)
