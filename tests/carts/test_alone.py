"""A server of carts alone: what it answers, and what it leaves alone."""

from __future__ import annotations

from pathlib import Path

from creamery.hub import BuiltHub, build, carts_alone, offline_holders
from creamery.settings import load_settings


def alone(data: Path) -> BuiltHub:
    return build(load_settings(data=data, index={"upstreams": []}), carts_alone)


def test_only_carts_are_answered(tmp_path: Path) -> None:
    doors = {door.name: door for door in alone(tmp_path).doors}

    assert [name for name, door in doors.items() if door.routes] == ["carts"]
    assert {route.needs.action for route in doors["carts"].routes} == {"carts:use", "carts:manage", "hub:see"}
    assert not [kind for door in doors.values() for kind in door.handlers if kind.startswith("index")]


def test_what_other_doors_refer_to_is_not_swept_away(tmp_path: Path) -> None:
    """A hub's data may be served in this way for a while."""
    held = {holder.name for door in alone(tmp_path).doors for holder in door.holders}

    assert held == {holder.name for holder in offline_holders()}
