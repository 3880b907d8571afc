"""What the hook asks for, read: the key of a build, and what is known of the wheel that it makes.

The hook runs in the Python that is built for and says what that is; everything else is found here.
"""

from __future__ import annotations

import platform
import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename

from creamery.client.source import Source, is_same_version
from creamery.contract import DECLARED, BadBuild, Build, Digest, ProjectName, declared, read_build, why_foreign

BOUND = frozenset({"numpy", "torch", "tensorflow", "jax", "jaxlib", "pyarrow", "cupy"})
"""What compiled code is bound to whenever it stands in a build environment."""

ALSO_DECLARED = (
    *("AR", "C_INCLUDE_PATH", "CPATH", "CPLUS_INCLUDE_PATH", "FC", "FFLAGS", "LD", "LIBRARY_PATH", "NVCC_FLAGS"),
    *("TORCH_CUDA_ARCH_LIST", "_PYTHON_HOST_PLATFORM", "PBR_VERSION", "PDM_BUILD_SCM_VERSION"),
)
"""Variables beside those that every build has in its key: compilers obey them, or versions are made from them."""
_VERSIONS = re.compile(r"(?:SETUPTOOLS_SCM|VCS_VERSIONING|POETRY_DYNAMIC_VERSIONING|UV_DYNAMIC_VERSIONING)_\w+")
_SUFFIX = re.compile(r"\.(?P<abi>[a-z]+-?[0-9]+[a-z]*(?:-pp[0-9]+)?)(?:-[\w-]+)?\.(?:so|pyd)")
_DIST_INFO = re.compile(r"(?P<name>[A-Za-z0-9._]+)-(?P<version>[^-]+)\.dist-info")
_MUSL_VERSION = re.compile(r"^Version (\d+)\.(\d+)", re.MULTILINE)
MUSL_SECONDS = 5.0
LOADERS = Path("/lib")
NARROW = 32
"""Bits of an address."""


class CannotTell(Exception):
    """What is asked cannot be read, or has no key: it is built as ever."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A build that somebody needs.

    Attributes:
        build: what decides about its bytes.
        key: of it.
        source: what it is built from.
        requirements: every distribution of the build environment.
        backend: as pyproject.toml names it.
    """

    build: Build
    key: Digest
    source: Source
    requirements: Mapping[str, str]
    backend: str

    @property
    def title(self) -> str:
        """For people."""
        return " ".join(filter(None, [self.source.project or "a package", self.source.version]))

    @property
    def is_used(self) -> bool:
        """Has an earlier build left something that this one would take? Then nobody else would build the same."""
        return self.source.is_used_for(self.build.python)

    def why_not(self, filename: str) -> str | None:
        """Why a wheel of that name cannot be what is asked for; None: it can."""
        try:
            name, version, _, _ = parse_wheel_filename(filename)
            if foreign := why_foreign(self.build, filename):
                return foreign
        except InvalidWheelFilename as error:
            return str(error)
        if self.source.project is not None and str(self.source.project) != canonicalize_name(name):
            return f"it is a wheel of {name}"
        if not is_same_version(self.source.version, str(version)):
            return f"it is of version {version}"
        return None


def read_asked(question: Mapping[str, Any], source: Source, settings: Any, more: tuple[str, ...]) -> Asked:
    """The build that a question of the hook's means.

    Args:
        question: as the hook sent it.
        source: the tree that it names.
        settings: of the build backend (PEP 517).
        more: variables that count beside those that always do.

    Raises:
        CannotTell: it cannot be read, or asks for a build that no key describes.
    """
    try:
        python, environ = question["python"], {str(k): str(v) for k, v in question["environment"].items()}
        tag, abi = _tags(python)
        distributions = dict(_distributions([Path(path) for path in python["paths"]]))
        said = {
            "schema": 1,
            "source": {"kind": "tree", "sha256": source.digest},
            "python": {"tag": tag, "abi": abi},
            "platform": _platform(python),
            "settings": dict((settings or {}).items()),
            "environment": _environment(environ, source, more),
        }
        build = read_build(said)
    except (BadBuild, KeyError, TypeError, AttributeError, ValueError) as error:
        raise CannotTell(f"{type(error).__name__}: {error}") from error
    bound = {name: version for name, (version, is_pure) in distributions.items() if _is_bound(name, source, is_pure)}
    build = replace(build, requirements=bound)
    everything = {str(name): version for name, (version, _) in distributions.items()}
    return Asked(build, build.key(), source, everything, str(question.get("backend", "")))


