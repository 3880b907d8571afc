"""An sdist whose backend builds without the network or a compiler, and notes each build; and does worse, if told to."""

from __future__ import annotations

from collections.abc import Sequence

from tests.doubles.distributions import Distribution, core_metadata, sdist_of
from tests.doubles.native import PACKING

BACKEND = '''\
"""Packs one module as a wheel. BUILDS names a file that hears of each build; BUILD_DOES says what it does first."""
import base64, hashlib, os, pathlib, signal, sys, time, zipfile

NAME, VERSION, TAG = {name!r}, {version!r}, "py3-none-any"


def build_wheel(directory, config_settings=None, metadata_directory=None):
    with open(os.environ.get("BUILDS", os.devnull), "a") as builds:
        builds.write(NAME + "\\n")
    print("building", NAME, flush=True)
    print("settings", sorted((config_settings or {{}}).items()), file=sys.stderr, flush=True)
    todo = os.environ.get("BUILD_DOES", "")
    if todo.startswith("wait:"):
        time.sleep(float(todo[5:]))
    elif todo == "fail":
        print("the compiler has words", file=sys.stderr, flush=True)
        raise RuntimeError("it cannot be built")
    elif todo == "talk":
        print("line upon line\\n" * 100_000, flush=True)
    elif todo == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    elif todo == "leave":
        pathlib.Path("build/lib").mkdir(parents=True)
        pathlib.Path("build/lib/part.py").write_text("of one build")
    elif todo == "show":
        pathlib.Path(os.environ["SHOWN"]).write_text(repr(sorted(os.environ.items())))
    info = f"{{NAME}}-{{VERSION}}.dist-info"
    files = {{
        f"{{NAME}}.py": b"ANSWER = 42\\n",
        f"{{info}}/METADATA": pathlib.Path("PKG-INFO").read_bytes(),
        f"{{info}}/WHEEL": f"Wheel-Version: 1.0\\nGenerator: own\\nRoot-Is-Purelib: true\\nTag: {{TAG}}\\n".encode(),
    }}
'''


def counted_files(name: str, version: str, *, requires: Sequence[str] = (), is_static: bool = True) -> dict[str, bytes]:
    """What its tree has in it; where it is not static, uv asks the backend for its metadata, too."""
    return {
        "pyproject.toml": b'[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n',
        "backend.py": (BACKEND + PACKING).format(name=name, version=version).encode(),
        "PKG-INFO": core_metadata(name, version, requires=requires).replace(
            b"Version: 2.2", b"Version: 2.2" if is_static else b"Version: 2.1"
        ),
    }


def counted_sdist(
    name: str, version: str = "1.0", *, requires: Sequence[str] = (), is_static: bool = True
) -> Distribution:
    """A project without a wheel."""
    return sdist_of(name, version, counted_files(name, version, requires=requires, is_static=is_static))
