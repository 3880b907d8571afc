"""What operators' commands have in common that change rows: the database, opened, and one write."""

from __future__ import annotations

import getpass
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from creamery.cli.opening import writing
from creamery.cli.options import settings_from

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from creamery.accounts import By
    from creamery.database import Committer, Database
    from creamery.limits import Limits
    from creamery.settings import Settings

T = TypeVar("T")


class NotDone(click.ClickException):
    """What was asked cannot be done; click prints the message and ends with status 1."""


@dataclass(frozen=True, slots=True)
class OpenedData:
    """The database of a hub that may be running, and who is at work on it, for the journal."""

    database: Database
    committer: Committer
    by: By
    settings: Settings

    @property
    def limits(self) -> Limits:
        """The hub's."""
        return self.settings.limits

    def issuer(self) -> str:
        """The provider of OpenID Connect that the hub trusts.

        Raises:
            NotDone: there is none.
        """
        if self.settings.accounts.oidc_issuer is None:
            raise NotDone("the settings name no provider of OpenID Connect; set accounts.oidc_issuer")
        return self.settings.accounts.oidc_issuer

    def read(self, question: Callable[[Connection], T]) -> T:
        """Ask something."""
        return self.database.read(question)

    def write(self, work: Callable[[Connection], T]) -> T:
        """Change something; on return it holds in every process."""
        return self.committer.write(work)


@contextmanager
def opened_data(data: Path | None, config: Path | None) -> Iterator[OpenedData]:
    """Open the database that a command's options name; as `opened_database`."""
    with opened_database(settings_from(config, data=data)) as opened:
        yield opened


@contextmanager
def opened_database(settings: Settings) -> Iterator[OpenedData]:
    """Open the database that the settings name.

    Raises:
        NotDone: it does not answer, or needs an upgrade; or what is done with it is refused.
    """
    from creamery.accounts import (  # noqa: PLC0415 - a command's help costs click alone
        By,
        IdentityTaken,
        InvalidAccountName,
        InvalidSubject,
        LastAdministrator,
        NameTaken,
        NoSuchAccount,
        NoSuchIdentity,
        NoSuchToken,
        PasswordRefused,
        TokenRefused,
        UnknownScope,
    )
    from creamery.blobs import StoreMismatch, restoring  # noqa: PLC0415
    from creamery.clock import SystemClock  # noqa: PLC0415
    from creamery.database import Database, DatabaseUnavailable, DiskFull, WritesBusy  # noqa: PLC0415
    from creamery.database.schema import is_current  # noqa: PLC0415
    from creamery.jobs import JobRefused, NoSuchJob  # noqa: PLC0415

    clock = SystemClock()
    refusals = (
        *(DatabaseUnavailable, DiskFull, StoreMismatch, WritesBusy),
        *(InvalidAccountName, LastAdministrator, NameTaken, NoSuchAccount, NoSuchToken, PasswordRefused),
        *(TokenRefused, UnknownScope, JobRefused, NoSuchJob),
        *(IdentityTaken, InvalidSubject, NoSuchIdentity),
    )
    try:
        with closing(Database(settings.resolved_database_url(), settings.limits)) as database:
            restoring.refuse(settings.data)
            if database.path is not None and not database.path.is_file():
                raise NotDone(
                    f"there is no database {database.url}; name the hub's own with --data or --config, or with the"
                    " hub's environment"
                )
            if not is_current(database):
                raise NotDone(f"the database {database.url} needs an upgrade; run: creamery db upgrade")
            with writing(database, settings, clock) as committer:
                yield OpenedData(database, committer, By(clock.now(), _who()), settings)
    except refusals as error:
        raise NotDone(str(error)) from error


def new_password(*, from_stdin: bool) -> str:
    """A password, asked for twice, or the first line of standard input.

    Raises:
        NotDone: none was given, or the two differ.
    """
    if from_stdin:
        password = sys.stdin.readline().rstrip("\r\n")
        if not password:
            raise NotDone("standard input holds no password")
        return password
    return str(click.prompt("Password", hide_input=True, confirmation_prompt=True))


def moment(micros: int | None) -> str | None:
    """A time as people and programs read it (RFC 3339, UTC); None stays None."""
    from datetime import UTC, datetime  # noqa: PLC0415

    if micros is None:
        return None
    return datetime.fromtimestamp(micros // 1_000_000, UTC).isoformat().replace("+00:00", "Z")


def _who() -> str:
    """For the journal: who called the command, on this machine."""
    try:
        return f"command:{getpass.getuser()}"
    except (KeyError, OSError):  # a user without a name, in a container
        return "command"
