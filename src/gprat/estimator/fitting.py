"""Fitting: from data and parameters to models that are conditioned on the data."""

from __future__ import annotations

import inspect
import warnings
from functools import cache
from typing import Any, ClassVar, TypeVar

import numpy as np
import numpy.typing as npt
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, Kernel, WhiteKernel
from sklearn.utils import check_array, check_consistent_length, check_random_state
from sklearn.utils._param_validation import validate_parameter_constraints
from sklearn.utils.validation import validate_data

from gprat._validation import Float64Array, check_dtype, has_finite_sum
from gprat.estimator.checks import check_data, check_training
from gprat.estimator.state import EstimatorState
from gprat.estimator.structured import Registry, RegistryKernel
from gprat.estimator.targets import Pattern, TargetScale, find_patterns
from gprat.exceptions import DataWarning, InvalidInputError, NotPositiveDefiniteError
from gprat.gp import GP
from gprat.optimize.report import TrainingReport

__all__ = ["Fitting"]

_Self = TypeVar("_Self", bound="Fitting")

_OPTIMIZERS = {"fmin_l_bfgs_b": "l-bfgs-b"}


class Fitting(EstimatorState):
    """The part of `gprat.GaussianProcessRegressor` that fits."""

    optimizer: Any
    n_restarts_optimizer: int
    normalize_y: bool
    copy_X_train: bool  # noqa: N815 - scikit-learn's name
    random_state: Any
    noise_bounds: Any
    objective: str
    warm_start: Any
    nan_policy: str
    tile_size: Any
    progress: bool | None
    memory_limit: int | None
    engine: str
    client: Any

    _parameter_constraints: ClassVar[dict[str, Any]]

    def fit(self: _Self, X: Any, y: Any, **unsupported: Any) -> _Self:
        """Fit the model: learn hyperparameters, then condition on the data.

        Parameters
        ----------
        X : array-like of shape (n, d) or list of object
            Training inputs; objects for kernels that take them.
        y : array-like of shape (n,) or (n, k)
            Targets; several columns are independent outputs that share the kernel. NaN where
            missing, with ``nan_policy="omit"``.

        Returns
        -------
        GaussianProcessRegressor
            The estimator itself.

        Raises
        ------
        ValueError
            If data or parameters make no sense.
        TypeError
            If `sample_weight` is passed: a weight is no noise variance. Pass known variances as
            `alpha`, with one for each row.
        NotPositiveDefiniteError
            If the covariance matrix has no Cholesky factor. Also a ``numpy.linalg.LinAlgError``.

        Examples
        --------
        >>> import numpy as np
        >>> from gprat import GaussianProcessRegressor
        >>> X = np.linspace(0.0, 6.0, 30).reshape(-1, 1)
        >>> model = GaussianProcessRegressor(alpha=1e-4).fit(X, np.sin(X[:, 0]))
        >>> model.score(X, np.sin(X[:, 0])) > 0.999
        True
        """
        _refuse(unsupported)
        with self._all_or_nothing():
            self._fit(X, y)
        self._warn()
        return self

    def _fit(self, X: Any, y: Any) -> None:
        self._check_parameters()
        warm = self._last_hyperparameters()
        for gp in getattr(self, "gps_", ()):
            # The last fit stays until this one is done, but not the memory of its factor.
            gp._release()
        self.target_names_ = _names_of(y)
        X, y = self._check_data(X, y)
        kernel = ConstantKernel() * RBF() if self.kernel is None else self.kernel
        _check_restarts(kernel, self.n_restarts_optimizer)
        check_random_state(self.random_state)
        self.X_train_, points = self._as_points(X)
        self._condition(points, self._prepare_targets(y), kernel, self._check_alpha(len(y)))
        if warm is not None:
            self._start_from(*warm)
        self.training_ = self._train()
        self._finish()

    def _check_parameters(self) -> None:
        """Check what is not a default, by scikit-learn's means."""
        kind: Any = type(self)
        changed = {
            name: value
            for name, default in _defaults_of(kind).items()
            if (value := getattr(self, name)) is not default
        }
        validate_parameter_constraints(
            self._parameter_constraints, changed, caller_name=kind.__name__
        )

    def _check_data(self, X: Any, y: Any) -> tuple[Any, Float64Array]:
        """Return checked inputs, as arrays or lists of objects, and targets in float64."""
        if y is None:
            raise ValueError(
                f"This {type(self).__name__} estimator requires y to be passed, but the target y "
                "is None."
            )
        if _is_plain(X, y) and self.n_targets is None:
            # scikit-learn's checks take longer than a small model; what is left, `GP` checks.
            self.n_features_in_ = X.shape[1]
            self.__dict__.pop("feature_names_in_", None)
            return X, y
        takes_vectors = self.kernel is None or self.kernel.requires_vector_input
        options: dict[str, Any] = {"dtype": "numeric" if takes_vectors else None}
        X = validate_data(self, X, ensure_2d=takes_vectors, **options)
        y = self._check_targets(y)
        check_consistent_length(X, y)
        n_outputs = y.shape[1] if y.ndim == 2 else 1
        if self.n_targets is not None and n_outputs != self.n_targets:
            raise ValueError(
                "The number of targets seen in `y` is different from the parameter "
                f"`n_targets`. Got {n_outputs} != {self.n_targets}."
            )
        return X, y

    def _check_targets(self, y: Any) -> Float64Array:
        """Return targets of shape (n,) or (n, k) in float64."""
        finite = "allow-nan" if self.nan_policy == "omit" else True
        targets: Float64Array = check_array(
            y,
            dtype=np.float64,
            ensure_2d=False,
            allow_nd=True,
            ensure_all_finite=finite,
            input_name="y",
        )
        if targets.ndim not in (1, 2):
            raise InvalidInputError(f"y must have shape (n,) or (n, k), got shape {targets.shape}.")
        return targets

    def _prepare_targets(self, y: Float64Array) -> Float64Array:
        self._patterns = find_patterns(y.reshape(len(y), -1))
        if not self._is_complete:
            _tell_missing(y)
        self._scale = TargetScale.of(y, self.normalize_y)
        # By scikit-learn's names, which others read.
        self._y_train_mean, self._y_train_std = self._scale.mean, self._scale.std
        return self._scale.normalize(y)

    def _check_alpha(self, n: int) -> float | Float64Array:
        """Return the variance added to the diagonal, one or one for each row."""
        alpha = np.asarray(self.alpha, dtype=np.float64)
        if alpha.shape in ((), (1,)):
            return float(alpha.reshape(()))
        if alpha.shape != (n,):
            raise ValueError(
                "alpha must be a scalar or an array with same number of entries as y. "
                f"({alpha.shape[0]} != {n})"
            )
        return alpha

    def _as_points(self, X: Any) -> tuple[Any, Any]:
        """Return the training inputs as users see them, and as points."""
        is_matrix = isinstance(X, np.ndarray) and X.ndim == 2 and X.dtype.kind in "biuf"
        self._registry = None if is_matrix else Registry()
        if self._registry is not None:
            return X, self._registry.add(list(X))
        dtype = check_dtype(np.float64 if self.dtype is None else self.dtype, X)
        with np.errstate(over="ignore"):  # the model refuses what isn't finite
            points = np.array(X, dtype=dtype, order="C", copy=True if self.copy_X_train else None)
        return points, points

    def _condition(
        self, points: Any, y: Float64Array, kernel: Kernel, alpha: float | Float64Array
    ) -> None:
        """Make the models, one for each pattern of missing targets."""
        if self._registry is not None:
            kernel = RegistryKernel(kernel, self._registry)
        self.y_train_, self._alpha = y, alpha
        self.gps_ = [
            self._make_model(points, y, kernel, pattern, is_first=number == 0)
            for number, pattern in enumerate(self._patterns)
        ]

    def _make_model(
        self, points: Any, y: Float64Array, kernel: Kernel, pattern: Pattern, is_first: bool
    ) -> GP:
        targets = y if y.ndim == 1 else y[:, pattern.columns]
        alpha = self._alpha
        if pattern.rows is not None:
            points, targets = points[pattern.rows], targets[pattern.rows]
            alpha = alpha if np.ndim(alpha) == 0 else np.asarray(alpha)[pattern.rows]
        noise: dict[str, Any] = {"noise": alpha, "noise_bounds": "fixed"}
        if self.noise is not None:
            noise = {
                "noise": self.noise,
                "noise_bounds": self.noise_bounds,
                "known_noise": alpha,
            }
        return GP(
            points,
            targets,
            kernel,
            mean=self.mean,
            # Of the same hyperparameters: they count once.
            priors=self.priors if is_first else None,
            objective=self.objective,  # type: ignore[arg-type]
            tile_size=self.tile_size,
            threads=self.threads,
            dtype=np.float64 if self.dtype is None else self.dtype,
            memory_limit=self.memory_limit,
            engine=self.engine,  # type: ignore[arg-type]
            client=self.client,
            **noise,
        )

    def _train(self) -> TrainingReport | None:
        """Learn the hyperparameters if there is something to learn."""
        first, *others = self.gps_
        if self.optimizer is None or first.theta.size == 0:
            return None
        optimizer = self.optimizer
        if isinstance(optimizer, str):
            optimizer = _OPTIMIZERS.get(optimizer, optimizer)
        with self._explained():
            first.optimize(
                optimizer,
                n_restarts=self.n_restarts_optimizer,
                starts=None if self.priors else self._draw_starts(first.bounds),
                random_state=self.random_state,
                warm_start=None if self._is_refit_warm else self.warm_start,
                progress=self.progress,
                memory_limit=self.memory_limit,
                partners=others,
            )
        return first.training_

    def _draw_starts(self, bounds: Float64Array) -> list[Float64Array]:
        """Draw what scikit-learn draws, so that one seed gives the same starts."""
        rng = check_random_state(self.random_state)
        return [rng.uniform(*bounds.T) for _ in range(self.n_restarts_optimizer)]

    @property
    def _is_refit_warm(self) -> bool:
        """Whether `warm_start` has scikit-learn's meaning: from the last fit, or not."""
        return isinstance(self.warm_start, bool)

    def _finish(self) -> None:
        """Compute the factors, which shows whether there are any."""
        with self._explained():
            values = [gp.log_marginal_likelihood() for gp in self.gps_]
        # NumPy's float, as scikit-learn's is: comparisons with it may be with NumPy's rules.
        self.log_marginal_likelihood_value_ = np.float64(sum(values))
        self._kernel = None

    def _warn(self) -> None:
        """Say what is odd about data and result."""
        if self.training_ is not None:
            check_training(self.training_, self.kernel_)
        if self._registry is None:
            check_data(
                self.X_train_,
                self.y_train_.reshape(len(self.y_train_), -1),
                names=getattr(self, "feature_names_in_", None),
                has_mean=self.mean != "zero",
                noise=self._least_noise(),
                white_noise=lambda: _white_noise(self.kernel_),
            )

    def _least_noise(self) -> float:
        learned = 0.0 if self.noise is None else float(np.min(self.gps_[0].noise_variance))
        known = self._alpha if isinstance(self._alpha, float) else float(np.min(self._alpha))
        return known + learned

    def _last_hyperparameters(self) -> tuple[Float64Array, int] | None:
        """Return those of the last fit if training is to start from them."""
        if self.warm_start is not True or not hasattr(self, "gps_"):
            return None
        return self.gps_[0].theta, self.gps_[0].theta.size

    def _start_from(self, theta: Float64Array, size: int) -> None:
        if self.gps_[0].theta.size == size:
            for gp in self.gps_:
                gp.theta = theta

    def _explained(self) -> _Explained:
        return _Explained(self.kernel if self.kernel is not None else "the default kernel")


