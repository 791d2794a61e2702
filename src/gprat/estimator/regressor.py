"""The estimator that users import in place of scikit-learn's."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, MultiOutputMixin, RegressorMixin, clone
from sklearn.gaussian_process.kernels import Kernel
from sklearn.utils._param_validation import Interval, StrOptions

from gprat._validation import Float64Array
from gprat.estimator.pictures import Pictures
from gprat.estimator.prediction import Prediction
from gprat.estimator.storage import Storage
from gprat.estimator.updating import Updating
from gprat.exceptions import InvalidInputError, NotPositiveDefiniteError, ResultOverflowError
from gprat.persistence import saveable

__all__ = ["GaussianProcessRegressor"]


@saveable("GaussianProcessRegressor")
class GaussianProcessRegressor(
    Updating, Prediction, Pictures, Storage, MultiOutputMixin, RegressorMixin, BaseEstimator
):
    """Exact Gaussian process regression with scikit-learn's interface, on gprat's engine.

    Change the import, and code that works with scikit-learn's class of this name works, faster and
    in less memory. Parameters up to `random_state` are scikit-learn's, the others go beyond it.

    Parameters
    ----------
    kernel : Kernel, default=None
        Any kernel of `gprat.kernels`, scikit-learn's among them, or one of your own; None for
        ``ConstantKernel() * RBF()``.
    alpha : float or array-like of shape (n,), default=1e-10
        Noise variance that is known and added to the diagonal of the covariance matrix, not
        negative: one, or one for each row. In units of the normalised targets if `normalize_y`.
    optimizer : {"fmin_l_bfgs_b", "adam"}, callable or None, default="fmin_l_bfgs_b"
        How hyperparameters are learned, see `gprat.GP.optimize`; None to leave them as they are.
    n_restarts_optimizer : int, default=0
        Further starts of the optimiser, at random hyperparameters; they run at the same time.
    normalize_y : bool, default=False
        Whether each output is shifted and scaled to mean 0 and variance 1 before it is learned.
        Predictions are in the units of the targets all the same.
    copy_X_train : bool, default=True
        Whether the training inputs are copied. If not, an array of the right dtype is used as it
        is, and must not change.
    n_targets : int, default=None
        Number of outputs, for predictions before `fit`; None for 1.
    random_state : int, RandomState or None, default=None
        Seed of restarts and warm starts.
    mean : str, callable or list, default="zero"
        Mean function of the (normalised) targets: "constant", "linear", "quadratic", basis
        functions, or a function; see `gprat.GP`.
    noise : float, default=None
        Start of a noise variance that is learned, in addition to `alpha`; None for none. As a part
        of the model it costs nothing, in contrast to a `WhiteKernel`, and it counts in predictive
        deviations on request only.
    noise_bounds : tuple of float or "fixed", default=(1e-10, 1e5)
        Within which it is learned.
    priors : mapping, default=None
        From names of hyperparameters to frozen distributions of `scipy.stats`; see `gprat.GP`.
    objective : {"log_marginal_likelihood", "leave_one_out"}, default="log_marginal_likelihood"
        What is maximised.
    warm_start : bool, "auto", sequence of int or None, default="auto"
        "auto", or numbers of rows: learn on some of the rows first, see `gprat.GP.optimize`; None
        for all rows at once. True: from the hyperparameters of the last `fit`; False: not.
    nan_policy : {"raise", "omit"}, default="raise"
        What to do where targets are NaN: refuse them, or leave them out, output by output. A
        warning tells how many.
    tile_size : int or "auto", default="auto"
        See `gprat.GP`.
    threads : int, default=None
        The most threads; None for all that the runtime has.
    dtype : numpy.float64 or numpy.float32, default=None
        Precision of the computation; None for float64.
    progress : bool or None, default=False
        Whether to show a progress line while learning; None: if standard error is a terminal.
    memory_limit : int, default=None
        The most bytes that a computation may take at a time beyond the data, restarts that run at
        the same time together; None for what is available, and for a quarter of it for restarts.
        What needs more raises `InsufficientMemoryError` before it starts.
    engine : {"cpu", "cluster"}, default="cpu"
        Where the model computes, see `gprat.GP`. What is loaded from files and pickles is "cpu".
    client : distributed.Client, default=None
        The connection to the cluster, for ``engine="cluster"``; clones share it.

    Attributes
    ----------
    kernel_ : Kernel
        With the learned hyperparameters.
    X_train_ : ndarray of shape (n, d) or list of object
        Training inputs.
    y_train_ : ndarray of shape (n,) or (n, k)
        Targets as the model sees them: normalised if `normalize_y`.
    L_ : ndarray of shape (n, n)
        Cholesky factor of the covariance matrix, made when asked for.
    alpha_ : ndarray of the shape of `y_train_`
        Weights of the training points in the mean.
    log_marginal_likelihood_value_ : float
        At the learned hyperparameters.
    noise_variance_ : float or None
        The learned noise, in units of `y_train_`.
    training_ : TrainingReport or None
        What happened while learning: prints as a table, with advice.
    loo_ : LeaveOneOut
        Exact leave-one-out predictions in the units of the targets.
    clipped_variances_ : int
        Predicted variances that rounding had made negative, and were set to zero.
    gp_ : GP
        The model underneath, whose targets are `y_train_`.
    gps_ : list of GP
        The same in a list; several where outputs have missing targets at different rows.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of str
        Names of the features, if X had any.
    target_names_ : list of str or None
        Names of the outputs, if y was a Series or a DataFrame with names.

    See Also
    --------
    gprat.GP : The same model without scikit-learn's conventions, and with finer control.

    Notes
    -----
    Differences from scikit-learn's class: several outputs have one factor, and each its own
    deviation and covariance; before `fit`, `mean` counts; a covariance matrix without a Cholesky
    factor is explained; `sample_weight` is refused, since known variances belong in `alpha`.

    Examples
    --------
    >>> import numpy as np
    >>> from gprat import GaussianProcessRegressor
    >>> from gprat.kernels import RBF, ConstantKernel
    >>> X = np.linspace(0.0, 10.0, 50).reshape(-1, 1)
    >>> y = X[:, 0] * np.sin(X[:, 0])
    >>> model = GaussianProcessRegressor(ConstantKernel(9.0) * RBF(1.0), alpha=1e-4).fit(X, y)
    >>> mean, std = model.predict([[5.0]], return_std=True)
    >>> mean.round(1), bool(std[0] < 0.1)
    (array([-4.8]), True)
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "kernel": [None, Kernel],
        "alpha": [Interval(Real, 0, None, closed="left"), "array-like"],
        "optimizer": [StrOptions({"fmin_l_bfgs_b", "l-bfgs-b", "adam"}), callable, None],
        "n_restarts_optimizer": [Interval(Integral, 0, None, closed="left")],
        "normalize_y": ["boolean"],
        "copy_X_train": ["boolean"],
        "n_targets": [Interval(Integral, 1, None, closed="left"), None],
        "random_state": ["random_state"],
        "nan_policy": [StrOptions({"raise", "omit"})],
        "noise": [Interval(Real, 0, None, closed="neither"), None],
        "engine": [StrOptions({"cpu", "cluster"})],
    }

    def __init__(
        self,
        kernel: Kernel | None = None,
        *,
        alpha: float | npt.ArrayLike = 1e-10,
        optimizer: Any = "fmin_l_bfgs_b",
        n_restarts_optimizer: int = 0,
        normalize_y: bool = False,
        copy_X_train: bool = True,
        n_targets: int | None = None,
        random_state: Any = None,
        mean: Any = "zero",
        noise: float | None = None,
        noise_bounds: Any = (1e-10, 1e5),
        priors: Any = None,
        objective: str = "log_marginal_likelihood",
        warm_start: Any = "auto",
        nan_policy: str = "raise",
        tile_size: Any = "auto",
        threads: int | None = None,
        dtype: Any = None,
        progress: bool | None = False,
        memory_limit: int | None = None,
        engine: str = "cpu",
        client: Any = None,
    ) -> None:
        self.kernel = kernel
        self.alpha = alpha
        self.optimizer = optimizer
        self.n_restarts_optimizer = n_restarts_optimizer
        self.normalize_y = normalize_y
        self.copy_X_train = copy_X_train
        self.n_targets = n_targets
        self.random_state = random_state
        self.mean = mean
        self.noise = noise
        self.noise_bounds = noise_bounds
        self.priors = priors
        self.objective = objective
        self.warm_start = warm_start
        self.nan_policy = nan_policy
        self.tile_size = tile_size
        self.threads = threads
        self.dtype = dtype
        self.progress = progress
        self.memory_limit = memory_limit
        self.engine = engine
        self.client = client

    def __sklearn_clone__(self) -> Self:
        """Return an unfitted copy with the same connection, which cannot be copied."""
        parameters = self.get_params(deep=False)
        client = parameters.pop("client")
        copies = {name: clone(value, safe=False) for name, value in parameters.items()}
        return type(self)(**copies, client=client)

    def __getstate__(self) -> dict[str, Any]:
        """Leave the connection behind: the copy computes on its own processors."""
        return {**super().__getstate__(), "engine": "cpu", "client": None}

    def log_marginal_likelihood(
        self,
        theta: npt.ArrayLike | None = None,
        eval_gradient: bool = False,
        clone_kernel: bool = True,
    ) -> float | tuple[float, Float64Array]:
        """Return the log marginal likelihood of hyperparameters, given the training data.

        Parameters
        ----------
        theta : array-like of shape (p,), default=None
            Hyperparameters as in ``kernel_.theta``, with the logarithm of the learned `noise`
            behind them or without it: then it stays. None for those that were learned.
        eval_gradient : bool, default=False
            Whether to return the gradient with respect to theta too, which must not be None.
        clone_kernel : bool, default=True
            If False, ``kernel_`` takes theta over, as in scikit-learn.

        Returns
        -------
        log_likelihood : float
            Summed over the outputs; -inf where the covariance matrix has no Cholesky factor.
        gradient : ndarray of shape (p,)
            Only if `eval_gradient`.

        Examples
        --------
        >>> import numpy as np
        >>> from gprat import GaussianProcessRegressor
        >>> X = np.linspace(0.0, 6.0, 30).reshape(-1, 1)
        >>> model = GaussianProcessRegressor(alpha=1e-4).fit(X, np.sin(X[:, 0]))
        >>> value, gradient = model.log_marginal_likelihood([0.0, 0.0], eval_gradient=True)
        >>> bool(value < model.log_marginal_likelihood()), gradient.shape
        (True, (2,))
        """
        if theta is None:
            if eval_gradient:
                raise ValueError("Gradient can only be evaluated for theta!=None")
            self._check_fitted()
            return self.log_marginal_likelihood_value_
        self._check_fitted()
        full, size = self._complete_theta(theta)
        if not clone_kernel:
            self.kernel_.theta = full[: self.kernel_.n_dims]
        try:
            if not eval_gradient:
                return np.float64(sum(gp.log_marginal_likelihood(full) for gp in self.gps_))
            results = [gp.log_marginal_likelihood(full, eval_gradient=True) for gp in self.gps_]
        except (NotPositiveDefiniteError, ResultOverflowError):
            return (-np.inf, np.zeros(size)) if eval_gradient else -np.inf
        values, gradients = zip(*results, strict=True)
        return np.float64(sum(values)), np.sum(gradients, axis=0)[:size]

    def _complete_theta(self, theta: npt.ArrayLike) -> tuple[Float64Array, int]:
        """Return theta with the noise, and how many of its entries the caller knows of."""
        given = np.asarray(theta, dtype=np.float64)
        gp = self.gps_[0]
        current = gp.theta
        n_kernel = current.size - sum(name.startswith("noise_var") for name in gp.parameter_names)
        if given.shape not in ((n_kernel,), current.shape):
            raise InvalidInputError(
                f"theta must have shape ({n_kernel},), as kernel_.theta, or {current.shape} with "
                f"the noise; got shape {given.shape}."
            )
        return np.concatenate([given, current[given.size :]]), given.size

    def __sklearn_tags__(self) -> Any:
        """Tell scikit-learn that predictions work before `fit`."""
        tags = super().__sklearn_tags__()
        tags.requires_fit = False
        return tags
