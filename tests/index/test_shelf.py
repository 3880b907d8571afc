"""Small files in memory: which come in, which go, what they may take."""

from __future__ import annotations

import pytest

from creamery.contract import digest_of
from creamery.http import HeldResponse
from creamery.index import shelf as shelves
from creamery.index.shelf import Held, Shelf
from creamery.limits import Limits
from creamery.telemetry import Telemetry


@pytest.fixture
def telemetry() -> Telemetry:
    return Telemetry()


@pytest.fixture
def shelf(telemetry: Telemetry) -> Shelf:
    """Room for three files of 1000 bytes."""
    return Shelf(Limits(shelf_bytes=3_000, shelf_file_bytes=1_000), telemetry)


def held(body: bytes) -> Held:
    return Held(digest_of(body), HeldResponse(body, etag='"x"', media_type="text/plain"))


def put(shelf: Shelf, *names: str) -> None:
    for name in names:
        shelf.put(("demo", name), held(name.encode() * 1_000))


def those_on(shelf: Shelf) -> set[str]:
    return {name for name in "abcde" if shelf.get(("demo", name)) is not None}


def size(telemetry: Telemetry) -> float | None:
    return telemetry.registry.get_sample_value("creamery_index_shelf_bytes")


def test_a_file_is_wanted_when_it_is_asked_for_again(shelf: Shelf) -> None:
    asked = [shelf.wants(("demo", "a"), 1_000) for _ in range(3)]

    assert asked == [False, True, False]  # after `wants` it is on the shelf, or could not be read


def test_large_files_are_never_wanted(shelf: Shelf) -> None:
    assert not any(shelf.wants(("demo", "a"), 1_001) for _ in range(3))


def test_a_file_larger_than_the_shelf_is_never_wanted(telemetry: Telemetry) -> None:
    small = Shelf(Limits(shelf_bytes=500, shelf_file_bytes=1_000), telemetry)

    assert not any(small.wants(("demo", "a"), 501) for _ in range(3))


def test_what_was_asked_for_once_is_not_remembered_for_ever(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shelves, "ASKED_ONCE", 2)
    for name in ("a", "b", "c"):
        shelf.wants(("demo", name), 1)

    assert [shelf.wants(("demo", name), 1) for name in ("a", "c")] == [False, True]


def test_those_that_were_not_asked_for_the_longest_make_room(shelf: Shelf, telemetry: Telemetry) -> None:
    put(shelf, "a", "b", "c")
    shelf.get(("demo", "a"))

    put(shelf, "d")

    assert those_on(shelf) == {"a", "c", "d"}
    assert size(telemetry) == 3_000


def test_a_file_that_is_put_again_counts_once(shelf: Shelf, telemetry: Telemetry) -> None:
    put(shelf, "a", "a", "b")

    assert those_on(shelf) == {"a", "b"}
    assert size(telemetry) == 2_000


def test_a_reference_that_goes_takes_its_file_along(shelf: Shelf, telemetry: Telemetry) -> None:
    put(shelf, "a", "b")

    shelf.remove(("demo", "a"))
    shelf.remove(("demo", "never"))

    assert those_on(shelf) == {"b"}
    assert size(telemetry) == 1_000


def test_a_cleared_shelf_is_empty(shelf: Shelf, telemetry: Telemetry) -> None:
    put(shelf, "a", "b")

    shelf.clear()

    assert those_on(shelf) == set()
    assert size(telemetry) == 0
