"""What the hub tells those who run it, and what it does by itself."""

from __future__ import annotations

import errno
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, text

from creamery.database import DatabaseUnavailable
from creamery.database.schema import head
from creamery.jobs import Job
from tests.doubles.running import RunningHub


def stamp(hub: RunningHub, revision: str) -> None:
    """Say which form the tables have, as migrations do."""

    def write(connection: Connection) -> None:
        connection.execute(text("CREATE TABLE IF NOT EXISTS creamery_version (version_num VARCHAR(32))"))
        connection.execute(text("DELETE FROM creamery_version"))
        connection.execute(text("INSERT INTO creamery_version VALUES (:revision)"), {"revision": revision})

    hub.built.hub.committer.write(write)


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHub]:
    with RunningHub(tmp_path_factory.mktemp("hub") / "var", index={"upstreams": []}) as running:
        stamp(running, head())
        yield running


def test_a_hub_that_lives_says_so(hub: RunningHub) -> None:
    assert hub.get("/healthz").json()["status"] == "ok"


def test_a_hub_that_nothing_hinders_is_ready(hub: RunningHub) -> None:
    answer = hub.get("/readyz")

    assert answer.status_code == 200
    assert {check["name"] for check in answer.json()["checks"]} >= {"database", "schema", "data", "disk"}
    assert all(check["ok"] for check in answer.json()["checks"])
    assert answer.headers["cache-control"] == "no-store"


def test_search_engines_are_asked_to_stay_out(hub: RunningHub) -> None:
    assert hub.get("/robots.txt").text == "User-agent: *\nDisallow: /\n"


def test_every_sample_names_its_process(hub: RunningHub) -> None:
    hub.get("/healthz")

    scraped = hub.get("/metrics").text

    samples = [line for line in scraped.splitlines() if not line.startswith("#")]
    assert samples
    assert [line for line in samples if not re.search(r'[{,]process="\d+"', line)] == []
    assert re.search(
        r'creamery_http_requests_total\{door="operations",method="GET",process="\d+",status="200"\} ', scraped
    )
    assert re.search(r'creamery_http_seconds_bucket\{door="operations",le="\+Inf",process="\d+"\} ', scraped)
    for name in ("disk_free_bytes", "disk_writable_bytes", "process_resident_memory_bytes"):
        assert f"creamery_{name}{{" in scraped


def test_documented_metrics_exist(hub: RunningHub) -> None:
    page = (Path(__file__).parents[2] / "docs" / "reference" / "operation.md").read_text(encoding="utf-8")
    named = {name for name in re.findall(r"`(creamery_[a-z_]+)`", page) if not name.endswith("_")}

    families = re.findall(r"^# TYPE (\w+) ", hub.get("/metrics").text, re.MULTILINE)

    assert {name for name in named if name not in families} - {"creamery_jobs"} == set()


def test_the_hub_sweeps_and_evicts_by_itself(hub: RunningHub) -> None:
    door = hub.built.doors[-1]

    assert {schedule.kind for schedule in door.schedules} == set(door.handlers)
    for kind, handler in door.handlers.items():
        handler(Job(1, kind, {}, 1))


def test_a_database_of_another_form_hinders(hub: RunningHub) -> None:
    stamp(hub, "0000")
    answer = hub.get("/readyz")
    stamp(hub, head())

    checks = {check["name"]: check for check in answer.json()["checks"]}
    assert answer.status_code == 503
    assert answer.json()["status"] == "hindered"
    assert not checks["schema"]["ok"]


def test_a_disk_without_room_does_not_hinder_reading(tmp_path: Path) -> None:
    full = {"reserve_bytes": 10**18, "reserve_share": 0.999}
    with RunningHub(tmp_path / "var", index={"upstreams": []}, limits=full) as hub:
        stamp(hub, head())
        answer = hub.get("/readyz")

    checks = {check["name"]: check for check in answer.json()["checks"]}
    assert answer.status_code == 200
    assert not checks["disk"]["ok"]


def test_every_metric_that_the_docs_name_is_there(hub: RunningHub) -> None:
    page = (Path(__file__).parents[2] / "docs" / "reference" / "operation.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`(creamery_\w+)`", page))

    exposed = set(re.findall(r"^# TYPE (\w+) ", hub.get("/metrics").text, re.MULTILINE))

    assert len(named) > 10
    assert named <= exposed | {name + "_total" for name in exposed}


@pytest.mark.parametrize(("seconds", "status"), [(5.0, 200), (0.1, 503)])
def test_a_check_that_takes_too_long_hinders(
    hub: RunningHub, monkeypatch: pytest.MonkeyPatch, seconds: float, status: int
) -> None:
    """check_seconds."""
    check = hub.built.hub.database.check

    def slow() -> None:
        time.sleep(0.4)
        check()

    limits = hub.settings.limits.model_copy(update={"check_seconds": seconds})
    monkeypatch.setitem(hub.settings.__dict__, "limits", limits)
    monkeypatch.setattr(hub.built.hub.database, "check", slow)

    answer = hub.get("/readyz")

    checks = {check["name"]: check for check in answer.json()["checks"]}
    assert answer.status_code == status
    assert (checks["database"]["detail"] == f"no answer within {seconds:g} s") == (status == 503)


def test_no_number_of_jobs_is_told_while_the_database_is_away(hub: RunningHub, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(_: object) -> None:
        raise DatabaseUnavailable("it is away")

    before = hub.get("/metrics").text
    monkeypatch.setattr(hub.built.hub.database, "read", away)
    meanwhile = hub.get("/metrics")

    assert "creamery_job_rows{" in before
    assert meanwhile.status_code == 200
    assert "creamery_job_rows{" not in meanwhile.text


def test_a_data_directory_that_was_replaced_hinders(hub: RunningHub) -> None:
    owner = hub.settings.data / "store.json"
    content = owner.read_bytes()
    owner.unlink()
    answer = hub.get("/readyz")
    owner.write_bytes(content)

    checks = {check["name"]: check for check in answer.json()["checks"]}
    assert (answer.status_code, checks["data"]["ok"]) == (503, False)
    assert "mounted" in checks["data"]["detail"]


@pytest.mark.parametrize(("number", "is_ready"), [(errno.EROFS, False), (errno.EIO, False), (errno.ENOSPC, True)])
def test_a_disk_that_cannot_be_written_hinders_and_a_full_one_does_not(
    hub: RunningHub, monkeypatch: pytest.MonkeyPatch, number: int, is_ready: bool
) -> None:
    def fails(_: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fails)
    answer = hub.get("/readyz")
    monkeypatch.undo()

    checks = {check["name"]: check for check in answer.json()["checks"]}
    assert checks["data"]["ok"] is is_ready
    assert (os.strerror(number) in checks["data"]["detail"]) is not is_ready
    assert list(hub.settings.data.glob("**/tmp*")) == []
