"""`creamery user`: add, show and change the users and groups of a hub, whether it runs or not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from creamery.cli.amounts import Amount
from creamery.cli.operator import moment, new_password, opened_data
from creamery.cli.options import opens_the_data
from creamery.cli.showing import show

if TYPE_CHECKING:
    from creamery.accounts import Group, User

USER_COLUMNS = ("name", "admin", "disabled", "password", "groups", "created")
GROUP_COLUMNS = ("name", "members")
QUOTA_COLUMNS = ("of", "used", "quota", "own")
IDENTITY_COLUMNS = ("issuer", "subject", "linked")

for_programs = click.option("--json", "as_json", is_flag=True, help="For programs.")
from_stdin = click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")


@click.group(name="user")
def command() -> None:
    """Add, show and change users and groups."""


@command.command(name="add")
@click.argument("name")
@click.option("--admin", is_flag=True, help="Make it an administrator.")
@click.option("--no-password", is_flag=True, help="Nobody gets in with a password; tokens open all the same.")
@from_stdin
@for_programs
@opens_the_data
def add(
    name: str,
    data: Path | None,
    config: Path | None,
    *,
    admin: bool,
    no_password: bool,
    password_stdin: bool,
    as_json: bool,
) -> None:
    """Add the user NAME; the password is asked for."""
    from creamery.accounts import Passwords, add_user, check_account_name  # noqa: PLC0415

    with opened_data(data, config) as opened:
        check_account_name(name)
        password = None if no_password else Passwords(opened.limits).hash(new_password(from_stdin=password_stdin))
        user = opened.write(lambda connection: add_user(connection, name, password, opened.by, is_admin=admin))
    _said(user, f"{user.name} is {'an administrator' if admin else 'a user'} now.", as_json=as_json)


@command.command(name="list")
@for_programs
@opens_the_data
def list_users(data: Path | None, config: Path | None, *, as_json: bool) -> None:
    """List all users."""
    from creamery.accounts import users  # noqa: PLC0415

    with opened_data(data, config) as opened:
        found = opened.read(users)
    empty = "There are no users; the first one: creamery user add NAME --admin"
    show([_facts(user) for user in found], USER_COLUMNS, as_json=as_json, empty=empty)


@command.command(name="show")
@click.argument("name")
@for_programs
@opens_the_data
def show_user(name: str, data: Path | None, config: Path | None, *, as_json: bool) -> None:
    """Show the user NAME, the tokens it has, and whom a provider of OpenID Connect means by it."""
    from creamery.accounts import (  # noqa: PLC0415
        NoSuchAccount,
        find_user,
        identities,
        tokens,
    )
    from creamery.cli.token import TOKEN_COLUMNS, token_facts  # noqa: PLC0415

    with opened_data(data, config) as opened:
        user = opened.read(lambda connection: find_user(connection, name))
        if user is None:
            raise NoSuchAccount("user", name)
        found = opened.read(lambda connection: tokens(connection, user.id))
        linked = opened.read(lambda connection: identities(connection, user.id))
    rows = [token_facts(token, user.name) for token in found]
    known = [{"issuer": one.issuer, "subject": one.subject, "linked": moment(one.created)} for one in linked]
    if as_json:
        click.echo(json.dumps(_facts(user) | {"tokens": rows, "identities": known}))
        return
    show([_facts(user)], USER_COLUMNS, as_json=False, empty="")
    click.echo()
    show(rows, TOKEN_COLUMNS, as_json=False, empty="No tokens.")
    if known:
        click.echo()
        show(known, IDENTITY_COLUMNS, as_json=False, empty="")


@command.command(name="passwd")
@click.argument("name")
@from_stdin
@for_programs
@opens_the_data
def passwd(name: str, data: Path | None, config: Path | None, *, password_stdin: bool, as_json: bool) -> None:
    """Give the user NAME another password; whoever is in with the old one is out."""
    from creamery.accounts import NoSuchAccount, Passwords, find_user, set_password  # noqa: PLC0415

    with opened_data(data, config) as opened:
        if opened.read(lambda connection: find_user(connection, name)) is None:  # before anybody types
            raise NoSuchAccount("user", name)
        password = Passwords(opened.limits).hash(new_password(from_stdin=password_stdin))
        user = opened.write(lambda connection: set_password(connection, name, password, opened.by))
    _said(user, f"{user.name} has another password now.", as_json=as_json)


@command.command(name="disable")
@click.argument("name")
@for_programs
@opens_the_data
def disable(name: str, data: Path | None, config: Path | None, *, as_json: bool) -> None:
    """Keep the user NAME out, tokens included, until it is enabled again."""
    _set_disabled(name, data, config, disabled=True, as_json=as_json)


@command.command(name="enable")
@click.argument("name")
@for_programs
@opens_the_data
def enable(name: str, data: Path | None, config: Path | None, *, as_json: bool) -> None:
    """Let the user NAME in again."""
    _set_disabled(name, data, config, disabled=False, as_json=as_json)


@command.command(name="admin")
@click.argument("name")
@click.option("--revoke", is_flag=True, help="An administrator no more.")
@for_programs
@opens_the_data
def admin(name: str, data: Path | None, config: Path | None, *, revoke: bool, as_json: bool) -> None:
    """Make the user NAME an administrator."""
    from creamery.accounts import set_admin  # noqa: PLC0415

    with opened_data(data, config) as opened:
        user = opened.write(lambda connection: set_admin(connection, name, opened.by, is_admin=not revoke))
    _said(user, f"{user.name} is {'an administrator' if user.is_admin else 'no administrator'} now.", as_json=as_json)


@command.command(name="link")
@click.argument("name")
@click.argument("subject")
@for_programs
@opens_the_data
def link(name: str, subject: str, data: Path | None, config: Path | None, *, as_json: bool) -> None:
    """Let whom the provider of accounts.oidc_issuer calls SUBJECT sign in as the user NAME."""
    from creamery.accounts import link_identity  # noqa: PLC0415

    with opened_data(data, config) as opened:
        issuer = opened.issuer()
        user = opened.write(lambda connection: link_identity(connection, name, issuer, subject, opened.by))
    _said(user, f"Whom {issuer} calls {subject} signs in as {user.name} now.", as_json=as_json)


@command.command(name="unlink")
@click.argument("name")
@for_programs
@opens_the_data
def unlink(name: str, data: Path | None, config: Path | None, *, as_json: bool) -> None:
    """Let nobody at the provider of accounts.oidc_issuer be the user NAME any more; sessions end."""
    from creamery.accounts import unlink_identity  # noqa: PLC0415

    with opened_data(data, config) as opened:
        issuer = opened.issuer()
        user = opened.write(lambda connection: unlink_identity(connection, name, issuer, opened.by))
    _said(user, f"Nobody at {issuer} is {user.name} any more.", as_json=as_json)


@command.command(name="remove")
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask.")
@for_programs
@opens_the_data
def remove(name: str, data: Path | None, config: Path | None, *, yes: bool, as_json: bool) -> None:
    """Remove the user NAME with its tokens and memberships; what it did stays in the journal."""
    from creamery.accounts import remove_user  # noqa: PLC0415

    if not yes:
        click.confirm(f"Remove {name}, with all tokens?", abort=True)
    with opened_data(data, config) as opened:
        user = opened.write(lambda connection: remove_user(connection, name, opened.by))
    _said(user, f"{user.name} is removed.", as_json=as_json)


@command.command(name="quota")
@click.argument("name")
@click.option("--carts", type=Amount(), help="So many carts at once; `default`: as for everybody.")
@click.option(
    "--cart-bytes", "size", type=Amount(), help="So many bytes in all of them, as 500GiB; `default` likewise."
)
@for_programs
@opens_the_data
def quota(
    name: str,
    data: Path | None,
    config: Path | None,
    *,
    carts: int | None,
    size: int | None,
    as_json: bool,
) -> None:
    """Show how much of carts the user NAME may have and has; or give it other limits than everybody's."""
    from creamery.accounts import NoSuchAccount, find_user  # noqa: PLC0415
    from creamery.carts import owner_of_user, quota_of, set_quota, usage  # noqa: PLC0415

    given = {"carts": carts, "bytes": size}
    changes: Any = {key: None if value < 0 else value for key, value in given.items() if value is not None}
    with opened_data(data, config) as opened:
        user = opened.read(lambda connection: find_user(connection, name))
        if user is None:
            raise NoSuchAccount("user", name)
        owner = owner_of_user(user.id)
        if changes:
            opened.write(lambda connection: set_quota(connection, owner, changes, user.name, opened.by))
        found = opened.read(lambda connection: quota_of(connection, owner, opened.settings.carts))
        count, used = opened.read(lambda connection: usage(connection, owner))
    rows = [
        {"of": "carts", "used": count, "quota": found.carts, "own": found.own_carts},
        {"of": "bytes", "used": used, "quota": found.bytes, "own": found.own_bytes},
    ]
    show(rows, QUOTA_COLUMNS, as_json=as_json, empty="")


