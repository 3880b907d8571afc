"""Carts over HTTP: Pacifica's protocol at `/{uuid}` and `/carts/{id}`, and what it never had below the latter."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any
from urllib.parse import quote

import orjson
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from creamery.blobs import BlobCorrupt, BlobMissing, Blobs, Extent
from creamery.bundles import BadBundle, Format, Layout
from creamery.carts import envelope, tables, upkeep
from creamery.carts.access import MANAGE, STRANGERS, USE, CartTaken, UnknownCart
from creamery.carts.bundling import LOOK_SECONDS, Bundling, Shape
from creamery.carts.carts import Carts, Progress
from creamery.carts.leases import Leases
from creamery.carts.manifest import BadManifest, ManifestTooLarge
from creamery.carts.quotas import QuotaReached
from creamery.carts.tables import Cart, CartFile
from creamery.door import Hub
from creamery.http import (
    PUBLIC,
    BlobResponse,
    Needs,
    PartsResponse,
    Problem,
    Route,
    Strangers,
    base_url,
    by_of,
    principal_of,
    quoted,
    receive_bytes,
    unauthorized,
)
from creamery.threads import Pool

RETRY_SECONDS = "2"
MAX_UID = 255
PAGE = 1_000
DIGITS = 18
EVENT_SECONDS = 1.0
_NOT_READY = "The cart is not ready for download."
_TYPES: dict[Format, str] = {"tar": "application/x-tar", "zip": "application/zip"}


class CartRoutes:
    """The protocol over the rules."""

    def __init__(self, hub: Hub, carts: Carts, bundling: Bundling, leases: Leases, strangers: Strangers) -> None:
        self._carts = carts
        self._bundling = bundling
        self._leases = leases
        self._strangers = strangers
        self._blobs: Blobs = hub.blobs
        self._pools = hub.pools
        self._database = hub.database
        self._clock = hub.clock
        self._limits = hub.settings.limits
        self._waiting = Pool("cart-live", hub.settings.limits.cart_live)
        self._live_now = 0

    def table(self, *, any_name_at_root: bool = False) -> tuple[Route, ...]:
        """What is answered, and who may ask.

        Args:
            any_name_at_root: carts alone are served: the root takes any name, and not only UUIDs.
        """
        needs = Needs(USE, "cart", is_named_later=True)
        make = partial(Route, needs=needs, renderer=envelope.render)
        at_root = partial(make, path="/{uuid}", fits=None if any_name_at_root else _names_a_uuid)
        return (
            at_root(("POST",), endpoint=self.create),
            at_root(("HEAD",), endpoint=self.status),
            at_root(("GET",), endpoint=self.download),
            at_root(("DELETE",), endpoint=self.delete),
            make(("GET",), "/carts", self.listing),
            make(("DELETE",), "/carts", self.purge, needs=Needs(MANAGE, "cart")),
            make(("POST",), "/carts/{cart}", self.create),
            make(("HEAD",), "/carts/{cart}", self.status),
            make(("GET",), "/carts/{cart}", self.download),
            make(("DELETE",), "/carts/{cart}", self.delete),
            make(("GET",), "/carts/{cart}/bundle.{format}", self.bundle),
            make(("GET",), "/carts/{cart}/status", self.progress),
            make(("GET",), "/carts/{cart}/events", self.events),
            make(("GET",), "/carts/{cart}/index.json", self.index),
            make(("POST",), "/carts/{cart}/fix", self.fix),
            make(("GET",), "/carts/{cart}/files", self.files),
            make(("GET",), "/carts/{cart}/files/{path*}", self.file),
            *(self._root() if any_name_at_root else ()),
        )

    def _root(self) -> tuple[Route, ...]:
        make = partial(Route, path="/", needs=PUBLIC, renderer=envelope.render)
        return (
            make(("GET",), endpoint=self.up),
            make(("POST", "DELETE"), endpoint=self.nameless),
            make(("GET", "POST", "DELETE"), path="/{path*}", endpoint=self.nothing),
        )

    async def up(self, request: Request) -> Response:
        """That it is there, as the original says it."""
        return envelope.answer({"message": "Pacifica Cartd Interface Up and Running"})

    async def nothing(self, request: Request) -> Response:
        """Nothing: a cart's name is one segment."""
        raise Problem(404, "Not Found", f"There is nothing at /{request.path_params['path']}.")

    async def nameless(self, request: Request) -> Response:
        """Nothing: a cart has a name."""
        raise Problem(404, "Not Found", "Missing parameters: uid")

    async def create(self, request: Request) -> Response:
        """A cart of what the JSON document lists, whatever its content type says."""
        uid = self._uid(request)
        body = await receive_bytes(request, self._limits.cart_json_bytes, "limits.cart_json_bytes")
        by, principal = by_of(request.scope, self._clock.now()), principal_of(request)
        await self._pools.cpu.run(self._carts.create, uid, body, principal, by)
        return envelope.answer({"message": "Cart Processing has begun"}, 201)

    async def status(self, request: Request) -> Response:
        """How far a cart is: 204 ready, 202 on its way, 500 failed, 404 unknown; in headers."""
        uid = self._uid(request)
        try:
            cart = (await self._find(request)).cart
        except UnknownCart as error:
            headers = {envelope.STATUS: "error", envelope.MESSAGE: envelope.header_text(str(error))}
            return envelope.bare(404, headers)
        headers = envelope.headers_of(cart)
        if cart.state in {"waiting", "staging"}:
            headers["Retry-After"] = RETRY_SECONDS
        status = {"ready": 204, "error": 500}.get(cart.state, 202)
        return envelope.bare(status, {**headers, "X-Creamery-Cart": envelope.header_text(uid)})

    async def download(self, request: Request) -> Response:
        """The bundle of a cart that is ready; 202 while it is not."""
        return await self._bundle(request, self._format(request.query_params.get("format", "tar")))

    async def bundle(self, request: Request) -> Response:
        """The bundle as tar or zip; HEAD tells its length and ETag."""
        return await self._bundle(request, self._format(request.path_params["format"]))

    async def delete(self, request: Request) -> Response:
        """Delete a cart, and all older ones of its name."""
        uid = self._uid(request)
        by = by_of(request.scope, self._clock.now())
        await self._pools.database.run(self._carts.delete, uid, principal_of(request), by)
        return envelope.answer({"message": "Cart Deleted Successfully"})

    async def fix(self, request: Request) -> Response:
        """Stage anew what has failed."""
        uid = self._uid(request)
        by = by_of(request.scope, self._clock.now())
        await self._pools.database.run(self._carts.try_again, uid, principal_of(request), by)
        return envelope.answer({"message": "Cart Processing has begun"}, 202)

    async def listing(self, request: Request) -> Response:
        """The carts of whoever asks, the newest first; `?before=` goes on."""
        self._strangers.refuse(request.scope)
        if not (principal_of(request).is_known or self._strangers.may_list()):
            raise unauthorized(request.scope, "This needs a user name and a password or token.")
        before = _number(request, "before")
        found = await self._pools.database.run(self._carts.listed, principal_of(request), PAGE, before)
        return envelope.answer({"carts": [self._carts.progress(cart).told() for cart in found]})

    async def purge(self, request: Request) -> Response:
        """Delete carts, everybody's, that have not changed for `?unchanged_for=` seconds; the oldest ones."""
        self._strangers.refuse(request.scope)
        seconds = _number(request, "unchanged_for")
        if seconds is None:
            raise Problem(400, "Bad request", "unchanged_for is missing.", remedy="Say for how many seconds.")
        by, principal = by_of(request.scope, self._clock.now()), principal_of(request)
        gone = await self._pools.database.run(self._carts.purge, seconds, principal, by)
        return envelope.answer({"deleted": [upkeep.cart_told(cart) for cart in gone]})

    async def files(self, request: Request) -> Response:
        """A cart's files: what was asked for, and what has become of each; `?after=` goes on behind a `number`."""
        uid, after = self._uid(request), _number(request, "after")
        found = await self._pools.database.run(
            self._carts.files, uid, principal_of(request), -1 if after is None else after, PAGE
        )
        return envelope.answer({"files": upkeep.files_told(found)})

    async def progress(self, request: Request) -> Response:
        """How far a cart is, with the lines that download it."""
        progress = await self._find(request)
        return envelope.answer(await self._told(request, progress))

    async def events(self, request: Request) -> Response:
        """The same again and again as it changes (server-sent events), until the cart is ready, failed or gone."""
        first = await self._find(request)

        async def stream() -> AsyncIterator[bytes]:
            told, progress = b"", first
            while True:
                now = orjson.dumps(await self._told(request, progress))
                if now != told:
                    told = now
                    yield b"event: progress\ndata: " + now + b"\n\n"
                if progress.cart.state in {"ready", "error"}:
                    return
                await self._clock.pause(EVENT_SECONDS)
                try:
                    progress = await self._find(request)
                except UnknownCart:
                    yield b"event: gone\ndata: {}\n\n"
                    return

        headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
        return StreamingResponse(stream(), media_type="text/event-stream", headers=headers)

    async def index(self, request: Request) -> Response:
        """Each file's offset in the tar, its size, time and digest."""
        cart = (await self._find(request)).cart
        layout = await self._layout(request, cart, "tar")
        body = await self._pools.cpu.run(_index_of, layout)
        return envelope.bare(200, {"content-type": "application/json", "etag": quoted(f"{layout.etag}-index")}, body)

    async def file(self, request: Request) -> Response:
        """One file of a cart, as soon as it is here."""
        cart = (await self._find(request)).cart
        path = request.path_params["path"]
        found = await self._pools.database.run(self._file_at, cart, path)
        if found is None:
            raise Problem(404, "Not Found", f"There is no file {path} in this cart.")
        if found.state == "error":
            raise Problem(500, "Staging failed", found.message or "it cannot be had")
        if found.digest is None or found.size is None:
            raise Problem(503, "Not ready", f"{path} is on its way.", headers={"Retry-After": RETRY_SECONDS})
        try:
            extent = await self._blobs.prepare(found.digest, found.size)
        except (BlobMissing, BlobCorrupt) as error:
            raise Problem(
                500, "File lost", f"The bytes of {path} are not right any more; stage the cart anew."
            ) from error
        name = path.rpartition("/")[2]
        return BlobResponse(
            extent,
            etag=quoted(found.digest),
            media_type="application/octet-stream",
            headers=_attached(name),
            verified=self._blobs.check_of(found.digest),
            lease=partial(self._leases.lease, cart.id),
        )

    # Steps

    async def _bundle(self, request: Request, form: Format) -> Response:
        cart = (await self._find(request)).cart
        if cart.state == "error":
            raise Problem(500, "Staging failed", cart.message, headers=dict(envelope.headers_of(cart)))
        if cart.state != "ready" and form == "tar" and request.query_params.get("wait") == "1":
            return await self._live(request, cart)
        if cart.state != "ready":
            headers = {**envelope.headers_of(cart), "Retry-After": RETRY_SECONDS, "Content-Type": "text/plain"}
            return envelope.bare(202, headers, _NOT_READY.encode())
        layout = await self._layout(request, cart, form)

        def parts(start: int, stop: int) -> Iterator[bytes | Extent]:
            return self._bundling.parts(layout, start, stop)

        name = self._filename(request, cart)
        if form == "zip" and "filename" not in request.query_params:
            name = f"{name.removesuffix('.tar')}.zip"
        return PartsResponse(
            layout.length,
            parts,
            etag=quoted(layout.etag),
            media_type=_TYPES[form],
            headers=_attached(name),
            lease=partial(self._leases.lease, cart.id),
        )

    async def _live(self, request: Request, cart: Cart) -> Response:
        """The bundle while it is staged: whoever waits for a cart can as well wait for its bytes."""
        while not cart.planned and cart.state in {"waiting", "staging"}:
            await self._clock.pause(LOOK_SECONDS)
            cart = (await self._find(request)).cart
        if cart.state in {"ready", "error"} or cart.failed_files:
            return await self._bundle(request, "tar")
        if self._live_now >= self._limits.cart_live:
            headers = {**envelope.headers_of(cart), "Retry-After": RETRY_SECONDS, "Content-Type": "text/plain"}
            return envelope.bare(202, headers, _NOT_READY.encode())
        try:
            layout, chosen = await self._pools.cpu.run(
                self._bundling.lay_out_live, cart, self._folder(request, cart), request.query_params.getlist("include")
            )
        except BadBundle as error:
            raise Problem(400, "Bad bundle", str(error)) from error
        return PartsResponse(
            layout.length,
            lambda _start, _stop: self._bundling.live_parts(cart, layout, chosen),
            etag=None,
            media_type=_TYPES["tar"],
            headers=_attached(self._filename(request, cart)),
            lease=lambda: self._counted(cart),
            pool=self._waiting,
        )

    @contextmanager
    def _counted(self, cart: Cart) -> Iterator[None]:
        self._live_now += 1
        try:
            with self._leases.lease(cart.id):
                yield
        finally:
            self._live_now -= 1

    def _folder(self, request: Request, cart: Cart) -> str:
        root = request.query_params.get("root")
        if root is not None:
            return root
        return cart.uid if cart.rooted else self._filename(request, cart).replace(".tar", "") or cart.uid

    async def _layout(self, request: Request, cart: Cart, form: Format) -> Layout:
        if cart.state != "ready":
            raise Problem(503, "Not ready", _NOT_READY, headers={"Retry-After": RETRY_SECONDS})
        shape = Shape(self._folder(request, cart), form, tuple(request.query_params.getlist("include")))
        try:
            return await self._pools.cpu.run(self._bundling.lay_out, cart, shape)
        except BadBundle as error:
            raise Problem(400, "Bad bundle", str(error)) from error

    def _filename(self, request: Request, cart: Cart) -> str:
        name = request.query_params.get("filename")
        if name is None:
            return cart.name
        if not name or "/" in name or not name.isprintable() or len(name.encode()) > MAX_UID:
            raise Problem(400, "Bad file name", f"A bundle can not be called {name[:80]!r}.")
        return name

    def _file_at(self, cart: Cart, path: str) -> CartFile | None:
        return self._database.read(lambda connection: tables.file_at(connection, cart.id, path))

    async def _find(self, request: Request) -> Progress:
        uid = self._uid(request)
        return await self._pools.database.run(self._carts.find, uid, principal_of(request))

    async def _told(self, request: Request, progress: Progress) -> dict[str, Any]:
        told = progress.told()
        address = f"{base_url(request.scope)}/carts/{quote(progress.cart.uid, safe='')}"
        name = progress.cart.name
        told["links"] = {
            "tar": f"{address}/bundle.tar",
            "zip": f"{address}/bundle.zip",
            "index": f"{address}/index.json",
            "events": f"{address}/events",
        }
        known = '"Authorization: Bearer $CREAMERY_TOKEN"' if progress.cart.owner is not STRANGERS else ""
        told["commands"] = {
            "curl": f"curl -fL -C - {known and f'-H {known} '}-o {name} {address}/bundle.tar",
            "wget": f"wget -c {known and f'--header={known} '}-O {name} {address}/bundle.tar",
            "aria2c": f"aria2c -c -x 8 -s 8 {known and f'--header={known} '}-o {name} {address}/bundle.tar",
        }
        if progress.cart.failed_files:
            failed = await self._pools.database.run(
                self._database.read, lambda connection: tables.failures_of(connection, progress.cart.id, 100)
            )
            told["failed"] = [{"path": file.path, "message": file.message} for file in failed]
        return told

    def _uid(self, request: Request) -> str:
        self._strangers.refuse(request.scope)
        name = str(request.path_params.get("cart") or request.path_params["uuid"])
        if len(name.encode()) > MAX_UID:
            raise Problem(400, "Bad name", f"A cart's name has at most {MAX_UID} bytes.")
        return name

    @staticmethod
    def _format(text: str) -> Format:
        if text == "tar":
            return "tar"
        if text == "zip":
            return "zip"
        raise Problem(404, "Not Found", f"Bundles are tar or zip, and not {text[:20]}.")


