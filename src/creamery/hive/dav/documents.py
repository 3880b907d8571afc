"""Finished answers about large folders, compressed, by what they were made of: nothing ever has to be invalidated."""

from __future__ import annotations

from collections import OrderedDict


class Documents:
    """A bounded number of bytes; what was asked for least lately goes first. Used on the event loop only."""

    def __init__(self, most_bytes: int) -> None:
        self._most = most_bytes
        self._kept: OrderedDict[object, bytes] = OrderedDict()
        self._bytes = 0

    def get(self, key: object) -> bytes | None:
        """The answer, if it is kept."""
        found = self._kept.get(key)
        if found is not None:
            self._kept.move_to_end(key)
        return found

    def put(self, key: object, document: bytes) -> None:
        """Keep it, if it is not most of what may be kept."""
        if len(document) * 4 > self._most or key in self._kept:
            return
        self._kept[key] = document
        self._bytes += len(document)
        while self._bytes > self._most:
            _, gone = self._kept.popitem(last=False)
            self._bytes -= len(gone)
