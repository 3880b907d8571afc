"""The programs that are measured, each a child process: the hub as people start it, nginx, and the upstream.

The servers are pinned to one core and whatever loads them to another, so that one load generator does not take from
the server what it measures.
"""

from __future__ import annotations

import contextlib
import getpass
import grp
import http.client
import json
import os
import random
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path

from benchmarks.clients import fetch

ROOT = Path(__file__).parents[1]
NGINX_CONF = Path(__file__).with_name("peers") / "nginx.conf"

START_SECONDS = 30.0
STOP_SECONDS = 40.0

_OURS = ("CREAMERY_", "PIP_", "UV_")
_ELSEWHERE = {"DATABASE_URL", "FALLBACK", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"}


class CannotMeasure(Exception):
    """Something that measuring needs is not there, or does not behave; nothing is said about the goals."""


def cores() -> tuple[int, int]:
    """The server's core and the clients'."""
    usable = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [0]
    return usable[0], usable[-1]


SERVER_CORE, CLIENT_CORE = cores()


def find_program(name: str) -> str:
    """The path of a program, also where only administrators look.

    Raises:
        CannotMeasure: it is not installed.
    """
    path = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
    if path is None:
        raise CannotMeasure(f"{name} is not installed; benchmarks/README.md names what measuring needs")
    return path


class Server:
    """A running server."""

    def __init__(self, process: subprocess.Popen[bytes], base: str) -> None:
        self.process = process
        self.base = base

    @property
    def pids(self) -> list[int]:
        """Its process and what that started."""
        pid = self.process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
        return [pid, *map(int, children)]

    def cpu_seconds(self) -> float:
        """What the scheduler has given it so far, all threads and children."""
        ticks = 0
        for pid in self.pids:
            fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def resident_mib(self) -> float:
        """Resident memory now."""
        return self._status("VmRSS")

    def highest_mib(self) -> float:
        """Resident memory at its highest since the start or `forget_highest`."""
        return self._status("VmHWM")

    def forget_highest(self) -> None:
        """Begin to look for the highest anew."""
        Path(f"/proc/{self.process.pid}/clear_refs").write_text("5", encoding="ascii")

    def read_mib(self) -> float:
        """What it has had read from the disk so far, past the page cache."""
        lines = [line for pid in self.pids for line in Path(f"/proc/{pid}/io").read_text("ascii").splitlines()]
        return sum(int(line.split()[1]) for line in lines if line.startswith("read_bytes:")) / (1 << 20)

    def _status(self, name: str) -> float:
        lines = Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:")) / 1024


class Upstream:
    """The upstream of peers/upstream.py."""

    def __init__(self, process: subprocess.Popen[bytes], url: str) -> None:
        self._process = process
        self.url = url

    def count(self, prefix: str) -> int:
        """Requests so far for paths that begin so."""
        return self._ask(f"count {prefix}")

    def conditional(self, prefix: str) -> int:
        """Those of them that came with a condition."""
        return self._ask(f"conditional {prefix}")

    def change(self, project: str) -> None:
        """List one file more."""
        self._ask(f"change {project}")

    def forget(self) -> None:
        """Count from here on."""
        self._ask("forget")

    def _ask(self, command: str) -> int:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{command}\n".encode())
        self._process.stdin.flush()
        return int(json.loads(self._process.stdout.readline()))


@contextlib.contextmanager
def running_hub(folder: Path, upstream: Upstream, *, max_age: float, **variables: str) -> Iterator[Server]:
    """The hub as `creamery serve` runs it: its log to a file, its metrics on."""
    port = free_port()
    environment = _environment()
    environment |= {"CREAMERY_INDEX_UPSTREAMS": upstream.url, "CREAMERY_INDEX_MAX_AGE": str(max_age)}
    environment |= variables
    command = [sys.executable, "-m", "creamery", "serve", "--port", str(port), "--data", str(folder / "data")]
    folder.mkdir()
    with _running(command, folder, environment) as process:
        server = Server(process, f"http://127.0.0.1:{port}")
        _wait_until_ready(server, "/readyz", folder)
        yield server


@contextlib.contextmanager
def running_folder(folder: Path, wheels: Path) -> Iterator[Server]:
    """`curd-server` over a folder of wheels, from the moment in which it listens."""
    port = free_port()
    command = [sys.executable, "-m", "creamery.cli.curd_server", "-H", "127.0.0.1", "-p", str(port)]
    folder.mkdir()
    with _running([*command, "--data", str(folder / "data"), str(wheels)], folder, _environment()) as process:
        server = Server(process, f"http://127.0.0.1:{port}")
        _wait_until_it_listens(server, folder)
        yield server


@contextlib.contextmanager
def running_nginx(folder: Path, core: int = SERVER_CORE) -> Iterator[Server]:
    """nginx over the files in `folder`/files."""
    port, root = free_port(), folder / "files"
    conf = NGINX_CONF.read_text(encoding="utf-8").format(
        port=port, root=root, user=getpass.getuser(), group=grp.getgrgid(os.getgid()).gr_name
    )
    root.mkdir(parents=True)
    (root / "ready").write_text("yes\n", encoding="ascii")
    (folder / "nginx.conf").write_text(conf, encoding="utf-8")
    command = ["nginx", "-p", str(folder), "-e", "error.log", "-c", "nginx.conf"]
    with _running(command, folder, None, core) as process:
        server = Server(process, f"http://127.0.0.1:{port}")
        _wait_until_ready(server, "/ready", folder)
        yield server


@contextlib.contextmanager
def running_upstream(folder: Path | None = None) -> Iterator[Upstream]:
    """The upstream; it shares the clients' core, and its own speed limit leaves that core mostly idle.

    Args:
        folder: offer the files that lie there, as fast as it goes; such an upstream tells nothing.
    """
    what = ["benchmarks.peers.upstream"] if folder is None else ["tests.doubles.upstream", "--directory", str(folder)]
    command = [sys.executable, "-m", *what]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        url = process.stdout.readline().decode().strip()
        if not url:
            raise CannotMeasure("the upstream did not start")
        yield Upstream(process, url)
    finally:
        process.terminate()
        process.wait(STOP_SECONDS)


def free_port() -> int:
    """A port that nobody listens on, below those that the kernel gives to whoever takes any."""
    for port in random.sample(range(10_000, 32_000), 100):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise CannotMeasure("no port is free")


def pinned(core: int, program: str, *arguments: str) -> list[str]:
    """The command that runs a program on one core."""
    return [find_program("taskset"), "-c", str(core), find_program(program), *arguments]


@contextlib.contextmanager
def _running(
    command: list[str], folder: Path, environment: dict[str, str] | None, core: int = SERVER_CORE
) -> Iterator[subprocess.Popen[bytes]]:
    with (folder / "stdout").open("wb") as out, (folder / "stderr").open("wb") as log:
        process = subprocess.Popen(
            pinned(core, *command), cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=log
        )
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _environment() -> dict[str, str]:
    """Ours, without what sets up hubs and their clients."""
    names = (name for name in os.environ if not name.startswith(_OURS) and name.upper() not in _ELSEWHERE)
    return {name: os.environ[name] for name in names}


def _wait_until_it_listens(server: Server, folder: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while b" on http://" not in (folder / "stdout").read_bytes():
        if server.process.poll() is not None or time.monotonic() > deadline:
            raise CannotMeasure(f"{server.process.args!r} does not listen")
        time.sleep(0.01)


def _wait_until_ready(server: Server, path: str, folder: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and server.process.poll() is None:
        with contextlib.suppress(OSError, http.client.HTTPException):
            if fetch(server.base, path).status == HTTPStatus.OK:
                return
        time.sleep(0.05)
    said = (folder / "stderr").read_text(encoding="utf-8", errors="replace")[-2_000:]
    raise CannotMeasure(f"{server.process.args!r} is not ready\n{said}")
