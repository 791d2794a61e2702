"""Random members of a batch, and what a dense reference says of them."""

from __future__ import annotations

import numpy as np

import oracles
from gprat.kernels import RBF, ConstantKernel

FORMS = ("stacked", "shared", "list")
KERNEL = ConstantKernel(1.3) * RBF([0.8, 1.7])


def draw_data(rng, form, b=5, n=12, d=2):
    """Return X, y as a batch takes them, and the same as a list of pairs."""
    if form == "shared":
        X = rng.standard_normal((n, d))
        y = rng.standard_normal((b, n))
        return X, y, [(X, y[i]) for i in range(b)]
    if form == "stacked":
        X, y = rng.standard_normal((b, n, d)), rng.standard_normal((b, n))
        return X, y, [(X[i], y[i]) for i in range(b)]
    sizes = rng.integers(2, 2 * n, size=b)
    X = [rng.standard_normal((size, d)) for size in sizes]
    y = [rng.standard_normal(size) for size in sizes]
    return X, y, list(zip(X, y, strict=True))


def draw_points(rng, form, b=5, m=7, d=2):
    """Return test points as a batch takes them, and the same as a list."""
    if form == "shared":
        X = rng.standard_normal((m, d))
        return X, [X] * b
    if form == "stacked":
        X = rng.standard_normal((b, m, d))
        return X, list(X)
    X = [rng.standard_normal((int(rng.integers(0, 2 * m)), d)) for _ in range(b)]
    return X, X


def draw_theta(rng, batch):
    """Return hyperparameters for each member that are not far from those at hand."""
    return batch.theta + 0.3 * rng.standard_normal(batch.theta.shape)


def likelihood_of(kernel, theta, X, y):
    """Log marginal likelihood of one member, and its gradient by theta, by the dense reference."""
    kernel = kernel.clone_with_theta(theta[:-1])
    noise = np.exp(theta[-1])
    value, by_kernel, by_noise = oracles.log_marginal_likelihood(kernel, X, y, noise, True)
    return value, np.append(by_kernel, by_noise)


def prediction_of(kernel, theta, X, y, Xs):
    """Mean, variance and covariance of one member, by the dense reference."""
    mean, variance, covariance = oracles.predict(
        kernel.clone_with_theta(theta[:-1]), X, y, np.exp(theta[-1]), Xs
    )
    return mean[:, 0], variance, covariance
