"""An sdist with C code that builds itself with gcc alone, and notes each build: no build of it needs the network."""

from __future__ import annotations

from tests.doubles.distributions import Distribution, core_metadata, sdist_of

BACKEND = '''\
"""Compiles one shared object, and packs it as a wheel for this machine."""
import base64, hashlib, os, pathlib, subprocess, sysconfig, zipfile

NAME, VERSION = {name!r}, {version!r}
PYTHON = "cp" + sysconfig.get_config_var("py_version_nodot")
TAG = PYTHON + "-" + PYTHON + "-" + sysconfig.get_platform().replace("-", "_").replace(".", "_")


def build_wheel(directory, config_settings=None, metadata_directory=None):
    subprocess.run(["gcc", "-shared", "-fPIC", "-O1", "-o", "answer.so", "answer.c"], check=True)
    if "BUILDS" in os.environ:
        with open(os.environ["BUILDS"], "a") as builds:
            builds.write(NAME + "\\n")
    info = f"{{NAME}}-{{VERSION}}.dist-info"
    files = {{
        f"{{NAME}}/__init__.py": b"",
        f"{{NAME}}/answer.so": pathlib.Path("answer.so").read_bytes(),
        f"{{info}}/METADATA": pathlib.Path("PKG-INFO").read_bytes(),
        f"{{info}}/WHEEL": f"Wheel-Version: 1.0\\nGenerator: own\\nRoot-Is-Purelib: false\\nTag: {{TAG}}\\n".encode(),
    }}
'''

PACKING = """\
    def line(path, data):
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        return f"{{path}},sha256={{digest}},{{len(data)}}\\n"
    record = "".join(line(path, data) for path, data in files.items()) + f"{{info}}/RECORD,,\\n"
    files[f"{{info}}/RECORD"] = record.encode()
    wheel = f"{{NAME}}-{{VERSION}}-{{TAG}}.whl"
    with zipfile.ZipFile(pathlib.Path(directory, wheel), "w", zipfile.ZIP_DEFLATED) as archive:
        for path, data in files.items():
            archive.writestr(zipfile.ZipInfo(path), data)  # the same bytes each time
    return wheel
"""
"""How a backend makes a wheel of `files`, as `str.format` reads it."""

CODE = """\
#include <string.h>
unsigned long answer(const char *text) { return strlen(text); }
"""


def native_files(name: str, version: str) -> dict[str, bytes]:
    """What its tree has in it."""
    return {
        "pyproject.toml": b'[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n',
        "backend.py": (BACKEND + PACKING).format(name=name, version=version).encode(),
        "answer.c": CODE.encode(),
        "PKG-INFO": core_metadata(name, version),
    }


def native_sdist(name: str, version: str) -> Distribution:
    """A project with compiled code."""
    return sdist_of(name, version, native_files(name, version))