class _Explained:
    """Adds what scikit-learn says to an error of a factorisation."""

    def __init__(self, kernel: Any) -> None:
        self._kernel = kernel

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: Any, traceback: Any) -> None:
        if isinstance(error, NotPositiveDefiniteError):
            raise NotPositiveDefiniteError(
                f"The kernel, {self._kernel}, is not returning a positive definite matrix. Try "
                "gradually increasing the 'alpha' parameter of your GaussianProcessRegressor "
                f"estimator. In detail: {error}",
                error.row,
                error.near_duplicates,
            ) from None


@cache
def _defaults_of(kind: type[Any]) -> dict[str, Any]:
    """Return the defaults of the parameters that have constraints."""
    parameters = inspect.signature(kind).parameters
    return {name: parameters[name].default for name in kind._parameter_constraints}


def _is_plain(X: Any, y: Any) -> bool:
    """Whether X is a matrix and y fits it, both arrays of doubles, y without NaN or infinity."""
    return (
        type(X) is np.ndarray
        and type(y) is np.ndarray
        and X.ndim == 2
        and y.ndim in (1, 2)
        and len(X) == len(y)
        and min(*X.shape, y.size) > 0
        and X.dtype == y.dtype == np.float64
        and has_finite_sum(y)
    )


def _refuse(unsupported: dict[str, Any]) -> None:
    if "sample_weight" in unsupported:
        raise TypeError(
            "fit() takes no sample_weight: a weight has no exact meaning in a Gaussian process. "
            "Pass the variance of each target as alpha, an array with one for each row; a target "
            "with twice the weight has half the variance."
        )
    if unsupported:
        name = next(iter(unsupported))
        raise TypeError(f"fit() got an unexpected keyword argument '{name}'")


