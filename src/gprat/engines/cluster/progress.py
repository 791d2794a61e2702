"""How far a computation on a cluster is, for the bar that all computations have."""

from __future__ import annotations

from collections.abc import Iterable

from gprat import _progress
from gprat.engines.cluster.futures import Key, Submitted

__all__ = ["Progress"]


class Progress:
    """Counts the operations of the tasks that have finished, in the thread that waits for them.

    Parameters
    ----------
    title : str
        What is computed.
    """

    def __init__(self, title: str) -> None:
        self._title = title
        self._work: dict[Key, float] = {}
        self._total = 0.0
        self._done = 0.0
        self._waiting: dict[Key, Submitted] = {}

    def add(self, key: Key, work: float) -> None:
        """Count a task, if it is worth it."""
        if work > 0.0:
            self._work[key] = work
            self._total += work

    def keys_among(self, keys: Iterable[Key]) -> list[Key]:
        """Return those of some tasks that are counted."""
        return [key for key in keys if key in self._work]

    def expect(self, submitted: dict[Key, Submitted]) -> None:
        """Wait for these tasks, too."""
        self._waiting.update(submitted)

    def wait(self) -> None:
        """Show how far the tasks are until all have finished, or failed; don't if nobody looks.

        What has finished is let go of at once: its memory is needed for what comes.
        """
        from distributed import as_completed

        with _progress.counted(self._title, self._total) as tell:
            waiting, self._waiting = self._waiting, {}
            if tell is None:
                return
            finished = as_completed(waiting.values())
            waiting.clear()
            for future in finished:
                self._done += self._work[future.key]
                tell(self._done)
