"""Files that vanish or rot in an archive while a cart is staged: errors with their names, and no other file's."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import unquote

import pytest

from creamery.carts.archives import Archive
from creamery.carts.sources import Source
from creamery.carts.staging import Staging
from tests.doubles.archives import ArchiveInterface, FileServer
from tests.doubles.carting import carting_hub, entry, post, wait_for
from tests.doubles.loopback import Exchange
from tests.doubles.running import RunningHub

Spoil = Callable[[Callable[[], object]], None]

SIZES = {"small": 1_000, "large": 400_000}
"""What is read by many, and what is read alone."""
FILES = {
    f"{size}/{what}": random.Random(f"{size}/{what}").randbytes(SIZES[size])
    for size in SIZES
    for what in ("vanished", "rotten", "sound")
}
ENTRIES = [entry(name, content=content, kind="sha256") for name, content in FILES.items()]
ROTTEN = {name: content[::-1] for name, content in FILES.items() if name.endswith("rotten")}


@pytest.fixture
def spoil(monkeypatch: pytest.MonkeyPatch) -> Spoil:
    """Does something once, after a cart was planned and before the first of its files is fetched."""

    def once(does: Callable[[], object]) -> None:
        inner, left = Staging._near, [does]

        def near(staging: Staging, archive: Archive) -> list[Source]:
            while left:
                left.pop()()
            return inner(staging, archive)

        monkeypatch.setattr(Staging, "_near", near)

    return once


def failed_of(hub: RunningHub) -> dict[str, str]:
    """What a cart of all files says of those that have failed; the others are read, and right."""
    uid = post(hub, ENTRIES)
    answer = wait_for(hub, uid)
    assert answer.status_code == 500
    assert answer.headers["x-creamery-files"] == "2/6"
    for size in SIZES:
        assert hub.get(f"/carts/{uid}/files/{size}/sound").content == FILES[f"{size}/sound"]
    failed = {each["path"]: each["message"] for each in hub.get(f"/carts/{uid}/status").json()["failed"]}
    first = min(failed, key=list(FILES).index)
    assert answer.headers["x-pacifica-message"] == f"{first}: {failed[first]} (and 3 more)"
    return failed


@pytest.fixture
def shelf(tmp_path: Path) -> Path:
    folder = tmp_path / "shelf"
    for name, content in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def test_files_of_a_folder_that_vanish_and_rot_are_named(tmp_path: Path, shelf: Path, spoil: Spoil) -> None:
    def harm() -> None:
        for name in FILES:
            path = shelf / name
            before = path.stat()
            if name in ROTTEN:
                path.write_bytes(ROTTEN[name])
                os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
                assert path.stat().st_size == before.st_size
            elif name.endswith("vanished"):
                path.unlink()

    spoil(harm)
    with carting_hub(tmp_path / "data", shelf) as hub:
        failed = failed_of(hub)

    assert_named(failed)


@pytest.fixture
def tape() -> Iterator[ArchiveInterface]:
    with ArchiveInterface(FILES) as server:
        yield server


def test_files_of_a_server_that_vanish_and_rot_are_named(tmp_path: Path, tape: ArchiveInterface, spoil: Spoil) -> None:
    def harm() -> None:
        tape.files.update(ROTTEN)
        for size in SIZES:
            del tape.files[f"{size}/vanished"]

    spoil(harm)
    with carting_hub(tmp_path / "data", {"name": "tapes", "kind": "pacifica", "url": tape.url}) as hub:
        failed = failed_of(hub)

    assert_named(failed)


def test_files_that_vanish_while_another_is_sent_are_named(tmp_path: Path, tape: ArchiveInterface) -> None:
    """One at a time: the first that is asked for takes the others with it."""

    async def vanish(exchange: Exchange) -> None:
        for name in [*tape.files]:
            if name != unquote(exchange.request.path)[1:]:
                del tape.files[name]
        await exchange.send()

    tape.misbehave("*", vanish, method="GET", once=True)
    archive = {"name": "tapes", "kind": "pacifica", "url": tape.url, "at_once": 1}
    with carting_hub(tmp_path / "data", archive) as hub:
        uid = post(hub, ENTRIES)
        answer = wait_for(hub, uid)
        (left,) = tape.files

        assert hub.get(f"/carts/{uid}/files/{left}").content == FILES[left]
    assert answer.status_code == 500
    assert answer.headers["x-creamery-files"] == "1/6"


def assert_named(failed: dict[str, str]) -> None:
    assert failed.keys() == {name for name in FILES if not name.endswith("sound")}
    for name, message in failed.items():
        assert ("hash does not match" in message) == name.endswith("rotten"), message


def test_a_server_whose_dates_are_none_is_no_server_whose_files_change(tmp_path: Path) -> None:
    """All of its files failed: they had changed, from a date that was none to the same."""
    with FileServer({"a": b"milk"}) as server:
        server.headers |= {"ETag": None, "Last-Modified": "once upon a time"}
        with carting_hub(tmp_path / "data", {"name": "files", "kind": "web", "url": server.url}) as hub:
            answer = wait_for(hub, post(hub, [entry("a", content=b"milk")]))

    assert answer.status_code == 204, dict(answer.headers)
