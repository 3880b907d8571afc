"""Part files: one writer, any number of followers."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import hashlib
import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from creamery import faults
from creamery.blobs import HashMismatch, LengthMismatch, NoSpace, NotDurable, Part, TooLong
from creamery.blobs.incoming import HELD_BACK, Incoming, abandoned
from creamery.blobs.reservations import Reservations
from creamery.clock import SystemClock
from creamery.contract import digest_of
from creamery.limits import Limits
from creamery.threads import Pools

pytestmark = pytest.mark.anyio

BODY = os.urandom(1_000_003)


@pytest.fixture
def limits() -> Limits:
    return Limits(reserve_bytes=0, file_bytes=2_000_000, small_bytes=0)


@pytest.fixture
def reservations(tmp_path: Path, limits: Limits) -> Reservations:
    return Reservations(tmp_path, limits, SystemClock())


@pytest.fixture
def incoming(tmp_path: Path, limits: Limits, reservations: Reservations) -> Any:
    (tmp_path / "incoming").mkdir()
    pools = Pools(limits)
    yield Incoming(tmp_path / "incoming", reservations, limits, pools.disk)
    pools.close()


async def follow(part: Part, start: int = 0, step: int = 65_536) -> bytes:
    """What a client does that wants everything from `start`."""
    pieces = []
    while await part.wait(start) > start:
        pieces.append(await part.read(start, step))
        start += len(pieces[-1])
    return b"".join(pieces)


async def feed(part: Part, body: bytes, step: int = 65_536) -> None:
    for offset in range(0, len(body), step):
        await part.write(body[offset : offset + step])
        await asyncio.sleep(0)


@pytest.mark.parametrize("size", [len(BODY), None])
async def test_followers_get_every_byte_whenever_they_come(incoming: Incoming, size: int | None) -> None:
    part = incoming.begin(size, "test")
    early = [asyncio.create_task(follow(part, start)) for start in (0, 1, 500_000)]

    await feed(part, BODY)
    between = asyncio.create_task(follow(part, 0, 1000))
    await part.finish(digest_of(BODY))
    late = asyncio.create_task(follow(part))

    assert [await task for task in (*early, between, late)] == [BODY, BODY[1:], BODY[500_000:], BODY, BODY]


async def test_it_knows_length_digest_and_checksum(incoming: Incoming) -> None:
    import zlib  # noqa: PLC0415 - beside its one use

    part = incoming.begin(None, "test")

    await feed(part, BODY, 1000)
    digest = await part.finish(None)

    assert (part.written, digest, part.crc32) == (len(BODY), digest_of(BODY), zlib.crc32(BODY))
    assert part.done
    assert part.path.read_bytes() == BODY


async def test_what_came_so_far_has_a_digest(incoming: Incoming) -> None:
    part = incoming.begin(None, "test")

    await part.write(BODY[:777])
    await part.flush()

    assert part.running_digest() == hashlib.sha256(BODY[:777]).hexdigest()


@pytest.mark.parametrize(
    ("size", "written", "readable"),
    [
        (1_000_003, 1_000_003, 1_000_003 - HELD_BACK),
        (1_000_003, 500_000, 500_000),
        (1_000, 1_000, 999),
        (1, 1, 0),
        (None, 1_000, 0),
        (None, 500_000, 500_000 - HELD_BACK),
    ],
)
async def test_the_last_piece_is_held_back_until_it_is_verified(
    incoming: Incoming, size: int | None, written: int, readable: int
) -> None:
    part = incoming.begin(size, "test")

    await part.write(BODY[:written])
    await part.flush()

    assert part.readable == readable
    assert await part.read(0, 2_000_000) == BODY[:readable]


async def test_the_first_byte_does_not_wait_for_a_second_one(incoming: Incoming) -> None:
    part = incoming.begin(len(BODY), "test")
    begun = time.perf_counter()

    await part.write(BODY[:1])
    await part.wait(0)

    assert time.perf_counter() - begun < 0.1  # a hop: below a millisecond on an idle machine
    assert await part.read(0, 10) == BODY[:1]


async def test_small_writes_gather_while_one_is_on_its_way(incoming: Incoming, monkeypatch: pytest.MonkeyPatch) -> None:
    part = incoming.begin(len(BODY), "test")
    batches: list[int] = []
    append = part._file.append

    def slow(pieces: list[bytes]) -> int:
        batches.append(len(pieces))
        time.sleep(0.02)
        return append(pieces)

    monkeypatch.setattr(part._file, "append", slow)

    await feed(part, BODY, 1000)
    await part.finish(digest_of(BODY))

    assert len(batches) < 100
    assert sum(batches) == 1001


async def test_a_fast_sender_waits_for_a_slow_disk(incoming: Incoming, monkeypatch: pytest.MonkeyPatch) -> None:
    part = incoming.begin(None, "test")

    def slow(pieces: list[bytes]) -> int:
        time.sleep(0.2)
        return sum(map(len, pieces))

    monkeypatch.setattr(part._file, "append", slow)

    await part.write(b"x")
    await asyncio.sleep(0.01)
    await part.write(bytes(600_000))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(part.write(bytes(600_000)), 0.05)

    part.abort(RuntimeError("enough"))


@pytest.mark.parametrize("size", [len(BODY), None])
async def test_a_wrong_file_completes_nowhere(incoming: Incoming, size: int | None) -> None:
    part = incoming.begin(size, "test")
    follower = asyncio.create_task(follow(part))

    await feed(part, BODY)
    with pytest.raises(HashMismatch) as caught:
        await part.finish(digest_of(b"what was promised"))

    assert caught.value.found == digest_of(BODY)
    with pytest.raises(HashMismatch):
        await follower
    assert not part.path.exists()


@pytest.mark.parametrize(("size", "named"), [(len(BODY) + 1, None), (None, len(BODY) - 1), (None, len(BODY) + 1)])
async def test_a_file_of_another_length_completes_nowhere(
    incoming: Incoming, size: int | None, named: int | None
) -> None:
    part = incoming.begin(size, "test")
    follower = asyncio.create_task(follow(part))

    await feed(part, BODY)
    with pytest.raises(LengthMismatch):
        await part.finish(None, named)

    with pytest.raises(LengthMismatch):
        await follower


async def test_one_byte_more_than_announced_is_refused(incoming: Incoming) -> None:
    part = incoming.begin(10, "test")

    await part.write(bytes(10))
    with pytest.raises(TooLong):
        await part.write(b"x")

    with pytest.raises(TooLong):
        await part.finish(None)


async def test_one_byte_more_than_a_file_may_have_is_refused(incoming: Incoming, limits: Limits) -> None:
    part = incoming.begin(None, "test")

    await part.write(bytes(limits.file_bytes))
    with pytest.raises(TooLong):
        await part.write(b"x")

    with pytest.raises(TooLong):
        incoming.begin(limits.file_bytes + 1, "test")


async def test_a_finished_part_is_written_no_more(incoming: Incoming) -> None:
    part = incoming.begin(None, "test")
    await part.write(BODY)
    await part.finish(None)

    with pytest.raises(RuntimeError, match="after it was finished"):
        await part.write(b"x")

    assert part.path.read_bytes() == BODY


async def test_an_empty_file_is_a_file(incoming: Incoming) -> None:
    part = incoming.begin(0, "test")
    follower = asyncio.create_task(follow(part))

    digest = await part.finish(digest_of(b""))

    assert digest == digest_of(b"")
    assert await follower == b""
    assert part.path.read_bytes() == b""


async def test_followers_hear_why_it_was_aborted_and_only_the_first_reason(incoming: Incoming) -> None:
    part = incoming.begin(len(BODY), "test")
    followers = [asyncio.create_task(follow(part)) for _ in range(3)]
    await feed(part, BODY[:5000])

    part.abort(ConnectionError("upstream is gone"))
    part.abort(ValueError("later"))

    for follower in followers:
        with pytest.raises(ConnectionError, match="upstream is gone"):
            await follower
    with pytest.raises(ConnectionError):
        await part.write(b"x")


async def test_a_follower_that_leaves_disturbs_nobody(incoming: Incoming) -> None:
    part = incoming.begin(len(BODY), "test")
    leaving, staying = (asyncio.create_task(follow(part)) for _ in range(2))
    await feed(part, BODY[:5000])

    leaving.cancel()
    await feed(part, BODY[5000:])
    await part.finish(digest_of(BODY))

    assert await staying == BODY


@pytest.mark.parametrize(("failing", "meaning"), [("ENOSPC", NoSpace), ("EIO", NotDurable)])
async def test_a_disk_that_fails_in_the_middle_fails_the_part(
    incoming: Incoming, failing: str, meaning: type[Exception]
) -> None:
    faults.arm(f"blobs.mid_body@3={failing}")
    part = incoming.begin(len(BODY), "test")
    follower = asyncio.create_task(follow(part))

    with contextlib.suppress(meaning):  # the writer may hear of it at its next byte already
        await feed(part, BODY)
    with pytest.raises(meaning):
        await part.finish(digest_of(BODY))

    with pytest.raises(meaning):
        await follower
    assert not part.path.exists()


@pytest.mark.parametrize("error", [errno.EAGAIN, errno.EOPNOTSUPP])
async def test_what_is_not_in_the_page_cache_is_read_in_a_thread(
    incoming: Incoming, monkeypatch: pytest.MonkeyPatch, error: int
) -> None:
    def refuse(*_: Any) -> int:
        raise OSError(error, os.strerror(error))

    monkeypatch.setattr(os, "preadv", refuse)
    part = incoming.begin(len(BODY), "test")
    follower = asyncio.create_task(follow(part))

    await feed(part, BODY)
    await part.finish(digest_of(BODY))

    assert await follower == BODY


async def test_a_large_file_has_its_space_from_the_first_byte(incoming: Incoming, reservations: Reservations) -> None:
    """For every process to see, not only for the one that promised it."""
    part = incoming.begin(1_500_000, "test")
    await part.write(b"x")
    await part.flush()
    state = part.path.stat()

    assert state.st_size == 1
    if state.st_blocks * 512 < 1_500_000:
        pytest.skip("this file system cannot set space aside")
    assert reservations.outstanding == 0


async def test_space_that_another_process_took_is_no_space(
    incoming: Incoming, reservations: Reservations, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int, __: int) -> bool:
        raise OSError(errno.ENOSPC, "no space left")

    monkeypatch.setattr("creamery.blobs.reservations._allocate", full)
    part = incoming.begin(1_500_000, "test")
    await part.write(b"x")

    with pytest.raises(NoSpace):
        await part.flush()
    assert reservations.wanted(10**9) == 1_500_000
    assert reservations.outstanding == 0


async def test_space_is_promised_until_it_is_used(incoming: Incoming, reservations: Reservations) -> None:
    part = incoming.begin(len(BODY), "test")
    promised = reservations.outstanding

    await part.write(BODY[:1000])
    await part.flush()
    rest = reservations.outstanding
    part.abort(RuntimeError("enough"))

    assert (promised, rest, reservations.outstanding) == (len(BODY), len(BODY) - 1000, 0)


async def test_a_part_of_unknown_size_needs_space_as_it_grows(
    incoming: Incoming, reservations: Reservations, monkeypatch: pytest.MonkeyPatch
) -> None:
    part = incoming.begin(None, "test")
    monkeypatch.setattr(Reservations, "free", lambda self: 1500 - self.outstanding)

    await part.write(bytes(1000))
    with pytest.raises(NoSpace):
        await part.write(bytes(1000))

    assert part.failure is not None


async def test_a_part_that_nobody_knows_any_more_leaves_nothing(incoming: Incoming, reservations: Reservations) -> None:
    part = incoming.begin(len(BODY), "test")
    await part.write(BODY[:1000])
    await part.flush()
    path, descriptor = part.path, part.descriptor

    del part
    gc.collect()

    assert not path.exists()
    assert reservations.outstanding == 0
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)


async def test_an_aborted_part_gives_its_bytes_back_at_once(incoming: Incoming) -> None:
    part = incoming.begin(len(BODY), "test")
    await part.write(BODY[:1000])
    part.abort(TooLong(1))
    while part.descriptor >= 0:
        await asyncio.sleep(0)

    with pytest.raises(TooLong):
        await part.read(0, 100)


async def test_an_aborted_part_that_is_being_read_stays_open_as_long(
    incoming: Incoming, monkeypatch: pytest.MonkeyPatch
) -> None:
    part = incoming.begin(len(BODY), "test")
    await feed(part, BODY[:-1])
    await part.flush()

    def not_cached(*_: Any) -> int:
        raise OSError(errno.EAGAIN, "not in the page cache")

    begun, go_on, pread = threading.Event(), threading.Event(), os.pread

    def slow(*arguments: Any) -> bytes:
        begun.set()
        go_on.wait(5)
        return pread(*arguments)

    monkeypatch.setattr(os, "preadv", not_cached)
    monkeypatch.setattr(os, "pread", slow)
    reading = asyncio.create_task(part.read(0, 100))
    await asyncio.to_thread(begun.wait, 5)
    part.abort(TooLong(1))
    open_while_read = part.descriptor >= 0
    go_on.set()
    read = await reading
    while part.descriptor >= 0:
        await asyncio.sleep(0)

    assert open_while_read
    assert read == BODY[:100]


async def test_a_part_that_is_written_is_nobodys_leftover(incoming: Incoming) -> None:
    part = incoming.begin(len(BODY), "test")
    await part.write(BODY[:1000])
    await part.flush()
    left = incoming.new_path()
    left.write_bytes(b"from a process that was killed")

    found = [path for path, _ in abandoned(incoming.folder)]

    assert found == [left]
    assert part.path.exists()


async def test_two_hundred_followers_are_woken_cheaply(incoming: Incoming) -> None:
    body = BODY[:300_000]
    part = incoming.begin(len(body), "test")
    followers = [asyncio.create_task(follow(part)) for _ in range(200)]

    await feed(part, body)
    await part.finish(digest_of(body))

    assert {digest_of(found) for found in await asyncio.gather(*followers)} == {digest_of(body)}


async def test_the_most_that_it_can_be_is_promised_and_given_back(
    incoming: Incoming, reservations: Reservations
) -> None:
    """An upload's form says how long it is, and not how much of it is the file."""
    part = incoming.begin(None, "test", at_most=1_900_000)
    promised = reservations.outstanding
    await feed(part, BODY)
    await part.finish(None)

    assert (promised, reservations.outstanding) == (1_900_000, 0)
    assert part.written == len(BODY)
    assert os.fstat(part.descriptor).st_blocks * 512 < len(BODY) + 16_384


async def test_more_than_it_can_be_is_refused(incoming: Incoming) -> None:
    part = incoming.begin(None, "test", at_most=1_000)
    await part.write(b"x" * 1_000)

    with pytest.raises(TooLong):
        await part.write(b"x")


async def test_no_more_is_promised_than_a_file_may_have(incoming: Incoming, reservations: Reservations) -> None:
    part = incoming.begin(None, "test", at_most=9_000_000)

    assert reservations.outstanding == 2_000_000
    part.abort(RuntimeError("enough"))
