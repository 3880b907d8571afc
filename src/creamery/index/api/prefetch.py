"""The endpoints of prefetches and pins, and what goes over the wire for them."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal, Self, TypeVar

from fastapi import APIRouter, Path, Query, Request
from pydantic import BaseModel, Field
from sqlalchemy import Connection

from creamery.accounts import By
from creamery.clock import Micros
from creamery.contract import Digest
from creamery.door import Hub
from creamery.index.pins import Pin, pins, unpin
from creamery.index.prefetch import NoSuchPrefetch, NotWanted, ask, wanted_file
from creamery.index.wanted import EVERY_FILE, Prefetch, Reason, find_prefetch
from creamery.operations import Desk, Sent

T = TypeVar("T")

LARGEST = 2**63 - 1
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

ProjectText = Annotated[str, Field(description="A project's name, in any spelling.")]
Project = Annotated[str, Path(json_schema_extra={"pattern": "^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$"})]
What = Annotated[
    str,
    Path(
        description="A version or a file's name.", json_schema_extra={"pattern": "^[A-Za-z0-9_][A-Za-z0-9._+!~@=-]*$"}
    ),
]
"""What the document says of names; the hub says what is wrong with one."""


class WantedFile(Sent):
    """A file of a project's page."""

    project: ProjectText
    filename: str = Field(min_length=1)
    sha256: str | None = Field(None, pattern="^[0-9a-f]{64}$", description="Any other file of this name is refused.")

    @property
    def digest(self) -> Digest | None:
        """What it must hash to."""
        return None if self.sha256 is None else Digest(self.sha256)


class WantedFiles(Sent):
    """What is to be here."""

    files: list[WantedFile] = Field(default=[], description="These.")
    projects: list[ProjectText] = Field(default=[], description="And all files of these.")


class ShownReason(BaseModel):
    """Why a file is not here."""

    project: str
    filename: str = Field(description="Empty: the whole project.")
    reason: str

    @classmethod
    def of(cls, reason: Reason) -> Self:
        """As a row has it."""
        return cls(project=reason.project, filename=reason.filename, reason=reason.text)


class ShownPrefetch(BaseModel):
    """A prefetch, and what became of it so far."""

    id: int
    state: Literal["running", "done", "canceled"] = Field(
        description="`done`: nothing is left, though some may have failed; `canceled`: its job was, or has failed."
    )
    job: int | None = Field(description="The number of its job.")
    pins: bool = Field(description="Its files stay here.")
    asked_by: str
    created: datetime
    finished: datetime | None
    files: int = Field(description="How many there are; whole projects count as one until they are looked at.")
    left: int
    here: int = Field(description="They were here already.")
    fetched: int
    failed: int
    fetched_bytes: int
    failures: list[ShownReason] = Field(description="Why files failed: the first hundred.")
    waits: list[ShownReason] = Field(description="What is tried again later: the first hundred.")

    @classmethod
    def of(cls, found: Prefetch) -> Self:
        """As its rows have it."""
        is_away = found.job is None or found.job in {"canceled", "failed"}
        return cls(
            id=found.id,
            state="done" if found.finished is not None else "canceled" if is_away else "running",
            job=found.job_id,
            pins=found.pins,
            asked_by=found.asked_by,
            created=_moment(found.created),
            finished=None if found.finished is None else _moment(found.finished),
            files=sum(found.files.values()),
            left=found.files.get("left", 0),
            here=found.files.get("here", 0),
            fetched=found.files.get("fetched", 0),
            failed=found.files.get("failed", 0),
            fetched_bytes=found.fetched_bytes,
            failures=[ShownReason.of(reason) for reason in found.failures],
            waits=[ShownReason.of(reason) for reason in found.waits],
        )


