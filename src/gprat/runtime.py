"""The asynchronous runtime: worker threads that all models of this process share.

It starts by itself when a computation needs it, so none of these functions has to be called.
They serve those who want fewer threads, or none while something else runs.

Examples
--------
>>> from gprat import runtime
>>> runtime.start(threads=2)
>>> runtime.threads()
2
>>> with runtime.limit(threads=1):
...     runtime.threads()
1
>>> runtime.stop()
>>> runtime.is_running()
False
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import TracebackType

import numpy as np

from gprat import _progress
from gprat._core import runtime as _runtime
from gprat._validation import check_positive_integer
from gprat.exceptions import InvalidInputError, RuntimeSuspendedError, UnsupportedTypeError

__all__ = [
    "is_running",
    "limit",
    "processors",
    "progress",
    "resume",
    "start",
    "stop",
    "suspend",
    "threads",
]

_ENVIRONMENT_VARIABLE = "GPRAT_NUM_THREADS"
# What joblib's worker processes, batch systems and users set for every library that has threads.
_COMMON_VARIABLE = "OMP_NUM_THREADS"
_REMEDY = "Pass how many processors to use, such as threads=2, or leave it out to use all."

# A context variable, so that a limit binds only the thread or the async task that set it.
_limit: ContextVar[int | None] = ContextVar("gprat_thread_limit", default=None)

# More than any machine has processors.
_MOST_THREADS = 1 << 16
# What the last call of start() asked for; a runtime that starts by itself asks for the same.
_requested: int | None = None


def start(threads: int | None = None) -> None:
    """Start the worker threads, or change their number.

    A runtime that already runs with another number of threads first finishes its pending work. A
    suspended runtime is resumed.

    Parameters
    ----------
    threads : int, default=None
        Number of worker threads, at least 1. None: the value of the environment variable
        GPRAT_NUM_THREADS; or else the number of processors that this process may use (by its
        affinity and its cgroup's quota), but no more than OMP_NUM_THREADS where that is set, as
        joblib does in its worker processes.

    Raises
    ------
    InvalidInputError
        If `threads` or GPRAT_NUM_THREADS is less than 1 or above 65536, or GPRAT_NUM_THREADS is no
        number; or if a kernel that is evaluated in Python wants another number.
    UnsupportedTypeError
        If `threads` is not a whole number.
    """
    global _requested
    count = None if threads is None else check_positive_integer(threads, "threads", _REMEDY)
    before, _requested = _requested, count
    try:
        _start_requested()
    except BaseException:
        _requested = before
        raise
    _runtime.resume()


def stop() -> None:
    """Finish pending work, then end the worker threads.

    Stopping a runtime that does not run does nothing. The next computation starts it again, with
    as many threads as before.

    Raises
    ------
    InvalidInputError
        If a kernel that is evaluated in Python calls it: the computation would wait for itself.
    """
    # Suspended work cannot finish, and stopping waits for it.
    _runtime.resume()
    with _refused_in_tasks():
        _runtime.stop()


def suspend() -> None:
    """Let the worker threads rest: tasks that run complete, no other task starts.

    Until `resume`, `start` or `stop`, work in other Python threads waits, and new computations
    raise `RuntimeSuspendedError`.
    """
    _runtime.suspend()


def resume() -> None:
    """End what `suspend` began; without it, do nothing."""
    _runtime.resume()


def is_running() -> bool:
    """Tell whether the worker threads exist.

    Returns
    -------
    bool
        True from the first computation or `start` until `stop`; also while suspended.
    """
    return _runtime.is_running()


def threads() -> int:
    """Return how many threads a computation that is called here and now may use.

    Returns
    -------
    int
        The number of worker threads (before the start: what the start would make), or the
        innermost `limit` where that is less.

    Raises
    ------
    InvalidInputError
        If the runtime does not run and GPRAT_NUM_THREADS is not a positive whole number.
    """
    if _runtime.is_running():
        return _limited(_runtime.threads())
    return _limited(_default_threads())


def processors() -> int:
    """Return how many processors this process may use.

    Returns
    -------
    int
        By its affinity mask and its cgroup's quota, not those in the box.
    """
    return _runtime.default_threads()


def is_whole_machine() -> bool:
    """Tell whether a computation that is called here and now may use all processors.

    Returns
    -------
    bool
        False under a `limit` or a setting of fewer threads, and while the runtime is suspended.
    """
    return not _runtime.is_suspended() and threads() >= processors()


@contextmanager
def limit(threads: int) -> Iterator[None]:
    """Cap the number of threads of all computations inside a ``with`` block.

    Only the Python thread or the async task that runs the block is affected. Limits nest: the
    smallest one counts.

    Parameters
    ----------
    threads : int
        The most threads that a computation may use, at least 1.

    Raises
    ------
    InvalidInputError
        If `threads` is less than 1.
    UnsupportedTypeError
        If `threads` is not a whole number.
    """
    token = _limit.set(_limited(check_positive_integer(threads, "threads", _REMEDY)))
    try:
        yield
    finally:
        _limit.reset(token)


class progress:  # noqa: N801 - reads as a verb in `with gprat.runtime.progress(True)`
    """Say whether long computations show a bar on the standard error stream.

    A computation of more than about a second shows how much of its work is done, and how long the
    rest will take. One bar at a time, for all threads of the process; none while a model trains,
    which has a line of its own (`gprat.GP.optimize`).

    Called, it counts from now on; as a ``with`` block, until the end of the block. It counts for
    all threads.

    Parameters
    ----------
    wanted : bool or None
        True: always, also in notebooks and where the output goes to a file, which gets the last
        state only. False: never. None, as at the beginning: if standard error is a terminal, and in
        the main process only.

    Raises
    ------
    UnsupportedTypeError
        If `wanted` is none of them.

    Examples
    --------
    >>> import gprat
    >>> gp = gprat.GP([[0.0], [1.0]], [1.0, 2.0])
    >>> with gprat.runtime.progress(False):
    ...     mean = gp.predict([[0.5]])
    """

    def __init__(self, wanted: bool | None) -> None:
        if wanted is not None and not isinstance(wanted, bool | np.bool_):
            raise UnsupportedTypeError(
                f"progress takes True, False or None, got {wanted!r}. Pass None for a bar if "
                "standard error is a terminal."
            )
        self._before = _progress.get_wanted()
        _progress.set_wanted(None if wanted is None else bool(wanted))

    def __enter__(self) -> None:
        return None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        _progress.set_wanted(self._before)


def threads_for_call(requested: int | None) -> int:
    """Return the number of threads for a computation, starting the runtime if needed.

    Parameters
    ----------
    requested : int or None
        What the model asks for; None for all threads of the runtime.

    Returns
    -------
    int
        The smaller of that number and the `limit` that is in force.

    Raises
    ------
    RuntimeSuspendedError
        If the runtime is suspended.
    """
    if _runtime.is_suspended():
        raise RuntimeSuspendedError(
            "the runtime is suspended, and a computation needs it. Call gprat.runtime.resume() "
            "first."
        )
    if not _runtime.is_running():
        _start_requested()
    # More than there are have no effect, but must fit into the core's integers.
    return _limited(min(requested or _runtime.threads(), _MOST_THREADS))


def free_cached_memory() -> None:
    """Give the system back what the runtime keeps for the next computation."""
    _runtime.free_cached_memory()


def _start_requested() -> None:
    with _refused_in_tasks():
        _runtime.start(_default_threads())


@contextmanager
def _refused_in_tasks() -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        raise InvalidInputError(f"{error}.") from None


def _default_threads() -> int:
    wanted = _requested or _threads_of_environment()
    if wanted is not None:
        if wanted > _MOST_THREADS:
            raise InvalidInputError(
                f"{wanted:.0e} worker threads are more than the {_MOST_THREADS:,} that a runtime "
                "can have. Pass about as many as there are processors."
            )
        return wanted
    # Only a hint: it may also be a list, one number a level of nesting.
    hint = os.environ.get(_COMMON_VARIABLE, "").split(",")[0].strip()
    most = _runtime.default_threads()
    return min(most, int(hint)) if hint.isascii() and hint.isdigit() and int(hint) > 0 else most


def _limited(count: int) -> int:
    cap = _limit.get()
    return count if cap is None else min(count, cap)


def _threads_of_environment() -> int | None:
    text = os.environ.get(_ENVIRONMENT_VARIABLE, "").strip()
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise InvalidInputError(
            f"the environment variable {_ENVIRONMENT_VARIABLE} must be a positive whole number, "
            f"got {text!r}. Correct it, unset it, or call gprat.runtime.start(threads=...)."
        )
    return int(text)
