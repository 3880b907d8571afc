"""What `creamery install` and `creamery run` do, once their words are read: click is not needed for it."""

from __future__ import annotations

import os
import sys

from creamery.cli.words import WrongWords
from creamery.client.places import and_above, place_words

TYPE_CHECKING = False  # `typing` takes half as long as Python's own start: uv is waited for
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from creamery.cli.words import Words
    from creamery.client.installing import Installed
    from creamery.client.launching import Launch

_NOT_ALL = "not everything that was built here is shared."


def install(said: Words) -> int:
    """Install what is asked for; returns uv's code.

    Raises:
        HubError: the hub is away, and nothing may be had elsewhere; or there is no uv.
    """
    from creamery.cli.wishing import warn, wish_of  # noqa: PLC0415 - as everything here: uv is to start soon
    from creamery.client.finding_uv import find_uv  # noqa: PLC0415
    from creamery.client.installing import install as installed_by  # noqa: PLC0415
    from creamery.client.launching import Launch, own_variables  # noqa: PLC0415

    wish, own, uv = wish_of("install", said), own_variables(), find_uv()
    arguments = [*place(said.rest, own, os.getcwd()), *said.rest]  # noqa: PTH109 - pathlib costs 3 ms of a start
    with Launch(wish, own, warn) as launch:

        def is_pinned() -> bool:
            from creamery.client.pinned import is_pinned as all_pinned  # noqa: PLC0415

            return all_pinned(said.rest, own)

        return told(launch, installed_by(launch, uv, arguments, is_pinned=is_pinned, own=own), uv, arguments, own)


def run(said: Words) -> int:
    """Run a command; returns how it ended.

    Raises:
        HubError: the hub is away, and nothing else may be asked; or there is no such program.
        WrongWords: there is no command.
    """
    from creamery.cli.wishing import warn, wish_of  # noqa: PLC0415
    from creamery.client.installing import run as run_by  # noqa: PLC0415
    from creamery.client.launching import Launch, own_variables  # noqa: PLC0415

    if not said.rest:
        raise WrongWords("say what is to be run: creamery run -- uv sync")
    own = own_variables()
    with Launch(wish_of("run", said), own, warn) as launch:
        return told(launch, run_by(launch, said.rest, own), "", (), own)


def told(launch: Launch, ended: Installed, uv: str, arguments: Sequence[str], own: Mapping[str, str]) -> int:
    """Tell it, once what was built is shared; returns how the command ended."""
    from creamery.cli.wishing import warn  # noqa: PLC0415

    try:
        _tell(launch, ended, uv, arguments, own)
    except KeyboardInterrupt:
        warn(_NOT_ALL)
        raise
    if ended.was_interrupted and launch.sharing is not None and launch.sharing.is_busy():
        warn(_NOT_ALL)
    return ended.code


def _tell(launch: Launch, ended: Installed, uv: str, arguments: Sequence[str], own: Mapping[str, str]) -> None:
    """What there is to tell, once what was built is shared."""
    wish = launch.wish
    outcomes = launch.builds.outcomes if launch.builds is not None else []
    if not (ended.changes or outcomes or wish.report or wish.as_json) or ended.was_interrupted:
        return
    from creamery.client.report import details, make_report, summary  # noqa: PLC0415

    if launch.sharing is not None:
        from creamery.cli.progress import Bar  # noqa: PLC0415 - `typing`, where nothing is shared

        with Bar("Sharing", quiet=wish.quiet) as bar:
            launch.sharing.wait(bar.begin, lambda done, of: bar.at(done, of, what="Sharing"))
    report = make_report(launch, ended, uv, arguments, own)
    line = summary(report)
    if line and not wish.quiet:
        told = details(report) if wish.is_verbose else []
        sys.stderr.write("\n".join([*told, line]) + "\n")
    if wish.as_json or wish.report:
        _write(report, wish.report, as_json=wish.as_json)


def _write(report: Mapping[str, Any], path: str, *, as_json: bool) -> None:
    import json  # noqa: PLC0415
    from pathlib import Path  # noqa: PLC0415

    from creamery.client.errors import UnusableInput  # noqa: PLC0415

    text = json.dumps(report, indent=2) + "\n"
    if as_json:
        sys.stdout.write(text)
    if path:
        try:
            Path(path).write_text(text, encoding="utf-8")
        except OSError as error:
            raise UnusableInput(f"The report {path} cannot be written: {error.strerror}.") from error


def place(arguments: Sequence[str], environ: Mapping[str, str], folder: str) -> list[str]:
    """Where to, in uv's words, where it would find nothing by itself."""
    is_known = any(name in environ for name in ("VIRTUAL_ENV", "CONDA_PREFIX", "UV_PYTHON", "UV_SYSTEM_PYTHON"))
    if place_words(arguments) or is_known or _has_venv(folder):
        return []
    return ["--python", sys.executable]


def _has_venv(folder: str) -> bool:
    return any(os.path.isdir(os.path.join(above, ".venv")) for above in and_above(folder))  # noqa: PTH112, PTH118
