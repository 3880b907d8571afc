"""Numbers as people type them on a command line: with a unit of bytes, or a word for none of their own."""

from __future__ import annotations

import re
from typing import Any

import click


class Amount(click.ParamType[int]):
    """A number, also with a unit of bytes; -1: `default`."""

    name = "amount"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        found = re.fullmatch(r"([0-9]{1,15})(?:([KMGT])i?B?)?", str(value), re.ASCII | re.IGNORECASE)
        if found is None and value != "default":
            self.fail(f"{value!r} is no number, such as 100 or 500GiB, nor `default`", param, ctx)
        if found is None:
            return -1
        power = " KMGT".index(found[2].upper()) if found[2] else 0
        return int(found[1]) << 10 * power
