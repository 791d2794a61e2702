"""scikit-learn's GaussianProcessRegressor."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy
import sklearn
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, Kernel, WhiteKernel

from benchmarks.peers.protocol import Adapter, Task

__all__ = ["ScikitLearn"]


class ScikitLearn(Adapter):
    """scikit-learn as documented: noise by WhiteKernel to learn, by alpha to predict."""

    name = "scikit-learn"
    caches = (
        "`fit` keeps the factor for further predictions; every call here fits anew, without an "
        "optimiser. `fit` evaluates the likelihood too, with a second factorisation. The "
        "likelihood with its gradient keeps nothing."
    )

    def versions(self) -> dict[str, str]:
        """Return the versions of scikit-learn and of what it computes with."""
        return {
            "scikit-learn": sklearn.__version__,
            "scipy": scipy.__version__,
            "numpy": np.__version__,
        }

    def prepare(self, task: Task) -> None:
        """Make the kernels, and a model for the likelihood."""
        self._task = task
        self._kernel: Kernel = ConstantKernel(task.variance) * RBF(task.length_scales)
        noisy = self._kernel + WhiteKernel(task.noise_variance)
        # Fitted to one row: only `fit` makes what the likelihood reads, and it would factorise.
        self._model = GaussianProcessRegressor(noisy, alpha=0.0, optimizer=None)
        self._model.fit(task.X[:1], task.y[:1])
        self._model.X_train_, self._model.y_train_ = task.X, task.y

    def likelihood_gradient(self) -> Any:
        """Evaluate at the kernel's own hyperparameters."""
        return self._model.log_marginal_likelihood(self._model.kernel_.theta, eval_gradient=True)

    def mean(self) -> Any:
        """Fit and predict the mean."""
        return self._fitted().predict(self._task.X_test)

    def mean_variance(self) -> Any:
        """Fit and predict; the variance is the square of what scikit-learn returns."""
        mean, deviation = self._fitted().predict(self._task.X_test, return_std=True)
        return mean, np.square(deviation)

    def covariance(self) -> Any:
        """Fit and predict mean and joint covariance."""
        return self._fitted().predict(self._task.X_test, return_cov=True)

    def optimise(self, seed: int) -> dict[str, Any]:
        """Fit with L-BFGS-B, then predict; its deviations include the learned noise."""
        task = self._task
        noisy = self._kernel + WhiteKernel(task.noise_variance, (1e-10, 1e5))
        model = GaussianProcessRegressor(noisy, alpha=0.0, random_state=seed).fit(task.X, task.y)
        mean, deviation = model.predict(task.X_test, return_std=True)
        variance, *length_scales, noise = np.exp(model.kernel_.theta)
        return {
            "variance": variance,
            "length_scales": np.array(length_scales),
            "noise_variance": noise,
            "mean": mean,
            "variance_test": deviation**2 - noise,
        }

    def _fitted(self) -> GaussianProcessRegressor:
        task = self._task
        model = GaussianProcessRegressor(
            self._kernel, alpha=task.noise_variance, optimizer=None, copy_X_train=False
        )
        return model.fit(task.X, task.y)
