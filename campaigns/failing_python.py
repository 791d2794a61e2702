"""Calls of the public interface in which every allocation of the compiled core fails once.

Runs in a process of its own, with the failing allocator loaded before the C library.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from gprat import GP, _core, runtime
from gprat.kernels import RBF, ConstantKernel, WhiteKernel

_ROWS, _POINTS = 180, 70

Call = Callable[[GP], Any]


class Allocator:
    """The allocator's own functions, found by name."""

    def __init__(self) -> None:
        library = ctypes.CDLL(None)
        self._begin = library.gprat_faults_begin
        self._begin.argtypes = [ctypes.c_long, ctypes.c_long]
        self._end = library.gprat_faults_end
        self._end.restype = ctypes.c_long
        self._live = library.gprat_faults_live
        self._live.restype = ctypes.c_long
        holds = ctypes.cast(ctypes.pythonapi.PyGILState_Check, ctypes.c_void_p)
        library.gprat_faults_spare_bookkeeping(holds)
        library.gprat_faults_only_from(os.fsencode(_core.__file__))

    def attempt(self, call: Call, gp: GP, number: int) -> tuple[Any, int]:
        """Return what the call returned, or a MemoryError, and how many allocations there were."""
        answer: Any
        self._begin(number, 0)
        try:
            answer = call(gp)
        except MemoryError as error:
            answer = error
        finally:
            allocations = self._end()
        return answer, allocations

    def live(self) -> int:
        """Return how many allocations have not been freed."""
        return int(self._live())


def _data() -> tuple[Any, Any, Any]:
    rng = np.random.default_rng(5)
    X = rng.normal(size=(_ROWS, 3))
    return X, np.sin(X.sum(axis=1)), rng.normal(size=(_POINTS, 3))


def _model(rows: int = _ROWS) -> GP:
    X, y, _ = _data()
    kernel = ConstantKernel(1.3) * RBF([0.8, 1.1, 1.7]) + WhiteKernel(0.05)
    return GP(X[:rows], y[:rows], kernel, tile_size=40, threads=2)


def _append(gp: GP) -> None:
    X, y, _ = _data()
    gp.append(X[-5:], y[-5:])


def _calls() -> dict[str, Call]:
    points = _data()[2]
    return {
        "likelihood": lambda gp: gp.log_marginal_likelihood(gp.theta),
        "gradient": lambda gp: gp.log_marginal_likelihood(gp.theta, eval_gradient=True),
        "mean": lambda gp: gp.predict(points),
        "uncertainty": lambda gp: gp.predict_with_uncertainty(points),
        "covariance": lambda gp: gp.predict_with_full_cov(points),
        "gradient of predictions": lambda gp: gp.predict_gradient(points),
        "leave-one-out": lambda gp: gp.loo_log_density(),
        "sample": lambda gp: gp.sample(points, 3, random_state=0),
        "solve": lambda gp: gp.solve(np.ones(_ROWS)),
        "cholesky": lambda gp: gp.cholesky(),
        "append": _append,
        "delete": lambda gp: gp.delete([3, 50, 51]),
    }


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, tuple):
        return isinstance(b, tuple) and all(_same(p, q) for p, q in zip(a, b, strict=True))
    return np.array_equal(np.asarray(a), np.asarray(b))


def _inject(allocator: Allocator, call: Call, is_fitted: bool, step: int) -> int:
    """Return how many faults were injected; raises AssertionError where one did harm."""
    points = _data()[2]
    reference = _model()
    before = reference.predict(points)
    expected = call(reference)
    after = reference.predict(points)
    faults, number = 0, 1
    while True:
        gp = _model()
        if is_fitted:
            gp.predict(points)
        answer, allocations = allocator.attempt(call, gp, number)
        if allocations < number:
            return faults
        faults += 1
        if isinstance(answer, MemoryError):
            assert _same(gp.predict(points), before), number
            answer = call(gp)
        assert answer is expected or _same(answer, expected), number
        assert _same(gp.predict(points), after), number
        number += step


def main() -> None:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--step", type=int, default=1)
    arguments = parser.parse_args()
    runtime.start(2)
    allocator = Allocator()
    calls = _calls()
    for call in calls.values():  # what is allocated once and kept
        call(_model())
    faults = {}
    for name, call in calls.items():
        print(name, file=sys.stderr, flush=True)
        faults[name] = sum(
            _inject(allocator, call, is_fitted, arguments.step) for is_fitted in (False, True)
        )
    runtime.stop()
    print(json.dumps({"calls": len(calls), "faults": sum(faults.values()), "by_call": faults}))


if __name__ == "__main__":
    main()
