"""What users' commands have in common, which ask a hub over HTTP: which hub, as whom, and how its answers end.

Click reads the environment: `CREAMERY_HUB`, `CREAMERY_TOKEN`, `NETRC`. How a command ends: 0 done, 1 the hub refused,
2 it was called wrongly, 3 the hub cannot be reached or is none.
"""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

from creamery.cli.showing import plain
from creamery.cli.words import DEFAULT_HUB, holds_a_password

if TYPE_CHECKING:
    from creamery.client import Hub, HubError

F = TypeVar("F", bound=Callable[..., Any])

REFUSED, CALLED_WRONGLY, UNREACHABLE = 1, 2, 3

_NO_CREDENTIALS = "Give a token: in CREAMERY_TOKEN, in a file that --token-file names, or in ~/.netrc."


def asks_a_hub(command: F) -> F:
    """Give a command `--hub`, `--token-file` and `--json`; it receives a `hub` to ask, and `as_json`."""

    @functools.wraps(command)
    def asked(
        *, hub_url: str, token_file: Path | None, token: str | None, netrc_file: Path | None, **given: Any
    ) -> None:
        with ends_as_told(as_json=given["as_json"]):
            command(hub=_opened(hub_url, token_file, token, netrc_file), **given)

    for option in reversed(_OPTIONS):
        asked = option(asked)
    return asked  # type: ignore[return-value]  # with other arguments: click alone calls it


@contextmanager
def ends_as_told(*, as_json: bool) -> Iterator[None]:
    """End the command with its code and a sentence, where what it asks for is not done."""
    from creamery.client import HubError  # noqa: PLC0415 - a command's help costs click alone

    try:
        yield
    except HubError as error:
        sys.exit(told(error, as_json=as_json))


def told(error: HubError, *, as_json: bool) -> int:
    """Say what is not done, and why; returns the command's code."""
    facts = _facts(error)
    if as_json:
        click.echo(json.dumps(facts))
    else:
        click.echo("\n".join(["Error: " + facts["detail"], *filter(None, [facts["remedy"]])]), err=True)
    return int(facts["code"])


def every_item(ask: Callable[[str | None], Any]) -> Iterator[dict[str, Any]]:
    """All items of a list that a hub tells in pieces; `ask` is given what the former piece says to go on behind."""
    after: str | None = None
    while True:
        piece = ask(after)
        yield from piece["items"]
        after = piece["next"]
        if after is None:
            return


def say(sentence: str, facts: Mapping[str, Any], *, as_json: bool) -> None:
    """What was done: a sentence for people, the hub's own answer for programs."""
    click.echo(json.dumps(dict(facts)) if as_json else plain(sentence))


def agreed(question: str, *, yes: bool, as_json: bool) -> None:
    """Go on only if whoever calls the command means it.

    Raises:
        click.Abort: they do not.
        click.UsageError: a program calls it, and has not said so.
    """
    if yes:
        return
    if as_json:
        raise click.UsageError("with --json nothing is asked: say --yes if you mean it")
    click.confirm(question, abort=True, err=True)


def _not_on_the_command_line(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    if parameter.name and context.get_parameter_source(parameter.name) is ParameterSource.COMMANDLINE:
        raise click.UsageError(
            "a token does not belong on the command line, where everybody on this machine can read it (`ps`), and the"
            " shell remembers it: put it in CREAMERY_TOKEN, or in a file that --token-file names"
        )
    return value


def warned_of_a_password(context: click.Context, parameter: click.Parameter, value: str) -> str:
    """For options that take an address."""
    is_typed = parameter.name and context.get_parameter_source(parameter.name) is ParameterSource.COMMANDLINE
    if is_typed and holds_a_password(value):
        _warn("everybody on this machine can read a password on the command line (`ps`); CREAMERY_HUB may hold it")
    return value


def token_options() -> tuple[Callable[[Callable[..., Any]], Callable[..., Any]], ...]:
    """As whom."""
    return (
        click.option(
            "--token-file",
            type=click.Path(path_type=Path, dir_okay=False),
            help="A file whose first line is the token.  [CREAMERY_TOKEN, else the address's user, ~/.netrc, keyring]",
        ),
        click.option("--token", envvar="CREAMERY_TOKEN", hidden=True, callback=_not_on_the_command_line),
        click.option("--netrc-file", envvar="NETRC", hidden=True, type=click.Path(path_type=Path)),
    )


def hub_option(*short: str, said: str = "The hub to ask.") -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Which hub."""
    return click.option(
        *short,
        "--hub",
        "hub_url",
        metavar="URL",
        envvar="CREAMERY_HUB",
        default=DEFAULT_HUB,
        callback=warned_of_a_password,
        help=f"{said}  [CREAMERY_HUB, else {DEFAULT_HUB}]",
    )


_OPTIONS: tuple[Callable[[Callable[..., Any]], Callable[..., Any]], ...] = (
    hub_option(),
    *token_options(),
    click.option("--json", "as_json", is_flag=True, help="For programs."),
)


def _opened(url: str, token_file: Path | None, token: str | None, netrc_file: Path | None) -> Hub:
    from creamery.client import Hub, Sources, find_credentials, parse_address  # noqa: PLC0415

    address, user = parse_address(url)
    return Hub(address, find_credentials(address, user, Sources(token_file, token, netrc_file)), warn=_warn)


def _warn(sentence: str) -> None:
    click.echo(f"Warning: {sentence}", err=True)


def _facts(error: HubError) -> dict[str, Any]:
    """What stands in the way, as the hub's own problem documents say it, with the command's code."""
    from http import HTTPStatus  # noqa: PLC0415

    from creamery.client import Refused, UnusableInput  # noqa: PLC0415

    facts = {"code": UNREACHABLE, "detail": error.sentence, "remedy": error.remedy}
    if isinstance(error, UnusableInput):
        return facts | {"code": CALLED_WRONGLY}
    if not isinstance(error, Refused):
        return facts
    if error.status == HTTPStatus.UNAUTHORIZED:  # the hub's remedy is for whoever is asked in a window
        facts["remedy"] = _NO_CREDENTIALS
    return facts | {"code": REFUSED, "status": error.status, "title": error.title}
