"""Machines that install with `creamery`: each has a home, a cache and environments of its own, and is not set up."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
import venv
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.doubles.running import RunningHub
from tests.doubles.uploading import Auth

CREAMERY = Path(sys.executable).parent / "creamery"
CURD = CREAMERY.with_name("curd")
UV = Path(sys.executable).parent / "uv"


class Laptop:
    """One of them, at a hub; `token` may share what it builds."""

    def __init__(self, folder: Path, hub: RunningHub | None, token: Auth | None = None) -> None:
        self.folder = folder
        self.builds = folder / "builds.txt"
        self.base = "" if hub is None else hub.base
        self._token = token
        self._environments = 0
        for name in ("home", "tmp"):
            (folder / name).mkdir(parents=True)

    def variables(self, **more: str) -> dict[str, str]:
        """The whole environment of what runs here."""
        known = {} if self._token is None else {"CREAMERY_TOKEN": self._token[1]}
        found = {
            "PATH": f"{UV.parent}{os.pathsep}/usr/bin{os.pathsep}/bin",
            "HOME": str(self.folder / "home"),
            "TMPDIR": str(self.folder / "tmp"),
            "LANG": "C.UTF-8",
            "UV_CACHE_DIR": str(self.folder / "cache"),
            "UV_PYTHON_DOWNLOADS": "never",
            "BUILDS": str(self.builds),
            "CREAMERY_HUB": self.base,
            **known,
        }
        return {**found, **more}

    def environment(self) -> Path:
        """A new one, empty."""
        self._environments += 1
        folder = self.folder / f"environment-{self._environments}"
        venv.create(folder, symlinks=True)
        return folder

    def start(self, *words: str | Path, program: Path = CREAMERY, **variables: str) -> subprocess.Popen[str]:
        """Run `creamery`, or another program of ours."""
        with _interruptible():
            return subprocess.Popen(
                [program, *words],
                env=self.variables(**variables),
                cwd=self.folder / "home",
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                start_new_session=True,
            )

    def call(self, *words: str | Path, program: Path = CREAMERY, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run it to its end."""
        with self.start(*words, program=program, **variables) as started:
            try:
                out, err = started.communicate(timeout=60)
            finally:
                if started.poll() is None:
                    os.killpg(started.pid, signal.SIGKILL)
        return subprocess.CompletedProcess(words, started.returncode, out, err)

    def install(self, *words: str | Path, program: Path = CREAMERY, **variables: str) -> tuple[Path, str]:
        """`creamery install` into a new environment, which has to work; the environment, and what was said."""
        environment = self.environment()
        python = environment / "bin" / "python"
        ended = self.call("install", "--python", python, *words, program=program, **variables)
        assert ended.returncode == 0, ended.stderr
        return environment, ended.stderr

    def built(self) -> list[str]:
        """What was built here, each as often as it was."""
        return self.builds.read_text().split() if self.builds.exists() else []

    def wait_until(self, holds: Callable[[], bool]) -> None:
        """Look again and again until something holds."""
        until = time.monotonic() + 30
        while not holds():
            assert time.monotonic() < until, "it did not come to hold"
            time.sleep(0.02)

    def left(self) -> list[str]:
        """What we have left in the temporary folder."""
        return sorted(path.name for path in (self.folder / "tmp").iterdir() if path.name.startswith("creamery"))


@contextmanager
def _interruptible() -> Iterator[None]:
    """What starts meanwhile hears Ctrl-C, also where these tests run in the background of a shell and do not."""
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGINT) != signal.SIG_IGN:
        yield
        return
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def packages_of(environment: Path) -> list[str]:
    """The names of what is installed there, in order."""
    (packages,) = environment.glob("lib/python*/site-packages")
    return sorted(path.name.partition("-")[0] for path in packages.glob("*.dist-info"))


def entries_of(hub: RunningHub, project: str) -> list[dict[str, Any]]:
    """The built wheels that the hub has of it."""
    found: list[dict[str, Any]] = hub.get(f"/w/v1/projects/{project}").json()["wheels"]
    return found
