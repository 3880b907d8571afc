"""Whose bytes a sweep leaves alone: files in a tree or in the trash, and what they had in them before."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from creamery.blobs.tables import blob
from creamery.contract import Digest, digest_of
from creamery.hive import holder, purging
from creamery.hive.tables import trash
from tests.doubles.dav import Dav
from tests.doubles.running import RunningHub

OLD = {"X_OC_Mtime": "1000000"}
"""So that what is written a moment later is no save of the same."""


@pytest.fixture
def alice(tmp_path: Path) -> Iterator[Dav]:
    """At a hub that waits for nothing before it deletes what nobody holds."""
    limits = {"sweep_grace_seconds": 0.01, "sweep_share": 1.0}
    with RunningHub(tmp_path, index={"upstreams": []}, limits=limits) as hub:
        yield Dav(hub)


def put(alice: Dav, path: str, content: bytes) -> Digest:
    answer = alice("PUT", path, content, **OLD)
    assert answer.status_code in {201, 204}
    return Digest(digest_of(content))


def here(hub: RunningHub) -> set[Digest]:
    found: set[Digest] = hub.ask(lambda c: set(c.execute(select(blob.c.digest)).scalars()))
    return found


def test_a_sweep_takes_only_what_was_removed_for_good(alice: Dav) -> None:
    hub = alice.hub
    large = 100_000  # a file of its own; small ones lie together
    alice.folder("/folder")
    kept = {
        put(alice, "/file", b"the first"),
        put(alice, "/file", b"2" * large),
        put(alice, "/file", b"the third"),
        put(alice, "/folder/gone", b"4" * large),
        put(alice, "/folder/gone", b"the fifth"),
    }
    lost = {put(alice, "/lost", b"6" * large), put(alice, "/lost", b"the seventh")}
    alice("DELETE", "/folder")
    alice("DELETE", "/lost")
    assert here(hub) == kept | lost
    node_id, space_id = hub.ask(
        lambda c: c.execute(select(trash.c.node_id, trash.c.space_id).where(trash.c.name == "lost")).one()
    )

    hub.built.hub.committer.write(lambda c: purging.purge(c, space_id, hub.built.hub.clock.now(), [node_id]))

    def is_swept() -> bool:
        hub.built.hub.blobs.sweep(slices=16)
        return here(hub) == kept

    hub.wait_until(is_swept)
    for _ in range(3):
        hub.built.hub.blobs.sweep(slices=16)
    assert here(hub) == kept
    assert {hub.built.hub.blobs.read(each, large) for each in kept} >= {b"the first", b"2" * large, b"the fifth"}


def test_each_of_them_has_a_name_that_people_know(alice: Dav) -> None:
    put(alice, "/file", b"the first")
    put(alice, "/file", b"the second")
    put(alice, "/gone", b"the third")
    alice("DELETE", "/gone")

    told = alice.hub.ask(lambda connection: list(holder().audit(connection)))

    assert sorted(told, key=lambda each: each[1]) == [
        (digest_of(b"the second"), "file 'file' (node 3)"),
        (digest_of(b"the third"), "file 'gone' (node 4)"),
        (digest_of(b"the first"), "revision 1 of file 'file' (node 3)"),
    ]
