"""JSON that is too much: refused while it comes, before anything is staged, and whatever its shape."""

from __future__ import annotations

import selectors
import socket
import uuid
from contextlib import suppress
from pathlib import Path

import pytest
from sqlalchemy import Connection, func, select

from creamery.carts import tables
from creamery.limits import MIB
from tests.doubles.carting import carting_hub
from tests.doubles.running import RunningHub
from tests.doubles.served import Served

GIB = 1024 * MIB


def nothing_is_there(hub: RunningHub) -> bool:
    """Neither a cart, deleted ones included, nor anything of one."""

    def count(connection: Connection) -> int:
        rows = (tables.cart, tables.cart_file, tables.cart_source)
        return sum(connection.execute(select(func.count()).select_from(table)).scalar_one() for table in rows)

    return bool(hub.ask(count) == 0)


def test_a_million_entries_are_refused_before_anything_is_staged(hub: RunningHub) -> None:
    counted = hub.client.post(f"{hub.base}/{uuid.uuid4()}", content=b'{"fileids": [' + b"7," * 999_999 + b"7]}")
    entries = b'{"id":1,"path":"1","hashtype":"md5","hashsum":""},' * 1_000_000
    measured = hub.client.post(f"{hub.base}/{uuid.uuid4()}", content=b'{"fileids": [' + entries[:-1] + b"]}")

    assert counted.status_code == measured.status_code == 413
    assert "1000000 files are more than one cart may have: 200000 (limits.cart_files)" in counted.json()["message"]
    assert "33554432 bytes (limits.cart_json_bytes)" in measured.json()["message"]
    assert nothing_is_there(hub)


@pytest.mark.parametrize(
    ("before", "deep", "after"),
    [
        ("", "[]", ""),
        ('{"fileids": ', "[]", "}"),
        ('{"fileids": [', '{"id":}', "]}"),
        ('{"fileids": [], "more": ', "[]", "}"),
        ('{"fileids": [{"id": 1, "path": "a", "hashtype": "md5", "hashsum": "", "more": ', '{"":}', "}]}"),
    ],
    ids=["the document", "the list", "an entry", "beside the list", "beside an entry's id"],
)
def test_what_is_nested_too_deep_is_no_cart(hub: RunningHub, before: str, deep: str, after: str) -> None:
    body = before + deep[:-1] * 100_000 + "1" + deep[-1] * 100_000 + after
    answer = hub.client.post(f"{hub.base}/{uuid.uuid4()}", content=body.encode())

    assert answer.status_code == 400
    assert "Invalid JSON document: depth limit exceeded" in answer.json()["message"]
    assert nothing_is_there(hub)


@pytest.mark.installed
@pytest.mark.parametrize(
    "length", [b"Transfer-Encoding: chunked", b"Content-Length: %d" % GIB], ids=["chunked", "told"]
)
def test_a_gigabyte_is_refused_while_it_comes_and_takes_no_memory(tmp_path: Path, folder: Path, length: bytes) -> None:
    settings = {"carts_archives": str(folder), "limits_cart_json_bytes": str(MIB)}
    with Served(tmp_path / "var", "", **settings) as hub:
        begun = most_memory(hub)
        sent, answer = stream(hub, length)
        grown = most_memory(hub) - begun
        after = hub.get("/carts")

    assert b" 413 " in answer.partition(b"\r\n")[0]
    assert b"limits.cart_json_bytes" in answer
    assert sent < 64 * MIB
    assert grown < 32 * MIB
    assert after.json() == {"carts": []}


def stream(hub: Served, length: bytes) -> tuple[int, bytes]:
    """Send a gigabyte of JSON, as far as it is taken; what was sent before the answer began, and the answer."""
    host, _, port = hub.base.removeprefix("http://").partition(":")
    piece, sent, before, answer = b" " * MIB, 0, GIB, b""
    if b"chunked" in length:
        piece = b"%x\r\n%s\r\n" % (len(piece), piece)
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        head = b"POST /%s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n%s\r\n\r\n"
        connection.sendall(head % (str(uuid.uuid4()).encode(), length))
        answers = selectors.DefaultSelector()
        answers.register(connection, selectors.EVENT_READ)
        with answers, suppress(OSError):
            while sent < GIB:
                connection.sendall(piece)
                sent += MIB
                if before == GIB and answers.select(0):
                    before = sent
            connection.shutdown(socket.SHUT_WR)
        with suppress(OSError):
            while more := connection.recv(65_536):
                answer += more
    return min(before, sent), answer


def most_memory(hub: Served) -> int:
    """The most bytes that its process has ever had in memory."""
    status = Path(f"/proc/{hub.process.pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def test_that_much_json_is_taken_where_it_may_be(tmp_path: Path, folder: Path) -> None:
    """What is refused above is refused for its size alone."""
    with carting_hub(tmp_path / "data", folder) as hub:
        answer = hub.client.post(f"{hub.base}/{uuid.uuid4()}", content=b'{"fileids": []' + b" " * 31 * MIB + b"}")

    assert answer.status_code == 201
