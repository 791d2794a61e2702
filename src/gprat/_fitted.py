"""What diagnostics and pictures ask of a fitted model, in float64 and in the units of its targets.

`gprat.GP` and `gprat.GaussianProcessRegressor` answer in their own ways; `as_fitted` hides which.
"""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from gprat import _validation as validation
from gprat._validation import Float64Array
from gprat.exceptions import InvalidInputError, JitterWarning, UnsupportedTypeError
from gprat.gp import GP, LeaveOneOut

__all__ = ["FittedModel", "IncludeNoise", "as_columns", "as_fitted", "check_targets"]

IncludeNoise: TypeAlias = bool | float | npt.ArrayLike


class FittedModel(ABC):
    """A model that can predict; every array of targets has a column for each of k outputs.

    Parameters
    ----------
    model : gprat.GP or gprat.GaussianProcessRegressor
        The model.
    """

    def __init__(self, model: Any) -> None:
        self._model = model

    @property
    @abstractmethod
    def X(self) -> Float64Array:
        """Training inputs, shape (n, d)."""

    @property
    @abstractmethod
    def y(self) -> Float64Array:
        """Training targets, shape (n,) or (n, k); NaN where missing."""

    @property
    @abstractmethod
    def kernel(self) -> Any:
        """A kernel with scikit-learn's interface."""

    @property
    @abstractmethod
    def feature_names(self) -> tuple[str, ...]:
        """Names of the d features, for people."""

    @abstractmethod
    def leave_one_out(self) -> LeaveOneOut:
        """Return predictions of each training target from the others."""

    @property
    def Y(self) -> Float64Array:
        """Training targets, shape (n, k)."""
        return as_columns(self.y)

    def predict(
        self, X: Any, include_noise: IncludeNoise = False
    ) -> tuple[Float64Array, Float64Array]:
        """Return means and standard deviations, both of shape (m, k)."""
        noise = include_noise
        if not isinstance(noise, bool | np.bool_) and np.ndim(noise) == 0:
            # Points that have no length are refused by the model.
            noise = np.full(len(X) if hasattr(X, "__len__") else 0, noise)
        mean, std = (as_columns(values) for values in self._predict(X, noise))
        return mean, np.broadcast_to(std, mean.shape)

    def sample(self, X: Float64Array, n_samples: int, random_state: Any) -> Float64Array:
        """Return functions from the posterior, shape (m, k, n_samples)."""
        with warnings.catch_warnings():
            # Dense points always need a little jitter, which is below what can be seen.
            warnings.simplefilter("ignore", JitterWarning)
            samples = self._sample(X, n_samples, random_state)
        return np.asarray(samples, dtype=np.float64).reshape(len(X), self.Y.shape[1], n_samples)

    @abstractmethod
    def _predict(self, X: Any, include_noise: Any) -> tuple[Any, Any]: ...

    @abstractmethod
    def _sample(self, X: Float64Array, n_samples: int, random_state: Any) -> Any: ...


class _OfGP(FittedModel):
    @property
    def X(self) -> Float64Array:
        return np.asarray(self._model.X, dtype=np.float64)

    @property
    def y(self) -> Float64Array:
        return np.asarray(self._model.y, dtype=np.float64)

    @property
    def kernel(self) -> Any:
        return self._model.kernel

    @property
    def feature_names(self) -> tuple[str, ...]:
        return _names(self._model.n_features)

    def leave_one_out(self) -> LeaveOneOut:
        result: LeaveOneOut = self._model.loo()
        return result

    def _predict(self, X: Any, include_noise: Any) -> tuple[Any, Any]:
        mean, variance = self._model.predict_with_uncertainty(X, include_noise)
        return mean, np.sqrt(variance)

    def _sample(self, X: Float64Array, n_samples: int, random_state: Any) -> Any:
        return self._model.sample(X, n_samples, random_state)


class _OfEstimator(FittedModel):
    @property
    def X(self) -> Float64Array:
        inputs = self._model.X_train_
        if not isinstance(inputs, np.ndarray) or inputs.ndim != 2 or inputs.dtype.kind not in "fiu":
            raise UnsupportedTypeError(
                "pictures over the inputs need inputs that are vectors of numbers; this model was "
                f"fitted to {type(inputs).__name__} of other objects. Use plot_diagnostics."
            )
        return np.asarray(inputs, dtype=np.float64)

    @property
    def y(self) -> Float64Array:
        normalized = np.asarray(self._model.y_train_, dtype=np.float64)
        return np.asarray(self._model._scale.restore(normalized), dtype=np.float64)

    @property
    def kernel(self) -> Any:
        return self._model.kernel_

    @property
    def feature_names(self) -> tuple[str, ...]:
        names = getattr(self._model, "feature_names_in_", None)
        return _names(self.X.shape[1]) if names is None else tuple(map(str, names))

    def leave_one_out(self) -> LeaveOneOut:
        result: LeaveOneOut = self._model.loo_
        return result

    def _predict(self, X: Any, include_noise: Any) -> tuple[Any, Any]:
        with _nameless():
            mean, std = self._model.predict(X, return_std=True, include_noise=include_noise)
        return mean, std

    def _sample(self, X: Float64Array, n_samples: int, random_state: Any) -> Any:
        with _nameless():
            return self._model.sample_y(X, n_samples, random_state)


def as_fitted(model: Any) -> FittedModel:
    """Return what can be asked of a model.

    Raises
    ------
    NotFittedError
        If it is an estimator that has not been fitted.
    UnsupportedTypeError
        If it is no model of gprat.
    """
    if isinstance(model, GP):
        return _OfGP(model)
    if not isinstance(model, type) and hasattr(type(model), "loo_"):
        model._check_fitted()
        return _OfEstimator(model)
    kind = model if isinstance(model, type) else type(model)
    raise UnsupportedTypeError(
        "model must be a gprat.GP or a gprat.GaussianProcessRegressor, got "
        f"{kind.__module__}.{kind.__qualname__}. From a pipeline or a search take the regressor "
        "inside; gprat.from_sklearn turns scikit-learn's into gprat's."
    )


def as_columns(values: npt.ArrayLike) -> Float64Array:
    """Return values of shape (m,) or (m, k) as float64 of shape (m, k)."""
    array = np.asarray(values, dtype=np.float64)
    return array[:, np.newaxis] if array.ndim == 1 else array


def check_targets(values: Any, name: str = "y") -> Float64Array:
    """Return values of shape (n,) or (n, k), n at least 1, as float64 of shape (n, k).

    NaN passes: it stands for a target that is not known.
    """
    array = validation.as_array(values, name, "an array of numbers")
    if array.shape[:1] == (0,):
        raise InvalidInputError(f"{name} must have at least one row, got shape {array.shape}.")
    is_missing = np.isnan(array) if array.dtype.kind == "f" else np.zeros(array.shape, dtype=bool)
    filled = np.where(is_missing, 0.0, array) if is_missing.any() else values
    n = array.shape[0] if array.ndim else 0
    targets = validation.check_rows(filled, name, n, np.dtype(np.float64))
    return np.where(is_missing.reshape(targets.shape), np.nan, targets)


@contextmanager
def _nameless() -> Iterator[None]:
    """Let points without names of features pass: a grid of ours has none."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="X does not have valid feature names")
        yield


def _names(n_features: int) -> tuple[str, ...]:
    return ("x",) if n_features == 1 else tuple(f"feature {i}" for i in range(n_features))
