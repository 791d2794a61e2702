"""GPy."""

from __future__ import annotations

from typing import Any

import GPy as gpy  # noqa: N813
import numpy as np

from benchmarks.peers.protocol import Adapter, Task

__all__ = ["GPy"]

# GPy's exact inference adds so much to the diagonal beside the noise.
_JITTER = 1e-8


class GPy(Adapter):
    """GPy's GPRegression."""

    name = "GPy"
    caches = (
        "A model computes likelihood, gradient and factor when it is made, and keeps them; every "
        "call here makes a new one. A prediction therefore pays for the gradient too. It adds 1e-8 "
        "to the noise variance, which is subtracted beforehand."
    )

    def versions(self) -> dict[str, str]:
        """Return the versions of GPy and NumPy."""
        return {"gpy": gpy.__version__, "numpy": np.__version__}

    def prepare(self, task: Task) -> None:
        """Remember the task."""
        self._task = task

    def model(self) -> Any:
        """Make a model, which computes likelihood and gradient."""
        task = self._task
        kernel = gpy.kern.RBF(
            task.X.shape[1],
            variance=task.variance,
            lengthscale=task.length_scales if task.is_ard else float(task.length_scales[0]),
            ARD=task.is_ard,
        )
        return gpy.models.GPRegression(
            task.X, task.y[:, None], kernel, noise_var=task.noise_variance - _JITTER
        )

    def likelihood_gradient(self) -> Any:
        """Evaluate; GPy's gradients by values become those by logarithms."""
        model = self.model()
        parts = (
            (model.rbf.variance, self._task.variance),
            (model.rbf.lengthscale, self._task.length_scales),
            (model.likelihood.variance, self._task.noise_variance),
        )
        gradient = [np.ravel(part.gradient) * np.ravel(value) for part, value in parts]
        return model.log_likelihood(), np.concatenate(gradient)

    def mean(self) -> Any:
        """Predict: GPy has no mean alone, and computes variances too."""
        return self.mean_variance()[0]

    def mean_variance(self) -> Any:
        """Predict mean and variance."""
        mean, variance = self.model().predict_noiseless(self._task.X_test)
        return mean.ravel(), variance.ravel()

    def covariance(self) -> Any:
        """Predict mean and joint covariance."""
        mean, covariance = self.model().predict_noiseless(self._task.X_test, full_cov=True)
        return mean.ravel(), covariance
