"""A hub with carts, and what is asked of it."""

from __future__ import annotations

import hashlib
import json
import time
import uuid
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import httpx2

from tests.doubles.running import RunningHub


def carting_hub(data: Path, *archives: str | Path | Mapping[str, Any], **settings: Any) -> RunningHub:
    """A hub with these archives; its index has no upstream, where `index` names none."""
    carts = {"archives": [each if isinstance(each, Mapping) else str(each) for each in archives]}
    carts |= settings.pop("carts", {})
    index = {"upstreams": [], **settings.pop("index", {})}
    return RunningHub(data, index=index, carts=carts, **settings)


def entry(item: str | int, path: str | None = None, content: bytes | None = None, kind: str = "sha1") -> dict[str, Any]:
    """A file of a cart; with its content it is verified."""
    digest = "" if content is None else hashlib.new(kind, content).hexdigest()
    return {"id": item, "path": f"{item}" if path is None else path, "hashtype": kind, "hashsum": digest}


def post(hub: RunningHub, entries: Iterable[Mapping[str, Any]], uid: str | None = None, **more: Any) -> str:
    """Make a cart, and return its name.

    Raises:
        AssertionError: it is refused.
    """
    uid = uid or str(uuid.uuid4())
    headers = more.pop("headers", {})
    body = json.dumps({"fileids": list(entries), **more}).encode()
    answer = hub.client.post(f"{hub.base}/{uid}", content=body, headers=headers)
    assert answer.status_code == 201, answer.text
    assert answer.json() == {"message": "Cart Processing has begun"}
    return uid


def head(hub: RunningHub, uid: str) -> httpx2.Response:
    return hub.client.head(f"{hub.base}/{uid}")


def wait_for(hub: RunningHub, uid: str, seconds: float = 20.0) -> httpx2.Response:
    """As the original's clients do: until it is ready, or has failed; the last answer to HEAD."""
    deadline = time.monotonic() + seconds
    while True:
        answer = head(hub, uid)
        if answer.status_code != 202:
            return answer
        assert time.monotonic() < deadline, dict(answer.headers)
        time.sleep(0.01)


def ready(hub: RunningHub, entries: Iterable[Mapping[str, Any]], **more: Any) -> str:
    """A cart that is ready."""
    uid = post(hub, entries, **more)
    answer = wait_for(hub, uid)
    assert answer.status_code == 204, dict(answer.headers)
    return uid
