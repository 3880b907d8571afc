"""The promise of whatever runs jobs: threads in this process today, workers on other machines one day."""

from __future__ import annotations

from typing import Protocol


class JobEngine(Protocol):
    """Runs the jobs whose rows `enqueue` has written.

    - A committed job runs, after any crash of any process, until its handler has returned once or its attempts are
      used up; a handler may therefore run more than once, and must be idempotent.
    - A job whose transaction was rolled back never runs.
    - A job runs only where its kind has a handler; others wait for a process that has one.
    - While a job runs, nobody else runs it, as long as its process keeps renewing its lease.
    - A handler's exception never ends the engine, and neither does a database that is away for a while.

    Both methods may be called from any thread.
    """

    def start(self) -> None:
        """Begin to run jobs. Called once."""
        ...

    def close(self, deadline_seconds: float) -> None:
        """Claim nothing more, wait for what runs, and leave what still runs at the deadline to others.

        May be called twice. Needs the committer; close that afterwards.
        """
        ...
