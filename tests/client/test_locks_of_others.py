"""What uv is told of other indexes, so that locks of theirs hold below `creamery run`."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from creamery.client.locks_of_others import variables_for_locks

HUB = "http://hub.example"
LOCK = 'version = 1\n[[package]]\nname = "a"\nsource = {{ registry = "{index}" }}\n'


def told(folder: Path, *command: str, **own: str) -> dict[str, Any]:
    """What uv reads where the system has its configuration."""
    run = folder / "run"
    run.mkdir()
    folders = variables_for_locks(str(run), HUB, command, {"XDG_CONFIG_DIRS": str(folder / "etc"), **own})
    first, _, others = folders["XDG_CONFIG_DIRS"].partition(":")
    assert others == str(folder / "etc")
    return tomllib.loads(Path(first, "uv", "uv.toml").read_text())


def test_locks_here_above_and_where_the_command_works_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, index in (("", "https://a.example/s"), ("here/", f"{HUB}/w/i/"), ("there/", "https://b.example/s")):
        (tmp_path / name).mkdir(exist_ok=True)
        (tmp_path / name / "uv.lock").write_text(LOCK.format(index=index))
    monkeypatch.chdir(tmp_path / "here")

    indexes = told(tmp_path, "uv", f"--project={tmp_path / 'there'}", "sync")["index"]

    assert [each["url"] for each in indexes] == ["https://a.example/s", "https://b.example/s"]
    assert all(each["explicit"] and each["name"] for each in indexes)


@pytest.mark.parametrize(
    "said", ["https://ann:secret@own.example/s", "own=https://own.example/s", "https://own.example/s"]
)
def test_the_index_that_would_be_asked_without_the_hub_is_told_without_its_password(said: str, tmp_path: Path) -> None:
    found = told(tmp_path, "uv", "sync", UV_DEFAULT_INDEX=said)

    assert [each["url"] for each in found["index"]] == ["https://own.example/s"]


def test_what_the_system_says_goes_on_counting(tmp_path: Path) -> None:
    (tmp_path / "etc" / "uv").mkdir(parents=True)
    theirs = tmp_path / "etc" / "uv" / "uv.toml"
    theirs.write_text('[[index]]\nurl = "https://theirs.example/s"\n[pip]\nno-build = true')
    own = {"UV_DEFAULT_INDEX": "https://own.example/s"}
    found = told(tmp_path, "uv", "sync", **own)
    theirs.write_text('index = [{ url = "https://theirs.example/s" }]')

    assert [each["url"] for each in found["index"]] == ["https://theirs.example/s", "https://own.example/s"]
    assert found["pip"] == {"no-build": True}
    assert variables_for_locks(str(tmp_path), HUB, (), {"XDG_CONFIG_DIRS": str(tmp_path / "etc"), **own}) == {}
