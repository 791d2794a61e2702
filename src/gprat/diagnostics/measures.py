"""Measures of predictions: errors, densities, residuals, calibration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import binom, norm

from gprat import _validation as validation
from gprat._fitted import FittedModel, IncludeNoise, as_fitted, check_targets
from gprat._validation import Float64Array
from gprat.diagnostics.report import Diagnostics
from gprat.exceptions import InvalidInputError
from gprat.gp import LeaveOneOut

__all__ = [
    "Predictions",
    "check_levels",
    "diagnose",
    "diagnose_leave_one_out",
    "diagnose_predictions",
    "measure",
    "predictions_of",
]

_LEVELS = (*np.linspace(0.05, 0.95, 19).round(2).tolist(), 0.99)
_CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True, eq=False)
class Predictions:
    """Targets and what was predicted of them, all of shape (n, k), float64.

    Parameters
    ----------
    y : ndarray of shape (n, k)
        Targets; NaN where missing.
    mean, std : ndarray of shape (n, k)
        Of the predictive normal distributions of observations.
    trained_on : ndarray of shape (r, k)
        Training targets, which the trivial prediction is made from; NaN where missing.
    source : str
        Where the predictions come from, for people.
    is_vector : bool
        Whether the targets came as a vector.
    """

    y: Float64Array
    mean: Float64Array
    std: Float64Array
    trained_on: Float64Array
    source: str
    is_vector: bool

    @property
    def residuals(self) -> Float64Array:
        """Standardised residuals, shape (n, k); NaN where a target is missing."""
        return (self.y - self.mean) / self.std

    def select(self, output: int) -> Predictions:
        """Return what belongs to one output, as of targets that came as a vector."""
        y, mean, std, trained_on = (
            array[:, output : output + 1]
            for array in (self.y, self.mean, self.std, self.trained_on)
        )
        return Predictions(y, mean, std, trained_on, self.source, is_vector=True)


def diagnose(
    model: Any,
    X: Any = None,
    y: npt.ArrayLike | None = None,
    *,
    include_noise: IncludeNoise = True,
    levels: npt.ArrayLike | None = None,
) -> Diagnostics:
    """Judge a model by leave-one-out, or on held-out data.

    Parameters
    ----------
    model : gprat.GP or gprat.GaussianProcessRegressor
        The model, fitted.
    X : array-like of shape (m, d), default=None
        Held-out inputs; None to predict each training target from the others. The hyperparameters
        then have seen the target: with many of them leave-one-out flatters.
    y : array-like of shape (m,) or (m, k), default=None
        Held-out targets, with `X`; NaN where missing.
    include_noise : bool, float or array-like of shape (m,), default=True
        Only with `X`: the noise variance of the targets, as the model's prediction takes it. One
        with different noise for each training row needs that of the held-out ones.
    levels : array-like of shape (q,), default=None
        Probabilities of the central intervals whose coverage is counted; None for 0.05, 0.10, …,
        0.95 and 0.99.

    Returns
    -------
    Diagnostics
        Prints as a table.

    Raises
    ------
    NotFittedError
        If the model is an estimator that has not been fitted.
    InvalidInputError
        If only one of X and y is given, or their shapes or values make no sense.
    UnsupportedTypeError
        If `model` is no model of gprat.

    Examples
    --------
    >>> import numpy as np
    >>> from gprat import GP
    >>> from gprat.diagnostics import diagnose
    >>> rng = np.random.default_rng(0)
    >>> X = rng.uniform(0.0, 6.0, size=(200, 1))
    >>> y = np.sin(X[:, 0]) + 0.1 * rng.standard_normal(200)
    >>> result = diagnose(GP(X, y, noise=0.1**2))
    >>> bool(0.05 < result.rmse < 0.15), bool(result.msll < -1.0)
    (True, True)
    """
    return measure(predictions_of(as_fitted(model), X, y, include_noise), levels)


def diagnose_leave_one_out(
    loo: LeaveOneOut, y: npt.ArrayLike, *, levels: npt.ArrayLike | None = None
) -> Diagnostics:
    """Judge leave-one-out predictions that have been computed already.

    Parameters
    ----------
    loo : LeaveOneOut
        What `gprat.GP.loo` returns.
    y : array-like of shape (n,) or (n, k)
        The training targets; NaN where missing.
    levels : array-like of shape (q,), default=None
        As in `diagnose`.

    Returns
    -------
    Diagnostics
        Prints as a table.

    Raises
    ------
    InvalidInputError
        If there is not one prediction for each target.

    Examples
    --------
    >>> from gprat import GP
    >>> from gprat.diagnostics import diagnose, diagnose_leave_one_out
    >>> gp = GP([[0.0], [1.0], [50.0]], [1.0, 2.0, 3.0], noise=1.0)
    >>> diagnose_leave_one_out(gp.loo(), gp.y).rmse == diagnose(gp).rmse
    True
    """
    return measure(_left_out(loo, y), levels)


def diagnose_predictions(
    y: npt.ArrayLike,
    mean: npt.ArrayLike,
    std: npt.ArrayLike,
    *,
    y_train: npt.ArrayLike | None = None,
    levels: npt.ArrayLike | None = None,
) -> Diagnostics:
    """Judge normal predictions of any model.

    Parameters
    ----------
    y : array-like of shape (n,) or (n, k)
        Targets; NaN where missing.
    mean : array-like of the shape of y
        Predictive means.
    std : array-like of the shape of y, or of shape (n,)
        Predictive standard deviations of the targets, with their noise, positive; of shape (n,) for
        all outputs.
    y_train : array-like of shape (r,) or (r, k), default=None
        Training targets, from which the trivial prediction of `msll` is made; None for `y`.
    levels : array-like of shape (q,), default=None
        As in `diagnose`.

    Returns
    -------
    Diagnostics
        Prints as a table.

    Raises
    ------
    InvalidInputError
        If shapes don't fit each other, a deviation isn't positive, an output has no target, or a
        level does not lie between 0 and 1.

    Examples
    --------
    >>> import numpy as np
    >>> from gprat.diagnostics import diagnose_predictions
    >>> y = np.random.default_rng(0).standard_normal(1000)
    >>> honest = diagnose_predictions(y, np.zeros(1000), np.ones(1000))
    >>> overconfident = diagnose_predictions(y, np.zeros(1000), np.full(1000, 0.5))
    >>> bool(overconfident.nlpd > honest.nlpd)
    True
    >>> bool(overconfident.residual_std > 1.5 * honest.residual_std)
    True
    """
    predictions = _predictions(y, mean, std, y_train, "predictions")
    return measure(predictions, levels)


def predictions_of(
    model: FittedModel, X: Any, y: npt.ArrayLike | None, include_noise: IncludeNoise
) -> Predictions:
    """Predict held-out targets; without data the training targets, each from the others."""
    if X is None and y is None:
        return _left_out(model.leave_one_out(), model.y)
    if X is None or y is None:
        given, other = ("y", "X") if X is None else ("X", "y")
        raise InvalidInputError(
            f"{given} was given without {other}. Pass held-out inputs and targets, or neither for "
            "leave-one-out."
        )
    mean, std = model.predict(X, include_noise)
    return _predictions(y, mean, std, model.y, "held-out data")


def measure(predictions: Predictions, levels: npt.ArrayLike | None) -> Diagnostics:
    """Compute all measures, output by output."""
    probabilities = check_levels(levels)
    # Errors of a size that has no square, or no ratio to the deviation, are infinite.
    with np.errstate(over="ignore", invalid="ignore"):
        columns = [_measure_output(predictions, o) for o in range(predictions.y.shape[1])]
        residuals = [z[~np.isnan(z)] for z in predictions.residuals.T]
    coverage = np.stack([_coverage(z, probabilities) for z in residuals], axis=1)
    n = np.array([z.size for z in residuals])
    low, high = binom.interval(_CONFIDENCE, n, probabilities[:, np.newaxis])
    tables = {"coverage": coverage, "coverage_low": low / n, "coverage_high": high / n}
    measures = {name: np.array([column[name] for column in columns]) for name in columns[0]}
    is_vector = predictions.is_vector
    return Diagnostics(
        source=predictions.source,
        levels=probabilities,
        confidence=_CONFIDENCE,
        **{name: table[:, 0] if is_vector else table for name, table in tables.items()},
        **{name: values[0].item() if is_vector else values for name, values in measures.items()},
    )


def _measure_output(predictions: Predictions, output: int) -> dict[str, Any]:
    """Return the measures of one output that are one number."""
    is_known = ~np.isnan(predictions.y[:, output])
    y, mean, std = (
        values[is_known, output] for values in (predictions.y, predictions.mean, predictions.std)
    )
    trained_on = predictions.trained_on[:, output]
    error, residual = y - mean, (y - mean) / std
    nlpd = -np.mean(norm.logpdf(y, mean, std))
    variance, spread = np.var(y), np.nanstd(trained_on)
    trivial = -np.mean(norm.logpdf(y, np.nanmean(trained_on), spread)) if spread else np.nan
    largest = int(np.argmax(np.abs(residual)))
    return {
        "n": y.size,
        "rmse": np.sqrt(np.mean(error**2)),
        "mae": np.mean(np.abs(error)),
        "smse": np.mean(error**2) / variance if variance else np.nan,
        "nlpd": nlpd,
        "msll": nlpd - trivial,
        "residual_mean": np.mean(residual),
        "residual_std": np.std(residual, ddof=1) if y.size > 1 else np.nan,
        "largest_residual": residual[largest],
        "largest_row": np.flatnonzero(is_known)[largest],
    }


def _coverage(residuals: Float64Array, levels: Float64Array) -> Float64Array:
    """Return which share of residuals lies in each central interval."""
    sizes = np.sort(np.abs(residuals))
    counts = np.searchsorted(sizes, norm.ppf(0.5 + 0.5 * levels), side="right")
    return np.asarray(counts / sizes.size)


def _left_out(loo: LeaveOneOut, y: npt.ArrayLike) -> Predictions:
    return _predictions(y, loo.mean, np.sqrt(loo.variance), None, "leave-one-out")


def _predictions(
    y: npt.ArrayLike,
    mean: npt.ArrayLike,
    std: npt.ArrayLike,
    trained_on: npt.ArrayLike | None,
    source: str,
) -> Predictions:
    """Check predictions; where a target is missing they may be too."""
    targets, means, stds = (
        check_targets(values, name) for name, values in (("y", y), ("mean", mean), ("std", std))
    )
    n, k = targets.shape
    if means.shape != (n, k) or stds.shape not in ((n, k), (n, 1)):
        raise InvalidInputError(
            f"there must be one prediction for each target, got targets y of shape {(n, k)}, means "
            f"of shape {means.shape} and deviations of shape {stds.shape}. Check that they belong "
            "to the same rows and outputs."
        )
    is_missing = np.isnan(targets)
    if is_missing.all(axis=0).any():
        output = int(is_missing.all(axis=0).argmax())
        raise InvalidInputError(
            f"y has no known target of output {output}, so that there is nothing to judge. Pass at "
            "least one row, and leave out outputs that are NaN throughout."
        )
    deviations = np.broadcast_to(stds, (n, k))
    _check_predictions(means, deviations, is_missing)
    training = targets if trained_on is None else check_targets(trained_on, "y_train")
    if training.shape[1] != k:
        raise InvalidInputError(
            f"y has {k} outputs and y_train {training.shape[1]}. Pass the training "
            "targets of the same outputs."
        )
    if np.isnan(training).all(axis=0).any():
        output = int(np.isnan(training).all(axis=0).argmax())
        raise InvalidInputError(
            f"y_train has no known target of output {output}, so that there is no trivial "
            "prediction. Pass at least one, or leave y_train out."
        )
    return Predictions(targets, means, deviations, training, source, np.ndim(y) == 1)


def _check_predictions(mean: Float64Array, std: Float64Array, is_missing: Any) -> None:
    bad_mean = np.isnan(mean) & ~is_missing
    bad_std = ~(std > 0.0) & ~is_missing
    for name, bad, values, rule in (
        ("mean", bad_mean, mean, "finite"),
        ("std", bad_std, std, "positive, with the noise of the targets"),
    ):
        if bad.any():
            row, output = np.unravel_index(int(bad.argmax()), bad.shape)
            raise InvalidInputError(
                f"{name} must be {rule}, got {values[row, output]} at row {row}, output {output}."
            )


def check_levels(levels: npt.ArrayLike | None) -> Float64Array:
    """Return probabilities of central intervals, shape (q,); None for the default ones."""
    try:
        given = np.array(_LEVELS if levels is None else levels, ndmin=1)
        values = np.empty(0) if given.dtype.kind == "c" else given.astype(np.float64)
    except (TypeError, ValueError, RuntimeError, OverflowError):
        values = np.empty(0)
    if values.ndim != 1 or not values.size or not ((values > 0.0) & (values < 1.0)).all():
        raise InvalidInputError(
            f"levels must be probabilities between 0 and 1, such as [0.5, 0.95], got {levels!r}."
        )
    return validation.read_only(values)
