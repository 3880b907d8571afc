"""What commands have in common that run another program through a hub: which hub, as whom, and what if it is away.

How they end: as the program that they run; 2 where they were called wrongly, 3 where the hub is away.
"""

from __future__ import annotations

import sys

from creamery.cli.words import OPTIONS, WrongWords, read_words

TYPE_CHECKING = False  # `typing` takes half as long as Python's own start: uv is waited for
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    import click

    from creamery.cli.words import Option

CALLED_WRONGLY = 2
INTERRUPTED = 130


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
    except KeyboardInterrupt as error:
        return getattr(error, "code", INTERRUPTED)
    except WrongWords as error:
        sys.stderr.write(f"Error: {error}\n")
        return CALLED_WRONGLY
    except HubError as error:
        from creamery.cli.hub import told  # noqa: PLC0415

        return told(error, as_json=as_json)


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
