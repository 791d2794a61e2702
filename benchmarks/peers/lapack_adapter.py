"""Not a peer but a yardstick: SciPy's threaded LAPACK on the matrix itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy
from scipy.linalg.lapack import dpotrf, dpotri
from scipy.spatial.distance import cdist

from benchmarks.peers.protocol import Adapter, Task

__all__ = ["Lapack"]


class Lapack(Adapter):
    """Cholesky factor and inverse of the training covariance in place; assembly is not timed."""

    name = "LAPACK"
    caches = "Nothing. It gets the matrix ready-made and returns it overwritten."

    def versions(self) -> dict[str, str]:
        """Return the versions of SciPy and of its BLAS."""
        blas = scipy.show_config(mode="dicts")["Build Dependencies"]["blas"]
        return {"scipy": scipy.__version__, blas["name"]: blas["version"]}

    def prepare(self, task: Task) -> None:
        """Remember the task; the matrix is made when it is needed."""
        self._task = task
        self._matrix: np.ndarray | None = None

    def fresh(self, operation: str) -> None:
        """Make the matrix, or restore its lower triangle from the upper, which LAPACK leaves."""
        task = self._task
        if self._matrix is None:
            scaled = task.X / task.length_scales
            self._matrix = np.empty((len(task.X), len(task.X)), order="F")
            cdist(scaled, scaled, "sqeuclidean", out=self._matrix.T)
            self._matrix *= -0.5
            np.exp(self._matrix, out=self._matrix)
            self._matrix *= task.variance
        else:
            restore_lower(self._matrix)
        np.fill_diagonal(self._matrix, task.variance + task.noise_variance)

    def cholesky(self) -> Any:
        """Factorise."""
        assert self._matrix is not None
        _, info = dpotrf(self._matrix, lower=1, overwrite_a=1, clean=0)
        if info != 0:
            raise RuntimeError(f"dpotrf failed with info = {info}")

    def inverse(self) -> Any:
        """Factorise and invert."""
        self.cholesky()
        _, info = dpotri(self._matrix, lower=1, overwrite_c=1)
        if info != 0:
            raise RuntimeError(f"dpotri failed with info = {info}")


def restore_lower(matrix: np.ndarray, block: int = 512) -> None:
    """Copy the strictly upper triangle onto the lower one, block by block."""
    n = len(matrix)
    for start in range(0, n, block):
        stop = min(start + block, n)
        corner = np.triu(matrix[start:stop, start:stop], 1)
        matrix[start:stop, start:stop] = corner + corner.T
        matrix[stop:, start:stop] = matrix[start:stop, stop:].T
