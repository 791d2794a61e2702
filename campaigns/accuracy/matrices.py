"""Given matrices by kind, through the public interface: factor, solve, inverse, determinant.

A kernel that looks entries up makes any symmetric matrix a covariance matrix, of points that are
their indices. Its hyperparameters are all entries, so that the gradient of the log marginal
likelihood of y = 0 is −½K⁻¹, by the in-place inverse of training.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.linalg import hilbert
from sklearn.gaussian_process.kernels import Hyperparameter, Kernel

import gprat
from campaigns.accuracy.reference import Factor
from campaigns.accuracy.tally import Setting, Tally

__all__ = ["KINDS", "GivenMatrix", "check_matrix"]

Matrix: TypeAlias = npt.NDArray[np.float64]

# Hyperparameters of a matrix by entries are n(n + 1)/2.
MOST_FOR_INVERSE = 24


class GivenMatrix(Kernel):
    """A covariance matrix that is given, of points which are its row numbers.

    Parameters
    ----------
    matrix : ndarray of shape (n, n)
        Symmetric.
    entries : ndarray of shape (n(n + 1)/2,) or None
        Ones, if derivatives by the entries of the lower triangle are wanted.
    """

    def __init__(self, matrix: Matrix, entries: Matrix | None = None) -> None:
        self.matrix = matrix
        self.entries = entries

    @property
    def hyperparameter_entries(self) -> Hyperparameter:
        """All entries of the lower triangle, or nothing."""
        if self.entries is None:
            return Hyperparameter("entries", "numeric", "fixed")
        return Hyperparameter("entries", "numeric", (0.1, 10.0), len(self.entries))

    def __call__(self, X: Matrix, Y: Matrix | None = None, eval_gradient: bool = False) -> Any:
        """Look up a block, and on request its derivatives by the entries."""
        rows = X[:, 0].astype(int)
        columns = rows if Y is None else Y[:, 0].astype(int)
        block = self.matrix[np.ix_(rows, columns)]
        if not eval_gradient:
            return block
        # By an entry and its mirror image.
        number = np.zeros(self.matrix.shape, dtype=int)
        lower = np.tril_indices(len(self.matrix))
        number[lower] = number.T[lower] = np.arange(len(lower[0]))
        count = 0 if self.entries is None else len(self.entries)
        return block, (number[np.ix_(rows, rows)][..., np.newaxis] == np.arange(count)) * 1.0

    def diag(self, X: Matrix) -> Matrix:
        """Return the diagonal at some rows."""
        rows = X[:, 0].astype(int)
        return np.asarray(self.matrix[rows, rows])

    def is_stationary(self) -> bool:
        """Return that it is not."""
        return False

    def __repr__(self) -> str:
        return f"GivenMatrix({len(self.matrix)})"


def _with_condition(power: float) -> Callable[..., Matrix]:
    """Eigenvalues from 1 down to ε**power, evenly in the logarithm."""

    def make(rng: np.random.Generator, n: int, epsilon: float) -> Matrix:
        Q, _ = np.linalg.qr(rng.standard_normal((n, n)))
        # ε/4 and less would be lost to the rounding of the entries.
        return (Q * epsilon ** (power * np.linspace(0.0, 1.0, n))) @ Q.T

    return make


def _well_conditioned(rng: np.random.Generator, n: int, epsilon: float) -> Matrix:
    Q, _ = np.linalg.qr(rng.standard_normal((n, n)))
    return (Q * 100.0 ** -np.linspace(0.0, 1.0, n)) @ Q.T


def _scaled(power: float) -> Callable[..., Matrix]:
    """Multiply by a huge or a tiny number: 1e±150 in double, 1e±15 in single."""

    def make(rng: np.random.Generator, n: int, epsilon: float) -> Matrix:
        scale = 150.0 if epsilon < 1e-10 else 15.0
        return _well_conditioned(rng, n, epsilon) * 10.0 ** (power * scale)

    return make


def _graded(rng: np.random.Generator, n: int, epsilon: float) -> Matrix:
    """Rows of all sizes, from tiny to huge: the condition number is that of the units."""
    scale = 75.0 if epsilon < 1e-10 else 7.0
    d = 10.0 ** rng.uniform(-scale, scale, n)
    return _well_conditioned(rng, n, epsilon) * d * d[:, np.newaxis]


def _gram(length_scale: float, noise: float, duplicates: float = 0.0) -> Callable[..., Matrix]:
    """Make an RBF kernel's matrix on [0, 1]; noise in units of nε."""

    def make(rng: np.random.Generator, n: int, epsilon: float) -> Matrix:
        x = rng.uniform(size=n)
        if duplicates:
            x[n // 2 :] = x[: n - n // 2] + duplicates * rng.standard_normal(n - n // 2)
        K = np.exp(-0.5 * ((x[:, np.newaxis] - x) / length_scale) ** 2)
        return K + noise * n * epsilon * np.eye(n)

    return make


def _denormal(rng: np.random.Generator, n: int, epsilon: float) -> Matrix:
    """Ones on the diagonal, and beside it numbers below the smallest normal one."""
    smallest = 2.3e-308 if epsilon < 1e-10 else 1.2e-38
    beside = smallest * rng.uniform(-1.0, 1.0, (n, n))
    return np.eye(n) + np.tril(beside, -1) + np.tril(beside, -1).T


def _zeros(rng: np.random.Generator, n: int, epsilon: float) -> Matrix:
    """Blocks of zeros: rows of different groups have nothing in common."""
    group = rng.integers(0, 3, n)
    return _well_conditioned(rng, n, epsilon) * (group[:, np.newaxis] == group)


def _hilbert(rng: np.random.Generator, n: int, epsilon: float) -> Matrix:
    """1/(i + j − 1), as large as is positive definite in the precision."""
    size = min(n, 11 if epsilon < 1e-10 else 4)
    K = np.eye(n)
    K[:size, :size] = hilbert(size)
    return K


def _moler(rng: np.random.Generator, n: int, epsilon: float) -> Matrix:
    """LLᵀ of ones on and −1 below the diagonal: all pivots are 1, one eigenvalue is tiny."""
    size = min(n, 22 if epsilon < 1e-10 else 9)
    L = np.eye(n)
    L[:size, :size] -= np.tril(np.ones((size, size)), -1)
    return L @ L.T


def _brownian(rng: np.random.Generator, n: int, epsilon: float) -> Matrix:
    """min(i, j): the determinant is 1."""
    return np.minimum.outer(np.arange(1.0, n + 1.0), np.arange(1.0, n + 1.0))


# Whether there may be no factor: where the smallest eigenvalue is some roundings.
KINDS: dict[str, tuple[Callable[..., Matrix], bool]] = {
    "condition 1e2": (_well_conditioned, False),
    "condition 1/√ε": (_with_condition(0.5), False),
    "condition ε^-0.75": (_with_condition(0.75), False),
    "condition 1/ε": (_with_condition(1.0), True),
    "beyond 1/ε": (_with_condition(1.2), True),
    "times 1e150": (_scaled(1.0), False),
    "times 1e-150": (_scaled(-1.0), False),
    "rows of all sizes": (_graded, False),
    "long length scale": (_gram(30.0, 30.0), False),
    "short length scale": (_gram(1e-3, 0.0), True),
    "near-duplicates": (_gram(0.3, 30.0, 1e-9), False),
    "duplicates, noise nε": (_gram(0.3, 1.0, 0.0), True),
    "denormals": (_denormal, False),
    "blocks of zeros": (_zeros, False),
    "Hilbert": (_hilbert, False),
    "Moler": (_moler, False),
    "Brownian": (_brownian, False),
}


def check_matrix(setting: Setting, tally: Tally) -> None:
    """Make the matrix of a setting, and hold what gprat makes of it against the reference."""
    tally.begin(setting)
    make, may_fail = KINDS[setting.kind]
    rng = np.random.default_rng([setting.seed, 1])
    epsilon = float(np.finfo(setting.dtype).eps)
    K = make(rng, setting.n, epsilon).astype(setting.dtype).astype(np.float64)
    K = np.tril(K) + np.tril(K, -1).T
    by_entry = setting.n <= MOST_FOR_INVERSE
    gp = _model(K, setting, by_entry)
    try:
        L = gp.cholesky()
    except np.linalg.LinAlgError:
        tally.refuse(setting, is_allowed=may_fail)
        return
    unit = setting.n * epsilon
    _check_factor(K, L, unit, setting, tally)
    _check_solutions(K, gp, rng, unit, setting, tally)
    try:
        truth = Factor(K)
    except np.linalg.LinAlgError:
        # What was factorised lies within rounding of a matrix that has no factor.
        return
    _check_determinant(K, gp, truth, unit, setting, tally)
    if by_entry:
        _check_inverse(K, gp, truth, unit, setting, tally)


def _model(K: Matrix, setting: Setting, by_entry: bool) -> gprat.GP:
    n = len(K)
    X = np.arange(float(n)).reshape(n, 1).astype(setting.dtype)
    return gprat.GP(
        X,
        np.zeros(n),
        GivenMatrix(K, np.ones(n * (n + 1) // 2) if by_entry else None),
        noise=0.0,
        noise_bounds="fixed",
        tile_size=setting.tile_size,
        threads=setting.threads,
        dtype=setting.dtype,
    )


def _norm(A: npt.NDArray[Any]) -> Any:
    """Return the largest sum of a column's absolute values."""
    return np.abs(A).sum(axis=0).max()


def _long(A: npt.NDArray[Any]) -> npt.NDArray[np.longdouble]:
    return np.asarray(A, dtype=np.longdouble)


def _check_factor(
    K: Matrix, L: npt.NDArray[Any], unit: float, setting: Setting, tally: Tally
) -> None:
    """‖K − LLᵀ‖ ≤ c·n·ε·‖K‖, and |K − LLᵀ|ᵢⱼ ≤ c·n·ε·√(KᵢᵢKⱼⱼ) (Higham 2002, theorem 10.3)."""
    rest = _long(K) - _long(L) @ _long(L).T
    d = np.sqrt(_long(np.diagonal(K)))
    tally.add(setting, "factor", _norm(rest), unit * _norm(_long(K)))
    tally.add(setting, "by entry", (np.abs(rest) / np.outer(d, d)).max(), unit)


def _check_solutions(
    K: Matrix, gp: gprat.GP, rng: np.random.Generator, unit: float, setting: Setting, tally: Tally
) -> None:
    """‖B − KZ‖ ≤ c·n·ε·‖K‖·‖Z‖, column by column."""
    # Of the size of K's rows, so that solutions are of order one.
    B = (np.sqrt(np.diagonal(K))[:, np.newaxis] * rng.standard_normal((len(K), 3))).astype(gp.dtype)
    Z = gp.solve(B)
    rest = np.abs(_long(B) - _long(K) @ _long(Z)).sum(axis=0)
    bound = unit * _norm(_long(K)) * np.abs(_long(Z)).sum(axis=0)
    for error, most in zip(rest, bound, strict=True):
        tally.add(setting, "solve", error, most)


def _check_determinant(
    K: Matrix, gp: gprat.GP, truth: Factor, unit: float, setting: Setting, tally: Tally
) -> None:
    """log|K| is right to c·n·ε·tr(DK⁻¹D), D² = diag(K)."""
    n = len(K)
    value = -2.0 * gp.log_marginal_likelihood() - n * np.log(2.0 * np.pi)
    trace = (np.diagonal(truth.inverse) * np.diagonal(_long(K))).sum()
    rounding = np.abs(np.log(np.diagonal(truth.L))).sum() * np.finfo(gp.dtype).eps
    bound = unit * trace + 2.0 * rounding + 4.0 * n * np.finfo(float).eps
    tally.add(setting, "log determinant", abs(value - truth.log_determinant), bound)


def _check_inverse(
    K: Matrix, gp: gprat.GP, truth: Factor, unit: float, setting: Setting, tally: Tally
) -> None:
    """‖X − K⁻¹‖ ≤ c·n·ε·κ·‖K⁻¹‖ and ‖K·X − I‖ ≤ c·n·ε·κ·√κ, X being read off the gradient.

    The triangular inverse keeps L·L⁻¹ − I small, not L⁻¹·L − I, whence √κ (Higham 2002, section
    14.2); where X is contracted with ∂K nothing is left of it.
    """
    _, gradient = gp.log_marginal_likelihood(eval_gradient=True)
    n = len(K)
    X = np.zeros((n, n))
    # By an entry and its mirror image together, below the diagonal.
    X[np.tril_indices(n)] = -gradient
    X += np.tril(X, -1).T + np.diag(np.diagonal(X))
    condition = _norm(_long(K)) * _norm(truth.inverse)
    size = _norm(truth.inverse)
    tally.add(setting, "inverse", _norm(X - truth.inverse), unit * condition * size)
    rest = _long(K) @ _long(X) - np.eye(n)
    tally.add(setting, "K·inverse", _norm(rest), unit * condition * np.sqrt(condition))
