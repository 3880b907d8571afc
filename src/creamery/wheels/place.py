"""The promise of a place where built wheels are kept: this hub's blobs, or a folder that others write into too."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Literal, NewType, Protocol

from creamery.accounts import By, Principal
from creamery.blobs import Extent, Part
from creamery.contract import Build, Digest, ProjectName
from creamery.index import Artefact

Outcome = Literal["new", "same"]

Ring = NewType("Ring", str)
"""A set of wheels that some trust."""
Sight = tuple[Ring, ...]
"""The rings that somebody sees, their own first; what is in an earlier one goes before what is in a later."""

STRANGERS = Ring("strangers")
"""Where those push who are not signed in; nobody else sees it, unless the hub trusts it."""

UPSTREAM = Ring("upstream")
"""What was brought from upstreams; it is trusted after all others, where there are any."""

_RING = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}", re.ASCII)


def check_ring(written: str) -> Ring:
    """A ring's name, as rings are compared.

    Raises:
        ValueError: it is none.
    """
    name = written.lower()
    if not _RING.fullmatch(name):
        raise ValueError(
            f"{written[:80]!r} is no ring: it is at most 64 letters, digits, `.`, `-` and `_`, and no pattern"
        )
    return Ring(name)


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


class KeyTaken(PushRefused):
    """Other bytes are here under that key. Nothing is replaced; that they came is remembered."""

    def __init__(self, filename: str, key: Digest, here: Digest, came: Digest) -> None:
        super().__init__(
            f"{filename} came with SHA-256 {came}, and another machine's build of the key {key} is here already, with"
            f" {here}. The first build of a key stays; both are remembered as a conflict (creamery wheels why)"
        )
        self.filename, self.key, self.here, self.came = filename, key, here, came


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
        id: of its row; 0: it has none.
        millis: how long its build took, in milliseconds; 0: nobody has said.
    """

    filename: str
    project: ProjectName
    version: str
    size: int
    digest: Digest | None
    id: int = 0
    millis: int = 0

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
class Told:
    """What somebody says of a build.

    Attributes:
        build: what decides about its bytes.
        sdist: SHA-256 of the sdist that it was built from, where one is known.
        millis: how long it took, in milliseconds.
        record: all of it, as it is kept.
        log: what the build said, compressed; None: nothing.
        log_size: in bytes, before that.
    """

    build: Build
    sdist: Digest | None
    millis: int
    record: bytes
    log: bytes | None = None
    log_size: int = 0


@dataclass(frozen=True, slots=True)
class Found:
    """What a look at a pushed archive has found.

    Attributes:
        artefact: what it is.
        has_elf: there is compiled code for Linux in it, of which its tags are still to be held against.
    """

    artefact: Artefact
    has_elf: bool


@dataclass(frozen=True, slots=True)
class Pushed:
    """What somebody has sent.

    Attributes:
        filename: a wheel's.
        part: its bytes, finished.
        principal: who sent it.
        by: the same, for the journal.
        ring: where it goes.
        told: what was said of its build; None: it was pushed by its name alone.
    """

    filename: str
    part: Part
    principal: Principal
    by: By
    ring: Ring
    told: Told | None = None


class Place(Protocol):
    """Where built wheels are. Coroutines belong to the event loop. A folder has one ring, which everybody sees."""

    async def projects(self, sight: Sight) -> Sequence[ProjectName]:
        """The names of all projects of which something is here, in order."""
        ...

    async def files_of(self, project: ProjectName, sight: Sight, *, hashed: bool) -> Sequence[BuiltFile]:
        """All that is here of a project; `hashed`: with its digests, whatever it takes to know them."""
        ...

    async def find(self, filename: str, sight: Sight) -> BuiltFile | None:
        """The file of that name; None: it is not here."""
        ...

    async def open(self, file: BuiltFile) -> Opened:
        """Its bytes.

        Raises:
            FileGone, BlobMissing, BlobCorrupt: they are not here any more, or wrong.
        """
        ...

    async def keep(self, pushed: Pushed, found: Found) -> Outcome:
        """Take a wheel that was found sound; on return it is durable and others find it.

        Raises:
            NameTaken, KeyTaken: other bytes have its name, or its key.
            RightEnded: whoever sent it may no longer.
        """
        ...
