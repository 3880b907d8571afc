"""Built wheels and failures as JSON has them."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from creamery.clock import SECOND
from creamery.contract import Digest
from creamery.wheels.leases import Failure
from creamery.wheels.tables import Entry


def address_of(base: str, digest: Digest, filename: str) -> str:
    """Where the bytes of one wheel are, whatever others have its name."""
    return f"{base}/f/{digest}/{quote(filename)}"


def shown_entry(entry: Entry, url: str, base: str) -> dict[str, Any]:
    """A wheel, for whoever may have it."""
    file = entry.file
    return {
        "key": entry.key,
        "ring": entry.ring,
        "project": file.project,
        "version": file.version,
        "filename": file.filename,
        "size": file.size,
        "sha256": file.digest,
        "url": url,
        "pushed": entry.pushed / SECOND,
        "pushed_by": entry.pushed_by,
        "listing": {
            "state": entry.state,
            "reason": entry.reason,
            "filename": entry.listed_name,
            "sha256": entry.listed_digest,
            "size": entry.listed_size,
        },
        "seconds": entry.millis / 1_000,
        "hits": entry.hits,
        "pinned": entry.pinned,
        "log": None if entry.log_digest is None else f"{base}/v1/entries/{entry.key}/log",
        "record": entry.record,
    }


def shown_failure(failure: Failure, base: str) -> dict[str, Any]:
    """A failure, for whoever may know of it."""
    return {
        "key": failure.key,
        "ring": failure.ring,
        "project": failure.project,
        "version": failure.version,
        "reason": failure.reason,
        "times": failure.times,
        "last": failure.last / SECOND,
        "until": failure.until / SECOND,
        "by": failure.holder,
        "log": None if failure.log_digest is None else f"{base}/v1/failures/{failure.key}/log",
    }
