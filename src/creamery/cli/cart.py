"""`creamery cart`: make a cart, watch it, download it, delete it; on a hub, over HTTP.

What there is to make carts of is in `cart_archives`, what whoever runs the hub does to all carts in `cart_upkeep`.

How `wait` and `get` end, beyond what every command does that asks a hub: 1 also where a file of the cart has failed.
"""

from __future__ import annotations

import json
import os
import shlex
import sys
import uuid
from collections.abc import Callable
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar

import click

from creamery.cli.cart_archives import archives, ls
from creamery.cli.cart_upkeep import dump, every_cart, purge
from creamery.cli.hub import REFUSED, asks_a_hub, say
from creamery.cli.progress import Bar
from creamery.cli.requirements import find_files, names_files, target_of
from creamery.cli.showing import plain, show

if TYPE_CHECKING:
    from creamery.client import ChosenFile, Hub

F = TypeVar("F", bound=Callable[..., Any])

LOOK_SECONDS = (0.2, 0.5, 1.0, 2.0)
PIECE = 256 * 1024
COLUMNS = ("uid", "state", "files", "here", "failed", "bytes", "message")
NONE = "There are no carts."
WHEELHOUSE = "wheelhouse"


@click.group(name="cart")
def command() -> None:
    """Have files of an archive brought near, and download them as one bundle."""


command.add_command(archives)
command.add_command(ls)
command.add_command(purge)
command.add_command(dump)


_MADE = (
    click.option("--uid", help="What the cart is called.  [a new UUID]"),
    click.option("--bundle", is_flag=True, help="The bundle's topmost folder is the cart's name."),
    click.option("--wait", "is_waited_for", is_flag=True, help="Wait until it is ready."),
)


def _makes_a_cart(command: F) -> F:
    """Give a command the options of whatever makes one."""
    for option in reversed(_MADE):
        command = option(command)
    return command


@command.command(name="create")
@click.argument("items", metavar="[ITEM[=PATH]]...", nargs=-1)
@click.option("-f", "--file", "listed", type=click.File("rb"), help="The list as JSON; - is standard input.")
@click.option("--archive", help="The archive that ITEMs lie in.  [the hub's first one]")
@_makes_a_cart
@asks_a_hub
def create(  # noqa: PLR0913 - what a command line has
    items: tuple[str, ...],
    listed: BinaryIO | None,
    archive: str | None,
    uid: str | None,
    hub: Hub,
    *,
    bundle: bool,
    is_waited_for: bool,
    as_json: bool,
) -> None:
    """Make a cart of ITEMs, as their archive calls them, or of a JSON list; its name is printed."""
    if (listed is None) == (not items):
        raise click.UsageError("name the items, or a JSON list with --file")
    document: dict[str, Any] = {"fileids": [_entry(item, archive) for item in items]}
    if listed is not None:
        document = _read(listed)
    _make(hub, document, uid or str(uuid.uuid4()), bundle=bundle, is_waited_for=is_waited_for, as_json=as_json)


@command.command(name="wheelhouse")
@names_files
@_makes_a_cart
@asks_a_hub
def wheelhouse(  # noqa: PLR0913 - what a command line has
    requirements: tuple[str, ...],
    files: tuple[Path, ...],
    python: str | None,
    platform: str | None,
    uid: str | None,
    hub: Hub,
    *,
    may_build: bool,
    bundle: bool,
    is_waited_for: bool,
    as_json: bool,
) -> None:
    """Make a cart of exactly the files that an installation of REQUIREMENT takes, out of the hub's index.

    A requirement is like flask or 'flask>=3'; uv says what else it needs, and which files fit. The cart's name is
    printed; of what is cached it is ready at once.
    """
    target = target_of(python, platform, requirements, files)
    found = find_files(hub, requirements, files, target, may_build=may_build)
    if not found:
        raise click.UsageError("nothing is to be installed for this Python and platform")
    name = uid or str(uuid.uuid4())
    document = {"fileids": [_wheel(file) for file in found]}
    _make(hub, document, name, bundle=bundle, is_waited_for=is_waited_for, as_json=as_json)
    if not as_json:
        click.echo(_how_to_install(name, name if bundle else WHEELHOUSE, requirements, files), err=True)


