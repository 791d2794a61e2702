"""tinygp, compiled by JAX."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import tinygp

from benchmarks.peers.protocol import Adapter, Task

__all__ = ["TinyGP"]


def process(log_theta: jax.Array, X: jax.Array) -> tinygp.GaussianProcess:
    """Return the process of a constant times an RBF kernel, with noise, at X."""
    scaled = tinygp.transforms.Linear(jnp.exp(-log_theta[1:-1]), tinygp.kernels.ExpSquared())
    return tinygp.GaussianProcess(jnp.exp(log_theta[0]) * scaled, X, diag=jnp.exp(log_theta[-1]))


def log_likelihood(log_theta: jax.Array, X: jax.Array, y: jax.Array) -> jax.Array:
    """Return the log marginal likelihood."""
    return process(log_theta, X).log_probability(y)


def conditioned(log_theta: jax.Array, X: jax.Array, y: jax.Array, X_test: jax.Array) -> Any:
    """Return the process at the test inputs, without the noise that tinygp would add there."""
    return process(log_theta, X).condition(y, X_test, diag=jnp.zeros(len(X_test))).gp


class TinyGP(Adapter):
    """tinygp under `jax.jit`, in double precision."""

    name = "tinygp (jitted)"
    compiles = True
    caches = (
        "JAX keeps the compiled program for each shape; the first call, which compiles, isn't "
        "counted. Nothing else is kept."
    )

    def versions(self) -> dict[str, str]:
        """Return the versions of tinygp and JAX."""
        return {"tinygp": tinygp.__version__, "jax": jax.__version__}

    def prepare(self, task: Task) -> None:
        """Make arrays and jitted functions."""
        jax.config.update("jax_enable_x64", True)
        self._X, self._y, self._X_test = (
            jnp.asarray(values) for values in (task.X, task.y, task.X_test)
        )
        scales = np.log(task.length_scales)
        # An isotropic kernel's one length scale broadcasts over the features.
        self._log_theta = jnp.asarray(
            np.concatenate([[np.log(task.variance)], scales, [np.log(task.noise_variance)]])
        )
        self._value = jax.jit(log_likelihood)
        self._value_and_gradient = jax.jit(jax.value_and_grad(log_likelihood))
        self._mean = jax.jit(lambda *arguments: conditioned(*arguments).mean)
        self._mean_variance = jax.jit(lambda *a: (conditioned(*a).mean, conditioned(*a).variance))
        self._covariance = jax.jit(lambda *a: (conditioned(*a).mean, conditioned(*a).covariance))

    def likelihood_gradient(self) -> Any:
        """Evaluate with the gradient."""
        return self._done(self._value_and_gradient(self._log_theta, self._X, self._y))

    def mean(self) -> Any:
        """Predict the mean."""
        return self._done(self._mean(self._log_theta, self._X, self._y, self._X_test))

    def mean_variance(self) -> Any:
        """Predict mean and variance."""
        return self._done(self._mean_variance(self._log_theta, self._X, self._y, self._X_test))

    def covariance(self) -> Any:
        """Predict mean and joint covariance."""
        return self._done(self._covariance(self._log_theta, self._X, self._y, self._X_test))

    def _done(self, result: Any) -> Any:
        return jax.block_until_ready(result)
