"""The engine on the processors of this machine: the compiled core, its arrays and its errors."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, TypeVar

import numpy as np

from gprat import _core, runtime
from gprat._validation import Float64Array, FloatArray
from gprat.engines.base import Posterior, Problem
from gprat.engines.diagnosis import explain_failure
from gprat.exceptions import NotPositiveDefiniteError
from gprat.kernels import Instruction

__all__ = ["CpuEngine", "CpuPosterior"]

_Result = TypeVar("_Result")

_POSTERIORS: dict[Any, Any] = {
    np.dtype(np.float64): _core.PosteriorFloat64,
    np.dtype(np.float32): _core.PosteriorFloat32,
}
_GRADIENTS: dict[Any, Callable[..., tuple[float, Float64Array, float]]] = {
    np.dtype(np.float64): _core.log_marginal_likelihood_gradient_float64,
    np.dtype(np.float32): _core.log_marginal_likelihood_gradient_float32,
}


class CpuEngine:
    """Tiled linear algebra as a task graph on all processors; see `gprat.engines.base.Engine`."""

    def factorise(self, problem: Problem) -> Posterior:
        """Return the posterior; its factor is computed when first needed."""
        return CpuPosterior(problem)

    def log_marginal_likelihood_gradient(
        self, problem: Problem
    ) -> tuple[float, Float64Array, float]:
        """Return the log marginal likelihood and its derivatives."""
        program = problem.program
        return _call(
            problem,
            _GRADIENTS[problem.X.dtype],
            _core_program(program.instructions, program.n_parameters, problem.X.shape[1]),
            program.parameters,
            program.is_free.view(np.uint8),
            problem.X,
            problem.Y,
            problem.noise,
            problem.tile_size,
            runtime.threads_for_call(problem.threads),
        )


class CpuPosterior:
    """A posterior whose factor lives in the compiled core; see `gprat.engines.base.Posterior`."""

    def __init__(self, problem: Problem) -> None:
        self._problem = problem
        program = problem.program
        # The class for float32 differs in nothing but the dtype.
        self._core: _core.PosteriorFloat64 = _POSTERIORS[problem.X.dtype](
            _core_program(program.instructions, program.n_parameters, problem.X.shape[1]),
            program.parameters,
            problem.X,
            problem.Y,
            problem.noise,
            problem.tile_size,
        )

    @property
    def problem(self) -> Problem:
        """What was factorised."""
        return self._problem

    def predict_mean(self, X: FloatArray) -> FloatArray:
        """Return k(X*, X) α."""
        return self._run(self._core.predict_mean, X)

    def predict_variance(self, X: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the mean and the variance at each test point."""
        return self._run(self._core.predict_variance, X)

    def predict_covariance(self, X: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the mean and the covariance between all test points."""
        return self._run(self._core.predict_covariance, X)

    def solve(self, B: FloatArray) -> FloatArray:
        """Return K⁻¹B."""
        return self._run(self._core.solve, B)

    def cholesky(self) -> FloatArray:
        """Return L, dense."""
        return self._run(self._core.cholesky)

    def alpha(self) -> FloatArray:
        """Return K⁻¹Y."""
        return self._run(self._core.alpha)

    def log_determinant(self) -> float:
        """Return log|K|."""
        return self._run(self._core.log_determinant)

    def log_marginal_likelihood(self) -> float:
        """Return the log marginal likelihood of all outputs."""
        return self._run(self._core.log_marginal_likelihood)

    def _run(self, method: Callable[..., _Result], *arrays: FloatArray) -> _Result:
        threads = runtime.threads_for_call(self._problem.threads)
        return _call(self._problem, method, *arrays, threads=threads)


def _call(
    problem: Problem, function: Callable[..., _Result], *arguments: Any, **options: int
) -> _Result:
    """Call the core; explain its failures."""
    try:
        return function(*arguments, **options)
    except _core.NotPositiveDefinite as failure:
        pivot, is_finite = failure.args
    raise _explain(problem, pivot, is_finite)


def _explain(problem: Problem, row: int, is_finite: bool) -> NotPositiveDefiniteError:
    program = problem.program
    core_program = _core_program(program.instructions, program.n_parameters, problem.X.shape[1])

    def covariance(A: FloatArray, B: FloatArray) -> Float64Array:
        # In float64 for both dtypes, and between two sets: white noise tells no points apart.
        return _core.covariance_float64(
            core_program,
            program.parameters,
            np.ascontiguousarray(A, dtype=np.float64),
            np.array(B, dtype=np.float64, order="C"),
        )

    return explain_failure(problem, row, is_finite, covariance)


@lru_cache(maxsize=256)
def _core_program(
    instructions: tuple[Instruction, ...], n_parameters: int, n_features: int
) -> _core.Program:
    """Hand a program's structure to the core; hyperparameters are given with each call."""
    opcodes, first_parameter, parameter_count, exponent = zip(*instructions, strict=True)
    return _core.Program(
        np.array(opcodes, dtype=np.int32),
        np.array(first_parameter, dtype=np.int64),
        np.array(parameter_count, dtype=np.int64),
        np.array(exponent, dtype=np.float64),
        n_parameters,
        n_features,
    )
