"""One line on the terminal that says how many members have been trained."""

from __future__ import annotations

import sys
from types import TracebackType

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from gprat._progress import error_console, is_terminal, output_may_be_gone

__all__ = ["BatchProgress"]


class BatchProgress:
    """Shows rounds while a ``with`` block runs; whatever ends the block, the line is finished.

    Parameters
    ----------
    wanted : bool or None
        Whether to show anything; None for: if the standard error stream is a terminal.
    total : int
        How many minimisations there are.

    Examples
    --------
    >>> with BatchProgress(wanted=False, total=10) as progress:
    ...     progress.show(n_done=4, n_rounds=7)
    """

    def __init__(self, wanted: bool | None, total: int) -> None:
        self._display: Progress | None = None
        if is_terminal(sys.stderr) if wanted is None else wanted:
            self._display = Progress(
                TextColumn("{task.description}", markup=False),
                BarColumn(),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                console=error_console(),
                refresh_per_second=4,
                # What a callback prints goes above the line, but never where it wasn't going.
                redirect_stdout=is_terminal(sys.stdout),
            )
            self._task = self._display.add_task("training", total=total)

    def __enter__(self) -> BatchProgress:
        if self._display is not None:
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

    def show(self, n_done: int, n_rounds: int) -> None:
        """Show how many have ended, after that many rounds."""
        if self._display is not None:
            with output_may_be_gone():
                text = f"training, round {n_rounds}"
                self._display.update(self._task, description=text, completed=n_done)
