"""Kernels as the compiled core has them, and why one gives no Cholesky factor."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import numpy as np

from gprat import _core
from gprat._validation import Float64Array, FloatArray
from gprat.engines.base import Problem
from gprat.engines.diagnosis import explain_failure
from gprat.exceptions import NotPositiveDefiniteError, UnsupportedKernelError
from gprat.kernels import Instruction, KernelProgram, Program, PythonProgram

__all__ = ["compiled_program", "core_covariance", "ensure_not_evaluated", "explain"]

_COMPILED: dict[Any, Any] = {
    np.dtype(np.float64): _core.CompiledCovarianceFloat64,
    np.dtype(np.float32): _core.CompiledCovarianceFloat32,
}
_IN_PYTHON: dict[Any, Any] = {
    np.dtype(np.float64): _core.PythonCovarianceFloat64,
    np.dtype(np.float32): _core.PythonCovarianceFloat32,
}
_this_thread = threading.local()


def core_covariance(
    program: KernelProgram, n_features: int, dtype: np.dtype[Any]
) -> _core.CovarianceFloat64:
    """Hand a kernel with its hyperparameters to the core."""
    if isinstance(program, PythonProgram):
        covariance: _core.CovarianceFloat64 = _IN_PYTHON[dtype](
            *_callbacks(program), program.n_parameters
        )
        return covariance
    compiled: _core.CovarianceFloat64 = _COMPILED[dtype](
        compiled_program(program, n_features), program.parameters, program.is_free.view(np.uint8)
    )
    return compiled


@contextmanager
def _being_evaluated(program: PythonProgram) -> Iterator[None]:
    """Note that this thread evaluates a kernel in Python."""
    outer = getattr(_this_thread, "evaluated", ())
    _this_thread.evaluated = (*outer, program)
    try:
        yield
    finally:
        _this_thread.evaluated = outer


def ensure_not_evaluated(program: KernelProgram) -> None:
    """Refuse a computation that a kernel asks of its own model, which waits for the kernel.

    Raises
    ------
    UnsupportedKernelError
        If this thread evaluates that kernel.
    """
    if any(program is outer for outer in getattr(_this_thread, "evaluated", ())):
        raise UnsupportedKernelError(
            "a kernel in Python asked its own model for a result, while the model waits for the "
            "kernel. Use another model inside the kernel, fitted beforehand."
        )


def explain(problem: Problem, row: int, is_finite: bool) -> NotPositiveDefiniteError:
    """Return the error that explains why K has no Cholesky factor."""
    program = problem.program

    def covariance(A: FloatArray, B: FloatArray) -> Float64Array:
        # In float64 for both dtypes, and between two sets: white noise tells no points apart.
        points = np.ascontiguousarray(A, dtype=np.float64)
        others = np.array(B, dtype=np.float64, order="C")
        if isinstance(program, PythonProgram):
            return program.covariance(points, others)
        return _core.covariance_float64(
            compiled_program(program, problem.X.shape[1]), program.parameters, points, others
        )

    return explain_failure(problem, row, is_finite, covariance)


def compiled_program(program: Program, n_features: int) -> _core.Program:
    """Hand the structure of a compiled kernel to the core, or what it was handed before."""
    return _core_program(program.instructions, program.n_parameters, n_features)


@lru_cache(maxsize=256)
def _core_program(
    instructions: tuple[Instruction, ...], n_parameters: int, n_features: int
) -> _core.Program:
    """Hand a program's structure to the core; hyperparameters are given with each call."""
    return _core.Program(
        [
            (int(i.opcode), list(i.parameters), list(i.features), i.constant, i.reciprocal)
            for i in instructions
        ],
        n_parameters,
        n_features,
    )


def _callbacks(program: PythonProgram) -> tuple[Callable[..., Any], ...]:
    """Return what the core calls for the blocks of a kernel that is evaluated in Python."""

    def pair(
        first_row: int, rows: FloatArray, first_column: int, columns: FloatArray, same_set: bool
    ) -> tuple[Float64Array, Float64Array | None]:
        # Blocks of one set are either the same points or have none in common.
        is_same = same_set and first_row == first_column
        A = np.asarray(rows, dtype=np.float64)
        return A, None if is_same else np.asarray(columns, dtype=np.float64)

    def evaluate(*block: Any) -> Float64Array:
        with _being_evaluated(program):
            return program.covariance(*pair(*block))

    def diagonal(points: FloatArray) -> Float64Array:
        with _being_evaluated(program):
            return program.diagonal(np.asarray(points, dtype=np.float64))

    def gradient(*block_and_weights: Any) -> Float64Array:
        *block, weights = block_and_weights
        with _being_evaluated(program):
            return program.contract_gradient(*pair(*block), np.asarray(weights, dtype=np.float64))

    return evaluate, diagonal, gradient
