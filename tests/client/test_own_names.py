"""What a hub says of its names is remembered as it should be, or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from creamery.client import Hub, NotAHub, UnusableInput, parse_address
from creamery.client.own_names import Memory, OwnNames
from tests.doubles.stub_hub import StubHub

SAID: dict[str, Any] = {"state": "1", "claimed": ["acme-tool"], "reserved": ["corp-*"]}


@pytest.fixture
def stub() -> Iterator[StubHub]:
    with StubHub() as stub:
        yield stub


@pytest.mark.parametrize(
    "wrong",
    [
        {"state": "\ud800"},
        {"claimed": ["a\n--index-url http://b"]},
        {"claimed": 5},
        {"claimed": [1]},
        {"reserved": [""]},
    ],
)
def test_what_no_hub_can_mean_is_not_remembered(wrong: dict[str, Any], stub: StubHub, tmp_path: Path) -> None:
    address, _ = parse_address(stub.url)
    memory, hub = Memory(address, tmp_path), Hub(address)
    stub.says("GET", "/w/v1/names", SAID)
    memory.learn(hub)
    stub.says("GET", "/w/v1/names?state=1", {**SAID, "state": "2", **wrong})

    with pytest.raises(NotAHub):
        memory.learn(hub)

    assert memory.recall() == (OwnNames(frozenset({"acme-tool"}), frozenset({"corp-*"})), "1")


@pytest.mark.parametrize("left", ["", '{"state": "1", "claimed": ["acme-', "[]"])
def test_half_a_memory_may_hold_any_name_until_the_hub_tells_them_again(
    left: str, stub: StubHub, tmp_path: Path
) -> None:
    address, _ = parse_address(stub.url)
    memory = Memory(address, tmp_path)
    stub.says("GET", "/w/v1/names", SAID)
    memory.learn(Hub(address))
    (file,) = tmp_path.iterdir()
    file.write_text(left)

    with pytest.raises(UnusableInput, match="cannot be read"):
        memory.recall()
    memory.learn(Hub(address))

    assert memory.recall()[0].has("acme-tool")
