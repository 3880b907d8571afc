"""Who sends too much, too slowly, or what is no HTTP, gets a clear refusal and costs nothing that lasts."""

from __future__ import annotations

import gc
import re
import socket
import time
from collections.abc import Iterator

import pytest

from tests.doubles.toy import CONTENT, routes
from tests.doubles.waiting import eventually
from tests.doubles.wired import Wired, parse, read_all

LIMIT = 2_000
SOON = 0.3
GET = b"GET /page HTTP/1.1\r\nHost: hub\r\n\r\n"


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Wired]:
    """Low limits and little patience."""
    with Wired(
        routes(tmp_path_factory.mktemp("strict")),
        header_bytes=LIMIT,
        header_seconds=SOON,
        body_silent_seconds=SOON,
        send_silent_seconds=SOON,
        idle_seconds=SOON,
        linger_seconds=SOON,
        pipelined_requests=40,
        connections=20,
    ) as wired:
        yield wired


@pytest.fixture(autouse=True)
def _nothing_lasts(strict: Wired) -> Iterator[None]:
    yield
    until = time.monotonic() + 5
    while strict.connections():
        assert time.monotonic() < until, "a connection outlived its test"
        time.sleep(0.02)


def statuses(raw: bytes) -> list[int]:
    """Of all answers that came on a connection."""
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", raw)]


def request_of(length: int) -> bytes:
    """A request whose head has exactly so many bytes."""
    empty = b"GET /page HTTP/1.1\r\nHost: hub\r\nConnection: close\r\nX: %b\r\n\r\n"
    return empty % (b"x" * (length - len(empty % b"")))


def test_a_head_may_have_as_many_bytes_as_the_limit_says(strict: Wired) -> None:
    assert parse(strict.ask(request_of(LIMIT))).status == 200
    assert parse(strict.ask(request_of(LIMIT + 1))).status == 431


@pytest.mark.parametrize("length", [LIMIT, LIMIT + 1])
def test_a_head_is_counted_the_same_in_pieces(strict: Wired, length: int) -> None:
    request = request_of(length)

    with strict.connected() as connection:
        for start in range(0, len(request), 700):
            connection.sendall(request[start : start + 700])
            time.sleep(0.005)
        answer = parse(read_all(connection))

    assert answer.status == (200 if length == LIMIT else 431)


def test_a_head_behind_another_request_is_counted_too(strict: Wired) -> None:
    post = b"POST /echo HTTP/1.1\r\nHost: hub\r\nContent-Length: 5000\r\n\r\n" + b"x" * 5_000

    raw = strict.ask(post + request_of(LIMIT + 1_000))

    assert statuses(raw) == [200, 431]


@pytest.mark.parametrize(
    "start",
    [b"GET /page HTTP/1.1\r\nHost: hub\r\nX: ", b"GET /", b"GET /page HTTP/1.1\r\nHost: hub\r\nX:", b"\r\n"],
    ids=["value", "target", "spaces", "empty lines"],
)
def test_a_megabyte_of_header_is_refused(strict: Wired, start: bytes) -> None:
    filler = {b":": b" ", b"\n": b"\r\n"}.get(start[-1:], b"x")

    with strict.connected() as connection:
        connection.sendall((start + filler * 1_000_000)[:1_000_000])
        answer = parse(read_all(connection))

    assert answer.status == 431
    assert answer.headers["connection"] == "close"
    assert answer.headers["content-type"] == "application/problem+json"


def test_ten_thousand_headers_are_refused(strict: Wired) -> None:
    assert parse(strict.ask(b"GET /page HTTP/1.1\r\nHost: hub\r\n" + b"A: b\r\n" * 10_000 + b"\r\n")).status == 431


@pytest.mark.parametrize("start", [b"", b"GET /page HTTP/1.1\r\n"])
def test_slow_headers_are_given_up(strict: Wired, start: bytes) -> None:
    began = time.monotonic()

    with strict.connected() as connection:
        connection.sendall(start)
        answer = parse(read_all(connection))

    assert answer.status == 408
    assert SOON <= time.monotonic() - began < 5 * SOON + 1


def test_dripping_headers_gain_no_time(strict: Wired) -> None:
    began = time.monotonic()

    with strict.connected() as connection:
        connection.sendall(GET)
        connection.recv(65_536)
        drip = iter(GET)
        try:
            while time.monotonic() - began < 5:
                connection.send(bytes([next(drip)]))
                time.sleep(0.04)
        except (StopIteration, ConnectionError):
            pass
        read_all(connection)

    assert time.monotonic() - began < 4 * SOON + 1


