"""The shape of Cartd's `dump`."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]  # its types are a package of their own
from hypothesis import given
from hypothesis import strategies as st

from creamery.cli.cart_dump import cart_as_text, file_as_text, write_dump

CART = {"id": 7, "uid": "u", "bundle": False, "created": 1.5, "changed": 2.0, "state": "ready", "message": ""}
FILE = {"number": 0, "id": 3, "path": "a/b", "hashtype": None, "hashsum": None, "state": "here", "message": None}


def dumped(carts: list[tuple[dict[str, Any], list[dict[str, Any]]]], *, as_json: bool) -> str:
    out = io.StringIO()
    write_dump(((cart, iter(files)) for cart, files in carts), out.write, as_json=as_json)
    return out.getvalue()


def test_the_columns_are_the_originals() -> None:
    (cart,) = json.loads(dumped([(CART, [FILE])], as_json=True))

    (file,) = cart.pop("files")
    assert {**cart, "creation_date": "", "updated_date": ""} == {
        "id": "7",
        "cart_uid": "u",
        "bundle_path": "",
        "bundle": "False",
        "creation_date": "",
        "updated_date": "",
        "deleted_date": "None",
        "status": "ready",
        "error": "",
    }
    assert file == {
        "id": "0",
        "cart": "7",
        "file_name": "3",
        "bundle_path": "a/b",
        "hash_type": "None",
        "hash_value": "None",
        "status": "staged",
        "error": "",
    }


@pytest.mark.parametrize("as_json", [False, True])
def test_of_nothing_it_is_an_empty_list(as_json: bool) -> None:
    assert yaml.safe_load(dumped([], as_json=as_json)) == []


texts = st.text(max_size=20)
files = st.fixed_dictionaries(
    dict.fromkeys(("id", "path", "hashtype", "hashsum", "state", "message"), texts) | {"number": st.integers(0)}
)
carts = st.fixed_dictionaries(
    dict.fromkeys(("uid", "state", "message"), texts)
    | {"id": st.integers(0), "bundle": st.booleans(), "created": st.floats(0, 1e9), "changed": st.floats(0, 1e9)}
)


@given(st.lists(st.tuples(carts, st.lists(files, max_size=3)), max_size=3))
def test_whatever_carts_are_called_a_reader_finds_the_same_in_both(
    given_carts: list[tuple[dict[str, Any], list[dict[str, Any]]]],
) -> None:
    expected: list[dict[str, Any]] = []
    for cart, its_files in given_carts:
        columns: dict[str, Any] = dict(cart_as_text(cart))
        if its_files:
            columns["files"] = [file_as_text(file, columns["id"]) for file in its_files]
        expected.append(columns)

    assert json.loads(dumped(given_carts, as_json=True)) == expected
    assert yaml.safe_load(dumped(given_carts, as_json=False)) == expected
