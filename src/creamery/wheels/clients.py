"""Who asks for a page: an installer, which may be shown built wheels, or somebody who writes down what it is shown.

A lock that names a built wheel breaks on the day on which that wheel is gone, for everybody who has the lock. So built
wheels are shown only to who says that it installs. uv names its subcommand; pip does not, and `pip lock` is told in the
documentation to ask at `/i/`. Both say of their machine what PyPI's statistics want to know: a name, a version, and an
object of JSON (https://github.com/pypi/linehaul-cloud-function reads the same).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import orjson

MOST_BYTES = 8 * 1024
"""Of a `User-Agent` that is read; uv's has 400, pip's 500 and whatever PIP_USER_AGENT_USER_DATA adds."""

INSTALLING = frozenset(
    {("pip", "install"), ("pip", "sync"), ("tool", "run"), ("uvx",), ("tool", "install"), ("build",)}
)
"""uv's subcommands that take what they are shown and write no list of it; `uvx` is `tool run` by its other name."""

Tool = Literal["uv", "pip", "other"]

Libc = tuple[str, int, int]
"""A C library, as `("glibc", 2, 36)`: what it is, major and minor version."""

_AGENT = re.compile(rb"(uv|pip)/[^ ]+ (\{.*\})", re.DOTALL)
_VERSION = re.compile(r"(\d{1,4})\.(\d{1,4})(?:\D.*)?", re.ASCII | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Client:
    """Who asks.

    Attributes:
        subcommand: of uv, in words; of others nobody knows.
        libc: of the machine that asks, where it says so. uv's `--python-platform` may mean another one.
    """

    tool: Tool
    subcommand: tuple[str, ...] = ()
    libc: Libc | None = None

    @property
    def may_see_built(self) -> bool:
        """Does it install what it is shown, and write down nothing?"""
        return self.tool == "pip" or (self.tool == "uv" and self.subcommand in INSTALLING)


SOMEBODY = Client("other")
"""Browsers, other tools, and whoever says what cannot be read."""


def client_of(user_agent: bytes | None) -> Client:
    """Who sends this header; whatever it says, there is an answer."""
    return SOMEBODY if user_agent is None or len(user_agent) > MOST_BYTES else _read(user_agent)


@lru_cache(1_024)
def _read(user_agent: bytes) -> Client:
    found = _AGENT.fullmatch(user_agent)
    if found is None:
        return SOMEBODY
    try:
        said = orjson.loads(found[2])  # nests 1,024 levels at most
    except orjson.JSONDecodeError:
        return SOMEBODY
    installer = _object(said, "installer")
    tool: Tool = "uv" if found[1] == b"uv" else "pip"
    if installer.get("name") != tool:
        return SOMEBODY
    return Client(tool, _subcommand(installer.get("subcommand")), _libc(_object(_object(said, "distro"), "libc")))


def _object(said: dict[str, Any], key: str) -> dict[str, Any]:
    value = said.get(key)
    return value if isinstance(value, dict) else {}


def _subcommand(said: object) -> tuple[str, ...]:
    return tuple(said) if isinstance(said, list) and all(isinstance(word, str) for word in said) else ()


def _libc(said: dict[str, Any]) -> Libc | None:
    family, version = said.get("lib"), said.get("version")
    if not isinstance(family, str) or not isinstance(version, str) or family not in {"glibc", "musl"}:
        return None
    found = _VERSION.fullmatch(version)
    return None if found is None else (family, int(found[1]), int(found[2]))
