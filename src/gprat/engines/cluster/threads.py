"""How many threads a block may take on the worker that computes it."""

from __future__ import annotations

from functools import cache

from gprat import runtime

__all__ = ["worker_threads"]


def worker_threads(limit: int | None) -> int:
    """Return how many threads a task may take: those of its Dask worker, which all tasks share."""
    threads = _threads_of_worker()
    return runtime.threads_for_call(threads if limit is None else min(limit, threads))


@cache
def _threads_of_worker() -> int:
    """Return the threads of the Dask worker that this process is.

    The runtime of the core is given as many. Where the worker is a thread of the process that
    has the model, as with ``LocalCluster(processes=False)``, the runtime is left as it is.
    """
    from distributed import get_worker

    worker = get_worker()
    threads = int(worker.state.nthreads)
    if worker.nanny is not None and not runtime.is_running():
        runtime.start(threads)
    return threads
