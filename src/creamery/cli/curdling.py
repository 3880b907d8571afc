"""What `curd` does: its words, read, and what becomes of them. click is left to `curd.py`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from creamery.cli.installing import place, told
from creamery.cli.wishing import declared_in, is_quiet, warn
from creamery.cli.words import Option, Words, read_words
from creamery.client.errors import UnusableInput

if TYPE_CHECKING:
    from creamery.client.curdling import CurdLaunch
    from creamery.client.installing import Installed

_EVERY = ("install", "uninstall", "freeze")

GONE = (
    Option(
        "log_level", ("-l", "--log-level"), "LEVEL", "Gone: -v has uv tell more, and RUST_LOG says of what.", _EVERY
    ),
    Option("log_file", ("--log-file",), "FILE", "Gone: uv tells on standard error; send that to a file.", _EVERY),
    Option("log_name", ("--log-name",), "NAME", "Gone: RUST_LOG says of what uv is to tell.", _EVERY),
)
"""What Curdling had, and nothing here has a use for."""

OPTIONS = (
    Option(
        "servers",
        ("-c", "--curdling-index"),
        "URL",
        "A hub or an old curd-server with built wheels; may be said again. uv's own -c (constraints) goes by its long"
        " name here.",
    ),
    Option("upload", ("-u", "--upload"), "", "Send them what is built here, and old servers all that they lack."),
    Option(
        "index",
        ("-i", "--index"),
        "URL",
        "An index that is asked instead of uv's default one; may be said again, and the first goes before.",
    ),
    Option("force", ("-f", "--force"), "", "Install again what is there."),
    *GONE,
)

_CURDLING = re.compile(r"curdling(\[[^\]]*\])?([ =<>!~].*)?", re.IGNORECASE | re.DOTALL)
_LOUDNESS = re.compile(r"-[qv]+|--quiet|--verbose")


def install(words: Sequence[str]) -> int:
    """Install what is asked for; returns uv's code.

    Raises:
        HubError: an address is none, there is no uv, or a name is kept by a hub that is away.
        WrongWords: a value is missing.
    """
    said = _read("install", words)
    if all(_LOUDNESS.fullmatch(word) for word in said.rest):
        return 0
    from creamery.client.credentials import Sources  # noqa: PLC0415 - help costs click alone
    from creamery.client.curdling import CurdLaunch, find_servers, read_index  # noqa: PLC0415
    from creamery.client.curdling import install as installed_by  # noqa: PLC0415
    from creamery.client.finding_uv import find_uv  # noqa: PLC0415
    from creamery.client.launching import configured, own_variables  # noqa: PLC0415
    from creamery.client.wishes import Wish  # noqa: PLC0415

    environ, own, uv = configured(), own_variables(), find_uv()
    sources = Sources(None, environ.get("CREAMERY_TOKEN"), environ.get("NETRC"))
    indexes = [read_index(url, sources) for url in said.every("index")]
    found = find_servers(said.every("servers"), sources, warn)
    hub = next((server for server in found.servers if server.is_hub), None)
    wish = Wish(
        address=None if hub is None else hub.address,
        credentials=None if hub is None else hub.credentials,
        may_fall_back=True,
        shares=said.has("upload") and bool(found.servers),
        quiet=is_quiet(said),
        declared=declared_in(environ),
    )
    arguments = [
        *place(said.rest, own, str(Path.cwd())),
        *(["--reinstall"] if said.has("force") else []),
        *map(_renamed, said.rest),
    ]
    with CurdLaunch(found, indexes, wish, own, warn) as launch:
        done = installed_by(launch, uv, arguments)
        if wish.shares and launch.old_servers and not done.code and not done.was_interrupted:
            try:
                _share(launch, done, uv, arguments, environ.get("NETRC"))
            except KeyboardInterrupt:
                warn("not everything that the servers lack is shared.")
                raise
        return told(launch, done, uv, arguments, own)


def uninstall(words: Sequence[str]) -> int:
    """Take packages away; returns uv's code, which is 0 for what is not there."""
    said = _read("uninstall", words)
    return _pass_on("uninstall", said.rest)


def freeze(words: Sequence[str]) -> int:
    """List what is installed: in an environment, or in a folder of packages.

    Raises:
        UnusableInput: there is neither.
    """
    rest = _read("freeze", words).rest
    for at, word in enumerate(rest):
        if not word.startswith("-") and (at == 0 or _LOUDNESS.fullmatch(rest[at - 1])):
            if not Path(word).exists():
                raise UnusableInput(f"There is no environment or folder of packages at {word}.", "Check the path.")
            option = "--python" if (Path(word) / "pyvenv.cfg").is_file() else "--path"
            rest[at : at + 1] = [option, word]
            break
    return _pass_on("freeze", rest)


def _pass_on(command: str, rest: list[str]) -> int:
    from creamery.client.launching import own_variables  # noqa: PLC0415 - help costs click alone
    from creamery.client.uv import pass_on  # noqa: PLC0415

    own = own_variables()
    return pass_on(["pip", command, *place(rest, own, str(Path.cwd())), *rest], own)


def _read(command: str, words: Sequence[str]) -> Words:
    """The words, after a sentence about each that means nothing any more."""
    said = read_words(command, words, OPTIONS if command == "install" else GONE)
    for option in GONE:
        if said.has(option.name):
            warn(f"{option.spelt[0]} is {option.told[0].lower()}{option.told[1:]}")
    if any("@" in url for url in [*said.every("servers"), *said.every("index")]):
        warn("everybody on this machine can read a password on the command line (`ps`); ~/.netrc may hold it")
    return said


def _renamed(word: str) -> str:
    """Curdling itself, whose server is ours now: its own would take the place of these commands."""
    match = _CURDLING.fullmatch(word)
    if match is None:
        return word
    warn(f"{word} is part of creamery; that is installed in its place.")
    return f"creamery{match[1] or ''}"


def _share(launch: CurdLaunch, done: Installed, uv: str, arguments: Sequence[str], netrc: str | None) -> None:
    """Have what the old servers lack sent there, in the background."""
    from creamery.cli.progress import Bar  # noqa: PLC0415
    from creamery.client.errors import HubError  # noqa: PLC0415
    from creamery.client.from_index import lacking, share  # noqa: PLC0415

    try:
        lacked = lacking(launch, done, uv, arguments)
    except HubError as error:
        warn(f"{error.sentence} What came from an index is not shared.")
        return
    with Bar("Fetching what is shared", quiet=launch.wish.quiet, counts="files") as bar:
        bar.begin(len(lacked))
        share(launch, lacked, netrc, bar.advance)
