"""Some of a bundle's members, in another folder."""

from __future__ import annotations

import io
import tarfile

import pytest

from creamery.bundles import BadBundle, Member, Members, included, reshaped
from creamery.contract import digest_of
from tests.doubles.pantry import Pantry

PATHS = (
    *("a.csv", "b.txt", ".hidden", "raw/a.csv", "raw/b.CSV", "raw/deep/er/a.csv", "raw.csv/x", "caf\u00e9.csv"),
    *("cafe\u0301/notes.txt", "x[1].dat", "line\nbreak.csv", "run-1/raw/c.csv"),
)


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("a.csv", ["a.csv"]),
        ("/a.csv", ["a.csv"]),
        ("*.csv", ["a.csv", "caf\u00e9.csv", "line\nbreak.csv"]),
        ("**/*.csv", [path for path in PATHS if path.endswith(".csv")]),
        ("**", list(PATHS)),
        ("*", [path for path in PATHS if "/" not in path]),
        ("**/**", list(PATHS)),
        ("raw/", ["raw/a.csv", "raw/b.CSV", "raw/deep/er/a.csv"]),
        ("raw/**", ["raw/a.csv", "raw/b.CSV", "raw/deep/er/a.csv"]),
        ("raw/*", ["raw/a.csv", "raw/b.CSV"]),
        ("raw/**/a.csv", ["raw/a.csv", "raw/deep/er/a.csv"]),
        ("**/raw/*.csv", ["raw/a.csv", "run-1/raw/c.csv"]),
        ("**/raw/**", ["raw/a.csv", "raw/b.CSV", "raw/deep/er/a.csv", "run-1/raw/c.csv"]),
        ("*/*/*/*", ["raw/deep/er/a.csv"]),
        ("?.csv", ["a.csv"]),
        ("[ab].*", ["a.csv", "b.txt"]),
        ("[!a].*", ["b.txt"]),
        ("x[[]1].dat", ["x[1].dat"]),
        ("x[1].dat", []),
        ("raw[/]a.csv", []),
        ("raw?a.csv", []),
        ("raw**", []),
        ("r**/a.csv", ["raw/a.csv"]),
        ("raw", []),
        ("", []),
        ("../**", []),
        ("caf\u00e9*", ["caf\u00e9.csv"]),
        ("cafe\u0301.csv", ["caf\u00e9.csv"]),
        ("caf\u00e9/*", ["cafe\u0301/notes.txt"]),
        ("[", []),
    ],
)
def test_a_pattern_means_the_members_that_it_describes(pattern: str, found: list[str]) -> None:
    members = Members([Member(path, 0, 0, digest_of(b"")) for path in PATHS])

    assert [PATHS[place] for place in included(members, [pattern])] == found


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("**/a/b", "a/a/b"),
        ("**/a/b/**/c", "a/b/a/b/x/c"),
        ("**/a/**/a/b", "a/x/a/a/b"),
        ("a/**/b", "a/b"),
        ("a/**/**/b", "a/b"),
        ("**/a*/b?/c", "a1/b/a2/a3/b4/c"),
    ],
)
def test_stars_for_parts_take_as_many_as_it_needs(pattern: str, path: str) -> None:
    members = Members([Member(path, 0, 0, digest_of(b"")), Member(f"{path}.not", 0, 0, digest_of(b""))])

    assert list(included(members, [pattern])) == [0]


def test_what_stands_before_stars_is_not_matched_again_behind_them() -> None:
    members = Members([Member("a/b/c", 0, 0, digest_of(b""))])

    assert not included(members, ["a/b/**/b/c", "a/b/c/**/c", "**/b/**/b/c"])


def test_several_patterns_mean_what_any_of_them_means_in_the_bundles_order() -> None:
    members = Members([Member(path, 0, 0, digest_of(b"")) for path in PATHS])

    assert list(included(members, ["b.txt", "*.csv", "a.*"])) == [0, 1, 7, 10]


def test_a_pattern_of_many_stars_takes_no_longer_than_its_length_times_the_paths() -> None:
    members = Members([Member("/".join(["a" * 200] * 40), 0, 0, digest_of(b""))])

    assert not included(members, ["**/" * 40 + "*a" * 40 + "b", "/".join(["**", "*a*a*a*a*a*a*a*a*a*"] * 20) + "/b"])


def test_another_shape_is_another_bundle_of_the_same_bytes(odd: Pantry) -> None:
    whole = odd.layout().manifest

    shaped = reshaped(whole, include=["a/**", "last"], root="some")
    chosen = included(whole.members, ["a/**", "last"])
    odd.rows, odd.contents = [odd.rows[at] for at in chosen], [odd.contents[at] for at in chosen]
    odd.extents = [odd.extents[at] for at in chosen]

    with tarfile.open(fileobj=io.BytesIO(odd.read(odd.layout(root="some")))) as archive:
        assert archive.getnames() == ["some/a/b/c.txt", "some/last"]
    assert odd.layout(root="some").etag == shaped.etag != whole.etag


def test_nothing_asked_for_changes_nothing(odd: Pantry) -> None:
    whole = odd.layout().manifest

    assert reshaped(whole).etag == whole.etag
    assert reshaped(whole, root="other").members is whole.members


def test_a_folder_that_can_be_none_is_refused(odd: Pantry) -> None:
    with pytest.raises(BadBundle, match="can be no bundle's folder"):
        reshaped(odd.layout().manifest, root="../up")
