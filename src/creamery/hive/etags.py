"""Entity tags of what the tree holds: strong, never used twice, and the same for whoever asks.

A file's follows its content and survives a move; a folder's changes with anything below it. The epoch is drawn anew
when a backup is restored, after which revisions that were given before are given again.
"""

from __future__ import annotations

import hashlib

from creamery.hive.nodes import Node

FILE = '"c{id:x}-{revision:x}-{epoch}"'
"""Also a part of what `dav.multistatus` compiles: in one place, or a listing and HEAD would differ one day."""

FOLDER = '"t{id:x}-{space:x}-{tree_serial:x}-{epoch}"'


def file_etag(node: int, revision: int, epoch: str) -> str:
    """Of a file's content."""
    return FILE.format(id=node, revision=revision, epoch=epoch)


def folder_etag(node: int, space: int, tree_serial: int, epoch: str) -> str:
    """Of a folder with everything below it."""
    return FOLDER.format(id=node, space=space, tree_serial=tree_serial, epoch=epoch)


class Etags:
    """Those of one hub; `epoch` is `Blobs.epoch`."""

    def __init__(self, epoch: str) -> None:
        self.epoch = hashlib.sha256(epoch.encode()).hexdigest()[:8]

    def of(self, space_id: int, node: Node) -> str:
        """Of a node as it is now, with its quotes."""
        if node.is_folder:
            return folder_etag(node.id, space_id, node.tree_serial, self.epoch)
        return file_etag(node.id, node.revision, self.epoch)
