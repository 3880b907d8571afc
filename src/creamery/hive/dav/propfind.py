"""PROPFIND (RFC 4918 section 9.1): what something is, and what lies in it.

A folder is read in pages, each in a snapshot and a thread of its own, and sent as it is read: memory stays flat and
nobody waits for the last row. What changes meanwhile changes the folder's ETag, and whoever compares it lists again.
Large answers are kept, compressed, under that ETag: a client that asks again for what has not changed gets the same
bytes.
"""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from functools import partial

from sqlalchemy import Connection, bindparam, null, select
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from creamery.database import Prepared
from creamery.hive.changes import token_of
from creamery.hive.dav.answering import PRIVATE, XML, DavProblem
from creamery.hive.dav.asking import Asked
from creamery.hive.dav.bodies import Propfind, parse_propfind
from creamery.hive.dav.headers import Preferences, parse_depth, parse_prefer
from creamery.hive.dav.lockshow import Shown, shown_locks
from creamery.hive.dav.multistatus import END, HEAD, Answer, Dead, Entry, Multistatus, Row
from creamery.hive.dav.tongue import Tongue
from creamery.hive.errors import NotThere
from creamery.hive.ledger import Space, space_row
from creamery.hive.names import href, key_of
from creamery.hive.nodes import Found, Node
from creamery.hive.properties import read_properties
from creamery.hive.tables import FOLDER, HAS_PROPERTIES, node
from creamery.http import BytesResponse, header_of, negotiate_encoding

PAGE = 1_000
KEPT_FROM = 500
"""Members of a folder whose answer is worth keeping."""
GZIPPED_FROM = 1_024

_MEMBERS = Prepared(
    select(*[node.c[name] for name in Entry._fields[:8]], null(), node.c.flags)
    .where(node.c.parent_id == bindparam("parent"), node.c.name_key > bindparam("after"))
    .order_by(node.c.name_key)
    .limit(bindparam("limit"))
)
_FOLDERS_TOO_DEEP = "<d:propfind-finite-depth/>"


@dataclass(frozen=True, slots=True)
class _View:
    """What an answer is made of: the thing itself, a first page of what lies in it, and how all of it looks."""

    space: Space
    found: Found
    there: Node
    page: list[Row]
    dead: Dead
    locks: Shown
    available: int | None


@dataclass(frozen=True, slots=True)
class _Wish:
    """What somebody wants to see, how far down, and in which form."""

    ask: Propfind
    depth: str
    prefer: Preferences
    encoding: str


async def propfind(tongue: Tongue, request: Request, asked: Asked) -> Response:
    """Properties of a file or folder and, with `Depth: 1`, of what lies in the folder (207)."""
    scope = request.scope
    ask = parse_propfind(await tongue.xml(request), tongue.limits)
    depth = parse_depth(header_of(scope, b"depth"))
    prefer = parse_prefer(header_of(scope, b"prefer"), header_of(scope, b"brief"))
    encoding = negotiate_encoding(header_of(scope, b"accept-encoding"), ("gzip",))
    wish = _Wish(ask, depth, prefer, encoding)
    view = await tongue.read(partial(_look, tongue, asked, wish))
    key = _key(tongue, asked, wish, view)
    kept = tongue.documents.get(key) if key is not None else None
    if kept is not None:
        return BytesResponse(kept, _headers(wish, "gzip"), 207)
    if depth == "infinity" and view.there.is_folder:
        pieces = await tongue.read(partial(_all_below, tongue, asked, wish, view))
        return (await _whole(tongue, wish, pieces))[0]
    if len(view.page) < PAGE:
        pieces = await tongue.hub.pools.cpu.run(lambda: list(_document(tongue, asked, wish, view)))
        response, squeezed = await _whole(tongue, wish, pieces)
        if key is not None and squeezed is not None:
            tongue.documents.put(key, squeezed)
        return response
    return StreamingResponse(
        _stream(tongue, asked, wish, view, key),
        207,
        {name.decode(): value.decode() for name, value in _headers(wish, encoding)},
    )


