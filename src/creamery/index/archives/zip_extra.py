"""Extra fields of a zip's headers (APPNOTE 4.5): times and owners pass, what changes a member's meaning does not."""

from __future__ import annotations

import struct

from creamery.index.archives.refusal import BadArchive, shown

FULL = 0xFFFFFFFF
"""What a 32-bit field holds when its value stands in the zip64 field instead."""

_ZIP64 = 0x0001
_TWO_SIZES = 16
_HARMLESS = frozenset(
    {
        _ZIP64,
        0x000A,  # NTFS: times
        0x5455,  # Unix: times
        0x5855,  # Info-ZIP: times and owners, old
        0x7855,  # Info-ZIP: owners
        0x7875,  # Info-ZIP: owners, large
        0xA220,  # room to grow
        0xCAFE,  # Java: "this is a jar"
        0xD935,  # Android: padding
    }
)
"""Others name the file anew (0x7075), make it a link or a device (0x000d, 0x756e), encrypt it (0x9901)."""


def zip64_field(extra: bytes, name: bytes) -> bytes | None:
    """The zip64 field among a member's extra fields, or None.

    Raises:
        BadArchive: the fields cannot be told apart, one is there twice, or one is not known to be harmless.
    """
    found: dict[int, bytes] = {}
    at = 0
    while at < len(extra):
        if len(extra) - at < 4:  # noqa: PLR2004 - two numbers of two bytes
            raise BadArchive(f"The extra fields of {shown(name)} are cut off; build the archive anew.")
        kind, length = struct.unpack_from("<HH", extra, at)
        field = extra[at + 4 : at + 4 + length]
        if len(field) != length:
            raise BadArchive(f"The extra fields of {shown(name)} are cut off; build the archive anew.")
        if kind not in _HARMLESS or kind in found:
            raise BadArchive(
                f"{shown(name)} has an extra field {kind:#06x} that is there twice, or that not every reader knows, so"
                " that they would unpack different things; build the archive with a build tool, `python -m build`."
            )
        found[kind] = field
        at += 4 + length
    return found.get(_ZIP64)


def resolve_central(name: bytes, field: bytes | None, values: tuple[int, ...]) -> tuple[int, ...]:
    """The values of a central header, those that are 0xffffffff taken from its zip64 field, which has no others.

    Raises:
        BadArchive: the field has more or fewer.
    """
    absent = [at for at, value in enumerate(values) if value == FULL]
    if len(field or b"") != 8 * len(absent):
        raise BadArchive(
            f"The zip64 field of {shown(name)} does not have just the numbers that stand in it; build the archive anew."
        )
    resolved = list(values)
    for at, value in zip(absent, struct.unpack(f"<{len(absent)}Q", field or b""), strict=True):
        resolved[at] = value
    return tuple(resolved)


def resolve_local(name: bytes, field: bytes | None, values: tuple[int, int]) -> tuple[int, int]:
    """The two sizes of a local header. Its zip64 field always has both; Bazel writes one beside sizes that are there.

    Raises:
        BadArchive: the header and its field contradict each other.
    """
    if field is None:
        return values
    full = struct.unpack("<QQ", field) if len(field) == _TWO_SIZES else (FULL, FULL)
    if any(value not in {FULL, said} for value, said in zip(values, full, strict=True)) or len(field) != _TWO_SIZES:
        raise BadArchive(f"{shown(name)} has other sizes in its zip64 field than beside it; build the archive anew.")
    return full[0], full[1]
