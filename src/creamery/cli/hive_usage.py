"""`creamery hive usage`: the spaces of whoever asks, and what of them is used."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from creamery.cli.hub import asks_a_hub
from creamery.cli.showing import show

if TYPE_CHECKING:
    from creamery.client import Hub

COLUMNS = ("id", "name", "kind", "owner", "files", "versions", "trash", "available", "quota")


@click.command(name="usage")
@asks_a_hub
def usage(hub: Hub, *, as_json: bool) -> None:
    """List the spaces of whoever asks, what of them is used, and what is available, in bytes."""
    found = hub.get("hive", "spaces")["items"]
    rows = [
        each | {"files": each["used_files"], "versions": each["used_versions"], "trash": each["used_trash"]}
        for each in found
    ]
    show(found if as_json else rows, COLUMNS, as_json=as_json, empty="There are no spaces yet.")
