"""Work for later: a row in the caller's transaction, claimed under a lease, run by whoever has a handler for it."""

from creamery.jobs.embedded import EmbeddedEngine
from creamery.jobs.engine import JobEngine
from creamery.jobs.job import Handler, Job, Postpone, Schedule
from creamery.jobs.lease import restart
from creamery.jobs.tables import counts, enqueue

__all__ = ["EmbeddedEngine", "Handler", "Job", "JobEngine", "Postpone", "Schedule", "counts", "enqueue", "restart"]
