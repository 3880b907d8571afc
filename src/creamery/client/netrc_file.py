"""Netrc files: the user's, and the one out of which uv and pip read the hub's password.

The latter no one else may read, and it is gone when they have ended.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False  # `typing` takes half as long as Python's own start: uv is waited for
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from creamery.client.address import HubAddress
    from creamery.client.credentials import Credentials


def netrc_file(
    folder: str, known: Sequence[tuple[HubAddress, Credentials]], theirs: str, say: Callable[[str], object]
) -> str:
    """Write it; returns its path.

    Args:
        folder: this user's alone.
        known: who is asked as whom.
        theirs: the user's own file, which goes into it; empty: the one at home.
        say: is told where that cannot be.

    Raises:
        OSError: it cannot be written.
    """
    ours = "".join(_entry(address.host, *credentials.pair) for address, credentials in known)
    path = os.path.join(folder, "netrc")  # noqa: PTH118 - pathlib costs 3 ms of a start
    theirs = theirs or os.path.expanduser("~/.netrc")  # noqa: PTH111
    more = _text(theirs)
    _write(path, f"{more}\n\n{ours}" if more else ours)  # uv and pip take a host's last entry; \n\n ends a macro
    if more and not _is_readable(path):  # then uv would not read ours either
        say(f"{theirs} is not written as a netrc file is; it is done without.")
        os.unlink(path)  # noqa: PTH108
        _write(path, ours)
    return path


def login_of(path: Path | str, host: str, name: str | None) -> tuple[str, str] | None:
    """Who a file says asks a host, and their password: the last entry, as uv and pip read it; None: it has none.

    Args:
        name: whose entry it must be; None: anybody's.

    Raises:
        OSError: it cannot be read.
        netrc.NetrcParseError: it is not written as one.
        UnicodeDecodeError: it is no text.
    """
    import netrc  # noqa: PLC0415 - where the user has one

    class Entries(dict[str, tuple[str, str, str]]):
        """Python keeps the last of each host."""

        def __setitem__(self, machine: str, entry: tuple[str, str, str]) -> None:
            if entry:  # an empty one is put there first
                every.append((machine, entry))
            super().__setitem__(machine, entry)

    class File(netrc.netrc):
        def __setattr__(self, attribute: str, value: object) -> None:
            super().__setattr__(attribute, Entries() if attribute == "hosts" else value)

    every: list[tuple[str, tuple[str, str, str]]] = []
    File(str(path))
    for machine in (host, "default"):
        named = [entry for known, entry in every if known == machine]
        found = [(login or "", password) for login, _, password in named if name in {None, login} and password]
        if named:
            return found[-1] if found else None
    return None


def _entry(host: str, name: str, password: str) -> str:
    return f"machine {host}\nlogin {_quoted(name)}\npassword {_quoted(password)}\n"


def _text(path: str) -> str:
    """What a file says, as far as it can be read."""
    try:
        if not os.path.isfile(path):  # noqa: PTH113
            return ""
        with open(path, encoding="utf-8", errors="replace") as file:  # noqa: PTH123
            return file.read()
    except OSError:
        return ""


def _write(path: str, text: str) -> None:
    opened = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(opened, "w", encoding="utf-8") as file:  # noqa: PTH123
        file.write(text)


def _is_readable(path: str) -> bool:
    import netrc  # noqa: PLC0415 - where the user has one

    try:
        netrc.netrc(path)
    except netrc.NetrcParseError:
        return False
    return True


def _quoted(word: str) -> str:
    """As netrc files have words with anything in them."""
    return '"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"'
