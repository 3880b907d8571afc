"""`creamery db`: look after the database's form. `serve` upgrades by itself; this is for doing it beforehand."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from creamery.cli.options import opens_the_data, settings_from

if TYPE_CHECKING:
    from creamery.settings import Settings

NO_UPSTREAM: Mapping[str, list[str]] = {"upstreams": []}
"""What pip on this machine would ask has nothing to do with the database."""


@click.group(name="db")
def command() -> None:
    """Upgrade the database, or see whether it needs that."""


@command.command(name="upgrade")
@opens_the_data
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def upgrade(data: Path | None, config: Path | None, *, as_json: bool) -> None:
    """Bring the database's tables to the form that this Creamery needs.

    Of several that are started at once one upgrades and the others wait. Ends with 0 when the database is current, 1
    when it cannot be upgraded, 2 when a setting is wrong.
    """
    from creamery.faults import arm  # noqa: PLC0415 - the help of `db` costs click alone

    settings = settings_from(config, data=data, index=NO_UPSTREAM)
    arm(settings.faults)
    sys.exit(upgrade_database(settings, as_json=as_json))


def upgrade_database(settings: Settings, *, as_json: bool) -> int:
    """Do it, say so, and return the exit code."""
    from creamery.clock import SystemClock  # noqa: PLC0415
    from creamery.database import Database, DatabaseUnavailable  # noqa: PLC0415
    from creamery.database.schema import upgrade as upgrade_schema  # noqa: PLC0415

    try:
        with closing(Database(settings.resolved_database_url(), settings.limits)) as database:
            before = upgrade_schema(database, settings.limits, SystemClock())
    except (DatabaseUnavailable, OSError) as error:
        _say({"error": _reason(error)}, f"Error: {_reason(error)}", as_json=as_json, is_error=True)
        return 1
    if as_json:
        click.echo(json.dumps({"database": database.url, "before": before.revision, "revision": before.head}))
    elif before.is_current:
        click.echo(f"The database {database.url} is current (revision {before.head}).")
    else:
        click.echo(f"The database {database.url} is upgraded: {before.revision or 'nothing'} -> {before.head}.")
    return 0


@command.command(name="check")
@opens_the_data
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def check(data: Path | None, config: Path | None, *, as_json: bool) -> None:
    """See whether the database has the form that this Creamery needs, and change nothing.

    Ends with 0 when it is current, 1 when `creamery db upgrade` is needed, 2 when that cannot be told or does not help.
    """
    state, _ = check_database(settings_from(config, data=data, index=NO_UPSTREAM), as_json=as_json)
    sys.exit({"current": 0, "behind": 1, "newer": 2, "unknown": 2}[state])


State = Literal["current", "behind", "newer", "unknown"]


def check_database(
    settings: Settings, *, as_json: bool, remedy: str = "creamery db upgrade"
) -> tuple[State, str | None]:
    """Look, say what is found, and return it, with the revision that the database has; `remedy` upgrades it."""
    from creamery.database import Database, DatabaseUnavailable  # noqa: PLC0415
    from creamery.database.schema import check_upgradable  # noqa: PLC0415

    try:
        with closing(Database(settings.resolved_database_url(), settings.limits)) as database:
            found = check_upgradable(database)
    except (DatabaseUnavailable, OSError) as error:
        unknown = {"state": "unknown", "error": _reason(error)}
        _say(unknown, f"Error: {_reason(error)}", as_json=as_json, is_error=True)
        return "unknown", None
    state: State = "current" if found.is_current else "newer" if found.is_newer else "behind"
    sentence = {
        "current": f"The database {database.url} is current (revision {found.head}).",
        "behind": f"The database {database.url} has revision {found.revision or 'none'} and needs {found.head}; run:"
        f" {remedy}",
        "newer": f"The database {database.url} has revision {found.revision}, and this Creamery knows up to"
        f" {found.head}; install a newer Creamery.",
    }[state]
    facts = {"state": state, "database": database.url, "revision": found.revision, "head": found.head}
    _say(facts, sentence, as_json=as_json)
    return state, found.revision


def _reason(error: Exception) -> str:
    return f"{error.filename}: {error.strerror}" if isinstance(error, OSError) else str(error)


def _say(facts: Mapping[str, str | None], sentence: str, *, as_json: bool, is_error: bool = False) -> None:
    """A program reads standard output, whatever it is told; people find what failed where errors are."""
    click.echo(json.dumps(facts) if as_json else sentence, err=is_error and not as_json)
