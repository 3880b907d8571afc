"""Bringing files near: slow media, archives that are down or lie, and what one cart's staging is to another."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, select

from creamery import faults
from creamery.blobs import Audit, Depth
from creamery.blobs.local import LocalStore
from creamery.carts import planning, staging, tables
from creamery.carts.room import Room
from creamery.contract import Digest
from creamery.database import Committer
from creamery.hub import offline_holders
from creamery.jobs import Job
from tests.carts.conftest import FILES
from tests.doubles.archives import ArchiveInterface
from tests.doubles.carting import carting_hub, entry, head, post, ready, wait_for
from tests.doubles.loopback import Exchange, HangUp, Reply
from tests.doubles.running import RunningHub
from tests.doubles.waiting import eventually

ITEMS = {f"{number}": f"file {number}\n".encode() * (number + 1) for number in range(20)}
BIG = {"big": bytes(range(256)) * 2_000}


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(staging, "FIRST_POLL_SECONDS", 0.02)
    monkeypatch.setattr(staging, "DOWN_SECONDS", 0.1)
    monkeypatch.setattr(planning, "DOWN_SECONDS", 0.1)
    monkeypatch.setattr(staging, "BUSY_SECONDS", 0.05)


@pytest.fixture
def tape() -> Iterator[ArchiveInterface]:
    with ArchiveInterface({**ITEMS, **BIG}) as server:
        yield server


@pytest.fixture
def far_hub(tmp_path: Path, tape: ArchiveInterface) -> Iterator[RunningHub]:
    archive = {"name": "tapes", "kind": "pacifica", "url": tape.url, "at_once": 4, "window": 5}
    with carting_hub(tmp_path / "data", archive) as hub:
        yield hub


def content(hub: RunningHub, uid: str, path: str) -> bytes:
    answer = hub.get(f"/carts/{uid}/files/{path}")
    assert answer.status_code == 200, answer.text
    return answer.content


def assert_sound(hub: RunningHub) -> None:
    built = hub.built.hub
    audit = Audit(built.settings.data, built.database, offline_holders(), built.settings.limits, built.clock)
    assert list(audit.run(Depth.DATA, lambda size: None)) == []


def tidy(hub: RunningHub) -> None:
    """What is done every few minutes."""
    (carts,) = (door for door in hub.built.doors if door.name == "carts")
    carts.handlers["carts.tidy"](Job(1, "carts.tidy", {}, 1))


def test_all_files_come_from_an_archive_interface(far_hub: RunningHub, tape: ArchiveInterface) -> None:
    uid = ready(far_hub, [entry(name, content=data) for name, data in {**ITEMS, **BIG}.items()])

    for name, data in {**ITEMS, **BIG}.items():
        assert content(far_hub, uid, name) == data
    assert tape.most_at_once <= 4
    assert_sound(far_hub)


def test_slow_media_are_asked_once_and_in_windows(far_hub: RunningHub, tape: ArchiveInterface) -> None:
    tape.tape = dict.fromkeys(ITEMS, 2)
    uid = post(far_hub, [entry(name) for name in ITEMS])
    most = 0
    while head(far_hub, uid).status_code == 202:
        waiting = [name for name in tape.staged if tape.tape.get(name)]
        most = max(most, len(waiting))

    assert wait_for(far_hub, uid).status_code == 204
    assert tape.staged == dict.fromkeys(ITEMS, 1)
    assert 0 < most <= 5


def test_a_file_is_brought_once_for_all_carts(far_hub: RunningHub, tape: ArchiveInterface) -> None:
    uids = [post(far_hub, [entry(name) for name in ITEMS]) for _ in range(5)]
    for uid in uids:
        assert wait_for(far_hub, uid).status_code == 204
    after = ready(far_hub, [entry(name, f"again/{name}") for name in ITEMS])

    assert content(far_hub, after, "again/3") == ITEMS["3"]
    fetched = [seen.path for seen in tape.requests("GET")]
    assert sorted(fetched) == sorted(f"/{name}" for name in ITEMS)


def test_a_named_digest_verifies_and_finds_nothing(far_hub: RunningHub, tape: ArchiveInterface) -> None:
    """Another's file is here; who names its digest for an item that is none gets nothing by it."""
    ready(far_hub, [entry("big", content=BIG["big"], kind="sha256")])
    digest = hashlib.sha256(BIG["big"]).hexdigest()
    theft = {"id": "nothing", "path": "loot", "hashtype": "sha256", "hashsum": digest}

    uid = post(far_hub, [theft])

    assert wait_for(far_hub, uid).status_code == 500
    assert far_hub.get(f"/carts/{uid}/files/loot").status_code == 500


