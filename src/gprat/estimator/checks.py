"""What is odd about data and result, in words that help: warnings, never errors."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from gprat._validation import Float64Array, FloatArray, has_finite_sum
from gprat.exceptions import DataWarning
from gprat.optimize.report import TrainingReport

__all__ = ["check_data", "check_training"]

# Standard deviations that the mean of y may lie from 0 without a word.
_FAR_FROM_ZERO = 5.0
# Below this part of a target's variance, noise does not tell repeated rows apart.
_LITTLE_NOISE = 1e-6
_MOST_NAMED = 5


def check_data(
    X: FloatArray,
    y: Float64Array,
    *,
    names: Sequence[str] | None,
    has_mean: bool,
    noise: float,
    white_noise: Callable[[], float],
) -> None:
    """Warn of constant features, targets far from zero, and repeated rows without noise.

    Parameters
    ----------
    X : ndarray of shape (n, d)
        Training inputs.
    y : ndarray of shape (n, k)
        Targets as the model sees them; NaN where missing.
    names : sequence of str or None
        Names of the features.
    has_mean : bool
        Whether the model has a mean function.
    noise : float
        The least noise variance of a row.
    white_noise : callable
        Returns the noise variance that the kernel has on its part.
    """
    if X.shape[0] < 2:
        return
    _check_features(X, names)
    moments = _moments(y)
    for output, (mean, variance) in enumerate(moments):
        if not has_mean and abs(mean) > _FAR_FROM_ZERO * math.sqrt(variance) > 0.0:
            _warn_of_mean("y" if y.shape[1] == 1 else f"output {output} of y", mean, variance)
            break
    little = _LITTLE_NOISE * max(variance for _, variance in moments)
    if noise <= little and noise + white_noise() <= little:
        _check_duplicates(X, noise)


def _moments(y: Float64Array) -> list[tuple[float, float]]:
    """Return mean and variance of each output: roughly, so that it takes next to no time."""
    moments = []
    for targets in y.T:
        known = targets if has_finite_sum(targets) else targets[~np.isnan(targets)]
        with np.errstate(over="ignore", invalid="ignore"):
            mean = np.add.reduce(known) / known.size
            variance = np.float64(known @ known) / known.size - mean * mean
        moments.append((float(mean), max(0.0, float(variance))))
    return moments


def _check_features(X: FloatArray, names: Sequence[str] | None) -> None:
    # Few features are alike in the first and the last row.
    alike = np.flatnonzero(X[0] == X[-1])
    constant = [int(j) for j in alike if np.ptp(X[:, j]) == 0.0]
    if not constant:
        return
    which = _name([str(j) if names is None else names[j] for j in constant])
    _warn(
        f"feature {which} is constant, so that nothing can be learned about its length scale. "
        "Leave it out."
    )


def _warn_of_mean(what: str, mean: float, variance: float) -> None:
    _warn(
        f"{what} has mean {mean:.3g} and standard deviation {math.sqrt(variance):.3g}, but far "
        'from the data the model predicts 0. Use normalize_y=True, or mean="constant".'
    )


def _check_duplicates(X: FloatArray, noise: float) -> None:
    _, inverse = np.unique(X, axis=0, return_inverse=True)
    inverse = inverse.reshape(-1)
    n_repeated = X.shape[0] - int(inverse.max()) - 1
    if n_repeated:
        rows = np.flatnonzero(inverse == np.bincount(inverse).argmax())
        _warn(
            f"{n_repeated} rows of X repeat others (such as rows {_name(rows)}), and there is "
            f"hardly any noise ({noise:.1e}). Use a larger alpha, or noise=0.1 to learn it; the "
            "Cholesky factorisation may fail."
        )


def check_training(report: TrainingReport, kernel: Any) -> None:
    """Warn of bounds that bind, as scikit-learn does, and of training that didn't converge."""
    kernel._check_bounds_params()
    for name, side in report.at_bounds.items():
        if name.startswith("noise_variance"):
            lines = [line for line in report.advice if line.startswith(name)]
            text = lines[0] if lines else f"{name} is at its {side} bound."
            warnings.warn(text, ConvergenceWarning, stacklevel=4)
    if not report.success:
        warnings.warn(
            f"training did not converge: {report.message}. See training_; raise max_iter or "
            "the bounds, scale the data, or use n_restarts_optimizer.",
            ConvergenceWarning,
            stacklevel=4,
        )


def _name(items: Sequence[Any] | np.ndarray[Any, Any]) -> str:
    shown = ", ".join(str(item) for item in items[:_MOST_NAMED])
    return shown if len(items) <= _MOST_NAMED else f"{shown} and {len(items) - _MOST_NAMED} more"


def _warn(message: str) -> None:
    warnings.warn(message, DataWarning, stacklevel=5)
