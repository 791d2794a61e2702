"""GPflow, on TensorFlow."""

from __future__ import annotations

from typing import Any

import gpflow
import numpy as np
import tensorflow as tf

from benchmarks.peers.protocol import Adapter, Task

__all__ = ["GPflow"]


class GPflow(Adapter):
    """GPflow's exact GPR, its functions compiled by `tf.function`."""

    name = "GPflow"
    compiles = True
    caches = (
        "TensorFlow keeps the traced graph of each function; the first call, which traces, isn't "
        "counted. GPR keeps nothing between predictions unless it is asked to."
    )

    def versions(self) -> dict[str, str]:
        """Return the versions of GPflow and TensorFlow."""
        return {"gpflow": gpflow.__version__, "tensorflow": tf.__version__}

    def prepare(self, task: Task) -> None:
        """Make the model, and trace its functions."""
        if tf.config.threading.get_intra_op_parallelism_threads() != task.threads:
            tf.config.threading.set_intra_op_parallelism_threads(task.threads)
        gpflow.config.set_default_float(np.float64)
        gpflow.config.set_default_jitter(0.0)
        scales = task.length_scales if task.is_ard else float(task.length_scales[0])
        kernel = gpflow.kernels.SquaredExponential(variance=task.variance, lengthscales=scales)
        self._model = gpflow.models.GPR(
            (task.X, task.y[:, None]), kernel, noise_variance=task.noise_variance
        )
        # The suite's order of hyperparameters.
        self._parameters = (
            kernel.variance,
            kernel.lengthscales,
            self._model.likelihood.variance,
        )
        X_test = tf.constant(task.X_test)
        self._value_and_gradient = tf.function(self._differentiated)
        self._predict = tf.function(lambda: self._model.predict_f(X_test))
        self._predict_joint = tf.function(lambda: self._model.predict_f(X_test, full_cov=True))

    def likelihood_gradient(self) -> Any:
        """Evaluate, and differentiate by the logarithms of the transformed parameters."""
        value, gradients = self._value_and_gradient()
        by_log = [
            np.ravel(gradient.numpy() * parameter.numpy() / _slope(parameter))
            for gradient, parameter in zip(gradients, self._parameters, strict=True)
        ]
        return value.numpy(), np.concatenate(by_log)

    def mean(self) -> Any:
        """Predict: GPflow has no mean alone, and computes variances too."""
        return self._predict()[0].numpy().ravel()

    def mean_variance(self) -> Any:
        """Predict mean and variance."""
        mean, variance = self._predict()
        return mean.numpy().ravel(), variance.numpy().ravel()

    def covariance(self) -> Any:
        """Predict mean and joint covariance."""
        mean, covariance = self._predict_joint()
        return mean.numpy().ravel(), covariance.numpy()[0]

    def _differentiated(self) -> Any:
        variables = [parameter.unconstrained_variable for parameter in self._parameters]
        with tf.GradientTape() as tape:
            value = self._model.log_marginal_likelihood()
        return value, tape.gradient(value, variables)


def _slope(parameter: gpflow.Parameter) -> Any:
    """Return the derivative of a parameter by its unconstrained variable."""
    transform = parameter.transform
    return np.exp(transform.forward_log_det_jacobian(parameter.unconstrained_variable, 0).numpy())
