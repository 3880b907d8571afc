"""`serve`: claim the data, bring the database up to date, listen, answer until told to stop, and drain.

The order matters: (1) the data directory is claimed before anything looks into it; (2) the sockets are bound before
the slow steps, so that a port in use is said at once; (3) the schema is upgraded in a child process, because Alembic
would stay in memory for ever; (4) the hub opens; (5) only then is anybody accepted. Stopping goes the other way.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import gc
import io
import os
import resource
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import uvicorn
import uvloop

from creamery import faults, greeting, memory
from creamery.accounts import SecretUnreadable, first_link, has_users
from creamery.blobs import StoreMismatch, restoring
from creamery.clock import Clock, SystemClock
from creamery.database import Database, DatabaseUnavailable
from creamery.database.schema import is_current
from creamery.door import Door, Hub
from creamery.greeting import Compose, is_loopback, is_sqlite
from creamery.http import Wire, begin_log
from creamery.hub import BuiltHub, build, carts_alone, doors_of, folder_alone
from creamery.limits import Limits
from creamery.sections import Listen
from creamery.settings import Settings
from creamery.telemetry import LogUnwritable, log

BACKLOG = 2_048
HIGHEST_PORT = 65_535
FILES_PER_CONNECTION = 3
FILES_BESIDE = 1_024  # part files, databases, sockets to upstreams; large pages that are sent
COLLECTED_SECONDS = 60.0  # between looks at all objects, 10 ms each: with so little garbage they would never come

ONE_SIGNAL_SECONDS = 0.1
LOOK_SECONDS = 0.2


class CannotServe(Exception):
    """The hub cannot start as it was asked; the text says what stands in the way and what to do."""


class DataInUse(CannotServe):
    """Another process serves these data."""


@dataclass(frozen=True, slots=True)
class Program:
    """What is served, and under which name.

    Attributes:
        name: as people call it.
        doors: which doors it has; a function that a child process can be told.
        compose: what it says when it listens.
    """

    name: str
    doors: Callable[[Hub], tuple[Door, ...]]
    compose: Compose


HUB = Program("creamery serve", doors_of, greeting.of_hub)
CARTS = Program("pacifica-cartd", carts_alone, greeting.of_carts)


def wheels_of_folder(path: Path) -> Program:
    """A folder full of wheels."""
    return Program("curd-server", partial(folder_alone, path=path), partial(greeting.of_folder, path))


def serve(settings: Settings, program: Program = HUB) -> int:
    """Run the hub until SIGTERM or SIGINT; return the process's exit code: 0, or 1 where it could not start.

    Args:
        settings: the hub's.
        program: what of it is served.
    """
    _open_standard_streams()
    memory.spare()
    try:
        begin_log(settings.log)
        faults.arm(settings.faults)
        with _claimed(settings), contextlib.ExitStack() as listening:
            sockets = listening.enter_context(_bound(settings.listen))
            restoring.refuse(settings.data)
            _upgrade_schema(settings)
            hub = build(settings, program.doors)
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                return runner.run(_Serving(settings, hub, sockets, SystemClock(), program.compose).run())
    except (CannotServe, DatabaseUnavailable, LogUnwritable, SecretUnreadable, StoreMismatch, ValueError) as error:
        sys.stderr.write(f"{program.name}: {error}\n")
        return 1


def work(settings: Settings, is_done: Callable[[], bool]) -> None:
    """Do the jobs of carts, without listening, until `is_done`, which is asked in a thread again and again.

    Where somebody serves these data already, and so does them, this waits for it.

    Raises:
        CannotServe: the data cannot be used.
        DatabaseUnavailable, SecretUnreadable, StoreMismatch: as for `serve`.
    """

    async def run(hub: BuiltHub | None) -> None:
        if hub is not None:
            await hub.start()
        try:
            while not await asyncio.to_thread(is_done):
                await SystemClock().pause(LOOK_SECONDS)
        finally:
            if hub is not None:
                await hub.stop(settings.limits.drain_seconds)

    with contextlib.ExitStack() as held:
        try:
            held.enter_context(_claimed(settings))
        except DataInUse:
            hub = None
        else:
            restoring.refuse(settings.data)
            hub = build(settings, carts_alone)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(run(hub))


class _Serving:
    """One run of the server."""

    def __init__(
        self, settings: Settings, hub: BuiltHub, sockets: list[socket.socket], clock: Clock, compose: Compose
    ) -> None:
        self._settings = settings
        self._compose = compose
        self._hub = hub
        self._sockets = sockets
        self._clock = clock
        self._told_to_stop = asyncio.Event()
        self._told_to_stop_at = 0.0
        self._has_users = True

    async def run(self) -> int:
        """Serve; return the process's exit code."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop, number)
        limits = self._settings.limits
        wire = Wire(_allow_open_files(limits), self._clock)
        server = _Server(
            uvicorn.Config(
                self._hub.app,
                http=wire.protocol,  # type: ignore[arg-type]  # a factory does as well
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                proxy_headers=False,  # http/addresses.py has our rules, which trust nobody by default
                server_header=False,
                date_header=False,
                backlog=BACKLOG,
                timeout_graceful_shutdown=limits.drain_seconds,  # type: ignore[arg-type]  # asyncio takes fractions
            ),
            self._told_to_stop,
            self._begin,
            wire,
        )
        await self._hub.start()
        self._has_users = await asyncio.to_thread(self._hub.hub.database.read, has_users)
        collecting = asyncio.create_task(self._collect_garbage())
        await server.serve(self._sockets)
        collecting.cancel()
        left = limits.drain_seconds - (self._clock.monotonic() - self._told_to_stop_at)
        await self._hub.stop(max(left, 0.1))
        log.info("server.stopped", seconds=round(self._clock.monotonic() - self._told_to_stop_at, 3))
        return 0

    async def _collect_garbage(self) -> None:
        while True:
            await self._clock.pause(COLLECTED_SECONDS)
            gc.collect()

    def _begin(self) -> None:
        memory.settle()
        secret = self._hub.hub.accounts.secret
        first = None if self._has_users else first_link(secret)
        _greet(self._settings, self._sockets, first=first, compose=self._compose)
        faults.listening()

    def _stop(self, number: int) -> None:
        name = signal.Signals(number).name
        if self._told_to_stop.is_set() and self._clock.monotonic() < self._told_to_stop_at + ONE_SIGNAL_SECONDS:
            return  # whoever signals a process and its group says so twice
        if self._told_to_stop.is_set():
            log.warning("server.stops_at_once", signal=name)
            os._exit(1)  # what was acknowledged is durable; the next start looks at the rest as after a crash
        self._told_to_stop_at = self._clock.monotonic()
        log.info("server.stops", signal=name, drain_seconds=self._settings.limits.drain_seconds)
        self._told_to_stop.set()


