"""`creamery serve` as a process of its own: the real program, which may be killed."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx2

_ADDRESS = re.compile(r"(?:listens|serves carts|serves built wheels) on (http://\S+)")


class Served:
    """The program, started on entering and told to end on leaving; `settings` are environment variables' names.

    Attributes:
        base: its address.
        output: what it has printed so far, logs included.
    """

    def __init__(self, data: Path, upstream: str, **settings: str) -> None:
        self._command = [sys.executable, "-m", "creamery", "serve", "--port", "0", "--data", str(data)]
        inherited = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        self._environment = {
            **inherited,
            "CREAMERY_INDEX_UPSTREAMS": upstream,
            "CREAMERY_LIMITS_RESERVE_BYTES": "0",
            **{f"CREAMERY_{name.upper()}": value for name, value in settings.items()},
        }
        self._data = data
        self.base = ""
        self.output = ""
        self.client = httpx2.Client(timeout=20, trust_env=False)

    def __enter__(self) -> Self:
        self.process = subprocess.Popen(
            self._command,
            env=self._environment,
            cwd=self._data.parent,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        try:
            self.base = self._address()
        except AssertionError:
            self.process.kill()  # a hub that does not start must not outlive its test
            self.wait()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.client.close()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        self.wait()

    def _address(self) -> str:
        until = time.monotonic() + 90  # a start on an idle machine takes one second; a crowded one takes its time
        while not (found := _ADDRESS.search(self.output)):
            assert self.process.poll() is None, f"it ended with {self.process.returncode}:\n{self.output}"
            assert time.monotonic() < until, f"it does not start:\n{self.output}"
            time.sleep(0.02)
        return found[1]

    def get(self, path: str, **headers: str) -> httpx2.Response:
        """GET a path of it."""
        return self.client.get(self.base + path, headers={name.replace("_", "-"): v for name, v in headers.items()})

    def wait(self) -> int:
        """Its exit code, once it has ended."""
        code = self.process.wait(40)
        self._reader.join(5)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.output += line


class ServedAlone(Served):
    """One of the originals' programs, in the same way; `variables` are the environment's, as they are spelt there."""

    module: str

    def __init__(self, folder: Path, *options: str | Path, **variables: str) -> None:
        super().__init__(folder / "var", "")
        self._command = [sys.executable, "-m", self.module, *map(str, options)]
        self._environment = {
            **{name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ},
            "HOME": str(folder),
            "CREAMERY_LIMITS_RESERVE_BYTES": "0",
            **variables,
        }


class ServedCarts(ServedAlone):
    """`pacifica-cartd`."""

    module = "creamery.cli.cartd"


class ServedFolder(ServedAlone):
    """`curd-server`."""

    module = "creamery.cli.curd_server"


def children_of(process: int) -> list[int]:
    """The processes that a hub's process has begun for large jobs."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            status, command = (folder / "status").read_text(), (folder / "cmdline").read_bytes()
        except OSError:
            continue  # it has ended
        if f"PPid:\t{process}\n" in status and b"creamery.child" in command:
            found.append(int(folder.name))
    return found


def cartd_cmd(folder: Path, *arguments: object, **variables: str) -> subprocess.CompletedProcess[str]:
    """`pacifica-cartd-cmd` in a folder, which is its home too."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "CREAMERY_LIMITS_RESERVE_BYTES": "0", **variables}
    command = [sys.executable, "-m", "creamery.cli.cartd_cmd", *map(str, arguments)]
    return subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, timeout=60, check=False)


def fsck(data: Path, *flags: str) -> tuple[int, str]:
    """`creamery fsck`: its exit code, and what it says."""
    return creamery("fsck", "--data", data, *flags)


def creamery(*arguments: object, **settings: str) -> tuple[int, str]:
    """Any command, as a process of its own: its exit code, and what it says."""
    environment = {**os.environ, **{f"CREAMERY_{name.upper()}": value for name, value in settings.items()}}
    command = [sys.executable, "-m", "creamery", *map(str, arguments)]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    return ran.returncode, ran.stdout + ran.stderr
