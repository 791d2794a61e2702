"""What an operation on the processors costs: bytes, floating-point operations, tasks.

Everything is counted from the loops of the core, as if each were run; only the memory that threads
keep for packed operands is an estimate. n training points in t tiles a side, m test points, d
features, k outputs, p hyperparameters.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

from gprat import _validation as validation
from gprat.exceptions import InvalidInputError

__all__ = ["PLANNED", "Operation", "Work", "check_operation", "triangle_numbers"]

# As in the core: tile_layout.hpp, predict.cpp, gemm.cpp, task_graph.cpp, predict_gradient.cpp,
# products.cpp, update.cpp.
_LONG, _SHORT, _MANY_TILES = 1536, 512, 16
_FEW_VECTORS = 8
_MEAN_BLOCK = 128
_WIDEST_BLOCK, _NARROW_BLOCK, _NARROWEST_BLOCK = 768, 192, 96
_BLOCKS_PER_PROCESSOR, _BLOCKS_OF_MANY_PROCESSORS = 2, 32
_PACKED_ROWS, _PACKED_INNER, _PACKED_COLUMNS = 192, 384, 1024
_LARGEST_TRIANGLE = 512
_MOST_WAITING_TASKS = 1 << 16
_GRADIENT_ROWS = 512
_PRODUCT_BLOCK = 192
_FEWEST_REFLECTORS, _MOST_REFLECTORS = 8, 64

# Measured: what a call takes whatever its size, and a waiting task with its edges.
_BYTES_PER_CALL = 3 << 19
_BYTES_PER_TASK, _BYTES_PER_EDGE = 160, 8


class Operation(Enum):
    """What is computed: first what `gprat.plan` plans, then what else an engine does."""

    FIT = "fit"
    """One evaluation of the log marginal likelihood and its gradient."""
    PREDICT = "predict"
    """The factor, and means at the test points."""
    VARIANCE = "variance"
    """The factor, and means and variances at the test points."""
    COVARIANCE = "covariance"
    """The factor, and means at the test points with their joint covariance."""
    FACTOR = "factor"
    """The factor and the weights, which all of the following need too."""
    DENSE_FACTOR = "dense factor"
    """A copy of the factor as an n × n matrix."""
    PREDICT_GRADIENT = "gradient"
    """Derivatives of means and variances by the test points."""
    LEAVE_ONE_OUT = "leave-one-out"
    """The diagonal of the inverse."""
    SOLVE = "solve"
    """K⁻¹ or K, times m columns."""
    COLOR = "color"
    """L times m columns."""
    PRODUCT = "product"
    """K times m columns, without the factor."""
    FIT_WITH_INPUTS = "input gradient"
    """`FIT`, with derivatives by the training inputs."""
    LEAVE_ONE_OUT_FIT = "leave-one-out fit"
    """One evaluation of the leave-one-out density and its gradient."""
    APPEND = "append"
    """The factor of n rows from that of all but the last m."""
    DELETE = "delete"
    """The factor of n rows from that of m more."""
    JOINT = "joint"
    """Means at the test points with the joint covariances of groups of them."""
    PULL_BACK = "pull back"
    """Derivatives of predictions by what goes through K, and others with them."""
    PULL_BACK_IN_BLOCKS = "pull back in blocks"
    """Derivatives of predictions by test points and targets."""
    PULL_BACK_MEAN = "pull back of means"
    """Derivatives of means alone, by whatever."""


PLANNED = (Operation.FIT, Operation.PREDICT, Operation.VARIANCE, Operation.COVARIANCE)
_PULLS = (Operation.PULL_BACK, Operation.PULL_BACK_IN_BLOCKS, Operation.PULL_BACK_MEAN)
_FITS = (Operation.FIT, Operation.FIT_WITH_INPUTS, Operation.LEAVE_ONE_OUT_FIT)


def check_operation(what: Any) -> Operation:
    """Return the operation of that name, of those that are planned.

    Raises
    ------
    InvalidInputError
        If there is none.
    """
    try:
        return next(
            operation for operation in PLANNED if operation.value == validation.as_choice(what)
        )
    except StopIteration:
        names = ", ".join(repr(operation.value) for operation in PLANNED)
        raise InvalidInputError(f"unknown operation {what!r}: expected one of {names}.") from None


@dataclass(frozen=True, slots=True)
class Work:
    """An operation of which all but the number of training points is known.

    Parameters
    ----------
    operation : Operation
        What is done.
    d, m, k, p : int
        Features; test points or columns; outputs; hyperparameters.
    threads : int
        Threads that compute.
    processors : int
        Processors of the machine.
    itemsize : int
        Bytes of a number.
    tile_size_for : callable
        The side of the tiles for n training points.
    q : int, default=0
        Basis functions of the trend.
    most_slots : int, default=None
        Blocks of columns that are in memory at a time; None for one more than threads.
    group : int, default=1
        Consecutive test points that have a joint covariance.
    keeps : bool, default=False
        Whether L⁻¹k(X, X*) is kept for later, or was.
    """

    operation: Operation
    d: int
    m: int
    k: int
    p: int
    threads: int
    processors: int
    itemsize: int
    tile_size_for: Callable[[int], int]
    q: int = 0
    most_slots: int | None = None
    group: int = 1
    keeps: bool = False

    def data_bytes(self, n: int) -> int:
        """Return the size of X, y and the test points."""
        return self.itemsize * (n * (self.d + self.k) + self.m * self.d)

    def peak_bytes(self, n: int) -> int:
        """Return the most memory that is taken at a time beyond the data, with the results."""
        tile = self.tile_size_for(n)
        numbers, doubles = self._numbers_beyond_factor(n, tile)
        own = self.threads * self._numbers_per_thread(n, tile)
        graph = self._graph_bytes(n, tile) + 16 * _tiles(n, tile)
        return self.factor_bytes(n) + self.itemsize * (numbers + own) + 8 * doubles + graph

    def factor_bytes(self, n: int) -> int:
        """Return what the factor takes, with the targets and basis functions solved for."""
        columns = 2 * (self.k + self.q)
        if self.operation is Operation.PRODUCT:
            return 0
        return self.itemsize * (triangle_numbers(n, self.tile_size_for(n)) + n * columns)

    def slots_within(self, n: int, memory: int) -> int:
        """Return how many blocks of columns fit into memory, at least 1."""
        least, more = (replace(self, most_slots=slots).peak_bytes(n) for slots in (1, 2))
        return 1 if more == least else max(1, 1 + (memory - least) // (more - least))

    def _numbers_beyond_factor(self, n: int, tile: int) -> tuple[int, int]:
        """Return how many numbers, and how many doubles, an operation takes beside the factor."""
        m, k, q, t = self.m, self.k, self.q, _tiles(n, tile)
        trend = m * (k + 2 * q) if q else 0
        match self.operation:
            case Operation.FIT:
                return 0, t * (t + 1) // 2 * self.p + n * (1 + k)
            case Operation.FIT_WITH_INPUTS:
                return 0, t * (t + 1) // 2 * self.p + n * (1 + k + self.d + q)
            case Operation.LEAVE_ONE_OUT_FIT:
                own = 2 * self.threads * tile**2
                return n * (1 + 6 * (k + q)) + own, t * (t + 1) // 2 * self.p + n * (1 + k)
            case Operation.PREDICT:
                return m * k, 0
            case Operation.VARIANCE:
                return self._slots() * n * min(m, self._block()) + m * (1 + k) + trend, m
            case Operation.PREDICT_GRADIENT:
                own = self.threads * _GRADIENT_ROWS * self._block()
                slots = self._slots() * n * min(m, self._block())
                return slots + m * k + trend + own, m * (1 + self.d * (1 + k) + q)
            case Operation.COVARIANCE:
                return n * m + m**2 + m * k + trend, 0
            case Operation.LEAVE_ONE_OUT:
                return min(t, self._most_slots()) * n * tile + n, 0
            case Operation.DENSE_FACTOR:
                return n**2, 0
            case Operation.SOLVE | Operation.COLOR:
                return n * m, 0
            case Operation.PRODUCT:
                return n * m + self.threads * _PRODUCT_BLOCK**2, n * (2 * m + 1)
            case Operation.APPEND:
                return triangle_numbers(n - m, self.tile_size_for(n - m)), 0
            case Operation.JOINT:
                return self._joint_numbers(n) + trend, m
            case Operation.PULL_BACK | Operation.PULL_BACK_IN_BLOCKS | Operation.PULL_BACK_MEAN:
                return self._numbers_pulled_back(n, tile)
            case Operation.DELETE:
                reflectors = min(max(m, _FEWEST_REFLECTORS), _MOST_REFLECTORS)
                old = triangle_numbers(n + m, self.tile_size_for(n + m))
                return old + n * (m + reflectors + 1), 0
        return 0, 0

    def _joint_numbers(self, n: int) -> int:
        """Return what the joint covariances of groups take, and what they are computed from."""
        m, group = self.m, min(self.group, self.m)
        in_memory = m if self.keeps or group == m else min(m, self._slots() * self._block())
        return n * in_memory + m * (group + self.k)

    def _numbers_pulled_back(self, n: int, tile: int) -> tuple[int, int]:
        """Return how many numbers, and how many doubles, derivatives of predictions take."""
        m, k, q, t, block = self.m, self.k, self.q, _tiles(n, tile), self._block()
        doubles = n * (1 + k + self.d + q) + m * (self.d + 3 * q)
        trend = m * (2 * k + 3 * q) + n * q if q else 0
        own = self.threads * max(tile, min(block, m)) ** 2
        if self.operation is not Operation.PULL_BACK_MEAN:
            own += m * min(self.group, m)  # cotangents, made symmetric
        if self.operation is Operation.PULL_BACK_IN_BLOCKS:
            # A group that is wider than a block needs all of its columns.
            in_memory = min(m, self._slots() * block)
            if min(self.group, m) > block:
                in_memory = m
            return n * (in_memory + 2 * k) + trend + own, doubles
        doubles += self.p * (t * (t + 1) // 2 + 2 * _tiles(m, block))
        columns = m if self.operation is Operation.PULL_BACK else 0
        return 2 * n * (columns + 2 * k) + trend + own, doubles

    def labelled(self, n: int, has_factor: bool) -> tuple[float, float]:
        """Return what the labels of all tasks add up to: operations, and pairs of points.

        Parameters
        ----------
        n : int
            Training points.
        has_factor : bool
            Whether the factor is there already.
        """
        size, m, tile = float(n), float(self.m), self.tile_size_for(n)
        triangle = size * (size + 1.0) / 2.0
        flops, pairs = 0.0, 0.0
        if self.operation is Operation.PRODUCT:
            return 0.0, size**2
        if self.operation not in (Operation.APPEND, Operation.DELETE) and not has_factor:
            flops, pairs = size**3 / 3.0 + 4.0 * size**2 * (self.k + self.q), triangle
        match self.operation:
            case Operation.FIT | Operation.FIT_WITH_INPUTS:
                return flops + 2.0 * size**3 / 3.0, pairs + triangle
            case Operation.LEAVE_ONE_OUT_FIT:
                return flops + 2.0 * size**3 / 3.0 + size**2 * (size + tile), pairs
            case Operation.PREDICT:
                return flops, pairs + size * m
            case Operation.VARIANCE:
                return flops + size**2 * m, pairs + size * m
            case Operation.PREDICT_GRADIENT:
                return flops + 2.0 * size**2 * m, pairs + 3.0 * size * m
            case Operation.COVARIANCE:
                return flops + size**2 * m + size * m**2, pairs + size * m
            case Operation.JOINT:
                products = size * m * self.group if self.group > 1 else 0.0
                return flops + size**2 * m + products, pairs + size * m
            case Operation.PULL_BACK | Operation.PULL_BACK_IN_BLOCKS:
                solves, evaluated = (1.0, 1.0) if self.keeps else (2.0, 2.0)
                over_K = triangle if self.operation is Operation.PULL_BACK else 0.0
                return flops + solves * size**2 * m, pairs + evaluated * size * m + over_K
            case Operation.PULL_BACK_MEAN:
                return flops + 2.0 * size**2 * self.k, pairs + 2.0 * size * m + triangle
            case Operation.LEAVE_ONE_OUT:
                return flops + size**3 / 3.0 + size**2 * tile / 2.0, pairs
            case Operation.SOLVE:
                return flops + 2.0 * size**2 * m, pairs
            case Operation.COLOR:
                return flops + size**2 * m, pairs
            case Operation.APPEND:
                return (size**3 - (size - m) ** 3) / 3.0, m * size
            case Operation.DELETE:
                return min(2.0 * size**2 * m, size**3 / 3.0), 0.0
        return flops, pairs

    def flops(self, n: int) -> float:
        """Return additions and multiplications, a pair of points counting as one a feature."""
        size, m, k = float(n), float(self.m), float(self.k)
        assemble_and_factorise = size**2 * self.d + size**3 / 3.0
        solves = 2.0 * size**2 * k
        if self.operation is Operation.FIT:
            gradient = 2.0 * size**3 / 3.0 + size**2 * (self.d + self.p)
            return assemble_and_factorise + solves + gradient
        mean = size * m * (self.d + 2.0 * k)
        if self.operation is Operation.PREDICT:
            return assemble_and_factorise + solves + mean
        variance = assemble_and_factorise + solves + mean + size**2 * m
        if self.operation is Operation.VARIANCE:
            return variance
        return variance + size * m**2

    def tasks(self, n: int) -> int:
        """Return how many tasks the graph has."""
        tile = self.tile_size_for(n)
        t = _tiles(n, tile)
        tasks = _conditioning_tasks(t, tile, self.k)
        if self.operation is Operation.FIT:
            return tasks + _inverse_tasks(t, _tiles_per_strip(t, tile)) + t * (t + 1) // 2
        if self.operation is Operation.PREDICT:
            return tasks + _tiles(self.m, _MEAN_BLOCK)
        blocks = _tiles(self.m, self._block())
        # Cross-covariance, solve and mean of a block of points; the last block may be narrow.
        last = self.m - (blocks - 1) * self._block()
        solves = (blocks - 1) * _updates(t, tile) + _updates_of_vectors(t, tile, last)
        whitened = blocks * (t + t + 1 + t) + solves
        if self.operation is Operation.VARIANCE:
            return tasks + whitened + blocks * (t + 2)
        return tasks + whitened + blocks * (blocks + 1) // 2

    def _block(self) -> int:
        """Return how many test points a block has."""
        even = 24 * _tiles(_tiles(self.m, _BLOCKS_PER_PROCESSOR * self.processors), 24)
        least = 24 * _tiles(_tiles(self.m, _BLOCKS_OF_MANY_PROCESSORS), 24)
        least = min(max(least, _NARROWEST_BLOCK), _NARROW_BLOCK)
        block = min(max(even, least), _WIDEST_BLOCK)
        # Whole groups; what is pulled back is cut through those that are wider.
        if self.operation in _PULLS and self.group > block:
            return block
        return self.group * _tiles(block, self.group)

    def _slots(self) -> int:
        """Return how many blocks of test points are in memory at a time."""
        return min(max(1, _tiles(self.m, self._block())), self._most_slots())

    def _most_slots(self) -> int:
        useful = self.threads + 1
        return useful if self.most_slots is None else min(useful, self.most_slots)

    def _numbers_per_thread(self, n: int, tile: int) -> int:
        """Return what a thread keeps: a packed product's operands, and half a packed triangle."""
        columns = tile
        if self.operation in _FITS:
            columns = tile * _tiles_per_strip(_tiles(n, tile), tile)
        elif self.operation not in (Operation.PREDICT, Operation.FACTOR):
            columns = min(self.m, self._block())
            if self.operation not in PLANNED:
                columns = max(columns, tile)
        inner = min(n, _PACKED_INNER)
        packed = inner * (min(n, _PACKED_ROWS) + min(columns, n, _PACKED_COLUMNS))
        return packed + min(tile, _LARGEST_TRIANGLE) ** 2 // 2

    def _graph_bytes(self, n: int, tile: int) -> int:
        """Return what tasks take that wait; with one thread none does."""
        if self.threads == 1:
            return _BYTES_PER_CALL
        edges = 2 * min(_tiles_per_update(tile), _tiles(n, tile))
        known = self.operation in PLANNED
        # The others have no more than a fit: each tile of an inverse costs them as many.
        waiting = (self if known else replace(self, operation=Operation.FIT)).tasks(n)
        waiting = min(waiting, _MOST_WAITING_TASKS)
        return _BYTES_PER_CALL + waiting * (_BYTES_PER_TASK + edges * _BYTES_PER_EDGE)


