"""A cache's wheel, had here: named as a wheel is, with room for it, and with the bytes that were promised."""

from __future__ import annotations

import shutil
import tempfile
import zipfile
from pathlib import Path
from typing import Protocol

from creamery.client.caches import Offer
from creamery.client.errors import HubError
from creamery.client.wheel_check import why_broken
from creamery.contract import InvalidName, check_filename, parse_digest

SPARE_BYTES = 256 * 1024**2
"""That stay free where wheels are put."""


class Sender(Protocol):
    """Whoever has wheels: any `WheelCache`, or an index."""

    name: str

    def fetch(self, offer: Offer, into: Path, most: int) -> None:
        """As a `WheelCache` does."""
        ...


class NotTaken(HubError):
    """What a cache offers is no wheel, or there is no room for it; the cache may have others."""


def keep(cache: Sender, offer: Offer, above: Path) -> Path:
    """Where the wheel lies, fetched if it is not there yet. One at a time asks for the same.

    Args:
        above: the folder that it is put below.

    Raises:
        NotTaken: it cannot be had.
        HubError: the cache does not send it, or sends other bytes.
        OSError: it cannot be written.
    """
    try:
        name, digest = check_filename(offer.filename), parse_digest(offer.sha256)
    except (InvalidName, ValueError) as error:
        raise NotTaken(f"What {cache.name} offers is not taken: {error}.") from error
    folder = above / digest[:32]
    folder.mkdir(exist_ok=True, parents=True)
    path = folder / name
    if not path.exists():
        free = max(0, shutil.disk_usage(above).free - SPARE_BYTES)
        if offer.size is not None and offer.size > free:
            raise NotTaken(f"{name} has {offer.size} bytes, and {free} are free in {above}.")
        cache.fetch(offer, path, free)
        if wrong := why_broken(path):
            path.unlink()
            raise NotTaken(f"{name} of {cache.name} is not taken: {wrong}.")
    return path


def unpacked_metadata(wheel: Path) -> Path:
    """A new folder beside a wheel that is kept, with its dist-info in it and nothing else."""
    above = Path(tempfile.mkdtemp(prefix="metadata-", dir=wheel.parent))
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if name.split("/")[0].endswith(".dist-info")]
        archive.extractall(above, names)
    return above
