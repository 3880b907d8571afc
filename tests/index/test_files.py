"""Files and METADATA: cached, fetched, followed, resumed, verified."""

from __future__ import annotations

import errno
import socket
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from hashlib import md5, sha256
from pathlib import Path
from typing import Any

import httpx2
import orjson
import pytest
from sqlalchemy import Connection

from creamery import faults
from creamery.database import Committer, DatabaseUnavailable, DiskFull, WritesBusy
from creamery.index import download
from tests.doubles.loopback import Exchange, Reply
from tests.doubles.running import JSON, RunningHub, hub_over
from tests.doubles.upstream import (
    Upstream,
    close_at,
    gzip_bomb,
    hang,
    lie_about_length,
    no_range,
    redirect_to,
    say,
    status,
    without_length,
    wrong_bytes,
    wrong_range,
)

MIB = 1024 * 1024


def test_a_file_comes_through_the_hub_and_then_from_it(hub: RunningHub, upstream: Upstream) -> None:
    made = upstream.add("big", "1.0", size=3 * MIB)

    first = hub.download("big", made.filename)
    again = hub.get(f"/i/big/{made.filename}")

    assert first == again.content == made.content
    assert upstream.count(upstream.path_of(made.filename)) == 1
    assert again.headers["etag"] == f'"{made.sha256}"'
    assert again.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert again.headers["accept-ranges"] == "bytes"
    assert again.headers["content-type"] == "application/octet-stream"


def test_an_escaped_dot_leads_to_the_same_metadata(hub: RunningHub, upstream: Upstream) -> None:
    made = upstream.add("big", "1.0")
    hub.page("big")
    address = f"/i/big/{made.filename}"

    answers = [hub.get(address + end) for end in ["%2emetadata", ".metadata"] * 3]

    assert {(answer.content, answer.headers["content-type"]) for answer in answers} == {
        (made.metadata, "text/plain; charset=utf-8")
    }


def test_a_file_asked_for_by_its_address_does_not_wait_for_its_page(hub: RunningHub, upstream: Upstream) -> None:
    filename = hub.files("demo")[0]
    upstream.forget()

    hub.download("demo", filename)

    assert upstream.count("/simple/") == 0


def test_a_file_of_a_project_that_nobody_asked_for_yet_is_found(hub: RunningHub, upstream: Upstream) -> None:
    made = upstream.add("big", "1.0", size=100)

    assert hub.download("big", made.filename) == made.content


@pytest.mark.parametrize("cached", [True, False], ids=["cached", "not cached"])
@pytest.mark.parametrize(
    ("asked", "start", "stop"),
    [("bytes=0-99", 0, 100), ("bytes=-10000", -10_000, None), ("bytes=150000-", 150_000, None), ("bytes=5-5", 5, 6)],
)
def test_ranges_are_the_bytes_asked_for(
    hub: RunningHub, upstream: Upstream, cached: bool, asked: str, start: int, stop: int | None
) -> None:
    made = upstream.add("big", "1.0", size=200_000)
    if cached:
        hub.download("big", made.filename)

    response = hub.get(f"/i/big/{made.filename}", Range=asked)

    expected = made.content[start:stop]
    first = start % len(made.content)
    assert response.status_code == 206
    assert response.content == expected
    assert response.headers["content-range"] == f"bytes {first}-{first + len(expected) - 1}/{len(made.content)}"


def test_if_range_holds_for_this_file_and_not_for_another(hub: RunningHub, upstream: Upstream) -> None:
    made = upstream.add("big", "1.0", size=1000)
    hub.download("big", made.filename)

    same = hub.get(f"/i/big/{made.filename}", Range="bytes=0-9", If_Range=f'"{made.sha256}"')
    other = hub.get(f"/i/big/{made.filename}", Range="bytes=0-9", If_Range='"other"')

    assert (same.status_code, other.status_code) == (206, 200)


