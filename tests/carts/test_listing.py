"""What archives have, by `/api/v1/carts/archives`: folders, and the hub's own index."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.carts.conftest import FILES
from tests.doubles.carting import carting_hub, entry, ready
from tests.doubles.running import RunningHub
from tests.doubles.upstream import Upstream

ARCHIVES = "/api/v1/carts/archives"


@pytest.fixture
def listing(tmp_path: Path, folder: Path) -> Iterator[RunningHub]:
    """A hub with a folder, a server that cannot list, and an index that knows three projects, one of them denied."""
    with Upstream() as upstream:
        for name in ("demo", "other", "secret"):
            upstream.add(name, "1.0", upload_time="2024-05-06T07:08:09Z")
        upstream.add("demo", "2.0", upload_time=None)
        archives = (
            {"name": "disk", "kind": "directory", "path": str(folder)},
            {"name": "site", "kind": "web", "url": upstream.base},
        )
        index = {"upstreams": [upstream.url]}
        with carting_hub(tmp_path / "data", *archives, index=index) as hub:
            for name in ("demo", "other", "secret"):
                hub.page(name)
        with carting_hub(tmp_path / "data", *archives, index={**index, "deny": ["secret", "demo==1.0"]}) as hub:
            upstream.stop()
            yield hub


def test_archives_say_what_they_have(listing: RunningHub) -> None:
    def entries(name: str, folder: str = "") -> list[dict[str, Any]]:
        answer = listing.get(f"{ARCHIVES}/{name}/entries?folder={folder}")
        assert answer.status_code == 200, answer.text
        items: list[dict[str, Any]] = answer.json()["items"]
        return items

    wheel = "demo-2.0-py3-none-any.whl"
    known = {each["name"]: each["can_list"] for each in listing.get(ARCHIVES).json()["items"]}
    assert known == {"disk": True, "site": False, "index": True}
    assert [each["item"] for each in entries("disk")] == ["deep", "empty", "large.bin", "page.bin", "small.txt"]
    assert [each["kind"] for each in entries("disk", "deep")] == ["folder"]
    assert entries("disk", "deep/er")[0] | {"mtime": 0} == {
        "kind": "file",
        "item": "deep/er/small.txt",
        "name": "small.txt",
        "size": len(FILES["deep/er/small.txt"]),
        "mtime": 0,
    }
    assert [(each["kind"], each["item"]) for each in entries("index")] == [("folder", "demo"), ("folder", "other")]
    assert [(each["item"], each["mtime"]) for each in entries("index", "Demo")] == [(f"demo/{wheel}", None)]
    assert [each["mtime"] for each in entries("index", "other")] == [1_714_979_289]
    for path, status, says in (
        ("nowhere/entries", 404, "There are: disk, site, index."),
        ("site/entries", 409, "cannot say"),
        ("disk/entries?folder=nothing", 404, "nothing: "),
        ("disk/entries?folder=../data", 404, ""),
        ("index/entries?folder=secret", 404, "knows no such project"),
        ("index/entries?folder=-", 404, ""),
        ("disk/entries?limit=0", 422, ""),
    ):
        answer = listing.get(f"{ARCHIVES}/{path}")
        assert (answer.status_code, says in answer.text) == (status, True), answer.text


def test_a_long_folder_comes_in_pieces_and_what_is_listed_can_be_had(hub: RunningHub, folder: Path) -> None:
    with open(os.fsencode(folder) + b"/no-\xff-text", "wb"):  # noqa: PTH123 - a name that is no text
        pass
    items, after = [], ""
    for _ in range(10):
        more = f"&after={after}" if after else ""
        piece = hub.get(f"{ARCHIVES}/archive/entries?limit=2{more}").json()
        assert len(piece["items"]) <= 2
        items += piece["items"]
        after = piece["next"]
        if after is None:
            break

    files = [each["item"] for each in items if each["kind"] == "file"]
    assert [each["name"] for each in items] == ["deep", "empty", "large.bin", "page.bin", "small.txt"]
    assert ready(hub, [entry(name) for name in files])


def test_a_folder_that_is_not_mounted_is_away(hub: RunningHub, folder: Path) -> None:
    folder.rename(folder.with_name("elsewhere"))

    answer = hub.get(f"{ARCHIVES}/archive/entries")

    assert (answer.status_code, answer.headers["retry-after"]) == (503, "10")
    assert str(folder) not in answer.text


def test_whoever_may_not_read_the_index_sees_no_archive_of_it(tmp_path: Path, folder: Path) -> None:
    with carting_hub(tmp_path / "data", folder, index={"read": "users"}) as hub:
        names = [each["name"] for each in hub.get(ARCHIVES).json()["items"]]
        index, nowhere = (hub.get(f"{ARCHIVES}/{name}/entries") for name in ("index", "xedni"))

    assert names == ["archive"]
    assert index.status_code == nowhere.status_code == 404
    assert index.json()["detail"] == nowhere.json()["detail"].replace("xedni", "index")


@pytest.mark.parametrize("path", [ARCHIVES, f"{ARCHIVES}/archive/entries"])
def test_behind_a_proxy_strangers_are_told_nothing(hub: RunningHub, path: str) -> None:
    assert hub.client.get(f"{hub.base}{path}", headers={"X-Forwarded-For": "10.0.0.1"}).status_code == 401
    assert hub.get(path).status_code == 401
