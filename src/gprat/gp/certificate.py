"""How exact a model's numbers are, in words that need no numerical analysis."""

from __future__ import annotations

import html
import math
from dataclasses import dataclass

from rich.console import Group
from rich.text import Text

from gprat._text import as_plain_text, make_table

__all__ = ["Certificate"]

_DIGITS = {"float64": 15, "float32": 7}
# A pivot of so many units of rounding has no right digit.
_UNITS_OF_CHANCE = 10.0


@dataclass(frozen=True, slots=True)
class Certificate:
    """How exact "exact" is: what rounding may have done to a model. Prints as a table.

    Errors are bounds by first-order rounding analysis of what was computed, measured where that can
    be measured: they hold unless rounding errors conspire, and are usually ten to a thousand times
    too large. They are infinite where K is so ill conditioned that nothing can be said.

    Parameters
    ----------
    n : int
        Training points.
    dtype : str
        Precision of the computation.
    log_marginal_likelihood, log_marginal_likelihood_error : float
        Its value, and how far rounding may have moved it.
    log_determinant, log_determinant_error : float
        The same of log|K|.
    largest_mean, mean_error : float
        The largest predicted mean at the training inputs, without a mean function that is given,
        and how far off any of them may be, in the units of the targets.
    residual : float
        Componentwise relative backward error of α: the least ω such that α solves a system exactly
        whose entries differ from those of K and y by no more than a part ω (Higham 2002, theorem
        7.3).
    condition : float
        Estimate of the condition number of K in the 1-norm, right to within a factor of about 3.
    smallest_pivot : float
        The least Lᵢᵢ²/Kᵢᵢ, in (0, 1]: how much of a row's variance the rows before it leave open.
    weakest_row : int
        The row of X that it belongs to.
    smallest_noise : float
        The least noise variance of a row, all that was added to the diagonal: gprat adds no jitter.
    clipped_variances : int
        Predicted variances that rounding had made negative so far.
    rounding : float
        Error that entries of K and of its factor are taken to have, as a part of the variances.

    Examples
    --------
    >>> import numpy as np
    >>> from gprat import GP
    >>> X = np.linspace(0.0, 6.0, 40).reshape(-1, 1)
    >>> certificate = GP(X, np.sin(X[:, 0]), noise=1e-2).certificate()
    >>> certificate.mean_digits >= 10
    True
    """

    n: int
    dtype: str
    log_marginal_likelihood: float
    log_marginal_likelihood_error: float
    log_determinant: float
    log_determinant_error: float
    largest_mean: float
    mean_error: float
    residual: float
    condition: float
    smallest_pivot: float
    weakest_row: int
    smallest_noise: float
    clipped_variances: int
    rounding: float

    @property
    def log_marginal_likelihood_digits(self) -> int:
        """Decimal digits of the log marginal likelihood that are right."""
        return self._digits(self.log_marginal_likelihood, self.log_marginal_likelihood_error)

    @property
    def log_determinant_digits(self) -> int:
        """Decimal digits of log|K| that are right."""
        return self._digits(self.log_determinant, self.log_determinant_error)

    @property
    def mean_digits(self) -> int:
        """Decimal digits of means at the training inputs that are right, beside the largest."""
        return self._digits(self.largest_mean, self.mean_error)

    @property
    def advice(self) -> tuple[str, ...]:
        """What to look at; empty where nothing is odd."""
        lines = []
        if self.smallest_pivot <= _UNITS_OF_CHANCE * self.rounding:
            lines.append(
                f"the rows before it determine row {self.weakest_row} of X to rounding (a pivot of "
                f"{self.smallest_pivot:.1e}): is it a duplicate? Beside its neighbours it tells "
                "chance. Use a larger noise, or leave it out."
            )
        if not math.isfinite(self.log_marginal_likelihood_error):
            lines.append(
                "K is singular to working precision: no digit can be guaranteed. Use a larger "
                "noise or shorter length scales"
                + (", or dtype float64." if self.dtype == "float32" else ".")
            )
        if self.clipped_variances:
            lines.append(
                f"{self.clipped_variances} predicted variances came out negative and were set to "
                "zero."
            )
        return tuple(lines)

    def _digits(self, value: float, error: float) -> int:
        most = _DIGITS[self.dtype]
        if not error < abs(value):
            return most if error == 0.0 else 0
        return most if error == 0.0 else min(most, math.floor(math.log10(abs(value) / error)))

    def __str__(self) -> str:
        head = (
            f"Certificate of {self.n} rows in {self.dtype}: the log marginal likelihood is right "
            f"to {_count(self.log_marginal_likelihood_digits)}, means at the training inputs to "
            f"{self.mean_digits}."
        )
        results = make_table("", "value", "error, at most", "digits")
        for name, value, error, digits in (
            (
                "log marginal likelihood",
                self.log_marginal_likelihood,
                self.log_marginal_likelihood_error,
                self.log_marginal_likelihood_digits,
            ),
            (
                "log determinant of K",
                self.log_determinant,
                self.log_determinant_error,
                self.log_determinant_digits,
            ),
            ("largest mean at a training input", self.largest_mean, self.mean_error,
             self.mean_digits),
        ):  # fmt: skip
            results.add_row(name, f"{value:.6g}", f"{error:.1e}", str(digits))
        facts = make_table("", "")
        facts.add_row("backward error of the solve", f"{self.residual:.1e}")
        facts.add_row("condition number of K (1-norm)", f"{self.condition:.1e}")
        facts.add_row(f"smallest pivot, at row {self.weakest_row}", f"{self.smallest_pivot:.1e}")
        facts.add_row("least noise variance", f"{self.smallest_noise:.1e}")
        facts.add_row("jitter", "none")
        facts.add_row("variances clipped at zero", str(self.clipped_variances))
        lines = [Text(f"! {line}") for line in self.advice]
        return as_plain_text(Group(Text(head), Text(""), results, Text(""), facts, *lines))

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(str(self))}</pre>"


def _count(digits: int) -> str:
    return f"{digits} digit{'' if digits == 1 else 's'}"
