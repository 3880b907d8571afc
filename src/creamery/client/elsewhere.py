"""The hub is away, and another index is asked: but never for a name that is the hub's own.

Whoever could put a package of such a name into the other index would otherwise be installed in its place (dependency
confusion). Names that were claimed are made impossible to satisfy, also for what a build needs. What falls under a
reserved pattern cannot be listed beforehand: uv first says what it would install, from wheels alone, so that no code of
anybody's runs; and nothing is built then, for what a build would need uv says only while it builds.
"""

from __future__ import annotations

import re
import subprocess
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name

from creamery.client.errors import HubError, UnusableInput
from creamery.client.own_names import OwnNames
from creamery.client.pinned import lock_files, must_have_hashes
from creamery.client.places import with_options

if TYPE_CHECKING:
    from creamery.client.launching import Launch

SECONDS = 300.0
SAID = 2_000
_WOULD = re.compile(r"^ [+~] ([A-Za-z0-9._-]+)(?:==| @ )", re.MULTILINE)
_PINNED = f"==0 --hash=sha256:{'0' * 64}"
"""As impossible, where uv wants a version and a hash of everything."""
_HOW_MANY = re.compile(r"^Would (?:make no changes|install (\d+) packages?)$", re.MULTILINE)
_NOT_ISOLATED = "--no-build-isolation"
"""A requirements file may ask for builds in spite of `--only-binary`; so nothing is fetched for them."""
_DROPPED = frozenset({"-q", "-qq", "--quiet", "--dry-run", _NOT_ISOLATED})
_DROPPED_WITH_VALUE = ("--no-binary", "--output-format", "--color")


def kept_out(
    launch: Launch, names: OwnNames, uv: str, arguments: Sequence[str], own: Mapping[str, str]
) -> Sequence[str]:
    """More words for `uv pip install`, with which none of these names is installed.

    Raises:
        HubError: one of them would be, or nobody can tell.
    """
    if not names:
        return ()
    more = ["--build-constraints", _written(launch, "not-built", names, "<0")]
    if locks := lock_files(arguments):  # uv takes no constraints beside them, and nothing that does not stand there
        _refuse(names, {name for lock in locks for name in _names_in(lock)})
    else:
        impossible = _PINNED if must_have_hashes(arguments, own) else "<0"
        more += ["--constraints", _written(launch, "not-installed", names, impossible)]
    if not names.reserved:
        return more
    wheels_alone = [*more, "--only-binary", ":all:"]
    if not locks:
        words = with_options(_plain(arguments), [*wheels_alone, _NOT_ISOLATED])
        _look(names, [uv, "pip", "install", "--dry-run", *words], own)
    return wheels_alone if _NOT_ISOLATED in arguments else [*wheels_alone, _NOT_ISOLATED]


def _written(launch: Launch, what: str, names: OwnNames, impossible: str) -> str:
    folder = Path(launch.folder)
    path = folder / f"{what}-{len(list(folder.glob(f'{what}-*')))}.txt"  # of one hub beside another's
    path.write_text("".join(f"{name}{impossible}\n" for name in sorted(names.claimed)), encoding="utf-8")
    return str(path)


def _names_in(lock: Path) -> set[str]:
    try:
        return {canonicalize_name(each["name"]) for each in tomllib.loads(lock.read_text("utf-8"))["packages"]}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UnusableInput(f"Which names stand in {lock} cannot be read.", "Nothing was installed.") from error


def _refuse(names: OwnNames, meant: set[str]) -> None:
    own_ones = sorted(name for name in meant if names.has(name))
    if own_ones:
        raise HubError(
            f"{', '.join(own_ones)} would be installed from elsewhere, and the hub keeps that name for itself.",
            "Nothing was installed. Start the hub.",
        )


def _look(names: OwnNames, command: Sequence[str], own: Mapping[str, str]) -> None:
    environment = {**own, "UV_NO_COLOR": "1", "NO_COLOR": "1"}
    try:
        ran = subprocess.run(  # noqa: S603 - uv, with what its user has asked for
            command, env=environment, capture_output=True, text=True, errors="replace", timeout=SECONDS, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise UnusableInput(f"uv has found nothing to install within {SECONDS:g} s.") from error
    said = ran.stderr + ran.stdout
    named = _WOULD.findall(said)
    _refuse(names, {canonicalize_name(name) for name in named})
    count = _HOW_MANY.search(said)
    if ran.returncode or count is None or len(named) != int(count[1] or 0):  # or it says it otherwise
        raise HubError(
            "Without building anything nobody can tell whether a name that the hub keeps for itself"
            f" ({', '.join(sorted(names.reserved))}) would come from elsewhere:\n{ran.stderr.strip()[-SAID:]}",
            "Nothing was installed. Start the hub.",
        )


def _plain(arguments: Sequence[str]) -> list[str]:
    """Without what would let something be built, or be told in another form or not at all."""
    kept, skips = [], False
    for word in arguments:
        if skips:
            skips = False
        elif word in _DROPPED_WITH_VALUE:
            skips = True
        elif word not in _DROPPED and not word.startswith(tuple(f"{name}=" for name in _DROPPED_WITH_VALUE)):
            kept.append(word)
    return kept
