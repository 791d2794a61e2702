"""What one call on the processors takes: whether that fits into memory, and how far it has come."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from typing import cast

from gprat import _machine, _progress, runtime
from gprat._costs import PLANNED, Operation, Work
from gprat._text import as_bytes
from gprat._validation import FloatArray
from gprat.engines.base import Problem
from gprat.exceptions import InsufficientMemoryError
from gprat.kernels import PythonProgram
from gprat.planning import Plan, auto_tile_size, plan
from gprat.planning.words import OperationName

__all__ = ["Call", "ensure_colors_fit", "ensure_fits", "ensure_samples_fit", "is_long"]

# Bytes below which nobody looks at the memory of the machine: that takes longer than small models.
_SMALL = 64 << 20
# More test points or columns than a block has, in any case.
_BLOCK = 768

# Operations from which on a call may take more than a second, and what a pair of points counts,
# which is what it takes on one processor: with a compiled kernel, and through Python.
_LONG = 2e10
_PAIR, _PAIR_IN_PYTHON = 150.0, 3000.0

_TITLES = {
    Operation.FIT: "likelihood and gradient",
    Operation.PREDICT: "means",
    Operation.VARIANCE: "means and variances",
    Operation.COVARIANCE: "means and covariance",
    Operation.FACTOR: "factorisation",
    Operation.DENSE_FACTOR: "dense Cholesky factor",
    Operation.PREDICT_GRADIENT: "gradients of predictions",
    Operation.LEAVE_ONE_OUT: "leave-one-out",
    Operation.SOLVE: "solution",
    Operation.COLOR: "samples",
    Operation.FIT_WITH_INPUTS: "gradient by the inputs",
    Operation.LEAVE_ONE_OUT_FIT: "leave-one-out and gradient",
    Operation.PRODUCT: "products with the covariance matrix",
    Operation.APPEND: "new rows",
    Operation.DELETE: "rows without some",
    Operation.JOINT: "means and joint covariances",
    Operation.PULL_BACK: "derivatives of predictions",
    Operation.PULL_BACK_IN_BLOCKS: "derivatives of predictions",
    Operation.PULL_BACK_MEAN: "derivatives of means",
}
# Operations that take test points one by one, so that fewer at a time are the same.
_BY_COLUMN = (Operation.SOLVE, Operation.COLOR, Operation.PRODUCT)
_BY_POINT = (Operation.PREDICT, Operation.VARIANCE, Operation.PREDICT_GRADIENT)


@dataclass(frozen=True, slots=True)
class Call:
    """One call of the core.

    Parameters
    ----------
    problem : Problem
        Of what.
    operation : Operation
        What is computed.
    m : int, default=0
        Test points, columns, or rows that come or leave.
    has_factor : bool, default=False
        Whether the factor (of the posterior that is updated, if one is) is there already.
    group : int, default=1
        Consecutive test points that have a joint covariance.
    keeps : bool, default=False
        Whether L⁻¹k(X, X*) is kept for later, or was.
    """

    problem: Problem
    operation: Operation
    m: int = 0
    has_factor: bool = False
    group: int = 1
    keeps: bool = False

    @property
    def n(self) -> int:
        """Training points, those after an update."""
        return int(self.problem.X.shape[0])

    def ensure_fits(self) -> int:
        """Return how many blocks of columns fit into memory at a time; 0 for all that are useful.

        Raises
        ------
        InsufficientMemoryError
            If the call takes more than it may, or than there is.
        """
        limit = self.problem.memory_limit
        largest = self.problem.X.dtype.itemsize * (self.n + self.m + _BLOCK) ** 2
        if limit is None and largest < _SMALL:
            return 0
        work = self.work()
        needed, known = work.peak_bytes(self.n), self.known_bytes(work)
        if limit is None and needed - known < _SMALL:
            return 0
        room = _room_for(needed, known, limit)
        if needed <= room:
            return 0
        slots = work.slots_within(self.n, room)
        work = replace(work, most_slots=slots)
        needed = work.peak_bytes(self.n)
        if needed <= room:
            return slots
        remedies = self._remedies(work, room)
        raise _refusal(
            _TITLES[self.operation], needed, room, limit, remedies, self._plan(work, room)
        )

    def bar(self) -> AbstractContextManager[object]:
        """Return what shows how far a long call is."""
        problem, n, m = self.problem, float(self.n), float(self.m)
        pair = _PAIR_IN_PYTHON if isinstance(problem.program, PythonProgram) else _PAIR
        columns = 4.0 * (problem.Y.shape[1] + problem.basis.shape[1])
        if n * (n + m) * (3.0 * (n + m) + columns + pair) < _LONG:
            return nullcontext()
        flops, pairs = self.labelled()
        total = flops + pair * pairs
        if total < _LONG:
            return nullcontext()
        return _progress.bar(f"{_TITLES[self.operation]}, n = {self.n:,}", total, pair)

    def labelled(self) -> tuple[float, float]:
        """Return the operations and the pairs of points of all tasks."""
        return self.work().labelled(self.n, self.has_factor)

    def work(self) -> Work:
        """Return what the call costs."""
        problem = self.problem
        return Work(
            self.operation,
            problem.X.shape[1],
            self.m,
            problem.Y.shape[1],
            problem.program.n_parameters,
            runtime.threads_for_call(problem.threads),
            runtime.processors(),
            problem.X.dtype.itemsize,
            partial(min, problem.tile_size),
            problem.basis.shape[1],
            group=max(1, self.group),
            keeps=self.keeps,
        )

    def known_bytes(self, work: Work) -> int:
        """Return what of the need is there already."""
        if not self.has_factor:
            return 0
        match self.operation:
            case Operation.APPEND:
                return work.factor_bytes(self.n - self.m)
            case Operation.DELETE:
                return work.factor_bytes(self.n + self.m)
            case _:
                return work.factor_bytes(self.n)

    def _remedies(self, work: Work, room: int) -> Iterator[str]:
        """Yield what would fit instead."""
        if work.itemsize > 4:
            single = replace(work, itemsize=4).peak_bytes(self.n)
            if single <= room:
                yield f'dtype="float32" ({as_bytes(single)})'
        if self.operation in (Operation.FIT, Operation.LEAVE_ONE_OUT_FIT):
            yield "fewer restarts at a time, if several run (memory_limit of optimize)"
        if self.operation is Operation.COVARIANCE:
            variances = replace(work, operation=Operation.VARIANCE, most_slots=1)
            if variances.peak_bytes(self.n) <= room:
                yield "variances alone (predict_with_uncertainty)"
        if self.m and self.operation not in (Operation.APPEND, Operation.DELETE):
            most = _largest(lambda m: replace(work, m=m).peak_bytes(self.n) <= room, self.m)
            noun = "columns" if self.operation in _BY_COLUMN else "points"
            if most and self.operation in _BY_POINT:
                yield f"blocks of at most {most:,} test points"
            elif most:
                yield f"at most {most:,} {noun} at a time"
        most = _largest(lambda n: work.peak_bytes(n) <= room, self.n)
        if most:
            yield f"at most {most:,} training points"

    def _plan(self, work: Work, room: int) -> Plan | None:
        if self.operation not in PLANNED:
            return None
        problem = self.problem
        return plan(
            self.n,
            work.d,
            self.m,
            what=cast(OperationName, self.operation.value),
            n_outputs=max(1, work.k),
            n_hyperparameters=max(1, work.p),
            threads=work.threads,
            dtype=problem.X.dtype.name,
            tile_size=problem.tile_size,
            memory=max(1, room),
        )


def ensure_samples_fit(
    problem: Problem, m: int, columns: int, *, of_posterior: bool, has_factor: bool = False
) -> None:
    """Refuse samples for which there is no memory, before anything is drawn.

    Parameters
    ----------
    problem : Problem
        Whose samples.
    m, columns : int
        Points, and functions at them.
    of_posterior : bool
        Whether the functions know the data.
    has_factor : bool, default=False
        Whether the factor of the data is there already.

    Raises
    ------
    InsufficientMemoryError
        If they take more than they may, or than there is.
    """
    itemsize = problem.X.dtype.itemsize
    # Random numbers come in float64, and are copied once.
    drawn, kept = 16 * m * columns, itemsize * m * columns
    call = Call(problem, Operation.COVARIANCE, m, has_factor)
    work = call.work()
    coloured = _coloring(work, columns).peak_bytes(m) + 3 * kept
    needed, known = max(drawn, coloured), 0
    if of_posterior:
        known, factor = call.known_bytes(work), work.factor_bytes(call.n)
        covariance = work.peak_bytes(call.n) - factor + kept
        needed = factor + max(drawn, coloured + itemsize * m**2, covariance)
    _ensure_samples(m, needed, known, problem.memory_limit)


def ensure_colors_fit(matrix: FloatArray, Z: FloatArray, threads: int) -> None:
    """Refuse to factorise an m × m matrix, and to multiply m × s numbers, without memory for it."""
    m, columns = Z.shape
    if m == 0:
        return
    processors = runtime.processors()
    tile = partial(auto_tile_size, processors=processors)
    itemsize = matrix.dtype.itemsize
    work = Work(Operation.COLOR, 0, columns, 0, 0, threads, processors, itemsize, tile)
    _ensure_samples(m, work.peak_bytes(m), 0, None)


def _coloring(work: Work, columns: int) -> Work:
    """Return the work of giving white noise a covariance, with the tiles that a model chooses."""
    tile = partial(auto_tile_size, processors=work.processors)
    return replace(work, operation=Operation.COLOR, m=columns, k=0, q=0, tile_size_for=tile)


def _ensure_samples(m: int, needed: int, known: int, limit: int | None) -> None:
    remedy = "fewer points, or fewer samples, at a time"
    ensure_fits(f"samples at {m:,} points", needed, known, limit, remedy)


def ensure_fits(title: str, needed: int, known: int, limit: int | None, remedy: str) -> None:
    """Refuse a computation for which there is no memory, before it starts.

    Parameters
    ----------
    title : str
        What is computed.
    needed, known : int
        Bytes that it takes, and those of them that are taken already.
    limit : int or None
        The most that it may take; None for what there is.
    remedy : str
        What would fit.

    Raises
    ------
    InsufficientMemoryError
        If it takes more than it may, or than there is.
    """
    if limit is None and needed - known < _SMALL:
        return
    room = _room_for(needed, known, limit)
    if needed > room:
        raise _refusal(title, needed, room, limit, [remedy])


def is_long(flops: float) -> bool:
    """Tell whether so many operations may take more than a second."""
    return flops >= _LONG


def _room_for(needed: int, known: int, limit: int | None) -> int:
    """Return how many bytes may be taken, of which `known` ones are; tries to make it enough."""
    room = _room(known, limit)
    if needed > room:
        # Memory that was freed is kept for the next call, and some systems count it as taken.
        runtime.free_cached_memory()
        room = _room(known, limit)
    return room


def _refusal(
    title: str,
    needed: int,
    room: int,
    limit: int | None,
    remedies: Iterable[str],
    planned: Plan | None = None,
) -> InsufficientMemoryError:
    """Return the error that says what needs how much, what there is, and what would fit."""
    source = "memory_limit allows" if room == limit else "available are"
    would_fit = "; ".join(remedies) or "nothing of the kind"
    return InsufficientMemoryError(
        f"{title}: {as_bytes(needed)} of memory are needed beyond the data, and {source} "
        f"{as_bytes(room)}. What would fit: {would_fit}.",
        needed,
        room,
        planned,
    )


def _room(known: int, limit: int | None) -> int:
    """Return what may be taken, with what is taken already."""
    # 0: nobody knows.
    rooms = [free + known] if (free := _machine.available_memory()) else []
    if limit is not None:
        rooms.append(limit)
    return min(rooms, default=1 << 62)


def _largest(holds: Callable[[int], bool], below: int) -> int:
    """Return the largest number below `below` that something holds for, which larger ones lose."""
    low, high = 0, below
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low
