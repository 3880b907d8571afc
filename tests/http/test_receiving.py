"""An upload over a socket: what comes of it, who is refused and with what words, and that nothing is left of those."""

from __future__ import annotations

import hashlib
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from creamery.limits import Limits
from tests.doubles.uploads import BOUNDARY, Field, Takes, form_of, request_in_chunks, request_of
from tests.doubles.waiting import eventually
from tests.doubles.wired import Answer, Wired, parse, read_all

CONTENT = os.urandom(300_000)
UPLOAD: list[Field] = [
    (":action", "file_upload"),
    ("classifiers", "A"),
    ("content", CONTENT, "x-1.0.tar.gz"),
    ("classifiers", "Ü"),
]
FILE_BYTES = 400_000
SOON = 0.3


@pytest.fixture(scope="module")
def takes(tmp_path_factory: pytest.TempPathFactory) -> Takes:
    return Takes(tmp_path_factory.mktemp("uploads") / "incoming")


@pytest.fixture(scope="module")
def wired(takes: Takes) -> Iterator[Wired]:
    """Low limits and little patience."""
    limits: dict[str, Any] = {
        "form_fields": 20,
        "form_field_bytes": 5_000,
        "form_bytes": 8_000,
        "form_header_bytes": 500,
        "file_bytes": FILE_BYTES,
        "body_silent_seconds": SOON,
        "linger_seconds": SOON,
        "linger_most_seconds": 4 * SOON,
    }
    with Wired(takes.routes(), **limits) as started:
        yield started


@pytest.fixture(autouse=True)
def _nothing_is_left(wired: Wired, takes: Takes) -> Iterator[None]:
    yield
    eventually(lambda: wired.connections() == 0, 5)
    eventually(lambda: takes.left() == [], 5)


def found(answer: Answer) -> dict[str, Any]:
    """What came of a form that was taken."""
    assert answer.status == 200, answer.body
    document: dict[str, Any] = orjson.loads(answer.body)
    return document


def send(wired: Wired, fields: list[Field], **more: Any) -> Answer:
    return parse(wired.ask(request_of(form_of(fields), **more)))


def refusal(wired: Wired, fields: list[Field], **more: Any) -> tuple[int, str]:
    """Status and title."""
    answer = send(wired, fields, **more)
    return answer.status, orjson.loads(answer.body)["title"]


def test_a_form_becomes_fields_and_a_hashed_file(wired: Wired) -> None:
    assert found(send(wired, UPLOAD)) == {
        "fields": {":action": ["file_upload"], "classifiers": ["A", "Ü"]},
        "filename": "x-1.0.tar.gz",
        "size": len(CONTENT),
        "sha256": hashlib.sha256(CONTENT).hexdigest(),
    }


@pytest.mark.parametrize("order", [0, 1, 2, 3])
def test_the_fields_may_come_in_any_order(wired: Wired, order: int) -> None:
    answer = found(send(wired, UPLOAD[order:] + UPLOAD[:order]))

    assert answer["fields"][":action"] == ["file_upload"]
    assert answer["size"] == len(CONTENT)


def test_a_form_without_a_file_is_one_too(wired: Wired) -> None:
    assert found(send(wired, [(":action", "submit")])) == {"fields": {":action": ["submit"]}}


def test_an_empty_file_is_a_file(wired: Wired) -> None:
    assert found(send(wired, [("content", b"", "empty")]))["size"] == 0


def test_a_body_may_come_in_chunks(wired: Wired) -> None:
    body = form_of(UPLOAD)
    pieces = [body[start : start + 10_007] for start in range(0, len(body), 10_007)]

    answer = parse(wired.ask(request_in_chunks(pieces)))

    assert found(answer)["size"] == len(CONTENT)


def test_who_asks_first_is_told_to_go_on(wired: Wired) -> None:
    request = request_of(form_of(UPLOAD), more="Expect: 100-continue\r\n")
    head, _, body = request.partition(b"\r\n\r\n")

    with wired.connected() as connection:
        connection.sendall(head + b"\r\n\r\n")
        asked = connection.recv(100)
        connection.sendall(body)
        answer = parse(read_all(connection))

    assert asked == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert found(answer)["size"] == len(CONTENT)


