"""One short question to a hub, with next to nothing imported: `creamery install` asks it beside uv, and after it.

`wire.py` is how a hub is asked. What it imports takes as long as uv takes for many an installation; so this asks first,
and knows nothing but the plainest answer: 200, with JSON of a length that is said. A refusal, a redirect, a proxy, a
certificate that is not trusted, silence: whatever else there is, is `Unclear`, and then `wire.py` asks and says why.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import time

TYPE_CHECKING = False  # `typing` takes half as long as Python's own start: this is waited for
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from creamery.client.address import HubAddress
    from creamery.client.credentials import Credentials

SECONDS = 1.0
"""For all of it."""
MOST_BYTES = 4 * 1024**2
"""Of an answer with its head."""
MOST_HEAD = 32 * 1024
_NO_VARIABLES_ALONE = ("darwin", "win32")
"""Systems that have proxies in their own settings, too."""


class Unclear(Exception):
    """Nothing is known yet.

    Attributes:
        is_late: the hub has had its time.
    """

    def __init__(self, *, is_late: bool = False) -> None:
        self.is_late = is_late
        super().__init__()


class Glance:
    """A hub, asked below its root."""

    def __init__(self, address: HubAddress, credentials: Credentials | None) -> None:
        self.address = address
        self._credentials = credentials

    def get(self, *path: str, query: Mapping[str, str | None]) -> Any:
        """What there is; None in `query` is left out. Raises `Unclear`."""
        given = {name: value for name, value in query.items() if value is not None}
        if not all(value.isascii() and value.isalnum() for value in given.values()):
            raise Unclear
        said = "&".join(f"{name}={value}" for name, value in given.items())
        return self._ask("GET", f"/{'/'.join(path)}{'?' if said else ''}{said}", b"")

    def post(self, *path: str, body: Mapping[str, Any]) -> Any:
        """What is answered to a body that is a question. Raises `Unclear`."""
        return self._ask("POST", f"/{'/'.join(path)}", json.dumps(body).encode())

    def _ask(self, method: str, target: str, body: bytes) -> Any:
        if not self.address.host.isascii() or (_may_have_proxy() and not self.address.is_loopback):
            raise Unclear
        until = time.monotonic() + SECONDS
        try:
            with self._connected() as connection:
                connection.sendall(self._request(method, target, body))
                return _read(connection, until)
        except OSError as error:
            raise Unclear(is_late=time.monotonic() >= until) from error
        except (ValueError, RecursionError) as error:  # no JSON, or a host that is none
            raise Unclear from error

    def _connected(self) -> socket.socket:
        host: Any = self.address.host.encode("ascii")  # a str goes through IDNA, which takes 5 ms to import
        connection = socket.create_connection((host, self.address.port), timeout=SECONDS)
        if self.address.scheme == "http":
            return connection
        import ssl  # noqa: PLC0415 - where it is needed

        try:
            return ssl.create_default_context().wrap_socket(connection, server_hostname=self.address.host)
        except BaseException:
            connection.close()
            raise

    def _request(self, method: str, target: str, body: bytes) -> bytes:
        from creamery import __version__  # noqa: PLC0415 - as wire.py does

        head = {
            "Host": self.address.authority,
            "User-Agent": f"creamery/{__version__}",
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            "Connection": "close",
        }
        if body:
            head |= {"Content-Type": "application/json", "Content-Length": str(len(body))}
        if self._credentials is not None:
            head["Authorization"] = self._credentials.header
        lines = "".join(f"{name}: {value}\r\n" for name, value in head.items())
        return f"{method} {self.address.path}{target} HTTP/1.1\r\n{lines}\r\n".encode("latin-1") + body


def _may_have_proxy() -> bool:
    return sys.platform in _NO_VARIABLES_ALONE or any(name.lower().endswith("_proxy") for name in os.environ)


def _read(connection: socket.socket, until: float) -> Any:
    """The JSON of an answer that is as plain as can be."""
    received, end = b"", -1
    while end < 0:
        received += _piece(connection, until)
        end = received.find(b"\r\n\r\n")
        if end < 0 and len(received) > MOST_HEAD:
            raise Unclear
    size = _length(received[:end])
    content = bytearray(received[end + 4 :])
    while len(content) < size:
        content += _piece(connection, until)
    if len(content) != size:
        raise Unclear
    return json.loads(content)


def _length(head: bytes) -> int:
    """Of the body that comes."""
    status, *lines = head.decode("latin-1").split("\r\n")
    pairs = [line.partition(":") for line in lines]
    names = [name.lower() for name, _, _ in pairs]
    fields = {name.lower(): value.strip() for name, _, value in pairs}
    size = fields.get("content-length", "")
    if not status.startswith(("HTTP/1.1 200 ", "HTTP/1.0 200 ")) or names.count("content-length") != 1:
        raise Unclear
    if "transfer-encoding" in fields or "content-encoding" in fields:
        raise Unclear
    if fields.get("content-type") != "application/json" or not (size.isascii() and size.isdigit()):
        raise Unclear
    if len(size) > len(str(MOST_BYTES)) or int(size) > MOST_BYTES:
        raise Unclear
    return int(size)


def _piece(connection: socket.socket, until: float) -> bytes:
    left = until - time.monotonic()
    if left <= 0:
        raise Unclear(is_late=True)
    connection.settimeout(left)
    piece = connection.recv(64 * 1024)
    if not piece:
        raise Unclear
    return piece
