"""`creamery run`: whatever installs, told to do it through a hub."""

from __future__ import annotations

from collections.abc import Mapping

import click

from creamery.cli.through import through_a_hub

_CALLED = {"ignore_unknown_options": True, "allow_interspersed_args": False}
"""What stands behind the command is the command's."""


@click.command(name="run", context_settings=_CALLED, short_help="Run a command that installs through a hub.")
@click.argument("arguments", metavar="-- COMMAND...", nargs=-1, required=True, type=click.UNPROCESSED)
@through_a_hub
def command(arguments: tuple[str, ...], _: Mapping[str, str]) -> list[str]:
    """Run COMMAND, such as `uv sync`, `tox` or `pip install flask`, so that uv and pip install through the hub.

    They are told by UV_DEFAULT_INDEX and PIP_INDEX_URL; what the command line or a project says of indexes goes before.
    """
    return list(arguments)
