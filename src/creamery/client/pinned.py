"""Is everything that is asked for pinned by its hash? Then it is the same file, wherever it comes from."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

HASHES = "--require-hashes"
_VARIABLES = ("UV_REQUIRE_HASHES", "PIP_REQUIRE_HASHES")
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
_FALSE = frozenset({"", "0", "false", "no", "off"})


def is_pinned(arguments: Sequence[str], environ: Mapping[str, str]) -> bool:
    """By `--require-hashes`, or because all that is asked for stands in files that have a hash for each line."""
    if HASHES in arguments or any(environ.get(name, "").lower() not in _FALSE for name in _VARIABLES):
        return True
    files, others = _asked(arguments)
    return bool(files) and not others and all(_has_hashes(Path(file)) for file in files)


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
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):  # which uv will say
        return False
    lines = (line.strip() for line in text.replace("\\\n", " ").splitlines())
    wanted = [line for line in lines if line and not line.startswith("#")]
    return bool(wanted) and all("--hash=" in line or "--hash " in line for line in wanted)
