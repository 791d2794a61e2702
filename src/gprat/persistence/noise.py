"""The noise of a model as plain data and arrays."""

from __future__ import annotations

import math
from typing import Any, TypeAlias

import numpy as np

from gprat import _validation as validation
from gprat.exceptions import ModelFileError, UnsupportedTypeError
from gprat.kernels.description import value_from_plain, value_to_plain
from gprat.noise import Noise
from gprat.persistence.archive import Archive

__all__ = ["LogBounds", "noise_from_archive", "noise_to_archive"]

LogBounds: TypeAlias = tuple[float, float] | None
_LABELS = (str, bool, int, float)


def noise_to_archive(noise: Noise, log_bounds: LogBounds) -> Archive:
    """Describe noise, with the logarithms of the bounds that it has wherever it is learned.

    Raises
    ------
    UnsupportedTypeError
        If a label of a group is neither text nor a number.
    """
    archive = Archive(
        {
            "learned": noise.learned.tolist(),
            "labels": None if noise.groups is None else [_label(label) for label in noise.labels],
            "log_bounds": value_to_plain(log_bounds, "noise_bounds"),
            "has_known": noise.known is not None,
        }
    )
    if noise.known is not None:
        archive.arrays["known"] = noise.known
    if noise.groups is not None:
        archive.arrays["groups"] = noise.groups.astype(np.int64, copy=False)
    return archive


def noise_from_archive(archive: Archive, n: int) -> tuple[Noise, LogBounds]:
    """Return the noise of n rows, and the logarithms of its bounds wherever it is learned.

    Raises
    ------
    ModelFileError
        If the noise is not described as `noise_to_archive` does.
    InvalidInputError
        If a variance is not finite, or is negative.
    """
    learned = archive.take_entry("learned", list)
    if not all(type(value) is float for value in learned):
        raise ModelFileError("its noise variances are no floats")
    known = None
    if archive.take_entry("has_known", bool):
        known = archive.take_array("known", "float64", (None,))
        known = validation.check_known_noise(known[0] if len(known) == 1 else known, n)
    labels = archive.take_entry("labels", list, type(None))
    log_bounds = _check_bounds(archive.take_entry("log_bounds", dict, type(None)))
    groups = None
    if labels is not None:
        _check_labels(labels)
        groups = np.array(archive.take_array("groups", "int64", (n,)), dtype=np.intp)
        if groups.min() < 0 or groups.max() >= len(labels):
            raise ModelFileError("its noise groups don't fit their labels")
    archive.check_empty()

    is_by_row = labels is None and not learned and known is not None
    if is_by_row:
        return Noise(np.empty(0), known), log_bounds
    if len(learned) != (1 if labels is None else len(labels)):
        raise ModelFileError(f"it has {len(learned)} noise variances")
    is_fixed = log_bounds is None
    variances, _ = validation.check_noise(learned, len(learned), is_fixed=is_fixed)
    return Noise(variances, known, groups, tuple(labels or ()), log_bounds), log_bounds


def _check_bounds(plain: Any) -> LogBounds:
    bounds = value_from_plain(plain, "noise_bounds")
    if bounds is None:
        return None
    if isinstance(bounds, tuple) and list(map(type, bounds)) == [float, float]:
        lower, upper = bounds
        # Written so that NaN fails the comparison.
        if -math.inf < lower <= upper:
            return lower, upper
    raise ModelFileError(f"its noise has the bounds {bounds!r:.80}")


def _label(label: object) -> object:
    if isinstance(label, str):
        return str(label)
    if type(label) in _LABELS and not (isinstance(label, float) and math.isinf(label)):
        return label
    raise UnsupportedTypeError(
        f"the label {label!r:.80} of noise_groups has type {type(label).__name__}, or no end, and "
        "cannot be saved. Use text or finite numbers as labels."
    )


def _check_labels(labels: list[Any]) -> None:
    # Rows may have been deleted, so that no row has the label any more.
    if not labels or not all(type(label) in _LABELS for label in labels):
        raise ModelFileError("its noise groups have labels that are neither text nor numbers")
    if np.unique(np.array(labels, dtype=object)).tolist() != labels:
        raise ModelFileError("its noise groups have labels that are not sorted")
