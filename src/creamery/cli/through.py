"""What commands have in common that run another program through a hub: which hub, as whom, and what if it is away.

How they end: as the program that they run; 2 where they were called wrongly, 3 where the hub is away.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click

from creamery.cli.hub import DEFAULT_HUB, ends_as_told, token_options, warned_of_a_password

PINNED = "--require-hashes"


def through_a_hub(command: Callable[[tuple[str, ...], Mapping[str, str]], list[str]]) -> Callable[..., None]:
    """Run what the function returns, through the hub; it gets the words not about the hub, and the variables."""

    @functools.wraps(command)
    def called(
        arguments: tuple[str, ...],
        *,
        hub_url: str,
        token_file: Path | None,
        token: str | None,
        netrc_file: Path | None,
        allow_fallback: bool,
        require_cache: bool,
    ) -> None:
        from creamery.client import Sources, find_credentials, parse_address  # noqa: PLC0415
        from creamery.client.launching import find_way, own_variables, run  # noqa: PLC0415

        with ends_as_told(as_json=False):
            address, user = parse_address(hub_url)
            credentials = find_credentials(address, user, Sources(token_file, token, netrc_file))
            may_fall_back = allow_fallback or PINNED in arguments
            way = find_way(address, credentials, may_fall_back=may_fall_back, is_needed=require_cache)
            if way.warning:
                click.echo(f"Warning: {way.warning}", err=True)
            own = own_variables()
            sys.exit(run(command(arguments, own), way, address, credentials, own))

    described: Any = called
    for option in reversed(_OPTIONS):
        described = option(described)
    return described  # type: ignore[no-any-return]  # click alone calls it


_OPTIONS: tuple[Callable[[Callable[..., Any]], Callable[..., Any]], ...] = (
    click.option(
        "-c",
        "--hub",
        "hub_url",
        metavar="URL",
        envvar="CREAMERY_HUB",
        default=DEFAULT_HUB,
        callback=warned_of_a_password,
        help=f"The hub. uv's own -c (constraints) goes by its long name here.  [CREAMERY_HUB, else {DEFAULT_HUB}]",
    ),
    *token_options(),
    click.option(
        "--allow-fallback",
        is_flag=True,
        help="If the hub is away, install from what is configured otherwise. What is pinned by hashes"
        f" ({PINNED}) does so anyway.",
    ),
    click.option("--require-cache", is_flag=True, help="If the hub is away, install nothing, whatever is pinned."),
)
