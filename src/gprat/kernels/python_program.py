"""Kernels that cannot be compiled, behind the face of a compiled one: they are called instead."""

from __future__ import annotations

import math
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import clone
from sklearn.gaussian_process.kernels import CompoundKernel, Kernel

from gprat.exceptions import InvalidInputError, UnsupportedKernelError
from gprat.kernels._base import theta_is_log
from gprat.kernels._reading import element_names
from gprat.kernels.program import check_theta, from_theta

__all__ = ["PythonProgram", "copy_compiled", "plain_clone"]

Float64Array = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

# A kernel's gradient has one number a pair of points and free hyperparameter, and the operators
# copy it a few times.
_GRADIENT_BYTES = 64 << 20
_COPIES = 4


@dataclass(frozen=True, eq=False)
class PythonProgram:
    """A kernel that is called, with what the rest of gprat asks of a `Program`.

    Made by `gprat.kernels.compile` of a kernel with a part that cannot be compiled. Nothing here
    is changed by a call, so that several threads may call at once if the kernel allows it.

    Parameters
    ----------
    kernel : Kernel
        A private copy, not to be changed.
    reason : str
        Which part of it cannot be compiled, as a clause that follows "because".
    names : tuple of str
        Names of its free hyperparameters; elements of an array carry an index.
    n_features : int or None
        Number of features of the points; None if neither the caller nor the kernel says it.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.gaussian_process.kernels import PairwiseKernel
    >>> from gprat.kernels import WhiteKernel, compile
    >>> program = compile(PairwiseKernel(metric="laplacian") + WhiteKernel(0.5))
    >>> program.reason
    "k1 is a PairwiseKernel, which is none of gprat's kernels"
    >>> program.names
    ('k1__gamma', 'k2__noise_level')
    >>> program.covariance(np.array([[0.0], [0.0]]), None)
    array([[1.5, 1. ],
           [1. , 1.5]])
    """

    kernel: Kernel
    reason: str
    names: tuple[str, ...]
    n_features: int | None = None

    @classmethod
    def from_kernel(cls, kernel: Kernel, reason: str, n_features: int | None) -> PythonProgram:
        """Copy a kernel and check that it follows scikit-learn's conventions.

        Raises
        ------
        UnsupportedKernelError
            If it cannot be cloned, or its hyperparameters, theta and bounds do not fit together.
        InvalidInputError
            If a free hyperparameter is not finite, or not positive where theta is its logarithm.
        """
        try:
            copy = plain_clone(kernel)
        except (RuntimeError, TypeError) as error:
            raise UnsupportedKernelError(
                f"{type(kernel).__name__} cannot be cloned as scikit-learn's kernels can: {error}"
            ) from error
        theta = _check_theta_and_bounds(copy)
        program = cls(copy, reason, _free_names(copy, theta.size), n_features)
        for name, entry in zip(program.names, theta, strict=True):
            if not np.isfinite(entry):
                raise InvalidInputError(
                    f"{name} must be finite, and positive where theta is its logarithm; theta "
                    f"has {entry} for it"
                )
        return program

    @property
    def is_compiled(self) -> bool:
        """False: engines call `covariance`, `diagonal` and `contract_gradient`."""
        return False

    @property
    def n_parameters(self) -> int:
        """The same as `n_free`: gradients hold no entries of fixed hyperparameters."""
        return len(self.names)

    @property
    def n_free(self) -> int:
        """Number of free hyperparameters: the length of `theta`."""
        return len(self.names)

    @property
    def is_free(self) -> BoolArray:
        """True for each, shape (n_free,)."""
        return np.ones(self.n_free, dtype=bool)

    @property
    def is_log(self) -> BoolArray:
        """Which entries of `theta` are logarithms, shape (n_free,)."""
        return theta_is_log(self.kernel)

    @property
    def theta(self) -> Float64Array:
        """Free hyperparameters, as logarithms where `is_log`; shape (n_free,)."""
        return np.asarray(self.kernel.theta, dtype=np.float64)

    @property
    def parameters(self) -> Float64Array:
        """Free hyperparameters on their natural scale, shape (n_free,)."""
        return from_theta(self.theta, self.is_log)

    @property
    def bounds(self) -> Float64Array:
        """Lower and upper bounds of `theta`, shape (n_free, 2)."""
        with np.errstate(divide="ignore"):
            return np.reshape(self.kernel.bounds, (-1, 2)).astype(np.float64)

    def with_theta(self, theta: npt.ArrayLike) -> PythonProgram:
        """Return the same program with other free hyperparameters; see `Program.with_theta`."""
        values = check_theta(theta, self.names, self.is_log)
        return replace(self, kernel=self.kernel.clone_with_theta(values))

    def theta_gradient(self, gradient: Float64Array) -> Float64Array:
        """Return `gradient`, which is by `theta` already."""
        return gradient

    def covariance(self, A: npt.ArrayLike, B: npt.ArrayLike | None) -> Float64Array:
        """Return the matrix between two sets of points, or of one set with itself.

        Parameters
        ----------
        A : array-like of shape (a, d)
            The first set.
        B : array-like of shape (b, d) or None
            The second. If None, the first again: white noise counts, as it does not between two
            sets even where they share points.

        Returns
        -------
        ndarray of shape (a, b), float64

        Raises
        ------
        UnsupportedKernelError
            If the kernel returns something of another shape, or no numbers.
        InvalidInputError
            If it returns NaN or infinity.
        """
        X = _points(A)
        if B is None:
            return self._checked(self.kernel(X), (len(X), len(X)), "a matrix")
        Z = _points(B)
        return self._checked(self.kernel(X, Z), (len(X), len(Z)), "a matrix")

    def diagonal(self, A: npt.ArrayLike) -> Float64Array:
        """Return k(x, x) at each point of A, shape (a, d): an array of shape (a,), float64.

        Raises
        ------
        UnsupportedKernelError, InvalidInputError
            As `covariance` does.
        """
        X = _points(A)
        return self._checked(self.kernel.diag(X), (len(X),), "a diagonal")

    def contract_gradient(
        self, A: npt.ArrayLike, B: npt.ArrayLike | None, weights: npt.ArrayLike
    ) -> Float64Array:
        """Return Σ_ij weights_ij ∂k(a_i, b_j)/∂theta.

        scikit-learn's kernels give gradients of one set with itself only, so two sets are stacked
        and the block between them is taken, a few points at a time: some 64 MiB are in use.

        Parameters
        ----------
        A : array-like of shape (a, d)
            The first set.
        B : array-like of shape (b, d) or None
            The second; if None, the first again, as for `covariance`.
        weights : array-like of shape (a, b)
            One weight a pair.

        Returns
        -------
        ndarray of shape (n_free,), float64

        Raises
        ------
        UnsupportedKernelError
            If the kernel takes no ``eval_gradient``, or returns gradients of another shape.
        InvalidInputError
            If it returns NaN or infinity.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn.gaussian_process.kernels import PairwiseKernel
        >>> from gprat.kernels import ConstantKernel, compile
        >>> program = compile(ConstantKernel(2.0) * PairwiseKernel(metric="rbf"))
        >>> program.contract_gradient([[0.0]], [[0.0], [1.0]], [[1.0, 0.0]]).round(5)
        array([2., 0.])
        """
        X, W = _points(A), np.asarray(weights, dtype=np.float64)
        gradient = np.zeros(self.n_free)
        if self.n_free == 0:
            return gradient
        count = max(1, math.isqrt(_GRADIENT_BYTES // (8 * _COPIES * self.n_free)) // 2)
        if B is not None:
            Z = _points(B)
            for rows in _blocks(len(X), count):
                for columns in _blocks(len(Z), count):
                    gradient += self._contract_pair(X[rows], Z[columns], W[rows, columns])
            return gradient
        for rows in _blocks(len(X), count):
            gradient += np.einsum("ij,ijp->p", W[rows, rows], self._gradient(X[rows]))
            for columns in _blocks(rows.start, count):
                both = W[rows, columns] + W[columns, rows].T
                gradient += self._contract_pair(X[rows], X[columns], both)
        return gradient

    def _contract_pair(self, A: Float64Array, B: Float64Array, W: Float64Array) -> Float64Array:
        """Contract the block between two sets of different points."""
        gradient = self._gradient(np.concatenate([A, B]))
        contracted: Float64Array = np.einsum("ij,ijp->p", W, gradient[: len(A), len(A) :])
        return contracted

    def _gradient(self, A: Float64Array) -> Float64Array:
        try:
            result = self.kernel(A, eval_gradient=True)
        except TypeError as error:
            if "eval_gradient" not in str(error):
                raise
            raise UnsupportedKernelError(
                f"{type(self.kernel).__name__} has free hyperparameters but gives no gradient "
                f'({error}): let its __call__ take eval_gradient, or fix them by bounds "fixed"'
            ) from error
        if not isinstance(result, tuple) or len(result) != 2:
            raise UnsupportedKernelError(
                f"{type(self.kernel).__name__} must return a pair, the matrix and its gradient, "
                f"if eval_gradient is true; got {type(result).__name__}"
            )
        return self._checked(result[1], (len(A), len(A), self.n_free), "a gradient")

    def _checked(self, values: Any, shape: tuple[int, ...], what: str) -> Float64Array:
        """Return what the kernel gave as float64, or say what is wrong with it."""
        name = type(self.kernel).__name__
        try:
            array = np.asarray(values)
        except ValueError:  # NumPy refuses nested sequences of unequal lengths.
            array = np.asarray(None)
        if array.dtype.kind not in "iuf" or array.shape != shape:
            raise UnsupportedKernelError(
                f"{name} must return {what} of real numbers of shape {shape}, got dtype "
                f"{array.dtype} and shape {array.shape}; kernel: {self.kernel!r}"
            )
        if not np.isfinite(array).all():
            place = np.unravel_index(int(np.argmin(np.isfinite(array))), shape)
            raise InvalidInputError(
                f"{name} returned {what} with {array[place]} at {tuple(map(int, place))}; give "
                f"finite values within the bounds of its hyperparameters, kernel: {self.kernel!r}"
            )
        return array.astype(np.float64, copy=False)


def plain_clone(kernel: Kernel) -> Kernel:
    """Clone a kernel, with each `CompoundKernel` of one kernel replaced by that kernel.

    Its hyperparameters then have the names and the order of ``compile(kernel)``, and ``theta`` can
    be set, as that of scikit-learn's `CompoundKernel` cannot.

    Examples
    --------
    >>> from gprat.kernels import RBF, CompoundKernel, plain_clone
    >>> plain_clone(2.0 * CompoundKernel([RBF(0.5)]))
    1.41**2 * RBF(length_scale=0.5)
    """
    return _unwrap(clone(kernel))


def copy_compiled(kernel: Kernel) -> Kernel:
    """Do what `plain_clone` does, in a quarter of the time, to a kernel that could be compiled.

    Such a kernel holds nothing but numbers, arrays of them and kernels: `compile` has checked that.
    """
    copy = object.__new__(type(kernel))
    for name, value in vars(kernel).items():
        if isinstance(value, Kernel):
            value = copy_compiled(value)
        elif isinstance(value, np.ndarray | list):
            value = deepcopy(value)
        copy.__dict__[name] = value
    return _unwrap(copy)


def _check_theta_and_bounds(kernel: Kernel) -> Float64Array:
    """Return theta of a kernel if its bounds fit it."""
    name = type(kernel).__name__
    with np.errstate(divide="ignore", invalid="ignore"):
        try:
            theta = np.asarray(kernel.theta, dtype=np.float64)
            bounds = np.asarray(kernel.bounds, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise UnsupportedKernelError(
                f"theta and bounds of {name} must be arrays of real numbers: {error}"
            ) from error
    if theta.ndim != 1 or bounds.shape not in ((theta.size, 2), (2 * theta.size,)):
        raise UnsupportedKernelError(
            f"theta and bounds of {name} must have shapes (p,) and (p, 2), got {theta.shape} and "
            f"{bounds.shape}"
        )
    low, high = bounds.reshape(-1, 2).T
    if not (low <= high).all():
        raise InvalidInputError(
            f"bounds of {name} must hold a lower and an upper bound for each entry of theta, in "
            f"this order and not NaN; got {bounds.tolist()}"
        )
    return theta


def _unwrap(kernel: Kernel) -> Kernel:
    """Replace compounds of one kernel in place."""
    if type(kernel) is CompoundKernel and len(kernel.kernels) == 1:
        return _unwrap(kernel.kernels[0])
    for name, part in vars(kernel).items():
        if isinstance(part, Kernel):
            setattr(kernel, name, _unwrap(part))
    return kernel


def _free_names(kernel: Kernel, count: int) -> tuple[str, ...]:
    """Name the entries of theta; by number if the kernel does not say what they are."""
    names: list[str] = []
    arguments = kernel.get_params()
    for hyperparameter in kernel.hyperparameters:
        if not hyperparameter.fixed:
            shape = np.shape(arguments.get(hyperparameter.name))
            if math.prod(shape) != hyperparameter.n_elements:
                shape = (hyperparameter.n_elements,)
            names += element_names(hyperparameter.name, shape)
    return tuple(names) if len(names) == count else tuple(f"theta[{i}]" for i in range(count))


def _points(X: npt.ArrayLike) -> Float64Array:
    return np.asarray(X, dtype=np.float64)


def _blocks(n: int, size: int) -> Iterator[slice]:
    """Cut range(n) into slices of at most `size`."""
    return (slice(start, min(n, start + size)) for start in range(0, n, size))
