"""uv resolves: which versions an installation through a hub takes, and which of their files fit.

It runs here and not on the hub: it asks the hub as whoever runs it may, and whatever a package would have run while its
metadata is built would run here too. Nothing of any package is run unless `may_build` says so.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from creamery.client.credentials import Credentials
from creamery.client.errors import UnusableInput
from creamery.client.finding_uv import find_uv
from creamery.client.targets import Target

SECONDS = 900.0
SAID = 3_000
"""Characters of what uv says that are shown: the last ones."""

NAME = "creamery"
"""Of the hub's index, for uv."""

_BUILD = "What has no wheel needs --build: its code then runs on this machine, as an installation runs it."

_OTHER_INDEXES = ("UV_DEFAULT_INDEX", "UV_INDEX", "UV_INDEX_URL", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS", "UV_NO_INDEX")


def resolve(
    index: str,
    credentials: Credentials | None,
    requirements: Sequence[str],
    files: Sequence[Path],
    target: Target,
    *,
    may_build: bool = False,
) -> str:
    """What an installation of these takes, as the text of a pylock.toml that lists the files that fit.

    Args:
        index: the address of the hub's simple index.
        credentials: of whoever asks it.
        requirements: such as `flask>=3`.
        files: requirements files, or whatever else uv reads.
        target: whom the files are for.
        may_build: code of packages without a wheel may run here, as an installation runs it.

    Raises:
        UnusableInput: there is no uv, or it finds nothing that can be installed.
    """
    uv = find_uv()
    with TemporaryDirectory(prefix="creamery-") as folder:
        asked, locked = Path(folder, "asked.in"), Path(folder, "pylock.toml")
        asked.write_text("".join(f"{line}\n" for line in requirements), encoding="utf-8")
        command = [
            *(uv, "pip", "compile", "--quiet", "--no-header", "--format", "pylock.toml"),
            *("--output-file", str(locked), "--default-index", f"{NAME}={index}", "--refresh"),
            *target.uv_options(),
            *(() if may_build else ("--no-build",)),
            *([str(asked)] if requirements else []),
            *(str(file.absolute()) for file in files),
        ]
        ended = _run(command, _variables(credentials))
        if ended.returncode != 0 or not locked.exists():
            said = ended.stdout.strip()[-SAID:]
            raise UnusableInput(f"uv finds nothing to install:\n{said}", _BUILD if "--no-build" in said else "")
        return locked.read_text(encoding="utf-8")


def lock_exactly(pins: Sequence[str], place: Sequence[str], environment: Mapping[str, str]) -> str:
    """The files of versions that are installed already, as the text of a pylock.toml.

    Args:
        pins: such as `flask==3.1.2`.
        place: uv's words for the Python that they are for.
        environment: says which indexes are asked.

    Raises:
        UnusableInput: uv does not find them any more.
    """
    with TemporaryDirectory(prefix="creamery-") as folder:
        asked, locked = Path(folder, "asked.in"), Path(folder, "pylock.toml")
        asked.write_text("".join(f"{pin}\n" for pin in pins), encoding="utf-8")
        command = [
            *(find_uv(), "pip", "compile", "--quiet", "--no-header", "--no-deps", "--format", "pylock.toml"),
            *("--output-file", str(locked), *place, str(asked)),
        ]
        ended = _run(command, dict(environment))
        if ended.returncode != 0 or not locked.exists():
            raise UnusableInput(f"uv does not find what it has installed: {' '.join(ended.stdout.split())[-SAID:]}")
        return locked.read_text(encoding="utf-8")


def pass_on(words: Sequence[str], own: Mapping[str, str]) -> int:
    """Run uv for its user, to its end; returns how it ended.

    Raises:
        UnusableInput: there is no uv.
    """
    with subprocess.Popen([find_uv(), *words], env=dict(own)) as running:  # noqa: S603 - as its user wants
        while True:
            try:
                code = running.wait()
            except KeyboardInterrupt:  # it has heard that, too
                continue
            return code if code >= 0 else 128 - code


def _run(command: Sequence[str], variables: dict[str, str]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(  # noqa: S603 - uv, with what its user has asked for
            command,
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise UnusableInput(f"uv has found nothing to install within {SECONDS:g} s.") from error
    except OSError as error:
        raise UnusableInput(f"uv cannot be run: {error.strerror}.", "Install it anew: pip install uv.") from error


def _variables(credentials: Credentials | None) -> dict[str, str]:
    """This process's, without other indexes: what is found there the hub cannot fetch. Passwords go nowhere else."""
    kept = {name: value for name, value in os.environ.items() if name not in _OTHER_INDEXES}
    if credentials is None:
        return kept
    name, password = credentials.pair
    return kept | {f"UV_INDEX_{NAME.upper()}_USERNAME": name, f"UV_INDEX_{NAME.upper()}_PASSWORD": password}
