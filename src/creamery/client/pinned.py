"""What the words of `uv pip install` say of files: their hashes, and whether they may be wheels.

What is pinned by its hash is the same file, wherever it comes from.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from packaging.utils import canonicalize_name

HASHES = "--require-hashes"
NO_BINARY = "--no-binary"
_NO_HASHES = "--no-require-hashes"
_VARIABLE = "UV_REQUIRE_HASHES"
_FILE = ("-r", "--requirement", "--requirements")
_TAKING = frozenset(
    {
        *("--python", "-p", "--target", "-t", "--prefix", "--python-version", "--python-platform", "--directory"),
        *("--project", "--cache-dir", "--config-file", "--link-mode", "--color", "--exclude-newer", "--resolution"),
        *("--prerelease", "--no-binary", "--only-binary", "--config-setting", "--config-settings", "-C"),
        *("--constraint", "--constraints", "--override", "--overrides", "--build-constraints", "-b"),
    }
)
"""Options of uv's whose value is no requirement."""
_LOCK = re.compile(r"pylock(?:\.[^.]+)?\.toml")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_HASH = re.compile(r"--hash[= ]sha256:([0-9a-fA-F]{64})")
_INDEX = re.compile(r"(?:--(?:index-url|extra-index-url|find-links)|-[if])[= ].*|--no-index", re.DOTALL)
_COMMENT = re.compile(r"(?:^|\s)#.*")
_FALSE = frozenset({"", "0", "false", "no", "off"})


def is_pinned(arguments: Sequence[str], environ: Mapping[str, str]) -> bool:
    """By `--require-hashes`, or because all that is asked for stands in files that have a hash for each line."""
    if must_have_hashes(arguments, environ):
        return True
    files, others = _asked(arguments)
    return bool(files) and not others and all(_has_hashes(Path(file)) for file in files)


def hashes_of(arguments: Sequence[str]) -> dict[str, frozenset[str]]:
    """By project the SHA-256 that requirements files insist on, as far as they do."""
    found: dict[str, set[str]] = {}
    for file in _asked(arguments)[0]:
        for line in _lines(Path(file)):
            name, hashes = _NAME.match(line), _HASH.findall(line)
            if name is not None and hashes:
                found.setdefault(canonicalize_name(name[0]), set()).update(each.lower() for each in hashes)
    return {name: frozenset(hashes) for name, hashes in found.items()}


def wants_sources(arguments: Sequence[str], environ: Mapping[str, str]) -> bool:
    """Are wheels refused for some of it?"""
    lines = (line for file in _asked(arguments)[0] for line in _lines(Path(file)))
    return any(word.startswith(NO_BINARY) for word in [*arguments, *lines]) or any(
        environ.get(name) for name in ("UV_NO_BINARY", "UV_NO_BINARY_PACKAGE")
    )


def index_lines(arguments: Sequence[str]) -> list[str]:
    """What requirements files say of indexes, in their words."""
    lines = (line for file in _asked(arguments)[0] for line in _lines(Path(file)))
    return [line for line in lines if _INDEX.fullmatch(line)]


def must_have_hashes(arguments: Sequence[str], environ: Mapping[str, str]) -> bool:
    """Does uv take nothing without a hash?"""
    if _NO_HASHES in arguments:
        return False
    return HASHES in arguments or environ.get(_VARIABLE, "").lower() not in _FALSE


def lock_files(arguments: Sequence[str]) -> list[Path]:
    """Lock files (PEP 751) among the requirements files."""
    return [Path(file) for file in _asked(arguments)[0] if _LOCK.fullmatch(Path(file).name)]


def _asked(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Requirements files, and words that may be requirements; so may what an option takes that nobody knows here."""
    files: list[str] = []
    others: list[str] = []
    takes: list[str] | None = None
    for word in arguments:
        head, equals, value = word.partition("=")
        if takes is not None:
            takes.append(word)
            takes = None
        elif word in _FILE:
            takes = files
        elif word in _TAKING:
            takes = []
        elif equals and head in _FILE:
            files.append(value)
        elif word.startswith("-r") and not word.startswith("--"):
            files.append(word[2:])
        elif not word.startswith("-"):
            others.append(word)
    return files, others


def _has_hashes(file: Path) -> bool:
    """Of each requirement in it; a lock file (PEP 751) always has them."""
    if _LOCK.fullmatch(file.name):
        return True
    wanted = _lines(file)
    return bool(wanted) and all("--hash=" in line or "--hash " in line for line in wanted)


def _lines(file: Path) -> list[str]:
    """Of a requirements file, without comments; none, where it cannot be read, which uv will say."""
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return []
    lines = (_COMMENT.sub("", line).strip() for line in text.replace("\\\n", " ").splitlines())
    return [line for line in lines if line]
