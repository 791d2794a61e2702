"""Types of the compiled extension.

X, Xs, basis, Z and B are C-contiguous with one row a point; Y is C-contiguous with one column an
output, `basis` with one a basis function of the trend. All arrays of one call have one dtype.
Hyperparameters and derivatives are float64 for both dtypes. `noise` holds the variances added to
the diagonal: shape (1,) for all rows, or (n,). `threads` is the most that a call may use, 0 for all
of the runtime's.
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

_Single: TypeAlias = npt.NDArray[np.float32]
_Double: TypeAlias = npt.NDArray[np.float64]
# opcode, (first, count) of each hyperparameter, features, constant, reciprocal
_Instruction: TypeAlias = tuple[int, Sequence[tuple[int, int]], Sequence[int], float, float]
# value, by parameters, by noise, by targets, by inputs, by basis
_Adjoint: TypeAlias = tuple[float, _Double, _Double, _Double, _Double | None, _Double | None]

class NotPositiveDefinite(ArithmeticError):  # noqa: N818
    """Raised with args (pivot: int, is_finite: bool)."""

class RankDeficient(ArithmeticError):  # noqa: N818
    """Raised with args (column: int,)."""

class Program:
    def __init__(
        self, instructions: Sequence[_Instruction], n_parameters: int, n_features: int
    ) -> None: ...

class CovarianceFloat64: ...

class CompiledCovarianceFloat64(CovarianceFloat64):
    def __init__(
        self, program: Program, parameters: _Double, is_free: npt.NDArray[np.uint8]
    ) -> None: ...

class PythonCovarianceFloat64(CovarianceFloat64):
    def __init__(
        self,
        evaluate: Callable[..., Any],
        diagonal: Callable[..., Any],
        gradient: Callable[..., Any],
        n_parameters: int,
    ) -> None: ...

class PosteriorFloat64:
    def __init__(
        self,
        covariance: CovarianceFloat64,
        X: _Double,
        Y: _Double,
        basis: _Double,
        noise: _Double,
        tile_size: int,
    ) -> None: ...
    def predict_mean(self, Xs: _Double, basis: _Double, threads: int = 0) -> _Double: ...
    def predict_variance(
        self, Xs: _Double, basis: _Double, threads: int = 0
    ) -> tuple[_Double, _Double]: ...
    def predict_covariance(
        self, Xs: _Double, basis: _Double, threads: int = 0
    ) -> tuple[_Double, _Double]: ...
    def predict_gradient(
        self, Xs: _Double, basis: _Double, threads: int = 0
    ) -> tuple[_Double, _Double, _Double]: ...
    def solve(self, B: _Double, threads: int = 0) -> _Double: ...
    def multiply(self, B: _Double, threads: int = 0) -> _Double: ...
    def cholesky(self, threads: int = 0) -> _Double: ...
    def alpha(self, threads: int = 0) -> _Double: ...
    def inverse_diagonal(self, threads: int = 0) -> _Double: ...
    def trend(self, threads: int = 0) -> tuple[_Double, _Double]: ...
    def log_determinant(self, threads: int = 0) -> float: ...
    def log_marginal_likelihood(self, threads: int = 0) -> float: ...

def differentiate_float64(
    covariance: CovarianceFloat64,
    X: _Double,
    Y: _Double,
    basis: _Double,
    noise: _Double,
    tile_size: int,
    objective: int,
    inputs: bool,
    threads: int,
) -> _Adjoint: ...
def color_float64(
    covariance: CovarianceFloat64,
    X: _Double,
    noise: _Double,
    Z: _Double,
    tile_size: int,
    threads: int,
) -> _Double: ...
def color_matrix_float64(
    matrix: _Double, noise: _Double, Z: _Double, tile_size: int, threads: int
) -> _Double: ...
def covariance_float64(
    program: Program, parameters: _Double, a: _Double, b: _Double | None
) -> _Double: ...

class CovarianceFloat32: ...

class CompiledCovarianceFloat32(CovarianceFloat32):
    def __init__(
        self, program: Program, parameters: _Double, is_free: npt.NDArray[np.uint8]
    ) -> None: ...

class PythonCovarianceFloat32(CovarianceFloat32):
    def __init__(
        self,
        evaluate: Callable[..., Any],
        diagonal: Callable[..., Any],
        gradient: Callable[..., Any],
        n_parameters: int,
    ) -> None: ...

class PosteriorFloat32:
    def __init__(
        self,
        covariance: CovarianceFloat32,
        X: _Single,
        Y: _Single,
        basis: _Single,
        noise: _Double,
        tile_size: int,
    ) -> None: ...
    def predict_mean(self, Xs: _Single, basis: _Single, threads: int = 0) -> _Single: ...
    def predict_variance(
        self, Xs: _Single, basis: _Single, threads: int = 0
    ) -> tuple[_Single, _Single]: ...
    def predict_covariance(
        self, Xs: _Single, basis: _Single, threads: int = 0
    ) -> tuple[_Single, _Single]: ...
    def predict_gradient(
        self, Xs: _Single, basis: _Single, threads: int = 0
    ) -> tuple[_Double, _Double, _Double]: ...
    def solve(self, B: _Single, threads: int = 0) -> _Single: ...
    def multiply(self, B: _Single, threads: int = 0) -> _Single: ...
    def cholesky(self, threads: int = 0) -> _Single: ...
    def alpha(self, threads: int = 0) -> _Single: ...
    def inverse_diagonal(self, threads: int = 0) -> _Single: ...
    def trend(self, threads: int = 0) -> tuple[_Single, _Single]: ...
    def log_determinant(self, threads: int = 0) -> float: ...
    def log_marginal_likelihood(self, threads: int = 0) -> float: ...

def differentiate_float32(
    covariance: CovarianceFloat32,
    X: _Single,
    Y: _Single,
    basis: _Single,
    noise: _Double,
    tile_size: int,
    objective: int,
    inputs: bool,
    threads: int,
) -> _Adjoint: ...
def color_float32(
    covariance: CovarianceFloat32,
    X: _Single,
    noise: _Double,
    Z: _Single,
    tile_size: int,
    threads: int,
) -> _Single: ...
def color_matrix_float32(
    matrix: _Single, noise: _Double, Z: _Single, tile_size: int, threads: int
) -> _Single: ...
def covariance_float32(
    program: Program, parameters: _Double, a: _Single, b: _Single | None
) -> _Single: ...

class Recorder:
    def records(self) -> list[tuple[str, int, int, int, float, float]]: ...

def set_recorder(recorder: Recorder | None) -> None: ...

class runtime:  # noqa: N801
    @staticmethod
    def start(threads: int = 0) -> None: ...
    @staticmethod
    def stop() -> None: ...
    @staticmethod
    def suspend() -> None: ...
    @staticmethod
    def resume() -> None: ...
    @staticmethod
    def threads() -> int: ...
    @staticmethod
    def is_running() -> bool: ...
    @staticmethod
    def is_suspended() -> bool: ...
    @staticmethod
    def default_threads() -> int: ...
