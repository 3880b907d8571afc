"""Kill -9 in the middle of jobs: afterwards each job has one effect (reliability: crash points, invariant I9)."""

from __future__ import annotations

import signal
import subprocess
import sys
from functools import partial

import pytest
from sqlalchemy import Connection, select

from creamery.clock import SystemClock
from creamery.database import Committer, Database
from creamery.jobs import counts, enqueue
from tests.doubles.job_process import effect

JOBS = [f"job {number}" for number in range(8)]
THREADS = 2


def enqueue_named(connection: Connection, name: str) -> int | None:
    return enqueue(connection, "effect", {"name": name}, now=SystemClock().now())


POINTS = [
    "jobs.claimed",  # the lease is written, nothing is done
    "jobs.done_not_recorded",  # the effect is there, and nobody has written it down
    "database.before_commit@3",
    "database.after_commit@3",  # committed, and nobody was told
]


def test_killed_at_every_point_in_turn_each_job_has_one_effect(
    database: Database, database_url: str, committer: Committer
) -> None:
    effect.create(database.write)
    try:
        for name in JOBS:
            committer.write(partial(enqueue_named, name=name))

        processes = subprocess.run(
            [
                sys.executable,
                "-m",
                "tests.doubles.job_process",
                database_url,
                *(f"{point}=kill" for point in POINTS),
                "",
            ],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        effects = database.read(lambda connection: list(connection.execute(select(effect.c.name)).scalars()))
        states = database.read(counts)
    finally:
        effect.drop(database.write)

    assert processes.stderr.split() == [str(-signal.SIGKILL)] * len(POINTS) + ["0"]
    assert sorted(effects) == JOBS
    assert states == {"new": 0, "running": 0, "done": len(JOBS), "failed": 0, "canceled": 0}
    assert (
        len(processes.stdout.splitlines()) <= len(JOBS) + len(POINTS) * THREADS
    )  # only what a kill interrupted ran again


@pytest.mark.parametrize(("point", "kept"), [("database.before_commit", False), ("database.after_commit", True)])
def test_a_job_is_there_exactly_when_its_transaction_was_committed(
    point: str, kept: bool, database: Database, database_url: str
) -> None:
    program = (
        "from tests.doubles.job_process import *\n"
        "from creamery.jobs import enqueue\n"
        "database = Database(sys.argv[1], Limits())\n"
        "committer = Committer(database, Generations(database), Limits(), SystemClock(), Telemetry())\n"
        f"faults.arm('{point}=kill')\n"
        "committer.start()\n"
        "committer.write(lambda c: enqueue(c, 'effect', {'name': 'one'}, now=SystemClock().now()))\n"
    )

    done = subprocess.run([sys.executable, "-c", program, database_url], timeout=60, check=False)

    assert done.returncode == -signal.SIGKILL
    assert database.read(counts)["new"] == int(kept)
