"""Carts on their way: an index that goes on answering meanwhile, and files from a web server beside curl's."""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.bench import Bench, Target
from benchmarks.clients import fetch
from benchmarks.goals import Figure
from benchmarks.offering import Offered, half_of_highest, offer
from benchmarks.processes import CLIENT_CORE, SERVER_CORE, CannotMeasure, Server, pinned
from benchmarks.scenarios.asking import get_page, page_headers
from benchmarks.scenarios.carting import MANY, MANY_BYTES, compare_tar, is_ready, post_cart, stage, write_files

GOALS = ("cart-index-beside", "cart-staging-http")

PAGE = "/simple/numpy/"
HEADERS = page_headers("json", "gzip")
WINDOW_SECONDS = 4
WINDOWS = 12

FETCHED, FETCHED_BYTES = 200, 4 << 20
AT_ONCE = 8
ROUNDS = 3

ARCHIVE = """\
[[carts.archives]]
name = "web"
kind = "web"
url = "{base}/"
at_once = {at_once}
"""


def measure(bench: Bench) -> Iterator[Figure]:
    yield _index_beside(bench)
    yield _from_the_web(bench)


def _index_beside(bench: Bench) -> Figure:
    """At half of the hub's highest rate: which share is answered promptly while very many tiny files are staged.

    It is looked at in windows until they are staged, and at most twelve; the window in which that happens does not
    count, unless there is no other.
    """
    folder = bench.folder / "tiny"
    items = write_files(folder, "many", MANY, MANY_BYTES)
    carts = {"CREAMERY_CARTS_ARCHIVES": str(folder), "CREAMERY_CARTS_ANONYMOUS": "on"}
    with bench.hub("staging", max_age=86_400, **carts) as hub:
        known = {**HEADERS, "If-None-Match": get_page(hub, "numpy", "json", "gzip").headers["etag"]}
        if fetch(hub.base, PAGE, known).status != 304:
            raise CannotMeasure("no 304 came for the page's ETag")
        target = Target(hub, PAGE, known)
        rate = half_of_highest(bench, target)
        quiet = offer(target, rate, WINDOW_SECONDS)
        begun = time.perf_counter()
        cart = post_cart(hub, items)
        windows: list[Offered] = []
        while not (ready := is_ready(hub, cart)) and len(windows) < WINDOWS:
            windows.append(offer(target, rate, WINDOW_SECONDS))
        seconds = time.perf_counter() - begun
    if not windows:
        raise CannotMeasure("the cart was ready before anything else was asked")
    counted = windows[:-1] if ready and len(windows) > 1 else windows
    beside = sum(counted[1:], counted[0])
    fate = f"{'ready' if ready else 'not ready'} after {seconds:.0f} s"
    shown = f"{beside.answered:,} of {beside.requests:,}, {fate}"
    shares = tuple(window.share for window in counted)
    peer = f"{quiet.share:.3f} without staging"
    return Figure("cart-index-beside", f"{rate:,}/s offered", beside.share, shown, peer, shares)


def _from_the_web(bench: Bench) -> Figure:
    """The hub fetches files from nginx, hashes and syncs them; curl fetches them to the disk. Both on the same core."""
    config = bench.folder / "web-archive.toml"
    ours, theirs = [], []
    with bench.nginx("archive", CLIENT_CORE) as (nginx, files):
        config.write_text(ARCHIVE.format(base=nginx.base, at_once=AT_ONCE), encoding="utf-8")
        with bench.hub("web", max_age=0, CREAMERY_CONFIG=str(config), CREAMERY_CARTS_ANONYMOUS="on") as hub:
            for number in range(ROUNDS):
                items = write_files(files, f"round-{number}", FETCHED, FETCHED_BYTES)
                # Who goes first changes, as in `Bench.compare`; what was written before is on the disk.
                if number % 2:
                    theirs.append(_curl_seconds(nginx, items, bench.folder / "fetched"))
                    ours.append(_hub_seconds(hub, items, files))
                else:
                    ours.append(_hub_seconds(hub, items, files))
                    theirs.append(_curl_seconds(nginx, items, bench.folder / "fetched"))
                shutil.rmtree(files / f"round-{number}")
    ratios = tuple(its / mine for mine, its in zip(ours, theirs, strict=True))
    shown = [f"{statistics.median(seconds):.3f} s" for seconds in (ours, theirs)]
    case = f"{FETCHED} files of {FETCHED_BYTES >> 20} MiB"
    return Figure("cart-staging-http", case, statistics.median(ratios), shown[0], shown[1], ratios)


def _hub_seconds(hub: Server, items: Sequence[str], files: Path) -> float:
    os.sync()
    cart, seconds = stage(hub, items)
    compare_tar(hub, cart, files, items)
    return seconds


def _curl_seconds(nginx: Server, items: Sequence[str], out: Path) -> float:
    out.mkdir()
    config = out / "config"
    paths = [out / item.replace("/", "-") for item in items]
    lines = [f'url = "{nginx.base}/{item}"\noutput = "{path}"\n' for item, path in zip(items, paths, strict=True)]
    config.write_text("".join(lines), encoding="utf-8")
    os.sync()
    at_once = ["--parallel", "--parallel-max", str(AT_ONCE)]
    command = pinned(SERVER_CORE, "curl", "-f", "--no-progress-meter", *at_once, "-K", str(config))
    begun = time.perf_counter()
    subprocess.run(command, check=True)
    seconds = time.perf_counter() - begun
    for path in (config, *paths):
        path.unlink()
    out.rmdir()
    return seconds
