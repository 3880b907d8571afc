"""What the rooms look like, and who has which power. import-linter holds the walls; this holds the rest."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from creamery.limits import Limits

REPOSITORY = Path(__file__).parents[2]
SOURCE = REPOSITORY / "src" / "creamery"
MODULES = sorted(path.relative_to(SOURCE) for path in SOURCE.rglob("*.py"))
ROOMS = sorted({path.parts[0] for path in MODULES if len(path.parts) > 1})

MOST_LINES = 500
MOST_FUNCTION_LINES = 60
LARGER: dict[str, int] = {}
"""Files and functions (`FILE:NAME`) that are larger, and how large they may be. It only ever gets shorter."""

POWERS = {
    "os.environ": (
        "settings.py",
        "uv.py",
        "launching.py",
        "sitecustomize.py",
        "glance.py",
        "state.py",
    ),  # other programs get their user's; the hook is one of them. Is there a proxy, and where do programs keep state?
    "os.getenv": ("settings.py",),
    "time": (
        "clock.py",
        "faults.py",
        "installing.py",
        "sitecustomize.py",
        "cache.py",
        "leasing.py",
        "glance.py",
    ),  # a fault point may wait; the client counts
    "datetime.datetime.now": (),
    "datetime.datetime.utcnow": (),
    "datetime.datetime.today": (),
    "datetime.date.today": (),
    "aiohttp": ("egress",),
    "ssl": ("egress", "wire.py", "glance.py"),
    "socket": (
        "egress",
        "wire.py",
        "glance.py",
        "broker.py",
        "sitecustomize.py",
        "server.py",
        "server",
        "protocol.py",
        "zerocopy.py",
    ),  # listening, closing, sending files
    "http.client": ("wire.py",),
    "urllib.request.getproxies": ("wire.py",),  # reads the environment
    "urllib.request.urlopen": (),
    "uvicorn": ("server.py", "server", "protocol.py"),  # the protocol is uvicorn's, with bounds
    "alembic": ("database",),
    "pip": ("settings.py",),
    "starlette.requests": ("http", "routes.py", "dav"),
    "starlette.responses": ("http", "routes.py", "dav"),
    "fastapi": ("http", "api"),  # 11 MiB: nobody else imports it, or an idle hub would have it
    "itsdangerous": ("secret.py",),
}
"""Who may name a thing: the first part of a module's path in the house, its folder, or its file. Others do not."""

NAMES_OF_NOTHING = {"utils", "util", "helpers", "common", "misc", "base", "manager"}


def named_things(tree: ast.Module) -> Iterator[str]:
    """Every imported or dotted name of a module, in full: `from os import environ as e; e[...]` is `os.environ`."""
    known: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                known[(alias.asname or alias.name).partition(".")[0]] = (
                    alias.name if alias.asname else alias.name.partition(".")[0]
                )
                yield alias.name
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            for alias in node.names:
                known[alias.asname or alias.name] = f"{node.module}.{alias.name}"
                yield f"{node.module}.{alias.name}"
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            first, separator, rest = ast.unparse(node).partition(".")
            yield known.get(first, "") + separator + rest


def offences(module: Path, source: str) -> list[str]:
    """Which powers a module takes that are not its own; `upload_routes.py` is a `routes.py` too."""
    found = set()
    for thing in named_things(ast.parse(source)):
        for power, owners in POWERS.items():
            takes = thing == power or thing.startswith(power + ".")
            if takes and not {module.parts[0], module.parent.name, module.name.rpartition("_")[2]} & set(owners):
                found.add(power)
    return sorted(found)


def functions(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Each function's name and length."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name, (node.end_lineno or node.lineno) - node.lineno + 1


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_a_module_takes_only_the_powers_of_its_room(module: Path) -> None:
    assert offences(module, (SOURCE / module).read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("source", "power"),
    [
        ("import os\nos.environ['HOME']", "os.environ"),
        ("from os import environ as e", "os.environ"),
        ("from os import getenv", "os.getenv"),
        ("import time\ntime.time()", "time"),
        ("from time import monotonic", "time"),
        ("import datetime\ndatetime.datetime.now()", "datetime.datetime.now"),
        ("from datetime import datetime, UTC\ndatetime.now(UTC)", "datetime.datetime.now"),
        ("from datetime import date as d\nd.today()", "datetime.date.today"),
        ("import aiohttp", "aiohttp"),
        ("from aiohttp.client import ClientSession", "aiohttp"),
        ("import socket as s", "socket"),
        ("def f():\n    from alembic import command", "alembic"),
        ("from starlette.requests import Request", "starlette.requests"),
    ],
)
def test_a_power_taken_is_noticed_however_it_is_spelt(source: str, power: str) -> None:
    assert offences(Path("index/simple.py"), source) == [power]


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_a_file_and_its_functions_stay_small_enough_to_be_one_idea(module: Path) -> None:
    source = (SOURCE / module).read_text(encoding="utf-8")

    larger = {f"{module}:{name}": lines for name, lines in functions(ast.parse(source)) if lines > MOST_FUNCTION_LINES}
    if (lines := source.count("\n")) > MOST_LINES:
        larger[str(module)] = lines

    assert {name: lines for name, lines in larger.items() if lines > LARGER.get(name, 0)} == {}


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_a_module_says_what_it_is_for_and_is_named_after_it(module: Path) -> None:
    tree = ast.parse((SOURCE / module).read_text(encoding="utf-8"))

    assert ast.get_docstring(tree)
    assert module.stem not in NAMES_OF_NOTHING


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_has_a_face_that_lists_what_others_may_use(room: str) -> None:
    tree = ast.parse((SOURCE / room / "__init__.py").read_text(encoding="utf-8"))

    assigned = {
        target.id
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    assert assigned - {"TYPE_CHECKING"} == {"__all__"}  # what is for types alone costs no import of typing
    assert not [node for node in tree.body if isinstance(node, ast.ClassDef)]


@pytest.mark.parametrize("limit", Limits.model_fields)
def test_a_limit_is_honoured_somewhere(limit: str) -> None:
    readers = [path for path in MODULES if f".{limit}" in (SOURCE / path).read_text(encoding="utf-8")]

    assert readers, f"limits.{limit} is promised in docs/reference/limits.md and nothing reads it"
