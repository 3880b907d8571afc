"""How much an upload may be: at each limit it is taken, one beyond it is refused; and bombs cost next to nothing."""

from __future__ import annotations

import pytest

from creamery.index.archives import BadArchive
from creamery.limits import MIB
from tests.index.archives.conftest import checked
from tests.index.archives.forging import (
    METADATA,
    ROOT,
    SDIST,
    WHEEL,
    WHEEL_FILE,
    block,
    deflated,
    entries,
    pax,
    sdist_blocks,
    tarred,
    wheel_files,
    zipped,
)

FILES = wheel_files()
SIZES = sum(map(len, FILES.values()))
PACKED = sum(len(deflated(data)) for data in FILES.values())
DIRECTORY = sum(46 + len(name) for name in FILES)
MOST_MEMORY = 64 * MIB


def sdist_of(*blocks: bytes) -> bytes:
    return tarred([*sdist_blocks(), *blocks])


LONG = block(f"{ROOT}/x/{'y' * 60}/{'z' * 20}".encode(), b"")
AT_LIMIT: dict[str, tuple[bytes, str, dict[str, int]]] = {
    "members of a zip": (zipped(entries(FILES)), WHEEL, {"archive_members": 5}),
    "members of a tar": (sdist_of(), SDIST, {"archive_members": 3}),
    "bytes of a zip": (zipped(entries(FILES)), WHEEL, {"archive_bytes": SIZES}),
    "bytes of a tar": (sdist_of(), SDIST, {"archive_bytes": 3 * 512 + 2 * 512 + 1024}),
    "ratio of a zip": (
        zipped(entries(FILES)),
        WHEEL,
        {"archive_ratio": 1, "archive_ratio_bytes": SIZES - PACKED},
    ),
    "ratio of a zip alone": (
        zipped(entries(FILES)),
        WHEEL,
        {"archive_ratio_bytes": 0, "archive_ratio": -(-SIZES // PACKED)},
    ),
    "path of a zip": (zipped(entries(FILES)), WHEEL, {"archive_path_bytes": 28}),
    "path of a tar": (sdist_of(LONG), SDIST, {"archive_path_bytes": 93}),
    "depth of a zip": (zipped(entries(FILES)), WHEEL, {"archive_path_depth": 2}),
    "depth of a tar": (sdist_of(LONG), SDIST, {"archive_path_depth": 4}),
    "names of a zip": (zipped(entries(FILES)), WHEEL, {"archive_directory_bytes": DIRECTORY}),
    "names of a tar": (sdist_of(), SDIST, {"archive_directory_bytes": 9 + 18 + 18}),
    "a header of a tar": (
        sdist_of(pax({"path": f"{ROOT}/x"}), block(b"x")),
        SDIST,
        {"archive_header_bytes": 20},
    ),
    "METADATA": (zipped(entries(FILES)), WHEEL, {"metadata_bytes": len(METADATA)}),
    "PKG-INFO": (sdist_of(), SDIST, {"metadata_bytes": len(METADATA)}),
    "fields": (zipped(entries(FILES)), WHEEL, {"metadata_fields": 4}),
    "WHEEL": (zipped(entries(FILES)), WHEEL, {"metadata_fields_bytes": len(WHEEL_FILE)}),
    "bytes of fields": (sdist_of(), SDIST, {"metadata_fields_bytes": METADATA.index(b"\n\n") + 1}),
    "one field": (sdist_of(), SDIST, {"metadata_field_bytes": len(b"Requires-Python: >=3.9\n")}),
    "RECORD": (zipped(entries(FILES)), WHEEL, {"record_bytes": len(FILES["cream-1.0.dist-info/RECORD"])}),
}


@pytest.mark.parametrize("name", AT_LIMIT)
def test_a_limit_is_the_last_that_is_taken(name: str) -> None:
    content, filename, limits = AT_LIMIT[name]
    limit = list(limits)[-1]
    less = {**limits, limit: limits[limit] - 1}

    assert checked(content, filename, **limits).project == "cream"
    with pytest.raises(BadArchive):
        checked(content, filename, **less)


@pytest.mark.parametrize("name", AT_LIMIT)
def test_who_meets_a_limit_is_told_which(name: str) -> None:
    content, filename, limits = AT_LIMIT[name]
    limit = list(limits)[-1]

    with pytest.raises(BadArchive) as refusal:
        checked(content, filename, **{**limits, limit: limits[limit] - 1})

    assert "limits." in refusal.value.reason
