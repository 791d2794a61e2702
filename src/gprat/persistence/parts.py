"""Mean functions and priors as plain data: by name, with their numbers, and never as code."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cache
from typing import Any, cast

import numpy as np
from scipy import stats

from gprat.exceptions import ModelFileError, UnsupportedTypeError
from gprat.means import FixedLinear, MeanLike
from gprat.priors import Distribution

__all__ = ["mean_from_plain", "mean_to_plain", "priors_from_plain", "priors_to_plain"]


def mean_to_plain(mean: MeanLike) -> str | dict[str, Any]:
    """Describe a mean function that has a name, or is a `FixedLinear`.

    Raises
    ------
    UnsupportedTypeError
        If it is a function, or a list of them.
    """
    if isinstance(mean, str):
        return str(mean)
    if type(mean) is FixedLinear:
        slopes = None if mean.coefficients is None else list(mean.coefficients)
        return {"intercept": mean.intercept, "coefficients": slopes}
    raise UnsupportedTypeError(
        f"the mean {mean!r:.80} is a function, which cannot be saved: files hold no code. Save X, "
        "y, theta and the noise by yourself, and make the model again by gprat.GP(X, y, kernel, "
        "noise, mean=function); or use a mean by name, or gprat.means.FixedLinear."
    )


def mean_from_plain(plain: Any, d: int, n: int) -> MeanLike:
    """Return the mean that `mean_to_plain` described, for n points with d features.

    Raises
    ------
    ModelFileError
        If it is not described like that, or has more coefficients than there are points.
    """
    match plain:
        # The names of so many coefficients are not even made: short rows may be few and long.
        case "quadratic" if (d + 1) * (d + 2) // 2 > n:
            raise ModelFileError(f"its mean has more coefficients than the {n} rows of X")
        case "zero" | "constant" | "linear" | "quadratic":
            return cast(MeanLike, plain)
        case {"intercept": float(intercept), "coefficients": None} if len(plain) == 2:
            return FixedLinear(intercept)
        case {"intercept": float(intercept), "coefficients": list(slopes)} if len(plain) == 2:
            return FixedLinear(intercept, tuple(slopes))
    raise ModelFileError(f"its mean is {plain!r:.80}, which is none of gprat's")


def priors_to_plain(priors: Mapping[str, Distribution] | None) -> list[dict[str, Any]] | None:
    """Describe priors by the names of their distributions in `scipy.stats` and their arguments.

    Raises
    ------
    UnsupportedTypeError
        If one is not a continuous distribution of `scipy.stats` frozen with plain numbers.
    """
    if priors is None:
        return None
    return [_prior_to_plain(name, prior) for name, prior in priors.items()]


def priors_from_plain(plain: Any) -> dict[str, Distribution] | None:
    """Return the priors that `priors_to_plain` described.

    Raises
    ------
    ModelFileError
        If they are not described like that.
    """
    if plain is None:
        return None
    priors: dict[str, Distribution] = {}
    for entry in plain:
        match entry:
            case {
                "name": str(name),
                "distribution": str(family),
                "arguments": list(arguments),
                "keywords": dict(keywords),
            } if len(entry) == 4 and name not in priors and family in _continuous():
                numbers = [_number(value) for value in (*arguments, *keywords.values())]
                if None not in numbers:
                    priors[name] = _continuous()[family](*arguments, **keywords)
                    continue
        raise ModelFileError(
            f"it has a prior that is no distribution of scipy.stats: {entry!s:.120}"
        )
    return priors


@cache
def _continuous() -> dict[str, Any]:
    """Return the continuous distributions of `scipy.stats` by name."""
    return {
        name: value for name, value in vars(stats).items() if isinstance(value, stats.rv_continuous)
    }


def _prior_to_plain(name: str, prior: Any) -> dict[str, Any]:
    family = getattr(getattr(prior, "dist", None), "name", None)
    known = _continuous().get(family) if isinstance(family, str) else None
    arguments = [_number(value) for value in getattr(prior, "args", ())]
    keywords = {key: _number(value) for key, value in getattr(prior, "kwds", {}).items()}
    is_plain = known is not None and None not in [*arguments, *keywords.values()]
    # One that somebody made of the same class, but with another support, is no such distribution.
    if (
        known is None
        or not is_plain
        or type(prior.dist) is not type(known)
        or prior.support() != known(*arguments, **keywords).support()
    ):
        raise UnsupportedTypeError(
            f"the prior of {name}, {prior!r:.80}, cannot be saved: files hold the name of a "
            "continuous distribution of scipy.stats, and finite Python numbers as its arguments. "
            "Use one like scipy.stats.lognorm(1.0), or save a model without priors and give them "
            "to gprat.GP when you make it again."
        )
    return {"name": name, "distribution": family, "arguments": arguments, "keywords": keywords}


def _number(value: Any) -> int | float | None:
    """Return a plain number, or None for anything else."""
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value[()]
    if isinstance(value, np.integer | np.float64):
        value = value.item()
    if type(value) is int and abs(value) < 1 << 63:
        return value
    return value if type(value) is float and math.isfinite(value) else None
