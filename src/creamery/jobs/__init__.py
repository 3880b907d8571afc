"""Work for later: a row in the caller's transaction, claimed under a lease, run by whoever has a handler for it."""

from creamery.jobs.by_hand import AT_ONCE, Changed, Endings, JobRefused, NoSuchJob, cancel, cancel_all, retry, retry_all
from creamery.jobs.child import ChildFailed, Children, Large, MoreWanted
from creamery.jobs.embedded import EmbeddedEngine
from creamery.jobs.engine import JobEngine
from creamery.jobs.job import Handler, Job, Postpone, Schedule
from creamery.jobs.lease import restart
from creamery.jobs.tables import JobRow, State, counts, enqueue, find_job, jobs

__all__ = [
    "AT_ONCE",
    "Changed",
    "ChildFailed",
    "Children",
    "EmbeddedEngine",
    "Endings",
    "Handler",
    "Job",
    "JobEngine",
    "JobRefused",
    "JobRow",
    "Large",
    "MoreWanted",
    "NoSuchJob",
    "Postpone",
    "Schedule",
    "State",
    "cancel",
    "cancel_all",
    "counts",
    "enqueue",
    "find_job",
    "jobs",
    "restart",
    "retry",
    "retry_all",
]
