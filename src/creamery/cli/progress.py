"""A bar for people, on a terminal; elsewhere nothing. It goes to standard error, apart from what a command says."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import TYPE_CHECKING, Literal, Self

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


class Bar:
    """Shown from entering to leaving, once `begin` has said how much there is. `advance` may come from any thread."""

    def __init__(self, what: str, *, quiet: bool, counts: Literal["bytes", "files"] = "bytes") -> None:
        self._what = what
        self._counts = counts
        self._is_shown = not quiet and sys.stderr.isatty()
        self._bar: Progress | None = None
        self._task: TaskID | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def begin(self, size: int) -> None:
        """So much there is."""
        if not self._is_shown:
            return
        from rich.console import Console  # noqa: PLC0415 - 50 ms that only a terminal pays for
        from rich.progress import (  # noqa: PLC0415
            BarColumn,
            DownloadColumn,
            MofNCompleteColumn,
            Progress,
            TimeRemainingColumn,
        )

        counted = DownloadColumn() if self._counts == "bytes" else MofNCompleteColumn()
        columns = ("{task.description}", BarColumn(), counted, TimeRemainingColumn())
        self._bar = Progress(*columns, console=Console(stderr=True))
        self._task = self._bar.add_task(self._what, total=size)
        self._bar.start()

    def advance(self, size: int) -> None:
        """So many more are done."""
        if self._bar is not None and self._task is not None:
            self._bar.advance(self._task, size)

    def at(self, done: int, of: int, *, what: str | None = None) -> None:
        """So much is done, of as much as there turns out to be; `what` stands before the bar from now on."""
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=done, total=of, description=what)