def test_an_idle_connection_is_closed_without_a_word(strict: Wired) -> None:
    with strict.connected(5) as connection:
        connection.sendall(GET)
        raw = b""
        while piece := connection.recv(65_536):  # one that stays open ends in TimeoutError
            raw += piece

    assert raw.count(b"HTTP/1.1 ") == 1


@pytest.mark.parametrize("framing", [b"Content-Length: 100", b"Transfer-Encoding: chunked"])
def test_a_body_that_stays_silent_is_given_up(strict: Wired, framing: bytes) -> None:
    raw = strict.ask(b"POST /echo HTTP/1.1\r\nHost: hub\r\n" + framing + b"\r\n\r\n" + b"5\r\nx")

    answer = parse(raw)
    assert answer.status == 408
    assert answer.headers["connection"] == "close"


def test_only_the_silence_of_a_body_counts_against_it(strict: Wired) -> None:
    with strict.connected() as connection:
        connection.sendall(GET)
        connection.recv(65_536)
        time.sleep(0.6 * SOON)
        connection.sendall(b"POST /echo HTTP/1.1\r\nHost: hub\r\nConnection: close\r\nContent-Length: 3\r\n\r\n")
        time.sleep(0.6 * SOON)
        connection.sendall(b"abc")
        answer = parse(read_all(connection))

    assert answer.body == b"abc"


