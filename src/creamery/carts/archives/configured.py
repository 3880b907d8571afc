"""The hub's archives, in order: those that are configured, then its own index. A cart that names none has the first."""

from __future__ import annotations

from pathlib import Path

from creamery.cart_sections import INDEX_ARCHIVE
from creamery.cart_sections import Archive as ArchiveSettings
from creamery.carts.archives.archive import Archive
from creamery.carts.archives.asking import Site
from creamery.carts.archives.directory import Directory
from creamery.carts.archives.index import Index
from creamery.carts.archives.pacifica import Pacifica
from creamery.carts.archives.web import Web
from creamery.door import Hub
from creamery.index import Files

AT_ONCE = {"pacifica": 1, "directory": 4, "web": 8}
"""Where the settings leave it open: what every archive of that kind bears."""


def open_archives(hub: Hub, packages: Files | None = None) -> dict[str, Archive]:
    """The hub's archives by their names. Nothing is asked yet.

    Args:
        hub: whose.
        packages: its index's files; None: it has no index.
    """
    archives: dict[str, Archive] = {given.name: _opened(given, hub) for given in hub.settings.carts.archives}
    if packages is not None:
        at_once = hub.settings.limits.prefetch_files
        archives[INDEX_ARCHIVE] = Index(INDEX_ARCHIVE, packages, hub.blobs, hub.pools.disk, at_once=at_once)
    return archives


def _opened(given: ArchiveSettings, hub: Hub) -> Archive:
    at_once = given.at_once or AT_ONCE[given.kind]
    if given.kind == "directory":
        return Directory(given.name, given.path or Path(), hub.pools.disk, at_once=at_once, window=given.window)
    site = Site(given.name, given.url or "", hub.egress, hub.settings.limits, hub.clock, at_once=at_once)
    kind = Pacifica if given.kind == "pacifica" else Web
    return kind(site, at_once=at_once, window=given.window)
