"""The options that operators' commands share, and how they become settings."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from creamery.settings import Settings, SettingsError, load_settings

F = TypeVar("F", bound=Callable[..., Any])


def opens_the_data(command: F) -> F:
    """Give a command `--data` and `--config`; it receives them as `data` and `config`."""
    with_data = click.option(
        "--data", type=click.Path(path_type=Path, file_okay=False), help="Directory that holds everything.  [var]"
    )
    with_config = click.option(
        "--config", type=click.Path(path_type=Path, dir_okay=False), help="The settings' file.  [creamery.toml, if any]"
    )
    return with_data(with_config(command))


def settings_from(config: Path | None, **flags: Any) -> Settings:
    """Read the settings for a command.

    Raises:
        Refusal: a setting is wrong; it says which and why.
    """
    try:
        return load_settings(config, **flags)
    except SettingsError as error:
        raise Refusal(str(error)) from error


class Refusal(click.ClickException):
    """A command cannot begin as it was asked; click prints the message and ends with status 2."""

    exit_code = 2
