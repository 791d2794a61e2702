"""Types of the compiled extension.

X, Xs, basis, Z and B are C-contiguous with one row a point; Y is C-contiguous with one column an
output, `basis` with one a basis function of the trend. All arrays of one call have one dtype.
Hyperparameters and derivatives are float64 for both dtypes. `noise` holds the variances added to
the diagonal: shape (1,) for all rows, or (n,). `factor` has shape (factor_size,): the tiles of L,
as gprat.engines.base describes them; `rows` are ascending. `threads` is the most that a call may
use, 0 for all of the runtime's; `blocks` the most blocks of columns in memory at a time, 0 for one
more than threads.
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

_Single: TypeAlias = npt.NDArray[np.float32]
_Double: TypeAlias = npt.NDArray[np.float64]
_Index: TypeAlias = npt.NDArray[np.int64]
# opcode, (first, count) of each hyperparameter, features, constant, reciprocal
_Instruction: TypeAlias = tuple[int, Sequence[tuple[int, int]], Sequence[int], float, float]
# value, by parameters, by noise, by targets, by inputs, by basis
_Adjoint: TypeAlias = tuple[float, _Double, _Double, _Double, _Double | None, _Double | None]

_PosteriorAdjoint: TypeAlias = tuple[
    _Double | None,
    _Double | None,
    _Double | None,
    _Double | None,
    _Double | None,
    _Double | None,
    _Double | None,
]

class NotPositiveDefinite(ArithmeticError):  # noqa: N818
    """Raised with args (pivot: int, is_finite: bool)."""

class RankDeficient(ArithmeticError):  # noqa: N818
    """Raised with args (column: int,)."""

class TooFewThreads(RuntimeError):  # noqa: N818
    """Raised with args (wanted: int, given: int)."""

class Program:
    def __init__(
        self, instructions: Sequence[_Instruction], n_parameters: int, n_features: int
    ) -> None: ...

class CovarianceFloat64:
    def diagonal(self, X: _Double) -> _Double: ...

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

class ProblemFloat64:
    def __init__(
        self,
        covariance: CovarianceFloat64,
        X: _Double,
        Y: _Double,
        basis: _Double,
        noise: _Double,
        tile_size: int,
    ) -> None: ...
    @property
    def factor_size(self) -> int: ...

class KeptColumnsFloat64:
    """V = L⁻¹k(X, Xs) of a prediction."""

class PosteriorFloat64:
    def __init__(self, problem: ProblemFloat64, factor: _Double = ...) -> None: ...
    def append(self, problem: ProblemFloat64, threads: int = 0) -> PosteriorFloat64: ...
    def delete(
        self, rows: npt.NDArray[np.int64], problem: ProblemFloat64, threads: int = 0
    ) -> PosteriorFloat64: ...
    def factor(self, threads: int = 0) -> _Double: ...
    def predict_mean(self, Xs: _Double, basis: _Double, threads: int = 0) -> _Double: ...
    # mean, spread, how many variances were clipped, the worst as a part of the prior variance
    def predict_variance(
        self, Xs: _Double, basis: _Double, threads: int = 0, blocks: int = 0
    ) -> tuple[_Double, _Double, int, float]: ...
    def predict_covariance(
        self, Xs: _Double, basis: _Double, threads: int = 0
    ) -> tuple[_Double, _Double, int, float]: ...
    # the same with covariances of groups, and what is kept
    def predict_joint(
        self,
        Xs: _Double,
        basis: _Double,
        group: int,
        keep: bool,
        threads: int = 0,
        blocks: int = 0,
    ) -> tuple[_Double, _Double, int, float, KeptColumnsFloat64 | None]: ...
    # by parameters, noise, targets, inputs, basis, test inputs, test basis
    def pull_back(
        self,
        Xs: _Double,
        basis: _Double,
        mean: _Double,
        covariance: _Double | None,
        wanted: int,
        kept: KeptColumnsFloat64 | None,
        threads: int = 0,
        blocks: int = 0,
    ) -> _PosteriorAdjoint: ...
    @property
    def clipped_variances(self) -> int: ...
    def predict_gradient(
        self, Xs: _Double, basis: _Double, threads: int = 0, blocks: int = 0
    ) -> tuple[_Double, _Double, _Double]: ...
    def solve(self, B: _Double, threads: int = 0) -> _Double: ...
    def multiply(self, B: _Double, threads: int = 0) -> _Double: ...
    def cholesky(self, threads: int = 0) -> _Double: ...
    def alpha(self, threads: int = 0) -> _Double: ...
    def inverse_diagonal(self, threads: int = 0, blocks: int = 0) -> _Double: ...
    def trend(self, threads: int = 0) -> tuple[_Double, _Double]: ...
    def log_determinant(self, threads: int = 0) -> float: ...
    def log_marginal_likelihood(self, threads: int = 0) -> float: ...

class BatchFloat64:
    def __init__(
        self,
        program: Program,
        is_free: npt.NDArray[np.uint8],
        X: _Double,
        y: _Double,
        basis: _Double,
        offsets: _Index,
    ) -> None: ...
    # values, by parameters, by noise, failures
    def evaluate(
        self, members: _Index, parameters: _Double, noise: _Double, gradient: bool, threads: int
    ) -> tuple[_Double, _Double | None, _Double | None, _Index]: ...
    def condition(
        self, members: _Index, parameters: _Double, noise: _Double, threads: int
    ) -> BatchPosteriorFloat64: ...

class BatchPosteriorFloat64:
    # mean, spread, clipped, the worst of these, failures
    def predict(
        self, what: int, Xs: _Double, basis: _Double, offsets: _Index, threads: int
    ) -> tuple[_Double, _Double, _Index, _Double, _Index]: ...

def differentiate_float64(
    problem: ProblemFloat64, objective: int, inputs: bool, threads: int
) -> _Adjoint: ...
def multiply_covariance_float64(
    problem: ProblemFloat64, B: _Double, threads: int
) -> tuple[_Double, _Double, _Double]: ...
def color_float64(problem: ProblemFloat64, Z: _Double, threads: int) -> _Double: ...
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

class ProblemFloat32:
    def __init__(
        self,
        covariance: CovarianceFloat32,
        X: _Single,
        Y: _Single,
        basis: _Single,
        noise: _Double,
        tile_size: int,
    ) -> None: ...
    @property
    def factor_size(self) -> int: ...

class KeptColumnsFloat32:
    """V = L⁻¹k(X, Xs) of a prediction."""

class PosteriorFloat32:
    def __init__(self, problem: ProblemFloat32, factor: _Single = ...) -> None: ...
    def append(self, problem: ProblemFloat32, threads: int = 0) -> PosteriorFloat32: ...
    def delete(
        self, rows: npt.NDArray[np.int64], problem: ProblemFloat32, threads: int = 0
    ) -> PosteriorFloat32: ...
    def factor(self, threads: int = 0) -> _Single: ...
    def predict_mean(self, Xs: _Single, basis: _Single, threads: int = 0) -> _Single: ...
    # mean, spread, how many variances were clipped, the worst as a part of the prior variance
    def predict_variance(
        self, Xs: _Single, basis: _Single, threads: int = 0, blocks: int = 0
    ) -> tuple[_Single, _Single, int, float]: ...
    def predict_covariance(
        self, Xs: _Single, basis: _Single, threads: int = 0
    ) -> tuple[_Single, _Single, int, float]: ...
    # the same with covariances of groups, and what is kept
    def predict_joint(
        self,
        Xs: _Single,
        basis: _Single,
        group: int,
        keep: bool,
        threads: int = 0,
        blocks: int = 0,
    ) -> tuple[_Single, _Single, int, float, KeptColumnsFloat32 | None]: ...
    # by parameters, noise, targets, inputs, basis, test inputs, test basis
    def pull_back(
        self,
        Xs: _Single,
        basis: _Single,
        mean: _Single,
        covariance: _Single | None,
        wanted: int,
        kept: KeptColumnsFloat32 | None,
        threads: int = 0,
        blocks: int = 0,
    ) -> _PosteriorAdjoint: ...
    @property
    def clipped_variances(self) -> int: ...
    def predict_gradient(
        self, Xs: _Single, basis: _Single, threads: int = 0, blocks: int = 0
    ) -> tuple[_Double, _Double, _Double]: ...
    def solve(self, B: _Single, threads: int = 0) -> _Single: ...
    def multiply(self, B: _Single, threads: int = 0) -> _Single: ...
    def cholesky(self, threads: int = 0) -> _Single: ...
    def alpha(self, threads: int = 0) -> _Single: ...
    def inverse_diagonal(self, threads: int = 0, blocks: int = 0) -> _Single: ...
    def trend(self, threads: int = 0) -> tuple[_Single, _Single]: ...
    def log_determinant(self, threads: int = 0) -> float: ...
    def log_marginal_likelihood(self, threads: int = 0) -> float: ...

class BatchFloat32:
    def __init__(
        self,
        program: Program,
        is_free: npt.NDArray[np.uint8],
        X: _Single,
        y: _Single,
        basis: _Single,
        offsets: _Index,
    ) -> None: ...
    # values, by parameters, by noise, failures
    def evaluate(
        self, members: _Index, parameters: _Double, noise: _Double, gradient: bool, threads: int
    ) -> tuple[_Double, _Double | None, _Double | None, _Index]: ...
    def condition(
        self, members: _Index, parameters: _Double, noise: _Double, threads: int
    ) -> BatchPosteriorFloat32: ...

class BatchPosteriorFloat32:
    # mean, spread, clipped, the worst of these, failures
    def predict(
        self, what: int, Xs: _Single, basis: _Single, offsets: _Index, threads: int
    ) -> tuple[_Single, _Single, _Index, _Double, _Index]: ...

def differentiate_float32(
    problem: ProblemFloat32, objective: int, inputs: bool, threads: int
) -> _Adjoint: ...
def multiply_covariance_float32(
    problem: ProblemFloat32, B: _Single, threads: int
) -> tuple[_Double, _Double, _Double]: ...
def color_float32(problem: ProblemFloat32, Z: _Single, threads: int) -> _Single: ...
def color_matrix_float32(
    matrix: _Single, noise: _Double, Z: _Single, tile_size: int, threads: int
) -> _Single: ...
def covariance_float32(
    program: Program, parameters: _Double, a: _Single, b: _Single | None
) -> _Single: ...

class Recorder:
    def __init__(self, max_tasks: int) -> None: ...
    def records(self) -> tuple[list[str], bytes]: ...
    @property
    def ended(self) -> int: ...
    @property
    def lost(self) -> int: ...
    @property
    def threads(self) -> int: ...
    def now(self) -> float: ...

def set_recorder(recorder: Recorder | None) -> None: ...

# names, kind, row, column, work, bytes, rank, predecessors, offsets
def record_tasks(
    what: str, sizes: Sequence[int], itemsize: int, threads: int, processors: int
) -> tuple[
    tuple[str, ...], _Index, _Index, _Index, _Double, _Double, _Index, npt.NDArray[np.int32], _Index
]: ...
def simulate(
    ranks: _Index,
    predecessors: npt.NDArray[np.int32],
    offsets: _Index,
    seconds: _Double,
    bytes: _Double,
    threads: int,
    submission: float,
    overhead: float,
    bandwidth: float,
) -> tuple[_Double, _Double, npt.NDArray[np.int32]]: ...
def earliest_ends(
    predecessors: npt.NDArray[np.int32], offsets: _Index, seconds: _Double
) -> _Double: ...

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
    @staticmethod
    def free_cached_memory() -> None: ...
    @staticmethod
    def set_progress_listener(listener: Callable[[float, float], object] | None) -> None: ...

class tiles:  # noqa: N801 - a submodule
    SMALLEST: int
    LARGEST: int
    @staticmethod
    def automatic(n: int, processors: int) -> int: ...
    @staticmethod
    def side_at_least(size: float) -> int: ...

class calibration:  # noqa: N801 - a submodule
    """Workloads are: size, features, test points, right-hand sides, tile size, threads."""

    @staticmethod
    def measure_tasks_float32(
        size: int,
        features: int,
        test_points: int,
        right_hand_sides: int,
        tile_size: int,
        threads: int,
    ) -> list[tuple[str, float, float]]: ...
    @staticmethod
    def measure_tasks_float64(
        size: int,
        features: int,
        test_points: int,
        right_hand_sides: int,
        tile_size: int,
        threads: int,
    ) -> list[tuple[str, float, float]]: ...
    @staticmethod
    def measure_graph(threads: int) -> tuple[float, float]: ...
    @staticmethod
    def measure_memory(threads: int) -> tuple[float, float]: ...
    @staticmethod
    def blas_name() -> str: ...

# scale, A, A is transposed, A is lower triangular, the same of B, weights of the inner indices.
_Product: TypeAlias = tuple[float, Any, bool, bool, Any, bool, bool, Any]
# by parameters, by noise, by the points of the rows, by those of the columns
_Contracted: TypeAlias = tuple[_Double, _Double | None, _Double | None, _Double | None]

class blocks:  # noqa: N801 - a submodule
    """Blocks of a matrix: dense ones column-major, triangles one-dimensional as tiles.

    `start` is None for zeros, a block of the same kind, or covariances. `finish`: 0 nothing,
    1 L⁻¹B, 2 L⁻ᵀB, 3 BL⁻ᵀ, 4 LB, 5 LᵀB with the triangle L; of a triangle 1 its Cholesky factor,
    2 its inverse. `wanted`: 1 parameters, 2 points, or
    the sum.
    """

    class CovarianceBlockFloat64:
        def __init__(
            self,
            covariance: CovarianceFloat64,
            rows: _Double,
            first_row: int,
            columns: _Double,
            first_column: int,
            same_set: bool,
            noise: _Double | None,
        ) -> None: ...

    @staticmethod
    def compute_float64(
        start: Any,
        products: Sequence[_Product],
        rows: int,
        columns: int,
        tile_size: int,
        finish: int,
        triangle: _Double | None,
        threads: int,
    ) -> _Double: ...
    @staticmethod
    def compute_triangle_float64(
        start: Any,
        products: Sequence[_Product],
        size: int,
        tile_size: int,
        finish: int,
        threads: int,
    ) -> _Double: ...
    @staticmethod
    def contract_float64(
        start: Any,
        products: Sequence[_Product],
        of: CovarianceBlockFloat64,
        wanted: int,
        tile_size: int,
        threads: int,
    ) -> _Contracted: ...
