"""All that is known of carts, in the shape in which Cartd's `dump` writes it: every value a text, YAML or JSON.

A cart's files are written as they come: a million of them are never in memory together.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

Told = Mapping[str, Any]
"""A cart or a file as the hub's JSON has it."""

Text = Mapping[str, str]
"""The same as Cartd writes it."""

WIDEST = 0xFFFF

STATES = {"here": "staged"}
"""What Cartd calls a file's state, where it is another word than ours."""


def write_dump(carts: Iterable[tuple[Told, Iterable[Told]]], write: Callable[[str], object], *, as_json: bool) -> None:
    """Write carts with their files."""
    is_empty = True
    for cart, files in carts:
        columns = cart_as_text(cart)
        texts = (file_as_text(file, columns["id"]) for file in files)
        if as_json:
            write("[" if is_empty else ", ")
            _write_json(columns, texts, write)
        else:
            _write_yaml(columns, texts, write)
        is_empty = False
    if is_empty:
        write("[]\n")
    elif as_json:
        write("]\n")


def cart_as_text(cart: Told) -> dict[str, str]:
    """A cart's columns, as Cartd calls them."""
    return {
        "id": str(cart["id"]),
        "cart_uid": str(cart["uid"]),
        "bundle_path": "",
        "bundle": str(bool(cart["bundle"])),
        "creation_date": _moment(cart["created"]),
        "updated_date": _moment(cart["changed"]),
        "deleted_date": "None",
        "status": str(cart["state"]),
        "error": str(cart["message"]),
    }


def file_as_text(file: Told, cart_id: str) -> dict[str, str]:
    """A file's."""
    return {
        "id": str(file["number"]),
        "cart": cart_id,
        "file_name": str(file["id"]),
        "bundle_path": str(file["path"]),
        "hash_type": str(file["hashtype"]),
        "hash_value": str(file["hashsum"]),
        "status": STATES.get(file["state"], str(file["state"])),
        "error": str(file["message"] or ""),
    }


def _write_json(cart: Text, files: Iterable[Text], write: Callable[[str], object]) -> None:
    write(json.dumps(cart)[:-1])
    end = "}"
    for file in files:
        write((', "files": [' if end == "}" else ", ") + json.dumps(file))
        end = "]}"
    write(end)


def _write_yaml(cart: Text, files: Iterable[Text], write: Callable[[str], object]) -> None:
    write(_block(cart, ""))
    has_files = False
    for file in files:
        write(("" if has_files else "  files:\n") + _block(file, "  "))
        has_files = True


def _block(columns: Text, indent: str) -> str:
    lines = [f"{indent}  {name}: {_quoted(value)}" for name, value in columns.items()]
    return "\n".join([f"{indent}- {lines[0].strip()}", *lines[1:], ""])


def _quoted(text: str) -> str:
    """A JSON string is a YAML string too, but for characters that JSON writes as two."""
    inner = (f"\\U{ord(letter):08x}" if ord(letter) > WIDEST else json.dumps(letter)[1:-1] for letter in text)
    return f'"{"".join(inner)}"'


def _moment(seconds: float) -> str:
    """As Cartd has it: this machine's time, and no word of its zone."""
    return str(datetime.fromtimestamp(seconds, UTC).astimezone().replace(tzinfo=None))
