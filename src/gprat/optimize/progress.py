"""One line on the terminal that says how far training has come."""

from __future__ import annotations

import sys
from types import TracebackType

from rich.console import Console
from rich.markup import escape
from rich.progress import Progress, TextColumn, TimeElapsedColumn
from rich.table import Column

from gprat._progress import error_console, is_terminal, output_may_be_gone
from gprat.optimize.base import Iteration

__all__ = ["TrainingProgress"]


class TrainingProgress:
    """Shows iterations while a ``with`` block runs; whatever ends the block, the line is finished.

    Parameters
    ----------
    wanted : bool or None
        Whether to show anything; None for: if the standard error stream is a terminal. Where it is
        none, and something is wanted, only the last line appears, at the end.
    n_starts : int
        How many starts there are; one is not counted.
    console : rich.console.Console, default=None
        Where to show it; None for the standard error stream.

    Examples
    --------
    >>> with TrainingProgress(wanted=False, n_starts=1) as progress:
    ...     pass
    """

    def __init__(self, wanted: bool | None, n_starts: int, console: Console | None = None) -> None:
        self._n_starts = n_starts
        # The best objective by the number of rows it was computed from.
        self._best: dict[int, float] = {}
        self._display: Progress | None = None
        if _is_wanted(wanted, console):
            self._display = Progress(
                TextColumn("{task.description}", table_column=Column(no_wrap=True)),
                TimeElapsedColumn(),
                console=console or error_console(),
                refresh_per_second=4,
                # What a callback prints goes above the line, but never where it wasn't going.
                redirect_stdout=is_terminal(sys.stdout),
            )

    def __enter__(self) -> TrainingProgress:
        if self._display is not None:
            self._task = self._display.add_task("training", total=None)
            with output_may_be_gone():
                self._display.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._display is not None:
            with output_may_be_gone():
                self._display.stop()

    def show(self, iteration: Iteration, n_evaluations: int) -> None:
        """Show where an iteration ended, after that many evaluations of all starts together."""
        if self._display is None:
            return
        best = max(iteration.objective, self._best.get(iteration.stage, -float("inf")))
        self._best[iteration.stage] = best
        with output_may_be_gone():
            line = self._line(iteration, best, n_evaluations)
            self._display.update(self._task, description=line)

    def _line(self, iteration: Iteration, best: float, n_evaluations: int) -> str:
        start = f"start {iteration.start + 1}/{self._n_starts}, " if self._n_starts > 1 else ""
        return escape(
            f"{start}iteration {iteration.iteration}: best objective {best:.6g}, "
            f"|gradient| {iteration.gradient_norm:.1e}, {n_evaluations} evaluations, "
            f"{iteration.stage} rows"
        )


def _is_wanted(wanted: bool | None, console: Console | None) -> bool:
    if wanted is not None:
        return wanted
    return is_terminal(sys.stderr) if console is None else console.is_terminal
