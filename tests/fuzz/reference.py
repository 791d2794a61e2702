"""What dense matrices say, and how much of it the rounding of inputs leaves sure.

A computation is as good as can be asked of it if its result is exact for data that differ from the
given ones by rounding (Higham, *Accuracy and Stability of Numerical Algorithms*, section 1.5). So
the reference is evaluated at several such data, and how far its results lie apart is the tolerance.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from oracles import Dense, log_marginal_likelihood

_REPETITIONS = 6
_SAFETY = 200.0


@dataclass(frozen=True)
class Case:
    """A model with fixed hyperparameters as dense arrays, float64; H and Hs hold a trend."""

    kernel: Any
    X: np.ndarray
    Y: np.ndarray
    noise: np.ndarray
    H: np.ndarray
    Xs: np.ndarray
    Hs: np.ndarray

    def nearby(self, rng: np.random.Generator, unit: float) -> Case:
        """The same with every number changed by some rounding units; equal ones stay equal."""
        n = len(self.X)
        X, Xs = np.split(_nudged(np.concatenate([self.X, self.Xs]), rng, unit), [n])
        theta = self.kernel.theta
        theta = theta + unit * rng.uniform(-2, 2, theta.shape) * np.maximum(1.0, np.abs(theta))
        return replace(
            self,
            kernel=_Rough(self.kernel.clone_with_theta(theta), n, unit, int(rng.integers(2**31))),
            X=X,
            Xs=Xs,
            Y=self.Y * (1 + unit * rng.uniform(-1, 1, self.Y.shape)),
            H=self.H * (1 + unit * rng.uniform(-2, 2, self.H.shape)),
        )


class _Rough:
    """A kernel whose matrices have errors of rounding, symmetric where they should be."""

    def __init__(self, kernel: Any, n: int, unit: float, seed: int) -> None:
        self._kernel, self._size, self._seed = kernel, unit * (n + 4), seed

    def __call__(self, A: np.ndarray, B: Any = None) -> np.ndarray:
        K = self._kernel(A, B)
        rng = np.random.default_rng([self._seed, *K.shape])
        scale = np.sqrt(
            np.outer(self._kernel.diag(A), self._kernel.diag(A if B is None else B)).clip(0)
        )
        error = rng.uniform(-1, 1, K.shape)
        if B is None:
            error = np.tril(error) + np.tril(error, -1).T
        return K + self._size * error * scale

    def diag(self, A: np.ndarray) -> np.ndarray:
        return self._kernel.diag(A)


def _nudged(values: np.ndarray, rng: np.random.Generator, unit: float) -> np.ndarray:
    distinct, index = np.unique(values, return_inverse=True)
    return (distinct * (1 + unit * rng.uniform(-1, 1, distinct.shape)))[index.reshape(values.shape)]


def answers(case: Case) -> dict[str, np.ndarray]:
    """Everything that a model is asked for, from dense matrices."""
    dense = Dense(case.kernel, case.X, case.Y, case.noise, case.H)
    m = len(case.Xs)
    # Not all kernels of scikit-learn take no points.
    points, basis = (case.Xs, case.Hs) if m else (case.X[:1], case.H[:1])
    mean, variance, covariance = dense.predict(points, basis)
    precision = np.diag(dense.P)
    return {
        "log_marginal_likelihood": np.asarray(dense.log_marginal_likelihood()),
        "alpha": dense.alpha,
        "mean": mean[:m],
        "variance": variance[:m],
        "covariance": covariance[:m, :m],
        "loo mean": dense.Y - dense.alpha / precision[:, None],
        "loo variance": 1.0 / precision,
        "precision": np.diag(dense.inverse),
    }


def is_safe(case: Case, unit: float) -> bool:
    """Whether rounding leaves no doubt that the covariance matrix has a Cholesky factor."""
    K = case.kernel(case.X) + np.diag(case.noise)
    values = np.linalg.eigvalsh(K)
    return bool(values[0] > 50 * len(K) * unit * values[-1])


def sure_answers(
    case: Case, rng: np.random.Generator, unit: float
) -> Iterator[tuple[str, np.ndarray, float]]:
    """Yield names, values and a tolerance for each answer that rounding leaves sure."""
    with np.errstate(all="ignore"):
        exact = answers(case)
        others = [answers(case.nearby(rng, unit)) for _ in range(_REPETITIONS)]
    scales = _scales(case, exact["precision"])
    condition = float(np.linalg.cond(case.kernel(case.X) + np.diag(case.noise)))
    for name, value in exact.items():
        if not all(np.isfinite(answer[name]).all() for answer in (exact, *others)):
            continue
        # Entries lend each other their errors: factors and solves mix them.
        spread = max(np.max(np.abs(other[name] - value), initial=0.0) for other in others)
        scale = np.max(np.abs(value), initial=scales.get(name, 1.0))
        # What is left out is told from K⁻¹ (R&W 5.12), the errors of which its condition sets.
        loss = condition if name.startswith("loo") else 1.0
        tolerance = _SAFETY * spread + (_SAFETY + loss) * unit * scale
        if tolerance < 0.05 * scale:
            yield name, value, tolerance


def _scales(case: Case, precision: np.ndarray) -> dict[str, float]:
    """Sizes of what is added up, which errors are relative to where a result cancels to 0."""
    largest = np.max(np.abs(case.Y), initial=0.0)
    prior = np.max(case.kernel.diag(np.concatenate([case.X, case.Xs])))
    weight = largest * np.max(np.abs(precision))
    return {
        "alpha": weight,
        "mean": largest + weight * prior,
        "variance": prior,
        "covariance": prior,
        "loo mean": largest,
    }


def gradient(case: Case) -> np.ndarray:
    """The gradient of the likelihood by the kernel's theta, without a trend."""
    return log_marginal_likelihood(case.kernel, case.X, case.Y, case.noise, eval_gradient=True)[1]


def gradient_scale(case: Case) -> float:
    """The size of what is added up in it: all |W| times the largest |dK| (R&W eq. 5.9)."""
    K = case.kernel(case.X) + np.diag(case.noise)
    inverse = np.linalg.inv(K)
    alpha = inverse @ case.Y
    slopes = case.kernel(case.X, eval_gradient=True)[1]
    weights = np.abs(alpha) @ np.abs(alpha).T + case.Y.shape[1] * np.abs(inverse)
    # Errors of K⁻¹ are relative to its norm times the condition number.
    return float(weights.sum() * np.max(np.abs(slopes), initial=0.0) * np.linalg.cond(K))