@command.group(name="group")
def group() -> None:
    """Add, show and change groups."""


@group.command(name="add")
@click.argument("name")
@click.argument("users", nargs=-1)
@for_programs
@opens_the_data
def add_to_group(name: str, users: tuple[str, ...], data: Path | None, config: Path | None, *, as_json: bool) -> None:
    """Put USERS into the group NAME, which is made if there is none."""
    from creamery.accounts import NoSuchAccount, add_group, add_members, find_group  # noqa: PLC0415

    with opened_data(data, config) as opened:

        def work(connection: Any) -> Group:
            try:
                find_group(connection, name)
            except NoSuchAccount:
                add_group(connection, name, opened.by)
            return add_members(connection, name, users, opened.by)

        found = opened.write(work)
    _said_group(found, as_json=as_json)


@group.command(name="list")
@for_programs
@opens_the_data
def list_groups(data: Path | None, config: Path | None, *, as_json: bool) -> None:
    """List all groups and who is in them."""
    from creamery.accounts import groups  # noqa: PLC0415

    with opened_data(data, config) as opened:
        found = opened.read(groups)
    show([_group_facts(one) for one in found], GROUP_COLUMNS, as_json=as_json, empty="There are no groups.")


@group.command(name="remove")
@click.argument("name")
@click.argument("users", nargs=-1)
@for_programs
@opens_the_data
def remove_from_group(
    name: str, users: tuple[str, ...], data: Path | None, config: Path | None, *, as_json: bool
) -> None:
    """Take USERS out of the group NAME; without users remove the group."""
    from creamery.accounts import remove_group, remove_members  # noqa: PLC0415

    with opened_data(data, config) as opened:
        if users:
            found = opened.write(lambda connection: remove_members(connection, name, users, opened.by))
        else:
            found = opened.write(lambda connection: remove_group(connection, name, opened.by))
    if users or as_json:
        _said_group(found, as_json=as_json)
    else:
        click.echo(f"The group {found.name} is removed.")


def _set_disabled(name: str, data: Path | None, config: Path | None, *, disabled: bool, as_json: bool) -> None:
    from creamery.accounts import set_disabled  # noqa: PLC0415

    with opened_data(data, config) as opened:
        user = opened.write(lambda connection: set_disabled(connection, name, opened.by, disabled=disabled))
    _said(user, f"{user.name} is {'disabled' if disabled else 'enabled'} now.", as_json=as_json)


def _facts(user: User) -> dict[str, Any]:
    return {
        "name": user.name,
        "admin": user.is_admin,
        "disabled": user.disabled,
        "password": user.password is not None,
        "groups": sorted(user.groups),
        "created": moment(user.created),
    }


def _group_facts(found: Group) -> dict[str, Any]:
    return {"name": found.name, "members": list(found.members)}


def _said(user: User, sentence: str, *, as_json: bool) -> None:
    click.echo(json.dumps(_facts(user)) if as_json else sentence)


def _said_group(found: Group, *, as_json: bool) -> None:
    members = ", ".join(found.members) or "nobody"
    click.echo(json.dumps(_group_facts(found)) if as_json else f"In the group {found.name}: {members}.")
