"""The clients under test, each in an environment of its own, made once and kept outside the repository.

    python -m tests.clients.prepare

makes them all. They are made with whatever configuration of pip's the machine has, and used with none of it.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

REQUIREMENTS = Path(__file__).parents[2] / "requirements"

NAMES = ("pip", "pip-2023", "pip-debian", "uv", "poetry")
"""What `requirements/clients-NAME.txt` pins; `pip-2023` is three years old, `pip-debian` what Debian 12 has."""

SAYING = ("uv-first",)
"""About the first uv that says in its `User-Agent` which of its commands asks; before, it is shown no built wheel."""

UPLOADING = ("twine", "twine-6", "uv", "flit", "hatch", "poetry", "pdm", "setuptools")
"""What uploads; `setuptools` is the last that had `upload`, on the oldest Python there is."""

RUNNING = ("tox",)
"""What runs installations for others: tox with its plugin for uv, and nox."""

MIRRORING = ("bandersnatch",)
"""What mirrors; it wants a newer Python than the hub does."""

NEWEST = ("3.14", "3.13", "3.12")
"""Pythons that it runs on."""

OLDEST = ("3.6", "3.7", "3.8", "3.9", "3.10", "3.11")
"""Pythons with distutils, which setuptools of that time stands on."""


def prepared(name: str) -> Path:
    """The folder of a client's programs; the environment is made when its pins or the Python are new.

    Raises:
        subprocess.CalledProcessError: the pins could not be installed.
    """
    pins = REQUIREMENTS / f"clients-{name}.txt"
    python = {"setuptools": old_python, "bandersnatch": new_python}.get(name, lambda: sys.executable)()
    state = hashlib.sha256(sys.version.encode() + python.encode() + pins.read_bytes()).hexdigest()[:16]
    environment = _cache() / f"{name}-{state}"
    programs = environment / "bin"
    environment.parent.mkdir(parents=True, exist_ok=True)
    with environment.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # tests may run in several processes
        done = environment / "done"
        if not done.exists():
            _run(python, "-m", "venv", "--clear", str(environment))
            install = ("install", "--quiet", "--no-input", "--require-hashes", "-r", str(pins))
            _run(str(programs / "python"), "-m", "pip", "--disable-pip-version-check", *install)
            done.touch()
    return programs


def old_python() -> str:
    """The oldest Python that can make the environment of an old setuptools.

    Raises:
        LookupError: there is none.
    """
    return _first(OLDEST, "an upload with setup.py needs a Python before 3.12")


def new_python() -> str:
    """The newest Python that there is, for what does not run on each that the hub runs on.

    Raises:
        LookupError: there is none.
    """
    return _first(NEWEST, "bandersnatch needs Python 3.12 or newer")


def _first(versions: tuple[str, ...], otherwise: str) -> str:
    for version in versions:
        if found := _python(version):
            return found
    raise LookupError(otherwise)


def python_2() -> str | None:
    """Python 2.7, which has its `upload` in itself; None where there is none any more."""
    return _python("2.7")


def _python(version: str) -> str | None:
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    for found in pyenv.glob(f"{version}.*/bin/python"):
        return str(found)
    return shutil.which(f"python{version}")


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "creamery-tests" / "clients"


def _run(*command: str) -> None:
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)


if __name__ == "__main__":
    for each in dict.fromkeys(NAMES + SAYING + UPLOADING + RUNNING + MIRRORING):
        print(prepared(each))
