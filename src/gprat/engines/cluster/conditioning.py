"""What the data say, by blocks: the factor and the solves with the targets (R&W Alg. 2.1, 2.7)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg import solve_triangular

from gprat._validation import Float64Array, FloatArray
from gprat.engines.cluster.blocks import Finish
from gprat.engines.cluster.factor import Blocks, Factor, add_cholesky, add_vectors
from gprat.engines.cluster.failures import RankDeficient
from gprat.engines.cluster.futures import Future
from gprat.engines.cluster.graph import BlockGraph
from gprat.engines.cluster.layout import Cuts
from gprat.engines.cluster.model import Model, Points

if TYPE_CHECKING:
    from gprat.engines.base import Problem

__all__ = [
    "Conditioning",
    "Trend",
    "add_conditioning",
    "add_factor",
    "log_determinant",
    "share_points",
]

# As in the core: conditioning.cpp.
_ROUNDING_OF_THE_FACTOR = 32


@dataclass(frozen=True, eq=False)
class Trend:
    """What the trend takes out of the whitened targets: L⁻¹H = QR (R&W section 2.7).

    Parameters
    ----------
    whitened : ndarray of shape (n, k + q)
        (I − QQᵀ)L⁻¹Y, then Q.
    R : ndarray of shape (q, q)
        Upper triangular, with a positive diagonal.
    beta : ndarray of shape (q, k)
        R⁻¹QᵀL⁻¹Y.
    squares : float
        Of the first k columns of `whitened`: their sum is yᵀPy.
    """

    whitened: FloatArray
    R: FloatArray
    beta: FloatArray
    squares: float


@dataclass(frozen=True, slots=True)
class Conditioning:
    """The factor and the solves, as futures.

    Parameters
    ----------
    factor : Factor
        L.
    half_log_determinants : list of Future
        Σ log L_ii of each block.
    trend : Future
        Of a `Trend`.
    whitened : list of Future
        Its whitened columns by blocks of rows.
    weights : list of Future
        L⁻ᵀ times these: α = PY and U = L⁻ᵀQ.
    """

    factor: Factor
    half_log_determinants: list[Future]
    trend: Future
    whitened: list[Future]
    weights: list[Future]


def add_factor(
    graph: BlockGraph,
    problem: Problem,
    cuts: Cuts,
    tile_size: int,
    known: Blocks | None = None,
) -> Factor:
    """Give the data to the cluster, and add the factorisation; some first rows may be known."""
    model, rows = share_points(graph, problem, cuts, tile_size)
    return add_cholesky(graph, model, cuts, rows, known)


def share_points(
    graph: BlockGraph, problem: Problem, cuts: Cuts, tile_size: int
) -> tuple[Future, list[Future]]:
    """Give the kernel and the training points to the cluster."""
    noise = np.broadcast_to(problem.noise, (len(problem.X),))
    rows = [
        graph.share(
            "points",
            (i,),
            Points(
                problem.X[part],
                problem.basis[part],
                part.start,
                np.ascontiguousarray(noise[part]),
            ),
        )
        for i, part in enumerate(cuts.slices())
    ]
    return graph.share("model", (), _model(problem, tile_size)), rows


def add_conditioning(graph: BlockGraph, problem: Problem, factor: Factor) -> Conditioning:
    """Add the solves with the targets and the basis functions, and the log determinant."""
    cuts, model, rank = factor.cuts, factor.model, factor.end_rank
    columns = np.hstack([problem.Y, problem.basis])
    width = columns.shape[1]
    targets = [
        graph.share("targets", (i,), np.asfortranarray(columns[part]))
        for i, part in enumerate(cuts.slices())
    ]
    halves = [
        graph.add(
            "log_determinant",
            (i,),
            log_determinant,
            model,
            factor.blocks[i, i],
            cuts.size(i),
            at=(i, i),
            rank=rank,
        )
        for i in range(len(cuts))
    ]
    solved = add_vectors(graph, factor, Finish.SOLVE, targets, "whiten_targets", width)
    trend = graph.add("trend", (), _project_trend, model, solved, at=(0, 0), rank=rank)
    whitened = [
        graph.add("whitened", (i,), _rows_of, trend, part.start, part.stop, at=(i, i), rank=rank)
        for i, part in enumerate(cuts.slices())
    ]
    weights = add_vectors(graph, factor, Finish.SOLVE_TRANSPOSED, whitened, "weights", width)
    return Conditioning(factor, halves, trend, whitened, weights)


def _model(problem: Problem, tile_size: int) -> Model:
    return Model(
        problem.program,
        problem.X.shape[1],
        problem.Y.shape[1],
        problem.basis.shape[1],
        problem.X.dtype.name,
        tile_size,
        problem.threads,
    )


def log_determinant(model: Model, tiles: FloatArray, size: int) -> float:
    """Return Σ log L_ii of a block on the diagonal."""
    diagonal = np.empty(size)
    offset = 0
    for begin in range(0, size, model.tile_size):
        end = min(begin + model.tile_size, size)
        height = end - begin
        # The last tile of a row of tiles is the one on the diagonal.
        tile = tiles[offset + height * begin : offset + height * end].reshape(height, height)
        diagonal[begin:end] = np.diagonal(tile)
        offset += height * end
    return float(np.sum(np.log(diagonal)))


def _project_trend(model: Model, solved: Sequence[FloatArray]) -> Trend | RankDeficient:
    k, q = model.n_outputs, model.n_trends
    whitened = np.asfortranarray(np.vstack(list(solved)))
    if q == 0:
        R, beta = (np.empty((0, columns), dtype=whitened.dtype) for columns in (0, k))
        return Trend(whitened, R, beta, _squares(whitened, k))
    Q, R = np.linalg.qr(whitened[:, k:])
    signs = np.where(np.diagonal(R) < 0, -1, 1).astype(whitened.dtype)
    Q, R = Q * signs, np.triu(R * signs[:, np.newaxis])
    if (column := _dependent_column(R, len(whitened))) is not None:
        return RankDeficient(column)
    projection = Q.T @ whitened[:, :k]
    whitened[:, :k] -= Q @ projection
    whitened[:, k:] = Q
    beta = solve_triangular(R, projection).astype(whitened.dtype)
    return Trend(whitened, R, beta, _squares(whitened, k))


def _dependent_column(R: FloatArray, rows: int) -> int | None:
    """Return the first column of L⁻¹H that those before it explain to within rounding."""
    rounding = (rows + _ROUNDING_OF_THE_FACTOR) * float(np.finfo(R.dtype).eps)
    norms = np.linalg.norm(R.astype(np.float64), axis=0)
    # Written so that NaN fails.
    is_independent = np.diagonal(R) > rounding * norms
    return None if is_independent.all() else int(np.argmin(is_independent))


def _squares(whitened: FloatArray, k: int) -> float:
    targets: Float64Array = whitened[:, :k].astype(np.float64)
    return float(np.sum(targets**2))


def _rows_of(trend: Trend, begin: int, end: int) -> FloatArray:
    return np.asfortranarray(trend.whitened[begin:end])
