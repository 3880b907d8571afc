"""The commands. `main` is what `creamery` runs; each command's module is imported only when it is called."""

from creamery.cli.commands import main

__all__ = ["main"]
