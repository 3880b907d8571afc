"""Where uv is, and how old."""

from __future__ import annotations

import os
import sys

from creamery.client.errors import UnusableInput

TYPE_CHECKING = False  # `typing` takes half as long as Python's own start: uv is waited for
if TYPE_CHECKING:
    from collections.abc import Mapping


def find_uv() -> str:
    """The uv that has called this, if it was one; else the one beside this Python, else where programs are.

    Raises:
        UnusableInput: there is none.
    """
    calling = os.environ.get("UV")  # uv sets it for what it runs
    if calling and os.path.isfile(calling):  # noqa: PTH113 - pathlib costs 3 ms of a start
        return calling
    suffix = ".exe" if sys.platform == "win32" else ""
    beside = os.path.join(os.path.dirname(sys.executable), f"uv{suffix}")  # noqa: PTH118, PTH120
    if os.path.isfile(beside):  # noqa: PTH113
        return beside
    import shutil  # noqa: PLC0415 - seldom

    found = shutil.which("uv")
    if found is None:
        raise UnusableInput(
            "uv decides which files an installation takes, and it is not installed here.",
            "Install it: pip install uv. Files of a pylock.toml need no uv.",
        )
    return found


def uv_version(uv: str, own: Mapping[str, str]) -> tuple[int, int]:
    """Its first two numbers; where it was installed beside this Python its own metadata says them, which is quicker."""
    if os.path.dirname(uv) == os.path.dirname(sys.executable):  # noqa: PTH120
        for folder in sys.path:
            if folder.endswith("site-packages"):
                for name in os.listdir(folder) if os.path.isdir(folder) else ():  # noqa: PTH112, PTH208
                    if name.startswith("uv-") and name.endswith(".dist-info"):
                        return _first_two(name.removeprefix("uv-").removesuffix(".dist-info"))
    import subprocess  # noqa: PLC0415 - seldom

    ran = subprocess.run([uv, "--version"], env=dict(own), capture_output=True, text=True, check=False)  # noqa: S603
    return _first_two(ran.stdout.partition("uv ")[2].partition(" ")[0].strip())


def _first_two(version: str) -> tuple[int, int]:
    """Without `re`, which takes 2 ms of a start."""
    numbers = [int(part) for part in version.split(".")[:2] if part.isascii() and part.isdigit()]
    return (numbers[0], numbers[1]) if len(numbers) > 1 else (0, 0)