def test_a_range_beyond_the_end_is_416_and_hundreds_of_ranges_are_the_whole_file(
    hub: RunningHub, upstream: Upstream
) -> None:
    made = upstream.add("big", "1.0", size=1000)
    hub.download("big", made.filename)
    many = "bytes=" + ",".join(f"{n}-{n}" for n in range(0, 900, 2))

    beyond = hub.get(f"/i/big/{made.filename}", Range="bytes=99999999-")
    absurd = hub.get(f"/i/big/{made.filename}", Range="bytes=" + "9" * 400 + "-")
    hundreds = hub.get(f"/i/big/{made.filename}", Range=many)

    assert beyond.status_code == 416
    assert beyond.headers["content-range"] == f"bytes */{len(made.content)}"
    assert absurd.status_code in {200, 416}
    assert (hundreds.status_code, hundreds.content) == (200, made.content)


def test_head_says_what_get_would_and_fetches_nothing(hub: RunningHub, upstream: Upstream) -> None:
    made = upstream.add("big", "1.0", size=1000)
    hub.page("big")

    head = hub.client.head(f"{hub.base}/i/big/{made.filename}")

    assert head.status_code == 200
    assert int(head.headers["content-length"]) == len(made.content)
    assert head.headers["etag"] == f'"{made.sha256}"'
    assert upstream.count(upstream.path_of(made.filename)) == 0


def test_any_number_of_clients_follow_one_transfer(hub: RunningHub, upstream: Upstream) -> None:
    made = upstream.add("big", "1.0", size=2 * MIB)
    hub.page("big")
    upstream.rate = 4 * MIB

    with ThreadPoolExecutor(20) as clients:
        bodies = list(clients.map(lambda _: hub.get(f"/i/big/{made.filename}").content, range(20)))

    assert [sha256(body).hexdigest() for body in bodies] == [made.sha256] * 20
    assert upstream.count(upstream.path_of(made.filename)) == 1


def test_the_first_byte_arrives_before_upstream_has_sent_the_last(hub: RunningHub, upstream: Upstream) -> None:
    made = upstream.add("big", "1.0", size=MIB)
    hub.page("big")
    upstream.rate = MIB

    started = time.monotonic()
    with hub.client.stream("GET", f"{hub.base}/i/big/{made.filename}") as response:
        pieces = response.iter_raw(65536)
        next(pieces)
        first = time.monotonic() - started
        for _ in pieces:
            pass
    whole = time.monotonic() - started

    assert first < whole / 2


def test_a_transfer_outlives_the_client_that_began_it(hub: RunningHub, upstream: Upstream) -> None:
    made = upstream.add("big", "1.0", size=MIB)
    hub.page("big")
    upstream.rate = 2 * MIB

    with hub.client.stream("GET", f"{hub.base}/i/big/{made.filename}") as response:
        next(response.iter_raw(1))

    hub.wait_until(lambda: hub.is_here(made.filename))
    assert hub.get(f"/i/big/{made.filename}").content == made.content
    assert upstream.count(upstream.path_of(made.filename)) == 1


def test_a_transfer_that_breaks_off_resumes_where_it_was(hub: RunningHub, upstream: Upstream) -> None:
    made = upstream.add("big", "1.0", size=2 * MIB)
    hub.page("big")
    upstream.misbehave(upstream.path_of(made.filename), close_at(0.5), once=True)

    assert hub.download("big", made.filename) == made.content

    ranges = [seen.headers.get("range") for seen in upstream.requests(upstream.path_of(made.filename))]
    assert ranges[0] is None
    assert ranges[1] is not None
    assert 0.4 * len(made.content) < int(ranges[1].removeprefix("bytes=").rstrip("-")) < 0.6 * len(made.content)


@pytest.mark.parametrize("second", [no_range(), wrong_range()], ids=["sends all anew", "sends another range"])
def test_an_upstream_that_cannot_resume_is_read_from_the_start_once_more(
    hub: RunningHub, upstream: Upstream, second: object
) -> None:
    made = upstream.add("big", "1.0", size=2 * MIB)
    hub.page("big")
    path = upstream.path_of(made.filename)
    upstream.misbehave(path, second, once=True)  # type: ignore[arg-type]
    upstream.misbehave(path, close_at(0.5), once=True)

    assert hub.download("big", made.filename) == made.content


