"""A whole hub on loopback, in a thread of the test's own process, over a real socket."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx2
import uvicorn
from sqlalchemy import Connection

from creamery.hub import BuiltHub, build
from creamery.settings import Settings, load_settings
from tests.databases import create_tables

JSON = "application/vnd.pypi.simple.v1+json"


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
        self.built: BuiltHub = build(self.settings)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._server: uvicorn.Server | None = None
        self._ready = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="running-hub", daemon=True)
        self.base = ""
        self.client = httpx2.Client(timeout=30, headers={"Accept-Encoding": "identity"}, trust_env=False)

    def __enter__(self) -> Self:
        create_tables(self.settings.resolved_database_url())
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

    def page(self, project: str) -> dict[str, Any]:
        """A project's page, parsed."""
        response = self.get(f"/simple/{project}/", accept=JSON)
        assert response.status_code == 200, response.text
        page: dict[str, Any] = response.json()
        return page

    def files(self, project: str) -> list[str]:
        """The names of the files on a project's page."""
        return [file["filename"] for file in self.page(project)["files"]]

    def metric(self, name: str, **labels: str) -> float:
        """A metric's value now; without the `creamery_`."""
        value = self.built.hub.telemetry.registry.get_sample_value(f"creamery_{name}", labels)
        return value or 0.0

    def statements(self) -> float:
        """SQL statements so far."""
        return self.metric("sql_statements_total", engine="read") + self.metric("sql_statements_total", engine="write")

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
            port=0,
            lifespan="off",
            log_config=None,
            http="httptools",
            timeout_graceful_shutdown=3,
        )
        self._server = uvicorn.Server(config)
        serving = asyncio.create_task(self._server.serve())
        while not self._server.started and not serving.done():
            await asyncio.sleep(0.005)
        port = self._server.servers[0].sockets[0].getsockname()[1]
        self.base = f"http://127.0.0.1:{port}"
        self._ready.set()
        await serving
        await self.built.stop(5)
