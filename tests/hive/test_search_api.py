"""`GET /api/v1/hive/search`: within what whoever asks may see, and what is alive."""

from __future__ import annotations

from typing import Any

from tests.doubles.dav import Dav
from tests.doubles.running import RunningHub


def found(dav: Dav, **asked: str) -> Any:
    """The paths that a search finds."""
    answer = dav.hub.client.get(f"{dav.hub.base}/api/v1/hive/search", params=asked, auth=dav.auth)
    assert answer.status_code == 200, answer.text
    return [each["path"] for each in answer.json()["items"]]


def test_a_part_of_a_name_finds_it_whatever_its_case_and_accents(hub: RunningHub, alice: Dav) -> None:
    alice.folder("/Photos")
    alice.put("/Photos/C%C3%A9line.JPG", "x" * 100)
    alice.put("/celine.txt", "x")
    alice.put("/other", "x")
    alice.put("/deleted celine", "x")
    alice("DELETE", "/deleted celine")
    Dav(hub, "bob").put("/celine of bob")

    assert found(alice, name="CELINE") == ["/Photos/C\u00e9line.JPG", "/celine.txt"]
    assert found(alice, name="celine", least_size="50") == ["/Photos/C\u00e9line.JPG"]
    assert found(alice, kind="folder") == ["/Photos"]
    assert found(alice, until="2001-01-01T00:00:00Z") == []
    assert len(found(alice, limit="1")) == 1


def test_nobody_searches_without_being_known(hub: RunningHub, alice: Dav) -> None:
    alice.put("/a")

    assert hub.client.get(f"{hub.base}/api/v1/hive/search").status_code == 401
