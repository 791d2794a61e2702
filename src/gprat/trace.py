"""A record of every task that ran: what, on which tile, on which thread, from when to when."""

from __future__ import annotations

from types import TracebackType

import numpy as np
import numpy.typing as npt

from gprat import _core

__all__ = ["trace"]

_DTYPE = np.dtype(
    [
        ("name", "U24"),
        ("row", np.int64),
        ("column", np.int64),
        ("thread", np.int64),
        ("start", np.float64),
        ("end", np.float64),
    ]
)


class trace:  # noqa: N801 - reads as a verb in `with gprat.trace() as t`
    """Record the tasks of all calls made inside a ``with`` block, by whichever Python thread.

    Attributes
    ----------
    tasks : numpy.ndarray of shape (n_tasks,)
        Structured array with the fields ``name`` (the operation), ``row`` and ``column`` (the tile
        that it writes), ``thread`` (index of the worker), ``start`` and ``end`` (seconds since the
        block was entered), in the order in which the tasks ended.

    Notes
    -----
    Blocks don't nest: the inner one takes over from the outer one.

    Examples
    --------
    >>> import numpy as np
    >>> import gprat
    >>> X = np.linspace(0.0, 1.0, 300).reshape(-1, 1)
    >>> gp = gprat.GP(X, X[:, 0], tile_size=100)
    >>> with gprat.trace() as t:
    ...     _ = gp.predict(X)
    >>> int(np.sum(t.tasks["name"] == "potrf"))
    3
    """

    def __init__(self) -> None:
        self._recorder = _core.Recorder()

    def __enter__(self) -> trace:
        self._recorder = _core.Recorder()
        _core.set_recorder(self._recorder)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        _core.set_recorder(None)

    @property
    def tasks(self) -> npt.NDArray[np.void]:
        """The tasks that have ended so far."""
        return np.array(self._recorder.records(), dtype=_DTYPE)
