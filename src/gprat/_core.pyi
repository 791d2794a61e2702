"""Types of the compiled extension.

X, Xs and B are C-contiguous with one row a point; Y is C-contiguous with one column an output. All
arrays of one call have one dtype. Hyperparameters and gradients are float64 for both dtypes.
`noise` holds the variances added to the diagonal: shape (1,) for all rows, or (n,). `threads` is
the most that a call may use, 0 for all of the runtime's.
"""

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

_Single: TypeAlias = npt.NDArray[np.float32]
_Double: TypeAlias = npt.NDArray[np.float64]

class NotPositiveDefinite(ArithmeticError):  # noqa: N818
    """Raised with args (pivot: int, is_finite: bool)."""

class Program:
    def __init__(
        self,
        opcodes: npt.NDArray[np.int32],
        first_parameter: npt.NDArray[np.int64],
        parameter_count: npt.NDArray[np.int64],
        exponent: _Double,
        n_parameters: int,
        n_features: int,
    ) -> None: ...

class PosteriorFloat64:
    def __init__(
        self,
        program: Program,
        parameters: _Double,
        X: _Double,
        Y: _Double,
        noise: _Double,
        tile_size: int,
    ) -> None: ...
    def predict_mean(self, Xs: _Double, threads: int = 0) -> _Double: ...
    def predict_variance(self, Xs: _Double, threads: int = 0) -> tuple[_Double, _Double]: ...
    def predict_covariance(self, Xs: _Double, threads: int = 0) -> tuple[_Double, _Double]: ...
    def solve(self, B: _Double, threads: int = 0) -> _Double: ...
    def cholesky(self, threads: int = 0) -> _Double: ...
    def alpha(self, threads: int = 0) -> _Double: ...
    def log_determinant(self, threads: int = 0) -> float: ...
    def log_marginal_likelihood(self, threads: int = 0) -> float: ...

class PosteriorFloat32:
    def __init__(
        self,
        program: Program,
        parameters: _Double,
        X: _Single,
        Y: _Single,
        noise: _Double,
        tile_size: int,
    ) -> None: ...
    def predict_mean(self, Xs: _Single, threads: int = 0) -> _Single: ...
    def predict_variance(self, Xs: _Single, threads: int = 0) -> tuple[_Single, _Single]: ...
    def predict_covariance(self, Xs: _Single, threads: int = 0) -> tuple[_Single, _Single]: ...
    def solve(self, B: _Single, threads: int = 0) -> _Single: ...
    def cholesky(self, threads: int = 0) -> _Single: ...
    def alpha(self, threads: int = 0) -> _Single: ...
    def log_determinant(self, threads: int = 0) -> float: ...
    def log_marginal_likelihood(self, threads: int = 0) -> float: ...

def log_marginal_likelihood_gradient_float64(
    program: Program,
    parameters: _Double,
    is_free: npt.NDArray[np.uint8],
    X: _Double,
    Y: _Double,
    noise: _Double,
    tile_size: int,
    threads: int,
) -> tuple[float, _Double, float]: ...
def log_marginal_likelihood_gradient_float32(
    program: Program,
    parameters: _Double,
    is_free: npt.NDArray[np.uint8],
    X: _Single,
    Y: _Single,
    noise: _Double,
    tile_size: int,
    threads: int,
) -> tuple[float, _Double, float]: ...
def covariance_float64(
    program: Program, parameters: _Double, a: _Double, b: _Double | None
) -> _Double: ...
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
