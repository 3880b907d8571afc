"""The hub behind one run: is it there, and what the hook is answered from. Imported while uv is already at work."""

from __future__ import annotations

from creamery.client.errors import HubError, Refused
from creamery.client.glance import Glance, Unclear
from creamery.client.own_names import Memory, OwnNames

TYPE_CHECKING = False  # `typing`, dataclasses and what asks a hub carefully take longer than many an installation
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from creamery.client.address import HubAddress
    from creamery.client.builds import Builds
    from creamery.client.credentials import Credentials
    from creamery.client.launching import Launch
    from creamery.client.sharing import Sharing
    from creamery.client.wire import Hub
    from creamery.client.wishes import Wish

MOST_SECONDS = 1e9
MOST_VERSIONS = 1_000
"""In one question."""


def why_away(wish: Wish, say: Callable[[str], object]) -> HubError | None:
    """Why the hub cannot be installed through; None: it can. What it says of its names is remembered."""
    if wish.address is None:
        return None
    memory = Memory(wish.address)
    try:
        try:
            memory.learn(Glance(wish.address, wish.credentials))
        except Unclear as error:
            memory.learn(_careful(wish.address, wish.credentials, error))
    except HubError as error:
        return error
    except OSError as error:  # a home that cannot be written to; what is remembered from before counts on
        say(f"The names that {wish.address} keeps for itself cannot be remembered: {error.strerror}.")
    return None


def probe(address: HubAddress, credentials: Credentials | None) -> None:
    """Ask the hub whether it is there, and whether these may read its built wheels.

    Raises:
        HubError: it does not answer, or refuses.
    """
    from creamery.client.wire import PROBE, Hub  # noqa: PLC0415 - of `creamery doctor`, which waits for nothing

    Hub(address, credentials, patience=PROBE).at_root().post("w", "v1", "lookup", body={"keys": []})


def recalled_names(wish: Wish) -> OwnNames:
    """What the hub has ever said of its names."""
    return OwnNames() if wish.address is None else Memory(wish.address).recall()[0]


def serve(launch: Launch) -> tuple[Builds, Sharing | None]:
    """What answers the hook's questions in a run, and what sends wheels."""
    from pathlib import Path  # noqa: PLC0415 - all these where something is built

    from creamery.client.builds import Builds  # noqa: PLC0415
    from creamery.client.hub_cache import HubCache  # noqa: PLC0415
    from creamery.client.sharing import Sharing  # noqa: PLC0415
    from creamery.client.wire import ASKING, Hub  # noqa: PLC0415

    wish = launch.wish
    caches = list(launch.caches)
    if wish.address is not None:
        hub = Hub(wish.address, wish.credentials, warn=launch.say, patience=ASKING).at_root()
        caches.insert(0, HubCache(hub))
    sharing = Sharing(caches, note=launch.say) if wish.shares else None
    builds = Builds(
        Path(launch.folder),
        caches,
        sharing=sharing,
        note=launch.say,
        must_have=wish.must_have,
        more=wish.declared,
    )
    return builds, sharing


class KnownWheel:
    """A built wheel that the plain index lists.

    Attributes:
        seconds: that its build took; 0: nobody has said.
    """

    __slots__ = ("filename", "seconds")

    def __init__(self, filename: str, seconds: float) -> None:
        self.filename = filename
        self.seconds = seconds


def seconds_said(value: object) -> float:
    """A time that a hub tells; 0: it tells none that there can be (JSON's readers know NaN and Infinity)."""
    return float(value) if isinstance(value, int | float) and 0 <= value < MOST_SECONDS else 0.0


def known_wheels(wish: Wish, versions: list[tuple[str, str]]) -> dict[tuple[str, str], list[KnownWheel]]:
    """Which of these projects' versions have built wheels that pages list.

    Raises:
        HubError: the hub does not answer.
    """
    if wish.address is None:
        return {}
    found: dict[tuple[str, str], list[KnownWheel]] = {}
    for begin in range(0, len(versions), MOST_VERSIONS):
        try:
            told = _known(wish.address, wish.credentials, {"versions": versions[begin : begin + MOST_VERSIONS]})
        except Refused:  # a version that is none; nobody is kept from installing it
            continue
        wheels = told.get("wheels") if isinstance(told, dict) else None
        for wheel in wheels if isinstance(wheels, list) else []:
            if isinstance(wheel, dict):
                from packaging.utils import canonicalize_version  # noqa: PLC0415 - where something was built

                place = (str(wheel.get("project")), canonicalize_version(str(wheel.get("version"))))
                known = KnownWheel(str(wheel.get("filename")), seconds_said(wheel.get("seconds")))
                found.setdefault(place, []).append(known)
    return found


def _known(address: HubAddress, credentials: Credentials | None, body: Mapping[str, Any]) -> Any:
    try:
        return Glance(address, credentials).post("w", "v1", "known", body=body)
    except Unclear as error:
        return _careful(address, credentials, error).post("w", "v1", "known", body=body)


def _careful(address: HubAddress, credentials: Credentials | None, unclear: Unclear) -> Hub:
    """The hub, at its root, asked by what understands all that it may say, and says what is wrong."""
    from creamery.client.wire import LATE, PROBE, Hub  # noqa: PLC0415 - where a glance was not enough

    return Hub(address, credentials, patience=LATE if unclear.is_late else PROBE).at_root()
