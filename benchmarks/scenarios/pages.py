"""Large projects' pages within `index.max_age`, and their 304s, beside nginx with the same bytes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from benchmarks.bench import Bench, Target
from benchmarks.clients import fetch
from benchmarks.goals import Figure
from benchmarks.peers.upstream import PAGES
from benchmarks.processes import CannotMeasure, Server
from benchmarks.scenarios.asking import get_page, page_headers

GOALS = ("warm-page", "not-modified")

FORMATS = ("json", "html")
ENCODINGS = ("gzip", "zstd")


def measure(bench: Bench) -> Iterator[Figure]:
    with bench.full_hub("pages", max_age=86_400) as hub, bench.nginx("pages") as (nginx, folder):
        for project in PAGES:
            for page_format in FORMATS:
                for encoding in ENCODINGS:
                    ours, etag = _page(hub, project, page_format, encoding)
                    peer = same_page(nginx, folder, ours)
                    case = f"{project} {page_format} {encoding}"
                    yield bench.compare("warm-page", case, ours, peer)
                    if project == "numpy" and encoding == "gzip":
                        known = Target(hub, ours.path, {**ours.headers, "If-None-Match": etag})
                        if fetch(hub.base, known.path, known.headers).status != 304:
                            raise CannotMeasure(f"{case}: no 304 came for its ETag")
                        yield bench.compare("not-modified", case, known, peer)
        yield Figure(None, "memory after all pages, MiB", hub.resident_mib())


def _page(hub: Server, project: str, page_format: str, encoding: str) -> tuple[Target, str]:
    answer = get_page(hub, project, page_format, encoding)
    return Target(hub, f"/simple/{project}/", page_headers(page_format, encoding)), answer.headers["etag"]


def same_page(nginx: Server, folder: Path, ours: Target) -> Target:
    """What the hub answers, as a file of nginx's.

    Raises:
        CannotMeasure: nginx does not send it.
    """
    answer = fetch(ours.server.base, ours.path, ours.headers)
    encoding = answer.headers["content-encoding"]
    page_format = answer.headers["content-type"].rpartition("+")[2]
    path = f"/{encoding}{ours.path.rstrip('/')}.{page_format}"
    file = folder / path[1:]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(answer.body)
    again = fetch(nginx.base, path, ours.headers)
    if again.body != answer.body or again.headers["content-encoding"] != encoding:
        raise CannotMeasure(f"nginx does not send {path} as the hub does")
    return Target(nginx, path, ours.headers)