@pytest.mark.parametrize("kind", ["md5", "sha1", "sha256", "sha512"])
def test_what_is_here_is_verified_by_any_algorithm(far_hub: RunningHub, tape: ArchiveInterface, kind: str) -> None:
    ready(far_hub, [entry("big")])
    tape.seen.clear()

    ready(far_hub, [entry("big", content=BIG["big"], kind=kind)])
    wrong = post(far_hub, [entry("big", content=b"something else", kind=kind)])

    assert wait_for(far_hub, wrong).status_code == 500
    assert tape.requests("GET") == []


def test_a_broken_connection_goes_on_where_it_broke(far_hub: RunningHub, tape: ArchiveInterface) -> None:
    async def break_off(exchange: Exchange) -> None:
        await exchange.head()
        await exchange.body(exchange.reply.body[:100_000])
        raise HangUp

    tape.misbehave("/big", break_off, method="GET", once=True)

    uid = ready(far_hub, [entry("big", content=BIG["big"])])

    assert content(far_hub, uid, "big") == BIG["big"]
    targets = [seen.target for seen in tape.requests("GET")]
    assert targets[0] == "/big"
    assert targets[-1] == "/big?byte_range=100000-512000"
    assert len(targets) == 3  # and once to see that ranges are known there


def test_the_next_file_comes_while_one_is_made_durable(
    tmp_path: Path, tape: ArchiveInterface, monkeypatch: pytest.MonkeyPatch
) -> None:
    tape.files["gib"] = BIG["big"][::-1]
    keep = LocalStore.keep

    def keep_once_both_are_asked_for(*args: Any, **options: Any) -> None:
        eventually(lambda: len(tape.requests("GET")) == 2)
        keep(*args, **options)

    monkeypatch.setattr(LocalStore, "keep", keep_once_both_are_asked_for)
    archive = {"name": "tapes", "kind": "pacifica", "url": tape.url, "at_once": 1}
    with carting_hub(tmp_path / "data", archive) as hub:
        uid = ready(hub, [entry("big"), entry("gib")])

        assert content(hub, uid, "gib") == BIG["big"][::-1]


def test_an_archive_that_is_down_makes_the_cart_wait(far_hub: RunningHub, tape: ArchiveInterface) -> None:
    tape.stop()
    uid = post(far_hub, [entry("1")])
    far_hub.wait_until(lambda: "waiting for an archive" in head(far_hub, uid).headers["x-pacifica-message"])
    assert head(far_hub, uid).status_code == 202
    assert far_hub.get(f"/{uid}").status_code == 202
    tape.start()

    assert wait_for(far_hub, uid).status_code == 204
    assert head(far_hub, uid).headers["x-pacifica-message"] == ""


def test_an_archive_over_quota_makes_the_cart_wait(far_hub: RunningHub, tape: ArchiveInterface) -> None:
    async def refuse(exchange: Exchange) -> None:
        exchange.reply = Reply(429, {"Retry-After": "0"}, b"")
        await exchange.send()

    for method in ("HEAD", "GET"):
        tape.misbehave("/1", refuse, method=method, once=True)

    uid = ready(far_hub, [entry("1"), entry("2")])

    assert content(far_hub, uid, "1") == ITEMS["1"]


def test_what_changed_its_size_is_an_error_with_its_name(far_hub: RunningHub, tape: ArchiveInterface) -> None:
    async def shrink(exchange: Exchange) -> None:
        exchange.reply = Reply(200, {}, exchange.reply.body[:10])
        await exchange.send()

    tape.misbehave("/big", shrink, method="GET")

    uid = post(far_hub, [entry("big", "a/big"), entry("1")])
    answer = wait_for(far_hub, uid)

    assert answer.status_code == 500
    assert answer.headers["x-pacifica-message"].startswith("a/big: ")
    assert content(far_hub, uid, "1") == ITEMS["1"]
    assert_sound(far_hub)


def test_what_an_archive_refuses_harms_no_other(far_hub: RunningHub, tape: ArchiveInterface) -> None:
    del tape.files["3"]
    uid = post(far_hub, [entry(name) for name in ITEMS])
    answer = wait_for(far_hub, uid)

    assert answer.status_code == 500
    assert answer.headers["x-creamery-files"] == "19/20"
    assert content(far_hub, uid, "4") == ITEMS["4"]


