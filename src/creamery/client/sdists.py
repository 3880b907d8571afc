"""Which sdist of the index a source tree comes from: the one that unpacks to the same.

uv unpacks sdists and tells nobody which; but who has a sdist's hash in a lock wants to know that a wheel was built from
just that one. So what the hub's index has of the version is fetched once more, when the wheel is shared, and compared.
"""

from __future__ import annotations

import hashlib
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from packaging.utils import parse_wheel_filename

from creamery.client.errors import HubError
from creamery.client.source import Source, digest_of_tree
from creamery.client.wire import PIECE_BYTES, Hub
from creamery.contract import Digest, InvalidName, NotADigest, parse_digest, parse_filename

MOST_BYTES = 256 * 1024**2
"""Of an sdist that is compared, and of what it unpacks to a fifth for each."""
FETCH_SECONDS = 300.0
MOST_UNPACKED = 5 * MOST_BYTES


def find_sdist(hub: Hub, source: Source, wheel: Path) -> Digest | None:
    """The SHA-256 of the sdist that unpacks to this tree; None: none of the index's does.

    Args:
        hub: at its root.
        source: the tree.
        wheel: what was built from it.
    """
    if source.is_checkout:
        return None
    name, version, _, _ = parse_wheel_filename(wheel.name)
    try:
        files = list(_files(hub.get("pypi", name, str(version), "json")))
    except HubError:  # the index does not know it; the wheel was built all the same
        return None
    for filename, digest in files:
        try:
            made = parse_filename(filename)
        except InvalidName:
            continue
        if made.kind == "sdist" and made.version == version and _unpacks_to(hub, str(name), filename, digest, source):
            return digest
    return None


def _files(page: Any) -> Iterator[tuple[str, Digest]]:
    """What there is of one version, as PyPI's JSON API has it."""
    for file in page.get("urls", []) if isinstance(page, dict) else []:
        try:
            yield str(file["filename"]), parse_digest(str(file["digests"]["sha256"]))
        except (KeyError, TypeError, NotADigest):
            continue


def _unpacks_to(hub: Hub, project: str, filename: str, digest: Digest, source: Source) -> bool:
    with tempfile.TemporaryDirectory(prefix="creamery-sdist-") as folder:
        archive, tree = Path(folder, filename), Path(folder, "tree")
        try:
            if not _fetched(hub, project, filename, digest, archive):
                return False
            _unpack(archive, tree)
            roots = list(tree.iterdir())
            return len(roots) == 1 and roots[0].is_dir() and digest_of_tree(roots[0]) == source.digest
        except (HubError, OSError, tarfile.TarError, zipfile.BadZipFile, ValueError):  # then nobody can say so
            return False


def _fetched(hub: Hub, project: str, filename: str, digest: Digest, into: Path) -> bool:
    found, size = hashlib.sha256(), 0
    asked = hub.stream("GET", "i", project, filename, headers={"Accept": "*/*"}, within=FETCH_SECONDS)
    with asked as answer, into.open("xb") as file:
        while piece := answer.read(PIECE_BYTES):
            size += len(piece)
            if size > MOST_BYTES:
                return False
            found.update(piece)
            file.write(piece)
    return found.hexdigest() == digest


def _unpack(archive: Path, into: Path) -> None:
    """As installers do: nothing outside, no devices, no more than there may be."""
    if archive.suffix == ".zip":
        with zipfile.ZipFile(archive) as opened:
            if sum(each.file_size for each in opened.infolist()) > MOST_UNPACKED:
                raise ValueError(archive.name)
            for each in opened.infolist():
                path = Path(opened.extract(each, into))
                if each.external_attr >> 16 & 0o111 and path.is_file():
                    path.chmod(0o755)
        return
    if not hasattr(tarfile, "data_filter"):  # Python before 3.11.4
        raise ValueError(archive.name)
    with tarfile.open(archive) as opened_tar:
        members = opened_tar.getmembers()
        if sum(each.size for each in members) > MOST_UNPACKED:
            raise ValueError(archive.name)
        opened_tar.extractall(into, members, filter="data")
