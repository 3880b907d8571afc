"""`creamery hive check`: what it says of a hub's trees, and what a repair makes of them."""

from __future__ import annotations

import fcntl
from pathlib import Path

from sqlalchemy import update

from creamery.hive.tables import node
from tests.cli.conftest import run, tell
from tests.doubles.grove import Grove


def plant(data: Path, *, spoilt: bool = False) -> None:
    """A home with a folder that has forgotten what lies in it, where that is asked for."""
    grove = Grove(f"sqlite:///{data}/creamery.sqlite3")
    home = grove.home(1, "alice")
    folder = grove.make_folder(home.id, "a").node
    grove.make_folder(home.id, "a/b")
    if spoilt:
        grove.write(lambda connection: connection.execute(update(node).where(node.c.id == folder.id).values(size=7)))
    grove.close()


def test_a_clean_hive_ends_with_0(hub_data: Path) -> None:
    plant(hub_data)

    code, report = run("hive", "check", "--data", hub_data)

    assert (code, report["findings"], report["spaces"], report["nodes"]) == (0, [], 1, 4)
    assert "All is well." in tell("hive", "check", "--data", hub_data)


def test_a_finding_ends_with_1_and_says_what_to_do(hub_data: Path) -> None:
    plant(hub_data, spoilt=True)

    code, report = run("hive", "check", "--data", hub_data)

    [finding] = report["findings"]
    assert code == 1
    assert finding["kind"] == "wrong sum"
    assert finding["subject"] == "node 3 (space 1, /a)"
    assert "--repair" in finding["remedy"]
    assert "space 1, /a" in tell("hive", "check", "--data", hub_data)


def test_a_repair_ends_with_3_and_then_all_is_well(hub_data: Path) -> None:
    plant(hub_data, spoilt=True)

    code, report = run("hive", "check", "--repair", "--yes", "--data", hub_data)

    assert (code, len(report["findings"]), report["left"]) == (3, 1, [])
    assert run("hive", "check", "--data", hub_data)[0] == 0


def test_a_repair_wants_to_be_meant(hub_data: Path) -> None:
    plant(hub_data, spoilt=True)

    code, report = run("hive", "check", "--repair", "--data", hub_data)

    assert code == 2
    assert "--yes" in report["error"]


def test_no_repair_while_a_hub_runs(hub_data: Path) -> None:
    with (hub_data / "lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        code, report = run("hive", "check", "--repair", "--yes", "--data", hub_data)

    assert code == 11
    assert "stop it" in report["error"]


def test_a_directory_that_is_no_hub_ends_with_10(tmp_path: Path) -> None:
    assert run("hive", "check", "--data", tmp_path)[0] == 10
