"""`creamery run`: whatever installs, told to do it through a hub."""

from __future__ import annotations

from creamery.cli.through import through_a_hub


@through_a_hub("run")
def command() -> None:
    """Run COMMAND, such as `uv sync`, `tox` or `pip install flask`, so that what it installs comes through the hub.

    uv and pip are told by UV_DEFAULT_INDEX and PIP_INDEX_URL; what the command line or a project says of indexes goes
    before. What uv builds, whatever it was told, is taken from the hub if it was built before.
    """
