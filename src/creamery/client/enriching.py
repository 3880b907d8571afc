"""A lock file with wheels that a hub has built, beside the sdists that they were built from (PEP 751).

The sdist stays, with its hash: whoever cannot reach the hub builds from it. A wheel is added only if its builder says
that it was built from just that sdist, with nothing set on purpose, and if its bytes are what the hub says.
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from io import BufferedIOBase
from typing import Any

import tomlkit
from packaging.pylock import Pylock, PylockUnsupportedVersionError, PylockValidationError
from packaging.tags import Tag
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename
from packaging.version import InvalidVersion, Version

from creamery.client.errors import HubError, NotAHub, Refused, UnusableInput
from creamery.client.wire import Hub

NOT_FOUND = 404
PIECE_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class Added:
    """A wheel that is in the lock now.

    Attributes:
        size: in bytes.
        seconds: that its build took; 0: nobody has said.
    """

    project: str
    filename: str
    sha256: str
    size: int
    url: str
    seconds: float


def enrich(
    text: str, hub: Hub, *, place: str, begin: Callable[[int], object], came: Callable[[int], object]
) -> tuple[str, list[Added]]:
    """The lock with what the hub has built, written as it was otherwise, and what was added.

    Args:
        text: of the lock file.
        hub: at its root.
        place: where the lock file is, for people.
        begin: hears how many bytes are to be verified.
        came: hears of each number of bytes that has come.

    Raises:
        UnusableInput: it is no lock file.
        HubError: the hub does not answer, or sends other bytes than it says.
    """
    try:
        Pylock.from_dict(tomllib.loads(text))
    except (tomllib.TOMLDecodeError, PylockValidationError, PylockUnsupportedVersionError) as error:
        raise UnusableInput(f"{place} is no lock file of PEP 751 that can be read: {error}.") from error
    document: Any = tomlkit.parse(text)
    found = [(package, wheel) for package in document.get("packages", ()) for wheel in _missing(package, hub)]
    begin(sum(wheel.size for _, wheel in found))
    for package, wheel in found:
        _verify(hub, wheel, came)
        if "wheels" not in package:
            package.append("wheels", tomlkit.aot())
        package["wheels"].append(_table(wheel))
    return tomlkit.dumps(document), [wheel for _, wheel in found]


def _missing(package: Any, hub: Hub) -> Iterator[Added]:
    """What was built of a package's sdist, and that it has no wheel for."""
    sdist = (package.get("sdist") or {}).get("hashes", {}).get("sha256")
    version = _version(package.get("version"))
    if sdist is None or version is None:
        return
    taken = _tags([_name_of(wheel) for wheel in package.get("wheels", ())])
    for said in _built(hub, canonicalize_name(str(package["name"]))):
        wheel = _offered(said, str(sdist).lower(), version)
        if wheel is None or not taken.isdisjoint(tags := _tags([wheel.filename])):
            continue
        taken |= tags
        yield wheel


def _name_of(wheel: Any) -> str:
    return str(wheel.get("name") or str(wheel.get("url", "")).rpartition("/")[2])


def _built(hub: Hub, project: str) -> Sequence[Any]:
    try:
        told = hub.get("w", "v1", "projects", project)
    except Refused as error:
        if error.status == NOT_FOUND:
            return []
        raise
    wheels = told.get("wheels") if isinstance(told, dict) else None
    if not isinstance(wheels, list):
        raise NotAHub(f"{hub.address} does not say which wheels of {project} it has.", "Is it a hub of this age?")
    return wheels


def _offered(said: Any, sdist: str, version: Version) -> Added | None:
    """A built wheel that may stand beside this sdist."""
    try:
        listing, record = said["listing"], said["record"] or {}
        build, provenance = record.get("build", {}), record.get("provenance", {})
        source = build.get("source", {})
        sources = {provenance.get("sdist"), source.get("sha256") if source.get("kind") == "sdist" else None}
        is_plain = not any(build.get(name) for name in ("settings", "environment", "requirements"))
        if listing["state"] != "listed" or sdist not in sources or not is_plain or _version(said["version"]) != version:
            return None
        base = str(said["url"]).rsplit("/f/", 1)[0]
        name, digest = str(listing["filename"]), str(listing["sha256"])
        url = f"{base}/f/{digest}/{name.replace('+', '%2B')}"
        return Added(str(said["project"]), name, digest, int(listing["size"]), url, float(said["seconds"]))
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise NotAHub(f"What the hub says of a wheel cannot be read: {type(error).__name__}.") from error


def _verify(hub: Hub, wheel: Added, came: Callable[[int], object]) -> None:
    """Its bytes are what the hub says; that they were asked for keeps them there.

    Raises:
        HubError: they are not.
    """
    found, size = hashlib.sha256(), 0
    with hub.stream("GET", "w", "f", wheel.sha256, wheel.filename, headers={"Accept": "*/*"}) as answer:
        for piece in _pieces(answer):
            found.update(piece)
            size += len(piece)
            came(len(piece))
    if (found.hexdigest(), size) != (wheel.sha256, wheel.size):
        raise HubError(
            f"{wheel.filename} came with SHA-256 {found.hexdigest()} and {size} bytes, and the hub says"
            f" {wheel.sha256} and {wheel.size}.",
            "Nothing was written. Tell whoever runs the hub.",
        )


def _pieces(answer: BufferedIOBase) -> Iterator[bytes]:
    while piece := answer.read(PIECE_BYTES):
        yield piece


def _table(wheel: Added) -> Any:
    table = tomlkit.table()
    table.add("name", wheel.filename)
    table.add("url", wheel.url)
    table.add("size", wheel.size)
    hashes = tomlkit.inline_table()
    hashes.append("sha256", wheel.sha256)
    table.add("hashes", hashes)
    return table


def _tags(filenames: Sequence[str]) -> set[Tag]:
    found: set[Tag] = set()
    for filename in filenames:
        try:
            found |= parse_wheel_filename(filename)[3]
        except InvalidWheelFilename:
            continue  # which an installer passes over, too
    return found


def _version(text: object) -> Version | None:
    try:
        return Version(str(text))
    except InvalidVersion:
        return None