@pytest.mark.parametrize("said", ["text/plain", None, "application/x-www-form-urlencoded"])
def test_what_is_no_such_form_is_refused_before_its_body(wired: Wired, said: str | None) -> None:
    head = request_of(b"", content_type=said, more="Expect: 100-continue\r\n").replace(
        b"Content-Length: 0", b"Content-Length: 3"
    )

    answer = parse(wired.ask(head))

    assert answer.status == 415
    assert b"twine" in answer.body


def test_the_file_may_be_as_large_as_the_limit_says(wired: Wired) -> None:
    """`limits.file_bytes`."""
    assert found(send(wired, [("content", b"x" * FILE_BYTES, "x")]))["size"] == FILE_BYTES
    assert refusal(wired, [("content", b"x" * (FILE_BYTES + 1), "x")]) == (413, "File too large")


def test_so_many_fields_may_come(wired: Wired) -> None:
    """limits.form_fields; the file is one of them."""
    fields: list[Field] = [("a", "")] * 19

    assert len(found(send(wired, [*fields, ("content", b"", "x")]))["fields"]["a"]) == 19
    assert refusal(wired, [*fields, ("content", b"", "x"), ("a", "")]) == (413, "Too many fields")


def test_a_field_may_be_so_large(wired: Wired) -> None:
    """`limits.form_field_bytes`."""
    assert found(send(wired, [("a", "x" * 5_000)]))["fields"]["a"] == ["x" * 5_000]
    assert refusal(wired, [("a", "x" * 5_001)]) == (413, "Field too large")


def test_all_fields_may_be_so_large_together(wired: Wired) -> None:
    """limits.form_bytes; names count."""
    assert found(send(wired, [("a", "x" * 3_999), ("b", "x" * 3_999), ("content", b"y" * 10_000, "y")]))["size"]
    assert refusal(wired, [("a", "x" * 3_999), ("b", "x" * 4_000)]) == (413, "Form too large")


def test_a_field_may_have_so_much_header(wired: Wired) -> None:
    """`limits.form_header_bytes`."""
    others = len('Content-Disposition: form-data; name=""\r\n')

    assert list(found(send(wired, [("a" * (500 - others), "")]))["fields"]) == ["a" * (500 - others)]
    assert refusal(wired, [("a" * (501 - others), "")]) == (413, "Header too large")


def test_more_fields_than_any_metadata_has_are_refused_quickly(wired: Wired) -> None:
    body = form_of([("a", "")] * 20_000)
    began = time.monotonic()

    answer = parse(wired.ask(request_in_chunks([body])))

    assert Limits().metadata_fields < Limits().form_fields < 20_000
    assert (answer.status, orjson.loads(answer.body)["title"]) == (413, "Too many fields")
    assert time.monotonic() - began < 2


def test_more_than_any_upload_can_have_is_refused_by_its_announcement(wired: Wired) -> None:
    request = request_of(b"", more="Expect: 100-continue\r\n").replace(b"-Length: 0", b"-Length: 99999999999")

    assert parse(wired.ask(request)).status == 413


