"""More data or less, without learning anew."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from sklearn.utils import check_consistent_length
from sklearn.utils.validation import validate_data

from gprat._validation import Float64Array, check_indices
from gprat.estimator.fitting import Fitting
from gprat.estimator.targets import find_patterns
from gprat.exceptions import InvalidInputError, UnsupportedTypeError

__all__ = ["Updating"]

_Self = TypeVar("_Self", bound="Updating")


class Updating(Fitting):
    """The part of `gprat.GaussianProcessRegressor` that takes data in and out."""

    def append(self: _Self, X: Any, y: Any, alpha: npt.ArrayLike | None = None) -> _Self:
        """Add training data; hyperparameters and the scale of the targets stay.

        The Cholesky factor is updated in O(n²k) for k new rows, see `gprat.GP.append`. With missing
        targets it is computed anew.

        Parameters
        ----------
        X : array-like of shape (k, d)
            New training inputs.
        y : array-like of shape (k,) or (k, outputs)
            Their targets.
        alpha : float or array-like of shape (k,), default=None
            Their noise variances, where the parameter `alpha` has one for each row.

        Returns
        -------
        GaussianProcessRegressor
            The estimator itself, with more rows in `X_train_` and `y_train_`.

        Raises
        ------
        NotPositiveDefiniteError
            If the new covariance matrix has no Cholesky factor. Then nothing has changed.

        Examples
        --------
        >>> import numpy as np
        >>> from gprat import GaussianProcessRegressor
        >>> X = np.linspace(0.0, 6.0, 30).reshape(-1, 1)
        >>> model = GaussianProcessRegressor(alpha=1e-4).fit(X[:20], np.sin(X[:20, 0]))
        >>> model.append(X[20:], np.sin(X[20:, 0])).X_train_.shape
        (30, 1)
        """
        self._check_updatable()
        X = validate_data(self, X, dtype=self.X_train_.dtype, reset=False)
        targets = self._scale.normalize(self._check_new_targets(X, y))
        more = self._check_new_alpha(alpha, len(X))
        if self._is_complete and not np.isnan(targets).any():
            arguments = {} if more is None else {self._noise_argument: more}
            with self._explained():
                self.gps_[0].append(X, targets, **arguments)
            self._adopt_data(None if more is None else np.concatenate([self._alpha, more]))
        else:
            self._rebuild(
                np.concatenate([self.X_train_, X]),
                np.concatenate([self.y_train_, targets]),
                self._alpha if more is None else np.concatenate([self._alpha, more]),
            )
        return self

    def delete(self: _Self, indices: Any) -> _Self:
        """Remove training rows; hyperparameters and the scale of the targets stay.

        The Cholesky factor is updated in O(n²k) for k rows, see `gprat.GP.delete`. With missing
        targets it is computed anew.

        Parameters
        ----------
        indices : int, sequence of int, slice or boolean array
            Rows of `X_train_`, as `numpy.delete` takes them.

        Returns
        -------
        GaussianProcessRegressor
            The estimator itself.

        Examples
        --------
        >>> import numpy as np
        >>> from gprat import GaussianProcessRegressor
        >>> X = np.linspace(0.0, 6.0, 30).reshape(-1, 1)
        >>> model = GaussianProcessRegressor(alpha=1e-4).fit(X, np.sin(X[:, 0]))
        >>> model.delete([0, -1]).X_train_.shape
        (28, 1)
        """
        self._check_updatable()
        n = len(self.X_train_)
        rows = np.delete(np.arange(n), check_indices(indices, n))
        alpha = self._alpha if np.ndim(self._alpha) == 0 else np.asarray(self._alpha)[rows]
        if self._is_complete:
            self.gps_[0].delete(indices)
            self._adopt_data(alpha)
        else:
            self._rebuild(self.X_train_[rows], self.y_train_[rows], alpha)
        return self

    def partial_fit(self: _Self, X: Any, y: Any) -> _Self:
        """Fit the first batch of data, and append all others.

        Parameters
        ----------
        X : array-like of shape (k, d)
            Inputs of the batch.
        y : array-like of shape (k,) or (k, outputs)
            Targets of the batch.

        Returns
        -------
        GaussianProcessRegressor
            The estimator itself. Hyperparameters are learned from the first batch only; `fit` on
            everything learns them anew.
        """
        return self.append(X, y) if hasattr(self, "gps_") else self.fit(X, y)

    @property
    def _noise_argument(self) -> str:
        """What a model calls the parameter `alpha` where that has one value for each row."""
        return "noise" if self.noise is None else "known_noise"

    def _adopt_data(self, alpha: float | Float64Array | None) -> None:
        """Take over the data of the only model, which has been updated."""
        gp = self.gps_[0]
        self.X_train_, self.y_train_ = gp.X, np.asarray(gp.y, dtype=np.float64)
        if alpha is not None:
            self._alpha = alpha
        self._finish()

    def _rebuild(self, X: Any, y: Float64Array, alpha: float | Float64Array) -> None:
        """Make the models anew, with the hyperparameters as they are."""
        theta, kernel = self.gps_[0].theta, self.kernel_
        with self._all_or_nothing():
            self.X_train_, self._patterns = X, find_patterns(y.reshape(len(y), -1))
            self._condition(X, y, kernel, alpha)
            for gp in self.gps_:
                gp.theta = theta
            self._finish()

    def _check_updatable(self) -> None:
        self._check_fitted()
        if self._registry is not None:
            raise UnsupportedTypeError(
                "append and delete need inputs that are vectors; this kernel takes other objects. "
                "Call fit with all data."
            )
        # With its factor at hand, a model that cannot take the new rows says so and stays.
        self._finish()

    def _check_new_targets(self, X: Any, y: Any) -> Float64Array:
        targets = self._check_targets(y)
        check_consistent_length(X, targets)
        if targets.shape[1:] != self.y_train_.shape[1:]:
            raise InvalidInputError(
                f"y must have shape {(len(X), *self.y_train_.shape[1:])} as in fit, got shape "
                f"{targets.shape}."
            )
        return targets

    def _check_new_alpha(self, alpha: Any, k: int) -> Float64Array | None:
        if np.ndim(self._alpha) == 0:
            if alpha is not None:
                raise InvalidInputError(
                    "alpha is one variance for all rows in this model, so that new rows cannot "
                    "have their own. Fit with alpha as an array, one for each row."
                )
            return None
        if alpha is None or np.ndim(alpha) not in (0, 1) or np.size(alpha) not in (1, k):
            raise InvalidInputError(
                f"alpha has one variance for each row in this model: pass those of the {k} new "
                f"rows, got {alpha!r}."
            )
        return np.broadcast_to(np.asarray(alpha, dtype=np.float64), k)
