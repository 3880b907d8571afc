"""Editors that live in browsers: pages of listed origins may read answers, and others may not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from tests.doubles.dav import Dav
from tests.doubles.running import RunningHub

NOTES = "app://obsidian.md"
ALLOWED = "access-control-allow-origin"


@pytest.fixture
def dav(tmp_path: Path) -> Iterator[Dav]:
    """At a hub that knows an editor's origin."""
    with RunningHub(tmp_path, index={"upstreams": []}, hive={"cors": (NOTES,)}) as hub:
        yield Dav(hub)


def preflight(dav: Dav, origin: str) -> httpx2.Response:
    """What a browser asks before a page's script may ask: without credentials."""
    headers = {"Origin": origin, "Access-Control-Request-Method": "PROPFIND"}
    return dav.hub.client.request("OPTIONS", dav.base + "/a", headers=headers)


def test_a_listed_page_may_ask_and_read(dav: Dav) -> None:
    asked = preflight(dav, NOTES)
    made = dav("PUT", "/a", "one", Origin=NOTES)

    assert (asked.status_code, asked.headers[ALLOWED]) == (204, NOTES)
    assert "PROPFIND" in asked.headers["access-control-allow-methods"]
    assert "authorization" in asked.headers["access-control-allow-headers"]
    assert made.headers[ALLOWED] == NOTES
    assert "ETag" in made.headers["access-control-expose-headers"]


def test_it_reads_errors_too(dav: Dav) -> None:
    missing = dav("GET", "/missing", Origin=NOTES)
    unknown = dav.hub.client.request("GET", dav.base + "/a", headers={"Origin": NOTES})

    assert (missing.status_code, missing.headers[ALLOWED]) == (404, NOTES)
    assert (unknown.status_code, unknown.headers[ALLOWED]) == (401, NOTES)


def test_never_with_cookies_and_never_for_others(dav: Dav) -> None:
    answers = [preflight(dav, NOTES), preflight(dav, "https://elsewhere.example"), dav("GET", "/missing")]

    assert all("access-control-allow-credentials" not in each.headers for each in answers)
    assert [ALLOWED in each.headers for each in answers] == [True, False, False]
    assert all("Origin" in each.headers["vary"] for each in answers)


def test_by_default_no_page_elsewhere_reads_anything(alice: Dav) -> None:
    assert ALLOWED not in preflight(alice, NOTES).headers
    assert ALLOWED not in alice("GET", "/missing", Origin=NOTES).headers
