"""`curd-server`: a folder full of wheels, served as Curdling's server does, with its options.

The options are read with argparse, as Curdling does it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from creamery.cli.cartd import Unstartable, refuse

if TYPE_CHECKING:
    from creamery.settings import Settings

PROGRAM = "curd-server"


def parser() -> argparse.ArgumentParser:
    """The options of `curd-server`."""
    found = argparse.ArgumentParser(
        prog=PROGRAM,
        description="Serve a folder full of wheels, as Curdling's server does. Files that are dropped into it are"
        " noticed; wheels that are pushed are written into it.",
    )
    found.add_argument("-d", "--debug", action="store_true", help="log everything")
    found.add_argument("-H", "--host", default="0.0.0.0", help="address to listen on  [0.0.0.0]")  # noqa: S104 - Curdling's
    found.add_argument("-p", "--port", type=int, default=8000, help="port to listen on  [8000]")
    found.add_argument(
        "-u",
        "--user-db",
        metavar="USER_DB",
        type=Path,
        help="password file (htpasswd); without it anybody may come in",
    )
    found.add_argument(
        "--data", metavar="DIR", type=Path, help="where digests and the journal lie, never in DIRECTORY  [in your home]"
    )
    found.add_argument("directory", metavar="DIRECTORY", type=Path, help="the folder")
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT; the exit code."""
    given = parser().parse_args(arguments)
    try:
        from creamery.server import serve, wheels_of_folder  # noqa: PLC0415 - help costs argparse alone

        settings = _read_settings(given)
    except (ModuleNotFoundError, Unstartable) as error:
        return refuse(PROGRAM, error)
    return serve(settings, wheels_of_folder(given.directory.absolute()))


def _read_settings(given: argparse.Namespace) -> Settings:
    """What the flags make of the settings.

    Raises:
        Unstartable: one of them is wrong.
    """
    from creamery.settings import SettingsError, load_curd_settings  # noqa: PLC0415

    folder: Path = given.directory.absolute()
    if not folder.is_dir():
        raise Unstartable(f"{given.directory} is no folder")
    if given.user_db is not None and not given.user_db.is_file():
        raise Unstartable(f"-u {given.user_db}: there is no such file")
    listen = {"host": given.host, "port": given.port}
    try:
        settings = load_curd_settings(folder, given.data, given.user_db, debug=given.debug, **listen)
    except SettingsError as error:
        raise Unstartable(str(error)) from error
    if settings.data.absolute().is_relative_to(folder):
        raise Unstartable(f"the data directory {settings.data} lies in {folder}: name another one with --data")
    return settings


if __name__ == "__main__":
    sys.exit(main())
