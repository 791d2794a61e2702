"""Many small models in one: the class that users make, train and predict with."""

from __future__ import annotations

import operator
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from gprat.batch.checks import OnFailure
from gprat.batch.prediction import BatchPrediction
from gprat.batch.training import BatchTraining
from gprat.exceptions import UnsupportedTypeError
from gprat.gp import GP
from gprat.gp.state import NoiseBounds
from gprat.kernels import Kernel
from gprat.means import MeanLike
from gprat.priors import Distribution

__all__ = ["GPBatch"]


class GPBatch(BatchTraining, BatchPrediction):
    """Many small, independent exact Gaussian processes at once.

    One model for each weather station, gene or sensor: the members of a batch have data and
    hyperparameters of their own, and share the structure of the kernel, its bounds and the mean
    function. One call computes with all of them, in parallel, each member within one task; so it is
    for members of some hundred rows at most. A larger one uses the whole machine as a `gprat.GP`.

    Parameters
    ----------
    X : array-like of shape (b, n, d) or (n, d), or list of b array-like of shape (n_i, d)
        Training inputs: of b members with n points each; the same for all members; or of members
        with different numbers of points. A C-contiguous array of the model's dtype is used without
        a copy and must not change while the batch lives; anything else is copied once.
    y : array-like of shape (b, n), or list of b array-like of shape (n_i,)
        Training targets, one row, or one array, a member.
    kernel : gprat.kernels.Kernel, default=None
        Any nesting of the kernels in `gprat.kernels`; None for ``ConstantKernel(1.0) * RBF(1.0)``.
        Its hyperparameters are those that all members start with. The object is read, never
        changed.
    noise : float or array-like of shape (b,), default=0.1
        Noise variance of the targets, positive: one for all members to start with, or each
        member's. What isn't trained may be zero.
    noise_bounds : tuple of float or "fixed", default=(1e-10, 1e5)
        Smallest and largest noise variance in training; "fixed" to leave it out of training.
    mean : {"zero", "constant", "linear", "quadratic"}, callable or list, default="zero"
        The mean function, as for `gprat.GP`. Each member has coefficients of its own.
    priors : mapping, default=None
        From names of hyperparameters (`parameter_names`) to frozen distributions of `scipy.stats`,
        on the natural scale, the same for all members; as for `gprat.GP`. Training then maximises
        the posterior densities of `theta`.
    on_failure : {"raise", "nan"}, default="raise"
        What becomes of a member whose covariance matrix is not positive definite, or whose data are
        not finite: an error that says which member it is; or the others go on, and its likelihood
        is -inf and its predictions NaN. `errors` tells why.
    threads : int, default=None
        The most threads; None for all that the runtime has. Results are bitwise the same for any
        number.
    dtype : numpy.float64 or numpy.float32, default=None
        Precision of the computation and of the results; None for float32 if X, or every array of a
        list, is float32, and float64 otherwise.
    memory_limit : int, default=None
        The most bytes that a computation may take at a time beyond the data; None for what is
        available. What needs more raises `InsufficientMemoryError` before it starts.

    Raises
    ------
    InvalidInputError
        If a shape or a value makes no sense; which member has it. Also a ``ValueError``.
    UnsupportedTypeError
        If an argument has a type that cannot be used. Also a ``TypeError``.
    UnsupportedKernelError
        If the kernel cannot be used, or is one that is evaluated in Python. Also a ``ValueError``.

    See Also
    --------
    gprat.GP : One model, of any size.

    Notes
    -----
    ``batch[i]`` is member i as a `gprat.GP`, for all that a batch does not do itself, and ``for gp
    in batch`` goes through all of them; such a model has the data of the batch, without a copy, and
    the hyperparameters as they are then.

    Examples
    --------
    Three series at the same times:

    >>> import numpy as np
    >>> from gprat import GPBatch
    >>> from gprat.kernels import RBF
    >>> t = np.linspace(0.0, 6.0, 40)
    >>> y = np.sin(np.outer([1.0, 1.5, 2.0], t))
    >>> batch = GPBatch(t[:, np.newaxis], y, RBF(1.0), noise=1e-4)
    >>> report = batch.optimize()
    >>> bool(report.converged.all())
    True
    >>> mean, variance = batch.predict_with_uncertainty([[np.pi / 2], [20.0]])
    >>> mean.shape
    (3, 2)

    Members with different numbers of points:

    >>> batch = GPBatch([[[0.0], [1.0]], [[0.0], [1.0], [3.0]]], [[1.0, 2.0], [0.0, 1.0, 0.5]])
    >>> batch
    GPBatch(b=2, n=2 to 3, d=1, kernel=1**2 * RBF(length_scale=1), float64)
    >>> batch[1]
    GP(n=3, d=1, kernel=1**2 * RBF(length_scale=1), noise=0.1, float64)
    """

    def __init__(
        self,
        X: Any,
        y: Any,
        kernel: Kernel | None = None,
        noise: npt.ArrayLike = 0.1,
        *,
        noise_bounds: NoiseBounds = (1e-10, 1e5),
        mean: MeanLike = "zero",
        priors: Mapping[str, Distribution] | None = None,
        on_failure: OnFailure = "raise",
        threads: int | None = None,
        dtype: npt.DTypeLike | None = None,
        memory_limit: int | None = None,
    ) -> None:
        super().__init__(
            X,
            y,
            kernel,
            noise,
            noise_bounds=noise_bounds,
            mean=mean,
            priors=priors,
            on_failure=on_failure,
            threads=threads,
            dtype=dtype,
            memory_limit=memory_limit,
        )

    @property
    def kernel(self) -> Kernel:
        """The kernel as it was given, with the hyperparameters to start with; a new object."""
        return self._kernel.clone_with_theta(self._kernel.theta)

    def __getitem__(self, member: int) -> GP:
        try:
            position = operator.index(member)
        except TypeError:
            raise UnsupportedTypeError(
                f"the members of a batch have whole numbers, got {member!r}. Use a loop for "
                "several."
            ) from None
        b = len(self)
        if not -b <= position < b:
            raise IndexError(f"the batch has {b} members, and no member {position}.")
        position %= b
        if position in self._data_errors:
            raise self._data_errors[position]
        hyperparameters = self._hyperparameters
        noise = float(hyperparameters.noise[position])
        return GP(
            self._points.of(position),
            self._targets_of(position, self._y),
            self._kernel.clone_with_theta(hyperparameters.kernel_theta[position]),
            noise,
            noise_bounds=self._noise_bounds,
            mean=self._mean_as_given,
            priors=self._priors_as_given,
            threads=self._threads,
            dtype=self._dtype,
            memory_limit=self._memory_limit,
        )

    def __iter__(self) -> Iterator[GP]:
        return (self[member] for member in range(len(self)))

    def __repr__(self) -> str:
        rows = self.n_rows
        least, most = int(np.min(rows)), int(np.max(rows))
        n = f"{most}" if least == most else f"{least} to {most}"
        return (
            f"GPBatch(b={len(self)}, n={n}, d={self.n_features}, kernel={self._kernel}, "
            f"{self._dtype})"
        )
