"""`curd`: Curdling's client, with its commands and options; uv does the work."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import click

from creamery import __version__
from creamery.cli import curdling
from creamery.cli.through import described, ended
from creamery.cli.words import Option


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("-l", "--log-level", metavar="LEVEL", help=curdling.GONE[0].told)
@click.option("--log-file", metavar="FILE", help=curdling.GONE[1].told)
@click.option("--log-name", metavar="NAME", help=curdling.GONE[2].told)
@click.option("-q", "--quiet", count=True, help="Say less; as uv's.")
@click.option("-v", "--verbose", count=True, help="Say more; as uv's.")
@click.version_option(__version__, prog_name="curd")
@click.pass_context
def main(context: click.Context, /, quiet: int, verbose: int, **gone: str | None) -> None:
    """Curdling's client: packages are installed by uv, and built once for all machines that share a server."""
    said = [f"--{name.replace('_', '-')}={value}" for name, value in gone.items() if value is not None]
    context.obj = [*said, *["-q"] * quiet, *["-v"] * verbose]


def _reads_its_words(
    name: str, options: Sequence[Option], what: str, does: Callable[[Sequence[str]], int]
) -> Callable[[Callable[[], None]], click.Command]:
    """A command that is also told what was said before its name."""

    def called(words: Sequence[str]) -> int:
        return ended(lambda: does([*click.get_current_context().obj, *words]))

    def added(function: Callable[[], None]) -> click.Command:
        command = described(name, options, what, called)(function)
        main.add_command(command)
        return command

    return added


@_reads_its_words("install", curdling.OPTIONS, "[UV'S OWN OPTIONS]... REQUIREMENT...", curdling.install)
def install() -> None:
    """Install packages: uv does it, and the servers have what other machines have built or needed.

    All options but those below are uv's own (`uv pip install --help`), such as -r FILE. Packages go into the
    environment that is switched on, else into .venv in this folder or above it, else into the one that this command is
    installed in.
    """


@_reads_its_words("uninstall", curdling.GONE, "[UV'S OWN OPTIONS]... PACKAGE...", curdling.uninstall)
def uninstall() -> None:
    """Take packages away, as `uv pip uninstall` does; what is not there is no error."""


@_reads_its_words("freeze", curdling.GONE, "[UV'S OWN OPTIONS]... [PATH]", curdling.freeze)
def freeze() -> None:
    """List what is installed, as `uv pip freeze` does: in the environment or the folder of packages at PATH."""


if __name__ == "__main__":
    main(prog_name="curd")
