"""The engine on the processors of this machine: the compiled core, its arrays and its errors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np

from gprat import _core, runtime
from gprat._costs import Operation
from gprat._range import ensure_finite
from gprat._validation import Float64Array, FloatArray
from gprat.engines.base import (
    Adjoint,
    Clipping,
    Cluster,
    Derivatives,
    Objective,
    Posterior,
    PosteriorAdjoint,
    Problem,
)
from gprat.engines.calls import Call, ensure_colors_fit, ensure_samples_fit
from gprat.engines.checks import check_factor, check_input_derivatives, damaged_factor
from gprat.engines.core_kernels import core_covariance, ensure_not_evaluated, explain
from gprat.exceptions import (
    NotPositiveDefiniteError,
    RankDeficientTrendError,
    TooFewThreadsError,
)
from gprat.noise import IntArray
from gprat.planning import choose_tile_size

__all__ = ["CpuEngine", "CpuPosterior"]

_Result = TypeVar("_Result")

_THROUGH_K = Derivatives.PARAMETERS | Derivatives.NOISE | Derivatives.INPUTS


@dataclass(frozen=True)
class _Precision:
    """The part of the core for one dtype; that for float32 differs in nothing but the dtype."""

    problem: type[_core.ProblemFloat64]
    posterior: type[_core.PosteriorFloat64]
    differentiate: Callable[..., Any]
    multiply_covariance: Callable[..., tuple[Float64Array, Float64Array, Float64Array]]
    color: Callable[..., FloatArray]
    color_matrix: Callable[..., FloatArray]


_PRECISIONS: dict[Any, Any] = {
    np.dtype(np.float64): _Precision(
        _core.ProblemFloat64,
        _core.PosteriorFloat64,
        _core.differentiate_float64,
        _core.multiply_covariance_float64,
        _core.color_float64,
        _core.color_matrix_float64,
    ),
    np.dtype(np.float32): _Precision(
        _core.ProblemFloat32,  # type: ignore[arg-type]
        _core.PosteriorFloat32,  # type: ignore[arg-type]
        _core.differentiate_float32,
        _core.multiply_covariance_float32,
        _core.color_float32,
        _core.color_matrix_float32,
    ),
}


class CpuEngine:
    """Tiled linear algebra as a task graph on all processors; see `gprat.engines.base.Engine`."""

    def cluster(self) -> Cluster | None:
        """Return None: this machine alone computes."""
        return None

    def ensure_memory(self, problem: Problem, objective: Objective) -> None:
        """Raise `InsufficientMemoryError` if `differentiate` would."""
        Call(problem, _differentiation(objective)).ensure_fits()

    def ensure_samples(
        self, problem: Problem, m: int, columns: int, *, of_posterior: bool, has_factor: bool
    ) -> None:
        """Raise `InsufficientMemoryError` if there is no memory for samples."""
        ensure_samples_fit(problem, m, columns, of_posterior=of_posterior, has_factor=has_factor)

    def factorise(self, problem: Problem) -> Posterior:
        """Return the posterior; its factor is computed when first needed."""
        return CpuPosterior.of(problem)

    def append(self, posterior: Posterior, problem: Problem) -> Posterior:
        """Return the posterior of more rows."""
        assert isinstance(posterior, CpuPosterior), "a posterior of another engine"
        return posterior.append(problem)

    def delete(self, posterior: Posterior, rows: IntArray, problem: Problem) -> Posterior:
        """Return the posterior without some rows."""
        assert isinstance(posterior, CpuPosterior), "a posterior of another engine"
        return posterior.delete(rows, problem)

    def restore(self, problem: Problem, factor: FloatArray) -> Posterior:
        """Return the posterior whose factor is known."""
        return CpuPosterior.restore(problem, factor)

    def differentiate(
        self, problem: Problem, objective: Objective, inputs: bool = False
    ) -> Adjoint:
        """Return the objective and its derivatives."""
        if inputs:
            check_input_derivatives(problem)
        results = _call(
            Call(problem, _differentiation(objective, inputs)),
            _PRECISIONS[problem.X.dtype].differentiate,
            _core_problem(problem),
            objective.value,
            inputs,
        )
        return Adjoint(*results)

    def multiply_covariance(
        self, problem: Problem, B: FloatArray
    ) -> tuple[Float64Array, Float64Array, Float64Array]:
        """Return KB, |K||B| and diag(K) without the factor."""
        multiply = _PRECISIONS[problem.X.dtype].multiply_covariance
        call = Call(problem, Operation.PRODUCT, B.shape[1])
        products: tuple[Float64Array, Float64Array, Float64Array] = _call(
            call, multiply, _core_problem(problem), B
        )
        return products

    def color(self, problem: Problem, Z: FloatArray) -> FloatArray:
        """Return LZ."""
        return _call(
            Call(problem, Operation.COLOR, Z.shape[1]),
            _PRECISIONS[problem.X.dtype].color,
            _core_problem(problem),
            Z,
        )

    def color_matrix(
        self, matrix: FloatArray, jitter: float, Z: FloatArray, threads: int | None
    ) -> FloatArray:
        """Return the Cholesky factor of a matrix times Z."""
        threads = runtime.threads_for_call(threads)
        ensure_colors_fit(matrix, Z, threads)
        try:
            return _PRECISIONS[matrix.dtype].color_matrix(  # type: ignore[no-any-return]
                matrix,
                np.array([jitter]),
                Z,
                choose_tile_size(matrix.shape[0], matrix.dtype),
                threads,
            )
        except _core.NotPositiveDefinite as failure:
            row = failure.args[0]
        raise NotPositiveDefiniteError(
            f"the covariance matrix is not positive definite at row {row}.", row
        )


class CpuPosterior:
    """A posterior whose factor lives in the compiled core; see `gprat.engines.base.Posterior`."""

    def __init__(
        self, problem: Problem, core: _core.PosteriorFloat64, has_factor: bool = False
    ) -> None:
        self._problem = problem
        self._core = core
        self._has_factor = has_factor

    @classmethod
    def of(cls, problem: Problem) -> CpuPosterior:
        """Return the posterior; its factor is computed when first needed."""
        return cls(problem, _PRECISIONS[problem.X.dtype].posterior(_core_problem(problem)))

    @classmethod
    def restore(cls, problem: Problem, factor: FloatArray) -> CpuPosterior:
        """Return the posterior whose factor is known."""
        core_problem = _core_problem(problem)
        check_factor(factor, problem, core_problem.factor_size)
        posterior = _PRECISIONS[problem.X.dtype].posterior
        try:
            return cls(problem, posterior(core_problem, factor), has_factor=True)
        except _core.NotPositiveDefinite as failure:
            row = failure.args[0]
        raise damaged_factor(row)

    def append(self, problem: Problem) -> CpuPosterior:
        """Return the posterior of more rows."""
        more = problem.X.shape[0] - self._problem.X.shape[0]
        return self._update(problem, Operation.APPEND, more, self._core.append)

    def delete(self, rows: IntArray, problem: Problem) -> CpuPosterior:
        """Return the posterior without some rows."""
        rows = np.ascontiguousarray(rows, dtype=np.int64)
        return self._update(problem, Operation.DELETE, rows.size, self._core.delete, rows)

    @property
    def problem(self) -> Problem:
        """What was factorised."""
        return self._problem

    @property
    def has_factor(self) -> bool:
        """Whether the factor is there."""
        return self._has_factor

    def with_memory_limit(self, limit: int | None) -> CpuPosterior:
        """Return the same posterior with another limit."""
        problem = replace(self._problem, memory_limit=limit)
        return CpuPosterior(problem, self._core, self._has_factor)

    def factor(self) -> FloatArray:
        """Return the tiles of L, read-only."""
        return self._run(Operation.FACTOR, self._core.factor)

    def predict_mean(self, X: FloatArray, basis: FloatArray) -> FloatArray:
        """Return the mean at each test point."""
        return self._run(Operation.PREDICT, self._core.predict_mean, X, basis)

    @property
    def clipped_variances(self) -> int:
        """How many variances all calls have set to zero."""
        return self._core.clipped_variances

    def predict_variance(
        self, X: FloatArray, basis: FloatArray
    ) -> tuple[FloatArray, FloatArray, Clipping]:
        """Return the mean and the variance at each test point, and how many were clipped."""
        mean, variance, count, worst = self._run(
            Operation.VARIANCE, self._core.predict_variance, X, basis, in_blocks=True
        )
        return mean, variance, Clipping(count, worst)

    def predict_covariance(
        self, X: FloatArray, basis: FloatArray
    ) -> tuple[FloatArray, FloatArray, Clipping]:
        """Return the mean and the covariance between all test points, and clippings."""
        mean, covariance, count, worst = self._run(
            Operation.COVARIANCE, self._core.predict_covariance, X, basis
        )
        return mean, covariance, Clipping(count, worst)

    def predict_joint(
        self, X: FloatArray, basis: FloatArray, group: int, keep: bool = False
    ) -> tuple[FloatArray, FloatArray, Clipping, object | None]:
        """Return the mean, joint covariances of groups of points, clippings, and what is kept."""
        call = self._call_at(Operation.JOINT, X, group=group, keeps=keep)
        mean, covariance, count, worst, kept = self._run_call(
            call, self._core.predict_joint, X, basis, group, keep, in_blocks=True
        )
        return mean, covariance, Clipping(count, worst), kept

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
        if wanted in Derivatives.TARGETS:
            covariance_cotangent = None  # no covariance depends on targets
        group = 1 if covariance_cotangent is None else covariance_cotangent.shape[1]
        operation = Operation.PULL_BACK if wanted & _THROUGH_K else Operation.PULL_BACK_IN_BLOCKS
        if covariance_cotangent is None:
            operation = Operation.PULL_BACK_MEAN
        call = self._call_at(operation, X, group=group, keeps=kept is not None)
        results = self._run_call(
            call,
            self._core.pull_back,
            X,
            basis,
            mean_cotangent,
            covariance_cotangent,
            wanted.value,
            kept,
            in_blocks=True,
        )
        return PosteriorAdjoint(*results)

    def predict_gradient(
        self, X: FloatArray, basis: FloatArray
    ) -> tuple[Float64Array, Float64Array, Float64Array]:
        """Return derivatives of mean and variance by the test points."""
        check_input_derivatives(self._problem)
        return self._run(
            Operation.PREDICT_GRADIENT, self._core.predict_gradient, X, basis, in_blocks=True
        )

    def solve(self, B: FloatArray) -> FloatArray:
        """Return K⁻¹B."""
        return self._run(Operation.SOLVE, self._core.solve, B)

    def multiply(self, B: FloatArray) -> FloatArray:
        """Return KB."""
        return self._run(Operation.SOLVE, self._core.multiply, B)

    def cholesky(self) -> FloatArray:
        """Return L, dense."""
        return self._run(Operation.DENSE_FACTOR, self._core.cholesky)

    def alpha(self) -> FloatArray:
        """Return α."""
        return self._run(Operation.FACTOR, self._core.alpha)

    def inverse_diagonal(self) -> FloatArray:
        """Return diag(P)."""
        return self._run(Operation.LEAVE_ONE_OUT, self._core.inverse_diagonal, in_blocks=True)

    def trend(self) -> tuple[FloatArray, FloatArray]:
        """Return the coefficients of the trend and the factor of their precision."""
        return self._run(Operation.FACTOR, self._core.trend)

    def log_determinant(self) -> float:
        """Return log|K|."""
        return self._run(Operation.FACTOR, self._core.log_determinant)

    def log_marginal_likelihood(self) -> float:
        """Return the log marginal likelihood of all outputs."""
        return self._run(Operation.FACTOR, self._core.log_marginal_likelihood)

    def _run(
        self,
        operation: Operation,
        method: Callable[..., _Result],
        *arrays: FloatArray,
        in_blocks: bool = False,
    ) -> _Result:
        """Call the core; the first array's size is what the need for memory depends on."""
        call = Call(self._problem, operation, _size(operation, arrays), self._has_factor)
        return self._run_call(call, method, *arrays, in_blocks=in_blocks)

    def _run_call(
        self, call: Call, method: Callable[..., _Result], *arguments: Any, in_blocks: bool = False
    ) -> _Result:
        """Call the core, and look at what it returns."""
        result = _call(call, method, *arguments, in_blocks=in_blocks)
        self._has_factor = True
        what = method.__name__.replace("_", " ")
        ensure_finite(what, self._problem.X.dtype, *_numbers(result))
        return result

    def _call_at(self, operation: Operation, X: FloatArray, *, group: int, keeps: bool) -> Call:
        """Return the call at test points that come in groups."""
        return Call(self._problem, operation, X.shape[0], self._has_factor, group, keeps)

    def _update(
        self,
        problem: Problem,
        operation: Operation,
        m: int,
        method: Callable[..., _core.PosteriorFloat64],
        *arguments: Any,
    ) -> CpuPosterior:
        """Return the posterior of other rows, with a factor if this one has it."""
        if not self._has_factor:
            # Nothing is computed: the new posterior has no factor either.
            return CpuPosterior(problem, _run(problem, method, *arguments, _core_problem(problem)))
        call = Call(problem, operation, m, has_factor=True)
        core = _call(call, method, *arguments, _core_problem(problem))
        return CpuPosterior(problem, core, has_factor=True)


