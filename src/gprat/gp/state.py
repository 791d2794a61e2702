"""What a model holds: data, hyperparameters, and the factor that belongs to them."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Mapping
from typing import Any, Literal, Self, TypeAlias

import numpy as np
import numpy.typing as npt

from gprat import _validation as validation
from gprat._hyperparameters import Hyperparameters
from gprat._range import ensure_finite
from gprat._resources import check_memory_limit, check_threads, tile_size_for
from gprat._validation import Float64Array, FloatArray
from gprat.engines.base import Engine, Objective, Posterior, Problem
from gprat.engines.registry import get_engine
from gprat.exceptions import InvalidInputError
from gprat.gp.data import Data
from gprat.kernels import RBF, ConstantKernel, Kernel, compile, plain_clone
from gprat.kernels.python_program import copy_compiled
from gprat.means import MeanLike, as_mean
from gprat.noise import make_noise
from gprat.optimize.adam import Moments
from gprat.priors import Distribution, Priors, as_priors

__all__ = [
    "OBJECTIVES",
    "ModelState",
    "NoiseBounds",
    "default_kernel",
    "finite_bounds",
    "limit_bounds",
]

NoiseBounds: TypeAlias = tuple[float, float] | Literal["fixed"]

OBJECTIVES = {
    "log_marginal_likelihood": Objective.MARGINAL_LIKELIHOOD,
    "leave_one_out": Objective.LEAVE_ONE_OUT,
}


class _Models:
    """Models whose locks a forked child makes anew: who holds one stays in the parent.

    Unlike a `WeakSet` it runs no code when a model goes: Python loses a Ctrl-C that comes there.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._references: list[weakref.ref[ModelState]] = []
        self._next_sweep = 64

    def add(self, model: ModelState) -> None:
        """Take a new model into account, for as long as it lives."""
        with self._lock:
            if len(self._references) >= self._next_sweep:
                self._references = [
                    reference for reference in self._references if reference() is not None
                ]
                self._next_sweep = max(64, 2 * len(self._references))
            self._references.append(weakref.ref(model))

    def make_locks(self) -> None:
        """Make all locks anew."""
        self._lock = threading.Lock()
        for reference in self._references:
            if (model := reference()) is not None:
                model._make_locks()


_models = _Models()


