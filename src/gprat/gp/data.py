"""The training data as an engine sees them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from gprat._hyperparameters import Hyperparameters
from gprat._validation import FloatArray
from gprat.engines.base import Problem
from gprat.noise import IntArray

__all__ = ["Data"]


@dataclass(frozen=True, slots=True, eq=False)
class Data:
    """Inputs, targets less the fixed mean, and basis functions of the trend, all of one dtype.

    Parameters
    ----------
    X : ndarray of shape (n, d)
        Training inputs.
    Y : ndarray of shape (n, k)
        Training targets, less the fixed part of the mean.
    basis : ndarray of shape (n, q)
        Basis functions of the trend at the training points.
    basis_names : tuple of str
        Their names.
    """

    X: FloatArray
    Y: FloatArray
    basis: FloatArray
    basis_names: tuple[str, ...]

    def problem(
        self,
        hyperparameters: Hyperparameters,
        tile_size: int,
        threads: int | None,
        memory_limit: int | None,
    ) -> Problem:
        """Return what an engine needs to know."""
        return Problem(
            self.X,
            self.Y,
            self.basis,
            self.basis_names,
            hyperparameters.program,
            hyperparameters.noise.variances,
            tile_size,
            threads,
            memory_limit,
        )

    def append(self, other: Data) -> Data:
        """Return these rows and then those of the other: copies."""
        return replace(
            self,
            X=np.concatenate([self.X, other.X]),
            Y=np.concatenate([self.Y, other.Y]),
            basis=np.concatenate([self.basis, other.basis]),
        )

    def select(self, rows: IntArray) -> Data:
        """Return some of the rows: copies."""
        return replace(
            self,
            X=np.ascontiguousarray(self.X[rows]),
            Y=np.ascontiguousarray(self.Y[rows]),
            basis=np.ascontiguousarray(self.basis[rows]),
        )
