"""A disk that is too small for a cart, and one that fills while a cart is staged."""

from __future__ import annotations

import asyncio
import random
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2
import pytest

from tests.crash.test_disk_full import MIB, small_disk, small_disk_free
from tests.doubles.archives import ArchiveInterface
from tests.doubles.carting import entry
from tests.doubles.loopback import Exchange
from tests.doubles.served import Served, fsck

__all__ = ["small_disk"]
pytestmark = pytest.mark.installed

FILES = {f"{number}": random.Random(number).randbytes(2 * MIB) for number in range(8)}
"""All of them are as large as the disk; three of them are not."""


@pytest.fixture
def tape() -> Iterator[ArchiveInterface]:
    with ArchiveInterface(FILES) as server:
        yield server


def hub_over(disk: Path, tape: ArchiveInterface, evict_grace_seconds: float = 60.0) -> Served:
    config = disk.parent / "creamery.toml"
    archive = f'{{ name = "tapes", kind = "pacifica", url = "{tape.url}", at_once = 1 }}'
    config.write_text(
        f"[carts]\narchives = [{archive}]\nlru_buffer_time = 0\n[limits]\nevict_grace_seconds = {evict_grace_seconds}\n"
    )
    return Served(disk / "var", "", config=str(config))


def post(hub: Served, names: list[str]) -> str:
    uid = str(uuid.uuid4())
    entries = [entry(name, content=FILES[name]) for name in names]
    assert hub.client.post(f"{hub.base}/{uid}", json={"fileids": entries}).status_code == 201
    return uid


def wait(hub: Served, uid: str, is_so: Callable[[httpx2.Response], bool]) -> httpx2.Response:
    """Until HEAD says something."""
    until = time.monotonic() + 60
    while not is_so(answer := hub.client.head(f"{hub.base}/{uid}")):
        assert time.monotonic() < until, (dict(answer.headers), hub.output)
        time.sleep(0.05)
    return answer


def test_a_cart_too_large_fails_alone_and_one_that_fits_goes_on_when_there_is_space_again(
    small_disk: Path, tape: ArchiveInterface
) -> None:
    """The disk fills while the first file of the second is sent: there was room for all when it was planned."""
    ballast = small_disk / "ballast"

    async def fill(exchange: Exchange) -> None:
        ballast.write_bytes(b"x" * (small_disk_free(small_disk) - MIB))
        await exchange.send()

    tape.misbehave("/0", fill, method="GET", once=True)
    with hub_over(small_disk, tape) as hub:
        large = wait(hub, post(hub, list(FILES)), lambda answer: answer.status_code != 202)
        fits = post(hub, ["0", "1", "2"])
        waits = wait(hub, fits, lambda answer: bool(answer.headers["x-pacifica-message"]))
        still = hub.get("/carts")
        ballast.unlink()
        ready = wait(hub, fits, lambda answer: answer.status_code != 202)
        contents = [hub.get(f"/carts/{fits}/files/{name}").content for name in "012"]

    assert large.status_code == 500
    assert large.headers["x-pacifica-message"] == "No Space Available"
    assert waits.status_code == 202
    assert waits.headers["x-pacifica-message"].startswith("waiting: ")
    assert still.status_code == 200
    assert ready.status_code == 204
    assert contents == [FILES[name] for name in "012"]
    assert fsck(small_disk / "var", "--read-data")[0] == 0


def leave(disk: Path, size: int) -> None:
    """Fill the disk until no more than that is free."""
    (disk / "ballast").write_bytes(b"x" * (small_disk_free(disk) - size))


def made(hub: Served, names: list[str]) -> str:
    uid = post(hub, names)
    assert wait(hub, uid, lambda answer: answer.status_code != 202).status_code == 204
    return uid


def status(hub: Served, uid: str) -> int:
    return hub.client.head(f"{hub.base}/{uid}").status_code


def test_for_one_cart_no_more_carts_go_than_it_lacks_however_long_their_bytes_take_to_go(
    small_disk: Path, tape: ArchiveInterface
) -> None:
    """All of them went, one at each look, and then the new one was refused in the moment in which their bytes went."""
    with hub_over(small_disk, tape, evict_grace_seconds=5.0) as hub:
        oldest, newer = made(hub, ["0", "1"]), made(hub, ["2", "3"])
        leave(small_disk, 3 * MIB)

        newest = wait(hub, post(hub, ["4", "5"]), lambda answer: answer.status_code != 202)
        others = [status(hub, uid) for uid in (oldest, newer)]

    assert newest.status_code == 204, dict(newest.headers)
    assert others == [404, 204]


def test_space_that_was_promised_to_one_cart_is_not_promised_to_another(
    small_disk: Path, tape: ArchiveInterface
) -> None:
    """Both were promised it, and the second waited for ever with a cart beside it that could have gone."""
    may_come = threading.Event()

    async def hold(exchange: Exchange) -> None:
        await asyncio.to_thread(may_come.wait, 30)
        await exchange.send()

    tape.misbehave("/0", hold, method="GET", once=True)
    with hub_over(small_disk, tape, evict_grace_seconds=1.0) as hub:
        leave(small_disk, 5 * MIB)
        first = post(hub, ["0", "1"])
        wait(hub, first, lambda answer: answer.headers["x-pacifica-status"] == "staging")
        second = post(hub, ["2", "3"])
        waits = wait(hub, second, lambda answer: bool(answer.headers["x-pacifica-message"]))
        may_come.set()
        ready = wait(hub, first, lambda answer: answer.status_code != 202)
        end = wait(hub, second, lambda answer: answer.status_code != 202)
        gone = status(hub, first)

    assert waits.headers["x-pacifica-message"] == "waiting: for space that other carts were promised"
    assert ready.status_code == 204
    assert end.status_code == 204, dict(end.headers)
    assert gone == 404


def test_a_cart_that_nobody_asks_for_gives_way_when_others_fill_the_disk_meanwhile(
    small_disk: Path, tape: ArchiveInterface
) -> None:
    async def fill(exchange: Exchange) -> None:
        leave(small_disk, MIB)
        await exchange.send()

    with hub_over(small_disk, tape, evict_grace_seconds=1.0) as hub:
        idle = made(hub, ["0", "1"])
        tape.misbehave("/2", fill, method="GET", once=True)

        ready = wait(hub, post(hub, ["2", "3"]), lambda answer: answer.status_code != 202)
        gone = status(hub, idle)

    assert ready.status_code == 204, dict(ready.headers)
    assert gone == 404
