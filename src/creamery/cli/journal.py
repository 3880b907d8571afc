"""`creamery journal`: who did what to which thing, when, and from where."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from creamery.cli.operator import moment, opened_data
from creamery.cli.options import opens_the_data

if TYPE_CHECKING:
    from creamery.journal import Entry

LOOK_SECONDS = 1.0
AT_ONCE = 1_000


@click.command(name="journal")
@click.option("--lines", default=50, show_default=True, type=click.IntRange(0, 1_000_000), help="So many of the last.")
@click.option("--since", default=None, type=click.IntRange(0), metavar="SERIAL", help="All after this one instead.")
@click.option("--follow", is_flag=True, help="Go on with what comes, until interrupted.")
@click.option("--json", "as_json", is_flag=True, help="For programs: an object a line.")
@opens_the_data
def command(
    lines: int, since: int | None, data: Path | None, config: Path | None, *, follow: bool, as_json: bool
) -> None:
    """Show what changed: who did it, to what, when, and from where."""
    from creamery.clock import SystemClock  # noqa: PLC0415 - the help costs click alone
    from creamery.journal import latest  # noqa: PLC0415
    from creamery.journal import since as entries_since  # noqa: PLC0415

    with opened_data(data, config) as opened:
        serial = since
        if serial is None:
            entries = opened.read(lambda connection: latest(connection, max(lines, 1)))
            serial = entries[-1].serial if entries else 0
            _print(entries if lines else [], as_json=as_json)
            if not follow:
                return
        while True:
            entries = opened.read(partial(entries_since, serial=serial, limit=AT_ONCE))
            _print(entries, as_json=as_json)
            if entries:
                serial = entries[-1].serial
            elif not follow:
                return
            else:
                SystemClock().sleep(LOOK_SECONDS)


def _print(entries: Sequence[Entry], *, as_json: bool) -> None:
    for entry in entries:
        when = moment(entry.at)
        if as_json:
            click.echo(json.dumps(asdict(entry) | {"at": when}))
        else:
            origin = f" from {entry.origin}" if entry.origin else ""
            detail = " ".join(f"{name}={value}" for name, value in entry.detail.items() if value not in (None, [], {}))
            line = f"{when}  {entry.serial:>6}  {entry.door}: {entry.action} {entry.subject}  by {entry.actor}{origin}"
            click.echo(f"{line}  {detail}".rstrip())
