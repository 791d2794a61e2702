"""The tasks of an operation, written down instead of being run."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from gprat import _core
from gprat import _validation as validation
from gprat._costs import Operation, Work, check_operation
from gprat.exceptions import InvalidInputError, UnsupportedTypeError

__all__ = [
    "OperationName",
    "TaskList",
    "check_counts",
    "check_points",
    "check_size",
    "check_threads",
    "record_tasks",
]

OperationName: TypeAlias = Literal["fit", "predict", "variance", "covariance"]

# Far above what tiles of a sensible size make; they take less than a gigabyte.
_MOST_TASKS = 4_000_000
# A square matrix of that side still has addresses.
LARGEST_SIZE = 1_000_000
MOST_THREADS = 4096


@dataclass(frozen=True, slots=True, eq=False)
class TaskList:
    """Tasks in the order in which they are added, and which wait for which.

    Parameters
    ----------
    what : str
        The operation: "fit", "predict", "variance" or "covariance".
    n, m : int
        Training points and test points.
    tile_size : int
        Side of the tiles.
    itemsize : int
        Bytes of a number.
    names : tuple of str
        Kinds of tasks.
    kind : ndarray of int64, shape (n_tasks,)
        The index of each task's kind in `names`.
    row, column : ndarray of int64, shape (n_tasks,)
        The tile that each task writes.
    work : ndarray of float64, shape (n_tasks,)
        Floating-point operations; of tasks that evaluate or differentiate covariances, pairs of
        points.
    bytes : ndarray of float64, shape (n_tasks,)
        Size of the tiles that each task reads and writes.
    rank : ndarray of int64, shape (n_tasks,)
        Of the tasks that are ready, those of the smallest rank run first.
    predecessors : ndarray of int32, shape (n_edges,)
        Indices of the tasks that are waited for. Task i waits for
        ``predecessors[offsets[i]:offsets[i + 1]]``, all of them less than i.
    offsets : ndarray of int64, shape (n_tasks + 1,)
        Where each task's predecessors begin.
    """

    what: str
    n: int
    m: int
    tile_size: int
    itemsize: int
    names: tuple[str, ...]
    kind: npt.NDArray[np.int64]
    row: npt.NDArray[np.int64]
    column: npt.NDArray[np.int64]
    work: npt.NDArray[np.float64]
    bytes: npt.NDArray[np.float64]
    rank: npt.NDArray[np.int64]
    predecessors: npt.NDArray[np.int32]
    offsets: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return self.kind.size

    def sum_by_kind(self, values: npt.NDArray[np.float64]) -> dict[str, float]:
        """Add up one number a task, kind by kind.

        Parameters
        ----------
        values : ndarray, shape (n_tasks,)
            For example `work`, or how long each task takes.

        Returns
        -------
        dict
            The sums by name, in the order of `names`.

        Examples
        --------
        >>> tasks = record_tasks("fit", 300, tile_size=100)
        >>> tasks.sum_by_kind(tasks.work)["assemble"]  # 300·301/2
        45150.0
        """
        sums = np.bincount(self.kind, weights=values, minlength=len(self.names))
        return dict(zip(self.names, sums.tolist(), strict=True))


def record_tasks(
    what: OperationName,
    n: int,
    d: int = 1,
    m: int = 0,
    *,
    n_outputs: int = 1,
    n_hyperparameters: int = 3,
    tile_size: int,
    dtype: npt.DTypeLike = "float64",
    threads: int = 1,
    processors: int | None = None,
) -> TaskList:
    """Write down the tasks of an operation, by the loops that would run them.

    Neither data nor memory for matrices are needed.

    Parameters
    ----------
    what : {"fit", "predict", "variance", "covariance"}
        The operation, as in `gprat.plan`.
    n : int
        Number of training points, at most 1,000,000.
    d : int, default=1
        Number of features.
    m : int, default=0
        Number of test points; at least 1 unless `what` is "fit".
    n_outputs : int, default=1
        Number of columns of y.
    n_hyperparameters : int, default=3
        Number of hyperparameters.
    tile_size : int
        Side of the tiles.
    dtype : {"float64", "float32"}, default="float64"
        Precision.
    threads : int, default=1
        Threads that compute: variances are found in blocks of test points, so many and one more at
        a time.
    processors : int, default=None
        Processors of the machine, which tell how wide those blocks are; None for as many as
        threads.

    Returns
    -------
    TaskList
        The tasks, in the order in which they would be added.

    Raises
    ------
    InvalidInputError
        If a number is out of its range, `what` is unknown, test points are missing, or the tiles
        are so small that there are more than 4,000,000 tasks.
    UnsupportedTypeError
        If a number is not a whole number, or the dtype is none of the two.

    Examples
    --------
    >>> tasks = record_tasks("fit", 300, tile_size=100)
    >>> tasks.names[:5]
    ('assemble', 'potrf', 'trsm', 'syrk', 'gemm')
    >>> first = tasks.kind.tolist().index(tasks.names.index("potrf"))
    >>> tasks.predecessors[tasks.offsets[first] : tasks.offsets[first + 1]].tolist()
    [0]
    """
    operation = check_operation(what)
    size, features = check_size(n, "n"), check_size(d, "d")
    points = 0 if operation is Operation.FIT else check_points(m, operation)
    outputs = check_size(n_outputs, "n_outputs")
    parameters = check_size(n_hyperparameters, "n_hyperparameters")
    tile = min(size, check_size(tile_size, "tile_size"))
    workers = check_threads(threads)
    available = workers if processors is None else check_threads(processors)
    itemsize = validation.check_dtype(dtype, None).itemsize
    work = Work(
        operation,
        features,
        points,
        outputs,
        parameters,
        workers,
        available,
        itemsize,
        lambda _: tile,
    )
    _check_count(work.tasks(size), tile)
    columns = _core.record_tasks(
        operation.value,
        [size, features, points, outputs, parameters, tile],
        itemsize,
        workers,
        available,
    )
    return TaskList(operation.value, size, points, tile, itemsize, *columns)


def check_threads(threads: Any) -> int:
    """Return a number of threads that a machine may have, from 1 to 4096."""
    remedy = "Pass how many threads compute, such as threads=64."
    count = validation.check_positive_integer(threads, "threads", remedy)
    if count > MOST_THREADS:
        raise InvalidInputError(
            f"threads must be at most {MOST_THREADS:,}, got {count:,}: no machine with common "
            f"memory has so many. {remedy}"
        )
    return count


def check_counts(values: Any, name: str, check: Callable[[Any], int]) -> list[int]:
    """Return several counts, each of which is checked, in ascending order."""
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise UnsupportedTypeError(
            f"{name} must be several whole numbers, got {values!r}. Pass them as a list, such as "
            f"{name}=[1, 2, 4]."
        )
    counts = sorted({check(value) for value in values})
    if not counts:
        raise InvalidInputError(
            f"{name} is empty. Pass at least one number, such as {name}=[1, 2, 4]."
        )
    return counts


def check_points(m: Any, operation: Operation) -> int:
    """Return how many test points there are, at least one."""
    if m is not False and m == 0:
        raise InvalidInputError(
            f"m is 0, and {operation.value!r} needs test points. Pass how many there will be, "
            "such as m=1000."
        )
    return check_size(m, "m")


def check_size(value: Any, name: str) -> int:
    """Return a count from 1 to 1,000,000."""
    number = validation.check_positive_integer(value, name, "Pass a count, such as 10_000.")
    if number > LARGEST_SIZE:
        raise InvalidInputError(
            f"{name} must be at most {LARGEST_SIZE:,} to be simulated, got {number:,}. Pass a "
            "smaller one; costs that need no task list are told by gprat.plan."
        )
    return number


def _check_count(tasks: int, tile: int) -> None:
    if tasks > _MOST_TASKS:
        raise InvalidInputError(
            f"with tiles of side {tile:,} there would be {tasks:,} tasks; at most {_MOST_TASKS:,} "
            f"can be simulated. Pass larger tiles, such as tile_size={2 * tile}."
        )
