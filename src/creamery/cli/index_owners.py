"""`creamery index owner`: who may change a project."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from creamery.cli.hub import asks_a_hub, say
from creamery.cli.index_project import named_project
from creamery.cli.showing import show as show_table

if TYPE_CHECKING:
    from creamery.client import Hub

as_maintainer = click.option(
    "--maintainer", is_flag=True, help="As a maintainer, who uploads and yanks; an owner may everything."
)


@click.group(name="owner")
def owner() -> None:
    """Show and change the owners and maintainers of a project."""


@owner.command(name="list")
@named_project
@asks_a_hub
def list_owners(project: str, hub: Hub, *, as_json: bool) -> None:
    """List who may change the project NAME."""
    facts = hub.get("index", "projects", project, "roles")
    if as_json:
        click.echo(json.dumps(facts))
        return
    rows = [{"who": who, "role": role.removesuffix("s")} for role in ("owners", "maintainers") for who in facts[role]]
    show_table(rows, ("who", "role"), as_json=False, empty=f"{project} has no owners; administrators may change it.")


@owner.command(name="add")
@named_project
@click.argument("user")
@as_maintainer
@asks_a_hub
def add(project: str, user: str, hub: Hub, *, maintainer: bool, as_json: bool) -> None:
    """Make USER an owner of the project NAME."""
    facts = hub.put("index", "projects", project, _role(maintainer=maintainer), user)
    say(f"{user} is {'a maintainer' if maintainer else 'an owner'} of {project}.", facts, as_json=as_json)


@owner.command(name="remove")
@named_project
@click.argument("user")
@as_maintainer
@asks_a_hub
def remove(project: str, user: str, hub: Hub, *, maintainer: bool, as_json: bool) -> None:
    """Let USER be an owner of the project NAME no more."""
    facts = hub.delete("index", "projects", project, _role(maintainer=maintainer), user)
    say(f"{user} is {'a maintainer' if maintainer else 'an owner'} of {project} no more.", facts, as_json=as_json)


def _role(*, maintainer: bool) -> str:
    return "maintainers" if maintainer else "owners"
