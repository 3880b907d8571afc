"""Blobs as local files."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from creamery import faults
from creamery.blobs import BlobMissing, NoSpace, NotDurable, local
from creamery.blobs.local import LocalStore
from creamery.clock import Micros
from creamery.contract import digest_of
from tests.doubles.obstacles import OBSTACLES, obstruct
from tests.doubles.steps import noted
from tests.suites.blob_store import BODY, BlobStoreSuite


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    (tmp_path / "blobs").mkdir()
    (tmp_path / "quarantine").mkdir()
    return LocalStore(tmp_path / "blobs", tmp_path / "quarantine")


class TestLocalStore(BlobStoreSuite):
    """The suite, on local files."""

    def test_a_blob_is_read_only_and_lies_by_its_digest(self, store: LocalStore, source: Path, tmp_path: Path) -> None:
        digest = digest_of(BODY)

        store.keep(source, digest, len(BODY))

        path = tmp_path / "blobs" / digest[:2] / digest[2:4] / digest
        assert stat.S_IMODE(path.stat().st_mode) == 0o444

    def test_the_steps_come_in_their_order(
        self, store: LocalStore, source: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        digest = digest_of(BODY)
        steps: list[str] = []
        root, final = store.root, store.path(digest)
        sync_folder = local.sync_folder

        def note_folder(folder: Path) -> None:
            steps.append(str(folder.relative_to(root)))
            sync_folder(folder)

        monkeypatch.setattr(local, "sync_file", noted(steps, "file", local.sync_file))
        monkeypatch.setattr(os, "link", noted(steps, "link", os.link))
        monkeypatch.setattr(local, "sync_folder", note_folder)

        store.keep(source, digest, len(BODY))
        first, steps[:] = list(steps), []
        final.unlink()
        store.keep(source, digest, len(BODY))

        assert first == ["file", "link", f"{digest[:2]}/{digest[2:4]}", digest[:2], "."]
        assert steps == ["file", "link", f"{digest[:2]}/{digest[2:4]}"]

    def test_something_of_another_size_at_the_name_goes_to_quarantine(
        self, store: LocalStore, source: Path, tmp_path: Path
    ) -> None:
        digest = digest_of(BODY)
        store.path(digest).parent.mkdir(parents=True)
        store.path(digest).write_bytes(b"torn")

        store.keep(source, digest, len(BODY))

        assert b"".join(store.open(digest)) == BODY
        assert [path.read_bytes() for path in (tmp_path / "quarantine").iterdir()] == [b"torn"]

    @pytest.mark.parametrize("obstacle", OBSTACLES)
    def test_what_is_no_plain_file_is_missing_and_makes_room(
        self, store: LocalStore, source: Path, tmp_path: Path, obstacle: str
    ) -> None:
        digest = digest_of(BODY)
        store.keep(source, digest, len(BODY))
        obstruct(store.path(digest), obstacle)

        found = store.size(digest), store.locate(digest), list(store.list())
        with pytest.raises(BlobMissing):
            list(store.open(digest))
        store.keep(source, digest, len(BODY))

        assert found == (None, None, [])
        assert b"".join(store.open(digest)) == BODY
        assert len(list((tmp_path / "quarantine").iterdir())) == 1

    @pytest.mark.parametrize("depth", [1, 2])
    @pytest.mark.parametrize("what", ["file", "loop"])
    def test_what_is_no_folder_and_should_be_one_makes_room(
        self, store: LocalStore, source: Path, tmp_path: Path, depth: int, what: str
    ) -> None:
        digest = digest_of(BODY)
        in_the_way = (store.root / digest[:2], store.path(digest).parent)[depth - 1]
        in_the_way.parent.mkdir(exist_ok=True)
        if what == "file":
            in_the_way.write_bytes(b"not ours")
        else:
            in_the_way.symlink_to(in_the_way.name)

        found = store.size(digest), store.linked(digest), store.is_obstructed(digest), list(store.list())
        store.delete(digest)
        moved = store.quarantine(digest, Micros(1))
        with pytest.raises(BlobMissing):
            list(store.open(digest))
        store.keep(source, digest, len(BODY))

        assert (found, moved) == ((None, 0, False, []), None)
        assert b"".join(store.open(digest)) == BODY
        assert len(list((tmp_path / "quarantine" / "orphans").iterdir())) == 1

    def test_a_linked_folder_is_as_good_as_one(self, store: LocalStore, source: Path, tmp_path: Path) -> None:
        digest = digest_of(BODY)
        (tmp_path / "another disk").mkdir()
        (store.root / digest[:2]).symlink_to(tmp_path / "another disk")

        store.keep(source, digest, len(BODY))

        assert store.size(digest) == len(BODY)
        assert list(store.entries()) == []

    def test_what_may_not_be_looked_at_is_not_called_missing(
        self, store: LocalStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(path: object) -> os.stat_result:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))

        monkeypatch.setattr(os, "lstat", refuse)

        with pytest.raises(PermissionError):
            store.size(digest_of(BODY))

    def test_a_folder_at_a_blobs_name_is_moved_and_not_deleted(self, store: LocalStore, tmp_path: Path) -> None:
        digest = digest_of(BODY)
        obstruct(store.path(digest), "full folder")

        store.delete(digest)

        assert store.is_obstructed(digest) is False
        assert [path.read_bytes() for path in (tmp_path / "quarantine").rglob("inside")] == [b"not ours"]

    def test_nothing_in_quarantine_is_overwritten(self, store: LocalStore, source: Path, tmp_path: Path) -> None:
        digest = digest_of(BODY)
        for body in (b"first", b"second"):
            store.path(digest).parent.mkdir(parents=True, exist_ok=True)
            store.path(digest).write_bytes(body)
            store.quarantine(digest, Micros(1))

        assert {path.read_bytes() for path in (tmp_path / "quarantine").iterdir()} == {b"first", b"second"}

    def test_a_symbolic_link_is_not_followed(self, store: LocalStore, source: Path, tmp_path: Path) -> None:
        (tmp_path / "link").symlink_to(source)

        with pytest.raises(NotDurable):
            store.keep(tmp_path / "link", digest_of(BODY), len(BODY))

        assert list(store.list()) == []

    @pytest.mark.parametrize(("failing", "meaning"), [("EIO", NotDurable), ("ENOSPC", NoSpace), ("EDQUOT", NoSpace)])
    def test_a_failing_disk_is_said_in_our_words(
        self,
        store: LocalStore,
        source: Path,
        monkeypatch: pytest.MonkeyPatch,
        failing: str,
        meaning: type[Exception],
    ) -> None:
        faults.arm(f"test.sync={failing}")
        monkeypatch.setattr(local, "sync_file", lambda descriptor: faults.reach("test.sync"))

        with pytest.raises(meaning):
            store.keep(source, digest_of(BODY), len(BODY))

        assert list(store.list()) == []
        faults.disarm()

    def test_strangers_in_the_tree_are_no_blobs(self, store: LocalStore, source: Path) -> None:
        digest = digest_of(BODY)
        store.keep(source, digest, len(BODY))
        (store.root / "README").write_text("hello")
        (store.root / digest[:2] / digest).write_bytes(BODY)

        assert list(store.list()) == [(digest, len(BODY))]
