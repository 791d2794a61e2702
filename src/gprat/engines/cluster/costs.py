"""What the tasks of blocks cost: their operations, and the size of what they return."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from gprat._costs import triangle_numbers
from gprat.engines.cluster.blocks import Finish

__all__ = ["Cost", "Costs", "Sized"]

# What an object of Python takes when it travels, whatever is in it.
_SMALL = 256
_DOUBLE = 8


class Sized:
    """A block that is described and not computed: what stands for it among arguments.

    Parameters
    ----------
    index : int
        Of the task whose result it is.
    rows, columns : int
        Its shape.
    size : int
        Its bytes.
    """

    __slots__ = ("__weakref__", "columns", "index", "rows", "size")

    def __init__(self, index: int, rows: int, columns: int, size: int) -> None:
        self.index, self.rows, self.columns, self.size = index, rows, columns, size


@dataclass(frozen=True, slots=True)
class Cost:
    """What a task costs.

    Parameters
    ----------
    rows, columns : int
        The shape of what it returns.
    size : int
        Bytes of what it returns.
    products : float
        Floating-point operations of matrix products.
    solves : float
        Those with a triangle.
    factors : float
        Those of a Cholesky factor.
    evaluated, contracted : float
        Pairs of points whose covariances are evaluated, or differentiated.
    moved : float
        Bytes that are read and written at least.
    scratch : int
        Bytes beside the result that it takes while it runs.
    tiles : int
        Tiles that may be computed at the same time.
    steps : int
        Tiles that wait for each other in a solve or a factor.
    """

    rows: int
    columns: int
    size: int
    products: float = 0.0
    solves: float = 0.0
    factors: float = 0.0
    evaluated: float = 0.0
    contracted: float = 0.0
    moved: float = 0.0
    scratch: int = 0
    tiles: int = 1
    steps: int = 0

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """Return the names of all figures."""
        return tuple(field.name for field in fields(cls))


class Costs:
    """What tasks cost, from the function that each calls and the sizes of its arguments.

    Parameters
    ----------
    itemsize : int
        Bytes of a number.
    tile_size : int
        Side of the tiles that blocks are cut into.
    n_parameters : int
        Hyperparameters, by each of which there are derivatives.
    """

    def __init__(self, itemsize: int, tile_size: int, n_parameters: int) -> None:
        self._itemsize = itemsize
        self._tile_size = tile_size
        self._n_parameters = n_parameters
        self._rules: dict[str, Callable[..., Cost]] = {
            "compute": self._compute,
            "triangle": self._triangle,
            "factorise": self._factorise,
            "add_and_finish": self._add_and_finish,
            "itself": self._itself,
            "invert_after": self._invert,
            "products_of": self._products_of,
            "explain_all": self._explain_all,
            "log_determinant": self._log_determinant,
            "project_trend": self._project_trend,
            "rows_of": self._rows_of,
            "contract_likelihood": self._contract_likelihood,
            "returned": self._returned,
            "sum_row": self._sum_row,
            "sum_rows": self._sum_row,
            "mean": self._mean,
            "mean_of": self._mean_of,
            "explain": self._explain,
            "known": self._known,
            "variance": self._variance,
            "covariance": self._covariance,
        }

    def of(self, function: Callable[..., Any], arguments: Sequence[Any]) -> Cost:
        """Return what a call costs, whose arguments hold `Sized` in place of blocks."""
        return self._rules[function.__name__.lstrip("_")](*arguments)

    def matrix(self, rows: int, columns: int) -> int:
        """Return the bytes of a dense block."""
        return self._itemsize * rows * columns + _SMALL

    def _compute(
        self,
        _model: Any,
        start: Any,
        products: Sequence[Any],
        shape: tuple[int, int],
        finish: Finish = Finish.NONE,
        triangle: Sized | None = None,
    ) -> Cost:
        rows, columns = shape
        side = triangle.rows if triangle is not None and finish is not Finish.NONE else 0
        size = self.matrix(rows, columns)
        return Cost(
            rows,
            columns,
            size,
            products=_product_flops(products),
            solves=float(rows) * columns * side,
            evaluated=float(rows) * columns if isinstance(start, tuple) else 0.0,
            moved=float(size + _bytes_of([start, products, triangle])),
            tiles=self._tiles(rows) * self._tiles(columns),
            steps=self._tiles(side),
        )

    def _triangle(self, _model: Any, start: Any, products: Sequence[Any], side: int) -> Cost:
        tiles = self._tiles(side)
        size = self._itemsize * triangle_numbers(side, min(side, self._tile_size)) + _SMALL
        return Cost(
            side,
            side,
            size,
            products=0.5 * _product_flops(products),
            evaluated=0.5 * side * side if isinstance(start, tuple) else 0.0,
            moved=float(size + _bytes_of([start, products])),
            tiles=tiles * (tiles + 1) // 2,
        )

    def _factorise(
        self, model: Any, start: Any, products: Sequence[Any], side: int, _first: int
    ) -> Cost:
        block = self._triangle(model, start, products, side)
        return replace(block, factors=float(side) ** 3 / 3.0, steps=self._tiles(side))

    def _add_and_finish(
        self,
        _model: Any,
        start: Any,
        terms: Sequence[Sized],
        shape: tuple[int, int],
        _finish: Finish,
        tiles: Sized,
    ) -> Cost:
        rows, columns = shape
        size = self.matrix(rows, columns)
        return Cost(
            rows,
            columns,
            size,
            solves=float(rows) ** 2 * columns,
            evaluated=float(rows) * columns if isinstance(start, tuple) else 0.0,
            moved=float(size + _bytes_of([start, terms, tiles])),
            steps=self._tiles(rows),
        )

    def _products_of(
        self, _model: Any, products: Sequence[tuple[int, Any]], shape: tuple[int, int]
    ) -> Cost:
        rows, columns = shape
        size = len(products) * self.matrix(rows, columns)
        each = [product for _, product in products]
        flops, moved = _product_flops(each), float(size + _bytes_of(each))
        return Cost(rows, columns, size, products=flops, moved=moved, tiles=self._tiles(rows))

    def _itself(self, block: Sized) -> Cost:
        return Cost(block.rows, block.columns, block.size)

    def _invert(self, _model: Any, tiles: Sized, side: int, _after: Any) -> Cost:
        size = self.matrix(side, side)
        return Cost(
            side,
            side,
            size,
            solves=float(side) ** 3 / 3.0,
            moved=float(size + tiles.size),
            scratch=tiles.size,
            steps=self._tiles(side),
        )

    def _log_determinant(self, _model: Any, _tiles: Sized, side: int) -> Cost:
        return Cost(1, 1, _SMALL, moved=float(_DOUBLE * side))

    def _project_trend(self, _model: Any, solved: Sequence[Sized]) -> Cost:
        rows, columns = sum(part.rows for part in solved), solved[0].columns
        size = self.matrix(rows, columns)
        return Cost(rows, columns, size, moved=2.0 * size)

    def _rows_of(self, trend: Sized, begin: int, end: int) -> Cost:
        size = self.matrix(end - begin, trend.columns)
        return Cost(end - begin, trend.columns, size, moved=float(size))

    def _contract_likelihood(
        self,
        _model: Any,
        start: Any,
        products: Sequence[Any],
        rows: Sized,
        columns: Sized,
        row_weights: Sized,
        column_weights: Sized,
        by_points: bool,
    ) -> Cost:
        is_diagonal = rows.index == columns.index
        share = 0.5 if is_diagonal else 1.0
        pairs = share * rows.rows * columns.rows
        low_rank = 2.0 * rows.rows * columns.rows * row_weights.columns
        tiles = self._tiles(rows.rows) * self._tiles(columns.rows)
        numbers = self._n_parameters + (rows.rows if is_diagonal else 0)
        if by_points:
            numbers += (rows.rows + columns.rows) * rows.columns
        return Cost(
            rows.rows,
            0,
            _DOUBLE * numbers + _SMALL,
            products=share * (_product_flops(products) + low_rank),
            contracted=pairs,
            moved=float(_bytes_of([start, products])),
            scratch=int(self._itemsize * pairs),
            tiles=max(1, int(share * tiles)),
        )

    def _returned(self, values: Any) -> Cost:
        return Cost(0, 0, _bytes_of(values))

    def _sum_row(self, *parts: Any) -> Cost:
        return Cost(0, 0, _DOUBLE * self._n_parameters + _SMALL, moved=float(_bytes_of(parts)))

    def _mean(
        self,
        _model: Any,
        rows: Sequence[Sized],
        points: Sized,
        weights: Sequence[Sized],
        _trend: Any,
    ) -> Cost:
        pairs = float(sum(part.rows for part in rows)) * points.rows
        columns = weights[0].columns
        largest = max(part.rows for part in rows)
        return Cost(
            points.rows,
            columns,
            self.matrix(points.rows, columns),
            products=2.0 * pairs * columns,
            evaluated=pairs,
            scratch=self.matrix(largest, points.rows),
            tiles=self._tiles(largest) * self._tiles(points.rows),
        )

    def _mean_of(self, known: Sized) -> Cost:
        return Cost(known.rows, known.columns, self.matrix(known.rows, known.columns))

    def _explain(self, _model: Any, V: Sized, whitened: Sized) -> Cost:
        size = self.matrix(V.columns, whitened.columns) + _DOUBLE * V.columns
        flops = 2.0 * V.rows * V.columns * whitened.columns
        return Cost(V.columns, whitened.columns, size, products=flops, moved=2.0 * V.size)

    def _known(self, _model: Any, points: Sized, _trend: Any, parts: Sequence[Sized]) -> Cost:
        moved = float(_bytes_of(parts))
        return Cost(points.rows, parts[0].columns, parts[0].size, moved=moved)

    def _explain_all(
        self, _model: Any, points: Sized, _trend: Any, pairs: Sequence[tuple[Sized, Sized]]
    ) -> Cost:
        parts = [self._explain(None, *pair) for pair in pairs]
        return Cost(
            points.rows,
            parts[0].columns,
            parts[0].size,
            products=sum(part.products for part in parts),
            moved=sum(part.moved for part in parts),
        )

    def _variance(self, _model: Any, points: Sized, known: Sized) -> Cost:
        return Cost(points.rows, known.columns, known.size, moved=float(known.size))

    def _covariance(
        self,
        model: Any,
        start: Any,
        products: Sequence[Any],
        shape: tuple[int, int],
        *_known: Any,
    ) -> Cost:
        return self._compute(model, start, products, shape)

    def _tiles(self, size: int) -> int:
        return -(-size // self._tile_size)


def _product_flops(products: Sequence[Any]) -> float:
    """Return the operations of products with dense blocks; half of them, where one is a triangle.

    What lies above the diagonal of a triangle is skipped tile by tile.
    """
    flops = 0.0
    for _, A, is_A_transposed, is_A_lower, B, is_B_transposed, is_B_lower, _ in products:
        columns = B.rows if is_B_transposed else B.columns
        rows, inner = (A.columns, A.rows) if is_A_transposed else (A.rows, A.columns)
        flops += (1.0 if is_A_lower or is_B_lower else 2.0) * rows * inner * columns
    return flops


def _bytes_of(values: Any) -> int:
    """Return the size of all blocks in lists and tuples."""
    if isinstance(values, Sized):
        return values.size
    if isinstance(values, list | tuple):
        return sum(_bytes_of(value) for value in values)
    return 0
