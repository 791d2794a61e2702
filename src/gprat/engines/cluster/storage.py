"""The factor's way between blocks on the cluster and tiles in one array; see `engines.base`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from gprat._validation import FloatArray
from gprat.engines.cluster.blocks import dense
from gprat.engines.cluster.factor import Factor
from gprat.engines.cluster.graph import BlockGraph
from gprat.engines.cluster.layout import Cuts

__all__ = ["blocks_of_tiles", "dense_rows", "factor_size", "first_bad_row", "tiles_of_rows"]


def factor_size(n: int, tile_size: int) -> int:
    """Return how many numbers the tiles of a factor are."""
    return sum((end - begin) * end for begin, end in _tile_rows(n, tile_size))


def dense_rows(graph: BlockGraph, factor: Factor) -> Iterator[tuple[int, FloatArray]]:
    """Yield the first row of each block of rows, and its rows of L up to its diagonal."""
    cuts, rank = factor.cuts, factor.end_rank
    for i in range(len(cuts)):
        last = graph.add(
            "dense",
            (i,),
            dense,
            factor.model,
            factor.blocks[i, i],
            cuts.size(i),
            at=(i, i),
            rank=rank,
        )
        blocks = [factor.blocks[i, j] for j in range(i)]
        yield cuts.begin(i), np.hstack(graph.results([*blocks, last]))


def tiles_of_rows(
    rows: Iterator[tuple[int, FloatArray]], n: int, tile_size: int, dtype: Any
) -> FloatArray:
    """Return the tiles of L, of which rows come in order."""
    tiles: FloatArray = np.zeros(factor_size(n, tile_size), dtype=dtype)
    views = list(_views(tiles, n, tile_size))
    for first, block in rows:
        height, width = block.shape
        for begin, view in views:
            top, bottom = max(begin, first), min(begin + len(view), first + height)
            if top < bottom:
                columns = min(width, view.shape[1])
                view[top - begin : bottom - begin, :columns] = block[
                    top - first : bottom - first, :columns
                ]
    return tiles


def blocks_of_tiles(
    tiles: FloatArray, n: int, tile_size: int, cuts: Cuts, block_tile_size: int
) -> Iterator[tuple[tuple[int, int], FloatArray]]:
    """Yield the blocks of a factor that is given as tiles, row by row."""
    views = list(_views(tiles, n, tile_size))
    for i in range(len(cuts)):
        first, end = cuts.begin(i), cuts.begin(i) + cuts.size(i)
        rows = np.zeros((end - first, end), dtype=tiles.dtype)
        for begin, view in views:
            top, bottom = max(begin, first), min(begin + len(view), end)
            if top < bottom:
                columns = min(end, view.shape[1])
                rows[top - first : bottom - first, :columns] = view[
                    top - begin : bottom - begin, :columns
                ]
        for j in range(i):
            begin = cuts.begin(j)
            yield (i, j), np.asfortranarray(rows[:, begin : begin + cuts.size(j)])
        parts = _tile_rows(end - first, block_tile_size)
        diagonal = np.tril(rows[:, first:])
        triangle = [diagonal[begin:stop, :stop].ravel(order="F") for begin, stop in parts]
        yield (i, i), np.concatenate(triangle)


def first_bad_row(tiles: FloatArray, n: int, tile_size: int) -> int | None:
    """Return the first row where the diagonal of a factor is not positive and finite."""
    for begin, view in _views(tiles, n, tile_size):
        diagonal = np.diagonal(view[:, begin:])
        is_good = (diagonal > 0.0) & np.isfinite(diagonal)
        if not is_good.all():
            return begin + int(np.argmin(is_good))
    return None


def _tile_rows(n: int, tile_size: int) -> list[tuple[int, int]]:
    return [(begin, min(begin + tile_size, n)) for begin in range(0, n, tile_size)]


def _views(tiles: FloatArray, n: int, tile_size: int) -> Iterator[tuple[int, FloatArray]]:
    """Yield the first row of each row of tiles, and the row up to its diagonal, as a view."""
    offset = 0
    for begin, end in _tile_rows(n, tile_size):
        count = (end - begin) * end
        yield begin, tiles[offset : offset + count].reshape(end, end - begin).T
        offset += count
