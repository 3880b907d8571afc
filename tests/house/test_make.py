"""`make`: the commands that everybody starts with."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]


def test_make_alone_lists_every_command() -> None:
    targets = re.findall(r"^\.PHONY: (.+)$", (REPOSITORY / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)

    # Run by `make test`, this make would be a nested one, which announces the folders it enters and leaves.
    plain = {name: value for name, value in os.environ.items() if name not in {"MAKEFLAGS", "MAKELEVEL", "MFLAGS"}}
    shown = subprocess.run(["make"], cwd=REPOSITORY, env=plain, capture_output=True, text=True, check=True).stdout

    assert [line.split()[1] for line in shown.splitlines()] == targets[0].split()


def test_without_a_python_that_will_do_make_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "python3").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "python3").chmod(0o755)
    for name in ("python3.11", "python3.12", "python3.13"):
        (tmp_path / name).symlink_to("python3")
    environment = {"PATH": f"{tmp_path}{os.pathsep}{os.defpath}"}

    refused = subprocess.run(
        [REPOSITORY / "scripts" / "make-environment", tmp_path / "venv"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )

    assert refused.returncode == 1
    assert "Creamery needs Python 3.11 or newer" in refused.stderr
    assert not (tmp_path / "venv").exists()
