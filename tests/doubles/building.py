"""Builds as their builders tell the hub of them: records, wheels and logs."""

from __future__ import annotations

import json
from typing import Any, Protocol

import httpx2

from creamery.contract import Digest, read_build
from tests.doubles.distributions import Distribution
from tests.doubles.uploading import Auth

SOURCE = "5" * 64


def build_of(source: str = SOURCE, **changes: Any) -> dict[str, Any]:
    """What decides about a wheel's bytes."""
    plain = {
        "schema": 1,
        "source": {"kind": "sdist", "sha256": source},
        "python": {"tag": "cp311", "abi": "cp311"},
        "platform": {"system": "linux", "architecture": "x86_64", "libc": "glibc 2.36"},
    }
    return {**plain, **changes}


def key_of(build: dict[str, Any]) -> Digest:
    """What it is found by."""
    return read_build(build).key()


class Asked(Protocol):
    """A hub, wherever it runs."""

    base: str
    client: httpx2.Client


def put_entry(
    hub: Asked,
    made: Distribution,
    auth: Auth | None,
    build: dict[str, Any] | None = None,
    *,
    log: str | None = None,
    **lies: Any,
) -> httpx2.Response:
    """PUT a wheel with its record; `key`, `record`, `filename`, `content` and `provenance` may lie."""
    build = build_of() if build is None else build
    key = lies.get("key") or key_of(build)
    record = lies.get("record")
    if record is None:
        record = {"schema": 1, "build": build, "provenance": lies.get("provenance", {"seconds": 12.5})}
    text = record if isinstance(record, str) else json.dumps(record)
    fields = {"record": text} | ({} if log is None else {"log": log})
    files = {"wheel": (lies.get("filename", made.filename), lies.get("content", made.content))}
    known: Any = {} if auth is None else {"auth": auth}
    return hub.client.put(f"{hub.base}/w/v1/entries/{key}", data=fields, files=files, **known)


def put_failure(hub: Asked, key: str, auth: Auth, *, log: str | None = None, **changes: Any) -> httpx2.Response:
    """PUT that a build has failed."""
    record = {"project": "acme", "version": "1.0", "kind": "backend", "reason": "gcc ended with 1", **changes}
    fields = {"record": json.dumps(record)} | ({} if log is None else {"log": log})
    files = {name: (None, value) for name, value in fields.items()}
    return hub.client.put(f"{hub.base}/w/v1/failures/{key}", files=files, auth=auth)
