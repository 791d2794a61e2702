"""A posterior whose factor lives on a cluster; see `gprat.engines.base.Posterior`."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from gprat._range import ensure_finite
from gprat._validation import Float64Array, FloatArray, read_only
from gprat.engines.base import Clipping, Derivatives, PosteriorAdjoint, Problem
from gprat.engines.checks import check_input_derivatives
from gprat.engines.cluster.adjoint import log_marginal_likelihood
from gprat.engines.cluster.blocks import Finish
from gprat.engines.cluster.conditioning import Conditioning, Trend, add_conditioning, add_factor
from gprat.engines.cluster.factor import Blocks, add_vectors
from gprat.engines.cluster.failures import Indefinite
from gprat.engines.cluster.graph import BlockFailedError, BlockGraph
from gprat.engines.cluster.inverse import diagonal_of_inverse
from gprat.engines.cluster.layout import Cuts
from gprat.engines.cluster.prediction import (
    Kept,
    TestBlocks,
    predict_covariance,
    predict_gradient,
    predict_mean,
    predict_variance,
)
from gprat.engines.cluster.pull_back import nothing_pulled_back, pull_back
from gprat.engines.cluster.storage import dense_rows, tiles_of_rows
from gprat.engines.core_kernels import explain
from gprat.exceptions import ClusterError, RankDeficientTrendError

if TYPE_CHECKING:
    from gprat.engines.cluster.engine import ClusterEngine

__all__ = ["ClusterPosterior", "KnownFactor", "failures_explained"]

_Result = TypeVar("_Result")


@contextmanager
def failures_explained(problem: Problem) -> Iterator[None]:
    """Turn failures of blocks into the errors that name the data."""
    try:
        yield
    except BlockFailedError as error:
        failure = error.failure
    else:
        return
    if isinstance(failure, Indefinite):
        raise explain(problem, failure.row, failure.is_finite)
    raise RankDeficientTrendError(problem.basis_names, failure.column)


@dataclass(frozen=True, eq=False)
class KnownFactor:
    """Blocks of a factor that need not be computed.

    Parameters
    ----------
    blocks : callable
        ``blocks(graph)`` returns the futures of those that are known: the first rows.
    has_all : bool
        Whether all rows are.
    tiles : ndarray or None, default=None
        The tiles of L, where the factor was given.
    """

    blocks: Callable[[BlockGraph], Blocks]
    has_all: bool
    tiles: FloatArray | None = None


@dataclass(eq=False)
class _Shared:
    """What copies of a posterior with other limits have in common."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    conditioning: Conditioning | None = None
    has_factor: bool = False
    clipped: int = 0


