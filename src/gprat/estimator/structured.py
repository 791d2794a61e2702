"""Kernels of objects that are no vectors, such as texts, behind points that are.

An engine moves points around as rows of numbers. Objects are therefore numbered, and a kernel of
objects becomes one of their numbers, which is evaluated in Python.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from sklearn.gaussian_process.kernels import Kernel

from gprat._validation import Float64Array
from gprat.kernels._base import GpratKernel

__all__ = ["Registry", "RegistryKernel"]


class Registry:
    """Objects by number. Copies of a kernel share it, so it is never copied itself.

    Examples
    --------
    >>> registry = Registry()
    >>> points = registry.add(["to be", "or not"])
    >>> registry.objects(points[1:])
    ['or not']
    """

    def __init__(self) -> None:
        self._objects: dict[int, Any] = {}
        self._numbers = count()

    def __deepcopy__(self, memo: dict[int, Any]) -> Registry:
        return self

    def __getstate__(self) -> dict[str, Any]:
        return {"_objects": self._objects}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._objects = state["_objects"]
        self._numbers = count(max(self._objects, default=-1) + 1)

    def add(self, objects: Sequence[Any]) -> Float64Array:
        """Give objects numbers; return those as points, shape (n, 1)."""
        numbers = [next(self._numbers) for _ in objects]
        self._objects.update(zip(numbers, objects, strict=True))
        return np.array(numbers, dtype=np.float64).reshape(-1, 1)

    @contextmanager
    def visitors(self, objects: Sequence[Any]) -> Iterator[Float64Array]:
        """Give objects numbers for the length of a ``with`` block."""
        points = self.add(objects)
        try:
            yield points
        finally:
            for number in points[:, 0]:
                del self._objects[int(number)]

    def objects(self, points: npt.ArrayLike) -> list[Any]:
        """Return the objects that points of shape (n, 1) stand for."""
        return [self._objects[int(number)] for number in np.asarray(points)[:, 0]]


class RegistryKernel(GpratKernel):
    """A kernel of objects, as a kernel of their numbers.

    Parameters
    ----------
    kernel : Kernel
        The kernel of objects.
    registry : Registry
        Knows the objects.
    """

    parts: ClassVar[tuple[str, ...]] = ("kernel",)

    def __init__(self, kernel: Kernel, registry: Registry) -> None:
        self.kernel = kernel
        self.registry = registry

    def __call__(
        self, X: npt.ArrayLike, Y: npt.ArrayLike | None = None, eval_gradient: bool = False
    ) -> Any:
        """Return the covariances of the objects and, if asked, their gradient."""
        left = self.registry.objects(X)
        if eval_gradient:
            return self.kernel(left, eval_gradient=True)
        return self.kernel(left) if Y is None else self.kernel(left, self.registry.objects(Y))

    def diag(self, X: npt.ArrayLike) -> Float64Array:
        """Return the variance of each object."""
        variances: Float64Array = self.kernel.diag(self.registry.objects(X))
        return variances

    def is_stationary(self) -> bool:
        """Return whether the kernel inside is stationary."""
        return bool(self.kernel.is_stationary())

    def __repr__(self) -> str:
        """Show the kernel inside."""
        return repr(self.kernel)
