"""Projects that are hosted on a running hub, with files of a few bytes: for what is done to them afterwards."""

from __future__ import annotations

from sqlalchemy import Connection, insert

from creamery.accounts import By, find_user
from creamery.contract import Digest, ProjectName
from creamery.index.ownership import add_role, claim
from creamery.index.tables import find_project, index_file, next_serial
from creamery.journal import record
from tests.doubles.running import RunningHub


def host(hub: RunningHub, project: str, *filenames: str, owner: str, maintainer: str | None = None) -> None:
    """Claim a name for a user, and list files under it, each of whose bytes are its name."""
    built, name = hub.built.hub, ProjectName(project)
    by = By(built.clock.now(), owner)

    def begin(connection: Connection) -> None:
        user = find_user(connection, owner)
        assert user is not None, owner
        known = claim(connection, name, by, holder=f"user:{user.id}", why="a test")
        if maintainer is not None:
            add_role(connection, known, maintainer, "maintainer", by)

    built.committer.write(begin)
    for filename in filenames:
        _list(hub, name, filename, by)


def _list(hub: RunningHub, name: ProjectName, filename: str, by: By) -> None:
    content = filename.encode()

    def refer(connection: Connection, digest: Digest) -> None:
        known = find_project(connection, name)
        assert known is not None
        serial = record(connection, "index", "uploaded", f"{name}/{filename}", now=by.now, actor=by.actor)
        flags = {"has_metadata": False, "pinned": False, "listed": True, "metadata_failed": False}
        file = {"filename": filename, "url": "", "digest": digest, "sha256": digest, "size": len(content)}
        told = {"born": serial, "uploaded_by": by.actor, "created": by.now, "changed": by.now}
        connection.execute(insert(index_file).values(project_id=known.id, **file, **flags, **told))
        next_serial(connection, known.id, serial, by.now)

    hub.built.hub.blobs.keep_bytes(content, refer)
