"""Our own models, for studies that vary what only they have: threads and tiles."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import gprat
from benchmarks.problem import Arrays, Problem
from gprat.kernels import RBF, ConstantKernel

__all__ = ["make_model", "mean_seconds", "time_once"]


def make_model(problem: Problem, arrays: Arrays, **options: Any) -> gprat.GP:
    """Make a model that knows data and hyperparameters, and has computed nothing."""
    kernel = ConstantKernel(problem.variance) * RBF(problem.length_scales)
    return gprat.GP(arrays.X, arrays.y, kernel, noise=problem.noise_variance, **options)


def mean_seconds(call: Callable[[], Any]) -> Callable[[int], float]:
    """Return a function that makes so many calls in a row and returns the mean seconds of one."""

    def timed(count: int) -> float:
        start = time.perf_counter()
        for _ in range(count):
            call()
        return (time.perf_counter() - start) / count

    return timed


def time_once(call: Callable[[], Any]) -> tuple[float, Any]:
    """Return the seconds of one call, and its result."""
    start = time.perf_counter()
    result = call()
    return time.perf_counter() - start, result
