"""A hub that knows its answers by heart, for what asks one: it answers by a table, and records what it was asked."""

from __future__ import annotations

import json
import ssl
from types import TracebackType
from typing import Any, Self

from tests.doubles.loopback import Answerer, Exchange, Loopback, Reply, Seen


class StubHub:
    """In a thread; what is not in the table is 404, as a hub says it.

    Attributes:
        instead: answers everything, where it is given.
    """

    def __init__(self, *, tls: ssl.SSLContext | None = None) -> None:
        self.instead: Answerer | None = None
        self._table: dict[tuple[str, str], Reply] = {}
        self._seen: list[Seen] = []
        self._scheme = "http" if tls is None else "https"
        self._server = Loopback(self._answer, tls=tls)

    @property
    def url(self) -> str:
        """What `--hub` is given."""
        return f"{self._scheme}://127.0.0.1:{self.port}"

    @property
    def port(self) -> int:
        return self._server.ports[0]

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.stop()

    def says(self, method: str, path: str, document: Any = None, status: int = 200) -> None:
        """From now on answer so; `path` as it is asked for below `/api/v1`, query included. None: no body."""
        content = b"" if document is None else json.dumps(document).encode()
        headers = {} if document is None else {"Content-Type": "application/json"}
        self._table[method, f"/api/v1{path}"] = Reply(204 if document is None else status, headers, content)

    def refuses(self, method: str, path: str, status: int, title: str, detail: str = "", remedy: str = "") -> None:
        """From now on refuse so."""
        self._table[method, f"/api/v1{path}"] = problem(status, title, detail, remedy)

    def replies(self, method: str, path: str, reply: Reply) -> None:
        """From now on answer with exactly this; `path` as it is asked for, from the root."""
        self._table[method, path] = reply

    @property
    def asked(self) -> list[tuple[str, str, Any]]:
        """Method, path below `/api/v1`, and the JSON that came along, of every request so far."""
        return [
            (seen.method, seen.target.removeprefix("/api/v1"), json.loads(seen.body) if seen.body else None)
            for seen in self._seen
        ]

    @property
    def last(self) -> Seen:
        """The last request."""
        return self._seen[-1]

    async def _answer(self, exchange: Exchange) -> None:
        seen = exchange.request
        self._seen.append(seen)
        if self.instead is not None:
            await self.instead(exchange)
            return
        nothing = problem(404, "Not found", f"There is nothing at {seen.target}.")
        exchange.reply = self._table.get((seen.method, seen.target), nothing)
        await exchange.send()


def problem(status: int, title: str, detail: str = "", remedy: str = "") -> Reply:
    """A problem document."""
    document = {"type": "about:blank", "title": title, "status": status, "detail": detail, "remedy": remedy}
    return Reply(status, {"Content-Type": "application/problem+json"}, json.dumps(document).encode())
