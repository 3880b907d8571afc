"""A quota over WebDAV: bytes that would not fit do not move, and those of unknown number end at the first too many."""

from __future__ import annotations

import socket
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path

import pytest

from creamery.hive.dav import propfind
from tests.doubles.dav import Dav, properties_of
from tests.doubles.hiving import Keeper
from tests.doubles.running import RunningHub

MIB = 1024 * 1024
HOME = "/home"


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


QUOTA = '<propfind xmlns="DAV:"><prop><quota-used-bytes/><quota-available-bytes/></prop></propfind>'


def told(alice: Dav, path: str = "/") -> tuple[int, int]:
    """What is used, and what is available."""
    [found] = alice.found(path, "0", QUOTA).values()
    return int(found["{DAV:}quota-used-bytes"].text), int(found["{DAV:}quota-available-bytes"].text)


def test_versions_and_trash_are_used_and_available_is_what_files_may_have(alice: Dav) -> None:
    alice.folder("/folder")
    alice.put("/folder/file", b"x" * 100)
    alice("PUT", "/folder/file", b"y" * 200, X_OC_Mtime="1000000")
    alice("PUT", "/folder/file", b"z" * 300, X_OC_Mtime="1000000")
    alice.put("/gone", b"x" * 1_000)
    alice("DELETE", "/gone")

    used, available = told(alice)

    assert used in {1_500, 1_600}  # what was overwritten a moment after it came is no version
    assert available == MIB - 300
    with begin(alice, "/large", MIB // 2) as connection:
        assert connection.recv(100).startswith(b"HTTP/1.1 100 ")
        assert told(alice, "/folder/") == (used, MIB - 300 - MIB // 2)


def test_without_a_quota_as_much_is_available_as_the_disk_has(tmp_path: Path) -> None:
    with RunningHub(tmp_path, index={"upstreams": []}) as hub:
        _, available = told(Dav(hub))

        assert 0 < available <= hub.built.hub.blobs.free_bytes() + 2**30
        assert available % (64 * MIB) == 0


def test_an_answer_that_is_kept_tells_what_is_used_now(alice: Dav, monkeypatch: pytest.MonkeyPatch) -> None:
    """To let a version go changes no tag: for a while what was told before was told again."""
    monkeypatch.setattr(propfind, "KEPT_FROM", 1)
    monkeypatch.setattr(propfind, "GZIPPED_FROM", 1)
    for number in range(1, 4):
        alice("PUT", "/file", b"x" * number, X_OC_Mtime="1000000")
    keeper = Keeper(alice.hub)
    number = keeper.get(f"{HOME}/entry", path="/file")["id"]

    def used() -> int:
        answer = alice("PROPFIND", "/", QUOTA, Depth="1", Accept_Encoding="gzip")
        return int(next(iter(properties_of(answer.text).values()))["{DAV:}quota-used-bytes"].text)

    assert [used(), used()] == [6, 6]
    keeper.delete(f"{HOME}/files/{number}/versions/1")
    assert used() == 5
