"""`creamery token`: make, list and take back the tokens of a hub's users."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from creamery.cli.operator import NotDone, moment, opened_data
from creamery.cli.options import opens_the_data
from creamery.cli.showing import show

if TYPE_CHECKING:
    from creamery.accounts import Token

TOKEN_COLUMNS = ("id", "user", "name", "ending", "scopes", "expires", "created", "used")

_SPAN = re.compile(r"([1-9][0-9]{0,4})([hdwy])", re.ASCII)
_SECONDS = {"h": 3_600, "d": 86_400, "w": 604_800, "y": 31_536_000}

for_programs = click.option("--json", "as_json", is_flag=True, help="For programs.")


@click.group(name="token")
def command() -> None:
    """Make, list and take back tokens."""


@command.command(name="create")
@click.option("--user", required=True, help="Whose it is.")
@click.option("--name", required=True, help="What its user knows it by, such as `laptop`.")
@click.option("--scope", "scopes", multiple=True, required=True, help="What it may at most; several are possible.")
@click.option("--expires", default="1y", show_default=True, help="When it ends: `12h`, `30d`, `8w`, `1y`, or `never`.")
@for_programs
@opens_the_data
def create(
    user: str,
    name: str,
    scopes: tuple[str, ...],
    expires: str,
    data: Path | None,
    config: Path | None,
    *,
    as_json: bool,
) -> None:
    """Make a token. It is shown once: what is kept does not tell it."""
    from creamery.accounts import create_token, parse_scope  # noqa: PLC0415
    from creamery.hub import offline_scopes  # noqa: PLC0415

    seconds = _seconds(expires)
    with opened_data(data, config) as opened:
        words = offline_scopes()
        parsed = [parse_scope(scope, words) for scope in scopes]
        end = None if seconds is None else opened.by.now + seconds * 1_000_000
        text, token = opened.write(
            lambda connection: create_token(connection, user, name, parsed, end, opened.by)  # type: ignore[arg-type]
        )
    if as_json:
        click.echo(json.dumps(token_facts(token, user) | {"token": text}))
    else:
        click.echo(text)
        click.echo(f"Token {token.id} of {user}: shown once, and kept nowhere but with you.", err=True)


@command.command(name="list")
@click.option("--user", default=None, help="Only this user's.")
@for_programs
@opens_the_data
def list_tokens(user: str | None, data: Path | None, config: Path | None, *, as_json: bool) -> None:
    """List tokens: what they may, when they end, when they were used last."""
    from creamery.accounts import NoSuchAccount, find_user, tokens, users  # noqa: PLC0415

    with opened_data(data, config) as opened:
        names = {found.id: found.name for found in opened.read(users)}
        owner = None if user is None else opened.read(lambda connection: find_user(connection, user))
        if user is not None and owner is None:
            raise NoSuchAccount("user", user)
        found = opened.read(lambda connection: tokens(connection, None if owner is None else owner.id))
    rows = [token_facts(token, names[token.user_id]) for token in found]
    show(rows, TOKEN_COLUMNS, as_json=as_json, empty="There are no tokens.")


@command.command(name="revoke")
@click.argument("token_id", metavar="ID", type=int)
@for_programs
@opens_the_data
def revoke(token_id: int, data: Path | None, config: Path | None, *, as_json: bool) -> None:
    """Take back the token ID, as `list` shows it; from then on it opens nothing."""
    from creamery.accounts import revoke_token  # noqa: PLC0415

    with opened_data(data, config) as opened:
        token = opened.write(lambda connection: revoke_token(connection, token_id, opened.by))
    sentence = f"Token {token.id} ({token.name}) opens nothing any more."
    click.echo(json.dumps({"id": token.id, "name": token.name, "revoked": True}) if as_json else sentence)


def token_facts(token: Token, user: str) -> dict[str, Any]:
    """A token as it is listed."""
    return {
        "id": token.id,
        "user": user,
        "name": token.name,
        "ending": token.ending,
        "scopes": [str(scope) for scope in token.scopes],
        "expires": moment(token.expires) or "never",
        "created": moment(token.created),
        "used": moment(token.used),
    }


def _seconds(expires: str) -> int | None:
    if expires == "never":
        return None
    match = _SPAN.fullmatch(expires)
    if match is None:
        raise NotDone(f"--expires {expires!r}: write a number and h, d, w or y, such as 30d, or never")
    return int(match[1]) * _SECONDS[match[2]]
