"""Where packages came from that no build of this run has made: what they say themselves, and what the hub lists."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from packaging.utils import InvalidWheelFilename, canonicalize_version, parse_wheel_filename

from creamery.client.environment import Environment, location, tags_of
from creamery.client.errors import UnusableInput
from creamery.client.places import python_of
from creamery.client.programs import ask
from creamery.client.serving import KnownWheel
from creamery.client.targets import Target

SECONDS = 30.0

Place = tuple[str, str]
"""A project's name and its version, both normalised."""
Known = Mapping[Place, Sequence[KnownWheel]]


def found_there(
    known: Known, added: Sequence[tuple[str, str]], uv: str, arguments: Sequence[str], own: Mapping[str, str]
) -> tuple[dict[Place, KnownWheel], frozenset[str]]:
    """Of what uv has installed: listed wheels, by their tags; and names of what has an address of its own (PEP 610)."""
    folder = location(uv, [name for name, _ in added], arguments, own)
    if folder is None:
        return {}, frozenset()
    try:
        environment = Environment(folder)
    except OSError:  # nobody is kept from installing by what cannot be told of it
        return {}, frozenset()
    tags = {(name, canonicalize_version(version)): environment.tags(name, version) for name, version in added}
    here = {place for place, found in tags.items() if found is not None}
    direct = {place for place in here if not environment.is_of_an_index(*place)}
    found = {}
    for place in known.keys() & here - direct:
        wheel = next((wheel for wheel in known[place] if tags_of(wheel.filename) == tags[place]), None)
        if wheel is not None:
            found[place] = wheel
    return found, frozenset(name for name, _ in direct)


def fitting(known: Known, uv: str, arguments: Sequence[str], own: Mapping[str, str]) -> dict[Place, KnownWheel]:
    """What uv would take, where it has only said so: wheels for the Python that packages would be for."""
    tags = set(_target(uv, arguments, own).tags()) if known else set()
    found = {}
    for place, wheels in known.items():
        for wheel in wheels:
            try:
                fits = not tags.isdisjoint(parse_wheel_filename(wheel.filename)[3])
            except InvalidWheelFilename:
                continue
            if fits:
                found[place] = wheel
                break
    return found


def _target(uv: str, arguments: Sequence[str], own: Mapping[str, str]) -> Target:
    python = python_of(arguments)
    version = ask([uv, "python", "find", "--show-version", *([python] if python else [])], own, seconds=SECONDS)
    try:
        return Target((version or "").strip() or None)
    except UnusableInput:  # a Python whose versions are other ones
        return Target()