@pytest.mark.parametrize("hashes", [True, False])
@pytest.mark.parametrize("share", [0.5, 1.0])
def test_a_transfer_of_unknown_length_resumes_too(tmp_path: Path, hashes: bool, share: float) -> None:
    with Upstream(sizes=False, hashes=hashes) as upstream:
        made = upstream.add("big", "1.0", size=300_000)
        path = upstream.path_of(made.filename)
        upstream.misbehave(path, without_length(ends_at=share), once=True)
        with RunningHub(tmp_path, index={"upstreams": [upstream.url]}) as hub:
            hub.page("big")

            assert hub.download("big", made.filename) == made.content
    asked = upstream.requests(path)
    assert [seen.headers.get("range") is None for seen in asked] == [True, False][: 1 if hashes and share == 1 else 2]


@pytest.mark.parametrize(
    ("validators", "marks"),
    [
        ({"etag": True}, {"ETag": '"another"'}),
        ({"etag": False}, {"Last-Modified": "Thu, 01 Jan 2026 00:00:00 GMT"}),
        ({"etag": False, "last_modified": False}, {}),
    ],
)
def test_parts_of_two_files_make_none(tmp_path: Path, validators: dict[str, bool], marks: dict[str, str]) -> None:
    """Without a hash only a validator tells that a file was replaced between two connections."""
    with Upstream(hashes=False, **validators) as upstream:  # type: ignore[arg-type]
        made = upstream.add("big", "1.0", size=300_000)
        other = bytes(len(made.content))

        async def replaced(exchange: Exchange) -> None:
            asked = exchange.request.headers.get("range")
            start = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
            part = {"Content-Range": f"bytes {start}-{len(other) - 1}/{len(other)}"} if asked else {}
            exchange.reply = Reply(206 if asked else 200, {**part, **marks}, other[start:])
            await exchange.send()

        upstream.misbehave(upstream.path_of(made.filename), replaced)
        upstream.misbehave(upstream.path_of(made.filename), close_at(0.5, read_first=True), once=True)
        with hub_over(upstream, tmp_path, upstream_attempts=2) as hub:
            hub.page("big")
            with pytest.raises(httpx2.RemoteProtocolError):
                hub.get(f"/i/big/{made.filename}")

            assert not hub.is_here(made.filename)


def test_an_upstream_that_says_it_ends_in_the_middle_is_not_believed(tmp_path: Path) -> None:
    with Upstream(hashes=False, sizes=False, etag=False, last_modified=False) as upstream:
        made = upstream.add("big", "1.0", size=300_000)
        path = upstream.path_of(made.filename)
        half = len(made.content) // 2
        upstream.misbehave(path, status(416, b"", **{"Content-Range": f"bytes */{half}"}))
        upstream.misbehave(path, without_length(ends_at=0.5), once=True)
        with hub_over(upstream, tmp_path, upstream_attempts=2) as hub:
            hub.page("big")
            with pytest.raises(httpx2.RemoteProtocolError):
                hub.get(f"/i/big/{made.filename}")

            assert not hub.is_here(made.filename)


def test_wrong_bytes_complete_nowhere_and_are_kept_nowhere(
    hub: RunningHub, upstream: Upstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "FAILED_SECONDS", 0.3)
    made = upstream.add("big", "1.0", size=300_000)
    hub.page("big")
    path = upstream.path_of(made.filename)
    upstream.misbehave(path, wrong_bytes())

    with pytest.raises(httpx2.RemoteProtocolError):
        hub.get(f"/i/big/{made.filename}")
    again = hub.get(f"/i/big/{made.filename}")
    upstream.behave()

    assert again.status_code == 502
    assert not hub.is_here(made.filename)
    assert list((tmp_path / "blobs").rglob("*" + made.sha256[:10] + "*")) == []
    assert hub.metric("index_flights_total", outcome="WrongBytes") == 1
    hub.wait_until(lambda: hub.get(f"/i/big/{made.filename}").content == made.content)


