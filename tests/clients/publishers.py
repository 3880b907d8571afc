"""What people upload with, as they call it, with an address, a login and nothing else.

Most upload files that something else has built; flit and setuptools build what they upload in the same command. So a
test names a project, and each publisher has it in its own form.
"""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tests.clients.machine import Machine, Ran
from tests.clients.prepare import prepared
from tests.doubles.distributions import Distribution, sdist, wheel

MOMENT = "1704164646"  # builds are the same for the same sources


@dataclass(frozen=True)
class Login:
    """Who uploads."""

    user: str
    password: str


@dataclass(frozen=True)
class Project:
    """A project on somebody's machine: its sources, and in `dist` what was built."""

    folder: Path
    name: str
    version: str

    @property
    def files(self) -> list[Path]:
        """What was built, the wheel before the sdist."""
        return sorted((self.folder / "dist").iterdir(), key=lambda path: path.suffix != ".whl")

    def build(self, *, payload: int = 0) -> list[Distribution]:
        """Fill `dist` with a wheel and an sdist; with another payload they are other files of the same names."""
        made = [wheel(self.name, self.version, size=payload), sdist(self.name, self.version, size=payload)]
        self.put(*made)
        return made

    def put(self, *files: Distribution) -> None:
        """Have these files in `dist` and no others."""
        folder = self.folder / "dist"
        folder.mkdir(exist_ok=True)
        for path in folder.iterdir():
            path.unlink()
        for file in files:
            (folder / file.filename).write_bytes(file.content)


class Publisher(Protocol):
    """A program that uploads."""

    def __init__(self, machine: Machine, program: Path) -> None: ...

    def project(self, name: str, version: str, text: str = "1") -> Project:
        """A project whose one module says `text`, with whatever this program wants to see of it."""
        ...

    def publish(self, project: Project, address: str, login: Login) -> Ran:
        """Upload it: of what was built everything, else a wheel and an sdist."""
        ...


class _OfFiles:
    pyproject = '[project]\nname = "{name}"\nversion = "{version}"\nrequires-python = ">=3.9"\n'

    def __init__(self, machine: Machine, program: Path) -> None:
        self.machine = machine
        self.program = program

    def project(self, name: str, version: str, text: str = "1") -> Project:
        folder = self.machine.project(name, self.pyproject.format(name=name, version=version))
        project = Project(folder, name, version)
        project.build(payload=int(text))
        return project


class Twine(_OfFiles):
    """twine, of either age."""

    def publish(self, project: Project, address: str, login: Login, *options: str) -> Ran:
        return self.upload(
            project,
            "--repository-url",
            address,
            *options,
            TWINE_USERNAME=login.user,
            TWINE_PASSWORD=login.password,
        )

    def upload(self, project: Project, *options: str, **variables: str) -> Ran:
        """Upload everything, with options and variables of one's own."""
        command: list[str | Path] = [self.program, "upload", "--non-interactive", "--disable-progress-bar", *options]
        command += project.files
        return self.machine.run(*command, folder=project.folder, COLUMNS="500", **variables)


class UvPublish(_OfFiles):
    """`uv publish`."""

    def publish(self, project: Project, address: str, login: Login, *options: str) -> Ran:
        known = ("--username", login.user, "--password", login.password)
        told = ("--token", login.password) if login.user == "__token__" else known
        return self.machine.run(
            self.program, "--no-config", "publish", "--publish-url", address, *told, *options, *project.files
        )


class Hatch(_OfFiles):
    """`hatch publish`."""

    def publish(self, project: Project, address: str, login: Login) -> Ran:
        options = ("--no-prompt", "--repo", address, "--user", login.user, "--auth", login.password)
        return self.machine.run(self.program, "publish", *options, *project.files, folder=project.folder)


class PoetryPublish(_OfFiles):
    """`poetry publish`."""

    def publish(self, project: Project, address: str, login: Login) -> Ran:
        return self.machine.run(
            self.program,
            *("publish", "--no-interaction", "--no-ansi", "--repository", "creamery"),
            *("--username", login.user, "--password", login.password),
            folder=project.folder,
            POETRY_REPOSITORIES_CREAMERY_URL=address,
        )


