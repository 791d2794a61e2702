"""Hyperparameters of all members of a batch, as one immutable value."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from gprat import _validation as validation
from gprat._validation import Float64Array
from gprat.engines.batch import Likelihoods, Settings
from gprat.exceptions import InvalidInputError
from gprat.gp.state import limit_bounds
from gprat.kernels import Program
from gprat.kernels.program import from_theta
from gprat.noise import IntArray
from gprat.optimize.task import BoolArray

__all__ = ["BatchHyperparameters", "check_noise", "check_range", "check_theta"]


@dataclass(frozen=True, slots=True, eq=False)
class BatchHyperparameters:
    """Each member's hyperparameters.

    Parameters
    ----------
    program : Program
        The kernel, with its fixed hyperparameters.
    kernel_theta : ndarray of shape (b, k)
        The free ones of the kernel, as `Program.theta` has them.
    noise : ndarray of shape (b,)
        Noise variances.
    log_noise_bounds : tuple of float or None
        Bounds of their logarithms; None if they are fixed.
    """

    program: Program
    kernel_theta: Float64Array
    noise: Float64Array
    log_noise_bounds: tuple[float, float] | None

    @property
    def theta(self) -> Float64Array:
        """The free hyperparameters, shape (b, p): the kernel's, then the noise; a new array."""
        if self.log_noise_bounds is None:
            return self.kernel_theta.copy()
        return np.column_stack([self.kernel_theta, np.log(self.noise)])

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns of theta."""
        program = self.program
        free = zip(program.names, program.is_free, strict=True)
        noise = () if self.log_noise_bounds is None else ("noise_variance",)
        return (*(name for name, is_free in free if is_free), *noise)

    @property
    def is_log(self) -> BoolArray:
        """Which columns of theta are logarithms."""
        of_kernel = self.program.is_log[self.program.is_free]
        noise = np.ones(0 if self.log_noise_bounds is None else 1, dtype=bool)
        return np.concatenate([of_kernel, noise])

    @property
    def bounds(self) -> Float64Array:
        """Lower and upper bounds of theta, shape (p, 2), the same for all members."""
        if self.log_noise_bounds is None:
            return self.program.bounds.copy()
        return np.vstack([self.program.bounds, self.log_noise_bounds])

    @property
    def finite_bounds(self) -> Float64Array:
        """Bounds within which theta is valid."""
        return limit_bounds(self.bounds, self.is_log)

    def with_theta(self, theta: Float64Array) -> BatchHyperparameters:
        """Return the same at another theta, shape (b, p)."""
        k = self.program.n_free
        noise = self.noise if self.log_noise_bounds is None else np.exp(theta[:, k])
        return replace(self, kernel_theta=theta[:, :k].copy(), noise=noise)

    def settings(self, members: IntArray, theta: Float64Array) -> Settings:
        """Return what the engine is told of some members, at theta, shape (r, p)."""
        program, k = self.program, self.program.n_free
        parameters = np.tile(program.parameters, (members.size, 1))
        values = from_theta(theta[:, :k], program.is_log[program.is_free])
        parameters[:, program.is_free] = values
        fixed = self.log_noise_bounds is None
        noise = self.noise[members] if fixed else np.exp(theta[:, k])
        return Settings(members.astype(np.int64, copy=False), parameters, noise)

    def theta_gradient(self, results: Likelihoods, settings: Settings) -> Float64Array:
        """Turn the derivatives that the engine gives into those by theta, shape (r, p)."""
        assert results.parameters is not None, "the gradient was asked for"
        assert results.noise is not None, "the gradient was asked for"
        # What overflows is for the caller to find.
        with np.errstate(all="ignore"):
            of_kernel = self.program.theta_gradient(results.parameters)
            if self.log_noise_bounds is None:
                return of_kernel
            return np.column_stack([of_kernel, settings.noise * results.noise])


def check_theta(theta: npt.ArrayLike, hyperparameters: BatchHyperparameters) -> Float64Array:
    """Return theta as a new array of shape (b, p); one for all members may be given."""
    names = hyperparameters.names
    shape = (len(hyperparameters.noise), len(names))
    array = validation.as_numbers(theta, "theta", np.dtype(np.float64))
    if array.shape not in (shape, shape[1:]):
        raise InvalidInputError(
            f"theta must have shape {shape}, one row a member with the logarithms of "
            f"{', '.join(names) or 'nothing'}; or {shape[1:]}, the same for all. Got shape "
            f"{array.shape}. See the properties theta and parameter_names."
        )
    values: Float64Array = np.array(np.broadcast_to(array, shape), dtype=np.float64)
    _check_range(values, hyperparameters)
    return values


def check_range(hyperparameters: BatchHyperparameters) -> BatchHyperparameters:
    """Return hyperparameters as they came, or refuse those for which no theta can stand."""
    _check_range(hyperparameters.theta, hyperparameters)
    return hyperparameters


def _check_range(values: Float64Array, hyperparameters: BatchHyperparameters) -> None:
    """Refuse theta, shape (b, p), whose exponentials would overflow or be zero."""
    names, is_log = hyperparameters.names, hyperparameters.is_log
    limit = np.where(is_log, validation.LARGEST_LOG, np.finfo(np.float64).max)
    good = np.abs(values) <= limit  # written so that NaN fails
    if not good.all():
        member, position = (int(i) for i in np.argwhere(~good)[0])
        what = "the logarithm of " if is_log[position] else ""
        raise InvalidInputError(
            f"member {member}: theta must hold numbers of at most {limit[position]:.3g} in size, "
            f"got {values[member, position]} for {what}{names[position]}."
        )


def check_noise(noise: Any, members: int, name: str, *, is_fixed: bool) -> Float64Array:
    """Return noise variances, shape (b,), from one for all members or one for each."""
    array = validation.as_numbers(noise, name, np.dtype(np.float64))
    if array.shape not in ((), (members,)):
        raise InvalidInputError(
            f"{name} must be one variance, or one for each of the {members} members, got shape "
            f"{array.shape}."
        )
    variances: Float64Array = np.array(np.broadcast_to(array, members), dtype=np.float64)
    good = np.isfinite(variances) & ((variances >= 0.0) if is_fixed else (variances > 0.0))
    if not good.all():
        member = int(np.argmin(good))
        where = "" if array.ndim == 0 else f"member {member}: "
        sign = "not negative" if is_fixed else "positive"
        raise InvalidInputError(
            f"{where}{name} is a variance and must be {sign} and finite, got {variances[member]}. "
            "For data without noise use a small value such as 1e-8 times the variance of y."
        )
    return variances
