"""A posterior whose factor lives on a cluster; see `gprat.engines.base.Posterior`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from gprat._validation import Float64Array, FloatArray, read_only
from gprat.engines.base import Clipping, Derivatives, PosteriorAdjoint
from gprat.engines.calls import ensure_fits
from gprat.engines.checks import check_input_derivatives
from gprat.engines.cluster.adjoint import log_marginal_likelihood
from gprat.engines.cluster.blocks import Finish
from gprat.engines.cluster.conditioned import Conditioned
from gprat.engines.cluster.conditioning import Conditioning, Trend
from gprat.engines.cluster.factor import add_vectors
from gprat.engines.cluster.graph import BlockGraph
from gprat.engines.cluster.inverse import diagonal_of_inverse
from gprat.engines.cluster.layout import Cuts
from gprat.engines.cluster.prediction import predict_covariance, predict_mean, predict_variance
from gprat.engines.cluster.prediction_gradient import predict_gradient
from gprat.engines.cluster.pull_back import nothing_pulled_back, pull_back
from gprat.engines.cluster.storage import dense_rows, tiles_of_rows
from gprat.engines.cluster.whitened import Kept, TestBlocks

__all__ = ["ClusterPosterior"]

_FEWER_POINTS = "blocks of fewer test points"
_NO_BLOCKS = "what needs no factor in this process, such as predictions and solve"


class ClusterPosterior(Conditioned):
    """A posterior whose factor is blocks on workers; parameters are those of `Conditioned`."""

    @property
    def clipped_variances(self) -> int:
        """How many variances all calls have set to zero."""
        return self._kept.clipped

    def with_memory_limit(self, limit: int | None) -> ClusterPosterior:
        """Return the same posterior with another limit."""
        problem = replace(self._problem, memory_limit=limit)
        other = ClusterPosterior(self._engine, problem, self.cuts, self.block_tile_size)
        other._kept = self._kept
        return other

    def factor(self) -> FloatArray:
        """Return the tiles of L, read-only."""
        if self._kept.known is not None and self._kept.known.tiles is not None:
            return read_only(self._kept.known.tiles)

        self._ensure_results("the factor", self.cuts.n * (self.cuts.n + 1) // 2, _NO_BLOCKS)

        def gather(graph: BlockGraph, known: Conditioning) -> FloatArray:
            n, tile_size = self.cuts.n, min(self._problem.tile_size, self.cuts.n)
            rows = dense_rows(graph, known.factor)
            return tiles_of_rows(rows, n, tile_size, self._problem.X.dtype)

        return read_only(self._run("factor", gather))

    def predict_mean(self, X: FloatArray, basis: FloatArray) -> FloatArray:
        """Return the mean at each test point."""
        self._ensure_results("means", 2 * len(X) * self._problem.Y.shape[1], _FEWER_POINTS)
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
        widest = max(map(cuts.size, range(len(cuts))), default=0)
        self._ensure_results("joint covariances", m * (group + widest), _FEWER_POINTS)
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
        numbers = 2 * len(X) * (1 + self._problem.Y.shape[1])
        self._ensure_results("means and variances", numbers, _FEWER_POINTS)
        blocks = self._run("predict variance", predict_variance, self._test(X, basis), kept)
        means, variances, counts, worst = zip(*blocks, strict=True) if blocks else ([], [], [], [])
        clipping = self._clipping(sum(counts), max(worst, default=0.0))
        variance = np.concatenate([np.empty(0, dtype=X.dtype), *variances])
        return self._stacked(means), variance, clipping

    def _covariance(
        self, X: FloatArray, basis: FloatArray, kept: Kept | None
    ) -> tuple[FloatArray, FloatArray, Clipping]:
        self._engine.ensure_memory_for(self._problem, columns=len(X))
        # Blocks, and the matrix that they are put into.
        self._ensure_results("means and covariance", 2 * len(X) ** 2, _FEWER_POINTS)
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
        # Kriging weights, and these times the cotangent.
        self._engine.ensure_memory_for(self._problem, columns=2 * len(X))
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
        self._ensure_results("the dense Cholesky factor", self.cuts.n**2, _NO_BLOCKS)

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
            done = known.half_log_determinants
            return diagonal_of_inverse(graph, known.factor, done, known.weights)

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
        self._ensure_results(name, 3 * B.size, "fewer columns at a time")

        def gather(graph: BlockGraph, known: Conditioning) -> FloatArray:
            columns = [
                graph.share("columns", (i,), np.asfortranarray(B[part]))
                for i, part in enumerate(self.cuts.slices())
            ]
            for step in steps:
                columns = add_vectors(
                    graph, known.factor, step, columns, step.name.lower(), B.shape[1]
                )
            return np.vstack(graph.results(columns))

        return self._run(name, gather)

    def _test(
        self, X: FloatArray, basis: FloatArray, cuts: Cuts | None = None
    ) -> Callable[[BlockGraph], TestBlocks]:
        """Return what gives test points to the cluster."""
        cuts = self._engine.cuts(len(X)) if cuts is None else cuts
        return lambda graph: TestBlocks.of(graph, X, basis, cuts)

    def _ensure_results(self, title: str, numbers: int, remedy: str) -> None:
        """Refuse results for which this process has no memory, or may not take it."""
        needed = self._problem.X.dtype.itemsize * numbers
        ensure_fits(title, needed, 0, self._problem.memory_limit, remedy)

    def _clipping(self, count: int, worst: float) -> Clipping:
        with self._kept.lock:
            self._kept.clipped += count
        return Clipping(count, worst)

    def _stacked(self, blocks: Sequence[FloatArray]) -> FloatArray:
        """Return means of all blocks as one array."""
        nothing: FloatArray = np.empty((0, self._problem.Y.shape[1]), self._problem.X.dtype)
        return np.ascontiguousarray(np.vstack([nothing, *blocks]))


def _trend(graph: BlockGraph, known: Conditioning) -> Trend:
    trend: Trend
    (trend,) = graph.results([known.trend])
    return trend


def _half_log_determinants(graph: BlockGraph, known: Conditioning) -> list[float]:
    return graph.results(known.half_log_determinants)