class ClusterPosterior:
    """A posterior whose factor is blocks on workers.

    Parameters
    ----------
    engine : ClusterEngine
        Connected to the cluster.
    problem : Problem
        What is factorised.
    cuts : Cuts
        How its rows are cut into blocks.
    tile_size : int
        How blocks are cut into tiles.
    known : KnownFactor or None, default=None
        What of the factor is known.
    """

    def __init__(
        self,
        engine: ClusterEngine,
        problem: Problem,
        cuts: Cuts,
        tile_size: int,
        known: KnownFactor | None = None,
    ) -> None:
        self._engine = engine
        self._problem = problem
        self.cuts = cuts
        self.block_tile_size = tile_size
        self._known = known
        self._shared = _Shared(has_factor=known is not None and known.has_all)

    @property
    def problem(self) -> Problem:
        """What was factorised."""
        return self._problem

    @property
    def has_factor(self) -> bool:
        """Whether the factor is there."""
        return self._shared.has_factor

    @property
    def clipped_variances(self) -> int:
        """How many variances all calls have set to zero."""
        return self._shared.clipped

    def with_memory_limit(self, limit: int | None) -> ClusterPosterior:
        """Return the same posterior with another limit."""
        problem = replace(self._problem, memory_limit=limit)
        other = ClusterPosterior(
            self._engine, problem, self.cuts, self.block_tile_size, self._known
        )
        other._shared = self._shared
        return other

    def first_blocks(self, cuts: Cuts) -> Blocks:
        """Return the futures of the blocks in the rows of some first cuts; they are computed."""
        graph = self._engine.graph()
        blocks = self._conditioning(graph).factor.blocks
        return {(i, j): future for (i, j), future in blocks.items() if i < len(cuts)}

    def factor(self) -> FloatArray:
        """Return the tiles of L, read-only."""
        if self._known is not None and self._known.tiles is not None:
            return read_only(self._known.tiles)

        def gather(graph: BlockGraph, known: Conditioning) -> FloatArray:
            n, tile_size = self.cuts.n, min(self._problem.tile_size, self.cuts.n)
            rows = dense_rows(graph, known.factor)
            return tiles_of_rows(rows, n, tile_size, self._problem.X.dtype)

        return read_only(self._run("factor", gather))

    def predict_mean(self, X: FloatArray, basis: FloatArray) -> FloatArray:
        """Return the mean at each test point."""
        blocks = self._run("predict mean", predict_mean, self._test(X, basis))
        return self._stacked(blocks)

    def predict_variance(
        self, X: FloatArray, basis: FloatArray
    ) -> tuple[FloatArray, FloatArray, Clipping]:
        """Return the mean and the variance at each test point, and how many were clipped."""
        return self._variance(X, basis, None)

    def predict_covariance(
        self, X: FloatArray, basis: FloatArray
    ) -> tuple[FloatArray, FloatArray, Clipping]:
        """Return the mean and the covariance between all test points, and clippings."""
        return self._covariance(X, basis, None)

    def predict_joint(
        self, X: FloatArray, basis: FloatArray, group: int, keep: bool = False
    ) -> tuple[FloatArray, FloatArray, Clipping, object | None]:
        """Return the mean, joint covariances of groups of points, clippings, and what is kept."""
        m = len(X)
        kept = Kept(self._engine.cuts(m, group), []) if keep else None
        if group == 1:
            mean, variance, clipping = self._variance(X, basis, kept)
            return mean, variance.reshape(m, 1, 1), clipping, kept
        if group == m:
            mean, covariance, clipping = self._covariance(X, basis, kept)
            return mean, covariance.reshape(1, m, m), clipping, kept
        cuts = self._engine.cuts(m, group)
        means, blocks, count, worst = self._run(
            "predict joint", predict_covariance, self._test(X, basis, cuts), "diagonal", kept
        )
        joint = [
            block[begin : begin + group, begin : begin + group]
            for block in blocks.values()
            for begin in range(0, len(block), group)
        ]
        covariance = np.array(joint, dtype=X.dtype).reshape(-1, group, group)
        return self._stacked(means), covariance, self._clipping(count, worst), kept

    def _variance(
        self, X: FloatArray, basis: FloatArray, kept: Kept | None
    ) -> tuple[FloatArray, FloatArray, Clipping]:
        blocks = self._run("predict variance", predict_variance, self._test(X, basis), kept)
        means, variances, counts, worst = zip(*blocks, strict=True) if blocks else ([], [], [], [])
        clipping = self._clipping(sum(counts), max(worst, default=0.0))
        variance = np.concatenate([np.empty(0, dtype=X.dtype), *variances])
        return self._stacked(means), variance, clipping

    def _covariance(
        self, X: FloatArray, basis: FloatArray, kept: Kept | None
    ) -> tuple[FloatArray, FloatArray, Clipping]:
        cuts = self._engine.cuts(len(X)) if kept is None else kept.cuts
        means, blocks, count, worst = self._run(
            "predict covariance", predict_covariance, self._test(X, basis, cuts), "all", kept
        )
        covariance = np.empty((len(X), len(X)), dtype=X.dtype)
        parts = cuts.slices()
        for (p, q), block in blocks.items():
            covariance[parts[p], parts[q]] = block
            covariance[parts[q], parts[p]] = block.T
        return self._stacked(means), covariance, self._clipping(count, worst)

    def pull_back(
        self,
        X: FloatArray,
        basis: FloatArray,
        mean_cotangent: FloatArray,
        covariance_cotangent: FloatArray | None,
        wanted: Derivatives,
        kept: object | None = None,
    ) -> PosteriorAdjoint:
        """Return the derivatives of a function of the mean and of joint covariances."""
        if wanted & (Derivatives.INPUTS | Derivatives.TEST_INPUTS):
            check_input_derivatives(self._problem)
        if not len(X):
            return nothing_pulled_back(self._problem, wanted)
        assert kept is None or isinstance(kept, Kept), "kept by another engine"
        group = 1 if covariance_cotangent is None else covariance_cotangent.shape[1]
        cuts = self._engine.cuts(len(X), group) if kept is None else kept.cuts
        cotangents = mean_cotangent, covariance_cotangent
        test = self._test(X, basis, cuts)
        return self._run("pull back", pull_back, test, cotangents, wanted, kept)

    def predict_gradient(
        self, X: FloatArray, basis: FloatArray
    ) -> tuple[Float64Array, Float64Array, Float64Array]:
        """Return derivatives of mean and variance by the test points."""
        check_input_derivatives(self._problem)
        blocks = self._run("predict gradient", predict_gradient, self._test(X, basis))
        (_, d), k, q = X.shape, self._problem.Y.shape[1], basis.shape[1]
        nothing = np.empty((0, k, d)), np.empty((0, d)), np.empty((0, q))
        mean, variance, by_basis = (
            np.concatenate(parts) for parts in zip(nothing, *blocks, strict=True)
        )
        return mean, variance, by_basis

    def solve(self, B: FloatArray) -> FloatArray:
        """Return K⁻¹B."""
        return self._apply("solve", (Finish.SOLVE, Finish.SOLVE_TRANSPOSED), B)

    def multiply(self, B: FloatArray) -> FloatArray:
        """Return KB."""
        return self._apply("multiply", (Finish.MULTIPLY_TRANSPOSED, Finish.MULTIPLY), B)

    def color(self, Z: FloatArray) -> FloatArray:
        """Return LZ."""
        return self._apply("color", (Finish.MULTIPLY,), Z)

    def cholesky(self) -> FloatArray:
        """Return L, dense."""

        def gather(graph: BlockGraph, known: Conditioning) -> FloatArray:
            n = self.cuts.n
            L: FloatArray = np.zeros((n, n), dtype=self._problem.X.dtype, order="F")
            for first, rows in dense_rows(graph, known.factor):
                L[first : first + len(rows), : rows.shape[1]] = rows
            return L

        return self._run("cholesky", gather)

    def alpha(self) -> FloatArray:
        """Return α."""

        def gather(graph: BlockGraph, known: Conditioning) -> FloatArray:
            return np.vstack(graph.results(known.weights))

        return self._run("alpha", gather)[:, : self._problem.Y.shape[1]]

    def inverse_diagonal(self) -> FloatArray:
        """Return diag(P)."""

        def gather(graph: BlockGraph, known: Conditioning) -> FloatArray:
            return diagonal_of_inverse(graph, known.factor, known.weights)

        return self._run("inverse diagonal", gather)

    def trend(self) -> tuple[FloatArray, FloatArray]:
        """Return the coefficients of the trend and the factor of their precision."""
        trend = self._run("trend", _trend)
        return trend.beta, trend.R

    def log_determinant(self) -> float:
        """Return log|K|."""
        return 2.0 * sum(self._run("log determinant", _half_log_determinants))

    def log_marginal_likelihood(self) -> float:
        """Return the log marginal likelihood of all outputs."""

        def gather(graph: BlockGraph, known: Conditioning) -> float:
            trend, *halves = graph.results([known.trend, *known.half_log_determinants])
            return log_marginal_likelihood(self.cuts.n, self._problem.Y.shape[1], trend, halves)

        return self._run("log marginal likelihood", gather)

    def ensure_factor(self) -> None:
        """Wait until the factor is there."""
        self._run("factor", _half_log_determinants)

    def _apply(self, name: str, steps: Sequence[Finish], B: FloatArray) -> FloatArray:
        """Return B after some solves or products with L."""

        def gather(graph: BlockGraph, known: Conditioning) -> FloatArray:
            columns = [
                graph.share("columns", (i,), np.asfortranarray(B[part]))
                for i, part in enumerate(self.cuts.slices())
            ]
            for step in steps:
                columns = add_vectors(
                    graph, known.factor, step, columns, f"{name}_{step.name.lower()}", B.shape[1]
                )
            return np.vstack(graph.results(columns))

        return self._run(name, gather)

    def _run(self, what: str, function: Callable[..., _Result], *arguments: Any) -> _Result:
        """Call ``function(graph, conditioning, *arguments)``, and look at what it returns.

        A test block among the arguments is made by this call's graph.
        """
        graph = self._engine.graph()
        try:
            with failures_explained(self._problem):
                known = self._conditioning(graph)
                made = [a(graph) if callable(a) else a for a in arguments]
                result = function(graph, known, *made)
        except (ClusterError, KeyboardInterrupt):
            # The cluster is not to go on, or has lost what it had: the next call begins anew.
            with self._shared.lock:
                self._shared.conditioning = None
            raise
        self._shared.has_factor = True
        ensure_finite(what, self._problem.X.dtype, *_numbers(result))
        return result

    def _conditioning(self, graph: BlockGraph) -> Conditioning:
        """Return the factor and the solves, which begin with the first call."""
        with self._shared.lock:
            if self._shared.conditioning is None:
                self._engine.ensure_memory_for(self._problem)
                known = self._known.blocks(graph) if self._known is not None else None
                factor = add_factor(graph, self._problem, self.cuts, self.block_tile_size, known)
                self._shared.conditioning = add_conditioning(graph, self._problem, factor)
            return self._shared.conditioning

    def _test(
        self, X: FloatArray, basis: FloatArray, cuts: Cuts | None = None
    ) -> Callable[[BlockGraph], TestBlocks]:
        """Return what gives test points to the cluster."""
        cuts = self._engine.cuts(len(X)) if cuts is None else cuts
        return lambda graph: TestBlocks.of(graph, X, basis, cuts)

    def _clipping(self, count: int, worst: float) -> Clipping:
        with self._shared.lock:
            self._shared.clipped += count
        return Clipping(count, worst)

    def _stacked(self, blocks: Sequence[FloatArray]) -> FloatArray:
        """Return means of all blocks as one array."""
        nothing: FloatArray = np.empty((0, self._problem.Y.shape[1]), self._problem.X.dtype)
        return np.ascontiguousarray(np.vstack([nothing, *blocks]))


def _numbers(result: Any) -> Iterator[Any]:
    """Yield the arrays and floats of a result."""
    if isinstance(result, np.ndarray | float):
        yield result
    elif isinstance(result, list | tuple):
        for part in result:
            yield from _numbers(part)
    elif isinstance(result, dict):
        yield from _numbers(list(result.values()))


def _trend(graph: BlockGraph, known: Conditioning) -> Trend:
    trend: Trend
    (trend,) = graph.results([known.trend])
    return trend


def _half_log_determinants(graph: BlockGraph, known: Conditioning) -> list[float]:
    return graph.results(known.half_log_determinants)
