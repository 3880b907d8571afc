"""An old curd-server as a cache of built wheels.

It knows wheels by their names alone. So it is asked only for what any machine would have built: nothing that was set on
purpose for a build, and no commit of a repository, is told by a name and a version. Once it is away, it is not asked
again, and that is said once.
"""

from __future__ import annotations

import re
import threading
import zipfile
import zlib
from collections.abc import Callable, Iterator
from email.parser import BytesParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urljoin, urlsplit

from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename

from creamery.client.address import HubAddress
from creamery.client.asking import Asked
from creamery.client.caches import Fate, Made, Offer
from creamery.client.credentials import Credentials
from creamery.client.errors import HubError, Refused, Unshareable
from creamery.client.old_server import OldServer, Places
from creamery.client.source import is_same_version
from creamery.client.wire import Patience
from creamery.contract import InvalidName, ProjectName, check_filename, parse_digest

ASKING = Patience(connect_seconds=2.0, silent_seconds=10.0, whole_seconds=15.0)
MOST_METADATA = 16 * 1024**2
_METADATA = re.compile(r"[^/]+\.dist-info/METADATA")


class CurdCache:
    """Wheels by name and version."""

    def __init__(
        self, address: HubAddress, credentials: Credentials | None, *, warn: Callable[[str], object] = lambda _: None
    ) -> None:
        """`warn`: hears what is risky about the way there."""
        self.name = str(address)
        self._server = OldServer(address, credentials, patience=ASKING, warn=warn)
        self._places = Places([] if credentials is None else [(address, credentials)])
        self._lock = threading.Lock()
        self._known: dict[ProjectName, list[Offer]] = {}
        self._is_away = False

    def offers(self, project: ProjectName) -> list[Offer]:
        """All wheels of a project that it says the digests of; asked once.

        Raises:
            HubError: it does not answer; the next time there is nothing.
        """
        with self._lock:
            if self._is_away or project in self._known:
                return self._known.get(project, [])
        try:
            found = list(_offers(self._server.releases(project), project, f"{self.name}/"))
        except Refused:
            raise
        except HubError:
            if self._was_away():
                return []
            raise
        with self._lock:
            self._known[project] = found
        return found

    def look(self, asked: Asked) -> Fate:
        """The first wheel of that version that fits."""
        if asked.source.project is None or asked.source.version is None or not _is_plain(asked):
            return Fate("miss")
        fits = (offer for offer in self.offers(asked.source.project) if asked.why_not(offer.filename) is None)
        offer = next(fits, None)
        return Fate("miss") if offer is None else Fate("hit", offer)

    def fetch(self, offer: Offer, into: Path, most: int) -> None:
        """From where it says that it is; what is not to be had there is not offered again."""
        try:
            self._places.fetch(offer, into, most)
            self._refuse_another(offer, into)
        except HubError:
            with self._lock:
                self._known = {
                    project: [each for each in offers if each != offer] for project, offers in self._known.items()
                }
            raise

    def _refuse_another(self, offer: Offer, wheel: Path) -> None:
        """Nobody has looked into it there, and uv gives up over one that is not what it is called."""
        name, version, _, _ = parse_wheel_filename(offer.filename)
        said = BytesParser().parsebytes(metadata_in(wheel) or b"", headersonly=True)
        if canonicalize_name(str(said["Name"])) != name or not is_same_version(str(said["Version"]), str(version)):
            wheel.unlink()
            raise HubError(f"What {self.name} has as {offer.filename} is not that.")

    def push(self, made: Made, sent: Callable[[int], object]) -> None:
        """What it lacks, and was built as any machine builds it, or comes from an index.

        Raises:
            Unshareable: it was not; or the server has been away in this run.
        """
        if made.asked is not None and not _is_plain(made.asked):
            raise Unshareable(f"It was built in a way of its own, and {self.name} tells wheels by their names alone.")
        name, _, _, _ = parse_wheel_filename(made.wheel.name)
        if not self.has(ProjectName(name), made.wheel.name):
            if self._is_away:
                raise Unshareable(f"{self.name} is away.")
            self._server.put_wheel(made.wheel, sent)

    def has(self, project: ProjectName, filename: str) -> bool:
        """Is a wheel of that name there?

        Raises:
            HubError: it does not answer.
        """
        return any(offer.filename == filename for offer in self.offers(project))

    def _was_away(self) -> bool:
        """Did somebody find that out before? Now it is known."""
        with self._lock:
            was_away, self._is_away = self._is_away, True
        return was_away


def metadata_in(wheel: Path) -> bytes | None:
    """Its METADATA (PEP 658); None: it is no wheel that can be read."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            named = (name for name in archive.namelist() if _METADATA.fullmatch(name))
            entry = archive.getinfo(next(named))
            return archive.read(entry) if entry.file_size <= MOST_METADATA else None
    except (zipfile.BadZipFile, zlib.error, StopIteration, OSError, NotImplementedError, RuntimeError):
        return None


def _is_plain(asked: Asked) -> bool:
    return not (asked.build.settings or asked.build.environment or asked.source.is_checkout)


def _offers(releases: list[Any], project: ProjectName, base: str) -> Iterator[Offer]:
    """The wheels among what an old server lists; what cannot be read, or has no digest, is passed over."""
    for release in releases:
        files = release.get("urls") if isinstance(release, dict) else None
        for file in files if isinstance(files, list) else ():
            try:
                url = urljoin(base, str(file["url"]))
                filename = check_filename(unquote(urlsplit(url).path.rpartition("/")[2]))
                digest = parse_digest(str(file["sha256"]))
                name = parse_wheel_filename(filename)[0]
            except (KeyError, TypeError, ValueError, InvalidName, InvalidWheelFilename):
                continue
            if str(name) == str(project):
                yield Offer(filename, digest, None, url)
