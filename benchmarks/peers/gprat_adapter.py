"""Ours."""

from __future__ import annotations

from typing import Any

import numpy as np

import gprat
from benchmarks.peers.protocol import Adapter, Task
from gprat.kernels import RBF, ConstantKernel, Kernel

__all__ = ["Gprat", "GpratSingle"]


class Gprat(Adapter):
    """gprat in double precision."""

    name = "gprat"
    caches = (
        "A model keeps its factor for further predictions; every call here makes a new model. "
        "Freed blocks, up to an eighth of the machine's memory, are kept for the next call."
    )

    def versions(self) -> dict[str, str]:
        """Return our version."""
        return {"gprat": gprat.__version__}

    def prepare(self, task: Task) -> None:
        """Make the kernel."""
        self._task = task
        self._arrays = [
            np.ascontiguousarray(values, dtype=self.dtype)
            for values in (task.X, task.y, task.X_test)
        ]
        self._kernel: Kernel = ConstantKernel(task.variance) * RBF(task.length_scales)

    def model(self) -> gprat.GP:
        """Make a model that knows data and hyperparameters, and nothing else."""
        X, y, _ = self._arrays
        return gprat.GP(
            X,
            y,
            self._kernel,
            noise=self._task.noise_variance,
            threads=self._task.threads,
            dtype=self.dtype,
        )

    def likelihood(self) -> Any:
        """Assemble, factorise, and solve for one vector."""
        return self.model().log_marginal_likelihood()

    def likelihood_gradient(self) -> Any:
        """Evaluate with the gradient."""
        return self.model().log_marginal_likelihood(eval_gradient=True)

    def mean(self) -> Any:
        """Predict the mean."""
        return self.model().predict(self._arrays[2])

    def mean_variance(self) -> Any:
        """Predict mean and variance."""
        return self.model().predict_with_uncertainty(self._arrays[2])

    def covariance(self) -> Any:
        """Predict mean and joint covariance."""
        return self.model().predict_with_full_cov(self._arrays[2])

    def optimise(self, seed: int) -> dict[str, Any]:
        """Train with L-BFGS-B, warm starts and all, then predict."""
        model = self.model()
        result = model.optimize(random_state=seed, progress=False)
        mean, variance = model.predict_with_uncertainty(self._arrays[2])
        theta = np.exp(model.theta)
        return {
            "variance": theta[0],
            "length_scales": theta[1:],
            "noise_variance": model.noise_variance,
            "mean": mean,
            "variance_test": variance,
            "iterations": result.nit,
        }


class GpratSingle(Gprat):
    """gprat in single precision."""

    name = "gprat, float32"
    dtype = "float32"
