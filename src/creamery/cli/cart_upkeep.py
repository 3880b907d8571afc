"""`creamery cart purge|dump`: what whoever runs a hub does to all of its carts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import click

from creamery.cli.ago import read_ago
from creamery.cli.cart_dump import Told, write_dump
from creamery.cli.hub import agreed, asks_a_hub
from creamery.cli.showing import plain

if TYPE_CHECKING:
    from creamery.client import Hub


class _Ago(click.ParamType[timedelta]):
    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        if isinstance(value, timedelta):
            return value
        try:
            return read_ago(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


@click.command(name="purge")
@click.option(
    "--time-ago",
    "length",
    type=_Ago(),
    default="180 days ago",
    show_default=True,
    help="Carts that have not changed since, as '7 days ago'.",
)
@click.option("--yes", is_flag=True, help="Do not ask.")
@asks_a_hub
def purge(length: timedelta, hub: Hub, *, yes: bool, as_json: bool) -> None:
    """Delete old carts, whoever they belong to; for administrators."""
    agreed(f"Delete everybody's carts on {hub.address} that have not changed for {length}?", yes=yes, as_json=as_json)
    root, gone = hub.at_root(), list[str]()
    query = {"unchanged_for": str(int(length.total_seconds()))}
    while deleted := root.delete("carts", query=query)["deleted"]:
        for cart in deleted:
            gone.append(cart["uid"])
            if not as_json:
                click.echo(f"Deleted: {plain(cart['uid'])}")
    click.echo(json.dumps({"deleted": gone}) if as_json else f"{len(gone)} carts deleted.")


@click.command(name="dump")
@asks_a_hub
def dump(hub: Hub, *, as_json: bool) -> None:
    """Write everything about the carts of whoever asks, of everybody for administrators: YAML, or JSON."""
    root = hub.at_root()
    write_dump(_with_files(root), lambda text: click.echo(text, nl=False), as_json=as_json)


def every_cart(root: Hub) -> Iterator[dict[str, Any]]:
    """The carts of whoever asks, the newest first."""
    before: str | None = None
    while carts := root.get("carts", query={"before": before})["carts"]:
        yield from carts
        before = str(carts[-1]["id"])


def _with_files(root: Hub) -> Iterator[tuple[Told, Iterator[Told]]]:
    """Of several carts of one name the newest: the others can be asked for nothing."""
    seen = set[str]()
    for cart in every_cart(root):
        if cart["uid"] not in seen:
            seen.add(cart["uid"])
            yield cart, _files(root, cart["uid"])


def _files(root: Hub, uid: str) -> Iterator[dict[str, Any]]:
    """None of one that was deleted meanwhile."""
    from creamery.client import Refused, UnusableInput  # noqa: PLC0415 - a command's help costs click alone

    after: str | None = None
    try:
        while files := root.get("carts", uid, "files", query={"after": after})["files"]:
            yield from files
            after = str(files[-1]["number"])
    except Refused as error:
        if error.status != 404:  # noqa: PLR2004 - not found
            raise
    except UnusableInput as error:
        click.echo(f"Warning: {error.sentence} The files of that cart are left out.", err=True)
