"""Large files on their way past the process: whole, from the middle, slowly, cut short, and when they are cold."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from creamery.http.exchange import TransferBroken
from creamery.http.zerocopy import (
    CACHED_TOGETHER,
    NOWAIT,
    SHARED_FROM,
    UNSENT_AT_LEAST,
    UNSENT_BYTES,
    FilePiece,
    SharedBytes,
    is_cached,
    send_piece,
)
from creamery.limits import KIB, MIB
from tests.doubles.toy import LARGE
from tests.doubles.waiting import eventually
from tests.doubles.wired import Wired


@contextlib.contextmanager
def opened(file: Path) -> Iterator[int]:
    descriptor = os.open(file, os.O_RDONLY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Eight megabytes, written to the disk."""
    path = tmp_path / "file"
    with path.open("wb") as out:
        out.write(LARGE)
        out.flush()
        os.fsync(out.fileno())
    with opened(path) as descriptor:
        if NOWAIT is None or not is_cached(descriptor, 0, 1):
            pytest.skip("this system, or its disk, does not tell what is in the page cache")
    return path


def cool(file: Path) -> None:
    """Let the page cache forget it."""
    with opened(file) as descriptor:
        os.fsync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def send(piece: FilePiece, *, pause: float = 0.0) -> bytes:
    """What the other side of a socket gets of it, reading slowly."""

    async def both() -> bytes:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            ours.setblocking(False)
            theirs.setblocking(False)
            counted: list[int] = []
            sending = asyncio.create_task(send_piece(ours.fileno(), piece, counted.append))
            got = b""
            while not sending.done():
                await asyncio.sleep(pause)
                with contextlib.suppress(BlockingIOError):
                    got += theirs.recv(1 << 20)
            await sending
            assert sum(counted) == piece.length
            ours.close()
            theirs.setblocking(True)
            while more := theirs.recv(1 << 20):
                got += more
        return got

    return asyncio.run(both())


@pytest.mark.parametrize("pause", [0.0, 0.001])
def test_a_piece_arrives_whole_however_slowly_it_is_read(file: Path, pause: float) -> None:
    with opened(file) as descriptor:
        assert send(FilePiece(descriptor, 5, 2_000_000), pause=pause) == LARGE[5:2_000_005]


@contextlib.contextmanager
def connected_pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Two ends of a connection over loopback."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        theirs = socket.create_connection(listening.getsockname())
        ours, _ = listening.accept()
    with ours, theirs:
        ours.setblocking(False)
        yield ours, theirs


def unsent_bound(out: socket.socket) -> int:
    return out.getsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT)


