"""All hyperparameters of a model, kernel and noise, as one immutable value."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from gprat._validation import Float64Array
from gprat.kernels import Program

__all__ = ["Hyperparameters"]


@dataclass(frozen=True, slots=True, eq=False)
class Hyperparameters:
    """The kernel's hyperparameters and the noise variance.

    Parameters
    ----------
    program : Program
        The kernel with its hyperparameters.
    noise : ndarray of shape (1,) or (n,), float64
        Noise variance of all rows, or of each row.
    log_noise_bounds : tuple of float or None
        Bounds of the logarithm of the noise variance; None if the noise is fixed.
    """

    program: Program
    noise: Float64Array
    log_noise_bounds: tuple[float, float] | None

    @property
    def theta(self) -> Float64Array:
        """Logarithms of the kernel's free hyperparameters, then of the noise unless fixed."""
        if self.log_noise_bounds is None:
            return self.program.theta
        return np.append(self.program.theta, math.log(self.noise[0]))

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the entries of theta."""
        free = zip(self.program.names, self.program.is_free, strict=True)
        names = tuple(name for name, is_free in free if is_free)
        return names if self.log_noise_bounds is None else (*names, "noise_variance")

    @property
    def bounds(self) -> Float64Array:
        """Lower and upper bounds of theta, shape (p, 2)."""
        if self.log_noise_bounds is None:
            return self.program.bounds.copy()
        return np.vstack([self.program.bounds, self.log_noise_bounds])

    def with_theta(self, theta: Float64Array) -> Hyperparameters:
        """Return the same model at another theta."""
        if self.log_noise_bounds is None:
            return replace(self, program=self.program.with_theta(theta))
        noise = np.exp(theta[-1:])
        return Hyperparameters(self.program.with_theta(theta[:-1]), noise, self.log_noise_bounds)

    def theta_gradient(self, kernel_gradient: Float64Array, noise_gradient: float) -> Float64Array:
        """Select the entries of theta from the derivatives that an engine gives."""
        gradient = self.program.theta_gradient(kernel_gradient)
        return gradient if self.log_noise_bounds is None else np.append(gradient, noise_gradient)
