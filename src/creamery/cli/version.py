"""`creamery version`: what to write into a report of trouble."""

from __future__ import annotations

import json
import platform
from importlib.util import find_spec

import click

from creamery import __version__


@click.command(name="version")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def command(*, as_json: bool) -> None:
    """Show the version of Creamery, of Python and of the machine, and whether the hub's packages are here."""
    facts = {
        "creamery": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "hub": "installed" if find_spec("uvicorn") else "not installed",
    }
    if as_json:
        click.echo(json.dumps(facts))
    else:
        click.echo("\n".join(f"{name:<9} {value}" for name, value in facts.items()))
