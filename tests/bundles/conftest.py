"""A pantry for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from creamery import faults
from tests.doubles.pantry import Pantry

LONG = "/".join([f"a-folder-with-a-long-name-{number:02}" for number in range(11)])[:300]

ODD_NAMES = (
    *("plain.txt", "a/b/c.txt", "-rf", "two words  and more.txt", "line\nbreak", "tab\tand\x01"),
    *("caf\u00e9", "cafe\u0301", "\U0001f9c0.bin", "x" * 150, LONG, ".hidden/.file", "back\\slash", "a:b*c?"),
)
"""Among them one name in both Unicode forms, a component of 150 bytes and a path of 300."""


@pytest.fixture
def pantry(tmp_path: Path) -> Pantry:
    return Pantry(tmp_path)


@pytest.fixture
def odd(pantry: Pantry) -> Pantry:
    """Members of every kind that there is, empty ones and large ones included."""
    for number, name in enumerate(ODD_NAMES):
        pantry.add(name, name.encode() * number, 1_700_000_001 + number)
    pantry.add("empty")
    pantry.add("block", b"b" * 512)
    pantry.add("large", bytes(range(256)) * 1_200)
    pantry.add("last", b"the last one")
    return pantry


@pytest.fixture(autouse=True)
def _no_faults() -> Iterator[None]:
    yield
    faults.disarm()
