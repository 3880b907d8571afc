"""The clients under test, each in an environment of its own, made once and kept outside the repository.

    python -m tests.clients.prepare

makes them all. They are made with whatever configuration of pip's the machine has, and used with none of it.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
import sys
from pathlib import Path

REQUIREMENTS = Path(__file__).parents[2] / "requirements"

NAMES = ("pip", "pip-2023", "pip-debian", "uv", "poetry")
"""What `requirements/clients-NAME.txt` pins; `pip-2023` is three years old, `pip-debian` what Debian 12 has."""


def prepared(name: str) -> Path:
    """The folder of a client's programs; the environment is made when its pins or the Python are new.

    Raises:
        subprocess.CalledProcessError: the pins could not be installed.
    """
    pins = REQUIREMENTS / f"clients-{name}.txt"
    state = hashlib.sha256(sys.version.encode() + pins.read_bytes()).hexdigest()[:16]
    environment = _cache() / f"{name}-{state}"
    programs = environment / "bin"
    environment.parent.mkdir(parents=True, exist_ok=True)
    with environment.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # tests may run in several processes
        done = environment / "done"
        if not done.exists():
            _run(sys.executable, "-m", "venv", "--clear", str(environment))
            install = ("install", "--quiet", "--no-input", "--require-hashes", "-r", str(pins))
            _run(str(programs / "python"), "-m", "pip", "--disable-pip-version-check", *install)
            done.touch()
    return programs


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "creamery-tests" / "clients"


def _run(*command: str) -> None:
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)


if __name__ == "__main__":
    for each in NAMES:
        print(prepared(each))
