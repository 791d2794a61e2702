"""Restarts: many starts, some of them at the same time, each independent of the others."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, wait

import numpy as np

from gprat._machine import available_memory
from gprat.exceptions import InvalidInputError, NotPositiveDefiniteError
from gprat.optimize.base import Iteration, Stopped
from gprat.optimize.checkpoint import Plan
from gprat.optimize.task import TrainingTask

__all__ = ["Relay", "all_failed", "concurrency", "draw_plan", "run_jobs"]

# Of the memory that is free.
_SHARE_OF_MEMORY = 4
# Seconds after which a thread that waits for an answer looks whether there will be one.
_PATIENCE = 0.1

# What is to be done, with a function that calls the callback.
Job = Callable[[Callable[[Iteration], object]], None]


def draw_plan(task: TrainingTask, n_restarts: int, rng: np.random.Generator) -> Plan:
    """Draw all that training needs of chance: the other starts, then the seed of the subsets."""
    lower, upper = task.bounds.T
    thetas = [task.start, *(task.draw_start(rng) for _ in range(n_restarts))]
    for theta in thetas:
        if np.shape(theta) != task.start.shape or not np.isfinite(theta).all():
            raise InvalidInputError(
                f"a start must be {task.start.size} finite numbers, got {theta!r}. Check the "
                "priors that starts are drawn from."
            )
    starts = tuple(np.clip(np.asarray(theta, dtype=np.float64), lower, upper) for theta in thetas)
    return Plan(starts, int(rng.integers(2**63)))


def concurrency(
    n_starts: int, threads: int, bytes_per_evaluation: int, memory_limit: int | None
) -> int:
    """Return how many starts run at the same time.

    Parameters
    ----------
    n_starts : int
        How many there are.
    threads : int
        Processors to be shared among them: a start has at least one.
    bytes_per_evaluation : int
        Memory that one start takes.
    memory_limit : int or None
        Memory that all may take together; None for a quarter of what is free. One start always
        runs, whatever it takes.

    Examples
    --------
    >>> concurrency(n_starts=10, threads=8, bytes_per_evaluation=100, memory_limit=550)
    5
    """
    limit = available_memory() // _SHARE_OF_MEMORY if memory_limit is None else memory_limit
    return max(1, min(n_starts, threads, limit // max(1, bytes_per_evaluation)))


def run_jobs(
    jobs: Sequence[Job],
    n_threads: int,
    callback: Callable[[Iteration], object],
    stop: threading.Event,
) -> None:
    """Run the jobs, in their order, and return when all have ended.

    With one thread they run in the thread that calls. Otherwise that one waits, and calls the
    callback for them: so callbacks never run at the same time, nor in another thread, and Ctrl-C
    finds the thread that it is for. The first exception, of a job or the callback or Ctrl-C, sets
    `stop` and is raised when the running jobs have ended; a second Ctrl-C does not wait for them.

    Parameters
    ----------
    jobs : sequence of callable
        A job ends soon after `stop` is set; it is given a function that calls the callback.
    n_threads : int
        How many run at the same time.
    callback : callable
        Its answer, or exception, is the job's.
    stop : threading.Event
        Set it to start no further job.
    """
    if n_threads == 1:
        for job in jobs:
            if not stop.is_set():
                job(callback)
        return
    relay = Relay(callback, stop)
    pending = queue.SimpleQueue[Job]()
    for job in jobs:
        pending.put(job)
    workers = [
        threading.Thread(target=_work, args=(pending, relay, stop), name=f"gprat-start-{number}")
        for number in range(n_threads)
    ]
    try:
        for worker in workers:
            worker.start()
        relay.serve(len(workers))
    except BaseException:
        stop.set()
        raise
    finally:
        for worker in workers:
            if worker.ident is not None:
                worker.join()


class Relay:
    """Lets threads call a function that runs in the one thread that serves.

    Parameters
    ----------
    function : callable
        Of one argument, an iteration.
    stop : threading.Event
        Once it is set, calls may be left without an answer and raise `Stopped`.
    """

    def __init__(self, function: Callable[[Iteration], object], stop: threading.Event) -> None:
        self._function = function
        self._stop = stop
        # A request, or what a thread ends with: an exception or None.
        self._messages = queue.SimpleQueue[
            tuple[Iteration, Future[object]] | BaseException | None
        ]()

    def __call__(self, iteration: Iteration) -> object:
        """Call the function from another thread and wait for its answer."""
        answer = Future[object]()
        self._messages.put((iteration, answer))
        while not answer.done():
            if self._stop.is_set():
                raise Stopped
            wait([answer], timeout=_PATIENCE)
        return answer.result()

    def end(self, error: BaseException | None) -> None:
        """Say that the calling thread calls no more."""
        self._messages.put(error)

    def serve(self, n_threads: int) -> None:
        """Answer until that many threads have ended; raise what one of them ended with."""
        while n_threads > 0:
            message = self._messages.get()
            if isinstance(message, tuple):
                iteration, answer = message
                answer.set_result(self._function(iteration))
            elif message is None:
                n_threads -= 1
            else:
                raise message


def _work(pending: queue.SimpleQueue[Job], relay: Relay, stop: threading.Event) -> None:
    error: BaseException | None = None
    try:
        while not stop.is_set():
            pending.get_nowait()(relay)
    except queue.Empty:
        pass
    except BaseException as raised:
        error = raised
        stop.set()
    relay.end(error)


def all_failed(errors: Sequence[Exception]) -> Exception:
    """Return the error of training all of whose starts failed: the first one's, and how many."""
    first = errors[0]
    if len(errors) == 1:
        return first
    message = f"all {len(errors)} starts failed, the first because {first}"
    if isinstance(first, NotPositiveDefiniteError):
        return NotPositiveDefiniteError(message, first.row, first.near_duplicates)
    return InvalidInputError(message)
