"""Which files a pylock.toml (PEP 751) means for a Python and a platform: of each package the one that is installed."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from packaging.pylock import (
    PackageSdist,
    PackageWheel,
    Pylock,
    PylockSelectError,
    PylockUnsupportedVersionError,
    PylockValidationError,
)

from creamery.client.errors import UnusableInput
from creamery.client.targets import Target


@dataclass(frozen=True, slots=True)
class ChosenFile:
    """A file of an index.

    Attributes:
        url: where the lock file has it; None: it does not say.
        sha256: None: the lock file names another hash.
    """

    project: str
    filename: str
    sha256: str | None
    url: str | None


@dataclass(frozen=True, slots=True)
class Chosen:
    """What is installed.

    Attributes:
        elsewhere: packages that come from no index, but from a folder, a repository or an address.
    """

    files: tuple[ChosenFile, ...]
    elsewhere: tuple[str, ...]


def choose(
    text: str, target: Target, *, place: str, allowed: Collection[str] = (), takes_sdists: bool = True
) -> Chosen:
    """The files of a lock file that fit best.

    Args:
        text: of the lock file.
        target: whom they are for.
        place: where the lock file is, for people.
        allowed: SHA-256 of files that somebody insists on: a package that has such files is installed from those.
        takes_sdists: a package that would be installed from its sdist may be, which runs its code.

    Raises:
        UnusableInput: it is no lock file, or holds nothing for this target; or only an sdist, and that is not wanted.
    """
    try:
        content = tomllib.loads(text)
        _insist(content, frozenset(allowed))
        locked = Pylock.from_dict(content)
        selected = list(locked.select(environment=target.environment(), tags=target.tags()))
    except (tomllib.TOMLDecodeError, PylockValidationError, PylockUnsupportedVersionError) as error:
        raise UnusableInput(f"{place} is no lock file of PEP 751 that can be read: {error}.") from error
    except PylockSelectError as error:
        raise UnusableInput(f"{place} has nothing for this Python and platform: {error}.") from error
    sdists = [source.filename for _, source in selected if isinstance(source, PackageSdist)]
    if sdists and not takes_sdists:
        raise UnusableInput(
            f"{place} has no wheel for this Python and platform of what is in {', '.join(sdists)}.",
            "Let it be locked for them too; or say --build: an installation runs the code of these packages.",
        )
    files, elsewhere = [], []
    for package, source in selected:
        if isinstance(source, (PackageWheel, PackageSdist)):
            files.append(ChosenFile(package.name, source.filename, source.hashes.get("sha256"), source.url))
        else:
            elsewhere.append(str(package.name))
    return Chosen(tuple(files), tuple(elsewhere))


def hashes_in(text: str) -> set[str]:
    """The SHA-256 that a requirements file insists on."""
    return {match.lower() for match in re.findall(r"--hash[= ]sha256:([0-9a-fA-F]{64})\b", text)}


def _insist(content: dict[str, Any], allowed: frozenset[str]) -> None:
    """Leave out what an installer would refuse for its hash: uv locks all files, and installs by hash."""
    packages = content.get("packages")
    for package in packages if allowed and isinstance(packages, list) else ():
        wheels, sdist = package.get("wheels", []), package.get("sdist")
        kept = [wheel for wheel in wheels if _sha256(wheel) in allowed]
        if not kept and (sdist is None or _sha256(sdist) not in allowed):
            continue
        package["wheels"] = kept
        if not kept:
            del package["wheels"]
        elif _sha256(sdist or {}) not in allowed:
            package.pop("sdist", None)


def _sha256(file: dict[str, Any]) -> str | None:
    found = file.get("hashes", {}).get("sha256")
    return found.lower() if isinstance(found, str) else None
