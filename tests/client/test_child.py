"""A program that is started without `subprocess` is as one that is started with it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from creamery.client.child import Child, start

Start = Callable[[list[str], dict[str, str]], "Child | subprocess.Popen[bytes]"]


def spawned(command: list[str], environment: dict[str, str]) -> Child | subprocess.Popen[bytes]:
    found = start(command, environment, keeps_output=True)
    assert isinstance(found, Child)
    return found


def opened(command: list[str], environment: dict[str, str]) -> Child | subprocess.Popen[bytes]:
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE)


both = pytest.mark.parametrize("starts", [spawned, opened])


def python(code: str) -> list[str]:
    return [sys.executable, "-I", "-S", "-c", code]


@both
def test_its_output_and_code_are_kept_and_it_has_the_environment_it_was_given(starts: Start) -> None:
    child = starts(python("import os, sys; print(os.environ['A'] * 100_000); sys.exit(3)"), {"A": "b"})

    assert child.communicate()[0] == b"b" * 100_000 + b"\n"
    assert child.returncode == 3


@both
def test_it_takes_a_closed_pipe_as_any_program_does_and_has_no_file_of_ours(starts: Start, tmp_path: Path) -> None:
    with (tmp_path / "ours").open("w") as ours:
        child = starts(
            ["/bin/sh", "-c", "grep SigIgn /proc/self/status; ls -l /proc/self/fd"], {"PATH": "/usr/bin:/bin"}
        )
        said = (child.communicate()[0] or b"").decode()

    assert not int(said.split()[1], 16) & 1 << signal.SIGPIPE - 1
    assert ours.name not in said


@both
def test_a_signal_that_ends_it_is_its_code(starts: Start) -> None:
    child = starts(python("import time; time.sleep(60)"), {})
    timer = threading.Timer(0.2, child.terminate)
    timer.start()

    assert child.communicate()[0] == b""
    assert child.returncode == -signal.SIGTERM
    child.kill()  # nobody is hit by what comes late


@both
def test_a_program_that_is_not_there_is_told(starts: Start) -> None:
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208

    with pytest.raises(FileNotFoundError):
        starts(["/nowhere/uv"], {})

    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208
