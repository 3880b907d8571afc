"""Who sends large bodies, and many small ones."""

from __future__ import annotations

import base64
import os
import socket
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from benchmarks.clients import HEAD_END, PIECE
from benchmarks.processes import CannotMeasure, Server

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

    def send(self, request: bytes, *right: int) -> float:
        """Seconds until the answer has come; `right`: which statuses are none of errors, beside 200, 201 and 204.

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
        if not answer.startswith(tuple(b"HTTP/1.1 %d" % status for status in (200, 201, 204, *right))):
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


def seconds_of_many(hub: Server, requests: Sequence[bytes], senders: int) -> float:
    """Seconds until all requests are answered, sent over so many connections.

    Raises:
        CannotMeasure: an answer is an error.
    """
    failures: list[Exception] = []

    def send(share: Sequence[bytes]) -> None:
        try:
            with Sender(hub.base) as sender:
                for request in share:
                    sender.send(request)
        except Exception as error:  # noqa: BLE001 - handed to the thread that measures
            failures.append(error)

    threads = [threading.Thread(target=send, args=(requests[number::senders],)) for number in range(senders)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise CannotMeasure(str(failures[0]))
    return time.perf_counter() - began


def raw_seconds(folder: Path, files: Mapping[str, bytes]) -> float:
    """Seconds in which one thread writes files, each synced, and the folder after each."""
    folder.mkdir()
    began = time.perf_counter()
    descriptor = os.open(folder, os.O_RDONLY)
    for name, content in files.items():
        with (folder / name).open("wb") as out:
            out.write(content)
            out.flush()
            os.fsync(out.fileno())
        os.fsync(descriptor)
    os.close(descriptor)
    return time.perf_counter() - began
