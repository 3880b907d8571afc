"""Log events with fields, and metrics. Never a secret in either.

An event is a name and fields: `log.warning("upstream.dead", upstream="...", error="...")`. A metric is declared by
the room that counts, through the hub's `Telemetry`, and scraped from `/metrics`.
"""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, TextIO, cast

import orjson
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

# structlog would import rich, where that is installed, for tracebacks that nobody here draws: 5 MiB of every hub.
_HAS_RICH = "rich" in sys.modules
if not _HAS_RICH:
    sys.modules["rich"] = cast("ModuleType", None)  # "not installed", for as long as the next import takes
import structlog  # noqa: E402

if not _HAS_RICH:
    del sys.modules["rich"]

LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}

log: structlog.typing.FilteringBoundLogger = cast("structlog.typing.FilteringBoundLogger", structlog.get_logger())
"""Where every room writes its events."""


class Telemetry:
    """The metrics of one hub; a name is declared once, asking again in the same way returns the same metric.

    Raises:
        ValueError: a name is declared a second time in another way.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry(auto_describe=False)
        self._metrics: dict[str, tuple[Counter | Gauge | Histogram, object]] = {}

    def counter(self, name: str, help_text: str, labels: Sequence[str] = ()) -> Counter:
        """Something that only grows; the name goes without `creamery_` and `_total`."""
        return cast("Counter", self._once(Counter, name, help_text, labels))

    def gauge(self, name: str, help_text: str, labels: Sequence[str] = ()) -> Gauge:
        """Something that goes up and down."""
        return cast("Gauge", self._once(Gauge, name, help_text, labels))

    def histogram(self, name: str, help_text: str, labels: Sequence[str] = ()) -> Histogram:
        """How long or how large, in buckets."""
        return cast("Histogram", self._once(Histogram, name, help_text, labels))

    def counted(self) -> list[tuple[str, dict[str, str], float]]:
        """What the counters have counted, for `add` of another process's."""
        return [
            (name, sample.labels, sample.value)
            for name, (metric, _) in self._metrics.items()
            if isinstance(metric, Counter)
            for family in metric.collect()
            for sample in family.samples
            if sample.name.endswith("_total")
        ]

    def add(self, counted: Sequence[tuple[str, dict[str, str], float]]) -> None:
        """Count what another process has counted with the same metrics."""
        for name, labels, value in counted:
            metric = cast("Counter", self._metrics[name][0])
            (metric.labels(**labels) if labels else metric).inc(value)

    def exposition(self) -> bytes:
        """All metrics in Prometheus's text format."""
        return generate_latest(self.registry)

    def _once(
        self, kind: type[Counter] | type[Gauge] | type[Histogram], name: str, help_text: str, labels: Sequence[str]
    ) -> Counter | Gauge | Histogram:
        metric, shape = self._metrics.get(name), (kind, tuple(labels))
        if metric is None:
            made = kind(f"creamery_{name}", help_text, labels, registry=self.registry)
            self._metrics[name] = metric = (made, shape)
        if metric[1] != shape:
            raise ValueError(f"the metric {name} is declared twice, with other labels or of another kind")
        return metric[0]


def configure_logging(*, as_json: bool, level: str, stream: TextIO | Lines | None = None) -> None:
    """Send every event to `stream` (standard error), one line each; called once, by the process that starts.

    Libraries' own log records of level warning and above arrive as events named `library`.
    """
    out = stream if stream is not None else sys.stderr
    renderer: structlog.typing.Processor = _render_json if as_json else _render_text
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        logger_factory=structlog.PrintLoggerFactory(cast("TextIO", out)),
        cache_logger_on_first_use=True,
    )
    root = logging.getLogger()
    root.handlers = [_LibraryRecords()]
    root.setLevel(logging.WARNING)


def configure_command_logging() -> None:
    """Send warnings and errors to standard error: a command's standard output is its answer, which programs read."""
    structlog.configure(
        processors=[structlog.processors.add_log_level, structlog.processors.TimeStamper(fmt="iso"), _render_text],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS["warning"]),
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
        cache_logger_on_first_use=False,  # whoever calls a command in a process of its own may hear others
    )


class LogUnwritable(Exception):
    """The log's file cannot be written; the text names it and says why."""


class Lines:
    """Where a log's lines go: standard error, a file, both, or nowhere. For any thread, one at a time.

    The file is opened anew each time, so that it may be moved away at any time, as programs do that rotate logs.

    Raises:
        LogUnwritable: the file cannot be opened.
    """

    def __init__(self, path: Path | None, *, on_screen: bool) -> None:
        self._path = path
        try:
            self._append(b"")
        except OSError as error:
            raise LogUnwritable(f"the log's file {path} cannot be written: {error.strerror}") from error
        self._on_screen = on_screen
        self._text = ""

    def write(self, text: str) -> int:
        """Some of a line; `flush` ends it."""
        self._text += text
        return len(text)

    def flush(self) -> None:
        """Write what there is."""
        text, self._text = self._text, ""
        self.write_bytes(text.encode("utf-8", "backslashreplace"))

    def write_bytes(self, lines: bytes) -> None:
        """Write whole lines at once."""
        with contextlib.suppress(OSError):  # its disk is full, say: that is no reason not to serve
            self._append(lines)
        if self._on_screen:
            sys.stderr.buffer.write(lines)
            sys.stderr.buffer.flush()

    def _append(self, lines: bytes) -> None:
        if self._path is not None:
            with self._path.open("ab", buffering=0) as file:
                file.write(lines)


class _LibraryRecords(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        log.log(record.levelno, "library", logger=record.name, message=record.getMessage(), exc_info=record.exc_info)


def _render_json(_: Any, __: str, event: structlog.typing.EventDict) -> str:
    return orjson.dumps(event, default=str).decode()


def _render_text(_: Any, __: str, event: structlog.typing.EventDict) -> str:
    moment, level, name = event.pop("timestamp"), event.pop("level"), event.pop("event")
    trouble = event.pop("exception", None)
    fields = " ".join(f"{key}={value}" for key, value in event.items())
    line = f"{moment[11:19]} {level:<7} {name} {fields}".rstrip()
    return f"{line}\n{trouble}" if trouble else line
