"""A hub killed while it removes a large folder: started again, it goes on where it was, and every sum is right."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest
from sqlalchemy import func, select

from creamery.hive.purging import purge
from creamery.hive.tables import node, trash
from tests.doubles.grove import Grove
from tests.doubles.served import Served
from tests.hive.test_trash import plant

pytestmark = pytest.mark.installed

POINTS = [
    *(f"database.{moment}_commit@+{visit}" for moment in ("before", "after") for visit in (1, 2, 3, 4)),
    "jobs.claimed@1",  # at once, and so perhaps before it listens
    "jobs.done_not_recorded@+1",
]
SETTINGS = {"limits_job_lease_seconds": "1", "limits_job_poll_seconds": "0.1", "limits_drain_seconds": "5"}


def opened(data: Path) -> Grove:
    return Grove(f"sqlite:///{data}/creamery.sqlite3")


def left(grove: Grove) -> tuple[int, int]:
    """Nodes beside the two topmost ones, and rows of the trash."""
    tables = (node, trash)
    nodes, rows = grove.database.read(
        lambda c: [c.execute(select(func.count()).select_from(table)).scalar_one() for table in tables]
    )
    return int(nodes) - 2, int(rows)


def killed_at(data: Path, point: str) -> int:
    """How the hub ends; it may do so before anybody has seen where it listens."""
    hub = Served(data, "", faults=f"{point}=kill", **SETTINGS)
    try:
        with hub:
            return hub.wait()
    except AssertionError:
        return int(hub.process.returncode)


@pytest.mark.parametrize("point", POINTS)
def test_a_hub_killed_while_it_removes_a_folder_goes_on_with_it(tmp_path: Path, point: str) -> None:
    data = tmp_path / "var"
    with Served(data, "", **SETTINGS):
        pass  # it makes its tables
    grove = opened(data)
    home = grove.home(1, "alice")
    planted = plant(grove, home, 24, 499)
    grove.delete(home.id, "large")
    grove.write(lambda connection: purge(connection, home.id, grove.now))
    grove.close()

    code = killed_at(data, point)
    grove = opened(data)
    after = left(grove)
    found = grove.findings()
    grove.close()
    with Served(data, "", **SETTINGS) as hub:
        grove = opened(data)
        until = time.monotonic() + 60
        while left(grove) != (0, 0):
            assert time.monotonic() < until, hub.output
            time.sleep(0.1)

    assert code == -signal.SIGKILL
    assert found == []
    assert 0 <= after[0] <= planted + 1
    assert after[1] == (1 if after[0] else 0), "its row goes last"
    assert grove.findings() == []
    assert grove.space(home.id).used_trash == 0
    grove.close()
