"""Which blobs built wheels are, over all tables of this room, and what becomes of a wheel that gives way."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sqlalchemy import ColumnElement, Connection, exists, or_, select, true, update

from creamery.blobs import Holder
from creamery.clock import Clock
from creamery.contract import Digest
from creamery.wheels.leases import wheel_failure
from creamery.wheels.tables import FILES, changed, wheel_entry

_BESIDE = (wheel_entry.c.metadata_digest, wheel_entry.c.log_digest)
_AS = {"listed_digest": ", as it is listed", "metadata_digest": ", its METADATA", "log_digest": ", its build's log"}


def holder(clock: Clock) -> Holder:
    """Which blobs built wheels are: all but those that are pinned or were handed out lately can be built again."""

    def stays() -> ColumnElement[bool]:
        return or_(wheel_entry.c.pinned == true(), wheel_entry.c.kept_until > clock.now())

    def kept(digest: ColumnElement[Digest]) -> ColumnElement[bool]:
        # METADATA and log go with their wheel; alone they are small, and nobody can make them again.
        return or_(
            *(exists().where(column == digest, stays()) for column in FILES),
            *(exists().where(column == digest, wheel_entry.c.digest.is_not(None)) for column in _BESIDE),
            exists().where(wheel_failure.c.log_digest == digest),
        )

    def cached(digest: ColumnElement[Digest]) -> ColumnElement[bool]:
        return or_(*(exists().where(column == digest, ~stays()) for column in FILES))

    def forget(connection: Connection, digests: Sequence[Digest]) -> None:
        lost = or_(*(column.in_(digests) for column in FILES))
        nothing = {column.name: None for column in (*FILES, *_BESIDE)}
        projects = list(connection.execute(select(wheel_entry.c.project).where(lost).distinct()).scalars())
        if projects:
            connection.execute(update(wheel_entry).where(lost).values(**nothing))
            changed(connection, projects)

    def audit(connection: Connection) -> Iterator[tuple[Digest, str]]:
        for column in (*FILES, *_BESIDE):
            query = select(column.label("found"), wheel_entry.c.filename).where(column.is_not(None))
            for digest, filename in connection.execute(query):
                yield digest, f"built wheel {filename}{_AS.get(column.name, '')}"

        query = select(wheel_failure.c.log_digest, wheel_failure.c.project).where(
            wheel_failure.c.log_digest.is_not(None)
        )
        for digest, project in connection.execute(query):
            yield digest, f"log of a build of {project} that failed"

    return Holder(name="wheels", kept=kept, cached=cached, forget=forget, audit=audit)
