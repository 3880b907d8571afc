"""PROPPATCH (RFC 4918 section 9.2): all of it, in its order, or nothing.

What the hub itself tells of a file cannot be set, but for the time of its last change, which several clients say in
words of their own. Windows sends its own four times and attributes after each file, and calls the copy failed where it
is refused them; they are kept as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime

from starlette.requests import Request
from starlette.responses import Response

from creamery.hive.dav.answering import xml_answer
from creamery.hive.dav.asking import Asked
from creamery.hive.dav.bodies import Remove, Set, parse_propertyupdate
from creamery.hive.dav.multistatus import END, HEAD, propstat, response
from creamery.hive.dav.properties import LIVE, empty
from creamery.hive.dav.tongue import Tongue
from creamery.hive.names import href
from creamery.hive.properties import Patch, patch

_HTTP_DATES = frozenset({"{DAV:}getlastmodified", "{urn:schemas-microsoft-com:}Win32LastModifiedTime"})
_SECONDS = frozenset({"{DAV:}lastmodified"})
"""rclone's, for ownCloud and Nextcloud."""
_MAX_DIGITS = 11
_PROTECTED = "<d:cannot-modify-protected-property/>"


@dataclass(frozen=True, slots=True)
class Reading:
    """What a list of changes comes to.

    Attributes:
        patch: for the tree; None: nothing is to be done.
        statuses: by property, in order, what is told of it.
    """

    patch: Patch | None
    statuses: dict[str, str]


async def proppatch(tongue: Tongue, request: Request, asked: Asked) -> Response:
    """Properties set and removed (207): each is told once."""
    reading = read(parse_propertyupdate(await tongue.xml(request), tongue.limits))
    wanted, most = reading.patch, tongue.limits.dav_properties
    is_folder = asked.spot.path.is_folder
    if wanted is not None:
        changed = await tongue.write(
            lambda connection: patch(connection, asked.act, asked.spot.place, wanted, most, asked.check(connection))
        )
        is_folder = changed.is_folder
    address = asked.spot.base + href(asked.spot.path.segments, is_folder)
    body = b"".join([HEAD, response(address, told(reading.statuses)), END])
    return xml_answer(body)


def read(changes: Sequence[Set | Remove]) -> Reading:
    """What is to be done, or why none of it can be."""
    statuses: dict[str, str] = {}
    dead: list[tuple[str, str | None]] = []
    mtime: int | None = None
    for each in changes:
        status = "200 OK"
        if isinstance(each, Set) and each.name in _HTTP_DATES | _SECONDS:
            moment = _moment(each)
            mtime = moment if moment is not None else mtime
            status = "200 OK" if moment is not None else "409 Conflict"
        elif each.name in LIVE:
            status = "403 Forbidden"
        if each.name not in LIVE:
            dead.append((each.name, each.xml if isinstance(each, Set) else None))
        if statuses.get(each.name, "200 OK") == "200 OK":
            statuses[each.name] = status
    if any(status != "200 OK" for status in statuses.values()):
        failed = {name: "424 Failed Dependency" if status == "200 OK" else status for name, status in statuses.items()}
        return Reading(None, failed)
    return Reading(Patch(dead, mtime), statuses)


def told(statuses: dict[str, str]) -> str:
    """The propstats of an answer, one for each status."""
    by_status: dict[str, list[str]] = {}
    for name, status in statuses.items():
        by_status.setdefault(status, []).append(empty(name))
    texts = []
    for status, elements in by_status.items():
        text = propstat("".join(elements), status)
        if status.startswith("403"):
            text = text.replace("</d:propstat>", f"<d:error>{_PROTECTED}</d:error></d:propstat>")
        texts.append(text)
    return "".join(texts)


def _moment(said: Set) -> int | None:
    """Microseconds since 1970; None where it is no time that files have."""
    text = said.text.strip()
    if said.name in _SECONDS:
        return int(text) * 1_000_000 if text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS else None
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    moment = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    micros = int(moment.timestamp() * 1_000_000)
    return micros if micros >= 0 else None
