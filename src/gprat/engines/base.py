"""What a Gaussian process asks of an engine.

Letters as in Rasmussen and Williams, *Gaussian Processes for Machine Learning* (2006), "R&W":
K = k(X, X) + diag(noise), its Cholesky factor L; n training points with d features, k outputs,
m test points X*.

A trend of q basis functions, H at the training points and H* at the test points, has coefficients
with a flat prior, which are integrated out (section 2.7): L⁻¹H = QR, U = L⁻ᵀQ, P = K⁻¹ − UUᵀ,
α = PY, and the coefficients' mean is β = R⁻¹QᵀL⁻¹Y. Without a trend q = 0, P = K⁻¹ and α = K⁻¹Y.

Outside an engine the factor is a one-dimensional array of b × b tiles, b being the tile size, and
smaller ones at the end: for each row of tiles those from the left up to the diagonal, one after the
other, each by columns. Above the diagonal are zeros.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, Flag
from typing import Protocol

from gprat._validation import Float64Array, FloatArray
from gprat.kernels import KernelProgram
from gprat.noise import IntArray

__all__ = [
    "Adjoint",
    "Clipping",
    "Cluster",
    "Derivatives",
    "Engine",
    "Objective",
    "Posterior",
    "PosteriorAdjoint",
    "Problem",
]


class Objective(Enum):
    """What is differentiated; both are summed over the outputs."""

    MARGINAL_LIKELIHOOD = 0
    """log p(Y | X) (R&W 2.30; with a trend 2.45)"""
    LEAVE_ONE_OUT = 1
    """Σᵢ log p(yᵢ | X, Y without row i) (R&W 5.10 to 5.13)"""


@dataclass(frozen=True, slots=True, eq=False)
class Problem:
    """Everything that determines the results of an engine, and the resources it may use.

    Parameters
    ----------
    X : ndarray of shape (n, d)
        Training inputs, C-contiguous, float64 or float32; the dtype of the computation.
    Y : ndarray of shape (n, k)
        Training targets, C-contiguous, of the same dtype; one column an output.
    basis : ndarray of shape (n, q)
        Basis functions at the training points, C-contiguous, of the same dtype.
    basis_names : tuple of str
        What errors call them.
    program : Program or PythonProgram
        The kernel with its hyperparameters.
    noise : ndarray of shape (1,) or (n,), float64
        Noise variance of all rows, or of each row.
    tile_size : int
        Side of the square tiles of K, in [1, n].
    threads : int or None
        The most threads that a call may use; None for all that the engine has.
    memory_limit : int or None, default=None
        The most bytes that a call may take beyond the data; None for what there is.
    """

    X: FloatArray
    Y: FloatArray
    basis: FloatArray
    basis_names: tuple[str, ...]
    program: KernelProgram
    noise: Float64Array
    tile_size: int
    threads: int | None
    memory_limit: int | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Adjoint:
    """An objective and its derivatives, all float64.

    Parameters
    ----------
    value : float
        The objective.
    parameters : ndarray of shape (n_parameters,)
        By each hyperparameter of the program on the scale of theta; 0 where it is fixed.
    noise : ndarray of shape (n,)
        By the noise variance of each row.
    targets : ndarray of shape (n, k)
        By the targets.
    inputs : ndarray of shape (n, d) or None
        By the training inputs, through the kernel alone; None unless asked for.
    basis : ndarray of shape (n, q) or None
        By the values of the basis functions; None unless asked for.
    """

    value: float
    parameters: Float64Array
    noise: Float64Array
    targets: Float64Array
    inputs: Float64Array | None
    basis: Float64Array | None


class Derivatives(Flag):
    """What derivatives of a function of predictions are wanted by; the others cost nothing."""

    PARAMETERS = 1
    NOISE = 2
    TARGETS = 4
    INPUTS = 8
    """The training inputs, and the basis functions there."""
    TEST_INPUTS = 16
    """The test inputs, and the basis functions there."""


@dataclass(frozen=True, slots=True, eq=False)
class PosteriorAdjoint:
    """Derivatives of a function of predictions, all float64; None where they are not wanted.

    Parameters
    ----------
    parameters : ndarray of shape (n_parameters,) or None
        By each hyperparameter of the program on the scale of theta; 0 where it is fixed.
    noise : ndarray of shape (n,) or None
        By the noise variance of each row.
    targets : ndarray of shape (n, k) or None
        By the targets.
    inputs : ndarray of shape (n, d) or None
        By the training inputs, through the kernel alone.
    basis : ndarray of shape (n, q) or None
        By the basis functions at the training points.
    test_inputs : ndarray of shape (m, d) or None
        By the test inputs, through the kernel alone.
    test_basis : ndarray of shape (m, q) or None
        By the basis functions at the test points.
    """

    parameters: Float64Array | None
    noise: Float64Array | None
    targets: Float64Array | None
    inputs: Float64Array | None
    basis: Float64Array | None
    test_inputs: Float64Array | None
    test_basis: Float64Array | None


@dataclass(frozen=True, slots=True)
class Clipping:
    """Predicted variances that rounding had made negative, and that were set to zero.

    Parameters
    ----------
    count : int
        How many.
    worst : float
        How far below zero the worst was, as a part of its prior variance; 0 if there is none.
    """

    count: int
    worst: float


class Posterior(Protocol):
    """A Gaussian process conditioned on its training data.

    The factor L is computed once, by the first call that needs it. Calls may come from several
    Python threads at the same time. Every call raises `NotPositiveDefiniteError` where K has no
    factor, `RankDeficientTrendError` where the basis functions depend on each other,
    `InsufficientMemoryError` before it takes memory that there isn't, and `KeyboardInterrupt` soon
    after Ctrl-C, after which calls work again.

    `basis` is H*, shape (m, q), of the dtype of the points.
    """

    @property
    def problem(self) -> Problem:
        """What was factorised."""

    @property
    def has_factor(self) -> bool:
        """Whether the factor has been computed, or was given."""

    @property
    def clipped_variances(self) -> int:
        """How many variances all calls have set to zero, because rounding made them negative."""

    def with_memory_limit(self, limit: int | None) -> Posterior:
        """Return the same posterior, with the same factor, whose calls may take that much."""

    def factor(self) -> FloatArray:
        """Return the tiles of L: a read-only view, which keeps them alive; see the module."""

    def predict_mean(self, X: FloatArray, basis: FloatArray) -> FloatArray:
        """Return k(X*, X) α + H*β, shape (m, k) (R&W 2.25, 2.41)."""

    def predict_variance(
        self, X: FloatArray, basis: FloatArray
    ) -> tuple[FloatArray, FloatArray, Clipping]:
        """Return the mean, the variances, shape (m,) (R&W 2.26, 2.42), and how many were clipped.

        They are diag(k(X*, X*) − VᵀV + GᵀG) with V = L⁻¹k(X, X*) and G = R⁻ᵀH*ᵀ − QᵀV; the first
        two terms are clipped at zero.
        """

    def predict_covariance(
        self, X: FloatArray, basis: FloatArray
    ) -> tuple[FloatArray, FloatArray, Clipping]:
        """Return the mean, k(X*, X*) − VᵀV + GᵀG, shape (m, m) (R&W 2.24, 2.42), and clippings."""

    def predict_joint(
        self, X: FloatArray, basis: FloatArray, group: int, keep: bool = False
    ) -> tuple[FloatArray, FloatArray, Clipping, object | None]:
        """Return the mean, joint covariances of so many consecutive points each, and clippings.

        The covariances have the shape (m/group, group, group): variances for group 1, the full
        covariance for group m. The last result is what `pull_back` at the same points may be given,
        V = L⁻¹k(X, X*), if it is to be kept; it takes n·m numbers.
        """

    def pull_back(
        self,
        X: FloatArray,
        basis: FloatArray,
        mean_cotangent: FloatArray,
        covariance_cotangent: FloatArray | None,
        wanted: Derivatives,
        kept: object | None = None,
    ) -> PosteriorAdjoint:
        """Return the derivatives of a function of the mean and of joint covariances.

        Parameters
        ----------
        X : ndarray of shape (m, d)
            Test points.
        basis : ndarray of shape (m, q)
            H*.
        mean_cotangent : ndarray of shape (m, k)
            Derivatives of the function by the mean.
        covariance_cotangent : ndarray of shape (m/group, group, group) or None
            Derivatives by the covariances of `predict_joint`, each matrix symmetric; None for
            zeros.
        wanted : Derivatives
            What derivatives are wanted by.
        kept : object or None, default=None
            What `predict_joint` at the same points has kept.

        Raises
        ------
        UnsupportedKernelError
            If derivatives by points are wanted of a kernel that is evaluated in Python.
        """

    def predict_gradient(
        self, X: FloatArray, basis: FloatArray
    ) -> tuple[Float64Array, Float64Array, Float64Array]:
        """Return derivatives by the test points, through the kernel, and those by H*.

        They are those of k(X*, X) α, shape (m, k, d), and of the variances, shape (m, d); and the
        derivatives of the variances by the basis functions, 2R⁻¹G, shape (m, q).
        """

    def solve(self, B: FloatArray) -> FloatArray:
        """Return K⁻¹B, shape (n, r) (R&W A.4)."""

    def multiply(self, B: FloatArray) -> FloatArray:
        """Return KB = L(LᵀB), shape (n, r)."""

    def cholesky(self) -> FloatArray:
        """Return L, shape (n, n), lower triangular, LLᵀ = K."""

    def alpha(self) -> FloatArray:
        """Return α = PY, shape (n, k)."""

    def inverse_diagonal(self) -> FloatArray:
        """Return diag(P), shape (n,): 0 where P has nothing but rounding left of K⁻¹."""

    def trend(self) -> tuple[FloatArray, FloatArray]:
        """Return β, shape (q, k), and R, shape (q, q), of which (RᵀR)⁻¹ is the covariance of β."""

    def log_determinant(self) -> float:
        """Return log|K| = 2 Σᵢ log Lᵢᵢ (R&W A.18)."""

    def log_marginal_likelihood(self) -> float:
        """Return the log marginal likelihood, summed over the outputs (R&W 2.30, 2.45).

        It is −½ yᵀα − ½ log|K| − Σ log Rᵢᵢ − (n − q)/2 log 2π for each output y.
        """


@dataclass(frozen=True, slots=True)
class Cluster:
    """Several machines that an engine computes on, as far as plans ask.

    Parameters
    ----------
    workers, threads : int
        Workers, and the threads that each has at least.
    memory : int or None
        Bytes that each may take at least; None if one has no limit.
    block_size : int or None
        Rows of the blocks that are spread over them; None for what the engine chooses.
    """

    workers: int
    threads: int
    memory: int | None
    block_size: int | None


class Engine(Protocol):
    """Computes with Gaussian processes on some hardware.

    What computes raises `InsufficientMemoryError` before it takes memory that there isn't, or more
    than the problem's limit.
    """

    def cluster(self) -> Cluster | None:
        """Return the machines that compute; None for this one alone."""

    def ensure_memory(self, problem: Problem, objective: Objective) -> None:
        """Raise `InsufficientMemoryError` if `differentiate` would."""

    def ensure_samples(
        self, problem: Problem, m: int, columns: int, *, of_posterior: bool, has_factor: bool
    ) -> None:
        """Raise `InsufficientMemoryError` if there is no memory for samples.

        Parameters
        ----------
        problem : Problem
            Whose samples.
        m, columns : int
            Points, and functions at them.
        of_posterior : bool
            Whether the functions know the data.
        has_factor : bool
            Whether the factor of the data is there already.
        """

    def factorise(self, problem: Problem) -> Posterior:
        """Return the posterior; its factor is computed when first needed."""

    def append(self, posterior: Posterior, problem: Problem) -> Posterior:
        """Return the posterior of more rows, in O(n²r) for r new ones; the old one stays as it is.

        With K = LLᵀ, the covariance C of the new rows with the old and D of the new rows, the new
        factor is [[L, 0], [M, N]] with M = CL⁻ᵀ and NNᵀ = D − MMᵀ (R&W A.12).

        Parameters
        ----------
        posterior : Posterior
            Made by this engine. Where it has no factor yet, the new posterior has none either.
        problem : Problem
            Its first rows, the kernel, the dtype and the noise of these rows are those of
            `posterior`; targets, basis functions and tile size may be others.

        Raises
        ------
        NotPositiveDefiniteError
            If the new K has no Cholesky factor.
        """

    def delete(self, posterior: Posterior, rows: IntArray, problem: Problem) -> Posterior:
        """Return the posterior without some rows; the old one stays as it is.

        Rows of L that stay are [A B], B being the columns of the rows that leave: LLᵀ of the new
        factor is AAᵀ + BBᵀ. Found by orthogonal transformations in O(n²r) for r rows that leave, or
        by a new factorisation from the first of them on where that is less work.

        Parameters
        ----------
        posterior : Posterior
            Made by this engine. Where it has no factor yet, the new posterior has none either.
        rows : ndarray of shape (r,), int
            Ascending and distinct, in [0, n).
        problem : Problem
            That of the rows that stay, otherwise as in `append`.

        Raises
        ------
        NotPositiveDefiniteError
            If rounding leaves the new K without a Cholesky factor.
        """

    def restore(self, problem: Problem, factor: FloatArray) -> Posterior:
        """Return the posterior whose factor is known, without a copy of it.

        Parameters
        ----------
        problem : Problem
            What was factorised.
        factor : ndarray
            What `Posterior.factor` returned; may be read-only and memory-mapped, and must not
            change.

        Raises
        ------
        InvalidInputError
            If the array cannot be the factor of the problem: by its dtype, layout or length, or
            because an entry of the diagonal is not positive and finite.
        """

    def differentiate(
        self, problem: Problem, objective: Objective, inputs: bool = False
    ) -> Adjoint:
        """Return the objective and its derivatives, those by the inputs on request (R&W 5.9, 5.13).

        Raises
        ------
        NotPositiveDefiniteError
            If K has no Cholesky factor.
        RankDeficientTrendError
            If the basis functions depend on each other at the training points.
        UnsupportedKernelError
            If derivatives by the inputs are wanted of a kernel that is evaluated in Python.
        """

    def multiply_covariance(
        self, problem: Problem, B: FloatArray
    ) -> tuple[Float64Array, Float64Array, Float64Array]:
        """Return KB and |K||B|, shape (n, r), and diag(K), of K itself and not of its factor.

        Its entries are evaluated anew in the dtype of the problem, block by block, and summed in
        float64: what results computed with the factor are held against. O(n²r).
        """

    def color(self, problem: Problem, Z: FloatArray) -> FloatArray:
        """Return LZ, shape (n, s): samples of N(0, K) if Z is white. `Y` and `basis` play no part.

        Raises
        ------
        NotPositiveDefiniteError
            If K has no Cholesky factor.
        """

    def color_matrix(
        self, matrix: FloatArray, jitter: float, Z: FloatArray, threads: int | None
    ) -> FloatArray:
        """Return the Cholesky factor of `matrix` + `jitter`·I times Z, shape (m, s).

        Raises
        ------
        NotPositiveDefiniteError
            If there is none.
        """