class _Server(uvicorn.Server):
    """uvicorn's server, without its signals and without its ten looks at the clock a second."""

    def __init__(
        self, config: uvicorn.Config, told_to_stop: asyncio.Event, begin: Callable[[], None], wire: Wire
    ) -> None:
        super().__init__(config)
        self._wire = wire
        self._told_to_stop = told_to_stop
        self._begin = begin

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def main_loop(self) -> None:
        self._begin()  # whoever reads that the hub listens can connect
        await self._told_to_stop.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._wire.is_ending = True
        await super().shutdown(sockets)
        await asyncio.gather(*self.server_state.tasks, return_exceptions=True)  # those that were cancelled


@contextlib.contextmanager
def _claimed(settings: Settings) -> Iterator[None]:
    """Hold `data/lock`: alone, where SQLite's file lies there; together with others on a database server.

    Raises:
        DataInUse: another hub holds it.
        CannotServe: the directory cannot be made.
    """
    data = settings.data
    try:
        data.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(data / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise CannotServe(
            f"the data directory {data} cannot be used: {error.strerror}. Choose another with --data, or give this"
            " user the right to write there."
        ) from error
    try:
        alone = is_sqlite(settings)
        try:
            fcntl.flock(descriptor, (fcntl.LOCK_EX if alone else fcntl.LOCK_SH) | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip() or "unknown"
            raise DataInUse(
                f"another creamery serves {data.resolve()} (pid {holder}). Stop it, choose other data with --data, or"
                " use a database server (database_url) to run several."
            ) from error
        if alone:
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode("ascii"), 0)
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _bound(listen: Listen) -> Iterator[list[socket.socket]]:
    """Sockets that are bound and do not listen yet.

    Raises:
        CannotServe: the address is taken, forbidden or none of this machine.
    """
    sockets = [_bound_path(listen.uds)] if listen.uds is not None else _bound_addresses(listen.host, listen.port)
    try:
        yield sockets
    finally:
        for bound in sockets:
            bound.close()
        if listen.uds is not None:
            listen.uds.unlink(missing_ok=True)


def _bound_addresses(host: str, port: int) -> list[socket.socket]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except socket.gaierror as error:
        raise CannotServe(f"--host {host}: this machine knows no such address ({error.strerror})") from error
    sockets: list[socket.socket] = []
    for family, _, _, _, address in dict.fromkeys(found):
        bound = socket.socket(family, socket.SOCK_STREAM)
        try:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            bound.bind(address)
        except OSError as error:
            bound.close()
            if error.errno in {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT} and len(found) > 1:
                continue  # a name with an IPv6 address on a machine without IPv6
            for other in sockets:
                other.close()
            raise _explained(error, host, port) from error
        sockets.append(bound)
        if port == 0:
            break
    if not sockets:
        raise CannotServe(f"--host {host}: none of its addresses is one of this machine")
    return sockets


def _explained(error: OSError, host: str, port: int) -> CannotServe:
    if error.errno == errno.EADDRINUSE:
        return CannotServe(
            f"port {port} of {host} is in use. Stop what listens there, or choose another with --port"
            f" {port + 1 if port < HIGHEST_PORT else 8_000}"
        )
    if error.errno == errno.EACCES:
        return CannotServe(f"this user may not listen on port {port}. Choose one from 1024 on: --port 8000")
    if error.errno == errno.EADDRNOTAVAIL:
        return CannotServe(f"--host {host} is no address of this machine. Use 127.0.0.1, 0.0.0.0 or one that it has")
    return CannotServe(f"{host} port {port} cannot be listened on: {error.strerror}")


def _bound_path(path: Path) -> socket.socket:
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _remove_stale(path)
        bound.bind(str(path))
        path.chmod(0o666)  # like a port: who may reach it is the business of the directory around it
    except OSError as error:
        bound.close()
        raise CannotServe(f"--uds {path} cannot be listened on: {error.strerror or error}") from error
    except CannotServe:
        bound.close()
        raise
    return bound


def _remove_stale(path: Path) -> None:
    """A server that was killed leaves its socket behind; a living one answers, and other files are not ours."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise CannotServe(f"--uds {path}: there is a file of that name, which is no socket. Choose another name.")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
            return
    raise CannotServe(f"--uds {path}: another program listens there. Stop it, or choose another name.")


def _upgrade_schema(settings: Settings) -> None:
    """Bring the database to the form that this Creamery needs, where it is not in it.

    Raises:
        CannotServe: that failed.
        DatabaseUnavailable: the database does not answer, or belongs to a newer Creamery.
    """
    database = Database(settings.resolved_database_url(), settings.limits)
    try:
        if is_current(database):
            return
    finally:
        database.close()
    command = [sys.executable, "-m", "creamery", "db", "upgrade", "--data", str(settings.data)]
    command += ["--config", str(settings.config)] if settings.config is not None else []
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own command
    if done.returncode != 0:
        ended = f"`{' '.join(command[2:])}` ended with {done.returncode} and said nothing; run it by hand to see more"
        raise CannotServe(done.stderr.strip().removeprefix("Error: ") or ended)
    log.info("server.upgraded", result=done.stdout.strip())


def _greet(
    settings: Settings, sockets: list[socket.socket], *, first: str | None, compose: Compose = greeting.of_hub
) -> None:
    """Say where the server listens, and warn where everybody can read along."""
    lines = compose(settings, None if settings.listen.uds is not None else sockets[0].getsockname()[1], first)
    try:
        sys.stdout.write("\n".join(lines) + "\n")
        sys.stdout.flush()
    except OSError as error:  # nobody reads it, or its disk is full: that is no reason not to serve
        log.warning("server.not_greeted", reason=error.strerror)
        sys.stdout = io.StringIO()  # or the interpreter tries once more when it ends, and ends with an error
    if settings.listen.uds is None and not is_loopback(settings.listen.host) and not settings.trusted_proxies:
        log.warning(
            "server.unprotected",
            host=settings.listen.host,
            meaning="everyone who reaches this address can read along: there is no TLS in front",
            remedy="docs/how-to/behind-nginx.md; then set trusted_proxies",
        )


def _allow_open_files(limits: Limits) -> Limits:
    """Each connection is a file, twice while a file goes out, and so is that file; the usual limit is 1,024.

    Where the system allows fewer, so many connections are too many, and are told so (503): a process that may open no
    further file could not even accept one to say it.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES_PER_CONNECTION * limits.connections + FILES_BESIDE
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return limits
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    connections = max(1, (allowed - FILES_BESIDE) // FILES_PER_CONNECTION)
    if connections < limits.connections:
        remedy = f"raise the limit of open files (ulimit -Hn, LimitNOFILE) to {wanted}, or lower limits.connections"
        log.warning("server.few_files", files=allowed, connections=connections, remedy=remedy)
    return limits.model_copy(update={"connections": min(connections, limits.connections)})


def _open_standard_streams() -> None:
    """Of a closed one (`>&-`) Python has None, and its number would be given to the next file that is opened."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    sys.stdout = sys.stdout or os.fdopen(1, "w", encoding="utf-8")
    sys.stderr = sys.stderr or os.fdopen(2, "w", encoding="utf-8")