def _names_of(y: Any) -> list[str] | None:
    """Return the names of the outputs that a Series or a DataFrame has."""
    names = getattr(y, "columns", None)
    names = [getattr(y, "name", None)] if names is None else list(names)
    return names if all(isinstance(name, str) for name in names) else None


def _check_restarts(kernel: Kernel, n_restarts: int) -> None:
    if n_restarts > 0:
        with np.errstate(invalid="ignore", divide="ignore"):
            is_finite = np.isfinite(kernel.bounds).all()
        if not is_finite:
            raise ValueError(
                "Multiple optimizer restarts (n_restarts_optimizer>0) requires that all bounds are "
                "finite."
            )


def _tell_missing(y: npt.NDArray[np.float64]) -> None:
    by_output = np.isnan(y.reshape(len(y), -1)).sum(axis=0)
    where = "" if by_output.size == 1 else f" ({', '.join(map(str, by_output))} by output)"
    warnings.warn(
        f"{by_output.sum()} of {y.size} targets are missing and were left out{where}.",
        DataWarning,
        stacklevel=4,
    )


def _white_noise(kernel: Kernel) -> float:
    """Return the variance of the white noise in a sum of kernels."""
    if isinstance(kernel, WhiteKernel):
        return float(kernel.noise_level)
    parts = kernel.get_params(deep=False).values()
    return sum(_white_noise(part) for part in parts if isinstance(part, Kernel))
