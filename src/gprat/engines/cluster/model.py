"""What all blocks share, and the points and covariances that they are made of."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gprat import _core
from gprat._validation import Float64Array, FloatArray
from gprat.engines.core_kernels import core_covariance
from gprat.kernels import KernelProgram

__all__ = ["Covariances", "Model", "Points"]


@dataclass(frozen=True, eq=False)
class Model:
    """The kernel, and what all blocks share.

    Parameters
    ----------
    program : Program or PythonProgram
        The kernel with its hyperparameters.
    n_features, n_outputs, n_trends : int
        Columns of X, Y and H.
    dtype : str
        Of the computation.
    tile_size : int
        Side of the tiles in which a worker cuts a block.
    threads : int or None
        The most threads of a worker that a block may use; None for all.
    """

    program: KernelProgram
    n_features: int
    n_outputs: int
    n_trends: int
    dtype: str
    tile_size: int
    threads: int | None
    _made: dict[str, Any] = field(default_factory=dict, repr=False)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_made": {}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)

    @property
    def covariance(self) -> Any:
        """The kernel as the core has it."""
        if "covariance" not in self._made:
            dtype = np.dtype(self.dtype)
            self._made["covariance"] = core_covariance(self.program, self.n_features, dtype)
        return self._made["covariance"]

    def core(self, name: str) -> Any:
        """Return the core's function of that name for the dtype."""
        return getattr(_core.blocks, f"{name}_{self.dtype}")

    def pairs(self, covariances: Covariances) -> Any:
        """Return the pairs of points of a block as the core has them."""
        rows, columns = covariances.rows, covariances.columns
        block = getattr(_core.blocks, "CovarianceBlock" + self.dtype.capitalize())
        return block(
            self.covariance,
            rows.X,
            rows.first,
            columns.X,
            columns.first,
            not covariances.is_cross,
            rows.noise,
        )


@dataclass(frozen=True, eq=False)
class Points:
    """Consecutive training or test points.

    Parameters
    ----------
    X : ndarray of shape (r, d)
        The points.
    basis : ndarray of shape (r, q)
        Basis functions there.
    first : int
        The index of the first of them.
    noise : ndarray of shape (r,) or None
        Noise variances of training points.
    """

    X: FloatArray
    basis: FloatArray
    first: int
    noise: Float64Array | None

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays."""
        noise = 0 if self.noise is None else self.noise.nbytes
        return self.X.nbytes + self.basis.nbytes + noise

    def part(self, begin: int, end: int) -> Points:
        """Return some of the points."""
        noise = None if self.noise is None else self.noise[begin:end]
        return Points(self.X[begin:end], self.basis[begin:end], self.first + begin, noise)


@dataclass(frozen=True, slots=True)
class Covariances:
    """k(rows, columns), of two parts of one set, or of two sets."""

    rows: Any
    columns: Any
    is_cross: bool = False
