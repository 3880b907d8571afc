"""Files and growing files on the wire: whole, in ranges, under conditions, and broken off (RFC 9110, 13 to 15)."""

from __future__ import annotations

import re

import pytest

from tests.doubles.toy import CONTENT, SLICE
from tests.doubles.wired import Wired

SIZED = ["/blob/whole", "/follow/sized"]


@pytest.mark.parametrize("path", SIZED)
def test_the_whole_is_sent_with_its_length_and_tag(toy: Wired, path: str) -> None:
    answer = toy.get(path)

    assert answer.status == 200
    assert answer.body == CONTENT
    assert answer.headers["content-length"] == str(len(CONTENT))
    assert answer.headers["accept-ranges"] == "bytes"
    assert answer.headers["content-type"] == "text/plain"
    assert re.fullmatch(r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT", answer.headers["date"])


@pytest.mark.parametrize("path", SIZED)
@pytest.mark.parametrize(
    ("asked", "start", "stop"), [("5-9", 5, 10), ("700000-", 700_000, len(CONTENT)), ("-7", len(CONTENT) - 7, None)]
)
def test_a_range_is_sent_alone(toy: Wired, path: str, asked: str, start: int, stop: int | None) -> None:
    answer = toy.get(path, range=f"bytes={asked}")

    assert answer.status == 206
    assert answer.body == CONTENT[start:stop]
    assert answer.headers["content-range"] == f"bytes {start}-{(stop or len(CONTENT)) - 1}/{len(CONTENT)}"


@pytest.mark.parametrize("path", SIZED)
def test_several_ranges_are_sent_in_parts(toy: Wired, path: str) -> None:
    answer = toy.get(path, range="bytes=0-1,700000-700009")

    boundary = answer.headers["content-type"].removeprefix("multipart/byteranges; boundary=").encode()
    parts = [part.partition(b"\r\n\r\n") for part in answer.body.split(b"\r\n--" + boundary)[1:-1]]
    assert answer.status == 206
    assert int(answer.headers["content-length"]) == len(answer.body)
    assert [body for _, _, body in parts] == [CONTENT[:2], CONTENT[700_000:700_010]]
    assert b"content-range: bytes 0-1/1024000" in parts[0][0]
    assert b"content-type: text/plain" in parts[0][0]


@pytest.mark.parametrize("path", SIZED)
def test_a_range_outside_is_refused_with_the_size(toy: Wired, path: str) -> None:
    answer = toy.get(path, range=f"bytes={len(CONTENT)}-")

    assert answer.status == 416
    assert answer.headers["content-range"] == f"bytes */{len(CONTENT)}"


def test_more_ranges_than_are_answered_bring_the_whole(toy: Wired) -> None:
    scattered = ",".join(f"{start}-{start}" for start in range(0, 66, 2))

    assert toy.get("/blob/whole", range=f"bytes={scattered}").status == 200


@pytest.mark.parametrize(
    ("if_range", "status"), [('"x"', 206), ('"other"', 200), ('W/"x"', 200), ("Thu, 01 Jan 1970 00:00:00 GMT", 200)]
)
def test_a_range_holds_only_for_the_same_strong_tag(toy: Wired, if_range: str, status: int) -> None:
    assert toy.get("/blob/whole", range="bytes=0-1", if_range=if_range).status == status


@pytest.mark.parametrize(
    ("header", "value", "status"),
    [
        ("if_none_match", '"x"', 304),
        ("if_none_match", 'W/"x"', 304),
        ("if_none_match", '"a", "b,c", "x"', 304),
        ("if_none_match", "*", 304),
        ("if_none_match", '"y"', 200),
        ("if_none_match", "x", 200),
        ("if_match", '"x"', 200),
        ("if_match", "*", 200),
        ("if_match", '"y"', 412),
        ("if_match", 'W/"x"', 412),
    ],
)
def test_conditions_compare_tags(toy: Wired, header: str, value: str, status: int) -> None:
    answer = toy.get("/blob/slice", **{header: value})

    assert answer.status == status
    if status == 304:
        assert (answer.body, answer.headers["etag"]) == (b"", '"x"')
        assert "content-length" not in answer.headers


def test_a_part_of_a_file_is_a_file_too(toy: Wired) -> None:
    assert toy.get("/blob/slice").body == SLICE
    assert toy.get("/blob/slice", range="bytes=-10").body == SLICE[-10:]


@pytest.mark.parametrize("path", [*SIZED, "/page"])
def test_head_has_the_headers_of_get_and_no_body(toy: Wired, path: str) -> None:
    head = toy.get(path, "HEAD", range="bytes=0-1")
    logged = toy.lines()[-1]
    got = toy.get(path)

    assert head.status == 200
    assert logged["bytes"] == 0
    assert head.body == b""
    assert head.headers["content-length"] == str(len(got.body))
    assert head.headers["etag"] == got.headers["etag"]


def test_what_has_no_size_comes_in_chunks_and_whole(toy: Wired) -> None:
    answer = toy.get("/follow/unsized", range="bytes=0-1")

    assert answer.status == 200
    assert answer.body == CONTENT
    assert "content-length" not in answer.headers


def test_an_old_client_gets_no_chunks(toy: Wired) -> None:
    raw = toy.ask(b"GET /follow/unsized HTTP/1.0\r\n\r\n")

    assert b"chunked" not in raw
    assert raw.endswith(CONTENT)


@pytest.mark.parametrize(
    "path", ["/follow/broken", "/follow/unsized-broken", "/follow/short", "/blob/cut", "/blob/cut-small"]
)
def test_what_breaks_after_its_beginning_has_no_clean_end(toy: Wired, path: str) -> None:
    raw = toy.ask(f"GET {path} HTTP/1.1\r\nHost: hub\r\n\r\n".encode())

    head, _, body = raw.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200")
    assert not body.endswith(b"0\r\n\r\n")
    assert len(body) < len(CONTENT) + 1
    assert toy.lines()[-1]["aborted"] == "hub"


@pytest.mark.parametrize(("path", "status"), [("/follow/stillborn", 500), ("/blob/missing", 503)])
def test_what_breaks_before_its_first_byte_is_an_error_like_others(toy: Wired, path: str, status: int) -> None:
    answer = toy.get(path)

    assert answer.status == status
    assert b"upstream" not in answer.body
