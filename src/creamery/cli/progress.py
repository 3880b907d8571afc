"""A bar for people, on a terminal; elsewhere nothing. It goes to standard error, apart from what a command says."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


class Bar:
    """Shown from entering to leaving, once `begin` has said how much there is. `advance` may come from any thread."""

    def __init__(self, what: str, *, quiet: bool) -> None:
        self._what = what
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
        """So many bytes there are."""
        if not self._is_shown:
            return
        from rich.console import Console  # noqa: PLC0415 - 50 ms that only a terminal pays for
        from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn  # noqa: PLC0415

        columns = (self._what, BarColumn(), DownloadColumn(), TimeRemainingColumn())
        self._bar = Progress(*columns, console=Console(stderr=True))
        self._task = self._bar.add_task(self._what, total=size)
        self._bar.start()

    def advance(self, size: int) -> None:
        """So many more are done."""
        if self._bar is not None and self._task is not None:
            self._bar.advance(self._task, size)
