"""The Python that is installed for: which wheels it can use."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from creamery.client.asking import CannotTell, build_for
from creamery.client.launching import HOOK
from creamery.client.places import python_of
from creamery.client.programs import ask
from creamery.contract import Build

SECONDS = 20.0
_CODE = "import json, sys; sys.path.insert(0, sys.argv[1]); import sitecustomize as s; print(json.dumps(s._python()))"
"""The hook knows what a build has to know of its Python; where nobody answers it, it does nothing else."""


def build_of(uv: str, arguments: Sequence[str], own: Mapping[str, str]) -> Build | None:
    """What a build for that Python would be for; None: nobody can tell.

    Args:
        uv: the program.
        arguments: of `uv pip install`, which may name the Python.
        own: this process's environment.
    """
    asked = python_of(arguments)
    words = [asked] if asked else ["--system"] if "--system" in arguments else []
    python = (ask([uv, "python", "find", *words], own, seconds=SECONDS) or "").strip()
    said = ask([python, "-I", "-S", "-c", _CODE, HOOK], own, seconds=SECONDS) if python else None
    try:
        return build_for(json.loads(said)) if said else None
    except (ValueError, CannotTell):
        return None
