"""What the machine can do at best: FMA peak, task overhead, and threaded LAPACK."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np
import scipy.linalg.lapack as lapack

YARDSTICKS = Path(__file__).parents[1] / "build/native/benchmarks/native/yardsticks"


def native_yardsticks(threads: int) -> dict[str, float]:
    """Measure FMA peak (GF/s) and scheduling cost (µs a task) with the compiled program."""
    if not YARDSTICKS.exists():
        raise SystemExit(f"{YARDSTICKS} is missing: make native-test builds it")
    output = subprocess.run(
        [str(YARDSTICKS), str(threads)], check=True, capture_output=True, text=True
    ).stdout
    result: dict[str, float] = json.loads(output)
    return result


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
