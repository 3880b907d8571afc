"""What commands have in common that run another program through a hub: which hub, as whom, and what if it is away.

How they end: as the program that they run; 2 where they were called wrongly, 3 where the hub is away.
"""

from __future__ import annotations

import sys

from creamery.cli.words import DEFAULT_HUB, OPTIONS, WrongWords, holds_a_password, read_words

TYPE_CHECKING = False  # `typing` takes half as long as Python's own start: uv is waited for
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    import click

    from creamery.cli.words import Option, Words
    from creamery.client.wishes import Wish

CALLED_WRONGLY = 2


def begin(command: str, words: Sequence[str]) -> int:
    """Do what a command was called for; returns how it ended."""

    def done() -> int:
        said = read_words(command, words)
        from creamery.cli.installing import install, run  # noqa: PLC0415 - so do all imports here: uv is to start soon

        return install(said) if command == "install" else run(said)

    return ended(done, as_json="--json" in words)


def ended(doing: Callable[[], int], *, as_json: bool = False) -> int:
    """How it ended, and a sentence where it could not be done."""
    from creamery.client.errors import HubError  # noqa: PLC0415

    try:
        return doing()
    except WrongWords as error:
        sys.stderr.write(f"Error: {error}\n")
        return CALLED_WRONGLY
    except HubError as error:
        from creamery.cli.hub import told  # noqa: PLC0415

        return told(error, as_json=as_json)


def wish_of(command: str, said: Words) -> Wish:
    """What the words about the hub mean, with what the environment says.

    Raises:
        HubError: an address or a credential cannot be used.
    """
    from creamery.client.address import parse_address  # noqa: PLC0415
    from creamery.client.credentials import Sources, find_credentials  # noqa: PLC0415
    from creamery.client.launching import configured  # noqa: PLC0415
    from creamery.client.wishes import Wish  # noqa: PLC0415

    environ = configured()
    url = said.ours.get("hub", environ.get("CREAMERY_HUB") or DEFAULT_HUB)
    if holds_a_password(said.ours.get("hub", "")):
        warn("everybody on this machine can read a password on the command line (`ps`); CREAMERY_HUB may hold it")
    address, user = parse_address(url)
    sources = Sources(said.ours.get("token_file"), environ.get("CREAMERY_TOKEN"), environ.get("NETRC"))
    return Wish(
        address=address,
        credentials=find_credentials(address, user, sources),
        may_fall_back=said.has("allow_fallback"),
        must_have=said.has("require_cache"),
        shares=said.has("upload"),
        quiet=command == "install" and not {"-q", "--quiet", "-qq"}.isdisjoint(said.rest),
        is_verbose=command == "install" and not {"-v", "--verbose", "-vv"}.isdisjoint(said.rest),
        as_json=said.has("as_json"),
        report=said.ours.get("report", ""),
        declared=declared_in(environ),
    )


def is_quiet(said: Words) -> bool:
    """Is uv told to be?"""
    return not {"-q", "--quiet", "-qq"}.isdisjoint(said.rest)


def declared_in(environ: Mapping[str, str]) -> tuple[str, ...]:
    """The variables that count in keys beside those that always do."""
    names = environ.get("CREAMERY_BUILD_ENVIRONMENT", "").split(",")
    return tuple(filter(None, (name.strip() for name in names)))


def warn(sentence: str) -> None:
    """For people, on standard error; one line."""
    sys.stderr.write(f"Warning: {sentence}\n")
    sys.stderr.flush()


def through_a_hub(name: str) -> Callable[[Callable[[], None]], click.Command]:
    """The same command for `--help` and the docs; its words are read by `read_words`."""
    what = "[UV'S OWN OPTIONS]... REQUIREMENT..." if name == "install" else "-- COMMAND..."
    return described(name, OPTIONS, what, lambda words: begin(name, words))


def described(
    name: str, options: Sequence[Option], what: str, called: Callable[[Sequence[str]], int]
) -> Callable[[Callable[[], None]], click.Command]:
    """A command that reads its words itself, and whose options click only tells.

    Args:
        name: of the command.
        options: its own.
        what: stands behind them.
        called: does it, and returns how it ended.
    """
    import click  # noqa: PLC0415

    class Through(click.Command):
        def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
            before = args[: args.index("--")] if "--" in args else args
            if name == "run":
                before = before[: next((at for at, word in enumerate(before) if not word.startswith("-")), None)]
            if {"-h", "--help"}.isdisjoint(before):
                ctx.params["words"] = tuple(args)
                return []
            return super().parse_args(ctx, ["--help"])

    def made(function: Callable[[], None]) -> click.Command:
        def answered(words: tuple[str, ...], **_: Any) -> None:
            sys.exit(called(words))

        shown: list[click.Parameter] = [
            click.Option(
                [*option.spelt, option.name],
                metavar=option.value or None,
                is_flag=not option.value,
                help=option.told,
            )
            for option in options
            if name in option.commands
        ]
        argument = click.Argument(["words"], nargs=-1, metavar=what)
        return Through(
            name,
            callback=answered,
            params=[argument, *shown],
            help=function.__doc__,
            short_help=(function.__doc__ or "").partition("\n")[0],
        )

    return made
