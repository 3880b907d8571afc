"""What blobs hash to by other algorithms, which protocols need beside the one that bytes are known by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, select

from creamery.blobs.tables import blob_digest
from creamery.contract import Digest
from creamery.database import Prepared, insert_unless_there

_NOTE = Prepared(
    lambda connection: insert_unless_there(connection, blob_digest), [column.key for column in blob_digest.columns]
)


def note_digests(connection: Connection, digest: Digest, values: Mapping[str, str]) -> None:
    """What a blob hashes to by other algorithms, in hexadecimal digits."""
    rows = [{"digest": digest, "algorithm": name, "value": bytes.fromhex(text)} for name, text in values.items()]
    _NOTE.run_many(connection, rows)


def other_digests(connection: Connection, digests: Sequence[Digest]) -> dict[Digest, dict[str, str]]:
    """What is noted of these blobs, in hexadecimal digits, by algorithm; one range of the key each."""
    found: dict[Digest, dict[str, str]] = {}
    for row in connection.execute(select(blob_digest).where(blob_digest.c.digest.in_(digests))):
        found.setdefault(Digest(row.digest), {})[row.algorithm] = row.value.hex()
    return found
