"""The threads of a worker, which several tasks share."""

from __future__ import annotations

__all__ = ["Processors"]

# Seconds within which two ends are one.
_SAME = 1e-12


class Processors:
    """Threads that tasks share equally, but for those that have too few tiles for their share.

    Dask starts as many tasks at a time as a worker has threads, and the core gives each of them
    what threads there are.

    Parameters
    ----------
    threads : int
        How many there are.
    """

    __slots__ = ("_left", "_now", "_speed", "_width", "threads")

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self._now = 0.0
        self._left: dict[int, float] = {}
        self._width: dict[int, float] = {}
        self._speed: dict[int, float] = {}

    def __len__(self) -> int:
        return len(self._left)

    def start(self, now: float, task: int, work: float, span: float) -> None:
        """Start a task that takes so long with one thread, and at least with any number."""
        self._advance(now)
        self._left[task] = work
        self._width[task] = work / span if span > 0.0 else float(self.threads)
        self._share()

    def finish(self, now: float) -> list[int]:
        """Return the tasks that end now."""
        self._advance(now)
        done = [task for task, left in self._left.items() if left <= _SAME * (1.0 + now)]
        for task in done:
            del self._left[task], self._width[task], self._speed[task]
        if done:
            self._share()
        return done

    def next_end(self) -> float:
        """Return when the first of the tasks will end."""
        return self._now + min(left / self._speed[task] for task, left in self._left.items())

    def _advance(self, now: float) -> None:
        elapsed, self._now = now - self._now, now
        if elapsed > 0.0:
            for task, speed in self._speed.items():
                self._left[task] -= elapsed * speed

    def _share(self) -> None:
        """Deal out the threads: the narrowest tasks first, which leave some of their share."""
        threads, tasks = float(self.threads), len(self._width)
        for task in sorted(self._width, key=self._width.__getitem__):
            speed = min(self._width[task], threads / tasks)
            self._speed[task] = speed
            threads -= speed
            tasks -= 1
