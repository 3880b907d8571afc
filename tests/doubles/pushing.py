"""Wheels on their way to the hub: as Curdling's client sends them, and as everybody else would."""

from __future__ import annotations

from typing import Any

import httpx2

from tests.doubles.distributions import Distribution
from tests.doubles.running import RunningHub
from tests.doubles.uploading import Auth

BOUNDARY = "d8a7e2c65d5f4b6fa7ba0c1e1d2f3a4b"


def curdling_form(filename: str, content: bytes, part: str | None = None) -> tuple[bytes, dict[str, str]]:
    """The body and headers of Curdling's PUT: urllib3's form with one part, which is called as the file is."""
    head = (
        f"--{BOUNDARY}\r\n"
        f'Content-Disposition: form-data; name="{part or filename}"; filename="{filename}"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n"
    )
    body = head.encode() + content + f"\r\n--{BOUNDARY}--\r\n".encode()
    return body, {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}


def push(hub: RunningHub, made: Distribution, auth: Auth | None, *, raw: bool = False, **more: Any) -> httpx2.Response:
    """PUT a wheel; `raw`: without a form. `filename`, `content` and `part` may lie."""
    filename, content = more.pop("filename", made.filename), more.pop("content", made.content)
    body, headers = (content, {}) if raw else curdling_form(filename, content, more.pop("part", None))
    known: Any = {} if auth is None else {"auth": auth}
    return hub.client.put(f"{hub.base}/w/p/{filename}", content=body, headers=headers, **known)
