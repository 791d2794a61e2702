"""Clusters of processes for studies, what their workers take, and what Dask itself costs."""

from __future__ import annotations

import contextlib
import logging
import re
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dask
import numpy as np
from distributed import Client, LocalCluster, wait

__all__ = ["AS_PLANNED", "measure_overheads", "peak_of_workers", "started_cluster"]

# What docs/cluster.md has users turn off, so that blocks stay where they belong and travel once.
AS_PLANNED = {
    "distributed.scheduler.work-stealing": False,
    "distributed.scheduler.active-memory-manager.start": False,
}

# Seconds in which processes must have started, on a machine that is busy.
_STARTS = 300
# Tasks that are so small that nothing but Dask is measured, and how many in a row.
_TASKS, _CHAIN, _TURNS = 1000, 200, 20
# Bytes of an array that travels: a block of 2048 rows.
_BLOCK = 8 * 2048**2


@contextlib.contextmanager
def started_cluster(workers: int, **options: Any) -> Iterator[Client]:
    """Start workers with one thread each; none writes to disk, or is stopped for its memory."""
    with (
        dask.config.set({"distributed.deploy.lost-worker-timeout": f"{_STARTS}s"}),
        LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            processes=True,
            dashboard_address=":0",
            memory_limit=0,
            silence_logs=logging.ERROR,
            **options,
        ) as cluster,
        Client(cluster) as client,
    ):
        client.wait_for_workers(workers)
        yield client


def resident_memory(reset: bool) -> tuple[int, int]:
    """Return resident memory of this process now and at its peak, in bytes; may start it anew."""
    if reset:
        Path("/proc/self/clear_refs").write_text("5")
    found = dict(re.findall(r"Vm(RSS|HWM):\s+(\d+) kB", Path("/proc/self/status").read_text()))
    return 1024 * int(found["RSS"]), 1024 * int(found["HWM"])


def peak_of_workers(client: Client, call: Callable[[], Any]) -> int:
    """Return the peaks of all workers during a call, less what they held before, in all.

    Workers are new processes, as the operating system accounts for them.
    """
    client.restart(timeout=_STARTS)
    before = client.run(resident_memory, True)
    call()
    after = client.run(resident_memory, False)
    return sum(after[worker][1] - before[worker][0] for worker in before)


def measure_overheads(client: Client) -> dict[str, float]:
    """Measure what a task and a message cost, and how fast a block travels, on two workers.

    Returns
    -------
    dict
        What `gprat.simulation.Network` takes: bandwidth in bytes a second, latency, submission,
        scheduling and overhead in seconds.
    """
    first, second = sorted(client.nthreads())
    latency = statistics.median(_round_trip(client) for _ in range(_TURNS)) / 2.0
    submission, each = _many_tasks(client)
    link = _chain(client, first) / _CHAIN
    return {
        "bandwidth": statistics.median(_rate(client, first, second) for _ in range(5)),
        "latency": latency,
        "submission": submission,
        "scheduling": each,
        # From one task of a chain to the next: to the scheduler, its work, and back.
        "overhead": max(0.0, link - 2.0 * latency - each),
    }


def _round_trip(client: Client) -> float:
    start = time.perf_counter()
    client.run_on_scheduler(_nothing)
    return time.perf_counter() - start


def _nothing(value: Any = None) -> None:
    """Do nothing, with a value or without."""


def _increment(value: int) -> int:
    return value + 1


def _many_tasks(client: Client) -> tuple[float, float]:
    """Return seconds to add a task, and seconds a task of very many that depend on none."""
    start = time.perf_counter()
    futures = [client.submit(_increment, i, pure=False) for i in range(_TASKS)]
    added = time.perf_counter() - start
    wait(futures)
    return added / _TASKS, (time.perf_counter() - start) / _TASKS


def _chain(client: Client, worker: str) -> float:
    """Return seconds of tasks each of which waits for the one before, on one worker."""
    gate = client.submit(time.sleep, 0.5, workers=[worker], pure=False)
    last = client.submit(_after, 0, gate, workers=[worker], pure=False)
    first = last
    for _ in range(_CHAIN):
        last = client.submit(_increment, last, workers=[worker], pure=False)
    wait(first)
    start = time.perf_counter()
    wait(last)
    return time.perf_counter() - start


def _after(value: int, gate: Any) -> int:
    return value


def _rate(client: Client, source: str, target: str) -> float:
    """Return bytes a second of a block that travels from one worker to the other."""
    size = _BLOCK // 8
    block = client.submit(np.ones, size, workers=[source], pure=False)
    other = client.submit(_increment, 0, workers=[source], pure=False)
    wait([block, other])
    seconds = []
    for what in (other, block):
        start = time.perf_counter()
        wait(client.submit(_nothing, what, workers=[target], pure=False))
        seconds.append(time.perf_counter() - start)
    small, large = seconds
    return _BLOCK / max(large - small, 1e-6)
