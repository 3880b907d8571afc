"""METADATA out of wheels that nobody vouches for."""

from __future__ import annotations

import io
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from creamery.index.wheel import NoMetadata, metadata_in_wheel
from tests.doubles.distributions import wheel

FILENAME = "demo-1.0-py3-none-any.whl"


def zipped(**members: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def read(content: bytes, max_bytes: int = 1000) -> bytes:
    return metadata_in_wheel(io.BytesIO(content), FILENAME, max_bytes)


def test_the_metadata_is_the_bytes_in_the_wheel() -> None:
    made = wheel("demo", "1.0", requires=["dep"])

    assert read(made.content) == made.metadata


def test_it_may_have_so_many_bytes_and_not_one_more() -> None:
    content = zipped(**{"demo-1.0.dist-info/METADATA": b"x" * 1000})

    assert len(read(content, 1000)) == 1000
    with pytest.raises(NoMetadata, match="1000 bytes"):
        read(content, 999)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no zip",
        zipped(),
        zipped(**{"demo-1.0.dist-info/RECORD": b""}),
        zipped(**{"other-1.0.dist-info/METADATA": b"x"}),
        zipped(**{"a/demo-1.0.dist-info/METADATA": b"x"}),
        zipped(**{"demo-1.0.dist-info/METADATA": b"x", "Demo-2.0.dist-info/METADATA": b"y"}),
        zipped(**{"demo-1.0.dist-info/METADATA": b"x" * 100_000_000})[:50_000],
        zipped(**{"demo-1.0.dist-info/METADATA": b"x" * 10_000_000}),
    ],
    ids=["empty", "no zip", "no member", "no METADATA", "another project's", "deeper", "two", "cut", "a bomb"],
)
def test_a_wheel_that_is_none_or_ambiguous_has_no_metadata(content: bytes) -> None:
    with pytest.raises(NoMetadata):
        read(content)


@given(st.integers(0, 10_000), st.binary(min_size=1, max_size=4))
def test_a_damaged_wheel_gives_its_metadata_or_says_that_it_cannot(at: int, damage: bytes) -> None:
    made = wheel("demo", "1.0")
    at %= len(made.content)
    broken = made.content[:at] + damage + made.content[at + len(damage) :]

    try:
        body = read(broken)
    except NoMetadata:
        return

    assert body == made.metadata
