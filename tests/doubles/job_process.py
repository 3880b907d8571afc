"""`python -m tests.doubles.job_process URL FAULTS...`: processes that do every waiting job and end, or are killed.

One after the other, a process for each argument, with those faults armed; how each ended is printed to standard error.
They are forks of one process, because imports take longer than jobs. Each job adds its payload's name to the table
`effect`, as handlers must: doing it twice is doing it once. Every run is one line on standard output.
"""

from __future__ import annotations

import os
import sys
import time

from sqlalchemy import Column, Connection, MetaData, String, Table, insert, select

from creamery import faults
from creamery.clock import SystemClock
from creamery.database import Committer, Database, Generations
from creamery.jobs import EmbeddedEngine, Job, counts
from creamery.limits import Limits
from creamery.telemetry import Telemetry, configure_logging

effect = Table("effect", MetaData(), Column("name", String(40), primary_key=True), mysql_engine="InnoDB")


def main() -> None:
    """One process after the other."""
    url, *faults_of_each = sys.argv[1:]
    for armed in faults_of_each:
        child = os.fork()
        if child == 0:
            do_all(url, armed)
            os._exit(0)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), file=sys.stderr)


def do_all(url: str, armed: str) -> None:
    """Run until no job waits or runs."""
    configure_logging(as_json=True, level="error")
    faults.arm(armed)
    limits, clock, telemetry = (
        Limits(job_lease_seconds=0.5, job_poll_seconds=0.02, job_retry_seconds=0),
        SystemClock(),
        Telemetry(),
    )
    database = Database(url, limits)
    committer = Committer(database, Generations(database), limits, clock, telemetry)

    def handle(mine: Job) -> None:
        os.write(sys.stdout.fileno(), f"{mine.payload['name']}\n".encode())  # whole lines, from several threads
        committer.write(lambda connection: _have_effect(connection, mine.payload["name"]))

    engine = EmbeddedEngine(database, committer, {"effect": handle}, [], limits, clock, telemetry)
    committer.start()
    engine.start()
    while (states := database.read(counts))["new"] + states["running"]:
        time.sleep(0.01)
    engine.close(5)
    committer.close()
    database.close()


def _have_effect(connection: Connection, name: str) -> None:
    there = connection.execute(select(effect).where(effect.c.name == name).with_for_update()).first()
    if there is None:
        connection.execute(insert(effect).values(name=name))


if __name__ == "__main__":
    main()
