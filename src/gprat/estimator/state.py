"""What a fitted estimator holds, and what its other parts ask of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.exceptions import NotFittedError
from sklearn.gaussian_process.kernels import Kernel
from sklearn.utils.validation import validate_data

from gprat._validation import Float64Array, FloatArray
from gprat.estimator.structured import Registry, RegistryKernel
from gprat.estimator.targets import Pattern, TargetScale
from gprat.exceptions import InvalidInputError
from gprat.gp import GP, LeaveOneOut
from gprat.optimize.report import TrainingReport

__all__ = ["EstimatorState"]


class EstimatorState:
    """Parameters and fitted attributes; `gprat.GaussianProcessRegressor` documents them."""

    kernel: Kernel | None
    alpha: float | npt.ArrayLike
    n_targets: int | None
    mean: Any
    noise: float | None
    threads: int | None
    memory_limit: int | None
    priors: Any
    dtype: Any

    X_train_: Any
    y_train_: Float64Array
    gps_: list[GP]
    n_features_in_: int
    log_marginal_likelihood_value_: float
    training_: TrainingReport | None
    target_names_: list[str] | None
    _alpha: float | Float64Array
    _scale: TargetScale
    _patterns: list[Pattern]
    _registry: Registry | None
    # Made when asked for: a kernel takes as long to copy as a small model to predict.
    _kernel: Kernel | None

    @property
    def kernel_(self) -> Kernel:
        """The kernel with the learned hyperparameters."""
        self._check_fitted()
        if self._kernel is None:
            kernel = self.gps_[0].kernel
            self._kernel = kernel.kernel if isinstance(kernel, RegistryKernel) else kernel
        return self._kernel

    @property
    def gp_(self) -> GP:
        """The `gprat.GP` underneath, whose targets are `y_train_`.

        Raises
        ------
        InvalidInputError
            If outputs with missing targets need several: see `gps_`.
        """
        self._check_fitted()
        if len(self.gps_) > 1:
            raise InvalidInputError(
                f"targets are missing at different rows, so that there are {len(self.gps_)} models "
                "which share their hyperparameters. Use gps_."
            )
        return self.gps_[0]

    @property
    def clipped_variances_(self) -> int:
        """How many predicted variances rounding had made negative, and were set to zero.

        See `gprat.GP.clipped_variances`.
        """
        self._check_fitted()
        return sum(gp.clipped_variances for gp in self.gps_)

    @property
    def L_(self) -> FloatArray:
        """Cholesky factor of the training covariance matrix, shape (n, n), made when asked for."""
        return self.gp_.cholesky()

    @property
    def alpha_(self) -> FloatArray:
        """Weights of the training points in the mean, of the shape of `y_train_`."""
        self._check_fitted()
        alpha: FloatArray = self._gather_rows([gp.alpha for gp in self.gps_])
        return alpha

    @property
    def noise_variance_(self) -> float | Float64Array | None:
        """Learned noise variance, in units of `y_train_`; None without `noise`."""
        self._check_fitted()
        return None if self.noise is None else self.gps_[0].noise_variance

    @property
    def loo_(self) -> LeaveOneOut:
        """Exact leave-one-out predictions in the units of the targets, without refitting.

        See `gprat.GP.loo`. With several outputs all arrays have shape (n, k), also the variance;
        they are NaN where a target is missing.
        """
        self._check_fitted()
        parts = [gp.loo() for gp in self.gps_]
        std = self._scale.std
        variance = self._gather_rows([_like(part.variance, part.mean) for part in parts])
        log_density = self._gather_rows([part.log_density for part in parts])
        return LeaveOneOut(
            mean=self._scale.restore(self._gather_rows([part.mean for part in parts])),
            variance=variance * std**2,
            standardized_residuals=self._gather_rows(
                [part.standardized_residuals for part in parts]
            ),
            log_density=log_density - np.log(std),
        )

    def _check_fitted(self) -> None:
        if not hasattr(self, "gps_"):
            raise NotFittedError(
                f"This {type(self).__name__} instance is not fitted yet. Call 'fit' with "
                "appropriate arguments before using this estimator."
            )

    @contextmanager
    def _all_or_nothing(self) -> Iterator[None]:
        """Leave the estimator as it was if the ``with`` block fails or is interrupted."""
        before = self.__dict__.copy()
        try:
            yield
        except BaseException:
            # One step, which a second Ctrl-C does not halve.
            self.__dict__ = before
            raise

    @property
    def _is_complete(self) -> bool:
        """Whether one model serves all rows and outputs."""
        return len(self._patterns) == 1 and self._patterns[0].rows is None

    def _gather(self, parts: list[Any], axis: int = 1) -> Any:
        """Put the models' results together, with outputs along an axis if there are several."""
        if len(self._patterns) == 1:
            return parts[0]
        return np.stack(
            [np.take(parts[model], column, axis) for model, column in self._places()], axis
        )

    def _gather_rows(self, parts: list[Any]) -> Any:
        """Put results at training rows together, of the shape of the targets, NaN where missing."""
        if self._is_complete:
            return parts[0]
        whole = np.full((len(self.y_train_), self._n_outputs), np.nan)
        for pattern, part in zip(self._patterns, parts, strict=True):
            rows = np.arange(len(whole)) if pattern.rows is None else pattern.rows
            whole[np.ix_(rows, pattern.columns)] = part.reshape(len(rows), -1)
        return whole.reshape(self.y_train_.shape)

    def _spread(self, parts: list[Any]) -> Any:
        """Turn the models' variances or covariances into those of the targets, outputs last."""
        if len(self._patterns) == 1:
            return self._scale.spread(parts[0], 2)
        return np.stack([parts[model] for model, _ in self._places()], axis=-1) * self._scale.std**2

    def _squeeze(self, values: Any, axis: int) -> Any:
        """Drop the axis of outputs where there is one, as scikit-learn does."""
        return np.squeeze(values, axis) if self.y_train_.shape[1:] == (1,) else values

    @property
    def _n_outputs(self) -> int:
        return int(self.y_train_[0].size)

    def _places(self) -> list[tuple[int, int]]:
        """Return the model of each output and its column there."""
        places = [
            (int(output), (model, column))
            for model, pattern in enumerate(self._patterns)
            for column, output in enumerate(pattern.columns)
        ]
        return [place for _, place in sorted(places)]

    @contextmanager
    def _points(self, X: Any) -> Iterator[FloatArray]:
        """Check test inputs and turn them into points, for the length of a ``with`` block."""
        if self._registry is None:
            yield self._check_inputs(X)
        else:
            objects = validate_data(self, X, ensure_2d=False, dtype=None, reset=False)
            with self._registry.visitors(list(objects)) as points:
                yield points

    def _check_inputs(self, X: Any) -> Any:
        """Return the test inputs, an array that a model or a kernel can take."""
        if (
            type(X) is np.ndarray
            and X.ndim == 2
            and X.dtype.kind == "f"
            and not hasattr(self, "feature_names_in_")
            and X.shape[1] == getattr(self, "n_features_in_", None)
        ):
            # The model checks values; scikit-learn's checks take longer than a small prediction.
            return X
        return validate_data(self, X, dtype="numeric", reset=False)


def _like(variance: FloatArray, mean: FloatArray) -> FloatArray:
    """Repeat what is the same for all outputs."""
    return variance if mean.ndim == 1 else np.repeat(variance[:, np.newaxis], mean.shape[1], 1)
