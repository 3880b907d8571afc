"""Files that are here, of three sizes, beside nginx with the same bytes."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.bench import Bench, Target
from benchmarks.clients import fetch
from benchmarks.goals import Figure
from benchmarks.processes import CannotMeasure
from benchmarks.scenarios.asking import fetch_wheel

GOALS = ("cached-file-10mb", "cached-file-200kb", "cached-file-20kb")

PROJECTS = {"cached-file-10mb": "large", "cached-file-200kb": "middle", "cached-file-20kb": "small"}
AS_PIP_ASKS = {"Accept-Encoding": "identity"}


def measure(bench: Bench) -> Iterator[Figure]:
    with bench.full_hub("files", max_age=0) as hub, bench.nginx("files") as (nginx, folder):
        for goal, project in PROJECTS.items():
            path, content = fetch_wheel(hub, project)
            file = folder / path[1:]
            file.parent.mkdir(parents=True)
            file.write_bytes(content)
            if fetch(nginx.base, path).body != fetch(hub.base, path).body:
                raise CannotMeasure(f"nginx does not send {path} as the hub does")
            case = f"{len(content):,} bytes"
            yield bench.compare(goal, case, Target(hub, path, AS_PIP_ASKS), Target(nginx, path, AS_PIP_ASKS))
        yield Figure(None, "memory after all files, MiB", hub.resident_mib())
