"""`pacifica-cartd-cmd`: what whoever runs Pacifica Cartd does on its machine: the database, and carts one by one.

A server may run meanwhile. How a command ends: 0 done; 1 not done; 2 called wrongly; `dbchk` with 255 where the
database has another form than is needed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from creamery.cli.ago import read_ago
from creamery.cli.cart_dump import Told, cart_as_text, write_dump
from creamery.cli.cartd import Unstartable, read_settings, refuse, takes_a_config, wait_for_database
from creamery.cli.progress import Bar
from creamery.cli.showing import plain

if TYPE_CHECKING:
    from creamery.carts import Cart
    from creamery.cli.operator import OpenedData
    from creamery.settings import Settings

OTHER_FORM = 255
SYNC = "pacifica-cartd-cmd dbsync"


def parser() -> argparse.ArgumentParser:
    """The commands of `pacifica-cartd-cmd`, and their options."""
    found = argparse.ArgumentParser(prog="pacifica-cartd-cmd", description="Look after the carts of this machine.")
    takes_a_config(found)
    found.set_defaults(run=None)
    commands = found.add_subparsers(metavar="COMMAND")
    sync = commands.add_parser("dbsync", help="update or create the database")
    sync.set_defaults(run=_sync)
    check = commands.add_parser("dbchk", help="see whether the database has the form that is needed")
    check.add_argument("--equal", action="store_true", help="the very form; no other one is ever taken here")
    check.set_defaults(run=_check)
    fix = commands.add_parser("fixit", help="stage anew what has failed, and wait for it")
    fix.add_argument("--cartid", dest="uids", metavar="UID", nargs="+", default=[], help="the carts")
    fix.set_defaults(run=_fix)
    dump = commands.add_parser("dump", help="write everything about all carts: YAML, or JSON")
    dump.add_argument("--json", dest="as_json", action="store_true", help="JSON")
    dump.set_defaults(run=_dump)
    purge = commands.add_parser("purge", help="delete carts that have not changed for long")
    purge.add_argument(
        "--time-ago", dest="length", type=_ago, default=timedelta(days=180), help="for how long, as '7 days ago'  [180]"
    )
    purge.set_defaults(run=_purge)
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; the exit code."""
    given = parser().parse_args(arguments)
    if given.run is None:
        parser().print_help()
        return 0
    try:
        settings, cartd = read_settings(given.config)
        wait_for_database(settings, cartd)
        return int(given.run(settings, given))
    except (ModuleNotFoundError, Unstartable) as error:
        return refuse("pacifica-cartd-cmd", error)
    except click.ClickException as error:
        error.show()
        return error.exit_code


def _ago(text: str) -> timedelta:
    try:
        return read_ago(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _sync(settings: Settings, _: argparse.Namespace) -> int:
    from creamery.cli.db import upgrade_database  # noqa: PLC0415 - help costs argparse alone

    return upgrade_database(settings, as_json=False)


def _check(settings: Settings, _: argparse.Namespace) -> int:
    """A database that is not there is 1, as it was with Cartd."""
    from creamery.cli.db import check_database  # noqa: PLC0415

    state, revision = check_database(settings, as_json=False, remedy=SYNC)
    if state == "current":
        return 0
    return 1 if state == "unknown" or revision is None else OTHER_FORM


def _dump(settings: Settings, given: argparse.Namespace) -> int:
    from creamery.carts import cart_told, every_cart, file_rows  # noqa: PLC0415

    with _opened(settings) as data:

        def told() -> Iterator[tuple[Told, Iterator[dict[str, Any]]]]:
            for cart in every_cart(data.database):
                yield cart_told(cart), file_rows(data.database, cart)

        write_dump(told(), lambda text: click.echo(text, nl=False), as_json=given.as_json)
    return 0


def _purge(settings: Settings, given: argparse.Namespace) -> int:
    from creamery.carts import cart_told, purge  # noqa: PLC0415
    from creamery.clock import Micros  # noqa: PLC0415

    with _opened(settings) as data:
        before = Micros(data.by.now - given.length // timedelta(microseconds=1))
        while gone := purge(data.committer, before, data.by):
            for cart in gone:
                click.echo(f"deleting:{cart_as_text(cart_told(cart))}")
                click.echo("Cart Deleted Successfully")
    return 0


def _fix(settings: Settings, given: argparse.Namespace) -> int:
    """All of the carts are found before anything is done to one."""
    from creamery.carts import find_cart, stage_anew  # noqa: PLC0415
    from creamery.server import CannotServe, work  # noqa: PLC0415

    if not given.uids:
        return 0
    with _opened(settings) as data:
        carts = []
        for uid in dict.fromkeys(given.uids):
            cart = data.read(partial(find_cart, uid=uid))
            if cart is None:
                raise Unstartable(f"No cart with uid {uid} found")
            carts.append(cart)
        for cart in carts:
            data.write(partial(stage_anew, cart=cart, by=data.by))
        with Bar("staging", quiet=False) as bar:
            bar.begin(0)
            watched = _Watched(data, carts, bar)
            try:
                work(settings, watched.have_ended)
            except CannotServe as error:
                raise Unstartable(str(error)) from error
        return watched.tell()


class _Watched:
    """Carts that are staged anew."""

    def __init__(self, data: OpenedData, carts: Sequence[Cart], bar: Bar) -> None:
        self._data = data
        self._carts: list[Cart | None] = list(carts)
        self._bar = bar

    def have_ended(self) -> bool:
        """Is each of them ready, or failed, or gone?"""
        from creamery.carts import find_cart  # noqa: PLC0415

        self._carts = [cart and self._data.read(partial(find_cart, uid=cart.uid)) for cart in self._carts]
        there = [cart for cart in self._carts if cart is not None]
        files = f"{sum(cart.done_files for cart in there)} of {sum(cart.files for cart in there)} files"
        self._bar.at(sum(cart.done_bytes for cart in there), sum(cart.bytes for cart in there), what=files)
        return all(cart.state in {"ready", "error"} for cart in there)

    def tell(self) -> int:
        """Say what has become of them; the exit code."""
        from creamery.carts import file_rows  # noqa: PLC0415

        for cart in self._carts:
            if cart is not None and cart.state == "error":
                click.echo(plain(f"{cart.uid}: {cart.message}"), err=True)
                for file in file_rows(self._data.database, cart):
                    if file["state"] == "error":
                        click.echo(plain(f"  {file['path']}: {file['message']}"), err=True)
        return 0 if all(cart is not None and cart.state == "ready" for cart in self._carts) else 1


@contextmanager
def _opened(settings: Settings) -> Iterator[OpenedData]:
    """The database, if it is there.

    Raises:
        Unstartable: it is not.
    """
    from creamery.cli.operator import opened_database  # noqa: PLC0415

    if settings.database_url is None and not (settings.data / "creamery.sqlite3").is_file():
        raise Unstartable(f"there are no carts in {settings.data} yet; pacifica-cartd begins, or: {SYNC}")
    with opened_database(settings) as data:
        yield data


if __name__ == "__main__":
    sys.exit(main())
