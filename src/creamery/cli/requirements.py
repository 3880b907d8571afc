"""How commands are told of the files that an installation takes: by requirements or a lock file. uv says which."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from creamery.cli.showing import plain

if TYPE_CHECKING:
    from creamery.client import ChosenFile, Hub, Target

F = TypeVar("F", bound=Callable[..., Any])

_OPTIONS = (
    click.argument("requirements", metavar="[REQUIREMENT]...", nargs=-1),
    click.option(
        "-r",
        "--requirement",
        "files",
        multiple=True,
        type=click.Path(path_type=Path, exists=True, dir_okay=False),
        help="A requirements.txt, pyproject.toml or pylock.toml; may be said again.",
    ),
    click.option("--python", metavar="VERSION", help="For this Python, such as 3.12.  [this one]"),
    click.option(
        "--platform",
        metavar="NAME",
        help="For linux (x86_64, glibc 2.28), macos, windows, or as uv names it.  [this machine's]",
    ),
    click.option(
        "--build",
        "may_build",
        is_flag=True,
        help="Take packages without a wheel too; they are built here to see what they need, which runs their code.",
    ),
)


def names_files(command: F) -> F:
    """Give a command the arguments and options by which files are named."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def target_of(python: str | None, platform: str | None, *named: Sequence[object]) -> Target:
    """Whom the files are for.

    Raises:
        click.UsageError: nothing was named.
    """
    from creamery.client import Target  # noqa: PLC0415 - a command's help costs click alone

    if not any(named):
        raise click.UsageError("name what is to be there, or a file with -r")
    return Target(python, platform)


def find_files(
    hub: Hub,
    requirements: Sequence[str],
    files: Sequence[Path],
    target: Target,
    *,
    may_build: bool,
    takes_sdists: bool = False,
) -> tuple[ChosenFile, ...]:
    """Exactly the files that fit.

    Raises:
        HubError: nobody can tell, or some would come from elsewhere.
    """
    from creamery.client import chosen_files  # noqa: PLC0415

    chosen = chosen_files(hub, requirements, files, target, may_build=may_build, takes_sdists=takes_sdists)
    for name in chosen.elsewhere:
        click.echo(f"Warning: {plain(name)} comes from no index, and is left out", err=True)
    return chosen.files
