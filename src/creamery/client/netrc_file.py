"""The file out of which uv and pip read the hub's password: no one else may, and it is gone when they have ended."""

from __future__ import annotations

import os

TYPE_CHECKING = False  # `typing` takes half as long as Python's own start: uv is waited for
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

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
    _write(path, ours + more)
    if more and not _is_readable(path):  # then uv would not read ours either
        say(f"{theirs} is not written as a netrc file is; it is done without.")
        os.unlink(path)  # noqa: PTH108
        _write(path, ours)
    return path


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
