"""What lies in the environment that uv has installed into, as its metadata says it (`*.dist-info`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from packaging.utils import InvalidWheelFilename, canonicalize_name, canonicalize_version, parse_wheel_filename

from creamery.client.places import PYTHON, place_words
from creamery.client.programs import ask

SECONDS = 30.0


def location(uv: str, names: Sequence[str], arguments: Sequence[str], own: Mapping[str, str]) -> Path | None:
    """The folder that packages were installed into: seen where it is a virtual environment's, else as uv says it."""
    if (seen := _seen(arguments, own)) is not None:
        return seen
    words = [uv, "pip", "show", *place_words(arguments), *names]
    for line in (ask(words, own, seconds=SECONDS) or "").splitlines():
        if line.startswith("Location: "):
            return Path(line.removeprefix("Location: ").strip())
    return None


def _seen(arguments: Sequence[str], own: Mapping[str, str]) -> Path | None:
    """Where there is no doubt: to start uv takes as long as many an installation."""
    words = place_words(arguments)
    if len(words) == len(("--python", "PATH")) and words[0] in PYTHON:
        environment = Path(words[1]).parent.parent if Path(words[1]).is_file() else None
    else:
        environment = Path(own["VIRTUAL_ENV"]) if not words and own.get("VIRTUAL_ENV") else None
    if environment is None or "UV_PYTHON" in own or not (environment / "pyvenv.cfg").is_file():
        return None
    found = list(environment.glob("lib/python*/site-packages"))
    return found[0] if len(found) == 1 else None


def installed_tags(folder: Path, name: str, version: str) -> frozenset[str] | None:
    """The tags of the wheel that a package was installed from; None: it is not there."""
    info = _info(folder, name, version)
    if info is None:
        return None
    text = (info / "WHEEL").read_text(encoding="utf-8", errors="replace") if (info / "WHEEL").is_file() else ""
    lines = (line.partition(":") for line in text.splitlines())
    return frozenset(value.strip() for head, _, value in lines if head.lower() == "tag")


def is_of_an_index(folder: Path, name: str, version: str) -> bool:
    """Was a package installed from an index, and not from a folder, an address or a repository (PEP 610)?"""
    info = _info(folder, name, version)
    return info is not None and not (info / "direct_url.json").exists()


def record_of(folder: Path, name: str, version: str) -> Path:
    """The list of a package's files, which is there where the package is."""
    return (_info(folder, name, version) or folder) / "RECORD"


def tags_of(filename: str) -> frozenset[str]:
    """What a wheel's name says that it is for."""
    try:
        return frozenset(map(str, parse_wheel_filename(filename)[3]))
    except InvalidWheelFilename:
        return frozenset()


def version_of(text: str) -> str:
    """One spelling of a version, if it is one: 1.0 is 1."""
    return canonicalize_version(text)


def _info(folder: Path, name: str, version: str) -> Path | None:
    for path in folder.glob("*.dist-info"):
        project, _, installed = path.name.removesuffix(".dist-info").partition("-")
        if canonicalize_name(project) == name and version_of(installed) == version_of(version):
            return path
    return None