def test_a_range_of_a_wrong_file_is_refused_as_the_file_is(hub: RunningHub, upstream: Upstream) -> None:
    """pip resumes near the end, where nothing has been sent when the file turns out to be wrong: it got a 500."""
    made = upstream.add("big", "1.0", size=300_000)
    hub.page("big")
    upstream.misbehave(upstream.path_of(made.filename), wrong_bytes())

    response = hub.get(f"/i/big/{made.filename}", Range=f"bytes={len(made.content) - 100}-")

    assert response.status_code == 502


@pytest.mark.parametrize("difference", [-50, 50])
def test_a_lie_about_the_length_completes_nowhere(upstream: Upstream, tmp_path: Path, difference: int) -> None:
    made = upstream.add("big", "1.0", size=300_000)
    upstream.misbehave(upstream.path_of(made.filename), lie_about_length(difference))

    with hub_over(upstream, tmp_path, upstream_attempts=2) as hub:
        hub.page("big")
        with pytest.raises((httpx2.RemoteProtocolError, AssertionError)):
            hub.download("big", made.filename)

        assert not hub.is_here(made.filename)


def test_a_file_without_a_hash_is_pinned_at_first_sight(tmp_path: Path) -> None:
    with Upstream(hashes=False, sizes=False, metadata=False) as upstream:
        made = upstream.add("demo", "1.0", size=200_000)
        with RunningHub(tmp_path, index={"upstreams": [upstream.url]}) as hub:
            before = hub.page("demo")["files"][0]
            first = hub.get(f"/i/demo/{made.filename}")
            hub.wait_until(lambda: hub.is_here(made.filename))
            after_first = hub.page("demo")["files"][0]

            assert first.content == made.content
            assert "etag" not in first.headers
            assert before["hashes"] == {}
            assert after_first["hashes"] == {"sha256": made.sha256}
            assert after_first["size"] == len(made.content)
            assert hub.get(f"/i/demo/{made.filename}").headers["etag"] == f'"{made.sha256}"'


@pytest.mark.parametrize("is_right", [True, False])
def test_an_older_hash_is_checked_too(hub: RunningHub, upstream: Upstream, is_right: bool) -> None:
    made = upstream.add("old", "1.0", size=200_000)
    digest = md5(made.content if is_right else b"other", usedforsecurity=False).hexdigest()
    entry = {"filename": made.filename, "url": upstream.url_of(made.filename), "hashes": {"md5": digest}}
    page = orjson.dumps({"meta": {"api-version": "1.0"}, "name": "old", "files": [entry]})
    upstream.misbehave("/simple/old/", say(page, JSON))

    hub.page("old")
    whole = hub.raw(b"/i/old/" + made.filename.encode()).partition(b"\r\n\r\n")[2] == made.content

    assert whole is is_right
    if is_right:
        hub.wait_until(lambda: hub.is_here(made.filename))
    else:
        assert not hub.is_here(made.filename)


def test_a_file_that_upstream_lists_and_does_not_have_is_404(hub: RunningHub, upstream: Upstream) -> None:
    filename = hub.files("demo")[0]
    upstream.misbehave(upstream.path_of(filename), status(404))

    assert hub.get(f"/i/demo/{filename}").status_code == 404


@pytest.mark.parametrize("number", [500, 503, 403])
def test_a_file_that_upstream_refuses_is_503(hub: RunningHub, upstream: Upstream, number: int) -> None:
    filename = hub.files("demo")[0]
    upstream.misbehave(upstream.path_of(filename), status(number))

    assert hub.get(f"/i/demo/{filename}").status_code == 503


def test_an_upstream_that_stumbles_once_is_asked_a_second_time(hub: RunningHub, upstream: Upstream) -> None:
    filename = hub.files("demo")[0]
    upstream.misbehave(upstream.path_of(filename), status(503), once=True)

    assert hub.get(f"/i/demo/{filename}").status_code == 200


def test_a_file_is_not_fetched_from_where_upstream_may_not_send_us(hub: RunningHub, upstream: Upstream) -> None:
    filename = hub.files("demo")[0]
    with Upstream() as inside:
        secret = inside.add("secret", "1.0")
        upstream.misbehave(upstream.path_of(filename), redirect_to(inside.url_of(secret.filename)))

        response = hub.get(f"/i/demo/{filename}")

        assert response.status_code == 503
        assert inside.count() == 0


