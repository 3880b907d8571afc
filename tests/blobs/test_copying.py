"""Copies are hashed on their way, whoever writes their bytes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from creamery.blobs import Copier, Item, Kind, copying, files_in
from creamery.contract import digest_of
from tests.doubles.cellar import Cellar


def nothing(_: object = None) -> None:
    """Nobody looks."""


@pytest.mark.parametrize("shared", [True, False])
def test_a_copy_is_the_same_whether_the_file_system_shares_its_blocks_or_not(
    cellar: Cellar, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, shared: bool
) -> None:
    """As ioctl_ficlone(2) does it, which the file systems of this machine may not know."""

    def share(target: int, source: int) -> bool:
        if shared:
            os.sendfile(target, source, 0, 1_000)
        return shared

    monkeypatch.setattr(copying, "_share", share)
    digest = cellar.put(b"bytes", "name")
    item = Item(digest, 5, is_whole=True, kept=True, cached=False)
    copier = Copier(files_in(cellar.data), tmp_path / "copy", nothing)
    copier.open()

    lacks = list(copier.copy_all([item, item], nothing))

    assert lacks == []
    assert [path.read_bytes() for path in (tmp_path / "copy" / "blobs").glob("*/*/*")] == [b"bytes"]
    assert list((tmp_path / "copy" / "incoming").iterdir()) == []


def test_wrong_bytes_are_not_copied(cellar: Cellar, tmp_path: Path) -> None:
    digest = cellar.put(b"bytes", "name")
    path = cellar.blobs.store.path(digest)
    path.chmod(0o600)
    path.write_bytes(b"BYTES")
    item = Item(digest, 5, is_whole=True, kept=True, cached=False)
    copier = Copier(files_in(cellar.data), tmp_path / "copy", nothing)
    copier.open()

    assert list(copier.copy_all([item], nothing)) == [(item, Kind.CORRUPT)]
    assert list((tmp_path / "copy" / "blobs").glob("*/*/*")) == []


def test_what_nobody_names_goes(cellar: Cellar, tmp_path: Path) -> None:
    digests = sorted(cellar.put(b"%d" % number, f"{number}") for number in range(6))
    copier = Copier(files_in(cellar.data), cellar.data, nothing)

    deleted = copier.keep_only(iter([digests[0], digests[3], digests[3], digest_of(b"elsewhere")]))

    assert deleted == 4
    assert cellar.stored() == {digests[0], digests[3]}
