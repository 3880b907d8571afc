"""The commands. `main` is what `creamery` runs; each command's module is imported only when it is called.

`start` is where the program begins. `creamery install` stands between people and uv, which is ready in the time that
click alone takes to import; so what needs no help goes there without it.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from creamery.cli.commands import main

__all__ = ["main", "start"]


def start() -> None:
    """Run the command that this process was called with."""
    words = sys.argv[1:]
    if words[:1] == ["install"] and {"-h", "--help"}.isdisjoint(words):
        from creamery.cli.through import begin  # noqa: PLC0415 - so does everything here: see above

        sys.exit(begin("install", words[1:]))
    from creamery.cli.commands import main as commands  # noqa: PLC0415

    commands(prog_name="creamery")


def __getattr__(name: str) -> Any:
    if name != "main":
        raise AttributeError(name)
    from creamery.cli.commands import main as commands  # noqa: PLC0415

    return commands
