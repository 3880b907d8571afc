"""Operation on the wire.

| path | answer |
|---|---|
| `/healthz` | 200 as long as the process answers at all |
| `/readyz` | 200 when nothing hinders the hub, else 503; what each check found |
| `/metrics` | Prometheus's text format |
| `/robots.txt` | nothing here is for search engines |
"""

from __future__ import annotations

from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from creamery import __version__
from creamery.door import Health
from creamery.http import PUBLIC, BytesResponse, RawHeaders, Route, exchange_of
from creamery.operations.health import Readiness
from creamery.operations.metrics import CONTENT_TYPE, Metrics

_UNCACHED = (b"cache-control", b"no-store")
_JSON: RawHeaders = ((b"content-type", b"application/json"), _UNCACHED)
_METRICS: RawHeaders = ((b"content-type", CONTENT_TYPE.encode("ascii")), _UNCACHED)
_TEXT: RawHeaders = ((b"content-type", b"text/plain; charset=utf-8"),)


class Routes:
    """The endpoints."""

    def __init__(self, readiness: Readiness, metrics: Metrics) -> None:
        self._readiness = readiness
        self._metrics = metrics

    def table(self) -> tuple[Route, ...]:
        """What is answered."""
        return (
            Route(("GET",), "/healthz", self.healthz, PUBLIC),
            Route(("GET",), "/readyz", self.readyz, PUBLIC),
            Route(("GET",), "/metrics", self.metrics, PUBLIC),
            Route(("GET",), "/robots.txt", self.robots, PUBLIC),
        )

    async def healthz(self, _: Request) -> Response:
        """200 as long as the process answers at all."""
        return BytesResponse(orjson.dumps({"status": "ok", "version": __version__}), _JSON)

    async def readyz(self, _: Request) -> Response:
        """200 when nothing hinders the hub, else 503; what each check found."""
        report = await self._readiness.report()
        status = "ready" if report.is_ready else "hindered"
        body = orjson.dumps({"status": status, "checks": [_shown(check) for check in report.checks]})
        return BytesResponse(body, _JSON, 200 if report.is_ready else 503)

    async def metrics(self, request: Request) -> Response:
        """All metrics, in Prometheus's text format."""
        pools = exchange_of(request).hub.pools
        return BytesResponse(await pools.cpu.run(self._metrics.exposition), _METRICS)

    async def robots(self, _: Request) -> Response:
        """Nothing here is for search engines."""
        return BytesResponse(b"User-agent: *\nDisallow: /\n", _TEXT)


def _shown(check: Health) -> dict[str, Any]:
    return {"name": check.name, "ok": check.ok, "hinders": check.hinders, "detail": check.detail}