def _look(tongue: Tongue, asked: Asked, wish: _Wish, connection: Connection) -> _View:
    row, found = asked.spot.find(connection)
    asked.check_condition(connection)
    there = found.node
    if there is None or (there.is_file and asked.spot.path.is_folder):
        raise NotThere(str(asked.spot.place))
    page = _members(connection, there.id, "") if there.is_folder and wish.depth == "1" else []
    dead = _dead(connection, page, there)
    locks = shown_locks(connection, row, found, asked.spot.base, asked.act.now)
    return _View(row, found, there, page, dead, locks, tongue.available(row, asked.act.quota))


def _dead(connection: Connection, rows: list[Row], itself: Node | None = None) -> Dead:
    """Asked only for what may have some, which its flag tells."""
    wanted = [row[0] for row in rows if row[9] & HAS_PROPERTIES]
    if itself is not None and itself.flags & HAS_PROPERTIES:
        wanted.append(itself.id)
    return read_properties(connection, wanted)


def _members(connection: Connection, parent_id: int, after: str) -> list[Row]:
    values = {"parent": parent_id, "after": after, "limit": PAGE}
    return _MEMBERS.run(connection, values).fetchall()  # type: ignore[return-value]


def _answer(tongue: Tongue, asked: Asked, view: _View) -> Answer:
    row = view.space
    return Answer(
        epoch=tongue.etags.epoch,
        space=row.id,
        quota_used=row.used_files + row.used_versions + row.used_trash,
        quota_available=view.available,
        sync_token=token_of(row.id, tongue.etags.epoch, row.serial),
        principal=f"/dav/files/{asked.principal.name}/",
        owner=asked.spot.base + "/",
        privileges=("read", "write", "write-content", "bind", "unbind"),
    )


def _itself(status: Multistatus, asked: Asked, view: _View) -> bytes:
    there, names = view.there, asked.spot.path.segments
    entry = Entry.of(there) if names else Entry.of(there, asked.spot.space.name)
    address = asked.spot.base + href(names, there.is_folder)
    return status.itself(address, entry, view.dead, view.locks.of_itself)


def _document(tongue: Tongue, asked: Asked, wish: _Wish, view: _View) -> Iterator[bytes]:
    status = Multistatus(wish.ask, _answer(tongue, asked, view), minimal=wish.prefer.minimal)
    yield HEAD
    if not (wish.prefer.noroot and wish.depth == "1"):
        yield _itself(status, asked, view)
    if view.page:
        base = asked.spot.base + href(asked.spot.path.segments, is_folder=True)
        yield from status.members(base, view.page, view.dead, view.locks.of_member)
    yield END


def _all_below(tongue: Tongue, asked: Asked, wish: _Wish, view: _View, connection: Connection) -> list[bytes]:
    """With `Depth: infinity`: everything, where that is not too much.

    Raises:
        DavProblem: 403, it is.
    """
    status = Multistatus(wish.ask, _answer(tongue, asked, view), minimal=wish.prefer.minimal)
    pieces = [HEAD, _itself(status, asked, view)]
    waiting = [(view.there.id, asked.spot.base + href(asked.spot.path.segments, is_folder=True))]
    count = 0
    while waiting:
        folder, base = waiting.pop()
        for rows in _pages(connection, view.space, folder):
            count += len(rows)
            if count > tongue.limits.dav_entries:
                raise DavProblem(
                    403,
                    f"More than {tongue.limits.dav_entries} files and folders lie below (limits.dav_entries).",
                    _FOLDERS_TOO_DEEP,
                    remedy="Ask with 'Depth: 1', folder by folder.",
                )
            pieces += status.members(base, rows, _dead(connection, rows), view.locks.of_member)
            waiting += [(each[0], base + href((each[1],), is_folder=True)[1:]) for each in rows if each[2] == FOLDER]
    return [*pieces, END]


def _pages(connection: Connection, row: Space, folder_id: int) -> Iterator[list[Row]]:
    """All that lies in a folder; the last page is the one that is not full."""
    rows = _members(connection, folder_id, "")
    yield rows
    while len(rows) == PAGE:
        rows = _members(connection, folder_id, _key_of_last(row, rows))
        yield rows