def test_while_upstream_is_gone_files_that_are_here_are_served_and_others_are_503(
    hub: RunningHub, upstream: Upstream
) -> None:
    first, second = hub.files("demo")
    content = hub.download("demo", first)

    upstream.stop()

    assert hub.get(f"/i/demo/{first}").content == content
    assert hub.get(f"/i/demo/{second}").status_code == 503


def test_an_upstream_that_changes_a_hash_does_not_change_the_file(hub: RunningHub, upstream: Upstream) -> None:
    made = upstream.add("big", "1.0", size=1000)
    hub.download("big", made.filename)
    upstream.remove("big")
    other = upstream.add("big", "1.0", size=2000)
    upstream.add("big", "1.1", size=10)

    listed = next(file for file in hub.page("big")["files"] if file["filename"] == made.filename)

    assert other.sha256 != made.sha256
    assert listed["hashes"] == {"sha256": made.sha256}
    assert hub.get(f"/i/big/{made.filename}").content == made.content


def test_metadata_is_upstreams_and_then_ours(hub: RunningHub, upstream: Upstream) -> None:
    made = upstream.add("big", "1.0", requires=["dep"])
    advertised = hub.page("big")["files"][0]["core-metadata"]["sha256"]

    first = hub.get(f"/i/big/{made.filename}.metadata")
    upstream.stop()
    again = hub.get(f"/i/big/{made.filename}.metadata")

    assert first.content == again.content == made.metadata
    assert sha256(made.metadata).hexdigest() == advertised
    assert again.headers["etag"] == f'"{advertised}"'
    assert upstream.count(upstream.path_of(made.filename)) == 1


def test_metadata_that_upstream_lacks_is_read_from_the_tail_of_its_newest_wheels(tmp_path: Path) -> None:
    with Upstream(metadata=False) as upstream:
        made = upstream.add("big", "1.0", size=MIB, requires=["dep"])
        with RunningHub(tmp_path, index={"upstreams": [upstream.url]}) as hub:
            first = hub.page("big")["files"][0]["core-metadata"]
            hub.wait_until(lambda: bool(hub.page("big")["files"][0]["core-metadata"]))
            advertised = hub.page("big")["files"][0]["core-metadata"]
            served = hub.get(f"/i/big/{made.filename}.metadata")

            assert first is False
            assert served.content == made.metadata
            assert advertised == {"sha256": sha256(made.metadata).hexdigest()}
            ranges = [seen.headers.get("range") for seen in upstream.requests(upstream.path_of(made.filename))]
            assert ranges == ["bytes=-65536"]


def test_metadata_is_read_out_of_a_wheel_that_is_here(tmp_path: Path) -> None:
    with Upstream(metadata=False) as upstream:
        made = upstream.add("big", "1.0", size=1000)
        upstream.misbehave(upstream.path_of(made.filename), no_range())
        with RunningHub(tmp_path, index={"upstreams": [upstream.url]}) as hub:
            hub.page("big")
            hub.wait_until(lambda: hub.metric("job_seconds_count", kind="index.metadata") >= 1)
            without = hub.page("big")["files"][0]["core-metadata"]
            hub.download("big", made.filename)
            upstream.add("big", "1.1")
            hub.wait_until(lambda: bool(hub.page("big")["files"][0]["core-metadata"]))

            assert without is False
            assert hub.get(f"/i/big/{made.filename}.metadata").content == made.metadata


def test_metadata_that_upstream_advertises_and_lacks_is_read_out_of_the_wheel(
    hub: RunningHub, upstream: Upstream
) -> None:
    made = upstream.add("big", "1.0", size=1000)
    upstream.misbehave(f"{upstream.path_of(made.filename)}.metadata", status(404))
    hub.page("big")

    assert hub.get(f"/i/big/{made.filename}.metadata").content == made.metadata


