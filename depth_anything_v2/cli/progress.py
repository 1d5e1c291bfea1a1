"""Progress of a job: a bar with the time left on a terminal, one line per input elsewhere."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import TYPE_CHECKING, Any

from depth_anything_v2.cli.common import printable, say

if TYPE_CHECKING:
    from depth_anything_v2.jobs.report import ItemResult


class JobProgress:
    """A context manager; `on_result` is for `run_job`. Failures are shown as they come, in quiet mode, too."""

    def __init__(self, total: int, *, quiet: bool = False) -> None:
        self._total, self._quiet = total, quiet
        self._bar: Any = None
        self._task: Any = None

    def __enter__(self) -> JobProgress:
        if not self._quiet and sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

            self._bar = Progress(
                BarColumn(),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
                TextColumn("{task.description}", markup=False),
                console=Console(stderr=True),
                transient=True,
            )
            self._task = self._bar.add_task("", total=self._total)
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def on_result(self, result: ItemResult, finished: int, total: int) -> None:
        """Show one result."""
        if result.status == "failed" and not result.ended_job:  # the error that ends a job is said at its end
            self._line(f"failed: {result.message}")
        elif result.status != "failed" and self._bar is None and not self._quiet:
            where = f" -> {result.outputs[0]}" if result.outputs else ""
            how = "skipped, done before" if result.status == "skipped" else f"{result.seconds:.2f} s"
            say(f"[{finished}/{total}] {result.source}{where} ({how})", sys.stderr)
        for note in () if self._quiet else result.notes:
            self._line(f"note: {result.source}: {note}")
        if self._bar is not None:
            self._bar.update(self._task, completed=finished, description=printable(result.source, sys.stderr))

    def _line(self, text: str) -> None:
        if self._bar is not None:
            self._bar.console.print(printable(text, sys.stderr), markup=False, highlight=False, soft_wrap=True)
        else:
            say(text, sys.stderr)