def _key_of_last(row: Space, rows: list[Row]) -> str:
    return key_of(rows[-1][1], row.case_policy)


async def _stream(tongue: Tongue, asked: Asked, wish: _Wish, view: _View, key: object | None) -> AsyncIterator[bytes]:
    """Page by page; kept at its end where the folder is as it was at its beginning."""
    status = Multistatus(wish.ask, _answer(tongue, asked, view), minimal=wish.prefer.minimal)
    base = asked.spot.base + href(asked.spot.path.segments, is_folder=True)
    squeeze = _Squeezed() if wish.encoding == "gzip" else None
    rows, dead = view.page, view.dead
    start = b"" if wish.prefer.noroot else _itself(status, asked, view)
    first: list[bytes] = [HEAD, start]
    sent: list[bytes] = []

    def render(rows: list[Row], dead: Dead, before: list[bytes], *, is_last: bool) -> bytes:
        pieces = [*before, *status.members(base, rows, dead, view.locks.of_member), *([END] if is_last else [])]
        return b"".join(pieces) if squeeze is None else squeeze.take(b"".join(pieces), is_last=is_last)

    while True:
        is_last = len(rows) < PAGE
        piece = await tongue.hub.pools.cpu.run(partial(render, is_last=is_last), rows, dead, first)
        if key is not None and squeeze is not None:
            sent.append(piece)
        yield piece
        if is_last:
            break
        first = []
        after = _key_of_last(view.space, rows)
        rows, dead, is_same = await tongue.read(partial(_next_page, view, after))
        key = key if is_same else None
    if key is not None and sent:
        tongue.documents.put(key, b"".join(sent))


def _next_page(view: _View, after: str, connection: Connection) -> tuple[list[Row], Dead, bool]:
    rows = _members(connection, view.there.id, after)
    dead = _dead(connection, rows)
    row = space_row(connection, view.space.id)
    return rows, dead, row is not None and row.serial == view.space.serial


class _Squeezed:
    """gzip as it goes."""

    def __init__(self) -> None:
        self._inner = zlib.compressobj(1, zlib.DEFLATED, 31)

    def take(self, data: bytes, *, is_last: bool) -> bytes:
        """What can be sent after these bytes."""
        squeezed = self._inner.compress(data)
        return squeezed + (self._inner.flush() if is_last else self._inner.flush(zlib.Z_SYNC_FLUSH))


async def _whole(tongue: Tongue, wish: _Wish, pieces: list[bytes]) -> tuple[Response, bytes | None]:
    """The answer in one piece, and its body where that is compressed."""
    body = b"".join(pieces)
    if wish.encoding != "gzip" or len(body) < GZIPPED_FROM:
        return BytesResponse(body, _headers(wish, "identity"), 207), None
    squeezed = await tongue.hub.pools.cpu.run(partial(_Squeezed().take, body, is_last=True))
    return BytesResponse(squeezed, _headers(wish, "gzip"), 207), squeezed


def _headers(wish: _Wish, encoding: str) -> list[tuple[bytes, bytes]]:
    headers = [XML, PRIVATE, (b"vary", b"Accept-Encoding, Brief, Prefer")]
    if encoding == "gzip":
        headers.append((b"content-encoding", b"gzip"))
    if wish.prefer.applied:
        headers.append((b"preference-applied", wish.prefer.applied.encode()))
    return headers


def _key(tongue: Tongue, asked: Asked, wish: _Wish, view: _View) -> object | None:
    """What an answer is kept under; None where it is not worth it, or says more than the folder's ETag does."""
    if wish.encoding != "gzip" or view.space.lock_count or len(view.page) < KEPT_FROM or wish.depth != "1":
        return None
    etag = tongue.etags.of(view.space.id, view.there)
    quota = (view.space.used_versions, view.space.used_trash, view.available)
    return (etag, wish, asked.spot.base, asked.spot.path.segments, asked.principal.name, quota)
