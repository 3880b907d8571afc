"""What is found by a part of its name, and by nothing else."""

from __future__ import annotations

import unicodedata
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from creamery.accounts import Principal
from creamery.hive.access import spaces_for
from creamery.hive.ledger import Space
from creamery.hive.searching import FOLDERS_AT_ONCE, Hits, Wish, folded, search
from creamery.hive.tables import FILE, FOLDER
from creamery.limits import Limits
from tests.doubles.grove import SECOND, Grove


@pytest.fixture
def home(grove: Grove) -> Space:
    return grove.home(1, "alice")


def hits(grove: Grove, *spaces: Space, most: int = 100, most_read: int = Limits().search_rows, **wish: Any) -> Hits:
    """A search, with what is true of the spaces now."""
    rows = [grove.space(each.id) for each in spaces]
    return grove.database.read(
        lambda connection: search(connection, rows, Wish(**wish), most, Limits(search_rows=most_read))
    )


def found(grove: Grove, *spaces: Space, **wish: Any) -> list[str]:
    answer = hits(grove, *spaces, **wish)
    assert not answer.is_cut
    return ["/".join(each.path) for each in answer.hits]


def test_a_part_of_a_name_is_enough_at_any_depth(grove: Grove, home: Space) -> None:
    for path in ("/Work", "/Work/deep", "/Work/deep/er"):
        grove.make_folder(home.id, path)
    for path in ("/report.txt", "/Work/Report 2.txt", "/Work/deep/er/my REPORT", "/Work/rapport"):
        grove.put(home.id, path, b"1")

    assert found(grove, home, part="report") == ["Work/Report 2.txt", "Work/deep/er/my REPORT", "report.txt"]
    assert found(grove, home, part="WORK") == ["Work"]
    assert found(grove, home, part="work/") == []


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("Café.txt", "cafe"),
        (unicodedata.normalize("NFD", "Café.txt"), "CAFÉ"),
        ("cafe.txt", "café"),
        ("Straße", "STRASSE"),
        ("STRASSE", "straße"),
        ("Ёлка", "елка"),
        ("ΟΔΟΣ", "οδός"),
        ("İstanbul", "istanbul"),
        ("\ufb01le", "file"),
        ("文档 2", "文档"),
    ],
)
def test_neither_case_nor_accents_nor_form_count(grove: Grove, home: Space, name: str, part: str) -> None:
    grove.put(home.id, f"/{name}", b"1")
    grove.put(home.id, "/other", b"2")

    assert found(grove, home, part=part) == [name]


@pytest.mark.parametrize("part", ["%", "_", "/", "\\", "100%", "a_b"])
def test_signs_of_the_databases_patterns_are_signs(grove: Grove, home: Space, part: str) -> None:
    grove.put(home.id, "/axb 1000", b"1")
    name = f"-{part}-" if part != "/" else None
    if name is not None:
        grove.put(home.id, f"/{name}", b"2")

    assert found(grove, home, part=part) == ([] if name is None else [name])


def test_kind_size_and_time_are_asked_too(grove: Grove, home: Space) -> None:
    grove.make_folder(home.id, "/ab")
    before = grove.now + SECOND
    grove.put(home.id, "/ab/abc", b"123")
    grove.put(home.id, "/abd", b"12345")

    assert found(grove, home, part="ab", kind=FOLDER) == ["ab"]
    assert found(grove, home, part="ab", kind=FILE) == ["ab/abc", "abd"]
    assert found(grove, home, least_size=5) == ["abd"]
    assert found(grove, home, most_size=3) == ["ab", "ab/abc"]
    assert found(grove, home, since=before, most_size=4) == ["ab/abc"]
    assert found(grove, home, until=before) == ["ab"]


def test_a_folder_that_is_not_meant_is_looked_into_all_the_same(grove: Grove, home: Space) -> None:
    grove.make_folder(home.id, "/x")
    grove.put(home.id, "/x/abc", b"1")

    assert found(grove, home, part="abc", kind=FILE, least_size=1) == ["x/abc"]


def test_nothing_deleted_and_nothing_of_others_is_found(grove: Grove, home: Space) -> None:
    other = grove.home(2, "bob")
    grove.make_folder(home.id, "/gone")
    grove.put(home.id, "/gone/secret", b"1")
    grove.put(other.id, "/secret", b"2")
    grove.put(home.id, "/secret", b"3")
    grove.delete(home.id, "/gone")

    assert found(grove, home, part="secret") == ["secret"]
    assert [hit.space_id for hit in hits(grove, home, other, part="secret").hits] == [home.id, other.id]


def test_so_much_is_told_and_that_there_is_more(grove: Grove, home: Space) -> None:
    for number in range(5):
        grove.put(home.id, f"/n{number}", b"1")

    whole, cut = hits(grove, home, part="n", most=5), hits(grove, home, part="n", most=4)

    assert (len(whole.hits), whole.is_cut) == (5, False)
    assert (len(cut.hits), cut.is_cut) == (4, True)


def test_so_much_is_read_and_no_more(grove: Grove, home: Space) -> None:
    """limits.search_rows; over all spaces together."""
    other = grove.project("other")
    for space in (home, other):
        for number in range(3):
            grove.put(space.id, f"/é{number}", b"1")

    whole, cut = (hits(grove, home, other, part="e", most_read=most) for most in (6, 5))

    assert (len(whole.hits), whole.is_cut) == (6, False)
    assert (len(cut.hits), cut.is_cut) == (5, True)


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_more_folders_than_one_statement_asks_for_are_walked(grove: Grove, home: Space) -> None:
    for number in range(FOLDERS_AT_ONCE + 2):
        grove.make_folder(home.id, f"/f{number}")
    grove.put(home.id, f"/f{FOLDERS_AT_ONCE + 1}/last", b"1")

    assert found(grove, home, part="last") == [f"f{FOLDERS_AT_ONCE + 1}/last"]


def test_spaces_are_those_that_may_be_had_one_by_one(grove: Grove, home: Space) -> None:
    bob, project = grove.home(2, "bob"), grove.project("apiary")

    def ids(user_id: int | None, *, is_admin: bool = False) -> set[int]:
        principal = Principal("token", "x", user_id, is_admin)
        return {each.id for each in grove.database.read(lambda connection: spaces_for(connection, principal))}

    assert ids(1) == {home.id, project.id}
    assert ids(2) == {bob.id}
    assert ids(3, is_admin=True) == {project.id}
    assert ids(None) == set()


@given(st.text(max_size=20))
def test_what_is_folded_stays_as_it_is(name: str) -> None:
    assert folded(folded(name)) == folded(name)


@given(st.text(max_size=12))
def test_a_name_is_found_by_any_form_of_itself(name: str) -> None:
    for form in ("NFC", "NFD", "NFKC", "NFKD"):
        assert folded(unicodedata.normalize(form, name)) == folded(name)
    assert folded(name.upper()) == folded(name) or not name.isascii()
