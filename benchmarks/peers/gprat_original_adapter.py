"""The original GPRat (arXiv 2505.00136): in no package registry, so its module is built by hand.

Its Python module has the name of ours; this file runs only in an environment of its own.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from benchmarks.peers.protocol import Adapter, Task

__all__ = ["OriginalGPRat"]

# Tiles a side for large problems, about the best in the paper's figures.
_TILES, _SMALLEST_TILE = 16, 64


class OriginalGPRat(Adapter):
    """GPRat on HPX: one isotropic kernel; arrays go in and out as lists."""

    name = "GPRat (original)"
    caches = (
        "Nothing: every call factorises anew. Its lists are made from arrays beforehand, and the "
        "time that its bindings take to read them is its own."
    )

    def versions(self) -> dict[str, str]:
        """Return what is known of it."""
        return {"gprat-original": getattr(self._module(), "__version__", "built by hand")}

    def prepare(self, task: Task) -> None:
        """Start its runtime once; make lists and the model."""
        if task.is_ard:
            raise ValueError("the original GPRat has one length scale for all features")
        module = self._module()
        if not hasattr(self, "_started"):
            module.start_hpx(sys.argv[:1], task.threads)
            self._started = True
        n, m, d = len(task.X), len(task.X_test), task.X.shape[1]
        self._n = n
        tiles = max(1, min(_TILES, n // _SMALLEST_TILE))
        while n % tiles:  # It drops the rows that don't fill a tile.
            tiles -= 1
        self._test = self._windows(task.X_test)
        self._blocks = module.compute_test_tiles(m, tiles, n // tiles)
        scale = float(task.length_scales[0])
        self._gp = module.GP(
            self._windows(task.X),
            task.y.tolist(),
            tiles,
            module.compute_train_tile_size(n, tiles),
            kernel_params=[scale, task.variance, task.noise_variance],
            n_reg=d,
            trainable=[True, True, True],
        )

    def likelihood(self) -> Any:
        """Evaluate; it returns the mean negative value of a row."""
        return -self._gp.calculate_loss() * self._n

    def mean(self) -> Any:
        """Predict the mean."""
        return np.asarray(self._gp.predict(self._test, *self._blocks))

    def mean_variance(self) -> Any:
        """Predict mean and variance."""
        mean, variance = self._gp.predict_with_uncertainty(self._test, *self._blocks)
        return np.asarray(mean), np.asarray(variance)

    @staticmethod
    def _windows(X: np.ndarray) -> list[float]:
        """Return the signal whose lags are the rows of X: it takes no other inputs."""
        if not np.array_equal(X[1:, 1:], X[:-1, :-1]):
            raise ValueError("the original GPRat takes lags of one signal only")
        return [*X[0, ::-1].tolist(), *X[1:, 0].tolist()]

    @staticmethod
    def _module() -> Any:
        import gprat

        return gprat
