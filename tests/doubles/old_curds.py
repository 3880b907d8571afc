"""A curd-server as Curdling had it, where that differs from ours: it names no content type and says little of errors.

It serves what it was given and keeps what is PUT; `misbehave` makes it worse.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from types import TracebackType
from typing import Self

from packaging.utils import canonicalize_name, parse_wheel_filename

from tests.doubles.distributions import Distribution
from tests.doubles.loopback import Answerer, Exchange, Loopback, Reply, Seen

_PART = re.compile(rb'name="([^"]+)"; filename="[^"]+"\r\n[^\r]*\r\n\r\n(.*)\r\n--[0-9a-f]+--\r\n$', re.DOTALL)


class OldCurds:
    """In a thread.

    Attributes:
        password: `name:password` that everybody must have; empty: nobody.
        said_at: whose address its links have; empty: its own.
        files: by name.
    """

    def __init__(self) -> None:
        self.password = ""
        self.said_at = ""
        self.files: dict[str, bytes] = {}
        self.digests: dict[str, str] = {}
        self.seen: list[Seen] = []
        self._orders: dict[str, Answerer] = {}
        self._server = Loopback(self._answer)

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.stop()

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self._server.ports[0]}"

    @property
    def url(self) -> str:
        """What `-c` is given."""
        return f"http://{self.host}"

    def add(self, made: Distribution) -> None:
        self.files[made.filename] = made.content
        self.digests[made.filename] = made.sha256

    def misbehave(self, path: str, answerer: Answerer) -> None:
        """From now on answer so below a path."""
        self._orders[path] = answerer

    def asked(self, method: str = "GET") -> list[str]:
        """The paths, in order."""
        return [seen.path for seen in self.seen if seen.method == method]

    async def _answer(self, exchange: Exchange) -> None:
        seen = exchange.request
        self.seen.append(seen)
        exchange.reply = self._reply(seen)
        order = next((answerer for path, answerer in self._orders.items() if seen.path.startswith(path)), None)
        await (exchange.send() if order is None else order(exchange))

    def _reply(self, seen: Seen) -> Reply:
        known = base64.b64encode(self.password.encode()).decode()
        if self.password and seen.headers.get("authorization") != f"Basic {known}":
            return self._says(b"Unauthorized Access", 401, **{"WWW-Authenticate": 'Basic realm="Login Required"'})
        if seen.method == "PUT":
            match = _PART.search(seen.body)
            assert match is not None
            assert seen.path == f"/p/{match[1].decode()}"
            name = match[1].decode()
            self.files[name], self.digests[name] = match[2], hashlib.sha256(match[2]).hexdigest()
            return self._says(b"ok")
        if seen.path == "/api/":
            return self._says(json.dumps(sorted(map(_project, self.files))).encode())
        if seen.path.startswith("/api/"):
            found = [self._release(name) for name in self.files if _project(name) == seen.path[5:]]
            return self._says(json.dumps(found).encode()) if found else self._says(b'{"status": "error"}', 404)
        name = seen.path.removeprefix("/p/")
        return self._says(self.files[name]) if name in self.files else self._says(b"Internal Server Error", 500)

    def _release(self, name: str) -> dict[str, object]:
        url = f"{self.said_at or self.url}/p/{name}"
        version = str(parse_wheel_filename(name)[1])
        return {"name": _project(name), "version": version, "urls": [{"url": url, "sha256": self.digests[name]}]}

    @staticmethod
    def _says(body: bytes, status: int = 200, **headers: str) -> Reply:
        return Reply(status, {"Content-Type": "text/html; charset=utf-8", **headers}, body)


def _project(filename: str) -> str:
    return canonicalize_name(parse_wheel_filename(filename)[0])
