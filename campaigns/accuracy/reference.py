"""Linear algebra and Gaussian processes in long double, as plain as it can be.

Where double rounds to 53 bits, long double rounds to 64 (x86) or 113: an error of the reference is
some 2000 times smaller than one of the same kind in double, whatever the condition number.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

__all__ = ["Covariance", "Factor", "Model", "is_long"]

LongArray: TypeAlias = npt.NDArray[np.longdouble]


def is_long() -> bool:
    """Return whether long double has digits to spare on this machine."""
    return bool(np.finfo(np.longdouble).eps < 1e-3 * np.finfo(np.float64).eps)


class Factor:
    """The Cholesky factor of a symmetric matrix of shape (n, n), and solutions with it.

    Raises
    ------
    numpy.linalg.LinAlgError
        If the matrix is not positive definite.
    """

    def __init__(self, K: npt.ArrayLike) -> None:
        self.K: LongArray = np.asarray(K, dtype=np.longdouble)
        self.n = len(self.K)
        self.L: LongArray = np.zeros_like(self.K)
        for j in range(self.n):
            column = self.K[j:, j] - self.L[j:, :j] @ self.L[j, :j]
            if not column[0] > 0:
                raise np.linalg.LinAlgError(f"not positive definite at row {j}")
            self.L[j:, j] = column / np.sqrt(column[0])

    def whiten(self, B: npt.ArrayLike) -> LongArray:
        """Return L⁻¹B."""
        V: LongArray = np.array(B, dtype=np.longdouble)
        for i in range(self.n):
            V[i] = (V[i] - self.L[i, :i] @ V[:i]) / self.L[i, i]
        return V

    def solve(self, B: npt.ArrayLike) -> LongArray:
        """Return K⁻¹B."""
        Z = self.whiten(B)
        for i in reversed(range(self.n)):
            Z[i] = (Z[i] - self.L[i + 1 :, i] @ Z[i + 1 :]) / self.L[i, i]
        return Z

    @cached_property
    def inverse(self) -> LongArray:
        """K⁻¹."""
        return self.solve(np.eye(self.n))

    @property
    def log_determinant(self) -> np.longdouble:
        """Return log|K|."""
        return np.longdouble(2 * np.log(np.diagonal(self.L)).sum())


def _matern12(r: LongArray) -> tuple[LongArray, LongArray]:
    return np.exp(-r), np.exp(-r) / np.where(r > 0, r, 1)


def _matern32(r: LongArray) -> tuple[LongArray, LongArray]:
    z = np.sqrt(np.longdouble(3)) * r
    return (1 + z) * np.exp(-z), 3 * np.exp(-z)


def _matern52(r: LongArray) -> tuple[LongArray, LongArray]:
    z = np.sqrt(np.longdouble(5)) * r
    return (1 + z + z**2 / 3) * np.exp(-z), (1 + z) * np.exp(-z) * 5 / 3


def _rbf(r: LongArray) -> tuple[LongArray, LongArray]:
    k = np.exp(-(r**2) / 2)
    return k, k


# f(r), and −f'(r)/r
_FUNCTIONS = {"rbf": _rbf, "matern12": _matern12, "matern32": _matern32, "matern52": _matern52}


@dataclass(frozen=True)
class Covariance:
    """variance·f(r), r being the distance in units of one length scale a feature (R&W 4.9, 4.17).

    Parameters
    ----------
    name : {"rbf", "matern12", "matern32", "matern52"}
        Which f.
    variance : float
        Of the function.
    length_scale : ndarray of shape (d,)
        One a feature.
    """

    name: str
    variance: float
    length_scale: npt.NDArray[np.float64]

    def __call__(self, A: npt.ArrayLike, B: npt.ArrayLike) -> LongArray:
        """Return k(A, B)."""
        squares = self._squares(A, B)
        return np.longdouble(self.variance) * _FUNCTIONS[self.name](np.sqrt(squares.sum(-1)))[0]

    def gradient(self, A: npt.ArrayLike) -> list[LongArray]:
        """Return the derivatives of k(A, A) by the logarithms of variance and length scales."""
        squares = self._squares(A, A)
        value, slope = _FUNCTIONS[self.name](np.sqrt(squares.sum(-1)))
        variance = np.longdouble(self.variance)
        by_length_scale = [variance * slope * squares[..., d] for d in range(squares.shape[-1])]
        return [variance * value, *by_length_scale]

    def _squares(self, A: npt.ArrayLike, B: npt.ArrayLike) -> LongArray:
        X, Z = (np.asarray(points, dtype=np.longdouble) for points in (A, B))
        difference = (X[:, np.newaxis] - Z[np.newaxis]) / self.length_scale.astype(np.longdouble)
        return np.asarray(difference**2)


class Model:
    """A Gaussian process with a trend (R&W 2006, sections 2.2 and 2.7); q = 0 for none.

    Parameters
    ----------
    covariance : Covariance
        The kernel.
    X, y, H : ndarray of shape (n, d), (n,), (n, q)
        Inputs, targets, basis functions.
    noise : ndarray of shape (n,)
        Noise variance of each row.
    """

    def __init__(
        self,
        covariance: Covariance,
        X: npt.ArrayLike,
        y: npt.ArrayLike,
        H: npt.ArrayLike,
        noise: npt.ArrayLike,
    ) -> None:
        self.covariance = covariance
        self.X, self.y = np.asarray(X), np.asarray(y, dtype=np.longdouble)
        self.H: LongArray = np.asarray(H, dtype=np.longdouble)
        self.noise: LongArray = np.asarray(noise, dtype=np.longdouble)
        self.factor = Factor(covariance(X, X) + np.diag(self.noise))
        self.trend = Factor(self.H.T @ self.factor.solve(self.H))
        self.beta = self.trend.solve(self.H.T @ self.factor.solve(self.y))
        self.alpha = self.factor.solve(self.y - self.H @ self.beta)

    @cached_property
    def P(self) -> LongArray:
        """K⁻¹, less what the trend takes of it."""
        WH = self.factor.inverse @ self.H
        return self.factor.inverse - WH @ self.trend.solve(WH.T)

    @property
    def log_marginal_likelihood(self) -> np.longdouble:
        """Equation 2.45."""
        determinants = self.factor.log_determinant + self.trend.log_determinant
        constant = (len(self.y) - self.H.shape[1]) * np.log(2 * np.pi * np.longdouble(1))
        return np.longdouble(-(self.y @ self.alpha + determinants + constant) / 2)

    def derivatives(self) -> list[LongArray]:
        """Return ∂K by the logarithms of variance, length scales and the noise."""
        return [*self.covariance.gradient(self.X), np.diag(self.noise)]

    def gradient(self) -> LongArray:
        """Return the derivatives of the log marginal likelihood (R&W 5.9)."""
        W = (np.outer(self.alpha, self.alpha) - self.P) / 2
        return np.array([(W * dK).sum() for dK in self.derivatives()])

    def predict(self, Xs: npt.ArrayLike, Hs: npt.ArrayLike) -> tuple[LongArray, LongArray]:
        """Return means and variances (R&W 2.41, 2.42)."""
        Ks = self.covariance(self.X, Xs)
        V = self.factor.whiten(Ks)
        G = np.asarray(Hs, dtype=np.longdouble).T - self.H.T @ self.factor.solve(Ks)
        mean = Ks.T @ self.alpha + np.asarray(Hs) @ self.beta
        explained = (V**2).sum(0) - (self.trend.whiten(G) ** 2).sum(0)
        return mean, np.longdouble(self.covariance.variance) - explained
