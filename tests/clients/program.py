"""`creamery serve` as people start it: a process of its own, known by what it prints."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

BANNER = re.compile(r"^Creamery \S+ listens on (?P<base>http://\S+)$", re.MULTILINE)
PASTE = re.compile(r"pip install --index-url (?P<index>\S+) PACKAGE$", re.MULTILINE)
START_SECONDS = 60
STOP_SECONDS = 15


class Program:
    """Started on entering; told to stop on leaving, when it must end well and in time.

    Attributes:
        said: what it has written to standard output and standard error so far.
        base, index: where it says that it listens, and the index that it says to paste.
    """

    def __init__(self, data: Path, variables: Mapping[str, str], *options: str) -> None:
        self._command = [str(Path(sys.executable).parent / "creamery"), "serve", "--data", str(data), *options]
        self._variables = dict(variables)
        self._process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None
        self._banner = threading.Event()
        self.said = ""
        self.base = ""
        self.index = ""

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [*self._command, "--port", "0"],
            env=self._variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self._banner.wait(START_SECONDS)
        banner, paste = BANNER.search(self.said), PASTE.search(self.said)
        if banner is None or paste is None:
            self._process.kill()
            raise AssertionError(f"it did not start:\n{self.said}")
        self.base, self.index = banner["base"], paste["index"]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process is not None
        assert self._reader is not None
        if self._process.poll() is None:
            self._process.terminate()
        try:
            code = self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            raise
        self._reader.join(STOP_SECONDS)
        assert code == 0, self.said
        assert "Traceback" not in self.said, self.said

    def wait_until_said(self, text: str, seconds: float = 10) -> None:
        """Wait for a line of its log."""
        until = time.monotonic() + seconds
        while text not in self.said:
            assert time.monotonic() < until, f"{text!r} was not said:\n{self.said}"
            time.sleep(0.02)

    def _read(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                self.said += line
                if PASTE.search(self.said):
                    self._banner.set()
        self._banner.set()