class ShownPin(BaseModel):
    """A file that stays here."""

    project: str
    filename: str
    size: int | None = Field(description="Bytes; null: nobody has said.")
    is_here: bool = Field(description="False: it is on its way, or was lost; pin it again.")
    pinned_by: str
    created: datetime

    @classmethod
    def of(cls, pin: Pin) -> Self:
        """As a row has it."""
        return cls(
            project=pin.project,
            filename=pin.filename,
            size=pin.size,
            is_here=pin.is_here,
            pinned_by=pin.pinned_by,
            created=_moment(pin.created),
        )


class ShownPins(BaseModel):
    """A piece of the list of pins."""

    items: list[ShownPin]
    next: str | None = Field(description="What to send as `after` for the next piece; null: there is none.")


class Unpinned(BaseModel):
    """What was let go of."""

    unpinned: list[str] = Field(description="Names of files.")


def router(hub: Hub) -> APIRouter:
    """`/index/prefetch` and `/index/pins`."""
    found = APIRouter()
    _prefetch(found, hub)
    _pin(found, hub)
    return found


def _prefetch(found: APIRouter, hub: Hub) -> None:
    @found.post("/prefetch", status_code=202, summary="Fetch files before anybody asks")
    async def prefetch(wanted: WantedFiles, request: Request) -> ShownPrefetch:
        return await _asked(hub, request, wanted, pins=False)

    @found.get("/prefetch/{number}", summary="What became of a prefetch so far")
    async def show(number: Annotated[int, Path(ge=1, le=LARGEST)]) -> ShownPrefetch:
        return ShownPrefetch.of(await Desk(hub).read(lambda connection: _prefetch_or_not(connection, number)))


def _pin(found: APIRouter, hub: Hub) -> None:
    most = hub.settings.limits.results

    @found.post("/pins", status_code=202, summary="Fetch files, and keep them")
    async def pin(wanted: WantedFiles, request: Request) -> ShownPrefetch:
        return await _asked(hub, request, wanted, pins=True)

    @found.get("/pins", summary="List the files that stay here")
    async def list_pins(
        after: Annotated[int, Query(ge=0, le=LARGEST)] = 0, limit: Annotated[int, Query(ge=1, le=most)] = most
    ) -> ShownPins:
        rows = await Desk(hub).read(lambda connection: pins(connection, after=after, limit=limit + 1))
        shown = rows[:limit]
        more = str(shown[-1].file_id) if len(rows) > limit else None
        return ShownPins(items=[ShownPin.of(row) for row in shown], next=more)

    @found.delete("/pins/{project}", summary="Let go of a project's files")
    async def unpin_project(project: Project, request: Request) -> Unpinned:
        return await _unpinned(hub, request, project, None)

    @found.delete("/pins/{project}/{what}", summary="Let go of a version's files, or of one file")
    async def unpin_some(project: Project, what: What, request: Request) -> Unpinned:
        return await _unpinned(hub, request, project, what)


async def _asked(hub: Hub, request: Request, wanted: WantedFiles, *, pins: bool) -> ShownPrefetch:
    files = [
        *(
            wanted_file(one.project, one.filename, None if one.sha256 is None else Digest(one.sha256))
            for one in wanted.files
        ),
        *(wanted_file(project, EVERY_FILE) for project in wanted.projects),
    ]
    if not files:
        raise NotWanted("neither a file nor a project was named")

    def write(connection: Connection, by: By) -> Prefetch:
        return _prefetch_or_not(connection, ask(connection, files, by, pins=pins))

    return ShownPrefetch.of(await Desk(hub).write(request, write))


async def _unpinned(hub: Hub, request: Request, project: str, what: str | None) -> Unpinned:
    name = wanted_file(project, what or EVERY_FILE).project
    return Unpinned(unpinned=await Desk(hub).write(request, lambda connection, by: unpin(connection, name, what, by)))


def _prefetch_or_not(connection: Connection, number: int) -> Prefetch:
    found = find_prefetch(connection, number)
    if found is None:
        raise NoSuchPrefetch(number)
    return found


def _moment(micros: Micros) -> datetime:
    """A time, for the wire (RFC 3339, UTC)."""
    return _EPOCH + timedelta(microseconds=micros)