def test_deleted_while_it_is_staged_nothing_comes_any_more(far_hub: RunningHub, tape: ArchiveInterface) -> None:
    tape.tape = {"1": 1_000_000}
    uid = post(far_hub, [entry("1"), entry("2")])
    far_hub.wait_until(lambda: "1" in tape.staged)

    far_hub.client.delete(f"{far_hub.base}/{uid}")

    assert head(far_hub, uid).status_code == 404
    tape.tape = {}
    far_hub.wait_until(lambda: far_hub.metric("jobs_total", kind="carts.stage", result="done") > 0)
    assert [seen.path for seen in tape.requests("GET") if seen.path == "/1"] == []


def test_who_takes_too_long_has_failed(tmp_path: Path, tape: ArchiveInterface) -> None:
    tape.tape = {"1": 1_000_000}
    archive = {"name": "tapes", "kind": "pacifica", "url": tape.url}
    with carting_hub(tmp_path / "data", archive, limits={"cart_stage_seconds": 0.1}) as hub:
        answer = wait_for(hub, post(hub, [entry("1")]))

    assert answer.status_code == 500
    assert "has not brought it near in 0.1 s" in answer.headers["x-pacifica-message"]


def test_what_never_comes_has_failed_and_the_others_are_here(tmp_path: Path, tape: ArchiveInterface) -> None:
    async def refuse(exchange: Exchange) -> None:
        exchange.reply = Reply(503, {}, b"")
        await exchange.send()

    tape.misbehave("/1", refuse, method="GET")
    archive = {"name": "tapes", "kind": "pacifica", "url": tape.url}
    with carting_hub(tmp_path / "data", archive, limits={"cart_stage_seconds": 0.2}) as hub:
        uid = post(hub, [entry("1"), entry("2")])
        answer = wait_for(hub, uid)

        assert answer.status_code == 500
        assert "1: it has not come in 0.2 s" in answer.headers["x-pacifica-message"]
        assert content(hub, uid, "2") == ITEMS["2"]


def test_what_no_archive_says_anything_of_has_failed(tmp_path: Path, tape: ArchiveInterface) -> None:
    tape.stop()
    archive = {"name": "tapes", "kind": "pacifica", "url": tape.url}
    with carting_hub(tmp_path / "data", archive, limits={"cart_stage_seconds": 0.2}) as hub:
        answer = wait_for(hub, post(hub, [entry("1")]))

    assert answer.status_code == 500
    assert "its archive has not said what it is in 0.2 s" in answer.headers["x-pacifica-message"]


@pytest.mark.parametrize("is_wrong", [False, True], ids=["gone", "in quarantine"])
def test_what_a_ready_cart_has_lost_is_staged_anew(
    far_hub: RunningHub, tape: ArchiveInterface, *, is_wrong: bool
) -> None:
    uid = ready(far_hub, [entry("1"), entry("big")])
    digest = Digest(hashlib.sha256(BIG["big"]).hexdigest())
    blobs = far_hub.built.hub.blobs
    if is_wrong:
        blobs.quarantine_now(digest, "a test's")
    else:
        blobs.store.delete(digest)
    assert far_hub.get(f"/carts/{uid}/files/big").status_code == 500
    fetched = len(tape.requests("GET"))

    assert far_hub.client.post(f"{far_hub.base}/carts/{uid}/fix").status_code == 202

    assert wait_for(far_hub, uid).status_code == 204
    assert content(far_hub, uid, "big") == BIG["big"]
    assert far_hub.get(f"/carts/{uid}/bundle.tar").status_code == 200
    assert len(tape.requests("GET")) == fetched + 1
    assert head(far_hub, uid).headers["x-creamery-files"] == "2/2"
    assert_sound(far_hub)


def test_several_archives_are_told_apart(tmp_path: Path, folder: Path, tape: ArchiveInterface) -> None:
    archives = (
        {"name": "disk", "kind": "directory", "path": str(folder)},
        {"name": "tape", "kind": "pacifica", "url": tape.url},
    )
    with carting_hub(tmp_path / "data", *archives) as hub:
        uid = ready(hub, [entry("small.txt"), {**entry("1"), "archive": "tape"}])
        strange = hub.client.post(f"{hub.base}/{uid}", json={"fileids": [{**entry("1"), "archive": "disc"}]})

        assert content(hub, uid, "small.txt") == b"milk\n"
        assert content(hub, uid, "1") == ITEMS["1"]
    assert strange.status_code == 400
    assert "no archive is called 'disc'; there are disk, index, tape" in strange.json()["message"]


