"""How another program is made to install through a hub: uv, pip, and whatever calls them.

They are told by the environment that they read anyway. What stands there every build sees, which runs other people's
code; so no password is in it, but the name of a netrc file that is there for as long as the program runs, and for its
owner alone. It goes before the user's own and has that in it.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from creamery.client.address import HubAddress
from creamery.client.credentials import Credentials
from creamery.client.errors import HubError, HubUnreachable, NotAHub, UnusableInput
from creamery.client.wire import Hub, Patience

PROBE = Patience(connect_seconds=1.0, silent_seconds=1.0, whole_seconds=1.5, answer_bytes=64 * 1024)
"""A hub that is there answers at once; one that is not costs no more."""


_OURS = frozenset({"CREAMERY_TOKEN", "CREAMERY_HUB"})
"""The latter may hold a password."""


@dataclass(frozen=True, slots=True)
class Way:
    """How a program installs.

    Attributes:
        variables: of its environment, over the caller's.
        warning: what is not as it was asked for, in a sentence; empty: all is.
    """

    variables: Mapping[str, str]
    warning: str = ""


def own_variables() -> dict[str, str]:
    """This process's environment, without what no build is to see."""
    return {name: value for name, value in os.environ.items() if name not in _OURS}


def find_way(
    address: HubAddress, credentials: Credentials | None, *, may_fall_back: bool, is_needed: bool = False
) -> Way:
    """Through the hub, if it answers now.

    Args:
        address: the hub's.
        credentials: of whoever asks it.
        may_fall_back: else what is not pinned by its hash might come from where somebody else has taken its name.
        is_needed: without the hub nothing is installed at all.

    Raises:
        HubError: it does not answer, or refuses, and nothing else may be asked.
    """
    try:
        Hub(address, credentials, patience=PROBE).at_root().post("w", "v1", "lookup", body={"keys": []})
    except (HubUnreachable, NotAHub) as error:
        if is_needed or not may_fall_back:
            raise type(error)(
                error.sentence,
                "Nothing was installed: another index may have other packages under the same names. Start the hub, or"
                " say --allow-fallback.",
            ) from error
        return Way({}, f"{error.sentence} It is not asked; what you have configured is.")
    except HubError as error:
        if is_needed or not may_fall_back:
            raise
        return Way({}, f"{error.sentence} It is not asked; what you have configured is.")
    index = f"{address}/w/i/"
    return Way({"UV_DEFAULT_INDEX": index, "PIP_INDEX_URL": index})


def run(
    command: Sequence[str], way: Way, address: HubAddress, credentials: Credentials | None, own: Mapping[str, str]
) -> int:
    """Run a program that way, and return how it ended.

    Args:
        command: the program and what it is told.
        way: how it installs.
        address: the hub's, which the credentials are for.
        credentials: of whoever asks; where there are none, this process becomes the program.
        own: this process's environment.

    Raises:
        UnusableInput: there is no such program.
    """
    environment = {**own, **way.variables}
    try:
        if credentials is None or not way.variables:
            if os.name == "posix":
                os.execvpe(command[0], list(command), environment)  # noqa: S606 - what its user has asked for
            return subprocess.call(command, env=environment)  # noqa: S603 - likewise
        with _netrc(address, credentials, own) as path:
            return subprocess.call(command, env={**environment, "NETRC": str(path)})  # noqa: S603 - likewise
    except FileNotFoundError as error:
        raise UnusableInput(f"There is no program {command[0]}.", "Write it as you would call it yourself.") from error
    except OSError as error:
        raise UnusableInput(f"{command[0]} cannot be run: {error.strerror}.") from error


@contextlib.contextmanager
def _netrc(address: HubAddress, credentials: Credentials, own: Mapping[str, str]) -> Iterator[Path]:
    """A file with these and the user's own, for a while."""
    name, password = credentials.pair
    theirs = Path(own["NETRC"]) if "NETRC" in own else Path("~/.netrc").expanduser()
    with tempfile.TemporaryDirectory(prefix="creamery-") as folder:
        path = Path(folder, "netrc")
        path.touch(mode=0o600)
        line = f"machine {address.host}\nlogin {_quoted(name)}\npassword {_quoted(password)}\n"
        before = theirs.read_text(encoding="utf-8") if theirs.is_file() else ""
        path.write_text(line + before, encoding="utf-8")
        yield path


def _quoted(word: str) -> str:
    """As netrc files have words with anything in them."""
    return '"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"'
