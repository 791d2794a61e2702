"""How rows are cut into blocks, and which worker owns which block."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

__all__ = ["Cuts", "Grid", "auto_block_size"]

# Blocks a side for each row or column of workers: so many that all have work until near the end.
_BLOCKS_PER_WORKER = 4
# Smaller blocks spend more time on their way than in products; larger ones wait for each other.
_SMALLEST, _LARGEST = 256, 4096
# Where there is very little memory.
_FEWEST = 64


@dataclass(frozen=True, slots=True)
class Cuts:
    """Rows [0, n) cut into consecutive blocks.

    Parameters
    ----------
    bounds : tuple of int
        0, where each block but the first begins, and n.
    """

    bounds: tuple[int, ...]

    @classmethod
    def even(cls, n: int, size: int, first: int = 0) -> Cuts:
        """Cut [first, n) into blocks of so many rows, of which the last may have fewer."""
        return cls((*range(first, n, size), n) if n > first else (first,))

    def extended(self, n: int, size: int) -> Cuts:
        """Return the same blocks, and more of so many rows up to n."""
        return Cuts(self.bounds + Cuts.even(n, size, self.bounds[-1]).bounds[1:])

    def up_to(self, row: int) -> Cuts:
        """Return the blocks that end at a row or before it."""
        return Cuts(tuple(bound for bound in self.bounds if bound <= row))

    def __len__(self) -> int:
        return len(self.bounds) - 1

    @property
    def n(self) -> int:
        """How many rows there are."""
        return self.bounds[-1]

    def begin(self, block: int) -> int:
        """Return the first row of a block."""
        return self.bounds[block]

    def size(self, block: int) -> int:
        """Return how many rows a block has."""
        return self.bounds[block + 1] - self.bounds[block]

    def slices(self) -> list[slice]:
        """Return the rows of each block."""
        return [slice(begin, end) for begin, end in pairwise(self.bounds)]


@dataclass(frozen=True, slots=True)
class Grid:
    """Workers as a rectangle on which blocks are dealt out, row by row and column by column.

    A row of blocks of the factor then is needed by one row and one column of workers, so that each
    worker receives O(n²/√P) numbers, P being the number of workers.

    Parameters
    ----------
    workers : tuple of str
        Their addresses, row by row.
    columns : int
        How many workers a row has.
    """

    workers: tuple[str, ...]
    columns: int

    @classmethod
    def of(cls, workers: list[str]) -> Grid:
        """Return the rectangle of these workers that is nearest to a square, no wider than high."""
        count = len(workers)
        columns = max(c for c in range(1, int(count**0.5) + 1) if count % c == 0)
        return cls(tuple(sorted(workers)), columns)

    @property
    def rows(self) -> int:
        """How many rows of workers there are."""
        return len(self.workers) // self.columns

    def owner(self, i: int, j: int) -> str:
        """Return the address of the worker that is to have block (i, j)."""
        return self.workers[(i % self.rows) * self.columns + j % self.columns]


def auto_block_size(n: int, grid: Grid, most: int = _LARGEST) -> int:
    """Return how many rows blocks have if nobody says so; so many at most, as memory allows."""
    size = -(-n // (_BLOCKS_PER_WORKER * max(grid.rows, grid.columns)))
    size = min(int(np.clip(size, _SMALLEST, _LARGEST)), max(most, _FEWEST))
    # An odd number of cache lines: neighbouring columns then don't compete for places in a cache.
    return 8 * (size // 8 | 1)
