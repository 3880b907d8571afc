"""A cart as one download: its layout, which is worked out once and kept for a while, and its bytes out of blobs."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from creamery.blobs import Blobs, Extent
from creamery.bundles import Format, Layout, Manifest, Member, Members, included, lay_out, parts, reshaped
from creamery.carts import tables
from creamery.carts.tables import Cart
from creamery.clock import Clock
from creamery.contract import Digest
from creamery.database import Database

LOOK_SECONDS = 0.2
UNKNOWN = Digest("0" * 64)
"""In place of a digest that nobody knows yet: a tar's bytes do not depend on it."""

KEPT_MEMBERS = 400_000
"""Of all layouts that are kept together; a member takes some 100 bytes."""


class StagingFailed(Exception):
    """What is being downloaded will never be whole."""


@dataclass(frozen=True, slots=True)
class Shape:
    """How somebody wants a cart.

    Attributes:
        root: its topmost folder.
        format: tar or zip.
        include: patterns of the files that are wanted; none: all.
    """

    root: str
    format: Format
    include: tuple[str, ...] = ()


class Bundling:
    """Makes bundles of carts. For threads."""

    def __init__(self, database: Database, blobs: Blobs, clock: Clock) -> None:
        self._database = database
        self._blobs = blobs
        self._clock = clock
        self._layouts: OrderedDict[tuple[int, int, Shape], Layout] = OrderedDict()
        self._located: dict[str, list[Extent | None]] = {}
        self._lock = threading.Lock()

    def lay_out(self, cart: Cart, shape: Shape) -> Layout:
        """The layout of a cart that is ready.

        Raises:
            BadBundle: its root can be no folder.
        """
        key = (cart.id, cart.changed, shape)
        with self._lock:
            if key in self._layouts:
                self._layouts.move_to_end(key)
                return self._layouts[key]
        members = self._members(cart, with_checksums=shape.format == "zip")
        layout = lay_out(reshaped(Manifest(members, shape.root, shape.format), include=shape.include))
        with self._lock:
            self._layouts[key] = layout
            while sum(len(each.manifest.members) + 1 for each in self._layouts.values()) > KEPT_MEMBERS:
                self._layouts.popitem(last=False)
        return layout

    def parts(self, layout: Layout, start: int, stop: int) -> Iterator[bytes | Extent]:
        """Some of its bytes.

        Raises:
            BlobMissing, MemberUnreadable: what must be here is not.
        """
        return parts(layout, _Places(self._blobs, layout, self._extents(layout)).locate, start, stop)

    def _extents(self, layout: Layout) -> list[Extent | None]:
        """Where its members lie, as far as somebody has asked; kept as long as the layout is."""
        with self._lock:
            if layout.etag not in self._located:
                self._located[layout.etag] = [None] * len(layout.manifest.members)
                for gone in self._located.keys() - {each.etag for each in self._layouts.values()} - {layout.etag}:
                    del self._located[gone]
            return self._located[layout.etag]

    def lay_out_live(self, cart: Cart, root: str, include: Sequence[str]) -> tuple[Layout, Sequence[int]]:
        """The tar of a cart that is planned and not here yet, and which of its files are in it.

        Their sizes are known, their digests are not.

        Raises:
            BadBundle: as `lay_out`.
        """
        files = self._database.read(lambda connection: list(tables.all_files(connection, cart.id)))
        members = Members(Member(file.path, file.size or 0, file.mtime or 0, UNKNOWN) for file in files)
        manifest = Manifest(members, root, "tar")
        chosen = included(members, include) if include else range(len(files))
        return lay_out(reshaped(manifest, include=include)), chosen

    def live_parts(self, cart: Cart, layout: Layout, chosen: Sequence[int]) -> Iterator[bytes | Extent]:
        """All of its bytes, each file as soon as it is here; the thread waits for it.

        Raises:
            StagingFailed: a file never will be here, or the cart is no more.
        """
        for piece in layout.pieces():
            if isinstance(piece, bytes):
                yield piece
            else:
                while (extent := self._here(cart, chosen[piece.member])) is None:
                    yield b""
                    self._clock.sleep(LOOK_SECONDS)
                yield Extent(extent.path, extent.offset + piece.offset, piece.length)

    def _here(self, cart: Cart, position: int) -> Extent | None:
        found = self._database.read(lambda connection: tables.files_of(connection, cart.id, position - 1, 1))
        file = found[0] if found else None
        if file is None or file.position != position or file.state == "error":
            raise StagingFailed("a file of the cart cannot be had" if file else "the cart was deleted")
        return None if file.digest is None else self._blobs.locate_all([file.digest])[0]

    def _members(self, cart: Cart, *, with_checksums: bool) -> Members:
        files = self._database.read(lambda connection: tables.members_of(connection, cart.id))
        checksums: dict[Digest, int] = {}
        if with_checksums:
            checksums = self._blobs.checksums([digest for *_, digest in files])
        return Members(Member(*file, checksums.get(file[3])) for file in files)


class _Places:
    """Where members lie, for one download: remembered from former ones, and asked anew where that has changed."""

    def __init__(self, blobs: Blobs, layout: Layout, extents: list[Extent | None]) -> None:
        self._blobs = blobs
        self._members = layout.manifest.members
        self._extents = extents
        self._told = 0

    def locate(self, some: range) -> Sequence[Extent]:
        """As `bundles.Locate`: what is asked for a second time has moved."""
        known = self._extents[some.start : some.stop]
        if some.start < self._told or None in known:
            found = self._blobs.locate_all([self._members.digest(number) for number in some])
            self._extents[some.start : some.stop] = found
        else:
            found = [extent for extent in known if extent is not None]
        self._told = max(self._told, some.stop)
        return found
