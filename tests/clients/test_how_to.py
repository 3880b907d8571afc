"""The lines of docs/how-to/pip-uv-poetry.md, run as they stand there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.clients.machine import Environment, Machine
from tests.clients.prepare import prepared
from tests.doubles.running import RunningHub

pytestmark = pytest.mark.installed

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "pip-uv-poetry.md").read_text()
ADDRESS = "http://127.0.0.1:8000"


def lines_for(client: str) -> list[str]:
    """What a section of the page has between backticks, and its blocks, where the hub's address is in them."""
    section = re.split(r"^## ", PAGE, flags=re.MULTILINE)
    text = next(part for part in section if part.startswith(f"{client}\n"))
    blocks = re.findall(r"^```\w*\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    inline = re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE))
    return [line.strip() for line in (*inline, *blocks) if ADDRESS in line]


def run(machine: Machine, hub: RunningHub, client: str, script: str) -> Environment:
    """Run a script of the page's lines as a shell does, with an environment switched on."""
    environment = machine.environment()
    path = f"{environment.folder / 'bin'}:{prepared(client)}:{machine.variables()['PATH']}"
    machine.succeed(
        *("bash", "-euc", script.replace(ADDRESS, hub.base).replace("NAME", "lib")),
        PATH=path,
        VIRTUAL_ENV=str(environment.folder),
        PIP_PYTHON=str(environment.python),
        PIP_CONFIG_FILE=str(machine.home / "pip.conf"),
    )
    return environment


def test_the_lines_for_pip_work(machine: Machine, hub: RunningHub) -> None:
    once, shell, always, file = lines_for("pip")

    (machine.home / "requirements.txt").write_text(f"{file.replace(ADDRESS, hub.base)}\nlib\n")
    (machine.home / "pip.conf").touch()
    made = [
        run(machine, hub, "pip", script)
        for script in (
            once,
            f"{shell}; pip install lib",
            "pip install -r requirements.txt",
            f"{always}; pip install lib",
        )
    ]

    assert [environment.installed() for environment in made] == [{"lib": "2.0"}] * 4


def test_the_lines_for_uv_work(machine: Machine, hub: RunningHub) -> None:
    once, shell, project = lines_for("uv")

    made = [run(machine, hub, "uv", script) for script in (once, f"{shell}; uv pip install lib")]
    pyproject = '[project]\nname = "trial"\nversion = "0.1"\nrequires-python = ">=3.11"\n'
    machine.project("trial", pyproject + project.replace(ADDRESS, hub.base))
    run(machine, hub, "uv", "cd trial; unset VIRTUAL_ENV; uv add lib")

    assert [environment.installed() for environment in made] == [{"lib": "2.0"}] * 2
    assert Environment(machine.home / "trial" / ".venv").installed() == {"lib": "2.0"}


def test_the_line_for_poetry_works(machine: Machine, hub: RunningHub) -> None:
    (line,) = lines_for("poetry")
    pyproject = '[project]\nname = "trial"\nversion = "0.1"\nrequires-python = ">=3.11,<4"\n'
    machine.project("trial", pyproject + "[tool.poetry]\npackage-mode = false\n")

    environment = run(machine, hub, "poetry", f"cd trial; {line}; poetry add --no-interaction lib")

    assert environment.installed() == {"lib": "2.0"}
