"""Conditional requests (RFC 9110 section 13). Every validator of ours is a strong ETag; there are no dates."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from creamery.http.exchange import exchange_of

_ENTITY_TAG = re.compile(r'(W/)?("[\x21\x23-\x7e\x80-\xff]*")')


def quoted(opaque: str) -> str:
    """`opaque` as a strong entity tag."""
    return f'"{opaque}"'


def is_strong(etag: str) -> bool:
    """May it be compared byte for byte?"""
    return etag.startswith('"')


def etag_matches(header: str, etag: str) -> bool:
    """Does an `If-None-Match` name `etag`? Weakly compared: `W/"x"` is `"x"` (RFC 9110 section 13.1.2)."""
    if header == etag or header.strip() == "*":
        return True
    opaque = etag.removeprefix("W/")
    return any(found.group(2) == opaque for found in _ENTITY_TAG.finditer(header))


def etag_matches_strongly(header: str, etag: str) -> bool:
    """Does an `If-Match` name `etag`? A weak tag on either side never matches (RFC 9110 section 13.1.1)."""
    if header.strip() == "*":
        return True
    return is_strong(etag) and any(
        not found.group(1) and found.group(2) == etag for found in _ENTITY_TAG.finditer(header)
    )


def is_not_modified(scope: Mapping[str, Any], etag: str) -> bool:
    """Does the client already have what has this `etag` (304)?"""
    header = header_of(scope, b"if-none-match")
    return header is not None and etag_matches(header, etag)


def precondition(scope: Mapping[str, Any], etag: str | None) -> int | None:
    """304, 412 or None, for reading what has `etag`; in the order of RFC 9110 section 13.2.2."""
    headers = exchange_of(scope).headers
    if b"if-none-match" not in headers and b"if-match" not in headers:
        return None
    if_none_match, if_match = header_of(scope, b"if-none-match"), header_of(scope, b"if-match")
    if if_match is not None and not etag_matches_strongly(if_match, etag or ""):
        return 412
    if if_none_match is not None and etag is not None and etag_matches(if_none_match, etag):
        return 304
    return None


def if_range_holds(header: str | None, etag: str | None) -> bool:
    """May a range be taken from the present representation? Dates and weak tags never hold (section 13.1.5)."""
    return header is None or (etag is not None and is_strong(etag) and header.strip() == etag)


def header_of(scope: Mapping[str, Any], name: bytes) -> str | None:
    """A request's header, all its lines joined; None where there is none. `name` in lower case.

    Takes a Starlette request as well as its scope.
    """
    value = exchange_of(scope).headers.get(name)
    return None if value is None else value.decode("latin-1")