def build_for(python: Mapping[str, Any]) -> Build:
    """A build of nothing in particular: for what a Python says of itself.

    Raises:
        CannotTell: it has no tags here.
    """
    try:
        tag, abi = _tags(python)
        said = {
            "schema": 1,
            "source": {"kind": "sdist", "sha256": "0" * 64},
            "python": {"tag": tag, "abi": abi},
            "platform": _platform(python),
        }
        return read_build(said)
    except (BadBuild, KeyError, TypeError, ValueError) as error:
        raise CannotTell(f"{type(error).__name__}: {error}") from error


def _environment(environ: Mapping[str, str], source: Source, more: tuple[str, ...]) -> dict[str, str]:
    versions = tuple(name for name in environ if _VERSIONS.fullmatch(name))
    return declared(environ, (*DECLARED, *ALSO_DECLARED, *versions, *source.declared, *more))


def _is_bound(name: ProjectName, source: Source, is_pure: bool) -> bool:  # noqa: FBT001 - one of a row
    return not is_pure and (name in BOUND or name in source.required)


def _distributions(folders: list[Path]) -> Iterator[tuple[ProjectName, tuple[str, bool]]]:
    """What is installed where the build runs: name, version, and whether it has no compiled code."""
    for folder in folders:
        for path in folder.glob("*.dist-info"):
            match = _DIST_INFO.fullmatch(path.name)
            wheel = path / "WHEEL"
            if match is None or not wheel.is_file():
                continue
            is_pure = "root-is-purelib: true" in wheel.read_text(encoding="utf-8", errors="replace").lower()
            yield ProjectName(canonicalize_name(match["name"])), (match["version"], is_pure)


def _tags(python: Mapping[str, Any]) -> tuple[str, str]:
    """The interpreter's and the ABI's tag (PEP 425), from the suffix of its extension modules."""
    major, minor = python["version"]
    match = _SUFFIX.fullmatch(python["suffix"])
    if match is None:
        raise CannotTell(f"extension modules end in {python['suffix']!r}")
    abi = match["abi"].replace("-", "_")
    if python["implementation"] == "cpython":
        return f"cp{major}{minor}", abi.replace("cpython_", "cp")
    if python["implementation"] == "pypy":
        return f"pp{major}{minor}", abi
    raise CannotTell(f"{python['implementation']} has no tags here")


def _platform(python: Mapping[str, Any]) -> dict[str, str | None]:
    system, machine = str(python["system"]), str(python["machine"]).lower()
    if system == "linux":
        if python["bits"] == NARROW:
            machine = {"x86_64": "i686", "aarch64": "armv7l"}.get(machine, machine)
        return {"system": "linux", "architecture": machine, "libc": python["libc"] or musl()}
    if system == "darwin":
        release = ".".join((platform.mac_ver()[0] + ".0").split(".")[:2])
        return {"system": "macos", "architecture": machine, "libc": f"macos {release}"}
    if system == "win32":
        return {"system": "windows", "architecture": "x86" if python["bits"] == NARROW else machine, "libc": None}
    raise CannotTell(f"nobody shares wheels for {system}")


def musl() -> str:
    """musl's version, as its loader says it.

    Raises:
        CannotTell: this system has none.
    """
    for loader in sorted(LOADERS.glob("ld-musl-*.so.1")):
        said = subprocess.run(  # noqa: S603 - the system's own loader
            [str(loader)], capture_output=True, text=True, timeout=MUSL_SECONDS, check=False
        ).stderr
        if match := _MUSL_VERSION.search(said):
            return f"musl {match[1]}.{match[2]}"
    raise CannotTell("nobody knows which libc this is")
