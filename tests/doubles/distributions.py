"""Small real wheels and sdists, made in memory: pip, uv and poetry install them."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import random
import re
import tarfile
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_EPOCH = (2024, 1, 2, 3, 4, 6)
_MOMENT = 1_704_164_646  # the same; a zip knows no time before 1980

_BACKEND = '''\
"""Builds this project's wheel with the standard library alone, so that no build needs the network."""
import pathlib, zipfile

NAME, VERSION = {name!r}, {version!r}


def build_wheel(directory, config_settings=None, metadata_directory=None):
    file = f"{{NAME}}-{{VERSION}}-py3-none-any.whl"
    info = f"{{NAME}}-{{VERSION}}.dist-info"
    record = [f"{{NAME}}/__init__.py", f"{{info}}/METADATA", f"{{info}}/WHEEL", f"{{info}}/RECORD"]
    with zipfile.ZipFile(pathlib.Path(directory, file), "w") as archive:
        archive.write(f"{{NAME}}/__init__.py")
        archive.write("PKG-INFO", f"{{info}}/METADATA")
        archive.writestr(f"{{info}}/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        archive.writestr(f"{{info}}/RECORD", "".join(f"{{path}},,\\n" for path in record))
    return file


def build_sdist(directory, config_settings=None):
    raise NotImplementedError("nobody builds an sdist of an sdist")
'''


@dataclass(frozen=True)
class Distribution:
    """A file that an index serves, and its METADATA."""

    filename: str
    content: bytes
    metadata: bytes

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()


def wheel(
    project: str,
    version: str,
    *,
    requires: Sequence[str] = (),
    requires_python: str | None = None,
    size: int = 0,
    digits: int = 0,
    modules: int = 0,
    tag: str = "py3-none-any",
) -> Distribution:
    """A wheel whose module has `__version__`.

    Args:
        size: so many bytes that no compression makes smaller go with it.
        digits: so many hexadecimal digits, which compress to little more than half.
        modules: so many more of 6 kB.
    """
    name = _escaped(project)
    metadata = core_metadata(project, version, requires, requires_python)
    info = f"{name}-{version}.dist-info"
    members = {f"{name}/__init__.py": f"__version__ = {version!r}\n".encode()}
    if size:
        members[f"{name}/payload.bin"] = payload(size, seed=f"{name}-{version}")
    if digits:
        members[f"{name}/digits.txt"] = payload(digits // 2, seed=f"{name}-{version}").hex().encode()
    for number in range(modules):
        text = payload(3_000, seed=f"{name}-{number}").hex()
        members[f"{name}/module{number}.py"] = f"TEXT = {text!r}\n".encode()
    members[f"{info}/METADATA"] = metadata
    wheel_file = f"Wheel-Version: 1.0\nGenerator: creamery-tests\nRoot-Is-Purelib: true\nTag: {tag}\n"
    members[f"{info}/WHEEL"] = wheel_file.encode()
    record = "".join(f"{path},sha256={_record_digest(data)},{len(data)}\n" for path, data in members.items())
    members[f"{info}/RECORD"] = f"{record}{info}/RECORD,,\n".encode()
    return Distribution(f"{name}-{version}-{tag}.whl", _zipped(members), metadata)


def sdist(
    project: str, version: str, *, requires: Sequence[str] = (), requires_python: str | None = None, size: int = 0
) -> Distribution:
    """An sdist (PEP 625) that builds itself without further packages."""
    name = _escaped(project)
    root = f"{name}-{version}"
    metadata = core_metadata(project, version, requires, requires_python)
    build = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    members = {
        f"{root}/pyproject.toml": build.encode(),
        f"{root}/backend.py": _BACKEND.format(name=name, version=version).encode(),
        f"{root}/PKG-INFO": metadata,
        f"{root}/{name}/__init__.py": f"__version__ = {version!r}\n".encode(),
    }
    if size:
        members[f"{root}/payload.bin"] = payload(size, seed=root)
    return Distribution(f"{root}.tar.gz", _tarred(members), metadata)


def sdist_of(name: str, version: str, files: Mapping[str, bytes]) -> Distribution:
    """An sdist of a tree; its PKG-INFO is among the files."""
    root = f"{name}-{version}"
    tarred = _tarred({f"{root}/{path}": data for path, data in files.items()})
    return Distribution(f"{root}.tar.gz", tarred, files["PKG-INFO"])


def core_metadata(
    project: str, version: str, requires: Sequence[str] = (), requires_python: str | None = None
) -> bytes:
    """METADATA or PKG-INFO."""
    lines = ["Metadata-Version: 2.2", f"Name: {project}", f"Version: {version}", "Summary: made for a test"]
    if requires_python is not None:
        lines.append(f"Requires-Python: {requires_python}")
    lines += [f"Requires-Dist: {requirement}" for requirement in requires]
    return ("\n".join(lines) + "\n\nMade for a test.\n").encode()


def payload(size: int, *, seed: str) -> bytes:
    """Bytes that no compression makes smaller, the same for the same seed."""
    return random.Random(seed).randbytes(size)


def metadata_of(content: bytes) -> bytes:
    """The METADATA of a wheel."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        name = next(name for name in archive.namelist() if re.fullmatch(r"[^/]+\.dist-info/METADATA", name))
        return archive.read(name)


def _escaped(project: str) -> str:
    """As wheels and sdists write a project's name (PEP 427, PEP 625)."""
    return re.sub(r"[-_.]+", "_", project).lower()


def _record_digest(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()


def _zipped(members: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, data in members.items():
            entry = zipfile.ZipInfo(path, _EPOCH)
            entry.external_attr = 0o644 << 16
            stored = path.endswith(".bin")
            archive.writestr(entry, data, zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def _tarred(members: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for path, data in members.items():
            entry = tarfile.TarInfo(path)
            entry.size, entry.mtime = len(data), _MOMENT
            archive.addfile(entry, io.BytesIO(data))
    return gzip.compress(buffer.getvalue(), compresslevel=1, mtime=0)
