"""The list of commands, and how one is found: by importing its module when somebody calls it, not before.

So `creamery --help` costs the import of click alone, and an installation without the hub's packages has every
command in its help and says, for those that need them, how to get them. A command's module has it as `command`.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import cast

import click

from creamery import __version__

COMMANDS: Mapping[str, tuple[str, str]] = {
    "serve": ("creamery.cli.serve", "Run the hub."),
    "db": ("creamery.cli.db", "Upgrade the database, or see whether it needs that."),
    "user": ("creamery.cli.user", "Add, show and change users and groups."),
    "token": ("creamery.cli.token", "Make, list and take back tokens."),
    "secret": ("creamery.cli.secret", "Replace what cookies and links are signed with."),
    "index": ("creamery.cli.index", "Look after the projects of a hub's index: yank, owners, names."),
    "cart": ("creamery.cli.cart", "Have files of an archive brought near, and download them as one bundle."),
    "hive": ("creamery.cli.hive", "Look after the trees of files: spaces, trash, versions, import, export, checks."),
    "wheels": ("creamery.cli.wheels", "Look at the wheels that machines have built and pushed, and push some."),
    "install": ("creamery.cli.install", "Install packages with uv, through a hub that has what others have built."),
    "run": ("creamery.cli.run", "Run a command so that what it installs comes through a hub."),
    "lock": ("creamery.cli.lock", "Add wheels that a hub has built to a lock file."),
    "doctor": ("creamery.cli.doctor", "Say what is wrong with the set-up for installing through a hub."),
    "jobs": ("creamery.cli.jobs", "Show, retry and cancel jobs."),
    "journal": ("creamery.cli.journal", "Show who did what, when, and from where."),
    "fsck": ("creamery.cli.fsck", "Compare what is stored with what is known, and mend it."),
    "scrub": ("creamery.cli.scrub", "Read everything that is stored, and put away what is wrong."),
    "backup": ("creamery.cli.backup", "Copy everything, while the hub runs."),
    "restore": ("creamery.cli.restore", "Make a hub from a backup."),
    "version": ("creamery.cli.version", "Show what is installed."),
}
"""By name: the module, and the line that `creamery --help` shows."""


class HubNotInstalled(click.ClickException):
    """The command belongs to the hub, and only the client is installed."""

    def __init__(self, name: str) -> None:
        super().__init__(f'`creamery {name}` is part of the hub; install it with: pip install "creamery[server]"')


class Commands(click.Group):
    """A group whose commands are imported when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command.

        Raises:
            HubNotInstalled: a package that only the hub needs is not there.
        """
        if cmd_name not in COMMANDS:
            return None
        module, _ = COMMANDS[cmd_name]
        try:
            return cast("click.Command", import_module(module).command)
        except ModuleNotFoundError as error:
            if error.name is None or error.name.partition(".")[0] == "creamery":
                raise  # a file of ours is missing: a defect of the package, not of the installation
            raise HubNotInstalled(cmd_name) from error

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list from the table, without importing anything."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="creamery")
def main() -> None:
    """One hub for what a team depends on: packages, built wheels, files and data carts."""
