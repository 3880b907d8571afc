"""Which blobs the hive's tables refer to: all of them are somebody's only copy."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sqlalchemy import ColumnElement, Connection, exists, false, or_, select

from creamery.blobs import Holder
from creamery.contract import Digest
from creamery.hive.tables import node, version


def holder() -> Holder:
    """Files, whether they are in a tree or in its trash, and what they had in them before."""

    def kept(digest: ColumnElement[Digest]) -> ColumnElement[bool]:
        return or_(exists().where(node.c.digest == digest), exists().where(version.c.digest == digest))

    def cached(_: ColumnElement[Digest]) -> ColumnElement[bool]:
        return false()

    def forget(_: Connection, digests: Sequence[Digest]) -> None:
        """Nothing of it is ever evicted."""

    def audit(connection: Connection) -> Iterator[tuple[Digest, str]]:
        asked = select(node.c.digest, node.c.name, node.c.id).where(node.c.digest.is_not(None))
        for digest, name, number in connection.execute(asked):
            yield digest, f"file {name!r} (node {number})"
        older = select(version.c.digest, version.c.revision, node.c.name, version.c.node_id)
        for digest, revision, name, number in connection.execute(
            older.outerjoin_from(version, node, node.c.id == version.c.node_id)
        ):
            yield digest, f"revision {revision} of file {name!r} (node {number})"

    return Holder(name="hive", kept=kept, cached=cached, forget=forget, audit=audit)