def test_a_body_that_nobody_reads_closes_the_connection(strict: Wired) -> None:
    answer = parse(
        strict.ask(b"POST /ignore HTTP/1.1\r\nHost: hub\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 500_000)
    )

    assert (answer.status, answer.body) == (200, b"I do not listen")
    assert answer.headers["connection"] == "close"


def test_a_body_is_not_asked_for_that_nobody_reads(strict: Wired) -> None:
    head = b"HTTP/1.1\r\nHost: hub\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n"

    ignored = strict.ask(b"POST /ignore " + head)
    with strict.connected() as connection:
        connection.sendall(b"POST /echo " + head)
        asked = connection.recv(100)
        connection.sendall(b"abc")
        echoed = read_all(connection)

    assert parse(ignored).status == 200
    assert asked == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert parse(echoed).body == b"abc"


@pytest.mark.parametrize("path", [b"/follow/sized", b"/blob/large"])
def test_a_client_that_does_not_read_is_dropped(strict: Wired, path: bytes, caplog: pytest.LogCaptureFixture) -> None:
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        connection.connect(("127.0.0.1", strict.port))
        connection.sendall(b"GET %b HTTP/1.1\r\nHost: hub\r\n\r\n" % path * 10)
        assert connection.recv(10)
        assert strict.connections() == 1

        eventually(lambda: strict.connections() == 0, 5)
    eventually(lambda: strict.lines()[-1].get("aborted") == "client")
    gc.collect()  # a task that failed says so when it goes
    assert caplog.text == ""


@pytest.mark.parametrize("path", [b"/follow/sized", b"/blob/large"])
def test_a_client_that_reads_a_little_at_a_time_is_not_dropped(strict: Wired, path: bytes) -> None:
    """The kernel's send buffer holds far more than it takes while the limit lasts."""
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        connection.connect(("127.0.0.1", strict.port))
        connection.sendall(b"GET %b HTTP/1.1\r\nHost: hub\r\n\r\n" % path * 10)
        until = time.monotonic() + 4 * SOON
        while time.monotonic() < until:
            assert connection.recv(1_024)
            time.sleep(0.02)

        assert strict.connections() == 1


def test_a_client_that_reads_slowly_is_served(strict: Wired) -> None:
    with strict.connected() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
        connection.sendall(b"GET /blob/whole HTTP/1.1\r\nHost: hub\r\nConnection: close\r\n\r\n")
        raw = b""
        while piece := connection.recv(65_536):
            raw += piece
            time.sleep(0.02)

    assert parse(raw).body == CONTENT


@pytest.mark.parametrize(
    "request_line",
    [
        b"GET /a\0b HTTP/1.1",
        b"GET /a\nb HTTP/1.1",
        b"GET /a b HTTP/1.1",
        b"GET /\xff HTTP/1.1",
        b"GET /\xe2\x84\xaa HTTP/1.1",
        b"GET page HTTP/1.1",
        b"GET http:// HTTP/1.1",
        b"GET /page HTTP/2.0",
        b"GET /page HTTP/0.9",
        b"GET /page",
        b"BREW /page HTTP/1.1",
        b"CONNECT hub:80 HTTP/1.1",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ],
)
def test_what_is_no_request_is_refused(strict: Wired, request_line: bytes) -> None:
    assert parse(strict.ask(request_line + b"\r\nHost: hub\r\n\r\n")).status == 400


@pytest.mark.parametrize(
    "headers",
    [
        b"",
        b"Host: a\r\nHost: b\r\n",
        b"Host: hub\r\nX : y\r\n",
        b"Host: hub\r\n folded\r\n",
        b"Host: hub\r\nX: a\0b\r\n",
        b"Host: hub\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n",
        b"Host: hub\r\nContent-Length: 3\r\nContent-Length: 4\r\n",
        b"Host: hub\r\nContent-Length: +3\r\n",
        b"Host: hub\r\nContent-Length: 99999999999999999999999\r\n",
        b"Host: hub\r\nTransfer-Encoding: gzip, identity\r\n",
        b"Host: hub\nX: y\r\n",
    ],
)
def test_headers_that_two_servers_could_read_differently_are_refused(strict: Wired, headers: bytes) -> None:
    assert parse(strict.ask(b"POST /echo HTTP/1.1\r\n" + headers + b"\r\nabc")).status in {400, 501}


@pytest.mark.parametrize("chunk", [b"zz\r\n", b"-1\r\n", b"3\r\nabcd\r\n", b"ffffffffffffffffff\r\n"])
def test_a_body_with_broken_chunks_is_refused(strict: Wired, chunk: bytes) -> None:
    raw = strict.ask(b"POST /echo HTTP/1.1\r\nHost: hub\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk)

    assert parse(raw).status == 400


@pytest.mark.parametrize("target", [b"/%2e%2e/%2e%2e/etc/passwd", b"/../../etc/passwd", b"/name/..%2f..", b"//page"])
def test_no_path_leads_out(strict: Wired, target: bytes) -> None:
    answer = parse(strict.ask(b"GET " + target + b" HTTP/1.1\r\nHost: hub\r\nConnection: close\r\n\r\n"))

    assert answer.status == 404 or answer.body == b"../.."


def test_an_absolute_target_is_its_path(strict: Wired) -> None:
    raw = strict.ask(b"GET http://hub/page?x HTTP/1.1\r\nHost: hub\r\nConnection: close\r\n\r\n")

    assert parse(raw).body == b"page"


def test_a_wish_for_another_protocol_is_ignored(strict: Wired) -> None:
    raw = strict.ask(b"GET /page HTTP/1.1\r\nHost: hub\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")

    assert parse(raw).body == b"page"


def test_requests_may_come_before_their_answers_went(strict: Wired) -> None:
    names = [b"GET /name/%d HTTP/1.1\r\nHost: hub\r\n\r\n" % number for number in range(30)]

    raw = strict.ask(b"".join(names))

    assert [int(part.rpartition(b"\r\n\r\n")[2]) for part in raw.split(b"HTTP/1.1 200")[1:]] == list(range(30))


@pytest.mark.parametrize(("waiting", "answered"), [(39, 40), (40, 41), (41, 41), (1_000, 41)])
def test_so_many_requests_may_wait_behind_another(strict: Wired, waiting: int, answered: int) -> None:
    last = b"GET /page HTTP/1.1\r\nHost: hub\r\nConnection: close\r\n\r\n"

    raw = strict.ask(GET * waiting + last)

    assert raw.count(b"HTTP/1.1 200 OK") == answered


def test_what_is_broken_behind_a_good_request_does_not_harm_it(strict: Wired) -> None:
    raw = strict.ask(b"GET /follow/sized HTTP/1.1\r\nHost: hub\r\n\r\nnonsense\r\n\r\n")

    assert statuses(raw) == [200, 400]
    assert parse(raw).body.startswith(CONTENT + b"HTTP/1.1 400 ")


def test_absurd_ranges_cost_no_more_than_the_file(strict: Wired) -> None:
    absurd = b",".join([b"0-"] * 400)

    raw = strict.ask(
        b"GET /blob/whole HTTP/1.1\r\nHost: hub\r\nConnection: close\r\nRange: bytes=" + absurd + b"\r\n\r\n"
    )

    assert len(raw) < len(CONTENT) + 1_000


def test_connections_beyond_the_limit_are_refused_while_the_others_are_served(strict: Wired) -> None:
    connections = [socket.create_connection(("127.0.0.1", strict.port)) for _ in range(20)]
    try:
        refused = parse(strict.ask(GET))

        assert refused.status == 503
        assert refused.headers["retry-after"] == "1"
        connections[0].sendall(GET)
        assert connections[0].recv(65_536).startswith(b"HTTP/1.1 200")
        assert parse(strict.ask(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))).status == 200
    finally:
        for connection in connections:
            connection.close()


@pytest.mark.parametrize("host", [b"a/b<script>", b"a b", b"hub:port", b"[::1", b"hub/", b"user@hub", b"h\xc3\xbcb"])
def test_a_host_that_is_none_is_refused(strict: Wired, host: bytes) -> None:
    assert parse(strict.ask(b"GET /page HTTP/1.1\r\nHost: " + host + b"\r\n\r\n")).status == 400


@pytest.mark.parametrize("host", [b"hub", b"hub.example:8000", b"127.0.0.1:1", b"[::1]:8000", b"my_hub", b""])
def test_a_host_is_served(strict: Wired, host: bytes) -> None:
    request = b"GET /page HTTP/1.1\r\nHost: " + host + b"\r\nConnection: close\r\n\r\n"

    assert parse(strict.ask(request)).status == 200


def test_every_request_of_a_connection_names_its_host(strict: Wired) -> None:
    raw = strict.ask(GET + b"GET /page HTTP/1.1\r\nHost: a/b\r\n\r\n")

    assert statuses(raw) == [200, 400]


@pytest.mark.parametrize(
    ("request_bytes", "status", "method", "path"),
    [
        (b"GET /page?token=secret HTTP/1.1\r\nHost: hub\r\nX: " + b"x" * LIMIT, 431, "GET", "/page"),
        (b"GET /page HTTP/1.1\r\n\r\n", 400, "GET", "/page"),
        (b"GET http://user:secret@ HTTP/1.1\r\nHost: hub\r\n\r\n", 400, "GET", ""),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400, "", ""),
        (b"POST /echo HTTP/1.1\r\nHost: hub\r\nTransfer-Encoding: xchunked\r\n\r\nabc", 400, "POST", "/echo"),
        (
            b"POST /echo HTTP/1.1\r\nHost: hub\r\nTransfer-Encoding: chunked\r\n\r\n" + b"F" * 19 + b"\r\n",
            400,
            "POST",
            "/echo",
        ),
        (b"POST /echo HTTP/1.1\r\nHost: hub\r\nContent-Length: 3\r\n\r\n", 408, "POST", "/echo"),
        (b"GET /pa", 408, "GET", "/pa"),
    ],
)
def test_a_refusal_has_one_line_with_the_id_that_the_client_is_told(
    strict: Wired, request_bytes: bytes, status: int, method: str, path: str
) -> None:
    before = len(strict.lines())

    answer = parse(strict.ask(request_bytes))

    (line,) = strict.lines()[before:]
    assert answer.status == status
    assert (line["event"], line["status"], line["method"], line["path"]) == ("request", status, method, path)
    assert line["id"] == answer.headers["x-request-id"]
    assert line["bytes"] == len(answer.body)
    assert line["refused"]
    assert "aborted" not in line
    assert "secret" not in str(line)


def test_refusals_are_counted(strict: Wired) -> None:
    def counted() -> float:
        labels = {"door": "", "method": "GET", "status": "400"}
        return strict.telemetry.registry.get_sample_value("creamery_http_requests_total", labels) or 0

    before = counted()
    strict.ask(b"GET /page HTTP/1.1\r\n\r\n")

    assert counted() == before + 1


def test_a_trailer_is_no_header(strict: Wired) -> None:
    body = b"3\r\nabc\r\n0\r\nX-Forwarded-For: 6.6.6.6\r\n\r\n"
    raw = strict.ask(
        b"POST /headers HTTP/1.1\r\nHost: hub\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n" + body
    )

    assert b"forwarded" not in parse(raw).body


def test_a_connection_that_comes_when_the_hub_ends_is_closed(strict: Wired) -> None:
    """It was accepted in the moment in which the others were told; nobody would tell it."""
    strict.wire.is_ending = True
    try:
        with strict.connected() as connection:
            assert connection.recv(1) == b""
    finally:
        strict.wire.is_ending = False