@command.command(name="status")
@click.argument("uid")
@asks_a_hub
def status(uid: str, hub: Hub, *, as_json: bool) -> None:
    """Show how far a cart is."""
    found = hub.at_root().get("carts", uid, "status")
    _show(found, as_json=as_json)


@command.command(name="wait")
@click.argument("uid")
@asks_a_hub
def wait(uid: str, hub: Hub, *, as_json: bool) -> None:
    """Wait until a cart is ready; it ends with 1 where a file of it has failed."""
    _wait(hub.at_root(), uid, as_json=as_json)


@command.command(name="list")
@asks_a_hub
def list_carts(hub: Hub, *, as_json: bool) -> None:
    """List the carts of whoever asks, the newest first."""
    found = list(every_cart(hub.at_root()))
    rows = [{**cart, "here": cart["files_here"], "failed": cart["files_failed"]} for cart in found]
    show(found if as_json else rows, COLUMNS, as_json=as_json, empty=NONE)


@command.command(name="delete")
@click.argument("uids", metavar="UID...", nargs=-1, required=True)
@asks_a_hub
def delete(uids: tuple[str, ...], hub: Hub, *, as_json: bool) -> None:
    """Delete carts."""
    root = hub.at_root()
    for uid in uids:
        root.delete("carts", uid)
    say(f"Deleted: {', '.join(uids)}.", {"deleted": list(uids)}, as_json=as_json)


@command.command(name="fix")
@click.argument("uid")
@asks_a_hub
def fix(uid: str, hub: Hub, *, as_json: bool) -> None:
    """Have what failed in a cart staged anew, and wait for it."""
    root = hub.at_root()
    root.post("carts", uid, "fix")
    _wait(root, uid, as_json=as_json)


@command.command(name="get")
@click.argument("uid")
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="The file.  [the cart's name]")
@click.option("--format", "form", type=click.Choice(["tar", "zip"]), default="tar", show_default=True)
@click.option("--include", multiple=True, metavar="GLOB", help="Only such files, as runs/**; may be said again.")
@click.option("--root", "folder", help="The bundle's topmost folder.  [the file's name without .tar]")
@asks_a_hub
def get(
    uid: str, output: Path | None, form: str, include: tuple[str, ...], folder: str | None, hub: Hub, *, as_json: bool
) -> None:
    """Wait for a cart and download it; what was cut off goes on where it was."""
    root = hub.at_root()
    found = _wait(root, uid, as_json=as_json, is_quiet=True)
    target = output or Path(Path(found["name"]).name).with_suffix(f".{form}")  # whatever path the hub says
    query = [("filename", target.name), *(("include", glob) for glob in include)]
    if folder is not None:
        query.append(("root", folder))
    size = _download(root, ("carts", uid, f"bundle.{form}"), query, target, is_quiet=as_json)
    say(f"{target}: {size} bytes.", {"file": str(target), "bytes": size}, as_json=as_json)


def _make(hub: Hub, document: dict[str, Any], name: str, *, bundle: bool, is_waited_for: bool, as_json: bool) -> None:
    root = hub.at_root()
    root.post("carts", name, body={**document, "bundle": True} if bundle else document)
    if is_waited_for:
        _wait(root, name, as_json=as_json)
    else:
        say(name, {"uid": name}, as_json=as_json)


def _wait(root: Hub, uid: str, *, as_json: bool, is_quiet: bool = False) -> dict[str, Any]:
    pauses, never = iter(LOOK_SECONDS), Event()
    with Bar("staging", quiet=as_json) as bar:
        bar.begin(0)
        while True:
            found: dict[str, Any] = root.get("carts", uid, "status")
            bar.at(found["bytes_here"], found["bytes"] or 0, what=f"{found['files_here']} of {found['files']} files")
            if found["state"] in {"ready", "error"}:
                break
            never.wait(next(pauses, LOOK_SECONDS[-1]))
    if not is_quiet or found["state"] == "error":
        _show(found, as_json=as_json)
    if found["state"] == "error":
        sys.exit(REFUSED)
    return found


