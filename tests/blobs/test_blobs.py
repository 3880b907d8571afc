"""How bytes become durable, and how they are found again."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import Connection

from creamery import faults
from creamery.blobs import (
    BlobCorrupt,
    BlobMissing,
    HashMismatch,
    NoSpace,
    NotDurable,
    Part,
    ReadOnly,
    StoreMismatch,
    local,
)
from creamery.contract import Digest, digest_of
from creamery.database import Committer
from tests.doubles.cellar import Cellar, make_tables
from tests.doubles.hand_clock import HandClock
from tests.doubles.obstacles import obstruct
from tests.doubles.shelf import shelve
from tests.doubles.steps import noted

pytestmark = pytest.mark.anyio

BODY = os.urandom(200_000)
DIGEST = digest_of(BODY)


async def finished(cellar: Cellar, body: bytes = BODY) -> Part:
    part = cellar.blobs.begin(len(body), "test")
    await part.write(body)
    await part.finish(digest_of(body))
    return part


def refuse(connection: Connection, digest: Digest) -> None:
    raise ValueError("this name is taken")


async def test_what_is_kept_is_found_and_leaves_no_part(cellar: Cellar) -> None:
    part = await finished(cellar)

    name = await cellar.blobs.keep(part, shelve("a"))
    extent = await cellar.blobs.prepare(DIGEST, len(BODY))

    assert name == "a"
    assert extent.path.read_bytes() == BODY
    assert cellar.names() == {"a": (DIGEST, True)}
    assert list(cellar.blobs.layout.incoming.iterdir()) == []


async def test_followers_go_on_after_it_is_kept(cellar: Cellar) -> None:
    part = await finished(cellar)

    await cellar.blobs.keep(part, shelve("a"))

    assert await part.read(100_000, 200_000) == BODY[100_000:]


async def test_the_steps_come_in_their_order(cellar: Cellar, monkeypatch: pytest.MonkeyPatch) -> None:
    part = await finished(cellar)
    steps: list[str] = []
    monkeypatch.setattr(local, "sync_file", noted(steps, "sync file", local.sync_file))
    monkeypatch.setattr(local, "sync_folder", noted(steps, "sync folder", local.sync_folder))
    monkeypatch.setattr(os, "link", noted(steps, "link", os.link))
    monkeypatch.setattr(Path, "unlink", noted(steps, "drop", Path.unlink))
    monkeypatch.setattr(Committer, "_try_transaction", noted(steps, "commit", Committer._try_transaction))

    await cellar.blobs.keep(part, shelve("a"))

    assert steps == ["sync file", "link", *["sync folder"] * 3, "commit", "drop"]


async def test_the_same_bytes_are_kept_once(cellar: Cellar) -> None:
    await cellar.blobs.keep(await finished(cellar), shelve("a"))
    await cellar.blobs.keep(await finished(cellar), shelve("b"))

    assert cellar.names() == {"a": (DIGEST, True), "b": (DIGEST, True)}
    assert cellar.stored() == {DIGEST}


async def test_small_bytes_are_kept_from_a_thread(cellar: Cellar) -> None:
    name = await asyncio.to_thread(cellar.blobs.keep_bytes, b"metadata", shelve("a"))

    assert name == "a"
    assert cellar.blobs.read(digest_of(b"metadata"), 100) == b"metadata"
    assert list(cellar.blobs.layout.incoming.iterdir()) == []


async def test_a_refused_reference_refers_to_nothing_and_the_part_may_try_again(cellar: Cellar) -> None:
    part = await finished(cellar)

    with pytest.raises(ValueError, match="taken"):
        await cellar.blobs.keep(part, refuse)
    refused = cellar.states()
    await cellar.blobs.keep(part, shelve("another"))

    assert refused == {}
    assert cellar.names() == {"another": (DIGEST, True)}


async def test_an_unfinished_or_failed_part_cannot_be_kept(cellar: Cellar) -> None:
    unfinished, failed = cellar.blobs.begin(10, "test"), cellar.blobs.begin(None, "test")
    with pytest.raises(HashMismatch):
        await failed.finish(DIGEST)

    with pytest.raises(RuntimeError, match="before it is finished"):
        await cellar.blobs.keep(unfinished, shelve("a"))
    with pytest.raises(HashMismatch):
        await cellar.blobs.keep(failed, shelve("a"))

    assert cellar.stored() == set()


@pytest.mark.parametrize(("failing", "meaning"), [("EIO", NotDurable), ("ENOSPC", NoSpace)])
async def test_a_part_whose_sync_failed_is_never_trusted_again(
    cellar: Cellar, failing: str, meaning: type[Exception]
) -> None:
    part = await finished(cellar)
    faults.arm(f"blobs.before_file_sync={failing}")

    with pytest.raises(meaning):
        await cellar.blobs.keep(part, shelve("a"))
    with pytest.raises(meaning):
        await cellar.blobs.keep(part, shelve("a"))  # the disk works again: the lost pages do not come back

    assert cellar.names() == {}
    assert not part.path.exists()
    await cellar.blobs.keep(await finished(cellar), shelve("a"))
    assert cellar.names() == {"a": (DIGEST, True)}


@pytest.mark.parametrize("point", ["blobs.before_link", "blobs.before_dir_sync"])
async def test_nothing_is_acknowledged_when_the_directory_fails(
    cellar: Cellar, point: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    part = await finished(cellar)

    def fail(folder: Path) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(local, "sync_folder", fail)

    with pytest.raises(NotDurable):
        await cellar.blobs.keep(part, shelve("a"))

    assert cellar.states() == {}


async def test_a_disk_that_keeps_failing_is_only_read(cellar: Cellar) -> None:
    await cellar.blobs.keep(await finished(cellar), shelve("a"))
    faults.arm("blobs.before_file_sync@0=EIO")

    for number in range(3):
        with pytest.raises(NotDurable):
            cellar.blobs.keep_bytes(bytes([number]), shelve("b"))
    faults.disarm()

    with pytest.raises(ReadOnly, match="failed 3 times"):
        cellar.blobs.begin(1, "test")
    assert (await cellar.blobs.prepare(DIGEST, len(BODY))).path.read_bytes() == BODY


async def test_a_full_disk_is_no_broken_disk(cellar: Cellar) -> None:
    faults.arm("blobs.before_file_sync@0=ENOSPC")

    for number in range(5):
        with pytest.raises(NoSpace):
            cellar.blobs.keep_bytes(bytes([number]), shelve("a"))
    faults.disarm()

    cellar.put(b"it recovers by itself", "a")


async def test_no_space_is_said_before_a_byte_moves(open_cellar: Callable[..., Cellar], database_url: str) -> None:
    cellar = open_cellar(database_url, file_bytes=2**60)

    with pytest.raises(NoSpace):
        cellar.blobs.begin(cellar.blobs.free_bytes() + 2**30, "test")


async def test_missing_and_wrong_sizes_are_told_apart_and_never_served(cellar: Cellar) -> None:
    cellar.put(BODY, "a")
    path = cellar.blobs.store.path(DIGEST)

    with pytest.raises(BlobMissing):
        cellar.blobs.locate(digest_of(b"unknown"), 1)
    path.chmod(0o600)
    path.write_bytes(BODY[:-1])
    with pytest.raises(BlobCorrupt):
        await cellar.blobs.prepare(DIGEST, len(BODY))

    assert cellar.states() == {DIGEST: "corrupt"}
    assert [held.read_bytes() for held in cellar.blobs.layout.quarantine.iterdir()] == [BODY[:-1]]
    with pytest.raises(BlobMissing):
        cellar.blobs.locate(DIGEST, len(BODY))


async def test_right_bytes_heal_a_corrupt_blob(cellar: Cellar) -> None:
    cellar.put(BODY, "a")
    await cellar.blobs.quarantine(DIGEST, "a test says so")
    corrupt = cellar.states()

    await cellar.blobs.keep(await finished(cellar), shelve("b"))

    assert corrupt == {DIGEST: "corrupt"}
    assert cellar.states() == {DIGEST: "ok"}
    assert cellar.blobs.locate(DIGEST, len(BODY)).path.read_bytes() == BODY


async def test_a_link_that_leads_in_a_circle_is_a_missing_blob_that_comes_anew(cellar: Cellar) -> None:
    cellar.put(BODY, "a")
    obstruct(cellar.blobs.store.path(DIGEST), "loop")

    with pytest.raises(BlobMissing):
        await cellar.blobs.prepare(DIGEST, len(BODY))
    with pytest.raises(BlobMissing):
        cellar.blobs.read(DIGEST, len(BODY))
    await cellar.blobs.keep(await finished(cellar), shelve("b"))

    assert (await cellar.blobs.prepare(DIGEST, len(BODY))).path.read_bytes() == BODY


async def test_quarantine_never_marks_what_was_replaced_meanwhile(
    cellar: Cellar, monkeypatch: pytest.MonkeyPatch
) -> None:
    cellar.put(BODY, "a")
    monkeypatch.setattr(faults, "_strike", lambda point, action: cellar.put(BODY, "b"))
    faults.arm("quarantine.moved=sleep:0")

    await cellar.blobs.quarantine(DIGEST, "a test says so")

    assert cellar.states() == {DIGEST: "ok"}
    assert cellar.stored() == {DIGEST}


async def test_a_reference_to_bytes_that_are_here_takes_their_row(cellar: Cellar) -> None:
    cellar.put(BODY, "a")

    def add_name(connection: Connection) -> None:
        cellar.blobs.refer(connection, DIGEST)
        shelve("b")(connection, DIGEST)

    cellar.committer.write(add_name)
    cellar.take_away("a")
    cellar.sweep_all()

    assert cellar.stored() == {DIGEST}
    with pytest.raises(BlobMissing):
        cellar.committer.write(lambda connection: cellar.blobs.refer(connection, digest_of(b"unknown")))


async def test_reading_stops_at_the_limit(cellar: Cellar) -> None:
    digest = cellar.put(b"12345", "a")

    assert cellar.blobs.read(digest, 5) == b"12345"
    with pytest.raises(BlobCorrupt):
        cellar.blobs.read(digest, 4)


async def test_small_bytes_are_hashed_at_each_read(cellar: Cellar) -> None:
    digest = cellar.put(b"good", "a")
    path = cellar.blobs.store.path(digest)
    path.chmod(0o600)
    path.write_bytes(b"evil")

    with pytest.raises(BlobCorrupt):
        cellar.blobs.read(digest, 100)

    assert cellar.states() == {digest: "corrupt"}


# After an unclean stop


async def after_a_kill(open_cellar: Callable[..., Cellar], url: str, body: bytes, spoilt: bytes) -> Cellar:
    """A hub that was killed, whose blob has turned into `spoilt` meanwhile, begins again."""
    first = open_cellar(url)
    first.put(body, "a")
    first.blobs.close()
    (first.blobs.layout.running / "of-a-killed-process").touch()
    path = first.blobs.store.path(digest_of(body))
    path.chmod(0o600)
    path.write_bytes(spoilt)
    first.blobs.close = lambda: None  # type: ignore[method-assign]  # it is closed already
    return open_cellar(url)


async def test_a_small_blob_is_hashed_before_its_first_read(
    open_cellar: Callable[..., Cellar], database_url: str
) -> None:
    cellar = await after_a_kill(open_cellar, database_url, b"good", b"evil")
    digest = digest_of(b"good")

    assert cellar.blobs.needs_verification(digest)
    with pytest.raises(BlobCorrupt):
        await cellar.blobs.prepare(digest, 4)

    assert cellar.states() == {digest: "corrupt"}
    assert cellar.stored() == set()


async def test_a_large_blob_is_hashed_beside_its_first_read(
    open_cellar: Callable[..., Cellar], database_url: str
) -> None:
    good = os.urandom(2_000_000)
    cellar = await after_a_kill(open_cellar, database_url, good, good[:-1] + bytes([good[-1] ^ 1]))
    digest = digest_of(good)

    await cellar.blobs.prepare(digest, len(good))
    with pytest.raises(BlobCorrupt):
        await cellar.blobs.verify_first(digest)

    assert cellar.states() == {digest: "corrupt"}


async def test_it_is_hashed_once(
    open_cellar: Callable[..., Cellar], database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    cellar = await after_a_kill(open_cellar, database_url, b"good", b"good")

    await cellar.blobs.prepare(digest_of(b"good"), 4)
    monkeypatch.setattr(cellar.blobs.store, "open", None)
    await cellar.blobs.prepare(digest_of(b"good"), 4)

    assert not cellar.blobs.needs_verification(digest_of(b"good"))


async def test_keeping_the_same_bytes_replaces_what_has_rotted(
    open_cellar: Callable[..., Cellar], database_url: str
) -> None:
    cellar = await after_a_kill(open_cellar, database_url, b"good", b"evil")

    cellar.put(b"good", "b")

    assert cellar.blobs.read(digest_of(b"good"), 4) == b"good"
    assert cellar.states() == {digest_of(b"good"): "ok"}


async def test_after_a_clean_stop_nothing_is_hashed(open_cellar: Callable[..., Cellar], database_url: str) -> None:
    first = open_cellar(database_url)
    digest = first.put(b"good", "a")
    first.blobs.close()
    first.blobs.close = lambda: None  # type: ignore[method-assign]  # it is closed already

    second = open_cellar(database_url)

    assert not second.blobs.needs_verification(digest)


async def test_a_process_beside_ours_is_no_unclean_stop(open_cellar: Callable[..., Cellar], database_url: str) -> None:
    first = open_cellar(database_url)
    digest = first.put(b"good", "a")

    second = open_cellar(database_url)

    assert not second.blobs.needs_verification(digest)


def test_what_is_no_mark_is_no_unclean_stop_and_stops_no_start(
    open_cellar: Callable[..., Cellar], database_url: str
) -> None:
    cellar = open_cellar(database_url)
    (cellar.blobs.layout.running / "folder").mkdir()
    (cellar.blobs.layout.running / "link").symlink_to("link")

    second = open_cellar(database_url)

    assert not second.blobs.needs_verification(DIGEST)


# Whose directory it is


async def test_another_hubs_database_is_refused(
    open_cellar: Callable[..., Cellar], database_url: str, tmp_path: Path
) -> None:
    open_cellar(database_url).put(b"x", "a")
    other = f"sqlite:///{tmp_path}/other.sqlite3"
    make_tables(other)

    with pytest.raises(StoreMismatch, match="is new"):
        open_cellar(other)


async def test_a_directory_that_is_not_mounted_is_refused(
    open_cellar: Callable[..., Cellar], database_url: str, tmp_path: Path
) -> None:
    open_cellar(database_url).put(b"x", "a")
    (tmp_path / "data").rename(tmp_path / "unmounted")
    (tmp_path / "data").mkdir()

    with pytest.raises(StoreMismatch, match="mounted"):
        open_cellar(database_url)

    (tmp_path / "data").rmdir()  # it is as empty as it was: a refused process has made nothing
    (tmp_path / "unmounted").rename(tmp_path / "data")


async def test_two_hubs_that_were_mixed_up_are_refused(
    open_cellar: Callable[..., Cellar], database_url: str, tmp_path: Path
) -> None:
    cellar = open_cellar(database_url)
    owner = json.loads(cellar.blobs.layout.owner.read_text())
    cellar.blobs.layout.owner.write_text(json.dumps({**owner, "instance": "somebody-else"}))
    cellar.blobs.layout.quarantine.rmdir()

    with pytest.raises(StoreMismatch, match="must name the same"):
        open_cellar(database_url)
    assert not cellar.blobs.layout.quarantine.exists()


async def test_a_copy_that_lacks_its_empty_folders_is_opened(
    open_cellar: Callable[..., Cellar], database_url: str, tmp_path: Path, clock: HandClock
) -> None:
    Cellar(tmp_path / "data", database_url, clock).open().close()
    for name in ("blobs", "incoming", "quarantine", "running"):
        (tmp_path / "data" / name).rmdir()

    cellar = open_cellar(database_url)

    assert cellar.put(b"x", "a") in cellar.stored()


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"instance": "x", "format": 99}', "\xff"])
async def test_a_damaged_or_newer_owner_file_is_refused(
    open_cellar: Callable[..., Cellar], database_url: str, text: str
) -> None:
    cellar = open_cellar(database_url)
    cellar.blobs.layout.owner.write_text(text, encoding="latin-1")

    with pytest.raises(StoreMismatch):
        open_cellar(database_url)


async def test_an_owner_file_that_is_a_folder_is_refused(open_cellar: Callable[..., Cellar], database_url: str) -> None:
    owner = open_cellar(database_url).blobs.layout.owner
    owner.unlink()
    owner.mkdir()

    with pytest.raises(StoreMismatch, match="damaged"):
        open_cellar(database_url)


async def test_a_second_directory_over_one_database_is_refused_even_while_both_are_empty(
    open_cellar: Callable[..., Cellar], database_url: str
) -> None:
    open_cellar(database_url).blobs.layout.owner.unlink()

    with pytest.raises(StoreMismatch, match="other processes use"):
        open_cellar(database_url)


async def test_after_a_kill_half_a_file_is_gone_at_the_next_start(
    cellar: Cellar, open_cellar: Callable[..., Cellar], database_url: str
) -> None:
    """Not what another process writes, nor what was begun this moment."""
    incoming = cellar.data / "incoming"
    theirs = cellar.blobs.begin(None, "somebody else's")
    await theirs.write(BODY)
    await theirs.flush()
    for name in ("dead", "young"):
        (incoming / name).write_bytes(b"half")
    long_ago = cellar.clock.now() / 1_000_000 - 60
    for path in (incoming / "dead", theirs.path):
        os.utime(path, (long_ago, long_ago))
    (cellar.data / "running" / "of-a-killed-process").touch()

    open_cellar(database_url)

    assert sorted(path.name for path in incoming.iterdir()) == sorted(["young", theirs.path.name])
    theirs.abort(ConnectionError("the test is over"))
