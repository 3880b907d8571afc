"""`creamery install`: uv installs, through a hub that has what other machines have built."""

from __future__ import annotations

from creamery.cli.through import through_a_hub


@through_a_hub("install")
def command() -> None:
    """Install packages: uv does it, and the hub has what other machines have built, so that this one need not.

    All options but those below are uv's own (`uv pip install --help`), such as -r FILE, -U or --target. Packages go
    into the environment that is switched on, else into .venv in this folder or above it, else into the one that
    creamery is installed in.
    """
