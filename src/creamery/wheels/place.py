"""The promise of a place where built wheels are kept: this hub's blobs, or a folder that others write into too."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Literal, Protocol

from creamery.accounts import By, Principal
from creamery.blobs import Extent, Part
from creamery.contract import Digest, ProjectName
from creamery.index import Artefact

Outcome = Literal["new", "same"]


class PushRefused(Exception):
    """The file cannot be taken; the text says why, and what to do."""


class NameTaken(PushRefused):
    """Other bytes are here under that name."""

    def __init__(self, filename: str, here: Digest | None, came: Digest) -> None:
        """`here`: of what has the name; None: somebody is just writing it."""
        what = "is being written by somebody else" if here is None else f"is here already, with SHA-256 {here}"
        super().__init__(
            f"{filename} {what}, and what came has {came}. The first build of a name stays: give another one a build"
            " number, or another version"
        )


class FileGone(Exception):
    """It was here a moment ago."""


@dataclass(frozen=True, slots=True)
class BuiltFile:
    """A wheel that is here; in a folder it may be an sdist too.

    Attributes:
        filename: as it was pushed, or found.
        project: whose it is, by its name.
        version: as PEP 440 writes what its name says.
        size: in bytes.
        digest: SHA-256; None where nobody has asked for it yet.
    """

    filename: str
    project: ProjectName
    version: str
    size: int
    digest: Digest | None

    @property
    def is_wheel(self) -> bool:
        """By its name."""
        return self.filename.endswith(".whl")


@dataclass(frozen=True, slots=True)
class Opened:
    """A file's bytes, ready to be sent.

    Attributes:
        extent: where they lie.
        etag: the same for the same bytes; not quoted.
        verified, lease: as `BlobResponse` has them.
    """

    extent: Extent
    etag: str
    verified: asyncio.Task[None] | None = None
    lease: Callable[[], AbstractContextManager[None]] = nullcontext


@dataclass(frozen=True, slots=True)
class Pushed:
    """What somebody has sent.

    Attributes:
        filename: a wheel's.
        part: its bytes, finished.
        principal: who sent it.
        by: the same, for the journal.
    """

    filename: str
    part: Part
    principal: Principal
    by: By


class Place(Protocol):
    """Where built wheels are. Coroutines belong to the event loop."""

    async def projects(self) -> Sequence[ProjectName]:
        """The names of all projects of which something is here, in order."""
        ...

    async def files_of(self, project: ProjectName, *, hashed: bool) -> Sequence[BuiltFile]:
        """All that is here of a project; `hashed`: with its digests, whatever it takes to know them."""
        ...

    async def find(self, filename: str) -> BuiltFile | None:
        """The file of that name; None: it is not here."""
        ...

    async def open(self, file: BuiltFile) -> Opened:
        """Its bytes.

        Raises:
            FileGone, BlobMissing, BlobCorrupt: they are not here any more, or wrong.
        """
        ...

    async def keep(self, pushed: Pushed, artefact: Artefact) -> Outcome:
        """Take a wheel that was found sound; on return it is durable and others find it.

        Raises:
            NameTaken: other bytes have its name.
            RightEnded: whoever sent it may no longer.
        """
        ...
