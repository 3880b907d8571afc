"""Who sends large bodies, and many small ones."""

from __future__ import annotations

import base64
import socket
import time
from collections.abc import Mapping
from typing import Self
from urllib.parse import urlsplit

from benchmarks.clients import HEAD_END, PIECE
from benchmarks.processes import CannotMeasure

BOUNDARY = "between-the-fields-of-a-form"


class Sender:
    """One connection over which requests go out whole; of an answer its status counts."""

    def __init__(self, base: str) -> None:
        host, _, port = urlsplit(base).netloc.partition(":")
        self._connection = socket.create_connection((host, int(port)), timeout=60)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def send(self, request: bytes) -> float:
        """Seconds until the answer has come.

        Raises:
            CannotMeasure: the answer is an error.
        """
        began = time.perf_counter()
        self._connection.sendall(request)
        answer = self._connection.recv(PIECE)
        while HEAD_END not in answer:
            piece = self._connection.recv(PIECE)
            if not piece:
                raise CannotMeasure(f"the connection ended after {answer!r}")
            answer += piece
        seconds = time.perf_counter() - began
        if not answer.startswith((b"HTTP/1.1 200", b"HTTP/1.1 201", b"HTTP/1.1 204")):
            raise CannotMeasure(f"it was answered {answer[:300]!r}")
        return seconds

    @staticmethod
    def request(method: str, path: str, headers: Mapping[str, str], body: bytes) -> bytes:
        """A request with a body as it goes out."""
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        head = f"{method} {path} HTTP/1.1\r\nHost: hub\r\nContent-Length: {len(body)}\r\n{lines}\r\n"
        return head.encode("latin-1") + body

    @classmethod
    def form(
        cls, path: str, fields: Mapping[str, str], files: Mapping[str, tuple[str, bytes, str]], login: tuple[str, str]
    ) -> bytes:
        """A form with files as browsers and twine send it."""
        pieces = [
            f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
            for name, value in fields.items()
        ]
        for name, (filename, content, media_type) in files.items():
            said = f'Content-Disposition: form-data; name="{name}"; filename="{filename}"\r\nContent-Type: {media_type}'
            pieces += [f"--{BOUNDARY}\r\n{said}\r\n\r\n".encode(), content, b"\r\n"]
        body = b"".join([*pieces, f"--{BOUNDARY}--\r\n".encode()])
        known = base64.b64encode(":".join(login).encode()).decode()
        headers = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}", "Authorization": f"Basic {known}"}
        return cls.request("POST", path, headers, body)
