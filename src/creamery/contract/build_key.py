"""The key of a built wheel: what decides about its bytes, and nothing else.

Two machines that would build the same ask for the same key, and client and server compute it with this one function.
In the key: the exact source, the exact ABI, the platform with its libc, and what somebody has set on purpose: settings
of the build backend (PEP 517), declared environment variables, and those build requirements that compiled code is bound
to. Whatever else was there (setuptools' version, the compiler's, who and when) is provenance, and stays beside the
wheel: with a floating `setuptools` in the key everything would be built anew each week.

The canonical form is JSON with sorted keys, no blanks and ASCII alone; the key is its SHA-256.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any, Literal, get_args

from packaging.version import InvalidVersion, Version

from creamery.contract.digest import Digest, NotADigest, digest_of, parse_digest
from creamery.contract.names import InvalidName, ProjectName, normalize

SCHEMA = 1

SourceKind = Literal["sdist", "tree"]

DECLARED = (
    "ARCHFLAGS",
    "CC",
    "CFLAGS",
    "CMAKE_ARGS",
    "CPPFLAGS",
    "CXX",
    "CXXFLAGS",
    "LDFLAGS",
    "MACOSX_DEPLOYMENT_TARGET",
    "PKG_CONFIG_PATH",
    "RUSTFLAGS",
)
"""Environment variables that compilers and build backends obey; a project may declare more."""

_LAUNCHERS = frozenset({"ccache", "sccache", "distcc"})
_NO_DIFFERENCE = re.compile(r"-g[0-3]?|-f(?:file|debug|macro)-prefix-map=.*|--remap-path-prefix=.*")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}", re.ASCII)
_TAG = re.compile(r"[a-z0-9_]{1,64}", re.ASCII)
_LIBC = re.compile(r"(glibc|musl|macos|windows) ([0-9]{1,5})\.([0-9]{1,5})", re.ASCII)
_MOST_TEXT = 64 * 1024
_MOST_ITEMS = 1_000


class BadBuild(ValueError):
    """What is said of a build cannot be read; the text names the field."""


@dataclass(frozen=True, slots=True)
class Build:
    """What a wheel is built from, for and with.

    Attributes:
        source: SHA-256 of the sdist, or of an unpacked tree.
        source_kind: which of them.
        python: the interpreter's tag (PEP 425), such as `cp311`.
        abi: its ABI tag, such as `cp311` or `cp313t`.
        system: `linux`, `macos`, `windows` or another word that the machine calls its own.
        architecture: as in platform tags, such as `x86_64`.
        libc: `glibc 2.36`, `musl 1.2`; on other systems their own version, such as `macos 14.0`; None: nobody knows.
        settings: of the build backend (PEP 517 config_settings), by name.
        environment: declared variables that are set, normalised (`declared`).
        requirements: the versions of those build requirements that compiled code is bound to, such as numpy.
    """

    source: Digest
    source_kind: SourceKind
    python: str
    abi: str
    system: str
    architecture: str
    libc: str | None = None
    settings: Mapping[str, str | tuple[str, ...]] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    requirements: Mapping[ProjectName, str] = field(default_factory=dict)

    @property
    def is_neutral(self) -> bool:
        """Has nobody set anything on purpose? Then the wheel is what everybody would get from an index."""
        return not (self.settings or self.environment or self.requirements)

    def key(self) -> Digest:
        """What the wheel is found by."""
        return digest_of(canonical(self.to_json()))

    def to_json(self) -> dict[str, Any]:
        """As a record has it, and as the key is computed from it."""
        return {
            "schema": SCHEMA,
            "source": {"kind": self.source_kind, "sha256": self.source},
            "python": {"tag": self.python, "abi": self.abi},
            "platform": {"system": self.system, "architecture": self.architecture, "libc": self.libc},
            "settings": {
                name: value if isinstance(value, str) else list(value) for name, value in self.settings.items()
            },
            "environment": dict(self.environment),
            "requirements": dict(self.requirements),
        }


def read_build(said: object) -> Build:
    """A build as somebody else wrote it, normalised.

    Raises:
        BadBuild: a field is missing, unknown or wrong, or it is of another schema.
    """
    whole = _fields(
        said, "build", ("schema", "source", "python", "platform"), ("settings", "environment", "requirements")
    )
    if whole["schema"] != SCHEMA:
        raise BadBuild(f"build.schema is {whole['schema']!r}; this hub reads {SCHEMA}")
    source = _fields(whole["source"], "build.source", ("kind", "sha256"))
    python = _fields(whole["python"], "build.python", ("tag", "abi"))
    platform = _fields(whole["platform"], "build.platform", ("system", "architecture"), ("libc",))
    if source["kind"] not in get_args(SourceKind):
        raise BadBuild(f"build.source.kind is {_shown(source['kind'])}, and not sdist or tree")
    return Build(
        source=_digest(source["sha256"], "build.source.sha256"),
        source_kind=source["kind"],
        python=_tag(python["tag"], "build.python.tag"),
        abi=_tag(python["abi"], "build.python.abi"),
        system=_tag(platform["system"], "build.platform.system"),
        architecture=_tag(platform["architecture"], "build.platform.architecture"),
        libc=_libc(platform.get("libc")),
        settings=_settings(whole.get("settings", {})),
        environment=_environment(whole.get("environment", {})),
        requirements=_requirements(whole.get("requirements", {})),
    )


def declared(environ: Mapping[str, str], names: tuple[str, ...] = DECLARED) -> dict[str, str]:
    """What of an environment counts, normalised: what makes no difference to the bytes is gone.

    `ccache gcc` is `gcc`, `/usr/bin/gcc` stays what it is, blanks are one, and flags about debugging symbols and about
    where the build's folder lies are left out, as everybody's differ.
    """
    found = {name: _normalised(environ[name]) for name in names if name in environ}
    return {name: value for name, value in sorted(found.items()) if value}


def key_of_name(filename: str) -> Digest:
    """The key of a wheel that was pushed by its name alone, of whose build nobody has said anything."""
    return digest_of(canonical({"schema": SCHEMA, "filename": filename}))


def canonical(value: object) -> bytes:
    """The one way of writing it down."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode("ascii")


