"""What the members of a batch say of new points."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from gprat import _validation as validation
from gprat._range import ensure_finite
from gprat._validation import Float64Array, FloatArray
from gprat.batch.rows import ByMember, Form, Points, read_points
from gprat.batch.state import BatchState
from gprat.engines.batch import Prediction, Predictions
from gprat.exceptions import InvalidInputError, ResultOverflowError, RoundingWarning

__all__ = ["BatchPrediction"]


class BatchPrediction(BatchState):
    """The part of `gprat.GPBatch` that predicts."""

    def predict(self, X: Any) -> ByMember:
        """Predict the mean of each member's latent function (R&W 2.25; with a trend 2.41).

        Parameters
        ----------
        X : array-like of shape (m, d) or (b, m, d), or list of array-like of shape (m_i, d)
            Test inputs: the same for all members, or each member's own. m may be 0.

        Returns
        -------
        ndarray of shape (b, m), or list of ndarray of shape (m_i,)
            A list if `X` is a list of arrays. NaN for members that fail, if they may.

        Raises
        ------
        NotPositiveDefiniteError
            If the covariance matrix of a member's training data has no Cholesky factor.
        RankDeficientTrendError
            If basis functions of the trend depend on each other at a member's training points.
        InsufficientMemoryError
            If it needs more memory than it may take, or than there is; nothing was computed.
        ResultOverflowError
            If a result is outside the range of floating-point numbers.

        Examples
        --------
        >>> from gprat import GPBatch
        >>> batch = GPBatch([[0.0], [1.0]], [[1.0, 2.0], [-1.0, 0.0]], noise=1.0)
        >>> batch.predict([[0.0], [50.0]]).round(3)
        array([[ 0.783,  0.   ],
               [-0.449,  0.   ]])
        """
        return self._predict(Prediction.MEAN, X)[0]

    def predict_with_uncertainty(
        self, X: Any, include_noise: bool = False
    ) -> tuple[ByMember, ByMember]:
        """Predict means and variances (R&W 2.25 and 2.26; with a trend 2.41 and 2.42).

        Parameters
        ----------
        X : array-like or list of array-like
            As in `predict`.
        include_noise : bool, default=False
            False for the variance of the latent function; True for that of observations, with the
            noise of the member.

        Returns
        -------
        mean, variance : ndarray of shape (b, m), or list of ndarray of shape (m_i,)
            As in `predict`. Variances are never negative: what rounding made so is zero.

        Warns
        -----
        RoundingWarning
            If a variance came out below zero by more than n·ε of the prior variance.

        Raises
        ------
        NotPositiveDefiniteError, RankDeficientTrendError
            As in `predict`; and so for memory and range.

        Examples
        --------
        >>> from gprat import GPBatch
        >>> batch = GPBatch([[0.0], [1.0]], [[1.0, 2.0], [-1.0, 0.0]], noise=[1.0, 0.5])
        >>> mean, variance = batch.predict_with_uncertainty([[50.0]], include_noise=True)
        >>> variance
        array([[2. ],
               [1.5]])
        """
        return self._predict_spread(Prediction.VARIANCE, X, include_noise)

    def predict_with_full_cov(
        self, X: Any, include_noise: bool = False
    ) -> tuple[ByMember, ByMember]:
        """Predict means, and the joint covariance of each member's test points (R&W 2.24).

        Parameters
        ----------
        X : array-like or list of array-like
            As in `predict`.
        include_noise : bool, default=False
            As in `predict_with_uncertainty`; on the diagonal.

        Returns
        -------
        mean : ndarray of shape (b, m), or list of ndarray of shape (m_i,)
            As in `predict`.
        covariance : ndarray of shape (b, m, m), or list of ndarray of shape (m_i, m_i)
            Of the points of one member; members are independent of each other.

        Raises
        ------
        NotPositiveDefiniteError, RankDeficientTrendError
            As in `predict`; and so for memory and range.

        Examples
        --------
        >>> from gprat import GPBatch
        >>> batch = GPBatch([[0.0], [1.0]], [[1.0, 2.0], [-1.0, 0.0]], noise=1.0)
        >>> mean, covariance = batch.predict_with_full_cov([[0.0], [1.0], [2.0]])
        >>> covariance.shape
        (2, 3, 3)
        """
        return self._predict_spread(Prediction.COVARIANCE, X, include_noise)

    def _predict_spread(
        self, what: Prediction, X: Any, include_noise: bool
    ) -> tuple[ByMember, ByMember]:
        if not isinstance(include_noise, bool | np.bool_):
            raise InvalidInputError(
                f"include_noise must be True or False, got {include_noise!r}. Add other variances "
                "to the result."
            )
        return self._predict(what, X, bool(include_noise))

    def _predict(
        self, what: Prediction, X: Any, include_noise: bool = False
    ) -> tuple[ByMember, ByMember]:
        """Return means and spreads, with the noise variances of the members if they are wanted."""
        points = self._check_points(X)
        hyperparameters, posterior = self._conditioned()
        basis = self._basis_at(points.values)
        results = posterior.predict(what, points.values, basis, points.offsets)
        settings = self._settings(hyperparameters)
        if self._on_failure == "raise":
            self._raise_first(settings, results)
        b = len(self)
        mean = points.by_member(results.mean, b)
        pairs = what is Prediction.COVARIANCE
        has_spread = what is not Prediction.MEAN
        spread = points.by_member(results.spread, b, pairs=pairs) if has_spread else mean
        self._add_offset(mean, points)
        if include_noise:
            _add_to_diagonals(spread, hyperparameters.noise)
        failed = settings.members[results.failures[:, 0] != 0]
        self._clear({*self._data_errors, *failed.tolist()}, mean, spread)
        self._refuse_overflow(results, mean, spread)
        self._warn_of(results, settings.members)
        return mean, spread

    def _check_points(self, X: Any) -> Points:
        points = read_points(X, self._dtype, n_features=self.n_features)
        if points.form is not Form.SHARED and points.offsets.size != len(self) + 1:
            raise InvalidInputError(
                f"X must have test points for each of the {len(self)} members, or be of shape "
                f"(m, {self.n_features}) for all; got those of {points.offsets.size - 1}."
            )
        if not validation.has_finite_sum(points.values):
            if points.form is Form.SHARED:
                validation.check_test_inputs(points.values, self._dtype, self.n_features)
            else:
                self._refuse_points(points)
        return points

    def _refuse_points(self, points: Points) -> None:
        """Raise for the first member whose points are not finite, if there is one."""
        for member in range(len(self)):
            try:
                validation.check_test_inputs(points.of(member), self._dtype, self.n_features)
            except InvalidInputError as error:
                raise InvalidInputError(f"member {member}: {error}") from None

    def _add_offset(self, mean: ByMember, points: Points) -> None:
        """Add the fixed part of the mean function, where there is one."""
        offset = self._mean.offset(points.values, 1)
        if offset is None:
            return
        with np.errstate(over="ignore"):
            values: FloatArray = offset[:, 0].astype(self._dtype)
            for member, part in enumerate(mean):
                part += values[points.slice_of(member)]

    def _clear(self, members: set[int], *results: ByMember) -> None:
        for member in members:
            for parts in results:
                parts[member][...] = np.nan

    def _refuse_overflow(self, results: Predictions, *by_member: ByMember) -> None:
        """Raise for, or clear, members with results that left the range of floating point."""
        if all(validation.has_finite_sum(flat) for flat in (results.mean, results.spread)):
            return
        known = {*self._data_errors, *self._usable()[results.failures[:, 0] != 0].tolist()}
        for member in sorted(set(range(len(self))) - known):
            try:
                ensure_finite("prediction", self._dtype, *(parts[member] for parts in by_member))
            except ResultOverflowError as error:
                if self._on_failure == "raise":
                    raise ResultOverflowError(f"member {member}: {error}") from None
                self._clear({member}, *by_member)

    def _warn_of(self, results: Predictions, members: np.ndarray[Any, Any]) -> None:
        """Tell of variances that are farther below zero than a sum of n terms is wrong by."""
        rounding = self.n_rows[members] * float(np.finfo(self._dtype).eps)
        is_bad = (results.worst > rounding) & (results.failures[:, 0] == 0)
        if not is_bad.any():
            return
        place = int(np.argmax(np.where(is_bad, results.worst, 0.0)))
        warnings.warn(
            f"rounding made variances of {int(is_bad.sum())} members negative, the worst, of "
            f"member {members[place]}, by {results.worst[place]:.1e} of its prior variance; they "
            "were set to zero, and others of that size mean as little. Use a larger noise, or "
            "dtype float64.",
            RoundingWarning,
            stacklevel=4,
        )


def _add_to_diagonals(spread: ByMember, noise: Float64Array) -> None:
    """Add each member's noise variance to its variances, or to the diagonal of its covariances."""
    with np.errstate(over="ignore"):
        for part, variance in zip(spread, noise, strict=True):
            diagonal = np.diag_indices_from(part) if part.ndim == 2 else ...
            part[diagonal] += part.dtype.type(variance)
