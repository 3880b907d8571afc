"""A whole hub on loopback, in a thread of the test's own process, over a real socket."""

from __future__ import annotations

import asyncio
import functools
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx2
import uvicorn
from sqlalchemy import Connection, Engine, event, select

from creamery.door import Door, Hub
from creamery.http import Wire
from creamery.hub import BuiltHub, build, doors_of
from creamery.index.tables import index_file
from creamery.settings import Settings, load_settings
from tests.databases import create_tables
from tests.doubles.upstream import Upstream
from tests.doubles.wired import cut_all

JSON = "application/vnd.pypi.simple.v1+json"


@functools.cache
def _empty_database() -> bytes:
    """SQLite's file with all tables; made once, for making tables takes as long as all the rest of a hub's start."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "empty.sqlite3")
        create_tables(f"sqlite:///{path}")
        return path.read_bytes()


class RunningHub:
    """Started on entering, ended cleanly on leaving; `settings` are given by section."""

    def __init__(self, data: Path, **settings: Any) -> None:
        flags: dict[str, Any] = {
            "limits": {"reserve_bytes": 0, "sweep_grace_seconds": 1, "evict_grace_seconds": 0.1},
            "log": {"requests": False},
        }
        for section, values in settings.items():
            flags[section] = {**flags.get(section, {}), **values} if isinstance(values, dict) else values
        self.settings: Settings = load_settings(data=data, **flags)
        self.built: BuiltHub = build(self.settings, self.list_doors())
        self._loop: asyncio.AbstractEventLoop | None = None
        self._server: uvicorn.Server | None = None
        self._ready = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="running-hub", daemon=True)
        self.base = ""
        self.port = 0  # any; a test may choose one before it starts
        self.client = httpx2.Client(timeout=30, headers={"Accept-Encoding": "identity"}, trust_env=False)

    def list_doors(self) -> Callable[[Hub], tuple[Door, ...]]:
        """What makes its doors; children of jobs are given it, too."""
        return doors_of

    def __enter__(self) -> Self:
        self.settings.data.mkdir(parents=True, exist_ok=True)
        database = self.built.hub.database.path
        if database is not None and not database.exists():
            database.write_bytes(_empty_database())
        self._thread.start()
        self._ready.wait(30)
        if self._failure is not None:
            raise self._failure
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.client.close()
        if self._server is not None:
            self._server.should_exit = True
        self._thread.join(30)
        assert not self._thread.is_alive(), "the hub did not end"
        if self._failure is not None:
            raise self._failure

    def get(self, path: str, *, accept: str | None = None, **headers: str) -> httpx2.Response:
        """GET a path of the hub's; header names with `_` for `-`. Redirects are not followed."""
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        if accept is not None:
            given["Accept"] = accept
        return self.client.get(self.base + path, headers=given)

    def raw(self, target: bytes, headers: bytes = b"", seconds: float = 10.0) -> bytes:
        """The answer to a GET whose target goes out exactly as it is, on a connection of its own."""
        host, _, port = self.base.removeprefix("http://").partition(":")
        with socket.create_connection((host, int(port)), timeout=seconds) as connection:
            connection.sendall(
                b"GET " + target + b" HTTP/1.1\r\nHost: hub\r\nConnection: close\r\n" + headers + b"\r\n"
            )
            answer = b""
            while piece := connection.recv(65536):
                answer += piece
        return answer

    def page(self, project: str) -> dict[str, Any]:
        """A project's page, parsed."""
        response = self.get(f"/simple/{project}/", accept=JSON)
        assert response.status_code == 200, response.text
        page: dict[str, Any] = response.json()
        return page

    def files(self, project: str) -> list[str]:
        """The names of the files on a project's page."""
        return [file["filename"] for file in self.page(project)["files"]]

    def download(self, project: str, filename: str) -> bytes:
        """A file's bytes; returns when the hub has kept them too, a moment after its client had the last one."""
        response = self.get(f"/i/{project}/{filename}")
        assert response.status_code == 200, response.text
        self.wait_until(lambda: self.is_here(filename))
        return response.content

    def is_here(self, filename: str) -> bool:
        """Does a file's row name a blob?"""
        query = select(index_file.c.digest).where(index_file.c.filename == filename)
        return self.ask(lambda connection: connection.execute(query).scalar_one_or_none()) is not None

    def here(self) -> list[str]:
        """The names of all files whose rows name a blob, in order."""
        query = select(index_file.c.filename).where(index_file.c.digest.is_not(None)).order_by(index_file.c.filename)
        found: list[str] = self.ask(lambda connection: list(connection.execute(query).scalars()))
        return found

    def wait_until(self, holds: Callable[[], bool], seconds: float = 10.0) -> None:
        """Look again and again until something holds."""
        until = time.monotonic() + seconds
        while not holds():
            assert time.monotonic() < until, "it did not come to hold"
            time.sleep(0.01)

    def metric(self, name: str, **labels: str) -> float:
        """A metric's value now; without the `creamery_`."""
        value = self.built.hub.telemetry.registry.get_sample_value(f"creamery_{name}", labels)
        return value or 0.0

    @contextmanager
    def statements(self) -> Iterator[list[str]]:
        """The SQL that requests cost meanwhile; that of jobs and of threads that keep house does not count."""
        seen: list[str] = []

        def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
            if threading.current_thread().name.startswith(("database", "running-hub")):
                seen.append(statement)

        event.listen(Engine, "before_cursor_execute", note)
        yield seen
        event.remove(Engine, "before_cursor_execute", note)

    def ask(self, question: Any) -> Any:
        """Read the hub's database."""

        def read(connection: Connection) -> Any:
            return question(connection)

        return self.built.hub.database.read(read)

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:  # noqa: BLE001 - handed to the test's thread
            self._failure = error
        finally:
            self._ready.set()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        await self.built.start()
        config = uvicorn.Config(
            self.built.app,
            host="127.0.0.1",
            port=self.port,
            lifespan="off",
            log_config=None,
            http=Wire(self.settings.limits, self.built.hub.clock).protocol,  # type: ignore[arg-type]  # a factory
            proxy_headers=False,
            server_header=False,
            date_header=False,
            timeout_graceful_shutdown=1,
        )
        self._server = uvicorn.Server(config)
        serving = asyncio.create_task(self._server.serve())
        while not self._server.started and not serving.done():
            await asyncio.sleep(0.005)
        port = self._server.servers[0].sockets[0].getsockname()[1]
        self.base = f"http://127.0.0.1:{port}"
        self._ready.set()
        await serving
        await cut_all(self._server)
        await self.built.stop(5)


def hub_over(upstream: Upstream, data: Path, *, max_age: float = 1e6, **limits: float) -> RunningHub:
    """A hub over one upstream, with limits of its own; it takes pages as fresh for ever unless told otherwise."""
    return RunningHub(data, index={"upstreams": [upstream.url], "max_age": max_age}, limits=limits)