class ModelState:
    """Data, hyperparameters and the kept factor of a model; `gprat.GP` documents the arguments."""

    # Also that of models from files of pickle that know of none.
    _memory_limit: int | None = None

    def __init__(
        self,
        X: npt.ArrayLike,
        y: npt.ArrayLike,
        kernel: Kernel | None,
        noise: float | npt.ArrayLike,
        *,
        noise_bounds: NoiseBounds,
        known_noise: npt.ArrayLike | None,
        noise_groups: npt.ArrayLike | None,
        mean: MeanLike,
        priors: Mapping[str, Distribution] | None,
        objective: str,
        tile_size: int | Literal["auto"],
        threads: int | None,
        dtype: npt.DTypeLike | None,
        memory_limit: int | None = None,
        engine: str | Engine = "cpu",
        client: Any = None,
    ) -> None:
        self._engine = get_engine(engine, client)
        self._dtype = validation.check_dtype(dtype, X)
        self._X = validation.check_training_inputs(X, self._dtype)
        n, d = self._X.shape
        self._Y = validation.check_rows(y, "y", n, self._dtype)
        self._has_vector_targets = np.ndim(y) == 1
        self._threads = check_threads(threads)
        self._memory_limit = check_memory_limit(memory_limit)
        self._tile_size_is_automatic = isinstance(tile_size, str)
        self._tile_size = tile_size_for(tile_size, n, self._dtype)
        self._objective = _check_objective(objective)
        self._mean_as_given = mean
        self._mean = as_mean(mean)
        self._check_coefficients(n)
        self._data = self._make_data(self._X, self._Y)

        self._kernel = default_kernel() if kernel is None else kernel
        program = compile(self._kernel, d)
        self._kernel = (copy_compiled if program.is_compiled else plain_clone)(self._kernel)
        log_bounds = validation.check_noise_bounds(noise_bounds)
        self._hyperparameters = Hyperparameters(
            program, make_noise(noise, known_noise, noise_groups, n, log_bounds)
        )
        self._log_noise_bounds = log_bounds
        # A copy: they are read again when the noise is set, and the caller's may have changed.
        self._priors_by_name = dict(priors) if isinstance(priors, Mapping) else priors
        self._priors = self._make_priors(self._hyperparameters)

        self._start_working_state()

    def _start_working_state(self) -> None:
        """Make what belongs to this process: what the engine computed, and locks."""
        self._posterior: Posterior | None = None
        self._moments: Moments | None = None
        self._make_locks()
        _models.add(self)

    def _make_locks(self) -> None:
        # The first guards the state; the second is held while training, when others may predict.
        self._state_lock = threading.RLock()
        self._training_lock = threading.RLock()

    def __getstate__(self) -> dict[str, Any]:
        """Leave the factor and the engine behind: the copy computes on its own processors."""
        working = {"_engine", "_posterior", "_moments", "_state_lock", "_training_lock"}
        with self._state_lock:
            return {name: value for name, value in self.__dict__.items() if name not in working}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._engine = get_engine("cpu")
        self._start_working_state()

    def __copy__(self) -> Self:
        """Share data and factor: neither changes, and what one model takes in, the other lacks."""
        other = type(self).__new__(type(self))
        with self._state_lock:
            other.__setstate__(self.__getstate__())
            other._posterior = self._posterior
        return other

    # Hyperparameters

    @property
    def theta(self) -> Float64Array:
        """The free hyperparameters, shape (p,): the kernel's, then the noise.

        They are logarithms, but for hyperparameters that may be negative, such as the location of
        a `ChangePoint`, which stand as they are.
        """
        return self._hyperparameters.theta

    @theta.setter
    def theta(self, theta: npt.ArrayLike) -> None:
        with self._state_lock:
            hyperparameters = self._at_theta(theta)
            if hyperparameters is not self._hyperparameters:
                self._adopt(hyperparameters)

    @property
    def parameter_names(self) -> tuple[str, ...]:
        """Names of the entries of `theta`: scikit-learn's, and "noise_variance" at the end."""
        return self._hyperparameters.names

    @property
    def bounds(self) -> Float64Array:
        """Lower and upper bounds of `theta`, shape (p, 2)."""
        return self._hyperparameters.bounds

    @property
    def kernel(self) -> Kernel:
        """A scikit-learn kernel with the current hyperparameters; a new object each time."""
        return self._kernel.clone_with_theta(self._hyperparameters.program.theta)

    @property
    def noise_variance(self) -> float | Float64Array:
        """Noise variance of the targets, without `known_noise`.

        One number; or a read-only array, with one a group of `noise_groups` in the order of their
        sorted labels, or with the known one of each row. It may be set to a positive number, which
        then is trained within `noise_bounds`, or to an array with one a group, or with one for
        each row, which are fixed.
        """
        noise = self._hyperparameters.noise
        if noise.groups is None and noise.learned.size:
            return float(noise.learned[0])
        values = noise.learned if noise.groups is not None else noise.variances
        return validation.read_only(values)

    @noise_variance.setter
    def noise_variance(self, variance: float | npt.ArrayLike) -> None:
        with self._state_lock:
            old = self._hyperparameters.noise
            if old.groups is None:
                known = old.known if old.learned.size else None
                if known is not None and known.size == 1:
                    known = known[0]  # one for all rows
                n, bounds = self._X.shape[0], self._log_noise_bounds
                noise = make_noise(variance, known, None, n, bounds, "noise_variance")
            else:
                noise = old.with_group_variances(variance, "noise_variance")
            hyperparameters = Hyperparameters(self._hyperparameters.program, noise)
            self._priors = self._make_priors(hyperparameters)
            self._adopt(hyperparameters)

    # Data and resources

    @property
    def X(self) -> FloatArray:
        """Training inputs, shape (n, d): a read-only view."""
        return validation.read_only(self._X)

    @property
    def y(self) -> FloatArray:
        """Training targets, shape (n,) or (n, k): a read-only view."""
        return validation.read_only(self._as_targets(self._Y))

    @property
    def n_features(self) -> int:
        """Number of columns of the training inputs."""
        return int(self._X.shape[1])

    @property
    def tile_size(self) -> int:
        """Side of the tiles, in [1, n]."""
        return min(self._tile_size, int(self._X.shape[0]))

    @property
    def threads(self) -> int | None:
        """The most threads for this model; None for all that the runtime has."""
        return self._threads

    @property
    def dtype(self) -> np.dtype[Any]:
        """Precision of the computation and of the results."""
        return self._dtype

    @property
    def memory_limit(self) -> int | None:
        """The most bytes that a computation of this model may take; may be set."""
        return self._memory_limit

    @memory_limit.setter
    def memory_limit(self, memory_limit: int | None) -> None:
        memory_limit = check_memory_limit(memory_limit)
        with self._state_lock:
            self._memory_limit = memory_limit
            if self._posterior is not None:
                self._posterior = self._posterior.with_memory_limit(memory_limit)

    # What the other parts of a model build on

    def _make_data(self, X: FloatArray, Y: FloatArray) -> Data:
        offset = self._mean.offset(X, Y.shape[1])
        targets = Y
        if offset is not None:
            with np.errstate(over="ignore"):
                targets = (Y - offset).astype(self._dtype)
            ensure_finite("difference of y and the mean", self._dtype, targets)
        return Data(X, targets, self._basis_at(X), self._mean.names(X.shape[1]))

    def _check_coefficients(self, n: int) -> None:
        """Refuse so few rows that they cannot determine the coefficients of the mean."""
        count = len(self._mean.names(self.n_features))
        if count > n:
            raise InvalidInputError(
                f"the mean has {count} coefficients, more than the {n} rows of X. Use a simpler "
                "mean."
            )

    def _make_priors(self, hyperparameters: Hyperparameters) -> Priors:
        names, is_log = hyperparameters.names, hyperparameters.is_log
        if self._priors_by_name is None:
            return Priors((None,) * len(names), is_log)
        return as_priors(self._priors_by_name, names, is_log, finite_bounds(hyperparameters))

    def _basis_at(self, points: FloatArray) -> FloatArray:
        """Return the basis functions of the trend, shape (m, q), in the model's dtype."""
        with np.errstate(over="ignore"):
            basis = np.ascontiguousarray(self._mean.basis(points), dtype=self._dtype)
        ensure_finite("values of the mean's basis functions", self._dtype, basis)
        return basis

    def _as_targets(self, values: FloatArray) -> FloatArray:
        """Give an array of shape (m, k) the number of dimensions that the targets have."""
        return values[:, 0] if self._has_vector_targets else values

    def _problem(self, hyperparameters: Hyperparameters) -> Problem:
        return self._data.problem(
            hyperparameters, self.tile_size, self._threads, self._memory_limit
        )

    def _factor(self, hyperparameters: Hyperparameters) -> Posterior:
        """Return the posterior for these hyperparameters; keep it if they are the current ones."""
        with self._state_lock:
            if hyperparameters is not self._hyperparameters:
                return self._engine.factorise(self._problem(hyperparameters))
            if self._posterior is None:
                self._posterior = self._engine.factorise(self._problem(hyperparameters))
            return self._posterior

    def _posterior_at(self, theta: npt.ArrayLike | None = None) -> Posterior:
        """Return the posterior for theta, or for the current one."""
        with self._state_lock:
            return self._factor(self._at_theta(theta))

    def _at_theta(self, theta: npt.ArrayLike | None) -> Hyperparameters:
        """Return the same object where theta is None or what it already has."""
        current = self._hyperparameters
        if theta is None:
            return current
        values = validation.check_theta(theta, current.names, current.is_log)
        return current if (values == current.theta).all() else current.with_theta(values)

    def _adopt(self, hyperparameters: Hyperparameters) -> None:
        """Make these the current hyperparameters and forget what belonged to the old ones."""
        with self._state_lock:
            self._hyperparameters = hyperparameters
            self._posterior = None
            self._moments = None

    def _release(self) -> None:
        """Forget the kept factor: training needs its memory."""
        with self._state_lock:
            self._posterior = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_models.make_locks)


def finite_bounds(hyperparameters: Hyperparameters) -> Float64Array:
    """Return bounds within which theta is valid: those of (0, inf) are not."""
    return limit_bounds(hyperparameters.bounds, hyperparameters.is_log)


def limit_bounds(bounds: Float64Array, is_log: npt.NDArray[np.bool_]) -> Float64Array:
    """Return bounds of theta, shape (p, 2), without those that are too far out to be valid."""
    limit = np.where(is_log, validation.LARGEST_LOG, 1e150)[:, np.newaxis]
    limited: Float64Array = np.clip(bounds, -limit, limit)
    return limited


def default_kernel() -> Kernel:
    """Return the kernel of models that are made without one."""
    return ConstantKernel(1.0) * RBF(1.0)


def _check_objective(objective: Any) -> Objective:
    if not isinstance(objective, str) or objective not in OBJECTIVES:
        names = " or ".join(map(repr, OBJECTIVES))
        raise InvalidInputError(f"unknown objective {objective!r}: expected {names}.")
    return OBJECTIVES[objective]
