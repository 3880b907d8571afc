"""Packages without a wheel, whose builds cost what real ones do and need nothing from any network.

A package that setuptools builds takes a second of the processor's time: its backend is imported, from source, by three
processes one after the other, for uv has no metadata of it that it may trust. Here `BACKEND` stands for that with less;
an extension takes a second more, for gcc.
"""

from __future__ import annotations

from tests.doubles.counted import counted_files
from tests.doubles.distributions import Distribution, sdist_of
from tests.doubles.native import native_files

PURE = tuple(f"pure{number}" for number in range(6))
COMPILED = tuple(f"compiled{number}" for number in range(4))
VERSION = "1.0"

BACKEND = '''\
"""The real backend, behind as much work as it is to import setuptools."""
import os, pathlib

compile("def f(a, b=1):\\n    return {a: [b, a + b]}\\n" * 2_500, "setuptools", "exec")

from backend import NAME, VERSION, build_wheel


def get_requires_for_build_wheel(config_settings=None):
    return []


def prepare_metadata_for_build_wheel(directory, config_settings=None):
    info = f"{NAME}-{VERSION}.dist-info"
    os.mkdir(os.path.join(directory, info))
    pathlib.Path(directory, info, "METADATA").write_bytes(pathlib.Path("PKG-INFO").read_bytes())
    return info
'''

FUNCTION = """
unsigned long f@(const unsigned char *text, unsigned long size) {
    unsigned long sum = @;
    for (unsigned long at = 0; at < size; at++) {
        if (text[at] & 1) sum = sum * (@ + 3) + text[at]; else sum ^= (sum >> 7) + text[size - at - 1];
        switch (text[at] & 7) { case 0: sum += @; break; case 3: sum -= at; break; case 5: sum *= 3; }
    }
    return sum;
}
"""
FUNCTIONS = 300


def unbuilt_sdists() -> list[Distribution]:
    """Six pure packages, and four with C code."""
    code = "".join(FUNCTION.replace("@", str(number)) for number in range(FUNCTIONS)).encode()
    found = [_sdist(name, counted_files(name, VERSION)) for name in PURE]
    for name in COMPILED:
        files = native_files(name, VERSION)
        found.append(_sdist(name, files | {"answer.c": files["answer.c"] + code}))
    return found


def _sdist(name: str, files: dict[str, bytes]) -> Distribution:
    """With metadata of an age at which nobody may trust it: uv asks the backend."""
    project = files["pyproject.toml"].replace(b'"backend"', b'"slow"')
    metadata = files["PKG-INFO"].replace(b"Metadata-Version: 2.2", b"Metadata-Version: 2.1")
    return sdist_of(
        name, VERSION, files | {"pyproject.toml": project, "PKG-INFO": metadata, "slow.py": BACKEND.encode()}
    )
