"""A quota over WebDAV: bytes that would not fit do not move, and those of unknown number end at the first too many."""

from __future__ import annotations

import socket
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.doubles.dav import Dav
from tests.doubles.running import RunningHub

MIB = 1024 * 1024


@pytest.fixture
def alice(tmp_path: Path) -> Iterator[Dav]:
    """At a hub that gives everybody a mebibyte (hive.quota)."""
    with RunningHub(tmp_path, index={"upstreams": []}, hive={"quota": MIB}) as hub:
        yield Dav(hub)


def begin(alice: Dav, path: str, length: int | None) -> socket.socket:
    """An upload of which no byte has come yet."""
    known = b64encode(":".join(alice.auth).encode()).decode()
    said = "Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}"
    connection = socket.create_connection(("127.0.0.1", int(alice.hub.base.rpartition(":")[2])), 10)
    connection.sendall(
        f"PUT {alice.home}{path} HTTP/1.1\r\nHost: hub\r\nConnection: close\r\n{said}\r\n"
        f"Expect: 100-continue\r\nAuthorization: Basic {known}\r\n\r\n".encode()
    )
    return connection


def test_a_declared_length_over_the_quota_is_refused_before_bytes_move(alice: Dav) -> None:
    alice.put("/there", b"x" * (MIB // 2))

    with begin(alice, "/large", MIB // 2 + 1) as connection:
        assert connection.recv(100).startswith(b"HTTP/1.1 507 ")
    assert alice.names() == ["there"]


def test_what_a_file_has_already_counts_for_what_takes_its_place(alice: Dav) -> None:
    alice.put("/file", b"x" * MIB)

    assert alice("PUT", "/file", b"y" * MIB).status_code == 204
    assert alice("PUT", "/file", b"y" * (MIB + 1)).status_code == 507


def test_an_upload_that_is_on_its_way_counts_for_all_others(alice: Dav) -> None:
    with begin(alice, "/first", MIB * 3 // 4) as first:
        assert first.recv(100).startswith(b"HTTP/1.1 100 ")
        assert alice("PUT", "/second", b"y" * (MIB // 2)).status_code == 507

        first.sendall(b"x" * (MIB * 3 // 4))
        assert first.recv(100).startswith(b"HTTP/1.1 201 ")

    assert alice("PUT", "/second", b"y" * (MIB // 4)).status_code == 201
    assert alice.names() == ["first", "second"]


def test_an_upload_that_was_cut_off_counts_no_more(alice: Dav) -> None:
    with begin(alice, "/first", MIB) as first:
        assert first.recv(100).startswith(b"HTTP/1.1 100 ")
        first.sendall(b"x" * 1_000)

    alice.hub.wait_until(lambda: alice("PUT", "/second", b"y" * MIB).status_code == 201)


def test_a_body_of_unknown_length_ends_at_the_first_byte_too_many(alice: Dav) -> None:
    alice.put("/there", b"x" * (MIB // 2))
    piece = b"%x\r\n" % (MIB // 4) + b"y" * (MIB // 4) + b"\r\n"

    with begin(alice, "/fits", None) as connection:
        assert connection.recv(100).startswith(b"HTTP/1.1 100 ")
        connection.sendall(piece + piece + b"0\r\n\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 201 ")
    with begin(alice, "/large", None) as connection:
        assert connection.recv(100).startswith(b"HTTP/1.1 100 ")
        connection.sendall(b"1\r\ny\r\n")
        answer = connection.recv(1_000)
    assert answer.startswith(b"HTTP/1.1 507 ")
    assert alice.names() == ["fits", "there"]


def test_a_quota_of_more_than_the_disk_has_keeps_no_body_of_unknown_length_out(tmp_path: Path) -> None:
    """As much as the quota was promised to each of them, and there was no room for any."""
    with RunningHub(tmp_path, index={"upstreams": []}, hive={"quota": 2**60}, limits={"file_bytes": 2**60}) as hub:
        alice = Dav(hub)
        with begin(alice, "/file", None) as connection:
            assert connection.recv(100).startswith(b"HTTP/1.1 100 ")
            connection.sendall(b"1\r\ny\r\n0\r\n\r\n")
            assert connection.recv(100).startswith(b"HTTP/1.1 201 ")
