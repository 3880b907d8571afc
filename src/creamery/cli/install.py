"""`creamery install`: uv installs, through a hub that has what other machines have built."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from creamery.cli.through import through_a_hub

_PLACES = ("--python", "-p", "--target", "-t", "--prefix", "--system")


@click.command(
    name="install",
    context_settings={"ignore_unknown_options": True},
    short_help="Install packages with uv, through a hub.",
)
@click.argument("arguments", metavar="[UV'S OWN OPTIONS]... REQUIREMENT...", nargs=-1, type=click.UNPROCESSED)
@through_a_hub
def command(arguments: tuple[str, ...], environ: Mapping[str, str]) -> list[str]:
    """Install packages: uv does it, and the hub has what other machines have built, so that this one need not.

    All options but those below are uv's own (`uv pip install --help`), such as -r FILE, -U or --target. Packages go
    into the environment that is switched on, else into .venv in this folder or above it, else into the one that
    creamery is installed in.
    """
    from creamery.client.uv import find_uv  # noqa: PLC0415 - a command's help costs click alone

    return [str(find_uv()), "pip", "install", *place(arguments, environ, Path.cwd()), *arguments]


def place(arguments: Sequence[str], environ: Mapping[str, str], folder: Path) -> list[str]:
    """Where to, in uv's words, where it would find nothing by itself."""
    is_said = any(word in _PLACES or word.startswith(tuple(f"{option}=" for option in _PLACES)) for word in arguments)
    is_known = any(name in environ for name in ("VIRTUAL_ENV", "CONDA_PREFIX", "UV_PYTHON", "UV_SYSTEM_PYTHON"))
    if is_said or is_known or any((each / ".venv").is_dir() for each in (folder, *folder.parents)):
        return []
    return ["--python", sys.executable]
