"""Where uv is."""

from __future__ import annotations

import os
import sys

from creamery.client.errors import UnusableInput


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
