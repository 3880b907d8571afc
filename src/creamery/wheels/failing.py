"""What a builder says of a build that failed.

A backend's failure comes again; a network's, a disk's or a memory's does not, and is nobody else's: it is not taken.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal

import orjson
from packaging.version import InvalidVersion, Version
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from creamery.clock import Micros
from creamery.contract import Digest, InvalidName, ProjectName, digest_of, normalize
from creamery.wheels.leases import Failure
from creamery.wheels.place import PushRefused, Ring
from creamery.wheels.records import pack_log, said_of

TAIL = 20_000
_PASSING = re.compile(
    r"No space left on device|Disk quota exceeded|Cannot allocate memory|\bMemoryError\b|std::bad_alloc"
    r"|out of memory|Killed signal terminated|(?m:^Killed$)"
    r"|Temporary failure in name resolution|Name or service not known|Connection (?:refused|reset|timed out)"
    r"|Network is unreachable|Read timed out|Could not resolve host",
    re.IGNORECASE,
)


class NotOfTheBackend(PushRefused):
    """It may be built the next time, or elsewhere."""


class _Said(BaseModel):
    model_config = ConfigDict(extra="forbid")

    project: Annotated[str, AfterValidator(normalize)]
    version: Annotated[str, StringConstraints(max_length=200)]
    kind: Literal["backend", "network", "disk", "memory", "killed"]
    reason: Annotated[str, StringConstraints(min_length=1, max_length=4_000)]
    exit_code: int | None = Field(None, ge=-1_000, le=1_000)


def read_failure(record: str, log: str | None, key: Digest, ring: Ring) -> tuple[Failure, bytes | None]:
    """A failure, and its log, compressed.

    Raises:
        PushRefused: what is said cannot be read.
        NotOfTheBackend: it is none of a build backend's.
    """
    try:
        said = _Said.model_validate(orjson.loads(record))
        version = str(Version(said.version))
    except orjson.JSONDecodeError as error:
        raise PushRefused(f"the field record is no JSON: {error}") from error
    except InvalidVersion as error:
        raise PushRefused(f"the record: version: {error}") from error
    except (ValidationError, InvalidName) as error:
        raise PushRefused(f"the record: {said_of(error)}") from error
    if said.kind != "backend":
        raise NotOfTheBackend(f"only failures of a build backend are remembered, and this is one of the {said.kind}")
    passing = _PASSING.search((log or "")[-TAIL:]) or _PASSING.search(said.reason)
    if passing is not None:
        raise NotOfTheBackend(
            f"only failures of a build backend are remembered, and the log says {passing[0]!r}: that passes"
        )
    packed = None if not log else pack_log(log)
    failure = Failure(
        ring=ring,
        key=key,
        project=ProjectName(said.project),
        version=version,
        reason=said.reason,
        log_digest=None if packed is None else digest_of(packed),
        log_size=len((log or "").encode()),
        times=0,
        last=Micros(0),
        until=Micros(0),
        holder="",
    )
    return failure, packed
