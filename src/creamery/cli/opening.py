"""What operators' commands have in common that open a hub's data, and how they end where they cannot."""

from __future__ import annotations

import fcntl
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from creamery.clock import Clock
    from creamery.database import Committer, Database
    from creamery.settings import Settings

FAILED, NOT_A_STORE, LOCKED = 2, 10, 11
"""The exit codes that they share: it could not be done, the directory is none of this hub's, somebody is at work."""


class End(Exception):
    """Nothing more can be done; the code is the process's."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code


@dataclass(frozen=True, slots=True)
class Opened:
    """A hub's database, and the instance that it and the data directory belong to."""

    database: Database
    instance: str


@contextmanager
def opened(settings: Settings, clock: Clock, *, quick: bool = False) -> Iterator[Opened]:
    """The data of a hub, whose database is whole and has the form that this Creamery knows.

    Args:
        settings: where it is.
        clock: what tells the time.
        quick: look through SQLite's file only after an unclean stop.

    Raises:
        End: there is none, or it is damaged, of another form, or another hub's.
        DatabaseUnavailable: it cannot be read.
    """
    from creamery.blobs import Audit, NotAStore  # noqa: PLC0415 - the help of a command costs click alone
    from creamery.database import Database  # noqa: PLC0415

    if not settings.data.is_dir():
        raise End(NOT_A_STORE, f"there is no directory {settings.data}; name the hub's with --data")
    with closing(Database(settings.resolved_database_url(), settings.limits)) as database:
        _check(database, quick=quick)
        try:
            instance = Audit(settings.data, database, (), settings.limits, clock).check_owner()
        except NotAStore as error:
            raise End(NOT_A_STORE, str(error)) from error
        yield Opened(database, instance)


def _check(database: Database, *, quick: bool) -> None:
    """What a damaged database says is no measure for files."""
    from creamery.database.schema import find_schema  # noqa: PLC0415

    if database.path is not None and not database.path.is_file():
        raise End(NOT_A_STORE, f"there is no database {database.path}; name the hub's directory with --data")
    if not quick or database.stopped_uncleanly:  # then our closing takes the log away that tells of it
        damage = database.find_damage()
        if damage is not None:
            raise End(FAILED, damage)
    form = find_schema(database)
    if not form.is_current:
        remedy = "install a newer Creamery" if form.is_newer else "run: creamery db upgrade"
        raise End(FAILED, f"the database {database.url} has not the form that this Creamery knows; {remedy}")


@contextmanager
def writing(database: Database, settings: Settings, clock: Clock) -> Iterator[Committer]:
    """A writer beside those of hubs that run; what it and others have to say goes to standard error."""
    from creamery.database import Committer, Generations  # noqa: PLC0415
    from creamery.telemetry import Telemetry, configure_command_logging  # noqa: PLC0415

    configure_command_logging()
    committer = Committer(database, Generations(database), settings.limits, clock, Telemetry())
    committer.start()
    try:
        yield committer
    finally:
        committer.close()


@contextmanager
def alone(data: Path, *, needed: bool) -> Iterator[None]:
    """Hold the lock that a running hub holds, where that is needed.

    Raises:
        End: a hub holds it.
    """
    if not needed or not (data / "store.json").is_file():  # then it is no store, which is said in a moment
        yield
        return
    with (data / "lock").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise End(LOCKED, f"a hub has {data} open; stop it, then repair") from None
        yield


Failures = tuple[type[Exception], ...]


def carry_out(
    work: Callable[[], tuple[int, Mapping[str, Any]]],
    tell: Callable[[Mapping[str, Any]], None],
    early: str,
    *,
    as_json: bool,
    like_disk: Failures = (),
    refusals: Mapping[type[Exception], int] | None = None,
) -> None:
    """Do a command's work, say what came of it, and end with its code.

    A program reads standard output, whatever it is told; people's errors are errors.

    Args:
        work: returns the code and the report.
        tell: tells people of the report.
        early: what has become of it where the disk or the database fails; the reason follows.
        as_json: a program asks.
        like_disk: what else ends it so.
        refusals: what says by itself why nothing was done, with its code.
    """
    from creamery.database import DatabaseUnavailable, DiskFull, WritesBusy  # noqa: PLC0415 - a help costs click alone

    codes = refusals or {}
    known: Failures = tuple(codes)
    of_the_disk: Failures = (OSError, DatabaseUnavailable, DiskFull, WritesBusy, *like_disk)
    code: int
    report: Mapping[str, Any]
    try:
        code, report = work()
    except click.ClickException as error:
        if not as_json:
            raise
        code, report = FAILED, {"error": error.message}
    except End as end:
        code, report = end.code, {"error": str(end)}
    except known as error:
        code = next(code for kind, code in codes.items() if isinstance(error, kind))
        report = {"error": str(error)}
    except of_the_disk as error:
        code, report = FAILED, {"error": f"{early}: {error}"}
    _answer(report, code, tell, as_json=as_json)


def _answer(report: Mapping[str, Any], code: int, tell: Callable[[Mapping[str, Any]], None], *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({"code": code, **report}))
    elif "error" in report:
        click.echo(f"Error: {printable(report['error'])}", err=True)
    else:
        tell(report)
    sys.exit(code)


def printable(shown: str) -> str:
    """A file's name may hold bytes that are no text; they show as numbers."""
    return shown.encode("utf-8", "backslashreplace").decode()
