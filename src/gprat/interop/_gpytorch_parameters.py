"""Parameters of GPyTorch's modules: values, bounds and priors, in double precision.

GPyTorch keeps a raw number and a constraint, which turns it into the parameter. Its classes are
recognised by their names, so that gprat works without GPyTorch and with several versions of it.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from scipy import stats

from gprat._validation import Float64Array
from gprat.exceptions import InvalidInputError
from gprat.priors import Distribution

__all__ = ["Parameter", "ParameterReader", "as_float64", "kind"]

_Bounds: TypeAlias = Any  # "fixed", a pair, or one pair a value
_DEFAULT_BOUNDS = (1e-5, 1e5)


def kind(module: Any) -> str:
    """Return the name of a class of GPyTorch, and "" for any other, a subclass of it included.

    Examples
    --------
    >>> kind(3.0)
    ''
    """
    cls = type(module)
    package, *folders = cls.__module__.split(".")
    # The kernels for KeOps have the names of those that they replace.
    return cls.__name__ if package == "gpytorch" and "keops" not in folders else ""


def as_float64(tensor: Any) -> Float64Array:
    """Return the numbers of a tensor of PyTorch, on any device and of any precision."""
    array: Float64Array = tensor.detach().cpu().double().numpy()
    return array


@dataclass(frozen=True, slots=True, eq=False)
class Parameter:
    """A positive parameter of a module, as gprat's hyperparameter.

    Parameters
    ----------
    values : ndarray of shape (c,), float64
        One value, or one a feature or a component.
    limits : ndarray of shape (c, 2), float64, or None
        Bounds for training, that contain the values; None if it is not trained.
    priors : tuple of Distribution or None
        One a value.
    """

    values: Float64Array
    limits: Float64Array | None
    priors: tuple[Distribution | None, ...]

    @property
    def value(self) -> Any:
        """A float if there is one value, else an array."""
        return float(self.values[0]) if self.values.size == 1 else self.values

    @property
    def bounds(self) -> _Bounds:
        """As kernels take them: "fixed", one pair if it serves all values, or one pair each."""
        if self.limits is None:
            return "fixed"
        if (self.limits == self.limits[0]).all():
            lower, upper = self.limits[0].tolist()
            return lower, upper
        return self.limits

    def every(self, step: int, start: int) -> Parameter:
        """Return each `step`-th value from `start` on."""
        limits = None if self.limits is None else self.limits[start::step]
        return Parameter(self.values[start::step], limits, self.priors[start::step])


class ParameterReader:
    """Reads parameters and keeps a list of what gprat has no place for.

    Attributes
    ----------
    remarks : list of str
        What was left out, a clause each.
    """

    def __init__(self) -> None:
        self.remarks: list[str] = []
        self._path_of_tensor: dict[int, str] = {}
        self._used_priors: set[str] = set()

    def value(self, module: Any, attribute: str) -> Float64Array:
        """Return a parameter as the module itself has it after ``module.double()``."""
        raw = getattr(module, f"raw_{attribute}", None)
        if raw is None:
            return as_float64(getattr(module, attribute))
        raw = raw.detach().cpu().double()
        constraint = getattr(module, f"raw_{attribute}_constraint", None)
        return as_float64(raw if constraint is None else _in_double(constraint).transform(raw))

    def parameter(
        self,
        module: Any,
        path: str,
        attribute: str,
        *,
        factor: float = 1.0,
        power: float = 1.0,
        default_bounds: tuple[float, float] = _DEFAULT_BOUNDS,
    ) -> Parameter:
        """Read a positive parameter p as the hyperparameter factor·p^power.

        Parameters
        ----------
        module : gpytorch.Module
            Whose parameter it is.
        path : str
            Name of the module in its model, for errors.
        attribute : str
            Name of the parameter.
        factor, power : float, default=1.0
            Both positive.
        default_bounds : tuple of float, default=(1e-5, 1e5)
            Bounds where the constraint sets none; they are widened to contain the value.

        Returns
        -------
        Parameter

        Raises
        ------
        InvalidInputError
            If a value is not positive and finite.
        """
        name = f"{path}.{attribute}"
        found = self.value(module, attribute)
        if not (np.isfinite(found) & (found > 0.0)).all():
            raise InvalidInputError(
                f"{name} must be positive and finite, got {found.ravel().tolist()}. Train the "
                "model again, or set it."
            )
        raw = getattr(module, f"raw_{attribute}")
        self._note_sharing(raw, name)
        values = factor * found.ravel() ** power
        limits = None
        if raw.requires_grad:
            constraint = getattr(module, f"raw_{attribute}_constraint", None)
            theirs = _limits(constraint, found.shape)
            limits = _widen(factor * theirs**power, values, default_bounds)
        priors = self._priors(module, path, attribute, found.shape, (factor, power))
        return Parameter(values, limits, priors if limits is not None else (None,) * len(values))

    def note_unused_priors(self, root: Any, path: str) -> None:
        """Add a remark for each prior in a module that no parameter took."""
        for name, module in root.named_modules(prefix=path):
            for prior_name, (prior, *_) in getattr(module, "_priors", {}).items():
                if f"{name}.{prior_name}" not in self._used_priors:
                    self.remarks.append(
                        f"the prior {name}.{prior_name}, {type(prior).__name__}, is left out"
                    )

    def _note_sharing(self, raw: Any, name: str) -> None:
        other = self._path_of_tensor.setdefault(id(raw), name)
        if other != name and raw.requires_grad:
            self.remarks.append(f"{name} and {other} are one parameter, but will be trained apart")

    def _priors(
        self,
        module: Any,
        path: str,
        attribute: str,
        shape: tuple[int, ...],
        transform: tuple[float, float],
    ) -> tuple[Distribution | None, ...]:
        """Return the prior of each value."""
        found: Sequence[Distribution | None] = (None,) * int(np.prod(shape))
        for name, (prior, closure, *_) in module._priors.items():
            if _target(module, name, closure) != attribute:
                continue
            translated = _translate(prior, shape, *transform)
            if translated is not None:
                self._used_priors.add(f"{path}.{name}")
                found = translated
        return tuple(found)


def _in_double(constraint: Any) -> Any:
    """Return a copy of a constraint whose ends are of double precision."""
    return copy.deepcopy(constraint).cpu().double()


def _limits(constraint: Any, shape: tuple[int, ...]) -> Float64Array:
    """Return the ends of a constraint for each value: shape (c, 2)."""
    if constraint is None:
        return np.tile([0.0, np.inf], (int(np.prod(shape)), 1))
    ends = (as_float64(constraint.lower_bound), as_float64(constraint.upper_bound))
    return np.stack([np.maximum(np.broadcast_to(end, shape).ravel(), 0.0) for end in ends], axis=1)


def _widen(
    limits: Float64Array, values: Float64Array, default_bounds: tuple[float, float]
) -> Float64Array:
    """Put default bounds where there are none, and let all of them contain the values."""
    lower = np.where(limits[:, 0] > 0.0, limits[:, 0], np.minimum(default_bounds[0], 0.1 * values))
    upper = np.where(
        np.isfinite(limits[:, 1]), limits[:, 1], np.maximum(default_bounds[1], 10.0 * values)
    )
    return np.stack([np.minimum(lower, values), np.maximum(upper, values)], axis=1)


def _target(module: Any, name: str, closure: Callable[[Any], Any]) -> str | None:
    """Return which parameter of a module a prior is of; None if that cannot be told.

    GPyTorch keeps a function that computes what the prior is of, so it is the parameter with this
    value.
    """
    value = closure(module)
    equal = [
        attribute
        for attribute in (raw.removeprefix("raw_") for raw in module._parameters)
        if _is_equal(getattr(module, attribute, None), value)
    ]
    if name.removesuffix("_prior") in equal:
        return name.removesuffix("_prior")
    return equal[0] if len(equal) == 1 else None


def _is_equal(mine: Any, yours: Any) -> bool:
    return mine is not None and mine.shape == yours.shape and bool((mine == yours).all())


def _translate(
    prior: Any, shape: tuple[int, ...], factor: float, power: float
) -> list[Distribution] | None:
    """Return the distribution of factor·p^power for each p with this prior; None if unknown."""
    family = kind(prior)
    if family not in _FAMILIES or getattr(prior, "_transform", None) is not None:
        return None
    names, make = _FAMILIES[family]
    try:
        columns = [np.broadcast_to(as_float64(getattr(prior, name)), shape) for name in names]
    except ValueError:  # a batch of priors
        return None
    rows = zip(*(column.ravel().tolist() for column in columns), strict=True)
    made = [make(*row, factor, power) for row in rows]
    return None if None in made else made


def _normal(loc: float, scale: float, factor: float, power: float) -> Any:
    return stats.norm(factor * loc, factor * scale) if power == 1.0 else None


def _half_normal(scale: float, factor: float, power: float) -> Any:
    return stats.halfnorm(scale=factor * scale) if power == 1.0 else None


def _half_cauchy(scale: float, factor: float, power: float) -> Any:
    return stats.halfcauchy(scale=factor * scale) if power == 1.0 else None


def _uniform(low: float, high: float, factor: float, power: float) -> Any:
    return stats.uniform(factor * low, factor * (high - low)) if power == 1.0 else None


def _log_normal(loc: float, scale: float, factor: float, power: float) -> Any:
    return stats.lognorm(power * scale, scale=factor * np.exp(power * loc))


def _gamma(concentration: float, rate: float, factor: float, power: float) -> Any:
    if power == 1.0:
        return stats.gamma(concentration, scale=factor / rate)
    return stats.gengamma(concentration, 1.0 / power, scale=factor * rate**-power)


_FAMILIES: dict[str, tuple[tuple[str, ...], Callable[..., Any]]] = {
    "NormalPrior": (("loc", "scale"), _normal),
    "HalfNormalPrior": (("scale",), _half_normal),
    "HalfCauchyPrior": (("scale",), _half_cauchy),
    "UniformPrior": (("low", "high"), _uniform),
    "LogNormalPrior": (("loc", "scale"), _log_normal),
    "GammaPrior": (("concentration", "rate"), _gamma),
}
