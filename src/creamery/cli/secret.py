"""`creamery secret`: replace what cookies and links are signed with."""

from __future__ import annotations

import json
from pathlib import Path

import click

from creamery.cli.operator import NotDone
from creamery.cli.options import opens_the_data, settings_from


@click.group(name="secret")
def command() -> None:
    """Replace what cookies and links are signed with."""


@command.command(name="rotate")
@click.option("--leaked", is_flag=True, help="Believe no former one any more: everybody signs in again.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@opens_the_data
def rotate(data: Path | None, config: Path | None, *, leaked: bool, as_json: bool) -> None:
    """Make a new secret. Hubs that run sign with it at once.

    What was signed with the former one is believed for `limits.secret_seconds` more, so that nobody has to sign in
    again; with --leaked it is not. Tokens and passwords have nothing to do with it.
    """
    from creamery.accounts import SecretFile, SecretUnreadable  # noqa: PLC0415 - a command's help costs click alone
    from creamery.blobs import StoreMismatch, restoring  # noqa: PLC0415
    from creamery.clock import SECOND, Micros, SystemClock  # noqa: PLC0415

    settings, now = settings_from(config, data=data), SystemClock().now()
    if settings.secret_key is not None:
        raise NotDone(
            "this hub signs with secret_key: set a new one there, and give the former one as secret_key_fallbacks as"
            " long as it should be believed"
        )
    if not settings.data.is_dir():
        raise NotDone(f"there is no directory {settings.data}; name the hub's with --data")
    keep_from = now + 1 if leaked else now - int(settings.limits.secret_seconds * SECOND)
    file = SecretFile(settings.data)
    try:
        restoring.refuse(settings.data)
        believed = file.rotate(now, keep_from=Micros(keep_from))
    except (SecretUnreadable, StoreMismatch, OSError) as error:
        raise NotDone(str(error)) from error
    if as_json:
        click.echo(json.dumps({"path": str(file.path), "former_believed": believed}))
        return
    if believed:
        days = settings.limits.secret_seconds / 86_400
        click.echo(f"{file.path} is new. What was signed with the former one is believed for {days:g} more days.")
    else:
        click.echo(f"{file.path} is new. Nothing that was signed before is believed: everybody signs in again.")
    click.echo("A hub that was started with a SECRET_KEY of its own does not look there.", err=True)
