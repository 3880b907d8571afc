"""Carts deleted under somebody's download, or while they are staged: never a wrong byte, and the bytes go."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from sqlalchemy import func, select

from creamery import faults
from creamery.blobs.tables import blob
from creamery.carts import tables
from creamery.limits import MIB
from tests.doubles.carting import carting_hub, entry, head, post, ready, wait_for
from tests.doubles.running import RunningHub

FILES = {
    **{f"large/{number}": random.Random(number).randbytes(12 * MIB) for number in range(3)},
    **{f"small/{number}": random.Random(-number).randbytes(60_000) for number in range(40)},
}
"""More than a connection's buffers hold; small ones lie in segments, behind the large ones."""
ENTRIES = [entry(name, content=content) for name, content in FILES.items()]


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[RunningHub]:
    """It keeps nothing that no cart has."""
    folder = tmp_path / "files"
    for name, content in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    limits = {"evict_grace_seconds": 0.01, "sweep_grace_seconds": 0.01}
    with carting_hub(tmp_path / "data", folder, cache={"max_bytes": 1}, limits=limits) as hub:
        yield hub


def bytes_here(hub: RunningHub) -> int:
    return int(hub.ask(lambda c: c.execute(select(func.coalesce(func.sum(blob.c.size), 0))).scalar_one()))


def let_go(hub: RunningHub) -> None:
    """As the hub does each minute, until nothing is left."""
    blobs = hub.built.hub.blobs

    def is_gone() -> bool:
        blobs.evict()
        blobs.sweep(slices=16)
        return bytes_here(hub) == 0

    hub.wait_until(is_gone)


@pytest.mark.parametrize("form", ["tar", "zip"])
def test_a_download_whose_cart_is_deleted_has_no_wrong_byte(hub: RunningHub, form: str) -> None:
    uid = ready(hub, ENTRIES)
    address = f"{hub.base}/carts/{uid}/bundle.{form}?root=x"
    whole = hub.client.get(address).content
    came = bytearray()

    with hub.client.stream("GET", address) as answer:
        pieces = answer.iter_raw()
        came += next(pieces)
        hub.client.delete(f"{hub.base}/{uid}")
        let_go(hub)
        cut = False
        try:
            for piece in pieces:
                came += piece
        except httpx2.TransportError:
            cut = True

    assert head(hub, uid).status_code == 404
    assert came == whole[: len(came)]
    assert cut == (len(came) < len(whole))


def test_a_cart_deleted_while_it_is_staged_leaves_nothing(hub: RunningHub) -> None:
    faults.arm("blobs.before_link@0=sleep:0.2")
    uid = post(hub, ENTRIES)
    hub.wait_until(lambda: bytes_here(hub) > 0)
    begun = bytes_here(hub)

    hub.client.delete(f"{hub.base}/{uid}")
    faults.disarm()
    hub.wait_until(lambda: hub.metric("jobs_total", kind="carts.stage", result="done") > 0)
    let_go(hub)

    assert begun < sum(map(len, FILES.values()))
    assert head(hub, uid).status_code == 404
    assert hub.ask(lambda c: c.execute(select(func.count()).select_from(tables.cart_file)).scalar_one()) == 0
    assert wait_for(hub, post(hub, ENTRIES)).status_code == 204
