"""Prior distributions of hyperparameters: any frozen distribution of `scipy.stats`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from gprat._validation import Float64Array
from gprat.exceptions import InvalidInputError, UnsupportedTypeError

__all__ = ["Distribution", "Priors", "as_priors"]

_NEEDED = ("logpdf", "cdf", "ppf", "support")
# Central differences of fourth order: at this step, truncation and rounding are both about 1e-12.
_STEP = 1e-3
_STENCIL = np.array([-2.0, -1.0, 1.0, 2.0]) * _STEP
_WEIGHTS = np.array([1.0, -8.0, 8.0, -1.0]) / (12.0 * _STEP)
_SMALLEST_STEP = 1e-9


class Distribution(Protocol):
    """What is needed of a prior: the methods of a frozen distribution of `scipy.stats`."""

    def logpdf(self, x: Any) -> Any:
        """Return the logarithm of the density."""

    def cdf(self, x: Any) -> Any:
        """Return the probability of values up to x."""

    def ppf(self, q: Any) -> Any:
        """Return the quantile: the inverse of `cdf`."""

    def support(self) -> tuple[Any, Any]:
        """Return the ends of the support."""


@dataclass(frozen=True)
class Priors:
    """Independent priors of some of the entries of theta.

    A prior is a density p of the hyperparameter φ on its natural scale. Training works with
    θ = log φ (θ = φ where the hyperparameter may be negative), whose density is p(φ)·|dφ/dθ|:
    log p(e^θ) + θ, the last term being the logarithm of the Jacobian.

    Parameters
    ----------
    distributions : tuple of Distribution or None
        One an entry of theta; None where there is no prior.
    is_log : ndarray of shape (p,), bool
        Whether the entry is a logarithm.
    """

    distributions: tuple[Distribution | None, ...]
    is_log: npt.NDArray[np.bool_]

    def __bool__(self) -> bool:
        return any(distribution is not None for distribution in self.distributions)

    def log_density(self, theta: Float64Array) -> tuple[float, Float64Array]:
        """Return the logarithm of the joint density at theta and its gradient, shape (p,).

        The derivatives are differences of fourth order, exact to about 1e-11 relative to the
        density's logarithm: distributions of `scipy.stats` give none. Outside the support the
        value is -inf and the gradient 0.
        """
        values, gradients = self.log_densities(theta[np.newaxis])
        return float(values[0]), gradients[0]

    def log_densities(self, theta: Float64Array) -> tuple[Float64Array, Float64Array]:
        """Return the same for each row of theta, shape (r, p): shapes (r,) and (r, p)."""
        values, gradients = np.zeros(len(theta)), np.zeros(theta.shape)
        for i, distribution in enumerate(self.distributions):
            if distribution is not None:
                at_theta, gradients[:, i] = _differentiate(
                    distribution, theta[:, i], self.is_log[i]
                )
                values += at_theta
        gradients[~np.isfinite(values)] = 0.0
        return values, gradients

    def draw(self, rng: np.random.Generator, bounds: Float64Array) -> Float64Array:
        """Draw theta within the bounds, shape (p, 2): from the priors, uniformly where none is.

        Uniformly in theta, that is, in the logarithm of most hyperparameters.
        """
        quantiles = rng.random(len(bounds))
        theta = bounds[:, 0] + quantiles * (bounds[:, 1] - bounds[:, 0])
        for i, distribution in enumerate(self.distributions):
            if distribution is not None:
                lower, upper = distribution.cdf(_natural(bounds[i], self.is_log[i]))
                value = float(distribution.ppf(lower + quantiles[i] * (upper - lower)))
                theta[i] = np.log(value) if self.is_log[i] else value
        return np.clip(theta, bounds[:, 0], bounds[:, 1])

    def describe(self) -> list[str]:
        """Return one line for each entry of theta, which tells priors apart."""
        return [_describe(distribution) for distribution in self.distributions]


def as_priors(
    priors: Mapping[str, Distribution] | None,
    names: tuple[str, ...],
    is_log: npt.NDArray[np.bool_],
    bounds: Float64Array,
) -> Priors:
    """Find the entries of theta that the user's names mean, and check the distributions.

    Parameters
    ----------
    priors : mapping or None
        From names of hyperparameters to distributions. The name of a vector without an index means
        each of its elements.
    names : tuple of str
        The names of the entries of theta.
    is_log : ndarray of shape (p,), bool
        Whether the entry is a logarithm.
    bounds : ndarray of shape (p, 2)
        Bounds of theta.

    Returns
    -------
    Priors
        One distribution or None for each entry.

    Raises
    ------
    InvalidInputError
        If there is no such hyperparameter, or a prior has no support within the bounds.
    UnsupportedTypeError
        If a prior is not a frozen continuous distribution.
    """
    if priors is None:
        return Priors((None,) * len(names), is_log)
    if not isinstance(priors, Mapping):
        raise UnsupportedTypeError(
            "priors must be a mapping from names of hyperparameters to distributions, got "
            f"{priors!r}. Write priors={{'noise_variance': scipy.stats.lognorm(1.0)}}."
        )
    found: list[Distribution | None] = [None] * len(names)
    for name, distribution in priors.items():
        _check_distribution(name, distribution)
        positions = positions_of(name, names, "priors")
        for i in positions:
            _check_support(names[i], distribution, _natural(bounds[i], is_log[i]))
            found[i] = distribution
    return Priors(tuple(found), is_log)


def positions_of(name: object, names: tuple[str, ...], argument: str) -> list[int]:
    """Return the entries of theta that `name` means: itself, or all elements of a vector."""
    positions = [
        i
        for i, known in enumerate(names)
        if isinstance(name, str) and name in (known, known.rpartition("[")[0] or known)
    ]
    if not positions:
        raise InvalidInputError(
            f"{argument} names the hyperparameter {name!r}, which this model does not train. Those "
            f"that it trains are {', '.join(names) or 'none'}."
        )
    return positions


def _natural(theta: Any, is_log: bool) -> Any:
    return np.exp(theta) if is_log else theta


def _log_density(distribution: Distribution, theta: Any, is_log: bool) -> Any:
    with np.errstate(all="ignore"):
        density = np.asarray(distribution.logpdf(_natural(theta, is_log)), dtype=np.float64)
    return density + theta if is_log else density


def _differentiate(
    distribution: Distribution, theta: Float64Array, is_log: bool
) -> tuple[Float64Array, Float64Array]:
    """Return the logarithms of the densities of values of theta, and their derivatives."""
    values, slopes = np.full(theta.size, -np.inf), np.zeros(theta.size)
    pending, step = np.arange(theta.size), 1.0
    while pending.size and step * _STEP > _SMALLEST_STEP:
        points = theta[pending, np.newaxis] + np.append(step * _STENCIL, 0.0)
        densities = _log_density(distribution, points.ravel(), is_log).reshape(points.shape)
        known = np.isfinite(densities).all(axis=1)
        values[pending[known]] = densities[known, -1]
        slopes[pending[known]] = densities[known, :-1] @ _WEIGHTS / step
        # Elsewhere the stencil reaches over an end of the support; or there is no density at all.
        pending = pending[~known & np.isfinite(densities[:, -1])]
        step *= 0.1
    return values, slopes


def _check_distribution(name: object, distribution: Any) -> None:
    missing = [method for method in _NEEDED if not callable(getattr(distribution, method, None))]
    if missing or isinstance(distribution, type) or not hasattr(distribution, "support"):
        raise UnsupportedTypeError(
            f"the prior of {name} must be a frozen continuous distribution of scipy.stats, such as "
            f"scipy.stats.lognorm(1.0), got {distribution!r}."
        )
    try:
        with np.errstate(all="ignore"):
            ends = distribution.support()
    except TypeError as error:  # a distribution whose shape parameters are still missing
        raise UnsupportedTypeError(
            f"the prior of {name} has no parameters yet: {error}. Freeze it by calling it, as in "
            "scipy.stats.lognorm(1.0)."
        ) from error
    except (ValueError, OverflowError, RuntimeError) as error:
        raise InvalidInputError(
            f"the prior of {name} has parameters without a meaning: {error}. Pass real numbers."
        ) from error
    if np.asarray(ends).dtype.kind not in "iuf":
        raise UnsupportedTypeError(
            f"the prior of {name} has the support {ends!r}. Pass real numbers as parameters."
        )
    if np.ndim(ends) != 1:
        raise InvalidInputError(
            f"the prior of {name} has parameters of shape {np.shape(ends)[1:]}, and is of one "
            "number. Pass numbers as parameters, and one prior for each element of a vector."
        )


def _check_support(name: str, distribution: Distribution, bounds: Float64Array) -> None:
    with np.errstate(all="ignore"):  # a distribution may have infinite parameters
        lower, upper = (float(end) for end in distribution.support())
        mass = float(distribution.cdf(bounds[1])) - float(distribution.cdf(bounds[0]))
    fits = max(lower, bounds[0]) <= min(upper, bounds[1])
    if not (fits and (mass > 0.0 or bounds[0] == bounds[1])):
        raise InvalidInputError(
            f"the prior of {name} has no support within the bounds [{bounds[0]:.6g}, "
            f"{bounds[1]:.6g}]: it lives on [{lower:.6g}, {upper:.6g}]. Change the prior, or the "
            "bounds of the hyperparameter."
        )


def _describe(distribution: Distribution | None) -> str:
    if distribution is None:
        return ""
    family = getattr(getattr(distribution, "dist", None), "name", type(distribution).__name__)
    arguments = getattr(distribution, "args", ())
    return f"{family}{arguments}{sorted(getattr(distribution, 'kwds', {}).items())}"
