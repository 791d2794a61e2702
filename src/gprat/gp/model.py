"""The model that users make, train and predict with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from gprat import _validation as validation
from gprat._validation import FloatArray
from gprat.gp.certifying import Certifying
from gprat.gp.planning import Planning
from gprat.gp.prediction import Prediction
from gprat.gp.state import NoiseBounds
from gprat.gp.storage import Storage
from gprat.gp.training import Training
from gprat.gp.updating import Updating
from gprat.kernels import Kernel
from gprat.means import MeanLike
from gprat.persistence import saveable
from gprat.priors import Distribution

if TYPE_CHECKING:
    from distributed import Client

    from gprat.engines.cluster import ClusterEngine

__all__ = ["GP"]


@saveable("GP")
class GP(Training, Prediction, Updating, Planning, Certifying, Storage):
    """Exact Gaussian process regression.

    The targets are y = m(X) + f(X) + e with a mean function m, f ~ GP(0, k) and independent
    Gaussian noise e, whose variance is `noise`. The factor of the covariance matrix is computed by
    the first call that needs it and kept until a hyperparameter changes: n²/2 numbers for n
    training points. Several Python threads may use one model at the same time.

    Parameters
    ----------
    X : array-like of shape (n, d)
        Training inputs, one row a point. A C-contiguous array of the model's dtype is used without
        a copy and must not change while the model lives; anything else is copied once.
    y : array-like of shape (n,) or (n, k)
        Training targets; several columns are independent outputs that share kernel and noise.
        Copied or not as X.
    kernel : gprat.kernels.Kernel, default=None
        Any nesting of the kernels in `gprat.kernels`; None for ``ConstantKernel(1.0) * RBF(1.0)``.
        Other kernels with scikit-learn's interface work too, through Python: blocks of the
        covariance matrix are evaluated one at a time, and take most of the time. The object is
        read, never changed. A `WhiteKernel` inside is a part of the latent function's covariance,
        as in scikit-learn: it counts in predictive variances, in which `noise` counts only on
        request.
    noise : float or array-like of shape (n,), default=0.1
        Noise variance of the targets, positive: one for all rows, which is trained with the kernel,
        or a known one for each row; with `noise_groups` one for each group. What isn't trained may
        be zero.
    noise_bounds : tuple of float or "fixed", default=(1e-10, 1e5)
        Smallest and largest noise variance in training; "fixed" to leave it out of training. One
        noise variance a row is always fixed.
    known_noise : float or array-like of shape (n,), default=None
        Known variance of all rows or of each, such as squared standard errors of measurements,
        which is added to the variance that is trained.
    noise_groups : array-like of shape (n,), default=None
        A label for each row, such as its instrument: rows with the same label share a noise
        variance, and each group's is trained.
    mean : {"zero", "constant", "linear", "quadratic"}, callable or list, default="zero"
        The mean function. By name or as a list of basis functions a trend, whose coefficients are
        estimated by generalised least squares and integrated out, so that their uncertainty counts
        (R&W section 2.7); "quadratic" has all products of two features. A callable alone is taken
        as it is. See `gprat.means`.
    priors : mapping, default=None
        From names of hyperparameters (`parameter_names`; a vector's without the index for all of
        its elements) to frozen distributions of `scipy.stats`, on the natural scale. Training then
        maximises the posterior density of `theta`.
    objective : {"log_marginal_likelihood", "leave_one_out"}, default="log_marginal_likelihood"
        What training maximises, together with the priors.
    tile_size : int or "auto", default="auto"
        Side of the tiles that the covariance matrix is cut into, at least 1. For one tile size,
        results are bitwise the same for any number of threads. "auto" for the best by a simulation
        at this machine's rates, which a model of many thousand rows measures if they aren't known
        yet (see `gprat.tune`); the attribute `tile_size` tells it.
    threads : int, default=None
        The most threads for this model; None for all that the runtime has.
    dtype : numpy.float64 or numpy.float32, default=None
        Precision of the computation and of the results; None for float32 if X is float32, and
        float64 otherwise.
    memory_limit : int, default=None
        The most bytes that a computation of this model may take at a time beyond the data, its
        factor and the results included; None for what is available. What needs more, or more than
        is available, raises `InsufficientMemoryError` before it starts.
    engine : {"cpu", "cluster"} or ClusterEngine, default="cpu"
        Where the model computes: on the processors of this machine, or on the workers of a Dask
        cluster, for more points than one machine has memory or time for. Results agree to
        rounding. Files, pickles and copies are models of "cpu".
    client : distributed.Client, default=None
        The connection to the cluster, for ``engine="cluster"``. Its workers need this version of
        gprat.

    Raises
    ------
    InvalidInputError
        If a shape or a value makes no sense. Also a ``ValueError``.
    UnsupportedTypeError
        If an argument has a type that cannot be used. Also a ``TypeError``.
    UnsupportedKernelError
        If the kernel cannot be used. Also a ``ValueError``.
    ClusterError
        If the cluster is not connected, or a worker has another version of gprat.

    See Also
    --------
    gprat.plan : What a computation takes, without data.

    Notes
    -----
    Letters and equations are those of Rasmussen and Williams, *Gaussian Processes for Machine
    Learning* (2006), "R&W": K = k(X, X) + diag(noise) = LLᵀ and α = K⁻¹y, algorithm 2.1.

    Examples
    --------
    >>> import numpy as np
    >>> from gprat import GP
    >>> from gprat.kernels import RBF
    >>> X = np.linspace(0.0, 6.0, 40).reshape(-1, 1)
    >>> gp = GP(X, np.sin(X[:, 0]), RBF(1.0), noise=1e-4)
    >>> mean, variance = gp.predict_with_uncertainty([[np.pi / 2], [20.0]])
    >>> np.allclose(mean, [1.0, 0.0], atol=1e-2)
    True
    >>> variance.round(2)
    array([0., 1.])
    """

    def __init__(
        self,
        X: npt.ArrayLike,
        y: npt.ArrayLike,
        kernel: Kernel | None = None,
        noise: float | npt.ArrayLike = 0.1,
        *,
        noise_bounds: NoiseBounds = (1e-10, 1e5),
        known_noise: float | npt.ArrayLike | None = None,
        noise_groups: npt.ArrayLike | None = None,
        mean: MeanLike = "zero",
        priors: Mapping[str, Distribution] | None = None,
        objective: Literal["log_marginal_likelihood", "leave_one_out"] = "log_marginal_likelihood",
        tile_size: int | Literal["auto"] = "auto",
        threads: int | None = None,
        dtype: npt.DTypeLike | None = None,
        memory_limit: int | None = None,
        engine: Literal["cpu", "cluster"] | ClusterEngine = "cpu",
        client: Client | None = None,
    ) -> None:
        super().__init__(
            X,
            y,
            kernel,
            noise,
            noise_bounds=noise_bounds,
            known_noise=known_noise,
            noise_groups=noise_groups,
            mean=mean,
            priors=priors,
            objective=objective,
            tile_size=tile_size,
            threads=threads,
            dtype=dtype,
            memory_limit=memory_limit,
            engine=engine,
            client=client,
        )

    @property
    def alpha(self) -> FloatArray:
        """Weights α of the training points in the mean, shape (n,) or (n, k) (R&W 2.27).

        K⁻¹(y − mean); with a trend, at its estimated coefficients.
        """
        return self._as_targets(self._posterior_at().alpha())

    def cholesky(self) -> FloatArray:
        """Return the Cholesky factor L of K = k(X, X) + diag(noise).

        Returns
        -------
        ndarray of shape (n, n)
            Lower triangular, a dense copy.

        Raises
        ------
        NotPositiveDefiniteError
            If there is none.

        Examples
        --------
        >>> from gprat import GP
        >>> GP([[0.0]], [1.0], noise=3.0).cholesky()
        array([[2.]])
        """
        return self._posterior_at().cholesky()

    def solve(self, B: npt.ArrayLike) -> FloatArray:
        """Solve K Z = B with K = k(X, X) + diag(noise).

        Parameters
        ----------
        B : array-like of shape (n,) or (n, r)
            Right-hand sides.

        Returns
        -------
        ndarray of the shape of B
            K⁻¹B.

        Raises
        ------
        NotPositiveDefiniteError
            If K has no Cholesky factor.

        Examples
        --------
        >>> from gprat import GP
        >>> GP([[0.0]], [1.0], noise=3.0).solve([2.0])
        array([0.5])
        """
        posterior = self._posterior_at()
        right_sides = validation.check_rows(B, "B", posterior.problem.X.shape[0], self._dtype)
        solution = posterior.solve(right_sides)
        return solution[:, 0] if np.ndim(B) == 1 else solution

    def __repr__(self) -> str:
        n, d = self._X.shape
        outputs = "" if self._has_vector_targets else f", {self._Y.shape[1]} outputs"
        learned = self._hyperparameters.noise.learned
        noise = ", ".join(f"{variance:.3g}" for variance in learned) or "one a row"
        return f"GP(n={n}, d={d}{outputs}, kernel={self.kernel}, noise={noise}, {self._dtype})"