@pytest.mark.skipif(not hasattr(socket, "TCP_NOTSENT_LOWAT"), reason="this system has no such bound")
@pytest.mark.parametrize(("clients", "share"), [(1, UNSENT_BYTES), (4, UNSENT_BYTES // 4), (40, UNSENT_AT_LEAST)])
def test_files_on_their_way_out_share_what_may_wait_in_the_kernel(file: Path, clients: int, share: int) -> None:
    async def all_at_once(descriptor: int) -> None:
        with contextlib.ExitStack() as stack:
            pairs = [stack.enter_context(connected_pair()) for _ in range(clients)]
            piece = FilePiece(descriptor, 0, len(LARGE))
            sending = [asyncio.create_task(send_piece(ours.fileno(), piece, lambda _: None)) for ours, _ in pairs]
            await asyncio.sleep(0)  # each begins, and waits for its reader
            last = pairs[-1][0]
            assert unsent_bound(last) == share

            for task in sending[:-1]:
                task.cancel()
            await asyncio.gather(*sending[:-1], return_exceptions=True)
            reading = asyncio.to_thread(lambda: [*iter(lambda: pairs[-1][1].recv(1 << 20, socket.MSG_WAITALL), b"")])
            got = asyncio.create_task(reading)
            await sending[-1]
            assert unsent_bound(last) == 0
            last.shutdown(socket.SHUT_WR)
            assert b"".join(await got) == LARGE

    with opened(file) as descriptor:
        asyncio.run(all_at_once(descriptor))


def test_a_piece_that_the_file_does_not_have_is_broken(file: Path) -> None:
    with opened(file) as descriptor, pytest.raises(TransferBroken, match="ends 7 bytes before"):
        send(FilePiece(descriptor, len(LARGE) - 3, 10))


def test_a_client_that_has_gone_is_told_of_and_leaves_nothing_open(file: Path) -> None:
    before = descriptors()
    ours, theirs = socket.socketpair()
    theirs.close()

    with ours, opened(file) as descriptor, pytest.raises(BrokenPipeError):
        asyncio.run(send_piece(ours.fileno(), FilePiece(descriptor, 0, 10), print))

    assert descriptors() == before


def test_only_what_the_page_cache_has_from_end_to_end_is_cached(file: Path) -> None:
    with opened(file) as descriptor:
        assert is_cached(descriptor, 0, len(LARGE))
        assert not is_cached(descriptor, 0, len(LARGE) + 1)

        cool(file)
        assert not is_cached(descriptor, 1_000, 1)

        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_RANDOM)  # no reading ahead
        os.pread(descriptor, 10, 4 * CACHED_TOGETHER)
        assert is_cached(descriptor, 4 * CACHED_TOGETHER, 10)
        assert not is_cached(descriptor, 4 * CACHED_TOGETHER, CACHED_TOGETHER)
        assert not is_cached(descriptor, 3 * CACHED_TOGETHER, 2 * CACHED_TOGETHER)


def test_many_read_a_large_file_at_once_each_from_where_it_wants(toy: Wired) -> None:
    starts = [0, 1, 299_999, 4_000_001, len(LARGE) - 300_000] * 4

    with ThreadPoolExecutor(len(starts)) as clients:
        answers = list(clients.map(lambda start: toy.get("/blob/large", range=f"bytes={start}-"), starts))

    assert [answer.status for answer in answers] == [206] * len(starts)
    assert all(answer.body == LARGE[start:] for answer, start in zip(answers, starts, strict=True))
    assert sorted(line["bytes"] for line in toy.lines()[-len(starts) :]) == sorted(len(LARGE) - at for at in starts)


def test_what_is_only_on_the_disk_is_read_from_there(toy: Wired, toy_files: Path) -> None:
    cool(toy_files / "large")

    assert toy.get("/blob/large").body == LARGE


def test_another_request_follows_on_the_same_connection(toy: Wired) -> None:
    asked = b"GET /blob/large HTTP/1.1\r\nHost: hub\r\n\r\nGET /page HTTP/1.1\r\nHost: hub\r\nConnection: close\r\n\r\n"

    first, _, rest = toy.ask(asked).partition(b"\r\n\r\n")

    assert first.startswith(b"HTTP/1.1 200")
    assert rest[: len(LARGE)] == LARGE
    assert rest[len(LARGE) :].startswith(b"HTTP/1.1 200")
    assert rest.endswith(b"page")


@pytest.mark.parametrize("buffer", [256 * KIB, 4 * MIB])
def test_bytes_that_many_are_sent_arrive_whole_however_slowly_they_are_read(toy: Wired, buffer: int) -> None:
    with toy.connected() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        for request in range(3):
            connection.sendall(b"GET /shared HTTP/1.1\r\nHost: hub\r\n\r\nGET /page HTTP/1.1\r\nHost: hub\r\n\r\n")
            got = b""
            while not got.endswith(b"page"):
                piece = connection.recv(1 << 20)
                assert piece, f"the connection ended after {len(got)} bytes"
                got += piece
            head, _, rest = got.partition(b"\r\n\r\n")
            assert b"content-length: %d" % len(LARGE) in head
            assert rest[: len(LARGE)] == LARGE, request
            assert rest[len(LARGE) :].startswith(b"HTTP/1.1 200")


def test_what_was_asked_before_them_goes_out_before_them(toy: Wired) -> None:
    asked = b"GET /page HTTP/1.1\r\nHost: hub\r\n\r\nGET /shared HTTP/1.1\r\nHost: hub\r\nConnection: close\r\n\r\n"

    first, _, rest = toy.ask(asked).partition(b"\r\n\r\n")

    assert first.startswith(b"HTTP/1.1 200")
    assert rest.startswith(b"pageHTTP/1.1 200")
    assert rest.endswith(LARGE)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_they_arrive_as_well_where_the_system_has_no_file_for_them(
    toy: Wired, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none_left(*_: object) -> int:
        raise OSError(errno.EMFILE, "too many open files")

    monkeypatch.setattr(os, "memfd_create", none_left)
    monkeypatch.setattr("tests.doubles.toy.SHARED", SharedBytes(LARGE))

    assert toy.get("/shared", method).body == (LARGE if method == "GET" else b"")


def test_their_file_is_made_when_they_are_many_and_goes_with_them() -> None:
    before = descriptors()
    few, many = SharedBytes(bytes(SHARED_FROM - 1)), SharedBytes(bytes(SHARED_FROM))

    assert few.file() is None
    file = many.file()
    assert file is not None
    assert (many.file(), os.pread(file, len(many) + 1, 0)) == (file, many)
    assert descriptors() == before + 1
    del many
    assert descriptors() == before


def test_clients_that_leave_in_the_middle_leave_nothing_open(toy: Wired) -> None:
    eventually(lambda: toy.connections() == 0)
    before = descriptors()

    for _ in range(10):
        with toy.connected() as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
            connection.sendall(b"GET /blob/large HTTP/1.1\r\nHost: hub\r\n\r\n")
            assert connection.recv(100)
            time.sleep(0.05)  # the kernel takes what it takes

    eventually(lambda: toy.connections() == 0 and descriptors() == before)
    cut = toy.lines()[-10:]
    assert [line.get("aborted") for line in cut] == ["client"] * 10
    assert all(line["bytes"] < len(LARGE) for line in cut)
    assert any(line["bytes"] % MIB for line in cut)  # what went, not what was begun
