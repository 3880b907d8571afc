"""A user's machine that nobody has set up: an empty home, no configuration, no caches, environments to install into.

What this machine has in PIP_*, UV_*, its configuration files, proxies and netrc would hide a fault of the hub's, for
example by finding a package elsewhere. So no program under test gets any of it.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path

SECONDS = 120
"""In which every command of these tests has ended, or hangs."""


HUNG = 124
"""The code of a command that did not end, as timeout(1) has it."""


class Failed(AssertionError):
    """A command that should have worked did not; the text is what it wrote."""


@dataclass(frozen=True)
class Ran:
    """A command that has ended."""

    code: int
    output: str


@dataclass(frozen=True)
class Environment:
    """A virtual environment without pip."""

    folder: Path

    @property
    def python(self) -> Path:
        return self.folder / "bin" / "python"

    @property
    def packages(self) -> Path:
        """Where packages are installed."""
        return next(self.folder.glob("lib/python*/site-packages"))

    def installed(self) -> dict[str, str]:
        """Names, normalised, and versions of what is installed."""
        found = (re.fullmatch(r"(.+)-([^-]+)\.dist-info", path.name) for path in self.packages.iterdir())
        return {re.sub(r"[-_.]+", "-", match[1]).lower(): match[2] for match in found if match}


class Machine:
    """All of it lies in one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._environments = 0
        self.home.mkdir()

    @property
    def home(self) -> Path:
        return self._folder / "home"

    def environment(self) -> Environment:
        """A new one, empty."""
        self._environments += 1
        folder = self._folder / f"environment-{self._environments}"
        venv.create(folder, symlinks=True)
        return Environment(folder)

    def project(self, name: str, text: str) -> Path:
        """A folder with this pyproject.toml."""
        folder = self.home / name
        folder.mkdir(exist_ok=True)
        (folder / "pyproject.toml").write_text(text)
        return folder

    def forget(self) -> None:
        """Empty every cache."""
        shutil.rmtree(self.home / ".cache", ignore_errors=True)

    def run(self, *command: str | Path, folder: Path | None = None, **variables: str) -> Ran:
        """Run a command to its end, whatever its end is; one that hangs is ended, and has failed."""
        with (self._folder / "output.txt").open("w+") as output:
            try:
                ended = subprocess.run(
                    command,
                    env=self.variables(**variables),
                    cwd=folder if folder is not None else self.home,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    timeout=SECONDS,
                    check=False,
                )
                code = ended.returncode
            except subprocess.TimeoutExpired:
                code = HUNG
            output.seek(0)
            return Ran(code, output.read())

    def succeed(self, *command: str | Path, folder: Path | None = None, **variables: str) -> str:
        """Run a command that has to work; what it wrote.

        Raises:
            Failed: it did not.
        """
        ran = self.run(*command, folder=folder, **variables)
        if ran.code:
            raise Failed(f"{' '.join(map(str, command))}\nended with {ran.code}:\n{ran.output}")
        return ran.output

    def variables(self, **more: str) -> dict[str, str]:
        """The whole environment of a command."""
        return {
            "PATH": f"{Path(sys.base_prefix) / 'bin'}:/usr/bin:/bin",
            "HOME": str(self.home),
            "LANG": "C.UTF-8",
            "PIP_CONFIG_FILE": "/dev/null",
            "XDG_CACHE_HOME": str(self.home / ".cache"),
            "XDG_CONFIG_HOME": str(self.home / ".config"),
            "XDG_CONFIG_DIRS": str(self.home / ".config"),
            "XDG_DATA_HOME": str(self.home / ".local" / "share"),
            **more,
        }
