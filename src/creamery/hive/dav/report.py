"""REPORT: what changed in a folder since a token (sync-collection, RFC 6578)."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response

from creamery.hive.changes import StaleToken, Told, TooManyResults, everything, serial_of, since, token_of
from creamery.hive.dav.answering import DavProblem, xml_answer
from creamery.hive.dav.asking import Asked
from creamery.hive.dav.bodies import Propfind, SyncCollection, parse_report
from creamery.hive.dav.headers import BadHeader
from creamery.hive.dav.multistatus import END, HEAD, Answer, Entry, Multistatus, response, status
from creamery.hive.dav.tongue import Tongue
from creamery.hive.dav.xml import escape
from creamery.hive.errors import IsFile, NotThere
from creamery.hive.ledger import Space
from creamery.hive.names import href
from creamery.hive.properties import read_properties
from creamery.http import header_of

_CUT = "<d:error><d:number-of-matches-within-limits/></d:error>"


async def report(tongue: Tongue, request: Request, asked: Asked) -> Response:
    """What was made, changed and removed in a folder since a token, and the next token (207)."""
    if (header_of(request.scope, b"depth") or "0").strip() != "0":
        raise BadHeader("Depth", "A sync-collection has the Depth 0: how far down is said by its sync-level")
    wish = parse_report(await tongue.xml(request), tongue.limits)
    try:
        body = await tongue.read(lambda connection: _answer(tongue, asked, wish, connection))
    except StaleToken as error:
        raise DavProblem(403, str(error), "<d:valid-sync-token/>") from error
    except TooManyResults as error:
        raise DavProblem(507, str(error), "<d:number-of-matches-within-limits/>") from error
    return xml_answer(body)


def _answer(tongue: Tongue, asked: Asked, wish: SyncCollection, connection: Connection) -> bytes:
    row, found = asked.spot.find(connection)
    folder = found.node
    if folder is None:
        raise NotThere(str(asked.spot.place))
    if not folder.is_folder:
        raise IsFile(str(asked.spot.place))
    is_deep = wish.level == "infinite"
    most = min(wish.limit or tongue.limits.dav_entries, tongue.limits.dav_entries)
    if wish.token:
        serial = serial_of(wish.token, row, tongue.etags.epoch)
        told = since(connection, row, folder, serial, is_deep=is_deep, most=most)
    else:
        told = everything(connection, row, folder, is_deep=is_deep, most=most)
    return b"".join(_document(tongue, asked, wish, row, told, connection))


def _document(
    tongue: Tongue, asked: Asked, wish: SyncCollection, row: Space, told: Told, connection: Connection
) -> Iterator[bytes]:
    base = asked.spot.base
    above = asked.spot.path.segments
    statuses = Multistatus(Propfind("prop", wish.names), Answer(epoch=tongue.etags.epoch, space=row.id))
    dead = read_properties(connection, [each.id for _, each in told.there if each.flags])
    yield HEAD
    for path, each in told.there:
        yield statuses.itself(base + href((*above, *path), each.is_folder), Entry.of(each), dead)
    for path in told.gone:
        yield response(base + href((*above, *path), is_folder=False), status("404 Not Found"))
    if told.is_cut:
        yield response(base + href(above, is_folder=True), status("507 Insufficient Storage") + _CUT)
    token = token_of(row.id, tongue.etags.epoch, told.serial)
    yield f"<d:sync-token>{escape(token)}</d:sync-token>".encode()
    yield END