def _call(
    call: Call, function: Callable[..., _Result], *arguments: Any, in_blocks: bool = False
) -> _Result:
    """Call the core if there is memory for it, and show how far it is."""
    blocks = call.ensure_fits()
    options = {"blocks": blocks} if in_blocks else {}
    with call.bar():
        return _run(call.problem, function, *arguments, **options)


def _run(
    problem: Problem, function: Callable[..., _Result], *arguments: Any, **options: int
) -> _Result:
    """Call the core; explain its failures."""
    ensure_not_evaluated(problem.program)
    threads = runtime.threads_for_call(problem.threads)
    try:
        return function(*arguments, threads=threads, **options)
    except _core.NotPositiveDefinite as failure:
        pivot, is_finite = failure.args
    except _core.RankDeficient as failure:
        raise RankDeficientTrendError(problem.basis_names, failure.args[0]) from None
    except _core.TooFewThreads as failure:
        raise _explain_threads(*failure.args) from None
    raise explain(problem, pivot, is_finite)


def _numbers(result: Any) -> tuple[Any, ...]:
    """Return arrays and floats of a result."""
    if not isinstance(result, tuple):
        return (result,)
    return tuple(part for part in result if isinstance(part, np.ndarray | float))


def _differentiation(objective: Objective, inputs: bool = False) -> Operation:
    if objective is Objective.LEAVE_ONE_OUT:
        return Operation.LEAVE_ONE_OUT_FIT
    return Operation.FIT_WITH_INPUTS if inputs else Operation.FIT


def _size(operation: Operation, arrays: tuple[FloatArray, ...]) -> int:
    """Return how many test points, or columns, a call takes."""
    if not arrays:
        return 0
    return int(arrays[0].shape[1 if operation is Operation.SOLVE else 0])


def _explain_threads(wanted: int, given: int) -> TooFewThreadsError:
    return TooFewThreadsError(
        f"the runtime is to have {wanted} worker threads, and the system gives this process only "
        f"{given} more (limits of a container, of a batch system or of ulimit, on processes or on "
        f"memory). Call gprat.runtime.start(threads={max(given, 1)}), or set GPRAT_NUM_THREADS."
    )


def _core_problem(problem: Problem) -> _core.ProblemFloat64:
    """Hand a problem to the core."""
    created: _core.ProblemFloat64 = _PRECISIONS[problem.X.dtype].problem(
        core_covariance(problem.program, problem.X.shape[1], problem.X.dtype),
        problem.X,
        problem.Y,
        problem.basis,
        problem.noise,
        problem.tile_size,
    )
    return created
