"""`pacifica-cartd`: carts alone, as Pacifica Cartd serves them, with its options, its files and its environment.

The options are read with argparse, as Cartd does it: what it took, such as `--addr 0.0.0.0`, this takes.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from creamery.cartd_configuration import CartdConfiguration
    from creamery.settings import Settings

ATTEMPTS, WAIT_SECONDS = 10, 20
"""How often Cartd asks for its database before it gives up, and how long it waits between."""


class Unstartable(Exception):
    """The command cannot begin; the text says why."""


def parser() -> argparse.ArgumentParser:
    """The options of `pacifica-cartd`."""
    found = argparse.ArgumentParser(
        prog="pacifica-cartd",
        description="Serve carts, and nothing else, as Pacifica Cartd does; any name is a cart's at the root.",
    )
    takes_a_config(found)
    found.add_argument("--cpconfig", metavar="CONFIG", type=Path, help="CherryPy's file  [CARTD_CPCONFIG]")
    found.add_argument("-p", "--port", metavar="PORT", type=int, help="port to listen on  [8081]")
    found.add_argument("-a", "--address", metavar="ADDRESS", help="address to listen on  [127.0.0.1]")
    return found


def takes_a_config(found: argparse.ArgumentParser) -> None:
    """Give a parser Cartd's `-c`."""
    found.add_argument("-c", "--config", metavar="CONFIG", type=Path, help="Cartd's INI file  [CARTD_CONFIG]")


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT; the exit code."""
    given = parser().parse_args(arguments)
    try:
        from creamery.server import CARTS, serve  # noqa: PLC0415 - help costs argparse alone

        settings, cartd = read_settings(given.config, given.cpconfig, host=given.address, port=given.port)
        wait_for_database(settings, cartd)
    except (ModuleNotFoundError, Unstartable) as error:
        return refuse("pacifica-cartd", error)
    return serve(settings, CARTS)


def refuse(program: str, error: Exception) -> int:
    """Say why a command does nothing, and with which code it ends.

    Raises:
        ModuleNotFoundError: a file of our own is missing: a defect of the package, not of the installation.
    """
    if isinstance(error, ModuleNotFoundError):
        if error.name is None or error.name.partition(".")[0] == "creamery":
            raise error
        error = Unstartable('it is part of the hub; install it with: pip install "creamery[server]"')
    sys.stderr.write(f"{program}: {error}\n")
    return 1


def read_settings(
    config: Path | None, cpconfig: Path | None = None, **listen: object
) -> tuple[Settings, CartdConfiguration]:
    """What Cartd's files, its environment and a command's flags make of the settings; what of it is lost is said.

    Raises:
        Unstartable: a file or a value is wrong.
    """
    from creamery.settings import SettingsError, load_cartd_settings  # noqa: PLC0415

    try:
        settings, cartd = load_cartd_settings(config, cpconfig, **listen)
    except SettingsError as error:
        raise Unstartable(str(error)) from error
    if cartd.unused:
        sys.stderr.write(f"Warning: these mean nothing here: {', '.join(cartd.unused)}\n")
    if cartd.pacifica_database is not None:
        sys.stderr.write(
            f"Warning: Cartd's database {cartd.pacifica_database} is left alone: carts are kept in"
            f" {'another one' if settings.database_url else settings.data / 'creamery.sqlite3'}\n"
        )
    return settings, cartd


def wait_for_database(settings: Settings, cartd: CartdConfiguration) -> None:
    """Wait until a database server answers, as long as Cartd would.

    Raises:
        Unstartable: it does not.
    """
    from creamery.cartd_configuration import CartdMisconfigured  # noqa: PLC0415
    from creamery.clock import SystemClock  # noqa: PLC0415
    from creamery.database import Database, DatabaseUnavailable  # noqa: PLC0415

    try:
        attempts = int(cartd.number("database.connect_attempts", ATTEMPTS))
        seconds = cartd.number("database.connect_wait", WAIT_SECONDS)
    except CartdMisconfigured as error:
        raise Unstartable(str(error)) from error
    url = settings.resolved_database_url()
    while not url.startswith("sqlite"):
        try:
            with closing(Database(url, settings.limits)) as database:
                database.check()
                return
        except DatabaseUnavailable as error:
            attempts -= 1
            if attempts <= 0:
                raise Unstartable(str(error)) from error
            sys.stderr.write(f"pacifica-cartd: {error}; asking again in {seconds:g} s\n")
            SystemClock().sleep(seconds)


if __name__ == "__main__":
    sys.exit(main())