class Pdm(_OfFiles):
    """`pdm publish`."""

    def publish(self, project: Project, address: str, login: Login) -> Ran:
        options = ("--no-build", "--repository", address, "--username", login.user, "--password", login.password)
        return self.machine.run(
            self.program, "publish", *options, folder=project.folder, PDM_CHECK_UPDATE="0", COLUMNS="500"
        )


class Flit:
    """`flit publish`, which builds first."""

    def __init__(self, machine: Machine, program: Path) -> None:
        self.machine = machine
        self.program = program

    def project(self, name: str, version: str, text: str = "1") -> Project:
        folder = self.machine.project(
            name,
            '[build-system]\nrequires = ["flit_core>=3.12"]\nbuild-backend = "flit_core.buildapi"\n'
            f'[project]\nname = "{name}"\nversion = "{version}"\ndescription = "made for a test"\n'
            f'[tool.flit.module]\nname = "{module_of(name)}"\n',
        )
        (folder / f"{module_of(name)}.py").write_text(f'"""Made for a test."""\n\nvalue = {text}\n')
        return Project(folder, name, version)

    def publish(self, project: Project, address: str, login: Login) -> Ran:
        return self.upload(project, FLIT_INDEX_URL=address, FLIT_USERNAME=login.user, FLIT_PASSWORD=login.password)

    def upload(self, project: Project, *options: str, **variables: str) -> Ran:
        """Build and upload, with options and variables of one's own."""
        command: tuple[str | Path, ...] = (self.program, "publish", *options)
        return self.machine.run(*command, folder=project.folder, SOURCE_DATE_EPOCH=MOMENT, **variables)


class Setuptools:
    """`setup.py bdist_wheel upload`, which builds first, knows passwords from `.pypirc` alone, and dates its sdists."""

    def __init__(self, machine: Machine, program: Path) -> None:
        self.machine = machine
        self.program = program

    def project(self, name: str, version: str, text: str = "1") -> Project:
        folder = self.machine.home / name
        shutil.rmtree(folder, ignore_errors=True)  # it takes what it built before for new, within a second
        folder.mkdir()
        said = f'name="{name}", version="{version}", py_modules=["{module_of(name)}"], url="-", author="-"'
        (folder / "setup.py").write_text(f"from setuptools import setup\n\nsetup({said}, author_email='-')\n")
        (folder / "README").touch()
        (folder / f"{module_of(name)}.py").write_text(f"value = {text}\n")
        return Project(folder, name, version)

    def publish(self, project: Project, address: str, login: Login) -> Ran:
        write_pypirc(self.machine, address, login)
        return self.upload(project, "bdist_wheel", "upload", "-r", "havarti")

    def upload(self, project: Project, *commands: str) -> Ran:
        """Run these commands of setup.py, one after the other."""
        return self.machine.run(
            self.program, "setup.py", "--quiet", *commands, folder=project.folder, SOURCE_DATE_EPOCH=MOMENT
        )


def write_pypirc(machine: Machine, address: str, login: Login) -> None:
    """`.pypirc` as Havarti's README has it, to the letter."""
    path = machine.home / ".pypirc"
    path.touch(0o600)
    path.write_text(
        "[distutils]\nindex-servers=\n    havarti\n\n"
        f"[havarti]\nrepository:{address}\nusername:{login.user}\npassword:{login.password}\n"
    )


def said(ran: Ran) -> str:
    """What a program wrote, on one line and without colours: how it wraps lines is its own affair."""
    return " ".join(re.sub(r"\x1b\[[0-9;]*m", "", ran.output).split())


def module_of(name: str) -> str:
    """What a project's module is called."""
    return re.sub(r"[-_.]+", "_", name).lower()


def publisher_called(name: str, machine: Machine) -> Publisher:
    """The program that `requirements/clients-NAME.txt` pins, on a machine."""
    programs = prepared(name)
    kind = name.partition("-")[0]
    if kind == "setuptools":
        return Setuptools(machine, programs / "python")
    if kind == "flit":
        return Flit(machine, programs / "flit")
    kinds: dict[str, type[Publisher]] = {
        "twine": Twine,
        "uv": UvPublish,
        "hatch": Hatch,
        "poetry": PoetryPublish,
        "pdm": Pdm,
    }
    return kinds[kind](machine, programs / kind)
