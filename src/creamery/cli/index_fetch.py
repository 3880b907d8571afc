"""`creamery index prefetch|pin|unpin|pins`: have files on the hub before anybody asks, and keep them there.

Which files is decided here, by uv, as whoever calls the command; the hub fetches them in a job that survives restarts,
and this only watches.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any, TypeVar

import click

from creamery.cli.hub import REFUSED, asks_a_hub, say
from creamery.cli.progress import Bar
from creamery.cli.requirements import find_files, names_files, target_of
from creamery.cli.showing import plain
from creamery.cli.showing import show as show_table

if TYPE_CHECKING:
    from creamery.client import Hub, Target

F = TypeVar("F", bound=Callable[..., Any])

PIN_COLUMNS = ("project", "filename", "size", "here", "pinned by", "since")
PIECE = "1000"
LOOK_SECONDS = (0.2, 0.5, 1.0, 2.0)
AWAY_SECONDS = 120.0
"""How long the hub may be away, as it is while it is restarted, before this stops watching."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """What the command line says that is wanted."""

    names: tuple[str, ...]
    files: tuple[Path, ...]
    target: Target
    every: bool
    may_build: bool


def _asks_for_files(command: F) -> F:
    """The arguments and options by which files are named."""
    options = (
        names_files,
        click.option("--all", "every", is_flag=True, help="Every file of the projects, of all versions and platforms."),
        click.option("--no-wait", is_flag=True, help="Do not wait until the files are there."),
    )
    for option in reversed(options):
        command = option(command)
    return command


@click.command(name="prefetch")
@_asks_for_files
@click.option("--follow", metavar="NUMBER", type=click.IntRange(1, 2**63 - 1), help="Watch one that was begun before.")
@asks_a_hub
def prefetch(hub: Hub, *, follow: int | None, no_wait: bool, as_json: bool, **given: Any) -> None:
    """Let the hub fetch exactly the files that an installation of REQUIREMENT takes, before anybody asks.

    A requirement is like flask or 'flask>=3'; uv says what else it needs, and which files fit.
    """
    if follow is not None:
        if given["requirements"] or given["files"]:
            raise click.UsageError("--follow watches what was asked for before: name nothing else")
        _watch(hub, hub.get("index", "prefetch", str(follow)), as_json=as_json)
        return
    _fetch(hub, "prefetch", _asked(**given), no_wait=no_wait, as_json=as_json)


@click.command(name="pin")
@_asks_for_files
@asks_a_hub
def pin(hub: Hub, *, no_wait: bool, as_json: bool, **given: Any) -> None:
    """The same as prefetch; and these files stay, whatever the cache gives way to."""
    _fetch(hub, "pins", _asked(**given), no_wait=no_wait, as_json=as_json)


@click.command(name="unpin")
@click.argument("names", metavar="NAME[==VERSION]|FILE...", nargs=-1)
@click.option("--all", "every", is_flag=True, help="Everything that is pinned.")
@asks_a_hub
def unpin(names: tuple[str, ...], hub: Hub, *, every: bool, as_json: bool) -> None:
    """Let go of what is pinned: of a project's files, of a version's, of one. They stay cached until room is needed.

    It ends with 1 where nothing of what is named is pinned.
    """
    if bool(names) == every:
        raise click.UsageError("name what to let go of, or say --all")
    paths = [(name,) for name in sorted({pin["project"] for pin in _pins(hub)})] if every else map(_path, names)
    gone = [file for path in paths for file in hub.delete("index", "pins", *path)["unpinned"]]
    say(f"Pinned no more: {', '.join(gone) or 'nothing'}.", {"unpinned": gone}, as_json=as_json)
    if names and not gone:
        click.echo("Nothing that is pinned is called so: see creamery index pins.", err=True)
        sys.exit(REFUSED)


@click.command(name="pins")
@asks_a_hub
def pins(hub: Hub, *, as_json: bool) -> None:
    """List the files that are pinned."""
    found = list(_pins(hub))
    if as_json:
        click.echo(json.dumps(found))
        return
    rows = [
        {**one, "here": one["is_here"], "pinned by": one["pinned_by"], "since": one["created"][:10]} for one in found
    ]
    show_table(rows, PIN_COLUMNS, as_json=False, empty="Nothing is pinned.")
    if found:
        click.echo(f"{_count(len(found))}, {_bytes(sum(one['size'] or 0 for one in found))}.")


def _asked(
    *,
    requirements: tuple[str, ...],
    files: tuple[Path, ...],
    python: str | None,
    platform: str | None,
    every: bool,
    may_build: bool,
) -> _Asked:
    return _Asked(requirements, files, target_of(python, platform, requirements, files), every, may_build)


def _fetch(hub: Hub, where: str, asked: _Asked, *, no_wait: bool, as_json: bool) -> None:
    body = _wanted(hub, asked)
    begun = hub.post("index", where, body=body)
    if no_wait:
        say(f"The hub fetches. To watch: creamery index prefetch --follow {begun['id']}", begun, as_json=as_json)
        return
    _watch(hub, begun, as_json=as_json)


def _wanted(hub: Hub, asked: _Asked) -> dict[str, Any]:
    """Exactly the files that fit; with `--all`, the projects whose files are all wanted."""
    from creamery.client import UnusableInput  # noqa: PLC0415
    from creamery.contract import InvalidName, normalize  # noqa: PLC0415

    if asked.every and not asked.files:
        try:
            return {"projects": [normalize(name) for name in asked.names]}
        except InvalidName as error:
            raise UnusableInput(f"{error}.", "With --all name projects alone: all of their versions come.") from error
    chosen = find_files(
        hub, asked.names, asked.files, asked.target, may_build=asked.may_build, takes_sdists=asked.every
    )
    if asked.every:
        return {"projects": sorted({file.project for file in chosen})}
    wanted = ("project", "filename", "sha256")
    return {"files": [{name: asdict(file)[name] for name in wanted} for file in chosen]}


def _watch(hub: Hub, begun: Mapping[str, Any], *, as_json: bool) -> None:
    """Show how far it is until it has ended; then what came of it. Ends the process with 1 where files are missing."""
    with Bar("Fetching", quiet=as_json, counts="files") as bar:
        found = begun
        bar.begin(found["files"])
        for found in _looks(hub, begun):
            bar.at(found["files"] - found["left"], found["files"])
    if as_json:
        click.echo(json.dumps(found))
    else:
        for failure in (*found["failures"], *found["waits"]):
            name = failure["filename"] or failure["project"]
            click.echo(plain(f"{name} is not there: {failure['reason']}"), err=True)
        click.echo(_summary(found))
    if found["state"] != "done" or found["failed"]:
        sys.exit(REFUSED)


def _looks(hub: Hub, begun: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """What became of it, again and again until it has ended; a hub that is restarted meanwhile is waited for."""
    from creamery.client import HubUnreachable  # noqa: PLC0415

    pause, found, away = Event(), begun, 0.0
    for turn in range(sys.maxsize):
        yield found
        if found["state"] != "running":
            return
        seconds = LOOK_SECONDS[min(turn // 5, len(LOOK_SECONDS) - 1)]
        pause.wait(seconds)
        try:
            found, away = hub.get("index", "prefetch", str(begun["id"])), 0.0
        except HubUnreachable:
            away += seconds
            if away > AWAY_SECONDS:
                raise


def _summary(found: Mapping[str, Any]) -> str:
    if found["state"] == "canceled":
        return f"Its job {found['job']} was cancelled or has failed: {_count(found['left'])} are left."
    said = f"There are {found['fetched'] + found['here']} of {_count(found['files'])}"
    said += f": {found['fetched']} fetched ({_bytes(found['fetched_bytes'])}), {found['here']} were there before."
    return said + (" They stay." if found["pins"] else "")


def _pins(hub: Hub) -> Iterator[dict[str, Any]]:
    after: str | None = None
    while True:
        piece = hub.get("index", "pins", query={"after": after, "limit": PIECE})
        yield from piece["items"]
        after = piece["next"]
        if after is None:
            return


def _path(text: str) -> tuple[str, ...]:
    """Of `NAME`, `NAME==VERSION` or a file's name."""
    from creamery.client import UnusableInput  # noqa: PLC0415
    from creamery.contract import InvalidName, normalize, parse_filename  # noqa: PLC0415

    if text.endswith((".whl", ".gz", ".zip")):
        try:
            return parse_filename(text).project, text
        except InvalidName as error:
            raise UnusableInput(f"{error}.", "Name the project instead.") from error
    name, _, version = text.partition("==")
    try:
        return (normalize(name), *([version] if version else []))
    except InvalidName as error:
        raise UnusableInput(f"{error}.", "Write NAME, NAME==VERSION, or a file's name.") from error


def _count(number: int) -> str:
    return "1 file" if number == 1 else f"{number} files"


def _bytes(number: int) -> str:
    """With its unit, as people read it."""
    from rich.filesize import decimal  # noqa: PLC0415

    return decimal(number)