def _normalised(value: str) -> str:
    try:
        words = shlex.split(value)
    except ValueError:  # a quote that never ends: nobody can tell what it means, so it counts as it is
        return " ".join(value.split())
    if len(words) > 1 and PurePath(words[0]).name in _LAUNCHERS:
        words = words[1:]
    return shlex.join(word for word in words if not _NO_DIFFERENCE.fullmatch(word))


def _fields(said: object, where: str, needed: tuple[str, ...], others: tuple[str, ...] = ()) -> dict[str, Any]:
    if not isinstance(said, dict):
        raise BadBuild(f"{where} is no object")
    for name in said:
        if name not in needed and name not in others:
            raise BadBuild(f"{where} has the unknown field {_shown(name)}")
    for name in needed:
        if name not in said:
            raise BadBuild(f"{where} lacks the field {name}")
    return said


def _digest(said: object, where: str) -> Digest:
    try:
        return parse_digest(_text(said, where))
    except NotADigest as error:
        raise BadBuild(f"{where}: {error}") from error


def _tag(said: object, where: str) -> str:
    text = _text(said, where)
    if not _TAG.fullmatch(text):
        raise BadBuild(f"{where} is {_shown(text)}; small letters, digits and _ are expected, as in wheels' tags")
    return text


def _libc(said: object) -> str | None:
    if said is None:
        return None
    text = _text(said, "build.platform.libc")
    match = _LIBC.fullmatch(text)
    if match is None:
        raise BadBuild(f"build.platform.libc is {_shown(text)}; write it as `glibc 2.36`, or null")
    return f"{match[1]} {int(match[2])}.{int(match[3])}"


def _settings(said: object) -> dict[str, str | tuple[str, ...]]:
    found: dict[str, str | tuple[str, ...]] = {}
    for name, value in _items(said, "build.settings"):
        where = f"build.settings[{_shown(name)}]"
        found[name] = tuple(_text(each, where) for each in value) if isinstance(value, list) else _text(value, where)
    return found


def _environment(said: object) -> dict[str, str]:
    given = {}
    for name, value in _items(said, "build.environment"):
        if not _VARIABLE.fullmatch(name):
            raise BadBuild(f"build.environment names {_shown(name)}, which is no variable")
        given[name] = _text(value, f"build.environment.{name}")
    return declared(given, tuple(given))


def _requirements(said: object) -> dict[ProjectName, str]:
    found = {}
    for name, value in _items(said, "build.requirements"):
        try:
            found[normalize(name)] = str(Version(_text(value, f"build.requirements.{name}")))
        except (InvalidName, InvalidVersion) as error:
            raise BadBuild(f"build.requirements: {error}") from error
    return found


def _items(said: object, where: str) -> list[tuple[str, Any]]:
    if not isinstance(said, dict) or len(said) > _MOST_ITEMS:
        raise BadBuild(f"{where} is no object of at most {_MOST_ITEMS} fields")
    return list(said.items())


def _text(said: object, where: str) -> str:
    if not isinstance(said, str) or len(said) > _MOST_TEXT:
        raise BadBuild(f"{where} is {_shown(said)}; a text is expected")
    if any("\ud800" <= character <= "\udfff" for character in said):
        raise BadBuild(f"{where} has half a character in it")
    return said


def _shown(value: object) -> str:
    return repr(value)[:80]
