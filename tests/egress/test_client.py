"""A request and its answer: deadlines, limits, broken connections, headers."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable
from itertools import starmap

import pytest

from creamery import __version__, faults
from creamery.egress import BadAnswer, Egress, EgressError, Origin, TooLarge, TooSlow, Unreachable
from creamery.telemetry import Telemetry
from tests.doubles.loopback import Answerer, Exchange
from tests.doubles.upstream import (
    Upstream,
    after,
    close_at,
    drip,
    endless_json,
    garbage,
    gzip_bomb,
    hang,
    huge_header,
    lie_about_length,
    many_headers,
    redirect_to,
    refuse,
    slow_headers,
    status,
    without_length,
    zstd_bomb,
)
from tests.egress.conftest import Out, until

pytestmark = pytest.mark.anyio

MIB = 1 << 20
PAGE = "/simple/six/"


async def body(
    egress: Egress, upstream: Upstream, path: str = PAGE, limit: int = MIB, seconds: float = 10.0, **headers: str
) -> bytes:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    origin = Origin.parse(upstream.url)
    async with egress.request("GET", upstream.base + path, origin=origin, headers=named) as answer:
        return await answer.body(limit, seconds)


async def test_an_answer_has_status_headers_and_address(upstream: Upstream, out: Out) -> None:
    upstream.add("six", "1.0")

    async with (
        out() as egress,
        egress.request("GET", upstream.base + PAGE, origin=Origin.parse(upstream.url)) as answer,
    ):
        assert answer.status == 200
        assert answer.headers["etag"] == answer.headers["ETag"]
        assert answer.url == upstream.base + PAGE
        assert b"six-1.0" in await answer.body(MIB, 5)


async def test_a_request_says_who_asks(upstream: Upstream, out: Out) -> None:
    async with out() as egress:
        await body(egress, upstream, Via="1.1 another-hub")

    (seen,) = upstream.requests()
    assert seen.headers["user-agent"] == f"creamery/{__version__}"
    assert seen.headers["via"] == "1.1 another-hub, 1.1 hub-under-test"
    assert seen.headers["accept-encoding"] == "identity"
    assert "authorization" not in seen.headers


async def test_any_status_is_an_answer(upstream: Upstream, out: Out) -> None:
    upstream.add("six", "1.0")
    async with out() as egress:
        origin = Origin.parse(upstream.url)
        async with egress.request("GET", upstream.base + PAGE, origin=origin) as answer:
            etag = answer.headers["ETag"]
        async with egress.request(
            "GET", upstream.base + PAGE, origin=origin, headers={"If-None-Match": etag}
        ) as answer:
            known = answer.status, await answer.body(0, 5)
        async with egress.request("HEAD", upstream.base + PAGE, origin=origin) as answer:
            head = answer.status, int(answer.headers["Content-Length"]) > 0, await answer.body(0, 5)
        async with egress.request("GET", upstream.base + "/simple/none/", origin=origin) as answer:
            unknown = answer.status

    assert (known, head, unknown) == ((304, b""), (200, True, b""), 404)


async def test_connections_are_reused(upstream: Upstream, out: Out) -> None:
    upstream.add("six", "1.0")
    async with out() as egress:
        for _ in range(5):
            await body(egress, upstream)

    assert upstream.connections == 1


async def test_an_upstream_that_closes_idle_connections_is_asked_again(upstream: Upstream, out: Out) -> None:
    upstream.add("six", "1.0")
    async with out() as egress:
        await body(egress, upstream)
        upstream.stop()
        upstream.start()

        assert await body(egress, upstream)


@pytest.mark.parametrize("framing", [None, without_length()])
async def test_a_body_may_have_as_many_bytes_as_its_limit_and_not_one_more(
    upstream: Upstream, out: Out, framing: Answerer | None
) -> None:
    made = upstream.add("six", "1.0", size=700_000)
    path = upstream.path_of(made.filename)
    if framing is not None:
        upstream.misbehave(path, framing)
    async with out() as egress:
        assert await body(egress, upstream, path, limit=len(made.content)) == made.content
        with pytest.raises(TooLarge) as caught:
            await body(egress, upstream, path, limit=len(made.content) - 1)

    assert caught.value.limit == len(made.content) - 1


async def test_the_limit_of_a_body_counts_what_it_unpacks_to(upstream: Upstream, out: Out) -> None:
    upstream.add_many("six", files=300)
    async with out() as egress:
        whole = await body(egress, upstream, Accept_Encoding="gzip")
        assert await body(egress, upstream, limit=len(whole), Accept_Encoding="gzip") == whole
        with pytest.raises(TooLarge):
            await body(egress, upstream, limit=len(whole) - 1, Accept_Encoding="gzip")


@pytest.mark.parametrize("bomb", [gzip_bomb, zstd_bomb, endless_json])
async def test_a_bomb_goes_off_at_the_limit(upstream: Upstream, out: Out, bomb: Callable[[], Answerer]) -> None:
    upstream.misbehave(PAGE, bomb())
    async with out() as egress:
        begun = time.monotonic()
        with pytest.raises(TooLarge):
            await body(egress, upstream, limit=10 * MIB)

    assert time.monotonic() - begun < 5
    assert upstream.requests()[0].sent < 40 * MIB


async def test_chunks_are_what_was_sent_in_pieces_of_256_kb(upstream: Upstream, out: Out) -> None:
    made = upstream.add("six", "1.0", size=3 * MIB)
    async with (
        out() as egress,
        egress.request("GET", upstream.url_of(made.filename), origin=Origin.parse(upstream.url)) as answer,
    ):
        pieces = [piece async for piece in answer.chunks()]

    assert b"".join(pieces) == made.content
    assert max(map(len, pieces)) <= 256 * 1024


async def test_chunks_stay_packed(upstream: Upstream, out: Out) -> None:
    upstream.add("six", "1.0")
    headers = {"Accept-Encoding": "gzip"}
    async with (
        out() as egress,
        egress.request("GET", upstream.base + PAGE, origin=Origin.parse(upstream.url), headers=headers) as answer,
    ):
        raw = b"".join([piece async for piece in answer.chunks()])

    assert raw.startswith(b"\x1f\x8b")


@pytest.mark.parametrize(
    "misbehaviour", [close_at(0.99), lie_about_length(1), close_at(0.0)], ids=["99 %", "length + 1", "no body"]
)
async def test_a_body_that_ends_early_is_no_body(upstream: Upstream, out: Out, misbehaviour: Answerer) -> None:
    upstream.add("six", "1.0")
    upstream.misbehave(PAGE, misbehaviour)
    async with out() as egress:
        with pytest.raises(Unreachable) as caught:
            await body(egress, upstream)

    assert caught.value.stage == "broken off"


async def test_chunks_without_an_end_are_no_body(upstream: Upstream, out: Out) -> None:
    async def unended(exchange: Exchange) -> None:
        exchange.reply.headers["Transfer-Encoding"] = "chunked"
        await exchange.head()
        await exchange.chunk(b"abc")
        exchange.abort()

    upstream.misbehave(PAGE, unended)
    async with out() as egress:
        with pytest.raises(Unreachable) as caught:
            await body(egress, upstream)

    assert caught.value.stage == "broken off"


async def test_bytes_after_the_end_of_a_body_are_nobodys_answer(upstream: Upstream, out: Out) -> None:
    upstream.add("six", "1.0")
    upstream.misbehave(PAGE, lie_about_length(-10), once=True)
    async with out() as egress:
        with contextlib.suppress(BadAnswer):  # where the rest comes in the same packet
            assert (await body(egress, upstream)).endswith(b"</body")

        assert (await body(egress, upstream)).endswith(b"</html>\n")


@pytest.mark.parametrize("pause", [0, 0.05])
@pytest.mark.parametrize(
    "unasked",
    [b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nsmuggled", b"HTTP/1.1 200 OK\r\nX-Smuggled: ", b"garbage"],
    ids=["answer", "half an answer", "garbage"],
)
async def test_what_an_upstream_says_unasked_answers_nothing(
    upstream: Upstream, out: Out, unasked: bytes, pause: float
) -> None:
    async def smuggle(exchange: Exchange) -> None:
        exchange.writer.write(exchange.head_bytes() + exchange.reply.body + (b"" if pause else unasked))
        await exchange.writer.drain()
        await asyncio.sleep(pause)
        exchange.writer.write(unasked)
        await exchange.writer.drain()

    upstream.add("six", "1.0")
    upstream.misbehave(PAGE, smuggle, once=True)
    async with out() as egress:
        with contextlib.suppress(BadAnswer):
            await body(egress, upstream)
        await asyncio.sleep(0.1)

        async with egress.request("GET", upstream.base + PAGE, origin=Origin.parse(upstream.url)) as answer:
            assert "X-Smuggled" not in answer.headers
            assert b"six-1.0" in await answer.body(MIB, 5)


async def test_nobody_changes_the_protocol(upstream: Upstream, out: Out) -> None:
    upstream.misbehave(PAGE, status(101, Connection="upgrade", Upgrade="websocket"))
    async with out() as egress:
        with pytest.raises(BadAnswer):
            await body(egress, upstream)


@pytest.mark.parametrize(
    "nonsense",
    [garbage(), huge_header(), many_headers(), huge_header(9_000)],
    ids=["garbage", "1 MB header", "10,000 headers", "9 kB header"],
)
async def test_what_is_no_http_is_a_bad_answer(upstream: Upstream, out: Out, nonsense: Answerer) -> None:
    upstream.misbehave(PAGE, nonsense)
    async with out() as egress:
        with pytest.raises(BadAnswer):
            await body(egress, upstream)


async def test_a_header_of_8_kb_is_taken(upstream: Upstream, out: Out) -> None:
    upstream.add("six", "1.0")
    upstream.misbehave(PAGE, huge_header(8_000))
    async with out() as egress:
        assert await body(egress, upstream)


@pytest.mark.parametrize("coding", ["br", "gzip, gzip", "rot13"])
async def test_an_unknown_coding_is_a_bad_answer(upstream: Upstream, out: Out, coding: str) -> None:
    async def coded(exchange: Exchange) -> None:
        exchange.reply.headers["Content-Encoding"] = coding
        await exchange.send()

    upstream.misbehave(PAGE, coded)
    async with out() as egress:
        with pytest.raises(BadAnswer, match="unknown"):
            await body(egress, upstream)


async def test_a_broken_coding_is_a_bad_answer(upstream: Upstream, out: Out) -> None:
    async def coded(exchange: Exchange) -> None:
        exchange.reply.headers["Content-Encoding"] = "gzip"
        await exchange.send()

    upstream.misbehave(PAGE, coded)
    async with out() as egress:
        with pytest.raises(BadAnswer):
            await body(egress, upstream)


@pytest.mark.parametrize("slow", [hang(), slow_headers(100), after(5)], ids=["hangs", "slow headers", "late"])
async def test_headers_come_in_time_or_not_at_all(upstream: Upstream, out: Out, slow: Answerer) -> None:
    upstream.misbehave(PAGE, slow)
    origin = Origin.parse(upstream.url)
    async with out() as egress:
        begun = time.monotonic()
        with pytest.raises(TooSlow):
            async with egress.request(
                "GET", upstream.base + PAGE, origin=origin, connect_seconds=0.1, silent_seconds=0.2
            ):
                pass

    assert time.monotonic() - begun < 1


async def test_a_silent_body_is_too_slow(upstream: Upstream, out: Out) -> None:
    upstream.add("six", "1.0")
    upstream.misbehave(PAGE, hang(share=0.5))
    async with out(upstream_silent_seconds=0.2) as egress:
        with pytest.raises(TooSlow, match=r"silent within 0\.2 s"):
            await body(egress, upstream)


async def test_a_dripping_body_meets_its_deadline(upstream: Upstream, out: Out) -> None:
    upstream.add("six", "1.0")
    upstream.misbehave(PAGE, drip(40))
    async with out() as egress:
        begun = time.monotonic()
        with pytest.raises(TooSlow, match=r"not complete within 0\.3 s"):
            await body(egress, upstream, seconds=0.3)

    assert time.monotonic() - begun < 1


async def test_a_redirect_does_not_wind_the_clock_back(upstream: Upstream, out: Out) -> None:
    for number in range(5):
        upstream.misbehave(f"/hop{number}", after(0.15, redirect_to(f"/hop{number + 1}")))
    origin = Origin.parse(upstream.url)
    async with out() as egress:
        with pytest.raises(TooSlow):
            async with egress.request(
                "GET", f"{upstream.base}/hop0", origin=origin, connect_seconds=0.1, silent_seconds=0.2
            ):
                pass


async def test_nobody_there_is_unreachable(upstream: Upstream, out: Out) -> None:
    upstream.stop()
    async with out() as egress:
        with pytest.raises(Unreachable) as caught:
            await body(egress, upstream)

    assert caught.value.stage == "connect"


async def test_a_connection_that_is_cut_is_unreachable(upstream: Upstream, out: Out) -> None:
    upstream.misbehave(PAGE, refuse())
    async with out() as egress:
        with pytest.raises(Unreachable) as caught:
            await body(egress, upstream)

    assert caught.value.stage == "broken off"


async def test_a_name_that_nobody_knows_is_unreachable(out: Out) -> None:
    async with out() as egress:
        with pytest.raises(Unreachable) as caught:
            async with egress.request("GET", "https://unknown.test/", origin=None):
                pass

    assert caught.value.stage == "dns"


async def test_errors_show_neither_passwords_nor_queries(out: Out) -> None:
    async with out() as egress:
        with pytest.raises(EgressError) as caught:
            async with egress.request("GET", "https://user:secret@unknown.test/x?token=secret", origin=None):
                pass

    assert str(caught.value).startswith("https://unknown.test/x: ")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("url", ["http://a.test/\nlevel=error\r\0\udc80", "http://\n\u202e[" + "x" * 9_000])
async def test_errors_are_one_line_of_printable_text(out: Out, url: str) -> None:
    async with out() as egress:
        with pytest.raises(EgressError) as caught:
            async with egress.request("GET", url, origin=None):
                pass

    assert str(caught.value).isprintable()
    assert len(str(caught.value)) <= 1_000
    assert len(caught.value.url) <= 303


async def test_failing_system_calls_are_failures_of_the_request(upstream: Upstream, out: Out) -> None:
    upstream.add("six", "1.0")
    async with out() as egress:
        for point in ("egress.request", "egress.read"):
            faults.arm(f"{point}=ECONNRESET")
            try:
                with pytest.raises(Unreachable):
                    await body(egress, upstream)
            finally:
                faults.disarm()


async def test_cancelling_a_request_closes_its_connection(upstream: Upstream, out: Out) -> None:
    upstream.add("six", "1.0")
    upstream.misbehave(PAGE, hang(share=0.5))
    async with out() as egress:
        asking = asyncio.create_task(body(egress, upstream))
        await until(upstream.requests)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await until(lambda: upstream.requests()[0].ended)


async def test_many_requests_to_one_host_run_at_once(upstream: Upstream, out: Out) -> None:
    upstream.add("six", "1.0")
    upstream.latency = 0.2
    async with out() as egress:
        begun = time.monotonic()
        await asyncio.gather(*starmap(body, [(egress, upstream)] * 60))

    assert time.monotonic() - begun < 1.5


async def test_a_thread_asks_through_the_loop(upstream: Upstream, out: Out) -> None:
    upstream.add("six", "1.0")
    async with out() as egress:
        found = await asyncio.to_thread(lambda: egress.call(body(egress, upstream)))
        with pytest.raises(TooLarge):
            await asyncio.to_thread(lambda: egress.call(body(egress, upstream, limit=1)))

    assert b"six-1.0" in found


async def test_closing_ends_what_threads_wait_for(upstream: Upstream, out: Out) -> None:
    upstream.misbehave(PAGE, hang())
    failures: list[Exception] = []

    def ask(egress: Egress) -> None:
        try:
            egress.call(body(egress, upstream))
        except Unreachable as error:
            failures.append(error)

    async with out() as egress:
        thread = threading.Thread(target=ask, args=(egress,))
        thread.start()
        await until(upstream.requests)
    await asyncio.to_thread(thread.join, 5)
    ask(egress)

    assert len(failures) == 2


async def test_the_loop_does_not_wait_for_itself(upstream: Upstream, out: Out) -> None:
    async with out() as egress:
        with pytest.raises(RuntimeError, match="await the coroutine"):
            egress.call(body(egress, upstream))


@pytest.mark.parametrize("share", [None, 0.5], ids=["no headers yet", "half a body"])
async def test_closing_ends_requests_and_refuses_more(upstream: Upstream, out: Out, share: float | None) -> None:
    upstream.add("six", "1.0")
    upstream.misbehave(PAGE, hang(share))
    async with out() as egress:
        asking = asyncio.create_task(body(egress, upstream))
        await until(upstream.requests)
        await asyncio.sleep(0.05)
        await egress.close()
        with pytest.raises(Unreachable):
            await asyncio.wait_for(asking, 5)
        with pytest.raises(Unreachable) as caught:
            await body(egress, upstream)

    assert caught.value.stage == "closed"


async def test_requests_are_counted(upstream: Upstream, out: Out) -> None:
    telemetry = Telemetry()
    upstream.add("six", "1.0")
    async with out(telemetry=telemetry) as egress:
        found = await body(egress, upstream)
        upstream.stop()
        with pytest.raises(Unreachable):
            await body(egress, upstream)
        exposition = telemetry.exposition().decode()

    assert 'creamery_egress_requests_total{kind="configured",status="2xx"} 1.0' in exposition
    assert 'creamery_egress_requests_total{kind="configured",status="error"} 1.0' in exposition
    assert f'creamery_egress_received_bytes_total{{kind="configured"}} {float(len(found))}' in exposition
