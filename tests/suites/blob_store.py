"""What every `BlobStore` must do. A test class inherits this and offers the fixture `store`."""

from __future__ import annotations

from pathlib import Path

import pytest

from creamery.blobs import BlobMissing, BlobStore
from creamery.contract import Digest, digest_of

BODY = bytes(range(256)) * 5000


class BlobStoreSuite:
    """Inherit, and offer `store`."""

    @pytest.fixture
    def source(self, tmp_path: Path) -> Path:
        """A finished file beside the store."""
        path = tmp_path / "finished"
        path.write_bytes(BODY)
        return path

    def test_what_is_kept_can_be_opened(self, store: BlobStore, source: Path) -> None:
        digest = digest_of(BODY)

        store.keep(source, digest, len(BODY))

        assert b"".join(store.open(digest)) == BODY

    def test_pieces_are_of_one_mebibyte_at_most(self, store: BlobStore, source: Path) -> None:
        digest = digest_of(BODY)

        store.keep(source, digest, len(BODY))

        assert max(len(piece) for piece in store.open(digest)) <= 1024 * 1024

    @pytest.mark.parametrize(("start", "stop"), [(0, 1), (100, 300), (1_279_999, 1_280_000), (5, 5), (7, None)])
    def test_a_range_is_that_range(self, store: BlobStore, source: Path, start: int, stop: int | None) -> None:
        digest = digest_of(BODY)

        store.keep(source, digest, len(BODY))

        assert b"".join(store.open(digest, start, stop)) == BODY[start:stop]

    def test_keeping_twice_is_keeping_once(self, store: BlobStore, source: Path) -> None:
        digest = digest_of(BODY)

        store.keep(source, digest, len(BODY))
        store.keep(source, digest, len(BODY))

        assert list(store.list()) == [(digest, len(BODY))]

    def test_the_source_stays_for_a_second_try(self, store: BlobStore, source: Path) -> None:
        digest = digest_of(BODY)

        store.keep(source, digest, len(BODY))
        store.delete(digest)
        store.keep(source, digest, len(BODY))

        assert b"".join(store.open(digest)) == BODY

    def test_nothing_is_something_too(self, store: BlobStore, tmp_path: Path) -> None:
        (tmp_path / "empty").write_bytes(b"")
        digest = digest_of(b"")

        store.keep(tmp_path / "empty", digest, 0)

        assert list(store.open(digest)) == []
        assert list(store.list()) == [(digest, 0)]

    def test_an_extent_has_the_bytes(self, store: BlobStore, source: Path) -> None:
        digest = digest_of(BODY)

        store.keep(source, digest, len(BODY))
        extent = store.locate(digest)

        if extent is not None:  # a store elsewhere has no local file
            with extent.path.open("rb") as file:
                file.seek(extent.offset)
                assert file.read(extent.length) == BODY

    def test_what_is_not_here_is_missing(self, store: BlobStore) -> None:
        digest = digest_of(b"never kept")

        assert store.locate(digest) is None
        with pytest.raises(BlobMissing):
            list(store.open(digest))

    def test_deleting_may_be_done_twice(self, store: BlobStore, source: Path) -> None:
        digest = digest_of(BODY)
        store.keep(source, digest, len(BODY))

        store.delete(digest)
        store.delete(digest)

        assert list(store.list()) == []
        assert store.locate(digest) is None

    def test_the_list_is_in_order(self, store: BlobStore, tmp_path: Path) -> None:
        bodies = [bytes([number]) * number for number in range(1, 20)]
        for body in bodies:
            (tmp_path / "one").write_bytes(body)
            store.keep(tmp_path / "one", digest_of(body), len(body))
            (tmp_path / "one").unlink()

        listed = list(store.list())

        expected: list[tuple[Digest, int]] = sorted((digest_of(body), len(body)) for body in bodies)
        assert listed == expected
