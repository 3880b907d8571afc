"""How commands show what they found: a table for people, JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import click

WIDE = 100_000
"""Columns of what is no terminal."""


def show(rows: Sequence[Mapping[str, Any]], columns: Sequence[str], *, as_json: bool, empty: str) -> None:
    """A table for people, a list of objects for programs."""
    if as_json:
        click.echo(json.dumps([dict(row) for row in rows]))
    elif not rows:
        click.echo(empty)
    else:
        from rich.console import Console  # noqa: PLC0415
        from rich.table import Table  # noqa: PLC0415
        from rich.text import Text  # noqa: PLC0415

        table = Table(box=None, pad_edge=False, header_style="bold")
        for column in columns:
            table.add_column(column, overflow="fold")
        for row in rows:
            table.add_row(*(Text(plain(_cell(row[column]))) for column in columns))  # no markup in it counts
        console = Console()
        if not console.is_terminal:  # what reads it, such as grep, wants each row on its line
            console.width = WIDE
        console.print(table)


def plain(text: str) -> str:
    """Text that others wrote, on one line, without what a terminal would obey."""
    if text.isprintable():
        return text
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else ""
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value))
    return "" if value is None else str(value)
