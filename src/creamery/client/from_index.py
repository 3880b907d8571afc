"""What an installation took from an index, and old servers lack: fetched once more, and sent to them.

So did Curdling's client: what one machine has needed, the next finds there. uv keeps no files, but unpacks them; so the
very file that was chosen is found by its tags among those that the index has, is verified by the index's digest, and
held against what lies in the environment: another index may have another package under the same name.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

from packaging.utils import canonicalize_name, canonicalize_version

from creamery.client.caches import Made, Offer
from creamery.client.credentials import Sources
from creamery.client.curdling import CurdLaunch
from creamery.client.environment import Environment, location, tags_of
from creamery.client.errors import HubError
from creamery.client.hub_cache import write_verified
from creamery.client.installing import Change, Installed
from creamery.client.keeping import keep
from creamery.client.old_server import Places
from creamery.client.pinned import index_lines
from creamery.client.places import PYTHON, place_words
from creamery.client.recorded import is_installed_from
from creamery.client.report import ADDED
from creamery.client.uv import lock_exactly
from creamery.contract import ProjectName

_INDEXES = ("--index-url", "--extra-index-url", "--default-index", "--find-links", "--index-strategy")
_ASKED = (*PYTHON, *_INDEXES, "--keyring-provider", "--exclude-newer", "--config-file", "--directory", "--project")
"""uv's options that decide where it finds a version."""


@dataclass(frozen=True, slots=True)
class Lacking:
    """A wheel that is to be sent.

    Attributes:
        record: what was installed from it.
    """

    offer: Offer
    record: Path


class _Index:
    """Where the files of an installation came from."""

    name = "the index"

    def __init__(self, places: Places) -> None:
        self._places = places

    def fetch(self, offer: Offer, into: Path, most: int) -> None:
        if not offer.place.startswith("file:"):
            self._places.fetch(offer, into, most)
            return
        with Path(url2pathname(urlsplit(offer.place).path)).open("rb") as file:  # of --find-links
            write_verified(file, offer, into, most)


def lacking(launch: CurdLaunch, done: Installed, uv: str, arguments: Sequence[str]) -> list[Lacking]:
    """The wheels that came from an index, and that one of the old servers has not got.

    Raises:
        HubError: nobody can tell.
    """
    if done.changes is None:
        raise HubError("This uv does not say what it has installed.", "Install a newer one: pip install -U uv.")
    outcomes = [] if launch.builds is None else launch.builds.outcomes
    known = {(str(each.project), canonicalize_version(each.version)) for each in outcomes if each.kind != "failed"}
    changes = [each for each in done.changes if each.action in ADDED and _spelt(each) not in known]
    folder = location(uv, [changes[0].name], arguments, launch.own) if changes else None
    if folder is None:
        return []
    try:
        environment = Environment(folder)
    except OSError as error:
        raise HubError(f"What was installed in {folder} cannot be seen: {error.strerror}.") from error
    changes = [each for each in changes if environment.is_of_an_index(*_spelt(each))]
    if not changes:
        return []
    pins = [f"{each.name}=={each.version}" for each in changes]
    asked = [*index_lines(arguments), *pins]
    lock = lock_exactly(asked, place_words(arguments, _ASKED), launch.asking(hub="w/i", relay=False))
    chosen = list(_chosen(lock, environment))
    built = {_spelt(each)[0] for each in changes} - {str(project) for project, _ in chosen}
    if built:
        names = ", ".join(sorted(built))
        launch.say(
            f"Not shared, for no index has their files: {names}. They are a hub's built wheels, or uv has built them"
            " before; with --no-cache it does so anew."
        )
    records = {_spelt(each)[0]: environment.record(*_spelt(each)) for each in changes}
    return [Lacking(offer, records[project]) for project, offer in chosen if _lacks(launch, project, offer)]


def share(launch: CurdLaunch, lacking: Sequence[Lacking], netrc: str | None, fetched: Callable[[int], object]) -> None:
    """Fetch files, and let them be sent in the background.

    Args:
        netrc: a file with credentials of indexes.
        fetched: hears of each that has come.
    """
    index = _Index(Places(launch.known_hosts(), Sources(netrc_file=netrc)))
    troubles: list[str] = []
    for each in lacking:
        offer = each.offer
        try:
            wheel = _kept(index, each, Path(launch.folder, "index"))
        except HubError as error:
            troubles.append(f"{offer.filename} is not shared: {error.sentence}")
        except OSError as error:
            troubles.append(f"{offer.filename} is not shared: {error.strerror}.")
        else:
            if launch.sharing is not None:
                launch.sharing.add(Made(None, wheel, None, 0.0), lambda: None)
        fetched(1)
    if troubles:
        launch.say(troubles[0] if len(troubles) == 1 else f"{troubles[0]} Nor are {len(troubles) - 1} others.")


def _kept(index: _Index, lacking: Lacking, above: Path) -> Path:
    wheel = keep(index, lacking.offer, above)
    if not is_installed_from(lacking.record, wheel):
        raise HubError("the index has another file under its name, and not what was installed.")
    return wheel


def _spelt(change: Change) -> tuple[str, str]:
    return canonicalize_name(change.name), canonicalize_version(change.version)


def _lacks(launch: CurdLaunch, project: ProjectName, offer: Offer) -> bool:
    for server in launch.old_servers:
        try:
            if not server.has(project, offer.filename):
                return True
        except HubError as error:
            launch.say(f"{error.sentence} Nothing is sent there.")
    return False


def _chosen(lock: str, environment: Environment) -> Iterator[tuple[ProjectName, Offer]]:
    """Of each package the wheel with the tags of what was installed."""
    packages: list[dict[str, Any]] = tomllib.loads(lock).get("packages", [])
    for package in packages:
        project = ProjectName(canonicalize_name(str(package["name"])))
        tags = environment.tags(project, str(package.get("version")))
        for wheel in package.get("wheels", ()):
            url, digest = str(wheel.get("url", "")), wheel.get("hashes", {}).get("sha256")
            filename = str(wheel.get("name") or unquote(url.rpartition("/")[2]))
            if url and digest and tags_of(filename) == tags:
                yield project, Offer(filename, str(digest), wheel.get("size"), url)
                break
