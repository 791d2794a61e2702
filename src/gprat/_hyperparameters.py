"""All hyperparameters of a model, kernel and noise, as one immutable value."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from gprat._validation import Float64Array
from gprat.kernels import KernelProgram
from gprat.noise import IntArray, Noise

__all__ = ["Hyperparameters"]


@dataclass(frozen=True, slots=True, eq=False)
class Hyperparameters:
    """The kernel with its hyperparameters, and the noise.

    Parameters
    ----------
    program : Program or PythonProgram
        The kernel with its hyperparameters.
    noise : Noise
        Variances of the targets.
    """

    program: KernelProgram
    noise: Noise

    @property
    def theta(self) -> Float64Array:
        """The free hyperparameters as training sees them: the kernel's, then those of the noise."""
        return np.concatenate([self.program.theta, self.noise.theta])

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the entries of theta."""
        free = zip(self.program.names, self.program.is_free, strict=True)
        return (*(name for name, is_free in free if is_free), *self.noise.names)

    @property
    def is_log(self) -> npt.NDArray[np.bool_]:
        """Which entries of theta are logarithms; the others are the hyperparameters themselves."""
        of_kernel = self.program.is_log[self.program.is_free]
        return np.concatenate([of_kernel, np.ones(len(self.noise.names), dtype=bool)])

    @property
    def bounds(self) -> Float64Array:
        """Lower and upper bounds of theta, shape (p, 2)."""
        return np.concatenate([self.program.bounds, self.noise.bounds])

    def with_theta(self, theta: Float64Array) -> Hyperparameters:
        """Return the same model at another theta."""
        p = self.program.n_free
        return Hyperparameters(self.program.with_theta(theta[:p]), self.noise.with_theta(theta[p:]))

    def theta_gradient(self, by_parameter: Float64Array, by_noise: Float64Array) -> Float64Array:
        """Turn the derivatives that an engine gives into those by theta."""
        return np.concatenate(
            [self.program.theta_gradient(by_parameter), self.noise.theta_gradient(by_noise)]
        )

    def select(self, rows: IntArray) -> Hyperparameters:
        """Return the model of some of the rows."""
        return replace(self, noise=self.noise.select(rows))
