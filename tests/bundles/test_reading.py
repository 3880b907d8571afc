"""A bundle's bytes out of their files: how they are read, and what happens when they are not there."""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from creamery import faults
from creamery.blobs import Extent
from creamery.bundles import Format, MemberUnreadable, chunks, parts, reading
from tests.doubles.pantry import Pantry

KIB = 1024
MIB = 1024 * KIB


class Calls:
    """What the system is asked for."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.counts: Counter[str] = Counter()
        self.opened: Counter[str] = Counter()
        self.advised: list[tuple[int, int, int]] = []
        self.longest_read = 0
        self.now_open = self.most_open = 0
        for name in ("open", "pread", "close", "fstat"):
            patch.setattr(os, name, self._counted(name, getattr(os, name)))
        patch.setattr(reading, "_advise", self._note_advice)

    def _counted(self, name: str, real: Any) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            self.counts[name] += 1
            found = real(*args, **kwargs)
            if name == "pread":
                self.longest_read = max(self.longest_read, args[1])
            if name == "open":
                self.opened[str(args[0])] += 1
            self.now_open += {"open": 1, "close": -1}.get(name, 0)
            self.most_open = max(self.most_open, self.now_open)
            return found

        return call

    def _note_advice(self, descriptor: int, offset: int, length: int, _: int) -> None:
        self.advised.append((descriptor, offset, length))


@pytest.fixture
def calls(pantry: Pantry, monkeypatch: pytest.MonkeyPatch) -> Iterator[Calls]:
    with monkeypatch.context() as patch:
        yield Calls(patch)


def many(pantry: Pantry, count: int, size: int, *, own: bool) -> Pantry:
    for number in range(count):
        pantry.add(f"{number:05}", f"{number:05}".encode() + bytes(size - 5), own=own)
    pantry.flush()
    return pantry


# What it costs, counted


def test_a_thousand_tiny_members_of_one_segment_are_one_open_and_a_read_for_each_256_kib(pantry: Pantry) -> None:
    layout = many(pantry, 1_000, KIB, own=False).layout()
    with pytest.MonkeyPatch.context() as patch:
        calls = Calls(patch)

        got = b"".join(chunks(layout, pantry.locate))

    assert got == pantry.assembled(layout)
    assert calls.counts["open"] == calls.counts["close"] == 1
    assert calls.counts["pread"] <= 1_000 * 1_080 // (256 * KIB) + 1 + len(pantry.asked)
    assert calls.longest_read <= 256 * KIB


def test_a_member_in_a_file_of_its_own_is_one_open_and_one_read(pantry: Pantry) -> None:
    layout = many(pantry, 100, KIB, own=True).layout()
    with pytest.MonkeyPatch.context() as patch:
        calls = Calls(patch)

        got = b"".join(chunks(layout, pantry.locate))

    assert got == pantry.assembled(layout)
    assert (calls.counts["open"], calls.counts["pread"], calls.counts["close"]) == (100, 100, 100)
    assert calls.most_open <= reading.RUNS_AHEAD + 2
    assert calls.now_open == 0


def test_a_large_member_is_read_in_steps_of_256_kib_that_pass_through(pantry: Pantry) -> None:
    layout = many(pantry, 3, MIB, own=True).layout()
    with pytest.MonkeyPatch.context() as patch:
        calls = Calls(patch)

        sizes = [len(chunk) for chunk in chunks(layout, pantry.locate)]

    assert (calls.counts["open"], calls.counts["pread"]) == (3, 12)
    assert sizes[:10] == [512, *[256 * KIB] * 4, 512, *[256 * KIB] * 4]


def test_a_large_members_rest_is_no_tiny_read(pantry: Pantry) -> None:
    layout = many(pantry, 1, 512 * KIB + 1, own=True).layout()

    assert [len(chunk) for chunk in chunks(layout, pantry.locate)][:3] == [512, 256 * KIB, 256 * KIB + 1]


def test_small_pieces_travel_in_chunks_of_256_kib(pantry: Pantry) -> None:
    layout = many(pantry, 700, KIB, own=False).layout()

    sizes = [len(chunk) for chunk in chunks(layout, pantry.locate)]

    assert all(256 * KIB <= size < 320 * KIB for size in sizes[:-1])


def test_a_segment_stays_open_between_others(pantry: Pantry) -> None:
    for number in range(20):
        pantry.add(f"small-{number}", b"%d" % number)
        pantry.add(f"large-{number}", b"%d" % number * 100_000)
    layout = pantry.layout()
    pantry.flush()
    with pytest.MonkeyPatch.context() as patch:
        calls = Calls(patch)

        got = b"".join(chunks(layout, pantry.locate))

    assert got == pantry.assembled(layout)
    assert calls.opened[str(pantry.segment)] == 1


def test_a_range_touches_the_files_of_its_members_alone(pantry: Pantry) -> None:
    layout = many(pantry, 50, KIB, own=True).layout()
    with pytest.MonkeyPatch.context() as patch:
        calls = Calls(patch)

        got = b"".join(chunks(layout, pantry.locate, layout.offset(20) + 5, layout.offset(21) + 5))

    assert got == pantry.assembled(layout, layout.offset(20) + 5, layout.offset(21) + 5)
    assert pantry.asked == [range(20, 22)]
    assert calls.counts["open"] == 2


def test_a_range_of_headers_alone_opens_nothing(pantry: Pantry) -> None:
    layout = many(pantry, 3, KIB, own=True).layout()

    got = b"".join(chunks(layout, pantry.locate, layout.offset(1) - 512, layout.offset(1)))

    assert len(got) == 512
    assert pantry.asked == []


def test_a_member_of_which_only_the_header_is_wanted_is_not_looked_for(pantry: Pantry) -> None:
    layout = many(pantry, 3, KIB, own=True).layout()

    got = b"".join(chunks(layout, pantry.locate, layout.offset(0) + 10, layout.offset(1)))

    assert got == pantry.assembled(layout, layout.offset(0) + 10, layout.offset(1))
    assert pantry.asked == [range(1)]


def test_empty_members_need_no_file(pantry: Pantry) -> None:
    for number in range(200):
        pantry.add(f"{number}")
    pantry.add("full", b"full")
    layout = pantry.layout()
    gone = Extent(pantry.folder / "gone", 0, 0)
    pantry.extents[:200] = [gone] * 200

    assert pantry.read(layout) == pantry.assembled(layout)


def test_a_reading_that_is_left_lets_go_of_its_files(pantry: Pantry) -> None:
    layout = many(pantry, 30, 100 * KIB, own=True).layout()
    with pytest.MonkeyPatch.context() as patch:
        calls = Calls(patch)
        left = chunks(layout, pantry.locate)
        next(left), next(left)
        was_open = calls.now_open

        left.close()  # type: ignore[attr-defined] # it is a generator

    assert was_open > 0
    assert calls.now_open == 0


# Reading ahead


def test_the_disk_is_told_of_what_comes_next_within_a_window(pantry: Pantry) -> None:
    layout = many(pantry, 40, MIB, own=True).layout()
    with pytest.MonkeyPatch.context() as patch:
        calls = Calls(patch)
        ahead = []
        sent = 0
        for chunk in chunks(layout, pantry.locate):
            sent += len(chunk)
            ahead.append(sum(length for _, _, length in calls.advised) - sent)

    assert max(ahead[40:-40]) <= 10 * MIB
    assert min(ahead[40:-80]) >= 6 * MIB


def test_of_tiny_files_the_next_sixteen_are_told(pantry: Pantry) -> None:
    layout = many(pantry, 300, 20 * KIB, own=True).layout()
    with pytest.MonkeyPatch.context() as patch:
        calls = Calls(patch)
        stream = chunks(layout, pantry.locate)

        next(stream)

    read = -(-256 * KIB // (20 * KIB + 1_024))
    assert len(calls.advised) in range(read, read + reading.RUNS_AHEAD + 2)
    assert calls.counts["open"] == len(calls.advised) + 1


def test_a_large_file_is_told_step_by_step(pantry: Pantry) -> None:
    pantry.add_sparse("huge", 100 * MIB)
    layout = pantry.layout()
    with pytest.MonkeyPatch.context() as patch:
        calls = Calls(patch)
        list(parts(layout, pantry.locate))

    assert [(offset, length) for _, offset, length in calls.advised] == [
        (0, 16 * MIB),
        *[(at * MIB, 8 * MIB) for at in range(16, 96, 8)],
        (96 * MIB, 4 * MIB),
    ]


def test_where_the_system_takes_no_advice_none_is_given(pantry: Pantry, monkeypatch: pytest.MonkeyPatch) -> None:
    layout = many(pantry, 3, 100 * KIB, own=True).layout()
    monkeypatch.setattr(reading, "_advise", None)

    assert pantry.read(layout) == pantry.assembled(layout)


# As pieces of files


@pytest.mark.parametrize("form", ["tar", "zip"])
def test_large_members_are_handed_out_as_places(odd: Pantry, form: Format) -> None:
    odd.add("larger", b"0123456789abcdef" * MIB)
    layout = odd.layout(form)

    found = list(parts(layout, odd.locate))

    extents = [part for part in found if isinstance(part, Extent)]
    whole = b"".join(
        part if isinstance(part, bytes) else part.path.read_bytes()[part.offset : part.offset + part.length]
        for part in found
    )
    assert whole == odd.assembled(layout)
    assert [extent.length for extent in extents] == [307_200, 8 * MIB, 8 * MIB]


def test_a_large_member_of_a_segment_is_a_place_too_whatever_lies_beside_it(pantry: Pantry) -> None:
    pantry.add("before", b"small")
    pantry.add("large", bytes(100 * KIB), own=False)
    pantry.add("empty", own=False)
    many(pantry, 50, 1_000, own=False)
    layout = pantry.layout()
    with pytest.MonkeyPatch.context() as patch:
        calls = Calls(patch)

        found = list(parts(layout, pantry.locate))

    assert [part for part in found if isinstance(part, Extent)] == [pantry.extents[1]]
    assert calls.counts["pread"] == 2
    assert pantry.read(layout) == pantry.assembled(layout)


def test_the_ends_of_a_range_in_a_large_member_are_read_where_they_are_small(pantry: Pantry) -> None:
    many(pantry, 1, MIB, own=True)
    layout = pantry.layout()
    begin = layout.offset(0)

    assert [type(part) for part in parts(layout, pantry.locate, begin + 7, begin + 64 * KIB + 6)] == [bytes]
    assert list(parts(layout, pantry.locate, begin + 7, begin + 64 * KIB + 7)) == [
        Extent(pantry.extents[0].path, 7, 64 * KIB)
    ]


def test_members_of_one_segment_may_lie_in_any_order_and_twice(pantry: Pantry) -> None:
    order = [7, 3, 3, 9, 1, 0, 2, 8, 4, 4, 6, 5]
    many(pantry, 10, 3 * KIB, own=False)
    rows, contents, extents = pantry.rows, pantry.contents, pantry.extents
    pantry.rows = [replace_path(rows[at], f"{number}") for number, at in enumerate(order)]
    pantry.contents = [contents[at] for at in order]
    pantry.extents = [extents[at] for at in order]
    layout = pantry.layout()

    assert pantry.read(layout) == pantry.assembled(layout)


def replace_path(row: Any, path: str) -> Any:
    return row._replace(path=path)


def test_equal_places_written_differently_are_one_file(pantry: Pantry) -> None:
    layout = many(pantry, 10, KIB, own=False).layout()
    pantry.extents = [replace(extent, path=Path(str(extent.path))) for extent in pantry.extents]
    with pytest.MonkeyPatch.context() as patch:
        calls = Calls(patch)
        list(chunks(layout, pantry.locate))

    assert (calls.counts["open"], calls.counts["pread"]) == (1, 1)


def test_it_may_be_read_by_many_threads_at_once(odd: Pantry) -> None:
    layout = odd.layout("zip")
    whole = odd.assembled(layout)
    odd.flush()
    results: list[bytes] = []

    def read() -> None:
        results.append(odd.read(layout))

    threads = [threading.Thread(target=read) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert results == [whole] * 6


# What is not there


def collect(stream: Iterator[bytes], into: bytearray) -> None:
    for chunk in stream:
        into += chunk


def read_until_it_breaks(pantry: Pantry) -> tuple[bytes, MemberUnreadable]:
    got = bytearray()
    layout = pantry.layout()
    with pytest.raises(MemberUnreadable) as broken:
        collect(chunks(layout, pantry.locate), got)
    assert pantry.assembled(layout).startswith(got)
    return bytes(got), broken.value


def test_a_file_that_is_too_short_ends_the_bundle_before_it(pantry: Pantry) -> None:
    many(pantry, 30, 100 * KIB, own=True)
    os.truncate(pantry.extents[20].path, 100 * KIB - 1)

    got, broken = read_until_it_breaks(pantry)

    assert len(got) >= pantry.layout().offset(19) + 100 * KIB
    assert (broken.path, broken.digest) == ("00020", pantry.rows[20].digest)
    assert broken.reason.endswith("ends after 102399 bytes, before the member does")


def test_a_file_that_is_too_long_is_not_read(pantry: Pantry) -> None:
    many(pantry, 3, 100 * KIB, own=True)
    with pantry.extents[1].path.open("ab") as file:
        file.write(b"more")

    _, broken = read_until_it_breaks(pantry)

    assert broken.path == "00001"
    assert broken.reason.endswith("has 102404 bytes instead of 102400")


def test_a_segment_that_is_cut_off_names_the_member_that_it_cuts(pantry: Pantry) -> None:
    many(pantry, 100, KIB, own=False)
    os.truncate(pantry.segment, pantry.extents[57].offset + 10)

    _, broken = read_until_it_breaks(pantry)

    assert broken.path == "00057"


def test_a_file_that_is_cut_off_while_it_is_read_is_noticed(pantry: Pantry) -> None:
    many(pantry, 1, MIB, own=True)
    layout = pantry.layout()
    stream = chunks(layout, pantry.locate)
    got = next(stream) + next(stream)
    os.truncate(pantry.extents[0].path, 300 * KIB)

    with pytest.raises(MemberUnreadable, match="ends after 307200 bytes"):
        list(stream)

    assert pantry.assembled(layout).startswith(got)


def test_a_place_of_another_length_is_refused(pantry: Pantry) -> None:
    many(pantry, 3, KIB, own=False)
    pantry.extents[2] = replace(pantry.extents[2], length=KIB + 1)

    with pytest.raises(MemberUnreadable, match=r"'00002' .* 1025 bytes lie there instead of 1024"):
        pantry.read(pantry.layout())


def test_a_file_that_is_away_is_looked_for_once_more_and_then_named(pantry: Pantry) -> None:
    many(pantry, 5, 100 * KIB, own=True)
    pantry.extents[3].path.unlink()

    _, broken = read_until_it_breaks(pantry)

    assert pantry.asked == [range(5), range(3, 4)]
    assert broken.path == "00003"
    assert broken.reason.endswith("is not there")


def test_members_that_moved_to_other_segments_are_found_there(pantry: Pantry) -> None:
    layout = many(pantry, 400, KIB, own=False).layout()
    old, new, late = pantry.segment, pantry.folder / "new", pantry.folder / "late"
    stale = list(pantry.extents)
    for path, shift in ((new, 8), (late, 0)):
        path.write_bytes(bytes(shift) + old.read_bytes())
    old.unlink()
    pantry.extents = [
        replace(extent, path=late if number % 3 else new, offset=extent.offset + (0 if number % 3 else 8))
        for number, extent in enumerate(stale)
    ]
    first = True

    def locate(members: range) -> list[Extent]:
        nonlocal first
        was_first, first = first, False
        return stale[members.start : members.stop] if was_first else pantry.locate(members)

    assert b"".join(chunks(layout, locate)) == pantry.assembled(layout)


def test_what_moves_again_and_again_is_given_up(pantry: Pantry) -> None:
    layout = many(pantry, 4, KIB, own=False).layout()
    names = iter(range(100))

    def locate(members: range) -> list[Extent]:
        path = pantry.folder / f"moved-{next(names)}"
        return [replace(pantry.extents[member], path=path) for member in members]

    with pytest.raises(MemberUnreadable, match="is not there"):
        list(chunks(layout, locate))
    assert next(names) == 2


def test_what_was_looked_for_once_more_and_is_away_again_is_given_up_where_it_is(pantry: Pantry) -> None:
    layout = many(pantry, 4, KIB, own=False).layout()
    moved = pantry.folder / "moved"
    pantry.segment.rename(moved)
    asked = []

    def locate(members: range) -> list[Extent]:
        asked.append(members)
        if len(asked) > 1:
            pantry.extents[:2] = [replace(extent, path=moved) for extent in pantry.extents[:2]]
        return pantry.extents[members.start : members.stop]

    with pytest.raises(MemberUnreadable, match=r"'00002' .* is not there"):
        list(chunks(layout, locate))
    assert asked == [range(4), range(4)]


def test_what_moved_is_let_go_like_everything_else(pantry: Pantry) -> None:
    many(pantry, 4, KIB, own=False)
    stale = list(pantry.extents)
    moved = [pantry.folder / "a", pantry.folder / "b", pantry.folder / "c", pantry.folder / "d"]
    for path in moved:
        path.write_bytes(pantry.segment.read_bytes())
    pantry.segment.unlink()
    pantry.extents = [replace(extent, path=path) for extent, path in zip(stale, moved, strict=True)]
    for number in range(40):
        pantry.add(f"own-{number}", bytes([number]) * 70 * KIB)
    layout = pantry.layout()
    asked = []

    def locate(members: range) -> list[Extent]:
        asked.append(members)
        if len(asked) == 1:
            return [*stale, *pantry.extents[4:]][members.start : members.stop]
        return pantry.extents[members.start : members.stop]

    with pytest.MonkeyPatch.context() as patch:
        calls = Calls(patch)
        open_then = [calls.now_open for _ in chunks(layout, locate)]

    assert max(open_then[2:]) <= reading.RUNS_AHEAD + 1
    assert min(open_then[-3:]) <= 2
    assert set(calls.opened.values()) == {1}


def test_what_is_away_further_on_does_not_hinder_what_comes_before(pantry: Pantry) -> None:
    many(pantry, 10, 300 * KIB, own=True)
    pantry.extents[9].path.unlink()

    got, _ = read_until_it_breaks(pantry)

    assert len(got) == pantry.layout().offset(8) + 300 * KIB


def test_a_disk_that_fails_is_named_with_its_member(pantry: Pantry) -> None:
    many(pantry, 3, 100 * KIB, own=True)
    faults.arm("bundles.read@2=EIO")

    _, broken = read_until_it_breaks(pantry)

    assert broken.path == "00001"
    assert "Input/output error" in broken.reason


def test_a_file_that_may_not_be_opened_is_named(pantry: Pantry, monkeypatch: pytest.MonkeyPatch) -> None:
    many(pantry, 3, 100 * KIB, own=True)
    real, forbidden = os.open, pantry.extents[2].path

    def refuse(path: Any, *args: Any, **kwargs: Any) -> int:
        if path == forbidden:
            raise PermissionError(13, "Permission denied")
        return real(path, *args, **kwargs)

    monkeypatch.setattr(os, "open", refuse)

    _, broken = read_until_it_breaks(pantry)

    assert (broken.path, broken.reason) == ("00002", f"{forbidden} cannot be opened: Permission denied")


def test_what_the_callers_own_questions_raise_comes_out_as_it_is(pantry: Pantry) -> None:
    layout = many(pantry, 3, KIB, own=False).layout()

    def locate(members: range) -> list[Extent]:
        raise LookupError("evicted")

    with pytest.raises(LookupError, match="evicted"):
        list(chunks(layout, locate))
