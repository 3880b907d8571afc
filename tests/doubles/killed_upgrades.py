"""`python -m tests.doubles.killed_upgrades URL STRIDE`: upgrade a database, killed so many steps later each time.

Prints how many were killed. A process of its own, because it forks: what it imports is imported once.
"""

from __future__ import annotations

import os
import signal
import sys

import alembic.command
import alembic.config  # noqa: F401
import sqlalchemy.dialects.sqlite  # noqa: F401

from creamery import faults
from creamery.clock import SystemClock
from creamery.database import Database
from creamery.database.schema import upgrade
from creamery.limits import Limits


def ends_by(url: str, step: int) -> int:
    """Upgrade in a child that is killed at this step; returns its wait status."""
    child = os.fork()
    if child == 0:
        faults.arm(f"database.migration_step@{step}=kill")
        upgrade(Database(url, Limits()), Limits(), SystemClock())
        os._exit(0)
    return os.waitpid(child, 0)[1]


def main() -> None:
    """Go on until a step is not reached any more."""
    url, stride = sys.argv[1], int(sys.argv[2])
    kills = 0
    while (status := ends_by(url, 1 + kills * stride)) == signal.SIGKILL:
        kills += 1
    print(kills)
    sys.exit(os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    main()
