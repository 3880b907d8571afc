"""`/api/v1/jobs`: what is to be done, and what administrators do to it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx2
import pytest
from sqlalchemy import update

from creamery.clock import SECOND, Micros
from creamery.jobs import AT_ONCE, counts, enqueue
from creamery.jobs.tables import job
from creamery.operations.schedules import THIN
from tests.doubles.running import RunningHub

Ask = Callable[..., httpx2.Response]
Enqueue = Callable[..., int]


@pytest.fixture
def enqueued(hub: RunningHub) -> Enqueue:
    """A job for later, or one that ended in `state`."""

    def make(kind: str = "note", key: str | None = None, state: str = "new", after: float = 3_600) -> int:
        now = hub.built.hub.clock.now()
        run_at = Micros(now + int(after * SECOND))
        write = hub.built.hub.committer.write
        number = write(lambda c: enqueue(c, kind, {"name": "numpy"}, now=now, key=key, run_at=run_at))
        assert number is not None
        if state != "new":
            values = {"state": state, "waiting_key": None, "attempts": 5, "started": now, "finished": now}
            write(lambda c: c.execute(update(job).where(job.c.id == number).values(error="ValueError: no", **values)))
        return number

    return make


def test_jobs_are_listed_the_newest_first_in_pieces_and_by_state_and_kind(admin: Ask, enqueued: Enqueue) -> None:
    numbers = [enqueued() for _ in range(3)]
    failed, other = enqueued(state="failed"), enqueued(kind="other")

    # From ours on: the hub's own schedules may add some at any time.
    first = admin("GET", f"/jobs?limit=2&after={other + 1}").json()
    rest = admin("GET", f"/jobs?limit=3&after={first['next']}").json()

    assert [one["id"] for one in first["items"] + rest["items"]] == [other, failed, *reversed(numbers)]
    assert rest["next"] is None
    assert admin("GET", "/jobs").json()["items"][0]["id"] >= other
    assert [one["id"] for one in admin("GET", "/jobs?state=failed").json()["items"]] == [failed]
    assert [one["id"] for one in admin("GET", "/jobs?kind=other&state=new").json()["items"]] == [other]
    assert admin("GET", "/jobs?state=canceled").json() == {"items": [], "next": None}
    assert admin("GET", "/jobs?state=lost").status_code == 422


def test_a_job_shows_what_it_is_to_do_and_what_it_failed_of(admin: Ask, enqueued: Enqueue) -> None:
    number = enqueued(key="k", state="failed")

    shown = admin("GET", f"/jobs/{number}").json()

    assert shown | dict.fromkeys(("run_at", "created", "started", "finished"), "") == {
        "id": number,
        "kind": "note",
        "state": "failed",
        "key": "k",
        "payload": {"name": "numpy"},
        "attempts": 5,
        "run_at": "",
        "created": "",
        "started": "",
        "finished": "",
        "error": "ValueError: no",
    }
    assert admin("GET", "/jobs/999999").status_code == 404


def test_a_job_that_is_cancelled_and_retried_tells_the_journal_who_did_it(admin: Ask, enqueued: Enqueue) -> None:
    number = enqueued()

    assert admin("POST", f"/jobs/{number}/cancel").json()["state"] == "canceled"
    retried = admin("POST", f"/jobs/{number}/retry").json()

    assert (retried["state"], retried["attempts"]) == ("new", 0)
    entries = admin("GET", "/journal?limit=2").json()
    assert [(entry["door"], entry["action"], entry["subject"], entry["origin"]) for entry in entries] == [
        ("jobs", "job cancelled", str(number), "127.0.0.1"),
        ("jobs", "job retried", str(number), "127.0.0.1"),
    ]
    assert all(entry["actor"].startswith("root (token ") for entry in entries)


@pytest.mark.parametrize(
    ("state", "act", "says"),
    [
        ("running", "cancel", "it runs, and cannot be stopped: it ends by itself."),
        ("done", "cancel", "it is done."),
        ("done", "retry", "it is done, and has not failed."),
        ("new", "retry", "it waits already, and runs by itself."),
    ],
)
def test_what_cannot_be_done_is_a_conflict_that_says_why(
    admin: Ask, enqueued: Enqueue, state: str, act: str, says: str
) -> None:
    number = enqueued(state=state)

    answer = admin("POST", f"/jobs/{number}/{act}")

    assert answer.status_code == 409
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["detail"].endswith(says)


def test_a_retry_leaves_the_work_to_one_of_its_key_that_waits(admin: Ask, enqueued: Enqueue) -> None:
    failed, _ = enqueued(key="k", state="failed"), enqueued(key="k")

    answer = admin("POST", f"/jobs/{failed}/retry")

    assert answer.status_code == 409
    assert "another job with the key 'k' waits already" in answer.json()["detail"]


def test_all_of_a_kind_are_retried_and_cancelled_in_bounded_steps(admin: Ask, enqueued: Enqueue) -> None:
    for _ in range(3):
        enqueued(state="failed")
    enqueued(kind="other", state="failed")

    assert admin("POST", "/jobs/cancel?kind=note").json() == {"changed": 0, "more": False}
    assert admin("POST", "/jobs/retry?kind=note&limit=2").json() == {"changed": 2, "more": True}
    assert admin("POST", "/jobs/retry?limit=2").json() == {"changed": 2, "more": True}
    assert admin("POST", "/jobs/cancel").json()["changed"] >= 2
    assert admin("POST", "/jobs/retry?state=done").status_code == 422
    assert admin("POST", f"/jobs/retry?limit={AT_ONCE + 1}").status_code == 422
    assert admin("GET", "/jobs/retry").status_code == 405


def test_a_running_hub_runs_a_job_that_is_retried(hub: RunningHub, admin: Ask, enqueued: Enqueue) -> None:
    number = enqueued(kind=THIN, state="failed")

    admin("POST", f"/jobs/{number}/retry")

    hub.wait_until(lambda: admin("GET", f"/jobs/{number}").json()["state"] == "done")
    assert admin("GET", f"/jobs/{number}").json()["attempts"] == 1


def test_metrics_count_cancelled_jobs(hub: RunningHub, admin: Ask, enqueued: Enqueue) -> None:
    admin("POST", f"/jobs/{enqueued()}/cancel")

    assert hub.ask(counts)["canceled"] == 1
    lines: list[Any] = hub.get("/metrics").text.splitlines()
    assert any(line.startswith("creamery_job_rows{") and 'state="canceled"' in line for line in lines)
