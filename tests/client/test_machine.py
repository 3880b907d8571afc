"""What an installation needs of a machine, where a test cannot bring it about through the command."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from creamery.client import UnusableInput
from creamery.client.checks import Check, checked
from creamery.client.checkup import look_at_time
from creamery.client.machine import Machine, look_at_compiler, look_at_folders, look_at_python, look_at_uv

NOON = 1_767_268_800.0
"""2026-01-01 12:00:00 UTC."""


def states(checks: Iterator[Check]) -> list[tuple[str, str]]:
    return [(check.name, check.state) for check in checks]


@pytest.mark.parametrize("look", [look_at_uv, look_at_python, look_at_folders])
def test_without_uv_each_thing_that_needs_it_says_so_and_the_others_are_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, look: Callable[[Machine], Iterator[Check]]
) -> None:
    def nowhere() -> Path:
        raise UnusableInput("uv is not installed here.", "Install it.")

    monkeypatch.setattr("creamery.client.machine.find_uv", nowhere)

    found = checked("this", lambda: look(Machine({}, tmp_path, tuple)))

    assert found[-1] == Check("this", "wrong", "uv is not installed here.", "Install it.")
    assert [check.name for check in found[:-1]] == (["temporary folder"] if look is look_at_folders else [])


def test_a_look_that_fails_is_a_line_that_shows_nothing_of_why() -> None:
    def look(error: Exception) -> Iterator[Check]:
        yield Check("this", "ok", "here")
        raise error

    assert checked("this", lambda: look(RuntimeError("s3cret"))) == [
        Check("this", "ok", "here"),
        Check("this", "wrong", "this cannot be looked at: RuntimeError"),
    ]
    assert checked("this", lambda: look(OSError(5, "Input/output error", "s3cret")))[1].found.endswith(
        ": Input/output error"
    )


def test_little_room_is_warned_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    uv = tmp_path / "uv"
    uv.write_text(f"#!/bin/sh\necho {tmp_path}/cache/not/yet\n")
    uv.chmod(0o755)
    machine = Machine({"TMPDIR": str(tmp_path), "UV": str(uv)}, tmp_path, tuple)
    monkeypatch.setenv("UV", str(uv))

    assert {state for _, state in states(look_at_folders(machine))} == {"ok"}
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=999_999_999))
    assert states(look_at_folders(machine)) == [("temporary folder", "warning"), ("uv's cache", "warning")]
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize(
    ("compiler", "named", "state"),
    [("clang", "", "ok"), ("none", "", "note"), ("gcc", "gcc -O2", "ok"), ("gcc", "icc", "warning")],
)
def test_a_compiler_is_the_one_that_is_named_else_any(tmp_path: Path, compiler: str, named: str, state: str) -> None:
    (tmp_path / compiler).write_text("#!/bin/sh\n")
    (tmp_path / compiler).chmod(0o755)

    assert states(look_at_compiler(Machine({"PATH": str(tmp_path), "CC": named}, tmp_path, tuple))) == [
        ("compiler", state)
    ]


@pytest.mark.parametrize(
    ("place", "environ", "words"),
    [
        (["--python", "/a/python"], {}, "/a/python"),
        ([], {"UV_PYTHON": "3.99"}, "3.99"),
        ([], {}, ""),
    ],
)
def test_uv_is_asked_for_the_python_that_packages_go_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: list[str], environ: dict[str, str], words: str
) -> None:
    uv = tmp_path / "uv"
    uv.write_text('#!/bin/sh\nset -f\n[ "$4" != 3.99 ] && echo "$@"\n')
    uv.chmod(0o755)
    monkeypatch.setenv("UV", str(uv))

    (check,) = look_at_python(Machine(environ, tmp_path, lambda: place))

    if words == "3.99":
        assert (check.state, check.found) == ("wrong", "uv finds no Python that is 3.99")
    else:
        asked = " ".join(["python find --no-project", *filter(None, [words])])
        assert (check.state, check.found) == ("ok", f"packages go to {asked} ({asked} --show-version)")


@pytest.mark.parametrize(
    ("date", "state", "said"),
    [
        ("Thu, 01 Jan 2026 12:01:00 GMT", "ok", "agree"),
        ("Thu, 01 Jan 2026 12:01:01 GMT", "warning", "61 s behind"),
        ("Thu, 01 Jan 2026 11:58:00 -0000", "warning", "120 s ahead of"),
        ("", "note", "does not say"),
        ("yesterday", "note", "does not say"),
        ("Thu, 01 Jan 9999999999999 12:00:00 GMT", "note", "does not say"),
    ],
)
def test_clocks_may_differ_by_a_minute(date: str, state: str, said: str) -> None:
    check = look_at_time(date, NOON)

    assert check.state == state
    assert said in check.found
