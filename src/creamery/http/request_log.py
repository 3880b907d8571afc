"""One line per request, gathered and written many at a time: through structlog a line costs 9 us, here about one."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import orjson

from creamery.clock import SECOND, Micros
from creamery.limits import KIB
from creamery.sections import Log
from creamery.telemetry import Lines, configure_logging

GATHERED_SECONDS = 0.05
GATHERED_BYTES = 64 * KIB


def begin_log(settings: Log) -> None:
    """Send the events of this process where the settings want them.

    Raises:
        LogUnwritable: their file cannot be opened.
    """
    stream = None if settings.file is None and settings.screen else Lines(settings.file, on_screen=settings.screen)
    configure_logging(as_json=is_json(settings), level=settings.level, stream=stream)


def access_log(settings: Log) -> AccessLog | None:
    """The log of requests as the settings want it; None where they want none.

    Raises:
        LogUnwritable: their file cannot be opened.
    """
    if not settings.requests or settings.level not in {"debug", "info"}:
        return None
    lines = Lines(settings.requests_file, on_screen=settings.screen)
    return AccessLog(lines.write_bytes, as_json=is_json(settings))


def is_json(settings: Log) -> bool:
    """Is the log written for programs? By default unless a person watches."""
    return settings.format == "json" or (settings.format == "auto" and not sys.stderr.isatty())


class AccessLog:
    """Lines of requests on their way to `write`, which gets whole lines; for the event loop's thread.

    Args:
        write: such as `sys.stderr.buffer.write`; flushes itself.
        as_json: one JSON object a line, or text for people.
    """

    def __init__(self, write: Callable[[bytes], object], *, as_json: bool) -> None:
        self._write = write
        self._render = _as_json if as_json else _as_text
        self._lines: list[bytes] = []
        self._bytes = 0
        self._flushing: asyncio.TimerHandle | None = None
        self._second = -1
        self._moment = ""

    def add(self, now: Micros, fields: dict[str, Any]) -> None:
        """Write a line soon. The fields are the log's own from here on: it adds when, and how much it matters."""
        second, micros = divmod(now, SECOND)
        if second != self._second:
            self._second = second
            self._moment = datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")
        fields["level"] = "info"
        fields["timestamp"] = f"{self._moment}.{micros:06}Z"
        line = self._render(fields)
        self._lines.append(line)
        self._bytes += len(line)
        if self._bytes >= GATHERED_BYTES:
            self.flush()
        elif self._flushing is None:
            self._flushing = asyncio.get_running_loop().call_later(GATHERED_SECONDS, self.flush)

    def flush(self) -> None:
        """Write what has gathered; called once more when the hub ends."""
        if self._flushing is not None:
            self._flushing.cancel()
            self._flushing = None
        lines, self._lines, self._bytes = self._lines, [], 0
        if lines:
            with contextlib.suppress(OSError):  # whoever read the log has gone; requests are answered all the same
                self._write(b"".join(lines))


def _as_json(fields: dict[str, Any]) -> bytes:
    return orjson.dumps(fields, default=str, option=orjson.OPT_APPEND_NEWLINE)


def _as_text(fields: dict[str, Any]) -> bytes:
    rest = " ".join(f"{key}={value}" for key, value in fields.items() if key not in _SHOWN)
    text = (
        f"{fields['timestamp'][11:19]} info    {fields['method']} {fields['path']} {fields['status']}"
        f" {fields['bytes']} B {fields['seconds'] * 1000:.1f} ms {rest}"
    )
    if not text.isprintable():  # an agent's name may hold what moves a terminal's cursor
        text = "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)
    return text.encode("utf-8") + b"\n"


_SHOWN = frozenset({"timestamp", "level", "event", "method", "path", "status", "bytes", "seconds"})
