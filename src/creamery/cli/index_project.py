"""How a project is named on the command line."""

from __future__ import annotations

import click


def _normalised(name: str) -> str:
    from creamery.contract import InvalidName, normalize  # noqa: PLC0415 - a command's help costs click alone

    try:
        return normalize(name)
    except InvalidName as error:
        raise click.BadParameter(str(error)) from error


named_project = click.argument("project", metavar="NAME", type=_normalised)
"""Its name in any spelling; the command receives it as names are compared (PEP 503)."""
