"""Digests."""

from __future__ import annotations

import hashlib

import pytest

from creamery.contract import NotADigest, digest_of, parse_digest


def test_a_digest_reads_in_either_case_and_is_kept_in_lower_case() -> None:
    expected = hashlib.sha256(b"cheese").hexdigest()

    assert parse_digest(expected.upper()) == expected
    assert digest_of(b"cheese") == expected


@pytest.mark.parametrize(
    "text", ["", "ab", "g" * 64, "a" * 63, "a" * 65, "a" * 64 + "\n", "\N{FULLWIDTH DIGIT ONE}" * 64]
)
def test_anything_else_is_no_digest(text: str) -> None:
    with pytest.raises(NotADigest):
        parse_digest(text)
