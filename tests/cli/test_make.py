"""README's two commands, in a clean clone, with a Python and nothing else."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]

pytestmark = pytest.mark.installed


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a newcomer has after `git clone`."""
    folder = tmp_path_factory.mktemp("newcomer") / "creamery"
    subprocess.run(["git", "clone", "--quiet", str(REPOSITORY), str(folder)], check=True)
    return folder


@contextmanager
def made_serve(clone: Path, *, within_seconds: float) -> Iterator[str]:
    """`make serve` on a free port; gives what it printed until it listened, and ends it as Ctrl-C does."""
    environment = {name: value for name, value in os.environ.items() if name not in {"VIRTUAL_ENV", "PYTHONPATH"}}
    running = subprocess.Popen(
        ["make", "serve"],
        cwd=clone,
        env={**environment, "CREAMERY_LISTEN_PORT": "0"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    too_late = threading.Timer(within_seconds, os.killpg, (running.pid, signal.SIGKILL))
    too_late.start()
    assert running.stdout is not None
    try:
        shown = ""
        while "data:" not in shown:
            line = running.stdout.readline()
            assert line, f"it ended, or took more than {within_seconds} s, after printing:\n{shown}"
            shown += line
        too_late.cancel()
        yield shown
    finally:
        too_late.cancel()
        if running.poll() is None:
            os.killpg(running.pid, signal.SIGINT)
        running.stdout.read()
        running.stdout.close()
        running.wait(30)


def test_a_clean_clone_serves_after_one_command_and_the_second_time_at_once(clone: Path) -> None:
    with made_serve(clone, within_seconds=600) as shown:
        address = re.search(r"http://127\.0\.0\.1:\d+/simple/", shown)
        assert address, shown
        with urllib.request.urlopen(address[0], timeout=10) as answer:
            assert answer.status == 200
        assert (clone / "var").is_dir()

    with made_serve(clone, within_seconds=60) as shown:
        assert "--require-hashes" not in shown, "the second time nothing is installed"

    changed = subprocess.run(["git", "status", "--porcelain"], cwd=clone, capture_output=True, text=True, check=True)
    assert changed.stdout == ""


def test_an_environment_that_was_only_begun_is_completed(tmp_path: Path) -> None:
    """As Ctrl-C leaves it in the first second; `uv venv` makes such ones on purpose."""
    folder = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)

    subprocess.run([REPOSITORY / "scripts" / "make-environment", folder], check=True)

    assert subprocess.run([folder / "bin" / "python", "-m", "pip", "--version"], check=False).returncode == 0
