"""What a Gaussian process asks of an engine.

Letters as in Rasmussen and Williams, *Gaussian Processes for Machine Learning* (2006), "R&W":
K = k(X, X) + diag(noise), its Cholesky factor L, α = K⁻¹Y; n training points with d features,
k outputs, m test points X*.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from gprat._validation import Float64Array, FloatArray
from gprat.kernels import Program

__all__ = ["Engine", "Posterior", "Problem"]


@dataclass(frozen=True, slots=True, eq=False)
class Problem:
    """Everything that determines the results of an engine, and the resources it may use.

    Parameters
    ----------
    X : ndarray of shape (n, d)
        Training inputs, C-contiguous, float64 or float32; the dtype of the computation.
    Y : ndarray of shape (n, k)
        Training targets, C-contiguous, of the same dtype; one column an output.
    program : Program
        The kernel with its hyperparameters.
    noise : ndarray of shape (1,) or (n,), float64
        Noise variance of all rows, or of each row.
    tile_size : int
        Side of the square tiles of K, in [1, n].
    threads : int or None
        The most threads that a call may use; None for all that the engine has.
    """

    X: FloatArray
    Y: FloatArray
    program: Program
    noise: Float64Array
    tile_size: int
    threads: int | None


class Posterior(Protocol):
    """A Gaussian process conditioned on its training data.

    The factor L is computed once, by the first call that needs it. Calls may come from several
    Python threads at the same time. Every call raises `NotPositiveDefiniteError` where K has no
    factor, and `KeyboardInterrupt` soon after Ctrl-C, after which calls work again.
    """

    @property
    def problem(self) -> Problem:
        """What was factorised."""

    def predict_mean(self, X: FloatArray) -> FloatArray:
        """Return k(X*, X) α, shape (m, k) (R&W 2.25)."""

    def predict_variance(self, X: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the mean and diag(k(X*, X*) − VᵀV), shape (m,), V = L⁻¹k(X, X*) (R&W 2.26)."""

    def predict_covariance(self, X: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the mean and k(X*, X*) − VᵀV, shape (m, m) (R&W 2.24)."""

    def solve(self, B: FloatArray) -> FloatArray:
        """Return K⁻¹B, shape (n, r) (R&W A.4)."""

    def cholesky(self) -> FloatArray:
        """Return L, shape (n, n), lower triangular, LLᵀ = K."""

    def alpha(self) -> FloatArray:
        """Return K⁻¹Y, shape (n, k)."""

    def log_determinant(self) -> float:
        """Return log|K| = 2 Σᵢ log Lᵢᵢ (R&W A.18)."""

    def log_marginal_likelihood(self) -> float:
        """Return −½ yᵀα − ½ log|K| − n/2 log 2π, summed over the outputs y (R&W 2.30)."""


class Engine(Protocol):
    """Computes with Gaussian processes on some hardware."""

    def factorise(self, problem: Problem) -> Posterior:
        """Return the posterior; its factor is computed when first needed."""

    def log_marginal_likelihood_gradient(
        self, problem: Problem
    ) -> tuple[float, Float64Array, float]:
        """Return the log marginal likelihood and its derivatives (R&W 5.9).

        They are ½ tr((ααᵀ − K⁻¹) ∂K/∂θ), summed over the outputs, for θ the logarithm of each
        hyperparameter of the program (shape (n_parameters,), 0 where it is fixed) and, last, for
        the logarithm of a factor common to all noise variances.

        Raises
        ------
        NotPositiveDefiniteError
            If K has no Cholesky factor.
        """
