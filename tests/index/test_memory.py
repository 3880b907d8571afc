"""What fails leaves nothing in memory: no body, no part file, even while no garbage is collected."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from creamery.blobs import Part
from creamery.egress.decoding import Decoder
from tests.doubles.running import hub_over
from tests.doubles.upstream import Upstream, close_at, endless_json, wrong_bytes


@pytest.fixture
def no_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def _watched(monkeypatch: pytest.MonkeyPatch, kind: type, name: str) -> list[weakref.ref[Any]]:
    """Weak references to every object of a kind on which a method is called."""
    seen: list[weakref.ref[Any]] = []
    method: Callable[..., Any] = getattr(kind, name)

    def watching(self: Any, *arguments: Any) -> Any:
        seen.append(weakref.ref(self))
        return method(self, *arguments)

    monkeypatch.setattr(kind, name, watching)
    return seen


@pytest.mark.usefixtures("no_collector")
def test_a_page_that_is_too_large_is_let_go(
    upstream: Upstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bodies = _watched(monkeypatch, Decoder, "feed")
    upstream.misbehave("/simple/endless/", endless_json())

    with hub_over(upstream, tmp_path, upstream_page_bytes=200_000) as hub:
        assert hub.get("/simple/endless/").status_code == 503
        hub.wait_until(lambda: bool(bodies) and all(body() is None for body in bodies))


@pytest.mark.usefixtures("no_collector")
@pytest.mark.parametrize("trouble", [wrong_bytes(), close_at(0.9)])
def test_a_file_that_fails_is_let_go(
    upstream: Upstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trouble: Any
) -> None:
    made = upstream.add("big", "1.0", size=300_000)
    parts = _watched(monkeypatch, Part, "write")
    upstream.misbehave(upstream.path_of(made.filename), trouble)

    with hub_over(upstream, tmp_path, upstream_attempts=2) as hub:
        hub.page("big")
        with pytest.raises(httpx2.RemoteProtocolError):
            hub.get(f"/i/big/{made.filename}")
        hub.wait_until(lambda: bool(parts) and all(part() is None for part in parts))
