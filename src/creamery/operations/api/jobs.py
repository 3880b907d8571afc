"""What is to be done, and what became of it, for administrators."""

from collections.abc import Mapping
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Query, Request

from creamery.accounts import ScopeWord
from creamery.door import Hub
from creamery.jobs import (
    AT_ONCE,
    Endings,
    JobRow,
    NoSuchJob,
    State,
    cancel,
    cancel_all,
    find_job,
    jobs,
    retry,
    retry_all,
)
from creamery.operations.api.asking import LARGEST, Desk, Listed, RowNumber, listed
from creamery.operations.api.shapes import ChangedJobs, ShownJob

Kind = Annotated[str | None, Query(pattern="^[ -~]+$", max_length=64, description="Only these.")]
AtMost = Annotated[int, Query(ge=1, le=AT_ONCE, description="So many at once.")]


def router(hub: Hub, _: Mapping[str, ScopeWord]) -> APIRouter:
    """`/jobs`."""
    found = APIRouter(prefix="/jobs", tags=["jobs"])
    _look(found, hub)
    _change(found, Desk(hub))
    return found


def _look(found: APIRouter, hub: Hub) -> None:
    desk, most = Desk(hub), hub.settings.limits.results

    @found.get("", summary="List jobs, the newest first")
    async def list_jobs(
        state: Annotated[State | None, Query(description="Only these.")] = None,
        kind: Kind = None,
        after: Annotated[int, Query(ge=1, le=LARGEST, description="A number: only older ones.")] = LARGEST,
        limit: Annotated[int, Query(ge=1, le=most)] = min(100, most),
    ) -> Listed[ShownJob]:
        rows = await desk.read(partial(jobs, state=state, kind=kind, before=after, limit=limit + 1))
        return listed([ShownJob.of(row) for row in rows], limit, lambda job: str(job.id))

    @found.get("/{job_id}", summary="Show a job")
    async def show(job_id: RowNumber) -> ShownJob:
        row: JobRow | None = await desk.read(partial(find_job, number=job_id))
        if row is None:
            raise NoSuchJob(job_id)
        return ShownJob.of(row)


def _change(found: APIRouter, desk: Desk) -> None:
    @found.post("/retry", summary="Let jobs wait again that have failed or were cancelled, one of each key")
    async def retry_many(
        request: Request, state: Endings = "failed", kind: Kind = None, limit: AtMost = AT_ONCE
    ) -> ChangedJobs:
        return ChangedJobs.of(
            await desk.write(request, lambda c, by: retry_all(c, by, state=state, kind=kind, at_most=limit))
        )

    @found.post("/cancel", summary="Take waiting jobs back")
    async def cancel_many(request: Request, kind: Kind = None, limit: AtMost = AT_ONCE) -> ChangedJobs:
        return ChangedJobs.of(await desk.write(request, lambda c, by: cancel_all(c, by, kind=kind, at_most=limit)))

    @found.post("/{job_id}/retry", summary="Let a job wait again that has failed or was cancelled")
    async def retry_one(job_id: RowNumber, request: Request) -> ShownJob:
        return ShownJob.of(await desk.write(request, lambda c, by: retry(c, job_id, by)))

    @found.post("/{job_id}/cancel", summary="Take a waiting job back; one that runs ends by itself")
    async def cancel_one(job_id: RowNumber, request: Request) -> ShownJob:
        return ShownJob.of(await desk.write(request, lambda c, by: cancel(c, job_id, by)))
