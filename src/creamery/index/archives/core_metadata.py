"""METADATA and PKG-INFO: what a distribution says about itself (core metadata 1.0 to 2.6), checked.

`packaging` knows the fields; this bounds what it is given, and forgives what real tools have written: a field newer
than the version that is declared (setuptools' `License-File` for years), and version 2.0, which was withdrawn
(PEP 426) after wheel had written it into everything until 2018.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass
from typing import Literal

from packaging.metadata import Metadata, parse_email
from packaging.version import Version

from creamery.contract import InvalidName, ProjectName, normalize
from creamery.index.archives.fields import read_fields
from creamery.index.archives.refusal import BadArchive, shown, told
from creamery.limits import KIB, Limits

_VERSIONS = frozenset({"1.0", "1.1", "1.2", "2.0", "2.1", "2.2", "2.3", "2.4", "2.5", "2.6"})
_NEWEST = "2.6"
_STEP = 256 * KIB
_MOST_REASONS = 2
_MOST_NAMES = 64
_TEXTS = frozenset({"description", "keywords", "license"})
"""Fields that no grammar reads, and that hold whole licenses; for others packaging takes the square of their length."""

_SHOWN: tuple[Literal["version"], Literal["requires_python"]] = ("version", "requires_python")
_FOLD = re.compile(r"[ \t]*\r?\n[ \t]*")
"""Where a field goes on in the next line: that is no part of it (RFC 5322, 2.2.3), and would break lines of pages."""

_CORRECT = "Correct it in the project's configuration and build anew."


@dataclass(frozen=True, slots=True)
class CoreMetadata:
    """What the hub takes out of it."""

    project: ProjectName
    name: str
    version: Version
    version_text: str
    metadata_version: str
    requires_python: str | None


def read_core_metadata(body: bytes, of: str, limits: Limits) -> CoreMetadata:
    """What METADATA or PKG-INFO (`of`) says.

    Raises:
        BadArchive: a field is missing, there twice, unknown or wrong, or there is too much of it.
    """
    _check_utf8(body, of)
    raw, unparsed = parse_email(_head(body, of, limits).decode())
    if unparsed:
        fields = ", ".join(map(shown, sorted(unparsed)[:_MOST_REASONS]))
        raise BadArchive(f"{of} has fields that are unknown, broken, or there twice: {fields}. {_CORRECT}")
    declared = raw.get("metadata_version", "")
    if declared not in _VERSIONS:
        raise BadArchive(
            f"{of} has the Metadata-Version {shown(declared)}; 1.0 to {_NEWEST} are known here. Build it with a newer"
            " build tool, or update the hub."
        )
    version_text, requires_python = (_FOLD.sub(" ", raw.get(field, "")).strip() for field in _SHOWN)
    raw["metadata_version"] = _NEWEST
    try:
        metadata = Metadata.from_raw(raw)
        project = normalize(metadata.name)
    except ExceptionGroup as errors:
        reasons = "; ".join(told(error) for error in errors.exceptions[:_MOST_REASONS])
        raise BadArchive(f"{of} is wrong: {reasons}. {_CORRECT}") from errors
    except (InvalidName, ValueError, RecursionError) as error:  # numbers and parentheses beyond all measure
        raise BadArchive(f"{of} is wrong: {told(error)}. {_CORRECT}") from error
    return CoreMetadata(project, metadata.name, metadata.version, version_text, declared, requires_python or None)


def _check_utf8(body: bytes, of: str) -> None:
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        for at in range(0, len(body), _STEP):
            decoder.decode(body[at : at + _STEP])
        decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        raise BadArchive(f"{of} is no UTF-8. Save the project's configuration and README as UTF-8.") from error


def _head(body: bytes, of: str, limits: Limits) -> bytes:
    """Its fields without the description, which may be of any size and is only looked at here."""
    head, count, names = bytearray(), 0, set()
    for name, start, end in read_fields(body, of):
        if not name:
            if "description" in names and body[start:end].strip():
                raise BadArchive(f"{of} has a description as a field and another below the fields. Keep one of them.")
            break
        if name not in _TEXTS and end - start > limits.metadata_field_bytes:
            raise BadArchive(
                f"{of} has a field {shown(name)} of {end - start} bytes; limits.metadata_field_bytes are"
                f" {limits.metadata_field_bytes}. Shorten it."
            )
        if name != "description" or name in names:
            count += 1
            # In lowercase: `email` looks at every field once for each spelling of each name.
            head += name.encode() + body[start + len(name) : end]
        names.add(name)
        if count > limits.metadata_fields or len(head) > limits.metadata_fields_bytes or len(names) > _MOST_NAMES:
            raise BadArchive(
                f"{of} has more than {limits.metadata_fields} fields or {limits.metadata_fields_bytes} bytes of them"
                f" (limits.metadata_fields, limits.metadata_fields_bytes), or {_MOST_NAMES} kinds of fields where the"
                " standards know half as many. Shorten it."
            )
    return bytes(head)
