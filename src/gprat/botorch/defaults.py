"""What a model of BoTorch starts with: kernel, noise and priors."""

from __future__ import annotations

import math

from scipy.stats import lognorm

from gprat.kernels import RBF
from gprat.priors import Distribution

__all__ = ["INITIAL_NOISE", "NOISE_BOUNDS", "default_kernel", "default_priors"]

# Parameters of the log-normal priors of Hvarfner, Hellsten and Nardi, "Vanilla Bayesian
# Optimization Performs Great in High Dimensions" (2024), which BoTorch uses.
_LENGTH_SCALE = (math.sqrt(2.0), math.sqrt(3.0))
_NOISE = (-4.0, 1.0)

_LENGTH_SCALE_BOUNDS = (2.5e-2, 1e5)
NOISE_BOUNDS = (1e-4, 1e5)


def _log_normal_of_theta(location: float, scale: float) -> tuple[float, Distribution]:
    """Return the mode of a log-normal density, and the prior that has it there in theta.

    BoTorch adds the logarithm of the density of a hyperparameter φ to the likelihood as it stands,
    with its mode at exp(location − scale²). gprat's training maximises the density of θ = log φ,
    which is the same function of φ, but for a constant, if the location is less by scale².
    """
    mode = math.exp(location - scale**2)
    return mode, lognorm(scale, scale=mode)


def _length_scale(d: int) -> tuple[float, Distribution]:
    location, scale = _LENGTH_SCALE
    return _log_normal_of_theta(location + 0.5 * math.log(d), scale)


INITIAL_NOISE, _NOISE_PRIOR = _log_normal_of_theta(*_NOISE)


def default_kernel(d: int) -> RBF:
    """Return a squared exponential of variance 1 with a length scale for each of d features."""
    mode, _ = _length_scale(d)
    return RBF([mode] * d if d > 1 else mode, _LENGTH_SCALE_BOUNDS)


def default_priors(d: int, *, kernel: bool, noise: bool) -> dict[str, Distribution]:
    """Return the priors of the default kernel's length scales, and of the noise."""
    priors = {}
    if kernel:
        priors["length_scale"] = _length_scale(d)[1]
    if noise:
        priors["noise_variance"] = _NOISE_PRIOR
    return priors
