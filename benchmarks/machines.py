"""Machines that install: each run has an empty environment and, unless told otherwise, an empty cache of uv's."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
import venv
from collections.abc import Mapping
from pathlib import Path

from benchmarks.processes import CannotMeasure

PROGRAMS = Path(sys.executable).parent
UV_INSTALL = (str(PROGRAMS / "uv"), "pip", "install")
CREAMERY_INSTALL = (str(PROGRAMS / "creamery"), "install")


class Machine:
    """One of them.

    Args:
        folder: its own; gone with whatever it lies in.
        variables: what its commands see beside what everybody's do.
    """

    def __init__(self, folder: Path, variables: Mapping[str, str]) -> None:
        self._cache, self._environment, self._builds = folder / "cache", folder / "environment", folder / "builds"
        self._variables = {
            "PATH": "/usr/bin:/bin",
            "HOME": str(folder / "home"),
            "TMPDIR": str(folder / "tmp"),
            "LANG": "C.UTF-8",
            "UV_CACHE_DIR": str(self._cache),
            "UV_PYTHON_DOWNLOADS": "never",
            "BUILDS": str(self._builds),
            **variables,
        }
        for name in ("home", "tmp"):
            (folder / name).mkdir(parents=True)

    def install_anew(self, command: tuple[str, ...], *what: str, builds: int = 0) -> float:
        """Seconds of an installation into an empty environment, with an empty cache.

        Raises:
            CannotMeasure: it fails, or builds another number of packages than it is to.
        """
        for folder in (self._cache, self._environment):
            shutil.rmtree(folder, ignore_errors=True)
        self._builds.write_text("", encoding="ascii")
        venv.create(self._environment, symlinks=True)
        seconds = self.install(command, *what)
        built = self._builds.read_text(encoding="ascii").split()
        if len(built) != builds:
            raise CannotMeasure(f"{command[-1]} {what} has built {built}, which is not {builds}")
        return seconds

    def install(self, command: tuple[str, ...], *what: str) -> float:
        """Seconds of an installation into the environment that is there, with the cache that is there.

        Raises:
            CannotMeasure: it fails.
        """
        words = [*command, "--python", str(self._environment / "bin" / "python"), *what]
        began = time.perf_counter()
        ran = subprocess.run(
            words, env=self._variables, cwd=self._variables["HOME"], capture_output=True, text=True, check=False
        )
        seconds = time.perf_counter() - began
        if ran.returncode:
            raise CannotMeasure(f"{' '.join(words)}:\n{ran.stdout}{ran.stderr}"[:4_000])
        return seconds
