"""Carts for the scenarios that measure them: files of an archive, carts of them, and their tar."""

from __future__ import annotations

import json
import subprocess
import tarfile
import time
import uuid
from collections.abc import Sequence
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import urlopen

from benchmarks.processes import CLIENT_CORE, CannotMeasure, Server, pinned

MANY, MANY_BYTES = 100_000, 1 << 10
LONGEST_SECONDS = 300.0

_IN_A_FOLDER = 1_000
_POLL_SECONDS = 0.1
_TOP = "top"


def write_files(folder: Path, name: str, count: int, size: int) -> list[str]:
    """Files with bytes of their own in `folder`/`name`; their paths below `folder`."""
    items = [f"{name}/{number // _IN_A_FOLDER}/{number}" for number in range(count)]
    for number, item in enumerate(items):
        path = folder / item
        if number % _IN_A_FOLDER == 0:
            path.parent.mkdir(parents=True)
        path.write_bytes(f"{name[:8]:<8}{number:<8}".encode() * (size // 16))
    return items


def post_cart(hub: Server, items: Sequence[str], archive: str | None = None) -> str:
    """A new cart of an archive's items, or of the first archive's: its id.

    Raises:
        CannotMeasure: it is refused.
    """
    uid = str(uuid.uuid4())
    of = {} if archive is None else {"archive": archive}
    entries = [{"id": item, "path": item, "hashtype": "sha1", "hashsum": "", **of} for item in items]
    status = _status(hub, "POST", uid, json.dumps({"fileids": entries}).encode())
    if status != 201:
        raise CannotMeasure(f"the cart is refused ({status})")
    return uid


def is_ready(hub: Server, cart: str) -> bool:
    """Are all of its files here?

    Raises:
        CannotMeasure: they never will be.
    """
    status = _status(hub, "HEAD", cart)
    if status not in {202, 204}:
        raise CannotMeasure(f"the cart ended with {status}")
    return status == 204


def stage(hub: Server, items: Sequence[str], archive: str | None = None) -> tuple[str, float]:
    """A ready cart of them, and the seconds from its POST until it was ready.

    Raises:
        CannotMeasure: it does not become ready.
    """
    begun = time.perf_counter()
    cart = post_cart(hub, items, archive)
    while not is_ready(hub, cart):
        if time.perf_counter() - begun > LONGEST_SECONDS:
            raise CannotMeasure("the cart does not become ready")
        time.sleep(_POLL_SECONDS)
    return cart, time.perf_counter() - begun


def tar_address(hub: Server, cart: str) -> str:
    """Where a cart's tar is."""
    return f"{hub.base}/{cart}?filename={_TOP}.tar"


def compare_tar(hub: Server, cart: str, folder: Path, items: Sequence[str]) -> None:
    """Look whether a cart's tar has the bytes of the files that it was made of.

    Raises:
        CannotMeasure: it has others, or not all.
    """
    missing = set(items)
    with urlopen(tar_address(hub, cart)) as answer, tarfile.open(fileobj=answer, mode="r|") as tar:
        for member in tar:
            body = tar.extractfile(member)
            if body is None:  # a folder
                continue
            item = member.name.removeprefix(f"{_TOP}/")
            if item not in missing or body.read() != (folder / item).read_bytes():
                raise CannotMeasure(f"{member.name} is not as the archive has it")
            missing.remove(item)
    if missing:
        raise CannotMeasure(f"the cart's tar lacks {len(missing)} files")


def download(url: str, out: Path | None = None) -> tuple[float, float]:
    """Seconds that curl takes for all of it, and until its first byte."""
    command = pinned(CLIENT_CORE, "curl", "-sf", "-o", str(out or "/dev/null"))
    told = subprocess.run(
        [*command, "-w", "%{time_total} %{time_starttransfer}", url], check=True, capture_output=True, text=True
    )
    total, first = told.stdout.split()
    return float(total), float(first)


def _status(server: Server, method: str, uid: str, body: bytes | None = None) -> int:
    connection = HTTPConnection(urlsplit(server.base).netloc, timeout=60)
    connection.request(method, f"/{uid}", body)
    with connection.getresponse() as response:
        response.read()
        connection.close()
        return response.status