def refusals() -> dict[type[Exception], Callable[[Any], Problem]]:
    """What the errors of carts look like on the wire."""
    return {
        BadManifest: lambda error: Problem(400, "Bad Request", str(error)),
        ManifestTooLarge: lambda error: Problem(413, "Too large", str(error), remedy="Make several carts of it."),
        UnknownCart: lambda _: Problem(404, "Not Found", "The cart does not exist or has already been deleted"),
        CartTaken: lambda error: Problem(409, "Conflict", str(error)),
        QuotaReached: lambda error: Problem(507 if error.is_space else 429, "Quota reached", str(error)),
    }


def _index_of(layout: Layout) -> bytes:
    members = layout.manifest.members
    files = [
        {"path": member.path, "offset": offset, "size": member.size, "mtime": member.mtime, "sha256": member.digest}
        for member, offset in zip(members, layout.offsets(), strict=True)
    ]
    document = {"root": layout.manifest.root, "length": layout.length, "etag": quoted(layout.etag), "files": files}
    return orjson.dumps(document)


def _number(request: Request, name: str) -> int | None:
    """A whole number of the query; None: it is not there.

    Raises:
        Problem: 400: it is something else.
    """
    text = request.query_params.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) <= DIGITS):
        raise Problem(400, "Bad request", f"{name} is a whole number, and not {text[:80]!r}.")
    return int(text)


def _attached(name: str) -> tuple[tuple[bytes, bytes], ...]:
    """RFC 6266: the name as it is for those who read it so, and in ASCII for the rest. Nothing compresses it."""
    plain = name.encode("ascii", "replace").decode().replace("\\", "_").replace('"', "_")
    said = f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"
    return ((b"content-disposition", said.encode("latin-1")), (b"cache-control", b"private, no-transform"))


def _names_a_uuid(params: Mapping[str, str]) -> bool:
    text = params["uuid"]
    try:
        return str(uuid.UUID(text)) == text.lower()
    except ValueError:
        return False
