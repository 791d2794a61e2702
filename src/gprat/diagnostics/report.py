"""What is known of the quality of predictions."""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from gprat._validation import Float64Array
from gprat.diagnostics.rendering import as_text
from gprat.noise import IntArray

__all__ = ["Diagnostics", "Integers", "Numbers"]

Numbers: TypeAlias = float | Float64Array
Integers: TypeAlias = int | IntArray


@dataclass(frozen=True, slots=True, eq=False)
class Diagnostics:
    """How good predictions are, and how honest about their uncertainty. Prints as a table.

    For targets of shape (n,) each measure is one number, for targets of shape (n, k) an array of
    shape (k,). A standardised residual is (target − mean)/std; of an honest model they are
    standard normal.

    Parameters
    ----------
    source : str
        Where the predictions come from.
    n : int or ndarray of shape (k,)
        Number of targets that were predicted; missing ones don't count.
    rmse : float or ndarray of shape (k,)
        Root of the mean squared error, in the units of the targets.
    mae : float or ndarray of shape (k,)
        Mean absolute error, in the units of the targets.
    smse : float or ndarray of shape (k,)
        Standardised mean squared error: divided by the variance of the targets, so that their mean
        would score 1 (R&W section 2.5). NaN if all targets are equal.
    nlpd : float or ndarray of shape (k,)
        Negative logarithm of the predictive density at the targets, mean, in nats: the lower, the
        better.
    msll : float or ndarray of shape (k,)
        Mean standardised log loss (R&W section 2.5): `nlpd` less that of the trivial prediction,
        a normal density with the mean and variance of the training targets. Negative for a model
        that has learned something. NaN if all training targets are equal.
    residual_mean, residual_std : float or ndarray of shape (k,)
        Mean and standard deviation (with n − 1) of the standardised residuals: 0 and 1 of an
        honest model. Above 1 it is overconfident. The deviation of one residual is NaN.
    largest_residual : float or ndarray of shape (k,)
        The standardised residual farthest from 0, with its sign.
    largest_row : int or ndarray of shape (k,)
        Its row, from 0.
    levels : ndarray of shape (q,)
        Probabilities of central intervals, between 0 and 1.
    coverage : ndarray of shape (q,) or (q, k)
        Share of the targets in the central interval of each level.
    coverage_low, coverage_high : ndarray of shape (q,) or (q, k)
        Where the coverage of an honest model lies, for each level by itself, with a probability of
        at least `confidence`: quantiles of the binomial distribution, over n.
    confidence : float
        See `coverage_low`.

    Notes
    -----
    The band takes the predictions' errors as independent. Those of leave-one-out nearly are; those
    of held-out points which are close to each other are not, and stray farther. It holds level by
    level: over the default levels about one honest curve in four leaves it somewhere.

    Examples
    --------
    >>> import numpy as np
    >>> from gprat.diagnostics import diagnose_predictions
    >>> y = np.array([0.3, -1.2, 0.4, 0.9])
    >>> result = diagnose_predictions(y, mean=np.zeros(4), std=np.ones(4), levels=[0.5])
    >>> result.mae, result.largest_residual, result.largest_row
    (0.7, -1.2, 1)
    >>> result.coverage, result.coverage_low, result.coverage_high
    (array([0.5]), array([0.]), array([1.]))
    """

    source: str
    n: Integers
    rmse: Numbers
    mae: Numbers
    smse: Numbers
    nlpd: Numbers
    msll: Numbers
    residual_mean: Numbers
    residual_std: Numbers
    largest_residual: Numbers
    largest_row: Integers
    levels: Float64Array
    coverage: Float64Array
    coverage_low: Float64Array
    coverage_high: Float64Array
    confidence: float

    @property
    def is_calibrated(self) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
        """Whether the coverage of each level lies in its band, shape (q,) or (q, k)."""
        return (self.coverage >= self.coverage_low) & (self.coverage <= self.coverage_high)

    def __str__(self) -> str:
        return as_text(self)

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(str(self))}</pre>"