def test_a_hub_without_archives_that_are_open_says_so(tmp_path: Path) -> None:
    with carting_hub(tmp_path / "data", index={"read": "users"}) as hub:
        answer = hub.client.post(f"{hub.base}/{'0' * 8}-0000-4000-8000-{'0' * 12}", json={"fileids": [entry("1")]})

    assert answer.status_code == 400
    assert "carts.archives" in answer.json()["message"]


def test_a_killed_worker_is_continued_by_the_next(tmp_path: Path, folder: Path) -> None:
    """A hub ends in the midst of it; what comes next is another one."""
    faults.arm("database.before_commit@60=EIO")
    with carting_hub(tmp_path / "data", folder) as hub:
        uid = post(hub, [entry(name, content=data) for name, data in FILES.items()])
    faults.disarm()

    with carting_hub(tmp_path / "data", folder) as hub:
        assert wait_for(hub, uid).status_code == 204
        assert content(hub, uid, "large.bin") == FILES["large.bin"]
        assert_sound(hub)


def test_many_carts_at_once_all_end(far_hub: RunningHub, tape: ArchiveInterface) -> None:
    names = list(ITEMS)
    uids: list[str] = []
    lock = threading.Lock()

    def make(number: int) -> None:
        uid = post(far_hub, [entry(name) for name in names[number % 10 : number % 10 + 10]])
        with lock:
            uids.append(uid)

    threads = [threading.Thread(target=make, args=[number]) for number in range(100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [wait_for(far_hub, uid, 60).status_code for uid in uids] == [204] * 100
    assert len(tape.requests("GET")) == len(ITEMS) - 1  # nobody asks for the last one
    assert far_hub.ask(tables.counts_by_state) == {"ready": 100}


def test_a_deleted_carts_bytes_go_and_anothers_stay(hub: RunningHub) -> None:
    first, second = ready(hub, [entry("large.bin"), entry("small.txt")]), ready(hub, [entry("small.txt", "mine")])
    hub.client.delete(f"{hub.base}/{first}")

    blobs = hub.built.hub.blobs
    hub.ask(lambda connection: connection.exec_driver_sql("SELECT 1").all())
    for _ in range(3):
        blobs.sweep(slices=16)

    assert content(hub, second, "mine") == b"milk\n"
    assert_sound(hub)


def test_whoever_waits_gets_each_file_as_soon_as_it_is_here(far_hub: RunningHub, tape: ArchiveInterface) -> None:
    tape.tape = {"9": 4}
    names = [str(number) for number in range(12)]
    uid = post(far_hub, [entry(name) for name in names])

    with far_hub.client.stream("GET", f"{far_hub.base}/{uid}?wait=1&filename=x.tar") as answer:
        assert answer.status_code == 200
        assert "etag" not in answer.headers
        body = b"".join(answer.iter_raw())

    assert int(answer.headers["content-length"]) == len(body)
    assert wait_for(far_hub, uid).status_code == 204
    assert body == far_hub.get(f"/{uid}?filename=x.tar").content


def test_whoever_waits_gets_the_files_that_were_asked_for_alone(far_hub: RunningHub, tape: ArchiveInterface) -> None:
    """`include` was left out of account: all files came."""
    tape.tape = {"9": 4}
    uid = post(far_hub, [entry(str(number)) for number in range(12)])
    some = "include=9&include=3&root=some"

    live = far_hub.get(f"/carts/{uid}/bundle.tar?wait=1&{some}")

    assert wait_for(far_hub, uid).status_code == 204
    assert "etag" not in live.headers
    assert live.content == far_hub.get(f"/carts/{uid}/bundle.tar?{some}").content


def test_who_waits_for_what_never_comes_hears_so(far_hub: RunningHub, tape: ArchiveInterface) -> None:
    del tape.files["1"]
    uid = post(far_hub, [entry("1"), entry("2")])

    assert far_hub.get(f"/{uid}?wait=1").status_code == 500


def test_no_more_wait_than_may(tmp_path: Path, tape: ArchiveInterface) -> None:
    tape.tape = {"1": 1_000_000}
    archive = {"name": "tapes", "kind": "pacifica", "url": tape.url}
    with carting_hub(tmp_path / "data", archive, limits={"cart_live": 1, "drain_seconds": 0.1}) as hub:
        uid = post(hub, [entry("2"), entry("1")])
        with hub.client.stream("GET", f"{hub.base}/{uid}?wait=1&filename=x.tar") as first:
            assert first.status_code == 200
            second = hub.get(f"/{uid}?wait=1&filename=x.tar")
            hub.client.delete(f"{hub.base}/{uid}")

    assert second.status_code == 202


def test_what_nobody_wants_any_more_leaves_no_rows(far_hub: RunningHub, tape: ArchiveInterface) -> None:
    del tape.files["1"]
    uid = post(far_hub, [entry("1"), entry("2")])
    wait_for(far_hub, uid)
    far_hub.client.delete(f"{far_hub.base}/{uid}")
    tidy(far_hub)

    def left(connection: Connection) -> list[str]:
        return list(connection.execute(select(tables.cart_source.c.item)).scalars())

    assert far_hub.ask(left) == ["2"]


@pytest.mark.parametrize("state", ["planned", "unplanned"])
def test_a_cart_whose_job_is_lost_goes_on(far_hub: RunningHub, tape: ArchiveInterface, state: str) -> None:
    """Whatever becomes of jobs, a cart ends."""
    if state == "planned":
        tape.tape = {"1": 1_000_000}
    else:
        tape.stop()
    uid = post(far_hub, [entry("1")])
    far_hub.wait_until(lambda: "1" in tape.staged or "waiting" in head(far_hub, uid).headers["x-pacifica-message"])
    far_hub.built.hub.committer.write(lambda connection: connection.exec_driver_sql("DELETE FROM job"))
    tape.tape = {}
    if state == "unplanned":
        tape.start()

    tidy(far_hub)

    assert wait_for(far_hub, uid).status_code == 204


def test_carts_end_though_nobody_announces_a_commit(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every message that would wake a thread is lost; the rows alone tell what is to be done."""
    monkeypatch.setattr(Committer, "on_commit", lambda committer, listener: None)
    with carting_hub(tmp_path / "data", folder) as hub:
        good, bad = post(hub, [entry(name) for name in FILES]), post(hub, [entry("nowhere")])

        assert wait_for(hub, good).status_code == 204
        assert wait_for(hub, bad).status_code == 500
        assert content(hub, good, "large.bin") == FILES["large.bin"]


def test_what_an_archive_that_is_no_more_would_have_sent_has_failed(tmp_path: Path, tape: ArchiveInterface) -> None:
    tape.tape = {"1": 1_000_000}
    archive = {"name": "tapes", "kind": "pacifica", "url": tape.url}
    with carting_hub(tmp_path / "data", archive) as hub:
        uid = post(hub, [entry("1")])
        hub.wait_until(lambda: "1" in tape.staged)
    with carting_hub(tmp_path / "data", {**archive, "name": "others"}) as hub:
        tidy(hub)
        answer = wait_for(hub, uid)

    assert answer.status_code == 500
    assert "no archive is called tapes any more" in answer.headers["x-pacifica-message"]


def test_nothing_is_fetched_for_a_cart_that_was_refused(tmp_path: Path, tape: ArchiveInterface) -> None:
    archive = {"name": "tapes", "kind": "pacifica", "url": tape.url}
    with carting_hub(tmp_path / "data", archive, carts={"quota_bytes": 1_000}) as hub:
        assert wait_for(hub, post(hub, [entry("big")])).status_code == 500
        ready(hub, [entry("1")])
        hub.wait_until(lambda: hub.metric("jobs_total", kind="carts.stage", result="done") > 0)

    assert {seen.path for seen in tape.requests("GET")} == {"/1"}


def test_nothing_is_fetched_for_a_cart_that_has_no_room_yet(
    far_hub: RunningHub, tape: ArchiveInterface, monkeypatch: pytest.MonkeyPatch
) -> None:
    inner, may_go = Room.make, threading.Event()

    def make(room: Room, cart_id: int, size: int) -> None:
        if size == len(BIG["big"]):
            may_go.wait(20)
        inner(room, cart_id, size)

    monkeypatch.setattr(Room, "make", make)
    first = post(far_hub, [entry("big")])
    ready(far_hub, [entry("1")])
    far_hub.wait_until(lambda: far_hub.metric("jobs_total", kind="carts.stage", result="done") > 0)
    before = {seen.path for seen in tape.requests("GET")}
    may_go.set()

    assert wait_for(far_hub, first).status_code == 204
    assert before == {"/1"}


def test_a_full_disk_makes_small_files_wait(hub: RunningHub) -> None:
    faults.arm("segments.mid_write=ENOSPC")
    uid = post(hub, [entry("small.txt"), entry("empty")])
    hub.wait_until(lambda: "the disk is full" in head(hub, uid).headers["x-pacifica-message"])
    faults.disarm()

    assert wait_for(hub, uid).status_code == 204