def triangle_numbers(n: int, tile_size: int) -> int:
    """Return how many numbers the lower triangle takes in tiles, those on the diagonal whole.

    Examples
    --------
    >>> triangle_numbers(5, tile_size=2)  # 2·2 + 2·4 + 1·5
    17
    """
    rows, rest = divmod(n, tile_size)
    return tile_size**2 * (rows * (rows + 1) // 2) + rest * n


def _tiles(size: int, tile_size: int) -> int:
    return -(-size // tile_size)


def _tiles_per_update(tile_size: int) -> int:
    return max(1, _LONG // tile_size)


def _tiles_per_strip(t: int, tile_size: int) -> int:
    return max(1, (_SHORT if t >= _MANY_TILES else _LONG) // tile_size)


def _conditioning_tasks(t: int, tile: int, columns: int) -> int:
    """Return the tasks of assembly, factorisation and both solves with the targets."""
    pairs = t * (t + 1) // 2
    factorisation = _updates(t, tile) + _updates_below(t, tile) + pairs
    is_cut_finely = t >= _MANY_TILES and columns <= _FEW_VECTORS
    backward = _groups(t, 1 if is_cut_finely else _tiles_per_strip(t, tile))
    solves = _updates_of_vectors(t, tile, columns) + backward + 2 * t
    log_determinant, copies, weights_ready = t, 2 * t, 1
    return pairs + factorisation + log_determinant + copies + solves + weights_ready


def _inverse_tasks(t: int, group: int) -> int:
    """Return the tasks of L⁻¹ in place and of L⁻ᵀL⁻¹ in place."""
    pairs = t * (t + 1) // 2
    triangular = _groups(t, group) + _groups_below(t, group) + pairs
    product = _groups_below(t, group) + _groups(t, group) + pairs
    return triangular + product


def _updates(t: int, tile: int) -> int:
    """Return how many updates the tiles on the diagonal receive, or those of a block of vectors."""
    group = _tiles_per_update(tile)
    if t < _MANY_TILES:
        return _groups(t, group)
    # The last panel comes alone.
    return _groups(t - 1, group) + t - 1


def _updates_below(t: int, tile: int) -> int:
    """Return how many updates all tiles below the diagonal receive."""
    group = _tiles_per_update(tile)
    if t < _MANY_TILES:
        return _groups_below(t, group)
    return _groups_below(t - 1, group) + (t - 1) * (t - 2) // 2


def _updates_of_vectors(t: int, tile: int, columns: int) -> int:
    """Return how many updates a forward solve with so many vectors has."""
    if t >= _MANY_TILES and columns <= _FEW_VECTORS:
        return t * (t - 1) // 2
    return _updates(t, tile)


def _groups(t: int, group: int) -> int:
    """Return Σ ⌈j/group⌉ for j in [0, t)."""
    full, rest = divmod(max(0, t - 1), group)
    return group * full * (full + 1) // 2 + rest * (full + 1)


def _groups_below(t: int, group: int) -> int:
    """Return Σ (t − 1 − j)·⌈j/group⌉ for j in [0, t)."""
    full, rest = divmod(max(0, t - 1), group)
    weighted = group**2 * ((full - 1) * full * (full + 1) // 3)
    weighted += group * (group + 1) // 2 * (full * (full + 1) // 2)
    weighted += (full + 1) * (rest * full * group + rest * (rest + 1) // 2)
    return (t - 1) * _groups(t, group) - weighted
