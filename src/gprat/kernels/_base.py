"""What gprat's own kernels share: hyperparameters, theta and bounds, comparison and repr.

scikit-learn's ``theta`` holds logarithms of numbers and vectors. Here a hyperparameter may also be
a matrix, or have any sign: then theta holds the value itself. scikit-learn's operators ask the
kernels inside for their ``theta`` and ``bounds``, so that these kernels nest in them.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from sklearn.gaussian_process.kernels import (
    Exponentiation,
    Hyperparameter,
    Kernel,
    KernelOperator,
)

from gprat.exceptions import InvalidInputError
from gprat.kernels.program import from_theta, to_theta

__all__ = [
    "BoolArray",
    "Bounds",
    "Float64Array",
    "GpratKernel",
    "format_values",
    "hyperparameter",
    "theta_is_log",
]

Float64Array = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
Bounds = Any  # "fixed", a pair, or one pair a value


def theta_is_log(kernel: Kernel) -> BoolArray:
    """Return which entries of ``kernel.theta`` are logarithms; shape (n_dims,).

    All but those that a kernel of gprat holds as themselves. What a kernel of an unknown class
    keeps inside is unknown, and follows scikit-learn's convention.

    Examples
    --------
    >>> from gprat.kernels import RBF, Linear
    >>> theta_is_log(RBF() * Linear(centre_bounds=(-1, 1)))
    array([ True, False,  True])
    """
    if isinstance(kernel, GpratKernel):
        return kernel._theta_is_log()
    if isinstance(kernel, KernelOperator):
        return np.concatenate([theta_is_log(kernel.k1), theta_is_log(kernel.k2)])
    if isinstance(kernel, Exponentiation):
        return theta_is_log(kernel.kernel)
    return np.ones(len(kernel.theta), dtype=bool)


def hyperparameter(name: str) -> property:
    """Make the property by which a kernel tells scikit-learn of its hyperparameter `name`."""

    def describe(kernel: Kernel) -> Hyperparameter:
        value, bounds = getattr(kernel, name), getattr(kernel, f"{name}_bounds")
        return Hyperparameter(name, "numeric", bounds, np.size(value))

    return property(describe, doc=f"{name}, for scikit-learn.")


class GpratKernel(Kernel):
    """Base class of gprat's own kernels.

    Hyperparameters are declared as in scikit-learn: an argument ``name``, one ``name_bounds``, and
    a property ``hyperparameter_name``, which `hyperparameter` makes. Kernels inside are arguments
    named in `parts`.
    """

    parts: ClassVar[tuple[str, ...]] = ()
    """Arguments that are kernels; their hyperparameters precede those of this kernel."""

    real_valued: ClassVar[tuple[str, ...]] = ()
    """Hyperparameters that may have any sign: theta and its bounds hold the value itself."""

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the arguments by name and, if `deep`, those of the kernels inside."""
        params: dict[str, Any] = super().get_params()
        if deep:
            for part, kernel in self._inside():
                params |= {f"{part}__{k}": v for k, v in kernel.get_params().items()}
        return params

    @property
    def hyperparameters(self) -> list[Hyperparameter]:
        """Hyperparameters of the kernels inside, then one's own in the order of their names."""
        inside = [
            Hyperparameter(f"{part}__{h.name}", h.value_type, h.bounds, h.n_elements)
            for part, kernel in self._inside()
            for h in kernel.hyperparameters
        ]
        return inside + self._own()

    @property
    def theta(self) -> Float64Array:
        """Free hyperparameters, as logarithms unless real-valued; shape (n_dims,)."""
        values = [np.empty(0), *(np.ravel(getattr(self, h.name)) for h in self._own_free())]
        own = to_theta(np.concatenate(values).astype(np.float64), self._own_is_log())
        return np.concatenate([*(kernel.theta for _, kernel in self._inside()), own])

    @theta.setter
    def theta(self, theta: npt.ArrayLike) -> None:
        entries = np.asarray(theta, dtype=np.float64)
        if entries.shape != (self.n_dims,):
            raise InvalidInputError(
                f"theta of {type(self).__name__} must have shape ({self.n_dims},), got shape "
                f"{entries.shape}"
            )
        start = 0
        for _, kernel in self._inside():
            stop = start + kernel.n_dims
            kernel.theta = entries[start:stop]
            start = stop
        values, start = from_theta(entries[start:], self._own_is_log()), 0
        for hyperparameter in self._own_free():
            stop = start + hyperparameter.n_elements
            shape = np.shape(getattr(self, hyperparameter.name))
            setattr(self, hyperparameter.name, values[start:stop].reshape(shape)[()])
            start = stop

    @property
    def bounds(self) -> Float64Array:
        """Lower and upper bounds of `theta`, shape (n_dims, 2)."""
        inside = [np.reshape(kernel.bounds, (-1, 2)) for _, kernel in self._inside()]
        limits = np.vstack([np.empty((0, 2)), *(h.bounds for h in self._own_free())])
        is_log = np.broadcast_to(self._own_is_log()[:, np.newaxis], limits.shape)
        with np.errstate(divide="ignore"):
            return np.vstack([*inside, to_theta(limits, is_log)])

    def __eq__(self, other: object) -> bool:
        """Compare class and arguments."""
        if not isinstance(other, GpratKernel) or type(self) is not type(other):
            return False
        mine, yours = self.get_params(deep=False), other.get_params(deep=False)
        return all(_is_same(mine[name], yours[name]) for name in mine)

    def __repr__(self) -> str:
        """Show class and hyperparameters, to three digits."""
        values = (f"{h.name}={format_values(getattr(self, h.name))}" for h in self._own())
        return f"{type(self).__name__}({', '.join([*self._repr_first(), *values])})"

    def _repr_first(self) -> list[str]:
        """List what `repr` shows before the hyperparameters."""
        return []

    def _inside(self) -> list[tuple[str, Kernel]]:
        return [(part, getattr(self, part)) for part in self.parts]

    def _own(self) -> list[Hyperparameter]:
        own: list[Hyperparameter] = super().hyperparameters
        return own

    def _own_free(self) -> list[Hyperparameter]:
        return [h for h in self._own() if not h.fixed]

    def _own_is_log(self) -> BoolArray:
        flags = [np.full(h.n_elements, h.name not in self.real_valued) for h in self._own_free()]
        return np.concatenate([np.empty(0, dtype=bool), *flags])

    def _theta_is_log(self) -> BoolArray:
        return np.concatenate(
            [*(theta_is_log(kernel) for _, kernel in self._inside()), self._own_is_log()]
        )


def _is_same(mine: Any, yours: Any) -> bool:
    if isinstance(mine, Kernel):
        return bool(mine == yours)
    return bool(np.array_equal(mine, yours))


def format_values(values: Any) -> str:
    array = np.asarray(values)
    if array.ndim == 0:
        return f"{float(array):.3g}"
    return f"[{', '.join(format_values(value) for value in array)}]"
