"""Installations through the hub: what one machine has built beside building it, and beside uv without us.

Ten packages need building, four of them with gcc; sixty have wheels. Everything lies on tmpfs, for disks vary by more
than what is measured. The hub takes pages as fresh for longer than this lasts: what it costs to ask upstream has goals
of its own.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import urljoin, urlsplit

from benchmarks.bench import Bench
from benchmarks.clients import fetch
from benchmarks.goals import Figure
from benchmarks.machines import CREAMERY_INSTALL, UV_INSTALL, Machine
from benchmarks.processes import CannotMeasure, Server, Upstream, running_hub, running_upstream
from benchmarks.scenarios.asking import page_headers
from benchmarks.unbuilt import COMPILED, PURE, VERSION, unbuilt_sdists
from tests.doubles.distributions import wheel

GOALS = (
    "install-second",
    "install-over-local",
    "install-hook",
    "install-hook-each",
    "install-nothing-to-build",
    "install-start",
)

TMPFS = Path("/dev/shm")
BUILDS_ROUNDS, ROUNDS, STARTS = 3, 9, 45
CONTENTS = ((15, 50_000),) * 30 + ((45, 300_000),) * 20 + ((100, 2_000_000),) * 8 + ((900, 8_000_000),) * 2
"""Modules, and bytes beside them, of each wheel that there is. Half of the packages that the hub itself is tested with
have fewer than 25 files, one in ten more than 100; they have 66 on average."""
NEED_BUILDING = PURE + COMPILED
HAVE_WHEELS = tuple(f"ready{number}" for number in range(len(CONTENTS)))
ROOT, BRANCHES = HAVE_WHEELS[0], 4
"""Installing the first of them brings all: each requires four more."""
ALL = (*NEED_BUILDING, ROOT)
INSTALLER = 'pip/26.3 {"installer":{"name":"pip","version":"26.3"},"distro":{"libc":{"lib":"glibc","version":"2.36"}}}'
BUILDER, PASSWORD = "builder", "benchmark"
LISTED_SECONDS = 30.0
MILLISECONDS = 1_000
MAX_AGE = 86_400


def measure(bench: Bench) -> Iterator[Figure]:
    with tempfile.TemporaryDirectory(prefix="creamery-bench-", dir=TMPFS if TMPFS.is_dir() else bench.folder) as above:
        folder = Path(above)
        _lay_out(folder)
        with running_upstream(folder / "upstream") as upstream:
            seconds = []
            for number in range(1, BUILDS_ROUNDS):
                with _hub(folder, upstream, number) as hub:
                    seconds.append(_second_and_first(folder / f"round{number}", hub))
            with _hub(folder, upstream, BUILDS_ROUNDS) as hub:
                seconds.append(_second_and_first(folder / f"round{BUILDS_ROUNDS}", hub))
                yield _ratio("install-second", "all seventy", seconds)

                _keep(folder / "upstream", folder / "finished", hub)
                machines = _Machines(Machine(folder / "ours", _of_hub(hub)), Machine(folder / "theirs", _of_index(hub)))
                yield from _through_the_index(machines, folder / "finished")
                yield from _through_the_hook(machines, folder / "pins.txt")
                yield _start(machines)


@dataclass(frozen=True, slots=True)
class _Machines:
    """One that installs with `creamery`, and one that has uv alone."""

    ours: Machine
    theirs: Machine

    def in_turns(
        self, mine: Sequence[str], its: Sequence[str], rounds: int = ROUNDS, *, builds: int = 0
    ) -> list[tuple[float, float]]:
        """Seconds of the same installation, anew each time; what uv alone has to build."""
        return _in_turns(
            lambda: self.ours.install_anew(CREAMERY_INSTALL, *mine),
            lambda: self.theirs.install_anew(UV_INSTALL, *its, builds=builds),
            rounds,
        )


def _lay_out(folder: Path) -> None:
    """What upstream has, and requirements for it; who may share."""
    files, sdists = folder / "upstream", unbuilt_sdists()
    files.mkdir()
    for number, (name, (modules, size)) in enumerate(zip(HAVE_WHEELS, CONTENTS, strict=True)):
        requires = HAVE_WHEELS[BRANCHES * number + 1 : BRANCHES * number + 1 + BRANCHES]
        made = wheel(name, VERSION, requires=requires, modules=modules, size=size)
        (files / made.filename).write_bytes(made.content)
    for made in sdists:
        (files / made.filename).write_bytes(made.content)
    pinned = zip(NEED_BUILDING, sdists, strict=True)
    pins = "".join(f"{name}=={VERSION} --hash=sha256:{made.sha256}\n" for name, made in pinned)
    (folder / "pins.txt").write_text(pins, encoding="ascii")
    digest = base64.b64encode(hashlib.sha1(PASSWORD.encode(), usedforsecurity=False).digest()).decode()
    (folder / "users").write_text(f"{BUILDER}:{{SHA}}{digest}\n", encoding="ascii")


def _hub(folder: Path, upstream: Upstream, number: int) -> contextlib.AbstractContextManager[Server]:
    """Its data lie on tmpfs, too, where less is free than it would keep free."""
    settings = {"CREAMERY_WHEELS_HTPASSWD": str(folder / "users"), "CREAMERY_LIMITS_RESERVE_BYTES": "0"}
    return running_hub(folder / f"hub{number}", upstream, max_age=MAX_AGE, **settings)


def _second_and_first(folder: Path, hub: Server) -> tuple[float, float]:
    """Seconds of the next machine, and of the one that has built and shared before it."""
    first, second = Machine(folder / "first", _of_builder(hub)), Machine(folder / "second", _of_hub(hub))
    building = first.install_anew(CREAMERY_INSTALL, "-u", *ALL, builds=len(NEED_BUILDING))
    for name in NEED_BUILDING:
        _listed(hub, name)
    return second.install_anew(CREAMERY_INSTALL, *ALL), building


def _through_the_index(machines: _Machines, finished: Path) -> Iterator[Figure]:
    local = ("--no-index", "--find-links", str(finished))
    yield _ratio("install-over-local", "all seventy", machines.in_turns(ALL, (*local, *ALL)))
    yield _ratio(None, "the ten alone", machines.in_turns(NEED_BUILDING, (*local, *NEED_BUILDING)))
    yield _ratio("install-nothing-to-build", "the sixty", machines.in_turns((ROOT,), (ROOT,)))


def _through_the_hook(machines: _Machines, pins: Path) -> Iterator[Figure]:
    count = len(NEED_BUILDING)
    for case, words in (
        ("pinned by hashes", ("--require-hashes", "-r", str(pins))),
        ("--no-binary", ("--no-binary", ":all:", *NEED_BUILDING)),
    ):
        yield _ratio("install-hook", case, machines.in_turns(words, words, BUILDS_ROUNDS, builds=count))
        hook = partial(machines.ours.install_anew, CREAMERY_INSTALL, *words)
        pairs = _in_turns(hook, partial(machines.ours.install_anew, CREAMERY_INSTALL, *NEED_BUILDING), ROUNDS)
        each = tuple((hooked - listed) / count for hooked, listed in pairs)
        yield Figure("install-hook-each", case, statistics.median(each), *_shown(pairs), each)


def _start(machines: _Machines) -> Figure:
    name = HAVE_WHEELS[-1]
    machines.ours.install_anew(CREAMERY_INSTALL, name)
    machines.theirs.install_anew(UV_INSTALL, name)
    pairs = _in_turns(
        lambda: machines.ours.install(CREAMERY_INSTALL, name),
        lambda: machines.theirs.install(UV_INSTALL, name),
        STARTS,
    )
    later = tuple((ours - theirs) * MILLISECONDS for ours, theirs in pairs)
    return Figure("install-start", "one package", statistics.median(later), *_shown(pairs), later)


def _in_turns(ours: Callable[[], float], theirs: Callable[[], float], rounds: int) -> list[tuple[float, float]]:
    """Seconds of both; who goes first changes, so that a load that comes or goes meanwhile favours neither."""
    pairs = []
    for number in range(rounds):
        if number % 2:
            last = theirs()
            pairs.append((ours(), last))
        else:
            pairs.append((ours(), theirs()))
    return pairs


def _ratio(goal: str | None, case: str, pairs: Sequence[tuple[float, float]]) -> Figure:
    ratios = tuple(ours / theirs for ours, theirs in pairs)
    return Figure(goal, case, statistics.median(ratios), *_shown(pairs), ratios)


def _shown(pairs: Sequence[tuple[float, float]]) -> tuple[str, str]:
    ours, theirs = (statistics.median(each) for each in zip(*pairs, strict=True))
    return f"{ours:.3f} s", f"{theirs:.3f} s"


# What machines know of the hub, and what it has


def _of_hub(hub: Server) -> dict[str, str]:
    return {"CREAMERY_HUB": hub.base}


def _of_builder(hub: Server) -> dict[str, str]:
    return {"CREAMERY_HUB": hub.base.replace("://", f"://{BUILDER}:{PASSWORD}@")}


def _of_index(hub: Server) -> dict[str, str]:
    return {"UV_DEFAULT_INDEX": f"{hub.base}/w/i/"}


def _listed(hub: Server, project: str) -> str:
    """The address of its built wheel, once its page has one: the hub looks at compiled code first."""
    path = f"/w/i/{project}/"
    until = time.monotonic() + LISTED_SECONDS
    while time.monotonic() < until:
        page = fetch(hub.base, path, {**page_headers("json", "identity"), "User-Agent": INSTALLER})
        urls = [str(file["url"]) for file in json.loads(page.body)["files"]]
        for url in urls:
            if url.endswith(".whl"):
                return urlsplit(urljoin(hub.base + path, url)).path
        time.sleep(0.05)
    raise CannotMeasure(f"{path} lists no built wheel")


def _keep(upstream: Path, folder: Path, hub: Server) -> None:
    """The finished wheels, and those that there were, as files of one folder."""
    folder.mkdir()
    for made in upstream.glob("*.whl"):
        (folder / made.name).hardlink_to(made)
    for name in NEED_BUILDING:
        path = _listed(hub, name)
        (folder / path.rpartition("/")[2]).write_bytes(fetch(hub.base, path).body)
