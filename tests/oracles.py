"""The dense reference that the compiled code is held against, and random problems to try it on.

Everything here is written for plainness: dense matrices, scikit-learn's kernel objects, and the
formulas as they stand in Rasmussen & Williams, *Gaussian Processes for Machine Learning* (2006).
"""

from __future__ import annotations

import numpy as np
from scipy.linalg import cho_factor, cho_solve, solve_triangular

from gprat.kernels import (
    RBF,
    ConstantKernel,
    DotProduct,
    Exponentiation,
    ExpSineSquared,
    Matern,
    Opcode,
    RationalQuadratic,
    WhiteKernel,
)


def covariance(kernel, X, Z=None):
    """K(X, X), or K(X, Z), as scikit-learn computes it."""
    return kernel(X, Z)


def _noisy_covariance(kernel, X, noise):
    K = covariance(kernel, X)
    K[np.diag_indices_from(K)] += noise
    return K


def _as_columns(Y):
    Y = np.asarray(Y, dtype=np.float64)
    return Y.reshape(len(Y), -1)


def log_marginal_likelihood(kernel, X, Y, noise, eval_gradient=False):
    """Log marginal likelihood, summed over the outputs (R&W 2006, Alg. 2.1 and eq. 5.9).

    Y has shape (n,) or (n, k); noise, the variance of the observations, is a scalar or has shape
    (n,). With `eval_gradient`, also return the gradient with respect to ``kernel.theta`` and the
    derivative with respect to the logarithm of a factor common to all noise variances.
    """
    Y = _as_columns(Y)
    n, k = Y.shape
    noise = np.broadcast_to(noise, n)

    factor = cho_factor(_noisy_covariance(kernel, X, noise), lower=True)
    alpha = cho_solve(factor, Y)
    log_diagonal = np.log(np.diag(factor[0]))
    value = -0.5 * np.sum(Y * alpha) - k * np.sum(log_diagonal) - 0.5 * k * n * np.log(2 * np.pi)
    if not eval_gradient:
        return value

    _, dK = kernel(X, eval_gradient=True)
    W = 0.5 * (alpha @ alpha.T - k * cho_solve(factor, np.eye(n)))
    return value, np.einsum("ij,ijp->p", W, dK), np.sum(np.diag(W) * noise)


def predict(kernel, X, Y, noise, Xs):
    """Mean (m, k), variance (m,) and covariance (m, m) of the latent function (Alg. 2.1)."""
    factor = cho_factor(_noisy_covariance(kernel, X, noise), lower=True)
    Ks = covariance(kernel, X, Xs)
    V = solve_triangular(factor[0], Ks, lower=True)
    mean = Ks.T @ cho_solve(factor, _as_columns(Y))
    variance = kernel.diag(Xs) - np.sum(V**2, axis=0)
    return mean, variance, covariance(kernel, Xs) - V.T @ V


def evaluate_program(program, X, Z=None):
    """K(X, X), or K(X, Z), by interpreting a kernel program."""
    stack = []
    for opcode, first, count, exponent in program.instructions:
        if opcode == Opcode.SUM:
            stack.append(stack.pop() + stack.pop())
        elif opcode == Opcode.PRODUCT:
            stack.append(stack.pop() * stack.pop())
        elif opcode == Opcode.POWER:
            stack.append(stack.pop() ** exponent)
        else:
            stack.append(_evaluate_leaf(opcode, program.parameters[first : first + count], X, Z))
    (K,) = stack
    return K


def _evaluate_leaf(opcode, parameters, X, Z):
    Z_or_X = X if Z is None else Z
    shape = len(X), len(Z_or_X)
    if opcode == Opcode.CONSTANT:
        return np.full(shape, parameters[0])
    if opcode == Opcode.WHITE:
        return parameters[0] * (np.eye(len(X)) if Z is None else np.zeros(shape))
    if opcode == Opcode.DOT_PRODUCT:
        return parameters[0] ** 2 + X @ Z_or_X.T

    difference = X[:, np.newaxis, :] - Z_or_X[np.newaxis, :, :]
    if opcode == Opcode.RATIONAL_QUADRATIC:
        alpha, length_scale = parameters
        r2 = np.sum((difference / length_scale) ** 2, axis=-1)
        return (1 + r2 / (2 * alpha)) ** -alpha
    if opcode == Opcode.EXP_SINE_SQUARED:
        length_scale, periodicity = parameters
        distance = np.sqrt(np.sum(difference**2, axis=-1))
        return np.exp(-2 * (np.sin(np.pi * distance / periodicity) / length_scale) ** 2)

    r = np.sqrt(np.sum((difference / parameters) ** 2, axis=-1))
    return {
        Opcode.RBF: lambda: np.exp(-0.5 * r**2),
        Opcode.MATERN12: lambda: np.exp(-r),
        Opcode.MATERN32: lambda: (1 + np.sqrt(3) * r) * np.exp(-np.sqrt(3) * r),
        Opcode.MATERN52: lambda: (1 + np.sqrt(5) * r + 5 / 3 * r**2) * np.exp(-np.sqrt(5) * r),
    }[opcode]()


# Any positive power of these is a covariance function again; of others, integer powers only.
INFINITELY_DIVISIBLE = (ConstantKernel, RBF, RationalQuadratic, ExpSineSquared)


def random_kernel(rng, d, depth):
    """Draw a positive semidefinite kernel on d features, nested `depth` deep.

    Leaves of all classes occur (ExpSineSquared only for d = 1: it is indefinite otherwise),
    isotropic and with a length scale a feature, with hyperparameters free or fixed at random, and
    sums, products and powers. Hyperparameters are of order one, which suits the points that
    `random_problem` draws.
    """
    if depth == 0:
        return _random_leaf(rng, d)
    operator = rng.choice(["sum", "product", "power"])
    if operator == "power":
        base = random_kernel(rng, d, depth - 1)
        if isinstance(base, INFINITELY_DIVISIBLE):
            return Exponentiation(base, float(rng.choice([0.5, 1.5, 2.0, 3.0])))
        return Exponentiation(base, 2.0)
    k1, k2 = random_kernel(rng, d, depth - 1), random_kernel(rng, d, rng.integers(depth))
    return k1 + k2 if operator == "sum" else k1 * k2


def _random_leaf(rng, d):
    def value(size=None):
        return np.exp(rng.uniform(-0.7, 0.7, size))

    def bounds():
        return "fixed" if rng.random() < 0.3 else (1e-3, 1e3)

    length_scale = value(d if rng.random() < 0.5 else None)
    leaves = [
        lambda: ConstantKernel(value(), bounds()),
        lambda: WhiteKernel(value(), bounds()),
        lambda: RBF(length_scale, bounds()),
        lambda: Matern(length_scale, bounds(), nu=rng.choice([0.5, 1.5, 2.5, np.inf])),
        lambda: RationalQuadratic(value(), value(), bounds(), bounds()),
        lambda: DotProduct(value(), bounds()),
    ]
    if d == 1:
        leaves.append(lambda: ExpSineSquared(value(), 2 * value(), bounds(), bounds()))
    return leaves[rng.integers(len(leaves))]()


def random_problem(rng, n, m, d, k):
    """Draw training points X (n, d), k noisy smooth outputs Y (n, k) and test points Xs (m, d).

    The points have expected squared norm 1, so that typical distances do not depend on d.
    """
    X, Xs = rng.normal(scale=d**-0.5, size=(n, d)), rng.normal(scale=d**-0.5, size=(m, d))
    Y = np.sin(3 * X @ rng.normal(size=(d, k))) + 0.1 * rng.normal(size=(n, k))
    return X, Y, Xs
