"""`creamery doctor`: what is wrong with the set-up for installing through a hub."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from creamery.cli.hub import hub_option, token_options
from creamery.cli.installing import place
from creamery.cli.showing import show

if TYPE_CHECKING:
    from creamery.client.checks import Check
    from creamery.client.other_indexes import PipFiles

COLUMNS = ("what", "state", "found", "remedy")
PIP_OPTIONS = ("extra-index-url", "find-links", "index-url")

_SHOWN = {"ok": "OK"}


def _who_and_where(command: Callable[..., None]) -> Callable[..., None]:
    for option in reversed((hub_option("-c", said="The hub to look at."), *token_options())):
        command = option(command)
    return command


@click.command(name="doctor", short_help="Say what is wrong with the set-up.")
@_who_and_where
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def command(
    hub_url: str, token_file: Path | None, token: str | None, netrc_file: Path | None, *, as_json: bool
) -> None:
    """Look at all that `creamery install` and `creamery run` need, and say what is wrong, with the remedy.

    uv; the hub, whether it answers, and what it lets you do; other indexes that would be asked besides; the Python that
    packages go to; a compiler; room on the disk. Nothing is changed.

    Ends with 0 where nothing is wrong, warnings or not, else with 1.
    """
    from creamery.client import Sources  # noqa: PLC0415 - a command's help costs click alone
    from creamery.client.checkup import Clock, examine  # noqa: PLC0415
    from creamery.client.launching import own_variables  # noqa: PLC0415
    from creamery.client.machine import Machine  # noqa: PLC0415
    from creamery.clock import SECOND, SystemClock  # noqa: PLC0415

    own, folder, clock = own_variables(), _here(), SystemClock()
    machine = Machine(own, folder, lambda: place((), own, str(folder)))
    told = Clock(lambda: clock.now() / SECOND, clock.monotonic)
    checks = examine(hub_url, Sources(token_file, token, netrc_file), machine, lambda: _of_pip(own), told)
    is_ok = all(check.state != "wrong" for check in checks)
    if as_json:
        click.echo(json.dumps({"ok": is_ok, "checks": [asdict(check) for check in checks]}))
    else:
        show([_row(check) for check in checks], COLUMNS, as_json=False, empty="")
    sys.exit(0 if is_ok else 1)


def _here() -> Path:
    """Where the command is called; a folder that is gone has nothing in it."""
    try:
        return Path.cwd()
    except OSError:
        return Path("/")


def _of_pip(environ: Mapping[str, str]) -> PipFiles:
    from creamery.pip_configuration import pip_files_values  # noqa: PLC0415

    return [(name, value, path) for name in PIP_OPTIONS for value, path in pip_files_values(environ, name)]


def _row(check: Check) -> dict[str, Any]:
    return {**asdict(check), "what": check.name, "state": _SHOWN.get(check.state, check.state)}