@pytest.mark.parametrize("trouble", [status(500), gzip_bomb(), redirect_to("http://127.0.0.2:1/secret"), close_at(0.5)])
def test_metadata_that_upstream_cannot_give_is_read_out_of_the_wheel(
    hub: RunningHub, upstream: Upstream, trouble: object
) -> None:
    made = upstream.add("broken", "1.0")
    upstream.misbehave(upstream.path_of(made.filename) + ".metadata", trouble)  # type: ignore[arg-type]
    advertised = hub.page("broken")["files"][0]["core-metadata"]

    answer = hub.get(f"/i/broken/{made.filename}.metadata")

    assert answer.content == made.metadata
    assert advertised == {"sha256": sha256(answer.content).hexdigest()}


def test_metadata_that_is_not_here_is_read_out_of_a_wheel_that_is(hub: RunningHub, upstream: Upstream) -> None:
    made = upstream.add("half", "1.0")
    hub.page("half")
    hub.download("half", made.filename)
    upstream.stop()

    assert hub.get(f"/i/half/{made.filename}.metadata").content == made.metadata


def test_metadata_that_cannot_be_had_is_advertised_no_more(hub: RunningHub, upstream: Upstream) -> None:
    made = upstream.add("big", "1.0", size=1000)
    upstream.misbehave(f"{upstream.path_of(made.filename)}*", status(404))
    before = hub.page("big")["files"][0]["core-metadata"]

    answer = hub.get(f"/i/big/{made.filename}.metadata")

    assert before
    assert answer.status_code == 404
    assert hub.page("big")["files"][0]["core-metadata"] is False


def test_offline_only_stored_metadata_is_advertised(hub: RunningHub, upstream: Upstream) -> None:
    first, second = hub.files("demo")
    hub.download("demo", first)
    hub.download("demo", second)
    hub.get(f"/i/demo/{first}.metadata")

    upstream.stop()
    listed = {file["filename"]: file["core-metadata"] for file in hub.page("demo")["files"]}

    assert listed[first]
    assert listed[second] is False


def test_a_disk_without_room_is_507_and_reading_goes_on(tmp_path: Path, upstream: Upstream) -> None:
    index = {"upstreams": [upstream.url]}
    with RunningHub(tmp_path, index=index) as hub:
        first, second = hub.files("demo")
        content = hub.download("demo", first)
    with RunningHub(tmp_path, index=index, limits={"reserve_bytes": 2**62, "reserve_share": 0.999999}) as hub:
        refused = hub.get(f"/i/demo/{second}")

        assert refused.status_code == 507
        assert hub.get(f"/i/demo/{first}").content == content
    with RunningHub(tmp_path, index=index) as hub:
        assert hub.get(f"/i/demo/{second}").status_code == 200


@pytest.mark.parametrize("trouble", [WritesBusy("busy"), DatabaseUnavailable("away"), DiskFull("no room")])
def test_a_file_that_came_whole_is_stored_as_soon_as_the_database_takes_its_row(
    relaxed_hub: RunningHub, upstream: Upstream, monkeypatch: pytest.MonkeyPatch, trouble: Exception
) -> None:
    made = upstream.add("big", "1.0", size=300_000)
    filename, path = made.filename, f"/i/big/{made.filename}"
    relaxed_hub.page("big")
    refusing, commit = threading.Event(), Committer.commit

    async def refused(
        self: Committer, work: Callable[[Connection], Any], bodies: Sequence[Any] = (), *, gathers: bool = False
    ) -> Any:
        if refusing.is_set():
            raise trouble
        return await commit(self, work, bodies, gathers=gathers)

    monkeypatch.setattr(Committer, "commit", refused)
    monkeypatch.setattr("creamery.index.download.KEEP_PAUSE_SECONDS", 0.02)
    refusing.set()
    answers = [relaxed_hub.get(path) for _ in range(3)]
    assert not relaxed_hub.is_here(filename)
    refusing.clear()
    relaxed_hub.wait_until(lambda: relaxed_hub.is_here(filename))

    assert {(answer.status_code, answer.content) for answer in answers} == {(200, made.content)}
    assert upstream.count(upstream.path_of(filename)) == 1


