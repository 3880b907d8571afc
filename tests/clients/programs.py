"""pip, uv and poetry as a user calls them, with an index and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from tests.clients.machine import Environment, Failed, Machine, Ran
from tests.clients.prepare import prepared


class Client(Protocol):
    """A program that installs packages."""

    machine: Machine
    program: Path

    def try_install(self, index: str, *requirements: str) -> tuple[Ran, Environment]:
        """Install into a new, empty environment, with empty caches and nothing locked."""
        ...


def install(client: Client, index: str, *requirements: str) -> Environment:
    """Install what has to work.

    Raises:
        Failed: it did not.
    """
    ran, environment = client.try_install(index, *requirements)
    if ran.code:
        raise Failed(ran.output)
    return environment


class Pip:
    """pip, of either age."""

    def __init__(self, machine: Machine, program: Path) -> None:
        self.machine = machine
        self.program = program

    def try_install(self, index: str, *requirements: str) -> tuple[Ran, Environment]:
        environment = self.machine.environment()
        return self.run("install", "--index-url", index, *requirements, environment=environment), environment

    def run(self, *arguments: str | Path, environment: Environment | None = None) -> Ran:
        """Run pip, without a cache and without its look for a newer self."""
        options: list[str | Path] = ["--no-cache-dir", "--disable-pip-version-check", "--no-input"]
        if environment is not None:
            options += ["--python", environment.python]
        return self.machine.run(self.program, *options, *arguments)

    def succeed(self, *arguments: str | Path, environment: Environment | None = None) -> str:
        """Run pip; what it wrote.

        Raises:
            Failed: it did not work.
        """
        ran = self.run(*arguments, environment=environment)
        if ran.code:
            raise Failed(ran.output)
        return ran.output


class Uv:
    """uv."""

    def __init__(self, machine: Machine, program: Path) -> None:
        self.machine = machine
        self.program = program

    def try_install(self, index: str, *requirements: str) -> tuple[Ran, Environment]:
        environment = self.machine.environment()
        self.machine.forget()
        options = ("--python", environment.python, "--default-index", index)
        return self.run("--no-config", "pip", "install", *options, *requirements), environment

    def run(self, *arguments: str | Path, folder: Path | None = None) -> Ran:
        """Run uv with the Python that runs these tests."""
        return self.machine.run(self.program, "--no-python-downloads", *arguments, folder=folder)

    def succeed(self, *arguments: str | Path, folder: Path | None = None) -> str:
        """Run uv; what it wrote.

        Raises:
            Failed: it did not work.
        """
        ran = self.run(*arguments, folder=folder)
        if ran.code:
            raise Failed(ran.output)
        return ran.output


class Poetry:
    """poetry: it installs the dependencies of a project, whose primary source is the hub."""

    def __init__(self, machine: Machine, program: Path) -> None:
        self.machine = machine
        self.program = program

    def try_install(self, index: str, *requirements: str) -> tuple[Ran, Environment]:
        environment = self.machine.environment()
        self.machine.forget()
        folder = self.project(index, *requirements)
        (folder / "poetry.lock").unlink(missing_ok=True)
        return self.run("install", folder=folder, environment=environment), environment

    def project(self, index: str, *requirements: str) -> Path:
        """The folder of a project that needs these."""
        listed = ", ".join(f'"{requirement}"' for requirement in requirements)
        return self.machine.project(
            "poetry-project",
            f'[project]\nname = "trial"\nversion = "0.1"\nrequires-python = ">=3.11,<4"\ndependencies = [{listed}]\n'
            f"[tool.poetry]\npackage-mode = false\n"
            f'[[tool.poetry.source]]\nname = "creamery"\nurl = "{index}"\npriority = "primary"\n',
        )

    def run(self, *arguments: str | Path, folder: Path, environment: Environment) -> Ran:
        """Run poetry in a project, with an environment that is switched on."""
        options = ("--no-interaction", "--no-ansi")
        return self.machine.run(self.program, *options, *arguments, folder=folder, VIRTUAL_ENV=str(environment.folder))

    def succeed(self, *arguments: str | Path, folder: Path, environment: Environment) -> str:
        """Run poetry; what it wrote.

        Raises:
            Failed: it did not work.
        """
        ran = self.run(*arguments, folder=folder, environment=environment)
        if ran.code:
            raise Failed(ran.output)
        return ran.output


def client_called(name: str, machine: Machine) -> Client:
    """The client that `requirements/clients-NAME.txt` pins, on a machine."""
    program = prepared(name) / name.partition("-")[0]
    if name.partition("-")[0] == "uv":
        return Uv(machine, program)
    return Poetry(machine, program) if name == "poetry" else Pip(machine, program)