def _show(found: dict[str, Any], *, as_json: bool) -> None:
    """How far a cart is; for people a line each for whatever of it has failed."""
    if as_json:
        click.echo(json.dumps(found))
    else:
        for line in _lines(found):
            click.echo(plain(line))


def _lines(found: dict[str, Any]) -> list[str]:
    size = "" if found["bytes"] is None else f", {found['bytes_here']} of {found['bytes']} bytes"
    lines = [f"{found['uid']}: {found['state']}, {found['files_here']} of {found['files']} files{size}"]
    if found["message"]:
        lines.append(found["message"])
    lines += [f"  {failed['path']}: {failed['message']}" for failed in found.get("failed", [])]
    if unsaid := found["files_failed"] - len(found.get("failed", [])):
        lines.append(f"  and {unsaid} more")
    return lines


def _read(listed: BinaryIO) -> dict[str, Any]:
    try:
        document = json.load(listed)
    except ValueError as error:
        raise click.UsageError(f"the list is no JSON: {error}") from error
    if not isinstance(document, dict):
        raise click.UsageError('the list is not {"fileids": [...]}')
    return document


def _entry(item: str, archive: str | None) -> dict[str, Any]:
    name, separator, path = item.partition("=")
    entry = {"id": name, "path": path if separator else name, "hashtype": "sha1", "hashsum": ""}
    return entry if archive is None else {**entry, "archive": archive}


def _wheel(file: ChosenFile) -> dict[str, Any]:
    item = f"{file.project}/{file.filename}"
    digest = {"hashtype": "sha256", "hashsum": file.sha256 or ""}
    return {"id": item, "path": file.filename, "archive": "index", **digest}


def _how_to_install(name: str, folder: str, requirements: tuple[str, ...], files: tuple[Path, ...]) -> str:
    """The lines that use a cart. Of a lock file all that is in it; pip itself reads the requirements otherwise."""
    where = shlex.quote(folder)
    wanted = [shlex.quote(one) for one in requirements] + [f"-r {shlex.quote(str(file))}" for file in files]
    if any(file.suffix == ".toml" for file in files):
        wanted = [f"{where}/*"]
    return (
        "To install from it:\n"
        f"  creamery cart get {shlex.quote(name)} -o {WHEELHOUSE}.tar && tar -xf {WHEELHOUSE}.tar\n"
        f"  pip install --no-index --find-links {where} {' '.join(wanted)}"
    )


def _download(root: Hub, path: tuple[str, ...], query: list[tuple[str, str]], target: Path, *, is_quiet: bool) -> int:
    """Into a file beside the target, which has the bundle's ETag in its name: what is there already is of that one."""
    with root.stream("HEAD", *path, query=query, headers={}) as told:
        etag, size = told.headers["ETag"], int(told.headers["Content-Length"])
    part = target.with_name(f".{target.name}.{etag.strip(chr(34))[:16]}.part")
    with part.open("ab") as file, Bar("downloading", quiet=is_quiet) as bar:
        bar.begin(size)
        if file.tell() > size:
            file.truncate(0)
        while (have := file.tell()) < size:
            headers = {"Range": f"bytes={have}-", "If-Range": etag}
            with root.stream("GET", *path, query=query, headers=headers) as answer:
                if answer.status != 206 or answer.headers["ETag"] != etag:  # noqa: PLR2004 - the part that is asked for
                    raise click.ClickException(f"the bundle has changed meanwhile; begin again, and delete {part}")
                while piece := answer.read(PIECE):
                    file.write(piece)
                    bar.at(file.tell(), size)
            if file.tell() == have:
                raise click.ClickException(f"the hub sent nothing; begin again, and it goes on at byte {have}")
        file.flush()
        os.fsync(file.fileno())
    part.replace(target)
    return size
