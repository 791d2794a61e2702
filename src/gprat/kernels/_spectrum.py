"""A mixture of normal distributions that resembles the spectrum of data."""

from __future__ import annotations

import math
import warnings
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.signal import lombscargle
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture
from sklearn.utils import check_random_state

from gprat.exceptions import InvalidInputError, UnsupportedTypeError
from gprat.kernels._base import Float64Array
from gprat.kernels._reading import check_integer
from gprat.kernels.program import as_real_array

__all__ = ["SpectralStart", "spectral_start"]

_MAX_ROWS = 1024
_MAX_FREQUENCIES = 4096
# A line in the periodogram is one cycle over the range wide: four frequencies across it.
_FREQUENCIES_PER_LINE = 4
_SAMPLES = 1024
# Powers and frequencies of data within it and its inverse are numbers.
_LEAST_RANGE = 1e-100
_MAX_LINES = 32


class SpectralStart(NamedTuple):
    """Arguments of `SpectralMixture`."""

    weights: Float64Array
    means: Float64Array
    scales: Float64Array
    weights_bounds: tuple[float, float]
    means_bounds: Float64Array
    scales_bounds: Float64Array


class _Axis(NamedTuple):
    """The mixture along one feature, heaviest component first, and limits of its frequencies."""

    shares: Float64Array
    means: Float64Array
    scales: Float64Array
    limits: tuple[float, float]


def spectral_start(
    X: npt.ArrayLike, y: npt.ArrayLike, n_components: int, random_state: Any
) -> SpectralStart:
    """Fit a mixture to the periodogram of the data; see `SpectralMixture.from_data`."""
    inputs, targets = _check(X, y)
    count = check_integer(n_components, "n_components", minimum=1)
    generator = _generator(random_state)
    if len(inputs) > _MAX_ROWS:
        # A random subset, unlike every other row, keeps the frequencies that all rows resolve.
        rows = generator.permutation(len(inputs))[:_MAX_ROWS]
        resolved = [_highest_frequency(column, inputs.shape[1]) for column in inputs.T]
        inputs, targets = inputs[rows], targets[rows]
    else:
        resolved = [_highest_frequency(column, inputs.shape[1]) for column in inputs.T]
    axes = [
        _fit_axis(column, targets, highest, count, generator)
        for column, highest in zip(inputs.T, resolved, strict=True)
    ]
    variance = float(np.var(targets))
    limits = np.array([axis.limits for axis in axes])
    return SpectralStart(
        weights=variance * np.mean([axis.shares for axis in axes], axis=0),
        means=np.column_stack([axis.means for axis in axes]),
        scales=np.column_stack([axis.scales for axis in axes]),
        weights_bounds=(1e-6 * variance, 1e3 * variance),
        means_bounds=np.tile(limits, (count, 1)),
        scales_bounds=np.tile(limits * [0.1, 1.0], (count, 1)),
    )


def _fit_axis(
    x: Float64Array,
    y: Float64Array,
    highest: float,
    count: int,
    generator: np.random.RandomState,
) -> _Axis:
    extent = np.ptp(x)
    n_frequencies = min(_MAX_FREQUENCIES, int(np.ceil(_FREQUENCIES_PER_LINE * highest * extent)))
    step = 1.0 / (_FREQUENCIES_PER_LINE * extent)
    frequencies = step * np.arange(1, max(n_frequencies, _FREQUENCIES_PER_LINE) + 1)
    samples = _sample(*_find_lines(x - x.min(), y - y.mean(), frequencies), 1.0 / extent)
    mixture = GaussianMixture(count, random_state=generator)
    with warnings.catch_warnings():
        # A rough fit is as good a start, and few lines need few components.
        warnings.simplefilter("ignore", ConvergenceWarning)
        mixture.fit(samples[:, np.newaxis] / step)
    order = np.argsort(-mixture.weights_)
    limits = (0.1 / extent, 2.0 * frequencies[-1])
    # No narrower than a component that keeps its phase over the whole range.
    narrowest = 1.0 / (2.0 * np.pi * extent)
    return _Axis(
        shares=mixture.weights_[order],
        means=np.clip(step * mixture.means_[order, 0], *limits),
        scales=np.clip(step * np.sqrt(mixture.covariances_[order, 0, 0]), narrowest, limits[1]),
        limits=limits,
    )


