"""`creamery index show|explain|yank|unyank|delete|status`: what a project has, and what becomes of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from creamery.cli.hub import agreed, asks_a_hub, say
from creamery.cli.index_project import named_project
from creamery.cli.showing import plain
from creamery.cli.showing import show as show_table

if TYPE_CHECKING:
    from creamery.client import Hub

STATUSES = ("active", "archived", "deprecated", "quarantined")
FILE_COLUMNS = ("filename", "version", "size", "uploaded", "by", "yanked", "origin", "cached")
EXPLAINED_COLUMNS = ("filename", "version", "origin", "cached", "yanked", "offered", "reason")
FITTING_COLUMNS = (*EXPLAINED_COLUMNS, "fits", "misfit")
HERE = "this hub"

what_of_it = click.argument("what", metavar="VERSION|FILE")
with_reason = click.option("--reason", required=True, help="Why; pages and the journal keep it.")


@click.command(name="show")
@named_project
@asks_a_hub
def show(project: str, hub: Hub, *, as_json: bool) -> None:
    """Show the project NAME: whose name it is, and which files it has."""
    facts = hub.get("index", "projects", project)
    if as_json:
        click.echo(json.dumps(facts))
        return
    click.echo("\n".join(f"{name:<12} {plain(value)}" for name, value in _about(facts)))
    click.echo()
    rows = [_file(file) for file in facts["files"]]
    show_table(rows, FILE_COLUMNS, as_json=False, empty="It has no files.")


@click.command(name="explain")
@named_project
@click.option(
    "--for", "target", metavar="TARGET", help="Say also whether it would be taken there, such as python3.12-linux."
)
@asks_a_hub
def explain(project: str, target: str | None, hub: Hub, *, as_json: bool) -> None:
    """Say of each file of the project NAME whether it is offered, and why not.

    TARGET is a Python and linux, musl, macos or windows, then perhaps a processor: python3.12-linux-aarch64. linux is
    taken to have glibc 2.28, as prefetch takes it; musl to have 1.2, macos to be 15. One that cannot be read is the
    hub's to refuse: it ends with 1.
    """
    facts = hub.get("index", "projects", project, "explain", query={"for": target})
    if as_json:
        click.echo(json.dumps(facts))
        return
    click.echo("\n".join(f"{name:<12} {plain(value)}" for name, value in _why(facts)))
    click.echo()
    columns = EXPLAINED_COLUMNS if target is None else FITTING_COLUMNS
    rows = [_row(file) for file in facts["files"]]
    show_table(rows, columns, as_json=False, empty="The hub knows no files of it.")


@click.command(name="yank")
@named_project
@what_of_it
@with_reason
@asks_a_hub
def yank(project: str, what: str, reason: str, hub: Hub, *, as_json: bool) -> None:
    """Yank VERSION or FILE of the project NAME: only who asks for exactly that version still gets it (PEP 592)."""
    changed = hub.post("index", "projects", project, "yank", body={"what": what, "reason": reason})
    say(f"Yanked: {_names(changed)}.", changed, as_json=as_json)


@click.command(name="unyank")
@named_project
@what_of_it
@asks_a_hub
def unyank(project: str, what: str, hub: Hub, *, as_json: bool) -> None:
    """Take back that VERSION or FILE of the project NAME was yanked."""
    changed = hub.post("index", "projects", project, "unyank", body={"what": what})
    say(f"Yanked no more: {_names(changed)}.", changed, as_json=as_json)


@click.command(name="delete")
@named_project
@what_of_it
@with_reason
@click.option("--yes", is_flag=True, help="Do not ask whether it is meant.")
@asks_a_hub
def delete(project: str, what: str, reason: str, hub: Hub, *, yes: bool, as_json: bool) -> None:
    """Delete VERSION or FILE of the project NAME for ever. To yank is gentler: locked installations go on."""
    agreed(
        f"Delete {what} of {project} on {hub.address}? A deleted file's name never returns.", yes=yes, as_json=as_json
    )
    changed = hub.post("index", "projects", project, "delete", body={"what": what, "reason": reason})
    say(f"Deleted: {_names(changed)}.", changed, as_json=as_json)


@click.command(name="status")
@named_project
@click.argument("status", type=click.Choice(STATUSES))
@click.option("--reason", help="Why; pages and the journal keep it.")
@asks_a_hub
def status(project: str, status: str, reason: str | None, hub: Hub, *, as_json: bool) -> None:
    """Mark the project NAME as active, archived, deprecated or quarantined (PEP 792); the last hides its files."""
    facts = hub.put("index", "projects", project, "status", body={"status": status, "reason": reason})
    say(f"{project} is {facts['status']}.", facts, as_json=as_json)


def _about(facts: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [
        ("name", facts["name"]),
        ("status", _status(facts["status"], facts["reason"])),
        ("belongs to", _owner(facts)),
        ("owners", ", ".join(facts["owners"])),
        ("maintainers", ", ".join(facts["maintainers"])),
        ("versions", ", ".join(facts["versions"])),
        ("serial", str(facts["serial"])),
    ]


def _why(facts: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What there is to say of the project before its files; what goes without saying is left out."""
    asked = ", ".join(facts["asked"]) or "no upstream"
    if facts["unanswerable"]:
        asked = f"{facts['owner']} {facts['unanswerable']}"
    lines = [
        ("name", facts["name"]),
        *([] if facts["status"] == "active" else [("status", _status(facts["status"], facts["status_reason"]))]),
        ("belongs to", _owner({**facts, "upstream": facts["owner"]})),
        ("asked", asked),
    ]
    if facts["hidden"]:
        lines.append(("no page", facts["hidden"]))
    if facts["target"]:
        lines.append((facts["target"], f"takes {facts['taken'] or 'nothing'}"))
    return lines


def _status(status: str, reason: str | None) -> str:
    return f"{status}: {reason}" if reason else status


def _owner(facts: Mapping[str, Any]) -> str:
    if facts["hosted"]:
        return f"{HERE}, with the files of upstreams beside its own" if facts["merged"] else HERE
    return str(facts["upstream"] or "nobody")


def _file(file: Mapping[str, Any]) -> dict[str, Any]:
    """A row of the table."""
    return {**_row(file), "uploaded": file["upload_time"], "by": file["uploaded_by"]}


def _row(file: Mapping[str, Any]) -> dict[str, Any]:
    """A file is yanked with a reason, or without one: then it says so alone."""
    yanked = file["yanked"]
    return {**file, "yanked": yanked or yanked is not None, "origin": file["origin"] or HERE}


def _names(changed: Mapping[str, Any]) -> str:
    return ", ".join(changed["files"]) or "nothing"
