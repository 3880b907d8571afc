"""Archives on loopback that do as they are told: the Archive Interface, as the real one speaks it, and plain files.

with ArchiveInterface({"1": b"..."}) as server:
server.tape["1"] = 3                                   # near at the third look after it was staged
server.misbehave("/1", close_at(0.5), method="GET", once=True)
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from email.utils import formatdate
from types import TracebackType
from typing import Self
from urllib.parse import parse_qs, unquote

from tests.doubles.loopback import Answerer, Exchange, Loopback, Reply, Seen, narrowed

MTIME = 1_600_000_000


class FileServer:
    """A server of files below `/data/`, with ranges, ETags and dates.

    Attributes:
        files: what it has.
        seen: the requests so far.
        headers: what every answer about a file has besides; None takes one away.
        at_once: requests under way; `most_at_once`: how many there were at most.
    """

    prefix = "/data/"

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self.files = dict(files)
        self.seen: list[Seen] = []
        self.headers: dict[str, str | None] = {}
        self.at_once = self.most_at_once = 0
        self._orders: list[tuple[str, Answerer, str | None, bool]] = []
        self._server = Loopback(self._answer)

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.stop()

    def stop(self) -> None:
        """Unplug it."""
        self._server.stop()

    def start(self) -> None:
        """Plug it in again, at the same port."""
        self._server.start()

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self._server.ports[0]}"

    @property
    def url(self) -> str:
        return f"http://{self.host}{self.prefix}"

    def misbehave(self, path: str, answerer: Answerer, *, method: str | None = None, once: bool = False) -> None:
        """Answer a path (`*`: every one) otherwise; the latest order wins."""
        self._orders.insert(0, (path, answerer, method, once))

    def requests(self, method: str | None = None) -> list[Seen]:
        return [seen for seen in tuple(self.seen) if method in {None, seen.method}]

    async def _answer(self, exchange: Exchange) -> None:
        seen = exchange.request
        self.seen.append(seen)
        self.at_once += 1
        self.most_at_once = max(self.at_once, self.most_at_once)
        try:
            exchange.whole = self._whole(seen)
            exchange.reply = self._narrowed(exchange.whole, seen)
            order = next(
                (each for each in self._orders if each[0] in {"*", seen.path} and each[2] in {None, seen.method}), None
            )
            if order is not None and order[3]:
                self._orders.remove(order)
            await (order[1](exchange) if order is not None else exchange.send())
        finally:
            self.at_once -= 1

    def _narrowed(self, whole: Reply, seen: Seen) -> Reply:
        if "if-range" in seen.headers and seen.headers["if-range"] in {
            whole.headers.get("Last-Modified"),
            whole.headers.get("ETag"),
        }:
            seen = Seen(**{**vars(seen), "headers": {k: v for k, v in seen.headers.items() if k != "if-range"}})
        return narrowed(whole, seen)

    def _whole(self, seen: Seen) -> Reply:
        name = unquote(seen.path).removeprefix(self.prefix)
        if name not in self.files or not seen.path.startswith(self.prefix):
            return Reply(404, {"Content-Type": "text/plain"}, b"404\n")
        body = self.files[name]
        headers: dict[str, str | None] = {
            "Accept-Ranges": "bytes",
            "ETag": f'"{hashlib.sha256(body).hexdigest()[:16]}"',
            "Last-Modified": formatdate(MTIME, usegmt=True),
            **self.headers,
        }
        return Reply(200, {key: value for key, value in headers.items() if value is not None}, body)


class ArchiveInterface(FileServer):
    """The Pacifica Archive Interface, at the root. What is missing answers 500, as in the original.

    Attributes:
        tape: items that are not near, and how many looks it takes after they were staged.
        staged: how often each was asked for.
    """

    prefix = "/"

    def __init__(self, files: Mapping[str, bytes]) -> None:
        super().__init__(files)
        self.tape: dict[str, int] = {}
        self.staged: dict[str, int] = {}

    def _narrowed(self, whole: Reply, seen: Seen) -> Reply:
        return whole

    def _whole(self, seen: Seen) -> Reply:
        name = unquote(seen.path)[1:]
        if name not in self.files:
            return _failed(f"Can't open posix file with error: [Errno 2] No such file or directory: '/srv/{name}'")
        match seen.method:
            case "HEAD":
                return self._status(name)
            case "POST" if "content-length" not in seen.headers:
                return Reply(411, {}, b"411\n")
            case "POST":
                self.staged[name] = self.staged.get(name, 0) + 1
                return _json({"message": "File was staged", "file": name})
            case "GET":
                return self._part(name, seen)
        return Reply(405, {"Allow": "DELETE, GET, HEAD, PATCH, POST, PUT"}, b"405\n")

    def _status(self, name: str) -> Reply:
        size = len(self.files[name])
        if name in self.staged and self.tape.get(name):
            self.tape[name] -= 1
        headers: dict[str, str | None] = {
            "X-Pacifica-Messsage": "File was found",
            "X-Pacifica-File": f"/srv/{name}",
            "X-Content-Length": str(size),
            "Last-Modified": f"{MTIME}.25",
            "X-Pacifica-Ctime": f"{MTIME}.5",
            "X-Pacifica-Bytes-Per-Level": f"({size},)",
            "X-Pacifica-File-Storage-Media": "tape" if self.tape.get(name) else "disk",
            "Content-Type": "application/json",
            **self.headers,
        }
        return Reply(204, {key: value for key, value in headers.items() if value is not None})

    def _part(self, name: str, seen: Seen) -> Reply:
        body = self.files[name]
        if asked := parse_qs(seen.target.partition("?")[2]).get("byte_range"):
            match = re.fullmatch(r"(\d+)-(\d+)", asked[0])
            if match is None:
                return _failed(f"Invalid byte range format (int-int) given {asked[0]}")
            body = body[int(match[1]) : int(match[2])]
        return Reply(200, {"Content-Type": "application/octet-stream"}, body)


def _json(value: object, status: int = 200) -> Reply:
    return Reply(status, {"Content-Type": "application/json"}, json.dumps(value).encode())


def _failed(traceback: str) -> Reply:
    message = "The server encountered an unexpected condition which prevented it from fulfilling the request."
    return _json(
        {"status": "500 Internal Server Error", "message": message, "traceback": traceback, "version": "1"}, 500
    )
