"""What a builder says of a wheel, read strictly: a field that nobody knows is refused by its name.

`build` decides about the bytes and makes the key (`contract/build_key.py`). `provenance` is for people, and for nothing
that the hub decides: who builds can say what they like, and clocks differ.
"""

from __future__ import annotations

from typing import Annotated, Any

import orjson
import zstandard
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from creamery.contract import BadBuild, Digest, parse_digest, read_build, why_foreign
from creamery.limits import MIB
from creamery.wheels.place import PushRefused, Told

RECORD_BYTES = MIB
LOG_LEVEL = 3
SCHEMA = 1

Text = Annotated[str, StringConstraints(max_length=2_000)]


class Provenance(BaseModel):
    """What else there is to know of a build."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    seconds: float = Field(0, ge=0, le=31_536_000, description="How long it took.")
    built: float | None = Field(None, ge=0, description="When, in seconds since 1970 by the builder's clock.")
    sdist: Annotated[Digest, AfterValidator(parse_digest)] | None = Field(
        None, description="SHA-256 of the sdist, where the key's source is its unpacked tree."
    )
    url: Text | None = Field(None, description="Where the source came from; without credentials.")
    backend: Text | None = Field(None, description="The build backend.")
    compiler: Text | None = Field(None, description="What the compiler says of itself.")
    machine: Text | None = Field(None, description="The builder's name.")
    isa: Text | None = Field(None, description="The processor's level, such as `x86-64-v3`.")
    client: Text | None = Field(None, description="The program that built it, with its version.")
    requirements: dict[Text, Text] = Field(
        default_factory=dict, max_length=2_000, description="Every distribution of the build environment."
    )


class Record(BaseModel):
    """The whole of it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_: int = Field(alias="schema", ge=SCHEMA, le=SCHEMA)
    build: dict[str, Any]
    provenance: Provenance = Provenance()


class BadRecord(PushRefused):
    """What is said of a build cannot be read, or does not fit what came with it."""


def read_record(text: str | None, key: Digest, filename: str, log: str | None) -> Told:
    """What is said of a wheel of that key and name, and its build's log.

    Raises:
        BadRecord: a field is missing, unknown or wrong; it is another key's; or the wheel is not for what it was built
            for.
    """
    if text is None or len(text) > RECORD_BYTES:
        raise BadRecord(f"the form has no field record, of at most {RECORD_BYTES} bytes")
    try:
        record = Record.model_validate(orjson.loads(text))
        build = read_build(record.build)
    except orjson.JSONDecodeError as error:
        raise BadRecord(f"the record is no JSON: {error}") from error
    except ValidationError as error:
        raise BadRecord(f"the record: {said_of(error)}") from error
    except BadBuild as error:
        raise BadRecord(f"the record: {error}") from error
    if build.key() != key:
        raise BadRecord(f"the record's build has the key {build.key()}, and the address says {key}")
    if foreign := why_foreign(build, filename):
        raise BadRecord(foreign)
    provenance = record.provenance
    kept = {
        "schema": SCHEMA,
        "build": build.to_json(),
        "provenance": provenance.model_dump(mode="json", exclude_none=True),
    }
    return Told(
        build=build,
        sdist=build.source if build.source_kind == "sdist" else provenance.sdist,
        millis=round(provenance.seconds * 1_000),
        record=orjson.dumps(kept),
        log=None if log is None else pack_log(log),
        log_size=len((log or "").encode()),
    )


def pack_log(log: str) -> bytes:
    """As it is kept."""
    return zstandard.ZstdCompressor(level=LOG_LEVEL).compress(log.encode())


def unpack_log(body: bytes, most: int) -> bytes:
    """A kept log as it was sent; `most` bytes of it."""
    with zstandard.ZstdDecompressor().stream_reader(body) as reader:
        return bytes(reader.read(most))


def said_of(error: ValueError) -> str:
    """What is wrong, in a sentence that names the field."""
    if not isinstance(error, ValidationError):
        return str(error)
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(map(str, first["loc"])) or "it"
    if first["type"] == "extra_forbidden":
        return f"the field {where[:200]} is unknown"
    return f"{where[:200]}: {first['msg']}"
