"""The lines of requests: gathered, written together, readable by programs or by people."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import orjson
import pytest

from creamery.clock import Micros
from creamery.http import AccessLog, access_log
from creamery.sections import Log
from creamery.telemetry import LogUnwritable

pytestmark = pytest.mark.anyio

MOMENT = Micros(1_700_000_000_123_456)


def fields(**others: Any) -> dict[str, Any]:
    return {"event": "request", "method": "GET", "path": "/p", "status": 200, "bytes": 5, "seconds": 0.25, **others}


async def test_lines_are_written_together_a_moment_later() -> None:
    written: list[bytes] = []
    log = AccessLog(written.append, as_json=True)

    log.add(MOMENT, fields(id="a"))
    log.add(MOMENT, fields(id="b"))
    at_once = list(written)
    await asyncio.sleep(0.1)

    assert at_once == []
    assert len(written) == 1
    assert [orjson.loads(line)["id"] for line in written[0].splitlines()] == ["a", "b"]
    assert orjson.loads(written[0].splitlines()[0])["timestamp"] == "2023-11-14T22:13:20.123456Z"


async def test_many_lines_do_not_wait() -> None:
    written: list[bytes] = []
    log = AccessLog(written.append, as_json=True)

    for _ in range(100):
        log.add(MOMENT, fields(agent="x" * 1_000))

    assert len(written) == 1


async def test_text_is_for_people_and_one_line_each() -> None:
    written: list[bytes] = []
    log = AccessLog(written.append, as_json=False)

    log.add(MOMENT, fields(client="127.0.0.1", agent="pip"))
    log.flush()

    assert written == [b"22:13:20 info    GET /p 200 5 B 250.0 ms client=127.0.0.1 agent=pip\n"]


async def test_no_client_moves_the_cursor_of_who_reads_along() -> None:
    written: list[bytes] = []
    log = AccessLog(written.append, as_json=False)

    log.add(MOMENT, fields(agent="\x9b2J\x1b[2J"))
    log.flush()

    assert written[0].decode().rstrip("\n").isprintable()


async def test_a_log_that_nobody_reads_any_more_harms_no_request() -> None:
    def broken(_: bytes) -> None:
        raise BrokenPipeError

    log = AccessLog(broken, as_json=True)

    log.add(MOMENT, fields())
    log.flush()


async def test_lines_are_written_unless_the_settings_want_none() -> None:
    assert access_log(Log(format="json")) is not None
    assert access_log(Log(requests=False)) is None
    assert access_log(Log(level="warning")) is None


async def test_lines_go_to_a_file_as_well_or_instead(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """And to a new one, where somebody has moved it away."""
    path = tmp_path / "requests.log"

    for screen in (True, False):
        log = access_log(Log(format="json", requests_file=path, screen=screen))
        assert log is not None
        for name in ("first", "second"):
            log.add(MOMENT, fields(id=name))
            log.flush()
            path.rename(tmp_path / f"{name}-{screen}.log")

    for name in ("first", "second"):
        for screen in (True, False):
            assert orjson.loads((tmp_path / f"{name}-{screen}.log").read_bytes())["id"] == name
    assert [orjson.loads(line)["id"] for line in capfd.readouterr().err.splitlines()] == ["first", "second"]


async def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(LogUnwritable, match=r"gone/requests\.log cannot be written: No such file"):
        access_log(Log(requests_file=tmp_path / "gone" / "requests.log"))
