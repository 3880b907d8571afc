"""A folder that others write into too: what comes and goes is noticed, what is half written is not offered."""

from __future__ import annotations

import asyncio
import errno
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from creamery.blobs import Folder, FolderGone, Found, NoSpace
from creamery.clock import SECOND, Micros
from creamery.hub import build
from creamery.settings import load_settings
from tests.databases import create_tables
from tests.doubles.distributions import wheel

LONG_AGO = 1_600_000_000


class Moved:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.moved = 0.0

    def now(self) -> Micros:
        return Micros((LONG_AGO + 10_000) * SECOND + int(self.moved * SECOND))

    def monotonic(self) -> float:
        return self.moved


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """The folder."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    return folder


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Any]:
    """A hub that is not started, for its database and its part files."""
    settings = load_settings(data=tmp_path / "var", index={"upstreams": []}, limits={"reserve_bytes": 0})
    settings.data.mkdir()
    create_tables(settings.resolved_database_url())
    built = build(settings)
    built.hub.committer.start()
    built.hub.blobs.open()
    yield built.hub
    built.hub.blobs.close()
    built.hub.committer.close()
    built.hub.generations.close()
    built.hub.pools.close()
    built.hub.database.close()


def folder_at(place: Path, hub: Any) -> tuple[Folder, Moved]:
    clock: Any = Moved()
    return Folder(place, hub.database, hub.committer, clock), clock


def drop(place: Path, name: str, content: bytes = b"1", age: float = 100.0) -> Path:
    """A file that somebody has written so many seconds before the clock's beginning."""
    (place / name).write_bytes(content)
    at = LONG_AGO + 10_000 - age
    os.utime(place / name, (at, at))
    return place / name


def part_of(hub: Any, content: bytes) -> Any:
    """A finished part with these bytes."""

    async def made() -> Any:
        part = hub.blobs.begin(None, "a test", at_most=len(content))
        await part.write(content)
        await part.finish(None)
        return part

    return asyncio.run(made())


def test_what_lies_there_is_found_and_hidden_files_are_not(place: Path, hub: Any) -> None:
    drop(place, "a.whl")
    drop(place, ".hidden.whl")
    (place / "sub").mkdir()
    folder, _ = folder_at(place, hub)

    assert folder.look() == {"a.whl"}


def test_what_comes_and_goes_is_noticed(place: Path, hub: Any) -> None:
    drop(place, "a.whl")
    folder, clock = folder_at(place, hub)
    first = folder.look()
    drop(place, "b.whl")
    (place / "a.whl").unlink()
    clock.moved += 1

    assert folder.look() == {"b.whl"}
    assert first == {"a.whl"}
    assert folder.look() is folder.look()


def test_a_file_that_is_being_written_is_not_offered_until_it_rests(place: Path, hub: Any) -> None:
    folder, clock = folder_at(place, hub)
    drop(place, "a.whl", age=0.2)

    assert folder.look() == frozenset()
    assert folder.find("a.whl") is None
    clock.moved += 0.9
    assert folder.look() == {"a.whl"}
    assert folder.find("a.whl") is not None


def test_a_file_that_was_offered_and_is_written_over_is_not_sent_meanwhile(place: Path, hub: Any) -> None:
    folder, clock = folder_at(place, hub)
    drop(place, "a.whl")
    folder.look()
    drop(place, "a.whl", b"22", age=0.1)

    assert folder.find("a.whl") is None
    clock.moved += 2
    found = folder.find("a.whl")
    assert found is not None
    assert found.size == 2


def test_a_time_to_come_hides_nothing(place: Path, hub: Any) -> None:
    drop(place, "a.whl", age=-5_000)
    folder, _ = folder_at(place, hub)

    assert folder.look() == {"a.whl"}


def test_what_is_added_is_there_at_once_and_takes_nobodys_name(place: Path, hub: Any) -> None:
    drop(place, "a.whl", b"somebody's")
    folder, _ = folder_at(place, hub)

    assert folder.add(part_of(hub, b"mine"), "b.whl")
    assert not folder.add(part_of(hub, b"mine"), "a.whl")

    assert folder.look() == {"a.whl", "b.whl"}
    assert (place / "a.whl").read_bytes() == b"somebody's"
    assert (place / "b.whl").read_bytes() == b"mine"
    assert sorted(path.name for path in place.iterdir()) == ["a.whl", "b.whl"]


def test_of_several_that_add_one_name_at_once_one_has_it(place: Path, hub: Any) -> None:
    folder, _ = folder_at(place, hub)
    parts = [part_of(hub, b"%d" % number) for number in range(8)]
    won: list[bool] = []
    threads = [threading.Thread(target=lambda p=part: won.append(folder.add(p, "a.whl"))) for part in parts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(won) == [False] * 7 + [True]
    assert [path.name for path in place.iterdir()] == ["a.whl"]


def test_a_file_system_without_links_is_added_to_all_the_same(
    place: Path, hub: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "link", refused)
    folder, _ = folder_at(place, hub)

    assert folder.add(part_of(hub, b"first"), "a.whl")
    assert not folder.add(part_of(hub, b"second"), "a.whl")
    assert (place / "a.whl").read_bytes() == b"first"


def test_a_disk_that_fails_leaves_nothing(place: Path, hub: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "no room")

    folder, _ = folder_at(place, hub)
    part = part_of(hub, b"much")
    monkeypatch.setattr(os, "fsync", full)

    with pytest.raises(NoSpace):
        folder.add(part, "a.whl")
    assert list(place.iterdir()) == []


def test_what_a_killed_process_had_begun_to_add_goes(place: Path, hub: Any) -> None:
    for name in (".0123456789abcdef.part", ".mine.part", "0123456789abcdef.part"):
        drop(place, name, age=1_000)
    drop(place, ".fedcba9876543210.part", age=10)
    folder, _ = folder_at(place, hub)

    folder.tidy()

    assert sorted(path.name for path in place.iterdir()) == [
        ".fedcba9876543210.part",
        ".mine.part",
        "0123456789abcdef.part",
    ]


def test_digests_are_read_once_and_anew_when_the_file_has_changed(place: Path, hub: Any) -> None:
    made = wheel("acme", "1.0")
    drop(place, "a.whl", made.content)
    folder, _ = folder_at(place, hub)
    found = folder.find("a.whl")
    assert found is not None
    first = folder.digests({"a.whl": found})
    (place / "a.whl").rename(place / "gone")

    again, elsewhere = folder_at(place, hub)[0].digests({"a.whl": found}), folder_at(place.parent, hub)[0]

    assert first == again == {"a.whl": made.sha256}
    assert elsewhere.digests({"a.whl": found}) == {}  # another folder's file of that name is another file
    drop(place, "a.whl", b"other", age=50)
    changed = folder.find("a.whl")
    assert changed is not None
    assert folder.digests({"a.whl": changed}) != first


def test_a_file_that_changes_while_it_is_hashed_has_no_digest(place: Path, hub: Any) -> None:
    drop(place, "a.whl", b"123")
    folder, _ = folder_at(place, hub)

    assert folder.digests({"a.whl": Found("a.whl", 4, 7)}) == {}


def test_a_folder_that_is_gone_says_so(place: Path, hub: Any) -> None:
    folder, _ = folder_at(place / "nowhere", hub)

    with pytest.raises(FolderGone, match="nowhere cannot be read"):
        folder.look()
