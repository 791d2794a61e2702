"""What an operation on the processors costs: bytes, floating-point operations, tasks.

Everything is counted from the loops of the core, as if each were run; only the memory that threads
keep for packed operands is an estimate. n training points in t tiles a side, m test points, d
features, k outputs, p hyperparameters.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

__all__ = ["Operation", "Work"]

# As in the core: tile_layout.hpp, predict.cpp, gemm.cpp, task_graph.cpp.
_LONG, _SHORT, _MANY_TILES = 1536, 512, 16
_FEW_VECTORS = 8
_MEAN_BLOCK = 128
_WIDEST_BLOCK, _NARROW_BLOCK, _NARROWEST_BLOCK = 768, 192, 96
_BLOCKS_PER_PROCESSOR, _BLOCKS_OF_MANY_PROCESSORS = 2, 32
_PACKED_ROWS, _PACKED_INNER, _PACKED_COLUMNS = 192, 384, 1024
_LARGEST_TRIANGLE = 512
_MOST_WAITING_TASKS = 1 << 16

# Measured: what a call takes whatever its size, and a waiting task with its edges.
_BYTES_PER_CALL = 3 << 19
_BYTES_PER_TASK, _BYTES_PER_EDGE = 160, 8


class Operation(Enum):
    """What is planned."""

    FIT = "fit"
    """One evaluation of the log marginal likelihood and its gradient."""
    PREDICT = "predict"
    """The factor, and means at the test points."""
    VARIANCE = "variance"
    """The factor, and means and variances at the test points."""
    COVARIANCE = "covariance"
    """The factor, and means at the test points with their joint covariance."""


@dataclass(frozen=True, slots=True)
class Work:
    """An operation of which all but the number of training points is known.

    Parameters
    ----------
    operation : Operation
        What is done.
    d, m, k, p : int
        Features, test points, outputs, hyperparameters.
    threads : int
        Threads that compute.
    processors : int
        Processors of the machine.
    itemsize : int
        Bytes of a number.
    tile_size_for : callable
        The side of the tiles for n training points.
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

    def data_bytes(self, n: int) -> int:
        """Return the size of X, y and the test points."""
        return self.itemsize * (n * (self.d + self.k) + self.m * self.d)

    def peak_bytes(self, n: int) -> int:
        """Return the most memory that is taken at a time beyond the data, with the results."""
        tile = self.tile_size_for(n)
        t = _tiles(n, tile)
        numbers = triangle_numbers(n, tile) + 2 * n * self.k
        doubles = 2 * t
        if self.operation is Operation.FIT:
            doubles += t * (t + 1) // 2 * self.p + n * (1 + self.k)
        else:
            numbers += self.m * self.k
        if self.operation is Operation.VARIANCE:
            numbers += self._slots() * n * min(self.m, self._block()) + self.m
            doubles += self.m
        elif self.operation is Operation.COVARIANCE:
            numbers += n * self.m + self.m**2
        own = self.threads * self._numbers_per_thread(n, tile)
        return self.itemsize * (numbers + own) + 8 * doubles + self._graph_bytes(n, tile)

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
        return min(max(even, least), _WIDEST_BLOCK)

    def _slots(self) -> int:
        """Return how many blocks of test points are in memory at a time."""
        return min(max(1, _tiles(self.m, self._block())), self.threads + 1)

    def _numbers_per_thread(self, n: int, tile: int) -> int:
        """Return what a thread keeps: a packed product's operands, and half a packed triangle."""
        columns = tile
        if self.operation is Operation.FIT:
            columns = tile * _tiles_per_strip(_tiles(n, tile), tile)
        elif self.operation is not Operation.PREDICT:
            columns = min(self.m, self._block())
        inner = min(n, _PACKED_INNER)
        packed = inner * (min(n, _PACKED_ROWS) + min(columns, n, _PACKED_COLUMNS))
        return packed + min(tile, _LARGEST_TRIANGLE) ** 2 // 2

    def _graph_bytes(self, n: int, tile: int) -> int:
        """Return what tasks take that wait; with one thread none does."""
        if self.threads == 1:
            return _BYTES_PER_CALL
        edges = 2 * min(_tiles_per_update(tile), _tiles(n, tile))
        waiting = min(self.tasks(n), _MOST_WAITING_TASKS)
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