def test_what_somebody_is_receiving_is_not_evicted(upstream: Upstream, tmp_path: Path) -> None:
    made = upstream.add("big", "1.0", size=8 * MIB)
    with RunningHub(tmp_path, index={"upstreams": [upstream.url], "max_age": 1e6}, cache={"max_bytes": 0}) as hub:
        hub.page("big")
        hub.download("big", made.filename)
        host, _, port = hub.base.removeprefix("http://").partition(":")
        with socket.socket() as slow:
            slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
            slow.connect((host, int(port)))
            slow.sendall(f"GET /i/big/{made.filename} HTTP/1.1\r\nHost: hub\r\n\r\n".encode())
            assert slow.recv(10)

            assert hub.built.hub.blobs.evict().blobs == 0
        hub.wait_until(lambda: hub.built.hub.blobs.evict().blobs == 1)


def test_an_error_that_nobody_foresaw_is_told_to_who_waits(hub: RunningHub) -> None:
    filename = hub.files("demo")[0]
    faults.arm("blobs.reserved=EIO")

    failed = hub.get(f"/i/demo/{filename}")
    faults.disarm()

    assert failed.status_code == 503
    assert hub.get(f"/i/demo/{filename}").status_code == 200


def test_a_part_that_cannot_be_removed_keeps_nobody_waiting(
    hub: RunningHub, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = upstream.add("big", "1.0", size=300_000)
    hub.page("big")
    upstream.misbehave(upstream.path_of(made.filename), wrong_bytes(), once=True)
    monkeypatch.setattr(download, "FAILED_SECONDS", 0.0)

    def fails(path: Path, *, missing_ok: bool = False) -> None:
        raise OSError(errno.EIO, "the disk fails", str(path), missing_ok)

    with monkeypatch.context() as failing:
        failing.setattr(Path, "unlink", fails)
        with pytest.raises(httpx2.RemoteProtocolError):
            hub.get(f"/i/big/{made.filename}")

    hub.wait_until(lambda: hub.get(f"/i/big/{made.filename}").content == made.content)


@pytest.mark.parametrize("size", [100_000, 3 * MIB], ids=["small", "large"])
def test_a_file_that_an_unclean_stop_damaged_completes_nowhere_and_comes_anew(
    tmp_path: Path, upstream: Upstream, size: int
) -> None:
    made = upstream.add("big", "1.0", size=size)
    index = {"upstreams": [upstream.url]}
    with RunningHub(tmp_path, index=index) as hub:
        hub.download("big", made.filename)
    (blob,) = (tmp_path / "blobs").rglob(made.sha256)
    blob.chmod(0o644)
    blob.write_bytes(made.content[:-1] + bytes([made.content[-1] ^ 1]))
    (tmp_path / "running" / "left-behind").touch()

    with RunningHub(tmp_path, index=index) as hub:
        try:
            first = hub.get(f"/i/big/{made.filename}").content
        except httpx2.RemoteProtocolError:
            first = b""
        again = hub.download("big", made.filename)

        assert first in {b"", made.content}
        assert again == made.content
        assert len(list((tmp_path / "quarantine").iterdir())) == 1


def test_wheels_whose_tails_drip_keep_no_thread(upstream: Upstream, tmp_path: Path) -> None:
    """Each of them would hold one of the disk's threads, and with all of them every file of the hub."""
    made = [upstream.add(f"slow{number}", "1.0") for number in range(6)]
    for each in made:
        path = upstream.path_of(each.filename)
        upstream.misbehave(path, hang())
        upstream.misbehave(f"{path}.metadata", status(404))

    with hub_over(upstream, tmp_path, disk_threads=2) as hub, ThreadPoolExecutor(len(made)) as clients:
        for number, each in enumerate(made):
            hub.page(f"slow{number}")
            clients.submit(hub.raw, f"/i/slow{number}/{each.filename}.metadata".encode(), seconds=1)
        while sum(upstream.count(upstream.path_of(each.filename)) - 1 for each in made) < len(made):
            time.sleep(0.01)

        answer = hub.raw(f"/i/demo/{hub.files('demo')[0]}".encode())
        upstream.behave()
        upstream.cut()

    assert answer.startswith(b"HTTP/1.1 200 ")
