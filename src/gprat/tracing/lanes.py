"""One number for each thread that computes."""

from __future__ import annotations

import heapq

import numpy as np
import numpy.typing as npt

__all__ = ["separate_threads"]


def separate_threads(tasks: npt.NDArray[np.void]) -> npt.NDArray[np.int64]:
    """Give numbers to threads so that no thread has two tasks at a time.

    Workers are numbered within a call. Calls that different Python threads make side by side, or
    that a kernel makes from inside a task, may use the same numbers for other threads.

    Parameters
    ----------
    tasks : ndarray of shape (n_tasks,)
        Records with the fields "thread", "start" and "end".

    Returns
    -------
    ndarray of shape (n_tasks,)
        The given numbers where nothing overlaps; new ones, above them, for what does.
    """
    threads: npt.NDArray[np.int64] = tasks["thread"].copy()
    unused = int(threads.max(initial=-1)) + 1
    for thread in np.unique(tasks["thread"]):
        mine = np.flatnonzero(tasks["thread"] == thread)
        mine = mine[np.lexsort((tasks["end"][mine], tasks["start"][mine]))]
        starts, ends = tasks["start"][mine], tasks["end"][mine]
        if np.all(starts[1:] >= np.maximum.accumulate(ends)[:-1]):
            continue
        # Each task goes to the lowest number that is free; there are as many as ever overlap.
        free: list[int] = [int(thread)]
        busy: list[tuple[float, int]] = []
        for task, start, end in zip(mine, starts, ends, strict=True):
            while busy and busy[0][0] <= start:
                heapq.heappush(free, heapq.heappop(busy)[1])
            if not free:
                free.append(unused)
                unused += 1
            number = heapq.heappop(free)
            heapq.heappush(busy, (end, number))
            threads[task] = number
    return threads