def _find_lines(
    x: Float64Array, y: Float64Array, frequencies: Float64Array
) -> tuple[Float64Array, Float64Array]:
    """Take sinusoids out of y, strongest first, and return their frequencies and powers.

    One after the other, so that what a strong one leaks to all frequencies, because of the places
    of the points, hides no weaker one (CLEAN: Roberts, Lehar and Dreher 1987).
    """
    found: list[float] = []
    powers: list[float] = []
    residual = y
    # The power of noise at a frequency, over its variance, is distributed exponentially
    # (Scargle 1982, section III): one in twenty spectra of noise reaches this height.
    significant = math.log(len(frequencies)) + 3.0
    for _ in range(_MAX_LINES):
        spectrum = lombscargle(x, residual, 2.0 * np.pi * frequencies)
        peak = int(np.argmax(spectrum))
        if found and spectrum[peak] < significant * np.var(residual):
            break
        phase = 2.0 * np.pi * frequencies[peak] * x
        waves = np.column_stack([np.cos(phase), np.sin(phase)])
        sinusoid = waves @ np.linalg.lstsq(waves, residual, rcond=None)[0]
        found.append(float(frequencies[peak]))
        powers.append(float(np.mean(sinusoid**2)))
        residual = residual - sinusoid
        if np.var(residual) < 1e-3 * np.var(y):
            break
    return np.array(found), np.array(powers)


def _sample(frequencies: Float64Array, powers: Float64Array, width: float) -> Float64Array:
    """Spread samples evenly over lines of some width, in proportion to their powers."""
    edges = np.append(0.0, np.cumsum(powers) / np.sum(powers))
    probabilities = (np.arange(_SAMPLES) + 0.5) / _SAMPLES
    line = np.clip(np.searchsorted(edges, probabilities) - 1, 0, len(powers) - 1)
    within = (probabilities - edges[line]) / (edges[line + 1] - edges[line])
    samples: Float64Array = frequencies[line] + width * (within - 0.5)
    return samples


def _highest_frequency(x: Float64Array, n_features: int) -> float:
    """Half the sampling rate along a feature, taken for one axis of a grid of all points."""
    per_axis = min(len(np.unique(x)), round(math.pow(len(x), 1.0 / n_features)))
    return 0.5 * max(per_axis - 1, 2) / float(np.ptp(x))


def _check(X: npt.ArrayLike, y: npt.ArrayLike) -> tuple[Float64Array, Float64Array]:
    inputs, targets = as_real_array(X, "X"), as_real_array(y, "y")
    if inputs.ndim == 1:
        inputs = inputs[:, np.newaxis]
    if targets.ndim == 2 and targets.shape[1] == 1:
        targets = targets[:, 0]
    if inputs.ndim != 2 or inputs.shape[1] == 0 or targets.shape != (len(inputs),):
        raise InvalidInputError(
            f"X must have shape (n, d) and y shape (n,), got {inputs.shape} and {targets.shape}"
        )
    if not (np.isfinite(inputs).all() and np.isfinite(targets).all()):
        raise InvalidInputError("X and y must be finite; drop the rows with NaN or infinity")
    for name, column in [*((f"X[:, {f}]", c) for f, c in enumerate(inputs.T)), ("y", targets)]:
        if column.size < 2 or np.ptp(column) == 0.0:
            raise InvalidInputError(
                f"{name} is constant, so it has no spectrum; give two or more different values"
            )
        if not _LEAST_RANGE <= np.ptp(column) <= 1.0 / _LEAST_RANGE:
            raise InvalidInputError(
                f"{name} has a range of {np.ptp(column):.3g}, whose square or inverse is no "
                "floating-point number; scale it to the order of one"
            )
    return inputs, targets


def _generator(random_state: Any) -> np.random.RandomState:
    if isinstance(random_state, np.random.Generator):
        return np.random.RandomState(random_state.integers(2**32, dtype=np.uint32))
    try:
        generator: np.random.RandomState = check_random_state(random_state)
    except (TypeError, ValueError):
        raise UnsupportedTypeError(
            "random_state must be None, a whole number from 0 to 2³² − 1, a RandomState or a "
            f"numpy.random.Generator, got {random_state!r}"
        ) from None
    return generator
