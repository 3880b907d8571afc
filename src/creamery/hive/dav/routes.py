"""WebDAV at `/dav/`: which method is answered where, and who may use it. A method's file has the rest."""

from __future__ import annotations

from functools import partial

from creamery.door import Hub
from creamery.hive.access import READ, WRITE
from creamery.hive.dav.answering import render
from creamery.hive.dav.copy import copy
from creamery.hive.dav.delete import delete
from creamery.hive.dav.get import get
from creamery.hive.dav.lock import lock, unlock
from creamery.hive.dav.mkcol import mkcol
from creamery.hive.dav.move import move
from creamery.hive.dav.options import options
from creamery.hive.dav.propfind import propfind
from creamery.hive.dav.proppatch import proppatch
from creamery.hive.dav.put import put
from creamery.hive.dav.report import report
from creamery.hive.dav.tongue import Method, Tongue, endpoint
from creamery.hive.reserving import Reservations
from creamery.http import PUBLIC, Needs, Route

_ROOTS = ("/dav/files/{user}", "/dav/spaces/{space}")
_BELOW = ("", "/", "/{path*}")
_METHODS: tuple[tuple[str, str, Method], ...] = (
    ("GET", READ, get),
    ("PROPFIND", READ, propfind),
    ("PROPPATCH", WRITE, proppatch),
    ("PUT", WRITE, put),
    ("REPORT", READ, report),
    ("MKCOL", WRITE, mkcol),
    ("DELETE", WRITE, delete),
    ("MOVE", WRITE, move),
    ("COPY", WRITE, copy),
    ("LOCK", WRITE, lock),
    ("UNLOCK", WRITE, unlock),
)


def table(hub: Hub, reservations: Reservations) -> tuple[Route, ...]:
    """All routes of the tongue."""
    tongue = Tongue(hub, reservations)
    at = [root + below for root in _ROOTS for below in _BELOW]
    make = partial(Route, renderer=render, origins=frozenset(hub.settings.hive.cors))
    methods = [
        make((name,), path, endpoint(tongue, method), Needs(action, "space", is_named_later=True))
        for name, action, method in _METHODS
        for path in at
    ]
    asked_first = ("/", "/dav", "/dav/", "/dav/files", "/dav/files/", *at)  # Windows asks each folder above
    return (*methods, *(make(("OPTIONS",), path, options, PUBLIC) for path in asked_first))
