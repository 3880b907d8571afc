"""PUT: a file's bytes, hashed while they arrive, durable and in their place before the answer is sent."""

from __future__ import annotations

import re
from typing import NamedTuple

from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response

from creamery.blobs import Part, TooLong
from creamery.contract import Digest
from creamery.hive.dav.answering import DavProblem, answer
from creamery.hive.dav.asking import Asked
from creamery.hive.dav.headers import BadHeader
from creamery.hive.dav.tongue import Tongue
from creamery.hive.errors import IsFolder, OverQuota, ParentMissing
from creamery.hive.ledger import Space, refuse_over_quota, space_row
from creamery.hive.quotas import most_bytes
from creamery.hive.tree import Content, Done
from creamery.hive.tree import put as put_file
from creamery.http import Problem, header_of, receive_file

ALGORITHMS = ("sha1",)
"""Beside SHA-256: what desktop clients compare files by."""

_SECONDS = re.compile(r"([0-9]{1,11})(?:\.([0-9]{1,6})[0-9]*)?", re.ASCII)
_CHECKSUM = re.compile(r"(SHA1|SHA256|MD5):([0-9a-fA-F]+)", re.ASCII)


async def put(tongue: Tongue, request: Request, asked: Asked) -> Response:
    """A file, new (201) or with other bytes (204); what it had before is kept as a version."""
    scope = request.scope
    if header_of(scope, b"content-range") is not None:
        raise BadHeader("Content-Range", "A part of a file cannot be PUT (RFC 9110 section 14.5): send the whole file")
    place = asked.spot.place
    if not place.names:
        raise IsFolder("/")
    if asked.spot.path.is_folder:
        raise DavProblem(409, f"{place}/ is written as a folder, and PUT makes files: leave the last slash out.")
    length, mtime = _length(request), _mtime(header_of(scope, b"x-oc-mtime"))
    if length is not None and length <= tongue.limits.small_bytes:
        part = await _received(tongue, request, asked)
    else:
        room = await tongue.read(lambda connection: refuse_early(connection, asked, length or 0))
        quota, on_their_way = asked.act.quota, tongue.reservations.of(room.space.id)
        most = most_bytes(room.space, quota, on_their_way, room.replaced) if length is None else None
        with tongue.reservations.reserve(room.space, (length or 0) - room.replaced, quota):
            part = await _received(tongue, request, asked, most)
    try:
        _refuse_other_bytes(request, part)
        done = await _kept(tongue, asked, part, mtime)
    except BaseException:
        part.abort(ConnectionError("the file was refused"))
        raise
    headers = {"ETag": tongue.etags.of(place.space_id, done.node)}
    if header_of(scope, b"x-oc-mtime") is not None:
        headers["X-OC-Mtime"] = "accepted"
    return answer(201 if done.is_new else 204, headers)


class Room(NamedTuple):
    """What many bytes would come into.

    Attributes:
        space: as it is now.
        replaced: bytes of the file whose place they take.
    """

    space: Space
    replaced: int


def refuse_early(connection: Connection, asked: Asked, length: int) -> Room:
    """Before many bytes move: would they have a place at all? Whoever writes asks again.

    Raises:
        ParentMissing, IsFolder, ConditionFailed, LockedBy, OverQuota: they would not.
    """
    row, found = asked.spot.find(connection)
    place = asked.spot.place
    if not found.has_parent:
        raise ParentMissing(str(place))
    if found.node is not None and not found.node.is_file:
        raise IsFolder(str(place))
    asked.check(connection, space_row)(found.node)
    replaced = 0 if found.node is None else found.node.size
    refuse_over_quota(row, length - replaced, asked.act.quota)
    return Room(row, replaced)


async def _received(tongue: Tongue, request: Request, asked: Asked, most: int | None = None) -> Part:
    """The bytes. `most`: as many as may come of a body that has not said how many it has.

    Raises:
        OverQuota: at the first byte too many.
    """
    row = asked.spot.space

    def begin(filename: str, announced: int | None) -> Part:
        return tongue.hub.blobs.begin(
            announced,
            f"hive {row.id} {filename}",
            at_most=most if announced is None else None,
            is_set_aside=False,
            algorithms=ALGORITHMS,
        )

    try:
        return await receive_file(request, asked.spot.path.name, begin=begin, limits=tongue.limits)
    except Problem as error:
        cause = error.__cause__
        if most is not None and isinstance(cause, TooLong) and cause.limit == most:
            raise OverQuota(most + 1, most) from error
        raise


async def _kept(tongue: Tongue, asked: Asked, part: Part, mtime: int | None) -> Done:
    blobs = tongue.hub.blobs
    digests = part.other_digests

    def reference(connection: Connection, digest: Digest) -> Done:
        done = put_file(
            connection,
            asked.act,
            asked.spot.place,
            Content(digest, part.written, mtime),
            asked.check(connection),
        )
        blobs.note_digests(connection, digest, digests)
        return done

    return await blobs.keep(part, reference, gathers=True)


def _length(request: Request) -> int | None:
    said = header_of(request.scope, b"content-length")
    return None if said is None else int(said)  # digits alone: the protocol has read it


def _mtime(said: str | None) -> int | None:
    """Seconds since 1970 as ownCloud's clients send them, in microseconds.

    Raises:
        BadHeader: no such number.
    """
    if said is None:
        return None
    found = _SECONDS.fullmatch(said.strip())
    if found is None:
        raise BadHeader("X-OC-Mtime", f"X-OC-Mtime is {said[:20]!r}, and should be seconds since 1970")
    return int(found[1]) * 1_000_000 + int((found[2] or "").ljust(6, "0") or 0)


def _refuse_other_bytes(request: Request, part: Part) -> None:
    """Are these the bytes that the client meant to send? Finder says their number, ownCloud's clients a checksum."""
    scope = request.scope
    expected = header_of(scope, b"x-expected-entity-length")
    if expected is not None and expected.strip() != str(part.written):
        raise BadHeader(
            "X-Expected-Entity-Length", f"{part.written} bytes came instead of {expected[:20]!r}: send the file again"
        )
    found = _CHECKSUM.fullmatch((header_of(scope, b"oc-checksum") or "").strip())
    if found is None:
        return
    own = {"SHA256": part.digest or "", "SHA1": part.other_digests["sha1"]}.get(found[1])
    if own is not None and own != found[2].lower():
        raise BadHeader("OC-Checksum", f"The bytes that came have the {found[1]} {own}: send the file again")
