"""Rows that come and go while the hyperparameters stay."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from gprat import _validation as validation
from gprat._validation import FloatArray
from gprat.engines.base import Posterior, Problem
from gprat.exceptions import InvalidInputError
from gprat.gp.data import Data
from gprat.gp.state import ModelState
from gprat.noise import Noise
from gprat.planning import choose_tile_size

__all__ = ["Updating"]


class Updating(ModelState):
    """The part of `gprat.GP` that takes rows of data in and out."""

    def append(
        self,
        X: npt.ArrayLike,
        y: npt.ArrayLike,
        *,
        noise: float | npt.ArrayLike | None = None,
        known_noise: float | npt.ArrayLike | None = None,
        noise_groups: npt.ArrayLike | None = None,
    ) -> None:
        """Append training data; the hyperparameters stay as they are.

        The new rows come after those that are there. A kept factor is not computed anew: its new
        rows are, in O(n²m) for m of them (R&W A.12), and the others are copied. The result is that
        of a new model with all rows but for rounding.

        Parameters
        ----------
        X : array-like of shape (m, d)
            New training inputs; m may be 0.
        y : array-like of shape (m,) or (m, k)
            Their targets.
        noise : float or array-like of shape (m,), default=None
            Noise variances of the new rows; needed where the model was made with one a row, and
            refused elsewhere.
        known_noise : float or array-like of shape (m,), default=None
            Known variances of the new rows; needed where the model has them and they differ between
            rows.
        noise_groups : array-like of shape (m,), default=None
            Labels of the new rows, all of which the model must know; needed where the model has
            groups.

        Raises
        ------
        NotPositiveDefiniteError
            If the covariance matrix of all rows has no Cholesky factor; found out here only if the
            model has a kept factor. The model stays as it was, as after every error and Ctrl-C.
        InvalidInputError
            If a shape or a value makes no sense, or what is needed about the noise is missing.

        Examples
        --------
        >>> import numpy as np
        >>> from gprat import GP
        >>> X = np.linspace(0.0, 6.0, 40).reshape(-1, 1)
        >>> y = np.sin(X[:, 0])
        >>> gp = GP(X[:30], y[:30], noise=1e-4)
        >>> before = gp.log_marginal_likelihood()
        >>> gp.append(X[30:], y[30:])
        >>> gp.X.shape
        (40, 1)
        >>> full = GP(X, y, noise=1e-4)
        >>> bool(np.isclose(gp.log_marginal_likelihood(), full.log_marginal_likelihood()))
        True
        """
        points = validation.check_test_inputs(X, self._dtype, self.n_features)
        m = points.shape[0]
        targets = validation.check_rows(y, "y", m, self._dtype) if m else self._Y[:0]
        if targets.shape[1] != self._Y.shape[1]:
            raise InvalidInputError(
                f"y must have the {self._Y.shape[1]} outputs of the training data, got "
                f"{targets.shape[1]} (shape {np.shape(y)}). Pass one column an output."
            )
        if m == 0:
            return
        new = self._make_data(points, targets)
        with self._training_lock, self._state_lock:
            old = self._hyperparameters.noise
            changed = old.append(self._X.shape[0], m, noise, known_noise, noise_groups)
            Y = np.concatenate([self._Y, targets])
            self._replace_rows(self._data.append(new), Y, changed, self._engine.append)

    def delete(self, indices: Any) -> None:
        """Delete training data; the hyperparameters stay as they are.

        A kept factor is not computed anew: orthogonal transformations take the rows out of it, in
        O(n²m) for m rows (Golub and Van Loan, *Matrix Computations*, section 6.5), unless they are
        so many that a new factorisation is cheaper. The result is that of a new model with the
        other rows but for rounding.

        Parameters
        ----------
        indices : int, slice, array-like of int or boolean array of shape (n,)
            Rows of `X`, as `numpy.delete` takes them: negative ones count from the end, and a row
            that is named twice is deleted once. Not all rows.

        Raises
        ------
        InvalidInputError
            If there are no such rows, or none would be left, or fewer than the mean has
            coefficients. The model stays as it was, as after every error and Ctrl-C.
        UnsupportedTypeError
            If `indices` are no whole numbers.

        Examples
        --------
        >>> import numpy as np
        >>> from gprat import GP
        >>> X = np.linspace(0.0, 6.0, 40).reshape(-1, 1)
        >>> y = np.sin(X[:, 0])
        >>> y[7] = 100.0  # an outlier
        >>> gp = GP(X, y, noise=1e-4)
        >>> gp.delete(7)
        >>> bool(np.isclose(gp.predict(X[[7]])[0], np.sin(X[7, 0]), atol=1e-3))
        True
        """
        with self._training_lock, self._state_lock:
            n = self._X.shape[0]
            rows = validation.check_indices(indices, n)
            if rows.size == 0:
                return
            if rows.size == n:
                raise InvalidInputError(
                    f"all {n} rows would be deleted, and a model needs at least one. Make a new "
                    "model with other data."
                )
            self._check_coefficients(n - rows.size)
            kept = np.delete(np.arange(n), rows)
            self._replace_rows(
                self._data.select(kept),
                self._Y[kept],
                self._hyperparameters.noise.select(kept),
                lambda posterior, problem: self._engine.delete(posterior, rows, problem),
            )

    def _replace_rows(
        self,
        data: Data,
        Y: FloatArray,
        noise: Noise,
        update: Callable[[Posterior, Problem], Posterior],
    ) -> None:
        """Take over other rows, and the posterior that `update` makes of the kept one."""
        n = data.X.shape[0]
        hyperparameters = replace(self._hyperparameters, noise=noise)
        tile_size, posterior = self._tile_size, self._posterior
        if self._tile_size_is_automatic:
            tile_size = choose_tile_size(n, self._dtype)
        if posterior is not None:
            problem = data.problem(
                hyperparameters, min(tile_size, n), self._threads, self._memory_limit
            )
            posterior = update(posterior, problem)
        # One call that no signal interrupts: Ctrl-C finds the model as it was, or as it will be.
        self.__dict__.update(
            _X=data.X,
            _Y=data.Y if self._data.Y is self._Y else Y,
            _data=data,
            _hyperparameters=hyperparameters,
            _tile_size=tile_size,
            _posterior=posterior,
        )