@pytest.mark.parametrize(
    ("fields", "title"),
    [
        ([("content", b"1", "x"), ("content", b"2", "y")], "Several files"),
        ([("content", b"1")], "No file"),
        ([("content", b"1", "a/b.whl")], "Bad file name"),
        ([("content", b"1", "C:\\dist\\b")], None),
        ([("content", b"1", "dist\\b")], "Bad file name"),
        ([("content", b"1", "..")], "Bad file name"),
        ([("content", b"1", "")], "Bad file name"),
        ([("content", b"1", "a%0Ab")], "Bad file name"),
        ([("content", b"1", "x" * 256)], "Bad file name"),
        ([("content", b"1", "unwanted")], "Unwanted"),
        ([("content", b"1", "x"), ("a", b"\xff")], "Broken form"),
        ([("content", b"1", "x"), ("", "y")], "Broken form"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(wired: Wired, fields: list[Field], title: str | None) -> None:
    answer = send(wired, fields)

    assert orjson.loads(answer.body).get("title") == title


def test_an_upload_that_breaks_off_is_told_so(wired: Wired) -> None:
    answer = parse(wired.ask(request_of(form_of(UPLOAD)[:-8])))

    assert (answer.status, orjson.loads(answer.body)["title"]) == (400, "Form cut off")


def test_of_an_upload_whose_client_goes_nothing_is_left(wired: Wired, takes: Takes) -> None:
    request = request_of(form_of(UPLOAD))

    with wired.connected() as connection:
        connection.sendall(request[:-100])
        eventually(lambda: takes.left() != [], 5)

    eventually(lambda: takes.left() == [], 5)
    eventually(lambda: wired.lines()[-1].get("aborted") == "client", 5)


def test_an_upload_that_keeps_silent_is_given_up(wired: Wired) -> None:
    assert parse(wired.ask(request_of(form_of(UPLOAD))[:-100])).status == 408


def test_an_upload_that_drips_is_given_up(wired: Wired, takes: Takes) -> None:
    """`limits.body_minimum_rate`."""
    request = request_of(form_of(UPLOAD))
    began = time.monotonic()

    with wired.connected() as connection:
        connection.sendall(request[:-1_000])
        raw = drip(connection, request[-1_000:])

    assert parse(raw).status == 408
    assert b"body_minimum_rate" in raw
    assert time.monotonic() - began < 6 * SOON


def drip(connection: socket.socket, data: bytes) -> bytes:
    """Send byte by byte until an answer comes."""
    connection.settimeout(0.02)
    for byte in data:
        connection.sendall(bytes([byte]))
        try:
            return connection.recv(65_536)
        except TimeoutError:
            continue
    return b""


@pytest.mark.parametrize(("rate", "status"), [(1_500, 200), (500, 408)])
def test_an_upload_may_be_as_slow_as_the_limit_says(takes_slowly: Wired, rate: int, status: int) -> None:
    """limits.body_minimum_rate: 1,000 bytes a second, counted each time that half a second was waited."""
    request = request_of(form_of([("content", b"x" * 3 * rate, "x")]))
    step = rate // 10

    with takes_slowly.connected() as connection:
        for start in range(0, len(request), step):
            try:
                connection.sendall(request[start : start + step])
            except OSError:
                break
            time.sleep(0.1)
        answer = parse(read_all(connection))

    assert answer.status == status


@pytest.fixture
def takes_slowly(tmp_path: Path) -> Iterator[Wired]:
    with Wired(Takes(tmp_path / "incoming").routes(), body_silent_seconds=0.5, body_minimum_rate=1_000) as started:
        yield started


@pytest.mark.parametrize("path", ["/refuse", "/upload"])
def test_who_reads_only_after_having_sent_everything_reads_the_refusal(tmp_path: Path, path: str) -> None:
    """So do twine and everybody else who uses requests; 40 MB are far more than sockets hold."""
    body = form_of([("a", "x" * 5_001), ("content", b"y" * 40_000_000, "y")])

    with Wired(Takes(tmp_path / "incoming").routes(), form_field_bytes=5_000) as wired, wired.connected() as connection:
        connection.sendall(request_of(body, path=path))
        answer = parse(read_all(connection))

    assert answer.status == (403 if path == "/refuse" else 413)
    assert answer.headers["connection"] == "close"


@pytest.mark.parametrize(("pause", "status"), [(0.5 * SOON, 403), (2.5 * SOON, 0)])
def test_a_refused_client_may_keep_silent_for_so_long(wired: Wired, pause: float, status: int) -> None:
    """limits.linger_seconds: since the last byte of what it goes on sending."""
    with wired.connected() as connection:
        connection.sendall(request_of(b"x" * 1_000, path="/refuse")[:-700])
        for _ in range(3):
            time.sleep(pause)
            try:
                connection.sendall(b"x" * 100)
            except OSError:
                status = status if status == 0 else -1
        has_ended = wired.connections() == 0
        raw = read_all(connection)

    assert has_ended == (status == 0)
    assert status == 0 or parse(raw).status == status


def test_a_refused_client_may_not_go_on_sending_for_ever(wired: Wired) -> None:
    """`limits.linger_most_seconds`."""
    began = time.monotonic()

    with wired.connected() as connection:
        connection.sendall(request_of(b"", path="/refuse").replace(b"-Length: 0", b"-Length: 1000000"))
        while time.monotonic() - began < 20:
            try:
                connection.sendall(b"x" * 100)
            except OSError:
                break
            time.sleep(0.05)

    assert 4 * SOON <= time.monotonic() - began < 8 * SOON + 1


def test_every_boundary_of_another_client_is_one(wired: Wired) -> None:
    for boundary in (BOUNDARY, "-" * 14 + "GHSKFJDLGDS7543FJKLFHRE75642756743254", "a" * 70, "a b"):
        body = b"\r\n" + form_of(UPLOAD, boundary)
        answer = parse(wired.ask(request_of(body, content_type=f'multipart/form-data; boundary="{boundary}"')))
        assert found(answer)["size"] == len(CONTENT)
