"""What a library must offer to take part: the seam between the studies and every peer.

This file and `worker` run inside the peer's own environment, beside NumPy and the peer's library
and nothing else. An adapter is a subclass of `Adapter` in a module of this folder; `registry` lists
it. All adapters stand for the same model: a constant times an RBF kernel, with one length scale or
one a feature, zero mean, and one noise variance for all rows (R&W 2006, section 2.2).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

__all__ = ["OPERATIONS", "Adapter", "Task"]

# Operations, and the names of the arrays that each returns, in this order.
OPERATIONS: dict[str, tuple[str, ...]] = {
    "likelihood": ("log_marginal_likelihood",),
    "likelihood_gradient": ("log_marginal_likelihood", "gradient"),
    "mean": ("mean",),
    "mean_variance": ("mean", "variance"),
    "covariance": ("mean", "covariance"),
    "cholesky": (),
    "inverse": (),
}


@dataclass(frozen=True)
class Task:
    """Arrays and hyperparameters of one problem, in float64.

    Attributes
    ----------
    X : ndarray of shape (n, d)
        Training inputs.
    y : ndarray of shape (n,)
        Targets.
    X_test : ndarray of shape (m, d)
        Test inputs.
    variance : float
        The constant that multiplies the RBF kernel.
    length_scales : ndarray of shape (1,) or (d,)
        One for all features (isotropic), or one a feature (ARD).
    noise_variance : float
        Variance of the targets' noise.
    threads : int
        Threads that the library may use.
    """

    X: np.ndarray
    y: np.ndarray
    X_test: np.ndarray
    variance: float
    length_scales: np.ndarray
    noise_variance: float
    threads: int

    @property
    def is_ard(self) -> bool:
        """Whether every feature has a length scale of its own."""
        return len(self.length_scales) > 1


class Adapter(ABC):
    """One library, or one way to use it.

    An operation is a method of the same name as in `OPERATIONS` that returns its arrays in that
    order: NumPy arrays, or what `numpy.asarray` makes one of after the clock has stopped; all work
    must be done by then (no lazy or asynchronous values). Every call starts from data and
    hyperparameters, with nothing kept from the call before, and does all the work. Variances and
    covariances are those of the latent function, without noise. The gradient is by the logarithms
    of variance, length scales and noise variance, in this order. An operation that a library
    cannot do is simply not defined.
    """

    name: ClassVar[str]
    """As the library writes itself, for tables and figures."""
    approximate: ClassVar[bool] = False
    """Whether results are approximations: they are then reported, not checked."""
    dtype: ClassVar[str] = "float64"
    """Type of the numbers it computes with; a task's are of type float64."""
    compiles: ClassVar[bool] = False
    """Whether the first call at each size compiles, so that it is never counted."""
    caches: ClassVar[str]
    """What the library keeps between calls by itself, and how that is kept out of the times."""

    @abstractmethod
    def versions(self) -> dict[str, str]:
        """Return the versions of the library and of what computes beneath it."""

    @abstractmethod
    def prepare(self, task: Task) -> None:
        """Do everything that is not timed: threads, tensors, kernels. Replaces the task before."""

    def fresh(self, operation: str) -> None:  # noqa: B027
        """Forget what the last call has left; called before each call, and not timed."""

    def optimise(self, seed: int) -> dict[str, Any]:
        """Fit all hyperparameters from the task's, to convergence, as the library's users do.

        Timed from outside. Returns arrays and numbers by name: "variance", "length_scales" and
        "noise_variance" found, "mean" and "variance_test" (latent) at the test inputs,
        "fit_seconds" and "predict_seconds", and whatever else is worth a line ("iterations").
        """
        raise NotImplementedError(f"{self.name} has no fit of hyperparameters here")

    @classmethod
    def operations(cls) -> tuple[str, ...]:
        """Return the names of the operations that this adapter offers."""
        return tuple(name for name in OPERATIONS if callable(getattr(cls, name, None)))
