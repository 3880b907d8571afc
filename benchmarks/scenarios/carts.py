"""Ready carts beside nginx sending one file of that size: large files, and very many tiny ones from a folder."""

from __future__ import annotations

import os
import statistics
import tarfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.bench import Bench
from benchmarks.goals import Figure
from benchmarks.processes import Server
from benchmarks.scenarios.carting import (
    MANY,
    MANY_BYTES,
    compare_tar,
    download,
    stage,
    tar_address,
    write_files,
)

GOALS = (
    "cart-download",
    "cart-first-byte",
    "cart-written-first",
    "cart-many-ready",
    "cart-many-start",
    "cart-many-rate",
    "cart-many-cold",
    "cart-memory",
)

LARGE, LARGE_BYTES = 1_000, 1 << 20
ROUNDS = 3
DROP_CACHES = Path("/proc/sys/vm/drop_caches")


def measure(bench: Bench) -> Iterator[Figure]:
    folder = bench.folder / "archive"
    with (
        bench.hub("carts", max_age=0, CREAMERY_CARTS_ARCHIVES=str(folder), CREAMERY_CARTS_ANONYMOUS="on") as hub,
        bench.nginx("carts") as (nginx, files),
    ):
        yield from _large(hub, nginx, files, folder)
        yield from _many(hub, nginx, files, folder, bench.folder / "hub-carts" / "data")


def _large(hub: Server, nginx: Server, files: Path, folder: Path) -> Iterator[Figure]:
    items = write_files(folder, "large", LARGE, LARGE_BYTES)
    cart, _ = stage(hub, items)
    compare_tar(hub, cart, folder, items)
    ratios, firsts = _beside(hub, nginx, files, cart)
    case = f"{LARGE:,} files of 1 MiB"
    yield Figure("cart-download", case, statistics.median(ratios), rounds=tuple(ratios))
    yield Figure(
        "cart-first-byte", case, statistics.median(firsts) * 1000, rounds=tuple(first * 1000 for first in firsts)
    )
    yield _beside_written_first(hub, nginx, files, cart, [folder / item for item in items])


def _many(hub: Server, nginx: Server, files: Path, folder: Path, data: Path) -> Iterator[Figure]:
    items = write_files(folder, "many", MANY, MANY_BYTES)
    before = hub.resident_mib()
    hub.forget_highest()
    cart, seconds = stage(hub, items)
    case = f"{MANY:,} files of 1 KiB"
    yield Figure("cart-many-ready", case, seconds)
    ratios, firsts = _beside(hub, nginx, files, cart)
    yield Figure("cart-many-start", case, firsts[0])
    yield Figure("cart-many-rate", case, statistics.median(ratios), rounds=tuple(ratios))
    yield Figure("cart-memory", case, hub.highest_mib() - before)
    yield _cold(hub, cart, data, case)


def _beside(hub: Server, nginx: Server, files: Path, cart: str) -> tuple[list[float], list[float]]:
    """The hub's speed as a share of nginx's with the same tar as a file, and its first bytes' seconds; in turns."""
    ours, tar = tar_address(hub, cart), files / f"{cart}.tar"
    first = download(ours, tar)
    ratios, firsts = [], [first[1]]
    for _ in range(ROUNDS):
        theirs, here = download(f"{nginx.base}/{cart}.tar"), download(ours)
        ratios.append(theirs[0] / here[0])
        firsts.append(here[1])
    tar.unlink()
    return ratios, firsts


def _beside_written_first(hub: Server, nginx: Server, files: Path, cart: str, paths: Sequence[Path]) -> Figure:
    """The original's way: a tar of the files is written, then sent. It syncs nothing, and nginx sends it."""
    tar = files / "written.tar"
    ours, theirs = [], []
    for _ in range(ROUNDS):
        ours.append(download(tar_address(hub, cart))[0])
        begun = time.perf_counter()
        with tarfile.open(tar, "w") as out:
            for path in paths:
                out.add(path)
        theirs.append(time.perf_counter() - begun + download(f"{nginx.base}/{tar.name}")[0])
        tar.unlink()
    ratios = tuple(mine / its for mine, its in zip(ours, theirs, strict=True))
    shown = [f"{statistics.median(seconds):.3f} s" for seconds in (ours, theirs)]
    return Figure(
        "cart-written-first", f"{len(paths):,} files of 1 MiB", statistics.median(ratios), shown[0], shown[1], ratios
    )


def _cold(hub: Server, cart: str, data: Path, case: str) -> Figure:
    """How much longer the tar takes when its bytes have to come from the disk; in turns."""
    colds, warms = [], []
    for _ in range(ROUNDS):
        _forget_pages(data)
        before = hub.read_mib()
        colds.append(download(tar_address(hub, cart))[0])
        if hub.read_mib() - before < MANY * MANY_BYTES / (2 << 20):
            return Figure("cart-many-cold", case, None, "the page cache keeps its files here")
        warms.append(download(tar_address(hub, cart))[0])
    ratios = tuple(cold / warm for cold, warm in zip(colds, warms, strict=True))
    shown = [f"{statistics.median(seconds):.3f} s" for seconds in (colds, warms)]
    return Figure("cart-many-cold", case, statistics.median(ratios), shown[0], f"{shown[1]} warm", ratios)


def _forget_pages(folder: Path) -> None:
    """Empty the page cache, where the kernel lets us; else of the files in a folder, as far as it follows."""
    os.sync()  # what is not on the disk yet stays
    try:
        DROP_CACHES.write_text("3", encoding="ascii")
    except OSError:
        for path in (found for found in folder.rglob("*") if found.is_file()):
            descriptor = os.open(path, os.O_RDONLY)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(descriptor)
