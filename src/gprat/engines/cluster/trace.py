"""What the workers of a cluster did, for `gprat.trace`."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from gprat.engines.cluster.futures import Key
from gprat.tracing import trace
from gprat.tracing.recording import add_remote, open_trace
from gprat.tracing.remote import TASK, TRANSFER, RemoteTasks

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["Recording"]

# What Dask says of one task: its key, worker, thread, and parts with an action, start and stop.
_Seen = Mapping[str, Any]
# Actions that are no computation.
_TRANSFERS = ("transfer", "disk-read")
# How many tasks the scheduler keeps.
_LENGTH = "distributed.scheduler.dashboard.tasks.task-stream-length"


class Recording:
    """Records the tasks of one graph, from what the scheduler is told about every task.

    Parameters
    ----------
    to : gprat.trace
        Where they are added.
    client : distributed.Client
        Connected to the scheduler.
    """

    def __init__(self, to: trace, client: Client) -> None:
        from distributed import get_task_stream

        self._to, self._client = to, client
        self._stream = get_task_stream(client)
        self._work: dict[Key, float] = {}
        self._needs: dict[Key, Sequence[Key]] = {}

    @classmethod
    def wanted(cls, client: Client) -> Recording | None:
        """Return what records a graph, if a trace is open."""
        to = open_trace()
        return None if to is None else cls(to, client)

    def begin(self) -> None:
        """Let the scheduler keep what it is told, and compare its clock with ours."""
        self._stream.__enter__()
        asked = time.time()
        self._zero_there = float(self._client.run_on_scheduler(time.time))
        self._zero_here = 0.5 * (asked + time.time())

    def add(self, key: Key, needs: Sequence[Key], work: float) -> None:
        """Remember what a task needs, and its operations."""
        self._needs[key], self._work[key] = needs, work

    def end(self) -> None:
        """Add what has been recorded to the trace."""
        import dask

        self._stream.__exit__(None, None, None)
        seen = [record for record in self._stream.data if record["key"] in self._needs]
        seen.sort(key=lambda record: float(_computed(record)["stop"]))
        # Where the scheduler has kept all, what is missing has not been computed yet.
        is_full = len(self._stream.data) >= dask.config.get(_LENGTH, 100_000)
        n_lost = len(self._needs) - len(seen) if is_full else 0
        workers, lane_of = _lanes(seen, self._client.nthreads())
        names = tuple(
            f"{worker.split('://')[-1]}/{lane - workers.index(worker)}"
            for lane, worker in enumerate(workers)
        )
        transfers = self._transfers(seen, workers)
        remote = RemoteTasks(self._tasks(seen, lane_of), transfers, names)
        add_remote(self._to, self._zero_here, remote, n_lost)

    def _tasks(
        self, seen: Sequence[_Seen], lane_of: Mapping[tuple[str, Any], int]
    ) -> npt.NDArray[np.void]:
        tasks = np.zeros(len(seen), dtype=TASK)
        last: dict[Key, int] = {}
        for place, record in enumerate(seen):
            task = tasks[place]
            name, *index = record["key"]
            computed = _computed(record)
            task["name"] = name.rpartition("-")[0]
            task["row"], task["column"] = (*index, 0, 0)[:2]
            task["thread"] = lane_of[record["worker"], record["thread"]]
            task["start"] = computed["start"] - self._zero_there
            task["end"] = computed["stop"] - self._zero_there
            task["work"] = self._work[record["key"]]
            inputs = [last[needs] for needs in self._needs[record["key"]] if needs in last]
            task["released_by"] = max(inputs, default=-1)
            if inputs:
                # Clocks of workers differ a little, but nothing begins before its inputs are there.
                task["start"] = max(task["start"], tasks["end"][max(inputs)])
            last[record["key"]] = place
        return tasks

    def _transfers(self, seen: Sequence[_Seen], workers: Sequence[str]) -> npt.NDArray[np.void]:
        moved = [
            (
                part["action"],
                part.get("source", record["worker"]),
                workers.index(record["worker"]),
                part["start"] - self._zero_there,
                part["stop"] - self._zero_there,
            )
            for record in seen
            for part in record["startstops"]
            if part["action"] in _TRANSFERS
        ]
        return np.array(moved, dtype=TRANSFER)


def _computed(record: _Seen) -> Mapping[str, float]:
    """Return when a task was computed; the last time, if several workers tried."""
    parts: list[Mapping[str, float]] = [
        part for part in record["startstops"] if part["action"] == "compute"
    ]
    return parts[-1]


def _lanes(
    seen: Sequence[_Seen], threads_of: Mapping[str, int]
) -> tuple[list[str], dict[tuple[str, Any], int]]:
    """Return the workers of all lanes, one lane a thread, and which lane each thread has."""
    known: dict[str, list[Any]] = {worker: [] for worker in sorted(threads_of)}
    for record in seen:
        mine = known.setdefault(record["worker"], [])
        if record["thread"] not in mine:
            mine.append(record["thread"])
    workers: list[str] = []
    lane_of = {}
    for worker, threads in known.items():
        for number, thread in enumerate(threads):
            lane_of[worker, thread] = len(workers) + number
        workers += [worker] * max(len(threads), threads_of.get(worker, 0))
    return workers, lane_of
