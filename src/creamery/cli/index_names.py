"""`creamery index claim|merge|assign|reserve|unreserve|reserved`: whose the names of projects are."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from creamery.cli.hub import agreed, asks_a_hub, say
from creamery.cli.index_project import named_project
from creamery.cli.showing import show as show_table

if TYPE_CHECKING:
    from creamery.client import Hub

RESERVED_COLUMNS = ("pattern", "of")


@click.command(name="claim")
@named_project
@click.option("--yes", is_flag=True, help="Do not ask whether it is meant.")
@asks_a_hub
def claim(project: str, hub: Hub, *, yes: bool, as_json: bool) -> None:
    """Claim the name NAME for this hub, also where an upstream has a project of that name."""
    agreed(
        f"Claim {project} for {hub.address}? No upstream is asked for it again, for ever: who installs it gets what is"
        " uploaded here, or nothing.",
        yes=yes,
        as_json=as_json,
    )
    facts = hub.post("index", "projects", project, "claim")
    say(
        f"{project} belongs to this hub. Say who may upload to it: creamery index owner add {project} USER",
        facts,
        as_json=as_json,
    )


@click.command(name="merge")
@named_project
@click.option("--off", is_flag=True, help="Never again.")
@asks_a_hub
def merge(project: str, hub: Hub, *, off: bool, as_json: bool) -> None:
    """Let upstreams be asked for NAME although this hub has claimed it. Whoever owns the name there may then add to it.

    That is what a claim keeps out; take an own name instead, where you can.
    """
    facts = hub.post("index", "projects", project, "merge", body={"merged": not off})
    done = "No upstream is asked for {} any more." if off else "Upstreams are asked for {} too."
    say(done.format(project), facts, as_json=as_json)


@click.command(name="assign")
@click.argument("names", metavar="[NAME]...", nargs=-1)
@click.option("--from", "former", metavar="URL", help="All names that this upstream owns, instead of some.")
@click.option("--to", "new", metavar="URL", required=True, help="The upstream that they are to belong to.")
@asks_a_hub
def assign(names: tuple[str, ...], former: str | None, new: str, hub: Hub, *, as_json: bool) -> None:
    """Give the names NAME to another upstream. By itself a name's owner never changes."""
    if bool(names) == (former is not None):
        raise click.UsageError("name the projects; or say with --from whose names are meant, all of them")
    facts = hub.post("index", "assign", body={"from": former, "to": new, "names": list(names) or None})
    given = facts["names"]
    count = "1 name belongs" if len(given) == 1 else f"{len(given)} names belong"
    say(f"{count} to {new} now.", facts, as_json=as_json)


@click.command(name="reserve")
@click.argument("pattern")
@asks_a_hub
def reserve(pattern: str, hub: Hub, *, as_json: bool) -> None:
    """Keep names such as 'acme-*' for this hub: no upstream is ever asked for them. Quote it, or the shell reads it."""
    facts = hub.put("index", "reserved", pattern)
    hidden = ", ".join(facts["projects"])
    served = f" Nobody gets these of upstreams any more: {hidden}." if hidden else ""
    say(f"{facts['pattern']} is reserved.{served}", facts, as_json=as_json)


@click.command(name="unreserve")
@click.argument("pattern")
@asks_a_hub
def unreserve(pattern: str, hub: Hub, *, as_json: bool) -> None:
    """Let upstreams be asked for names like PATTERN again. Names that are claimed stay so."""
    hub.delete("index", "reserved", pattern)
    say(f"{pattern} is reserved no more.", {"pattern": pattern, "reserved": False}, as_json=as_json)


@click.command(name="reserved")
@asks_a_hub
def reserved(hub: Hub, *, as_json: bool) -> None:
    """List the names that no upstream is asked for: by command, and by the hub's settings."""
    facts = hub.get("index", "reserved")
    if as_json:
        click.echo(json.dumps(facts))
        return
    show_table(facts["items"], RESERVED_COLUMNS, as_json=False, empty="No names are reserved.")
