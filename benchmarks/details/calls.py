"""What the closer looks share: data, models, times, memory, and LAPACK's factorisation."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import scipy.linalg.lapack as lapack

import gprat
from gprat.kernels import RBF, ConstantKernel

NOISE = 0.1


def make_data(n: int, d: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Make training inputs, targets and test inputs of a smooth function."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, d))
    y = np.sin(X[:, 0]) + 0.1 * rng.standard_normal(n)
    return X, y, rng.standard_normal((n, d))


def make_model(X: np.ndarray, y: np.ndarray, **options: Any) -> gprat.GP:
    """Make a model with one length scale a feature, near the data's own scale."""
    d = X.shape[1]
    kernel = ConstantKernel(1.0) * RBF(np.full(d, np.sqrt(d)))
    return gprat.GP(X, y, kernel, noise=NOISE, **options)


def time_call(call: Callable[[], Any]) -> float:
    """Seconds of one call."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def peak_resident_gib() -> float:
    """Peak of this program's resident memory; ru_maxrss would begin with that of its parent."""
    status = Path("/proc/self/status").read_text()
    (kibibytes,) = re.findall(r"VmHWM:\s+(\d+) kB", status)
    return int(kibibytes) / 2**20


class Dpotrf:
    """SciPy's threaded LAPACK Cholesky on a matrix of the same size."""

    def __init__(self, n: int, rng: np.random.Generator) -> None:
        self._matrix = np.asfortranarray(rng.uniform(size=(n, n)))
        self._matrix[np.diag_indices(n)] += n
        self._work: Any = np.empty_like(self._matrix)

    def seconds(self) -> float:
        """Time of one factorisation in place, without the copy."""
        self._work[...] = self._matrix
        start = time.perf_counter()
        _, info = lapack.dpotrf(self._work, lower=1, overwrite_a=1, clean=0)
        elapsed = time.perf_counter() - start
        if info != 0:
            raise RuntimeError(f"dpotrf failed with info = {info}")
        return elapsed
