"""What `creamery install` asks beside keys: the hub's own names, and which versions have built wheels."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from creamery.accounts import Scope
from tests.doubles.building import build_of, put_entry
from tests.doubles.distributions import wheel
from tests.doubles.hosted import host
from tests.doubles.running import RunningHub
from tests.doubles.uploading import token_of


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[RunningHub]:
    with RunningHub(tmp_path / "data", index={"upstreams": [], "reserved": ["Corp_*"]}) as started:
        yield started


def names(hub: RunningHub, query: str = "") -> dict[str, Any]:
    told: dict[str, Any] = hub.get(f"/w/v1/names{query}").json()
    return told


def test_the_hubs_own_names_are_told_and_again_only_if_they_changed(hub: RunningHub) -> None:
    before = names(hub)
    token_of(hub, "ann")
    host(hub, "acme-tool", owner="ann")
    after = names(hub, f"?state={before['state']}")

    assert (before["claimed"], before["reserved"]) == ([], ["corp-*"])
    assert (after["claimed"], after["reserved"]) == (["acme-tool"], ["corp-*"])
    assert names(hub, f"?state={after['state']}") == {"state": after["state"]}


def test_who_may_not_read_the_index_is_told_no_names(tmp_path: Path) -> None:
    closed = {"upstreams": [], "reserved": ["corp-*"], "read": "users"}
    with RunningHub(tmp_path / "data", index=closed) as hub:
        token = token_of(hub, "ann", [Scope("index:read"), Scope("wheels:read")])

        told = hub.client.get(f"{hub.base}/w/v1/names", auth=token).json()

        assert names(hub)["reserved"] == []
        assert told["reserved"] == ["corp-*"]


def test_built_wheels_of_versions_are_told_to_whoever_sees_their_ring(hub: RunningHub) -> None:
    main = token_of(hub, "ann", [Scope("wheels:push"), Scope("wheels:read")])
    branch = token_of(hub, "ben", [Scope("wheels:push:pr-1"), Scope("wheels:read")])
    put_entry(hub, wheel("acme", "1.0"), main, build_of("1" * 64))
    put_entry(hub, wheel("acme", "2.0"), branch, build_of("2" * 64))
    asked = {"versions": [["Acme", "1"], ["acme", "2.0"], ["other", "1"]]}

    def known(auth: tuple[str, str] | None) -> list[tuple[str, float]]:
        given: Any = {} if auth is None else {"auth": auth}
        told = hub.client.post(f"{hub.base}/w/v1/known", json=asked, **given).json()
        return [(each["filename"], each["seconds"]) for each in told["wheels"]]

    assert known(None) == known(main) == [("acme-1.0-py3-none-any.whl", 12.5)]
    assert [name for name, _ in known(branch)] == ["acme-1.0-py3-none-any.whl", "acme-2.0-py3-none-any.whl"]


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ("{", 400, "cannot be read"),
        ("[]", 400, "cannot be read"),
        ('{"versions": [["a"]]}', 400, "cannot be read"),
        ('{"versions": [["a", "no version"]]}', 400, "cannot be read"),
        ('{"versions": [["../a", "1"]]}', 400, "cannot be read"),
        ('{"versions": [' + ",".join(['["a", "1"]'] * 1_001) + "]}", 413, "limits.wheel_keys"),
        ('{"versions": [["' + "a" * 700_000 + '", "1"]]}', 413, "limits.wheel_keys"),
    ],
)
def test_versions_that_are_none_are_refused(body: str, status: int, said: str, hub: RunningHub) -> None:
    answer = hub.client.post(f"{hub.base}/w/v1/known", content=body)

    assert (answer.status_code, said in answer.text) == (status, True)
