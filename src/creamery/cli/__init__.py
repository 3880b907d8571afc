"""The commands. `main` is what `creamery` runs; each command's module is imported only when it is called.

`start` is where the program begins. `creamery install` stands between people and uv, which is ready in the time that
click alone takes to import; so what needs no help goes there without it.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False  # `typing` takes half as long as Python's own start
if TYPE_CHECKING:
    from typing import Any

    from creamery.cli.commands import main

__all__ = ["main", "start"]


def start() -> None:
    """Run the command that this process was called with."""
    words = sys.argv[1:]
    if words[:1] == ["install"] and {"-h", "--help"}.isdisjoint(words):
        try:
            from creamery.cli.through import begin  # noqa: PLC0415 - so does everything here: see above

            code = begin("install", words[1:])
        except KeyboardInterrupt:  # before anything was begun
            code = 130
        sys.stdout.flush()
        os._exit(code)  # a look at the hub that is still on its way is not waited for
    from creamery.cli.commands import main as commands  # noqa: PLC0415

    commands(prog_name="creamery")


def __getattr__(name: str) -> Any:
    if name != "main":
        raise AttributeError(name)
    from creamery.cli.commands import main as commands  # noqa: PLC0415

    return commands
