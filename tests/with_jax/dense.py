"""The same models in JAX alone, by dense matrices: what gprat.jax is held against.

Kernels are functions of theta as scikit-learn has it. Formulas are those of Rasmussen & Williams
(2006), sections 2.2 and 2.7.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
from jax.scipy.linalg import cho_solve

from gprat.kernels import RBF, ConstantKernel, Kernel, Linear, Matern, RationalQuadratic


def squared_distance(A, B, length_scale):
    difference = (A[:, None, :] - B[None, :, :]) / length_scale
    return jnp.sum(difference**2, axis=-1)


def scaled_rbf(theta, A, B):
    """ConstantKernel * RBF with a length scale a feature."""
    return jnp.exp(theta[0]) * jnp.exp(-0.5 * squared_distance(A, B, jnp.exp(theta[1:])))


def matern_and_linear(theta, A, B):
    """Matern(nu=5/2) + Linear with a centre that is learned and has any sign."""
    squared = 5.0 * squared_distance(A, B, jnp.exp(theta[0]))
    r = jnp.where(squared > 0, jnp.sqrt(jnp.where(squared > 0, squared, 1.0)), 0.0)
    centre, variance = theta[1], jnp.exp(theta[2])
    return (1 + r + squared / 3) * jnp.exp(-r) + variance * (A - centre) @ (B - centre).T


def rational_quadratic(theta, A, B):
    """RationalQuadratic; its first hyperparameter by name is alpha."""
    alpha = jnp.exp(theta[0])
    return (1 + squared_distance(A, B, jnp.exp(theta[1])) / (2 * alpha)) ** -alpha


def no_basis(X):
    return jnp.zeros((len(X), 0))


def constant_basis(X):
    return jnp.ones((len(X), 1))


def linear_basis(X):
    return jnp.concatenate([jnp.ones((len(X), 1)), X], axis=1)


@dataclass(frozen=True)
class Dense:
    """A Gaussian process regression with a kernel and basis functions of the mean."""

    covariance: Callable[..., Any]
    basis: Callable[..., Any]

    def log_marginal_likelihood(self, X, y, theta, noise, mean_coefficients=None):
        """Equation 2.30; 2.45 where the coefficients are integrated out."""
        state = self._condition(X, y, theta, noise, mean_coefficients)
        n, q = state["H"].shape
        k = state["Y"].shape[1]
        determinants = 2 * jnp.sum(jnp.log(jnp.diag(state["L"])))
        determinants += jnp.linalg.slogdet(state["A"])[1]
        fit = jnp.sum(state["residual"] * state["alpha"])
        return -0.5 * fit - 0.5 * k * (determinants + (n - q) * jnp.log(2 * jnp.pi))

    def predict(self, X, y, Xs, theta, noise, mean_coefficients=None):
        """Mean and covariance at points of shape (m, d): equations 2.23 to 2.24, 2.41 and 2.42."""
        state = self._condition(X, y, theta, noise, mean_coefficients)
        cross, solve = self.covariance(theta, X, Xs), state["solve"]
        mean = cross.T @ state["alpha"]
        covariance = self.covariance(theta, Xs, Xs) - cross.T @ solve(cross)
        Hs = self.basis(Xs)
        if mean_coefficients is None:
            R = Hs - cross.T @ solve(state["H"])
            mean += Hs @ state["beta"]
            covariance += R @ jnp.linalg.solve(state["A"], R.T)
        else:
            mean += Hs @ _columns(mean_coefficients)
        return (mean[:, 0] if y.ndim == 1 else mean), covariance

    def _condition(self, X, y, theta, noise, mean_coefficients):
        Y, H = _columns(y), self.basis(X)
        if mean_coefficients is not None:
            Y, H = Y - H @ _columns(mean_coefficients), no_basis(X)
        K = self.covariance(theta, X, X) + jnp.diag(jnp.broadcast_to(noise, (len(X),)))
        L = jnp.linalg.cholesky(K)

        def solve(B):
            return cho_solve((L, True), B)

        A = H.T @ solve(H)
        beta = jnp.linalg.solve(A, H.T @ solve(Y)) if H.shape[1] else jnp.zeros((0, Y.shape[1]))
        alpha = solve(Y - H @ beta)
        return {
            "Y": Y,
            "H": H,
            "L": L,
            "A": A,
            "beta": beta,
            "alpha": alpha,
            "residual": Y,
            "solve": solve,
        }


def _columns(values):
    return values.reshape(len(values), -1)


@dataclass(frozen=True)
class Problem:
    """A model of gprat, its counterpart, and how its arrays are drawn."""

    name: str
    kernel: Kernel
    dense: Dense
    mean: str = "zero"
    n_outputs: int | None = None
    has_noise_by_row: bool = False
    has_coefficients: bool = False

    def __str__(self):
        return self.name

    def draw(self, rng, n=23, m=5, d=2):
        """Return the same with arrays."""
        outputs = () if self.n_outputs is None else (self.n_outputs,)
        X = rng.normal(size=(n, d))
        arrays = {
            "X": X,
            "y": rng.normal(size=(n, *outputs)),
            "theta": self.kernel.theta + 0.2 * rng.normal(size=len(self.kernel.theta)),
            "noise": rng.uniform(0.1, 0.5, n if self.has_noise_by_row else ()),
        }
        if self.has_coefficients:
            arrays["mean_coefficients"] = rng.normal(size=(d + 1, *outputs))
        arrays = {name: jnp.asarray(values) for name, values in arrays.items()}
        return Drawn(self, arrays, jnp.asarray(rng.normal(size=(m, d))))


@dataclass(frozen=True)
class Drawn:
    """A problem with its arrays by the names of gprat's arguments, and test points."""

    problem: Problem
    arrays: dict[str, Any]
    Xs: Any

    @property
    def settings(self):
        """What gprat's functions take besides arrays."""
        return {"kernel": self.problem.kernel, "mean": self.problem.mean}

    @property
    def dense(self):
        return self.problem.dense


PROBLEMS = (
    Problem("RBF", ConstantKernel(1.5) * RBF([0.7, 1.3]), Dense(scaled_rbf, no_basis)),
    Problem(
        "Matern and linear, constant trend, noise by row",
        Matern(0.9, nu=2.5) + Linear(0.4, 0.3, centre_bounds=(-2.0, 2.0)),
        Dense(matern_and_linear, constant_basis),
        mean="constant",
        has_noise_by_row=True,
    ),
    Problem(
        "rational quadratic, given linear mean, two outputs",
        RationalQuadratic(0.8, 1.2),
        Dense(rational_quadratic, linear_basis),
        mean="linear",
        n_outputs=2,
        has_coefficients=True,
    ),
)
