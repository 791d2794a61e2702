"""What a batch holds: data, hyperparameters, and the factors that belong to them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from gprat import _validation as validation
from gprat._range import ensure_finite
from gprat._resources import check_memory_limit, check_threads
from gprat._validation import Float64Array, FloatArray
from gprat.batch.checks import OnFailure, check_dtype, check_on_failure, compile_for
from gprat.batch.hyperparameters import BatchHyperparameters, check_noise, check_range, check_theta
from gprat.batch.rows import Form, read_points, read_targets, which_are_finite
from gprat.engines.base import Problem
from gprat.engines.batch import (
    Batch,
    BatchPosterior,
    Cause,
    Likelihoods,
    Predictions,
    Settings,
)
from gprat.engines.registry import get_engine
from gprat.exceptions import (
    GpratError,
    InvalidInputError,
    NotPositiveDefiniteError,
    RankDeficientTrendError,
)
from gprat.gp.state import NoiseBounds, default_kernel
from gprat.kernels import Kernel
from gprat.kernels.python_program import copy_compiled
from gprat.means import MeanLike, as_mean
from gprat.noise import IntArray
from gprat.priors import Distribution, as_priors

__all__ = ["BatchState"]


class BatchState:
    """Data and hyperparameters of a batch; `gprat.GPBatch` documents the arguments.

    What changes is replaced by one assignment, so that other threads see the old or the new.
    """

    def __init__(
        self,
        X: Any,
        y: Any,
        kernel: Kernel | None,
        noise: npt.ArrayLike,
        *,
        noise_bounds: NoiseBounds,
        mean: MeanLike,
        priors: Mapping[str, Distribution] | None,
        on_failure: OnFailure,
        threads: int | None,
        dtype: npt.DTypeLike | None,
        memory_limit: int | None,
    ) -> None:
        self._on_failure = check_on_failure(on_failure)
        self._dtype = check_dtype(dtype, X)
        self._threads = check_threads(threads)
        self._memory_limit = check_memory_limit(memory_limit)
        self._points = read_points(X, self._dtype)
        self._y = read_targets(y, self._points, self._dtype)
        self._mean_as_given, self._mean = mean, as_mean(mean)
        self._data_errors = self._find_data_errors()
        self._basis, self._targets = self._make_data()
        self._kernel = default_kernel() if kernel is None else kernel
        program = compile_for(self._kernel, self.n_features)
        self._kernel = copy_compiled(self._kernel)
        self._noise_bounds = noise_bounds
        log_bounds = validation.check_noise_bounds(noise_bounds)
        self._hyperparameters = check_range(
            BatchHyperparameters(
                program,
                np.tile(program.theta, (len(self), 1)),
                check_noise(noise, len(self), "noise", is_fixed=log_bounds is None),
                log_bounds,
            )
        )
        self._priors_as_given = dict(priors) if isinstance(priors, Mapping) else priors
        self._priors = as_priors(
            self._priors_as_given,
            self._hyperparameters.names,
            self._hyperparameters.is_log,
            self._hyperparameters.finite_bounds,
        )
        self._start_working_state()

    def _start_working_state(self) -> None:
        """Make what belongs to this process: the data in the core, and what it computed."""
        self._core = Batch(
            self._points.values,
            self._targets,
            self._basis,
            self._points.offsets,
            self._hyperparameters.program,
            self._threads,
            self._memory_limit,
        )
        self._posterior: tuple[BatchHyperparameters, BatchPosterior] | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Leave the factors behind: the copy computes its own when it needs them."""
        working = {"_core", "_posterior"}
        return {name: value for name, value in self.__dict__.items() if name not in working}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._start_working_state()

    def __len__(self) -> int:
        if self._points.form is Form.SHARED:
            return self._y.size // int(self._points.offsets[1])
        return self._points.offsets.size - 1

    # Hyperparameters

    @property
    def theta(self) -> Float64Array:
        """The free hyperparameters, shape (b, p): each member's kernel's, then its noise.

        On the scale of `gprat.GP.theta`: logarithms, but for hyperparameters that may be negative.
        May be set, also to the same p for all members.
        """
        return self._hyperparameters.theta

    @theta.setter
    def theta(self, theta: npt.ArrayLike) -> None:
        self._adopt(self._hyperparameters.with_theta(check_theta(theta, self._hyperparameters)))

    @property
    def parameter_names(self) -> tuple[str, ...]:
        """Names of the columns of `theta`: scikit-learn's, and "noise_variance" at the end."""
        return self._hyperparameters.names

    @property
    def bounds(self) -> Float64Array:
        """Lower and upper bounds of `theta`, shape (p, 2), the same for all members."""
        return self._hyperparameters.bounds

    @property
    def noise_variance(self) -> Float64Array:
        """Noise variance of each member, shape (b,): read-only; may be set, to one for all too."""
        return validation.read_only(self._hyperparameters.noise)

    @noise_variance.setter
    def noise_variance(self, noise: npt.ArrayLike) -> None:
        is_fixed = self._hyperparameters.log_noise_bounds is None
        variances = check_noise(noise, len(self), "noise_variance", is_fixed=is_fixed)
        self._adopt(check_range(replace(self._hyperparameters, noise=variances)))

    # Data and resources

    @property
    def n_features(self) -> int:
        """Number of columns of the training inputs."""
        return int(self._points.values.shape[1])

    @property
    def n_rows(self) -> npt.NDArray[np.int64]:
        """How many training points each member has, shape (b,)."""
        return self._points.counts(len(self)).copy()

    @property
    def dtype(self) -> np.dtype[Any]:
        """Precision of the computation and of the results."""
        return self._dtype

    @property
    def threads(self) -> int | None:
        """The most threads for this batch; None for all that the runtime has."""
        return self._threads

    @property
    def memory_limit(self) -> int | None:
        """The most bytes that a computation of this batch may take; None for what there is."""
        return self._memory_limit

    @property
    def on_failure(self) -> OnFailure:
        """What becomes of members that have no result: "raise" or "nan"."""
        return self._on_failure

    def errors(self, theta: npt.ArrayLike | None = None) -> dict[int, GpratError]:
        """Say which members have no likelihood, and why.

        Parameters
        ----------
        theta : array-like of shape (b, p) or (p,), default=None
            Hyperparameters; None for the current ones.

        Returns
        -------
        dict of int to GpratError
            From the numbers of members to the error that a `gprat.GP` of that member would raise;
            empty if all is well.

        Examples
        --------
        >>> from gprat import GPBatch
        >>> batch = GPBatch([[[0.0], [9.0]], [[2.0], [2.0]]], [[1.0, 2.0]] * 2, noise=1e-30)
        >>> print(batch.errors()[1])
        member 1: the covariance matrix is not positive definite: ...
        """
        hyperparameters = self._at_theta(theta)
        settings = self._settings(hyperparameters)
        results = self._core.evaluate(settings, gradient=False)
        found = {
            int(settings.members[place]): self._explain(settings, int(place), results)
            for place in np.flatnonzero(results.have_failed)
        }
        return dict(sorted({**self._data_errors, **found}.items()))

    # What the other parts of a batch build on

    def _usable(self) -> IntArray:
        """Return the members whose data can be computed with."""
        members = np.arange(len(self))
        return members[~np.isin(members, list(self._data_errors))] if self._data_errors else members

    def _settings(self, hyperparameters: BatchHyperparameters) -> Settings:
        members = self._usable()
        return hyperparameters.settings(members, hyperparameters.theta[members])

    def _at_theta(self, theta: npt.ArrayLike | None) -> BatchHyperparameters:
        """Return the same object where theta is None."""
        current = self._hyperparameters
        return current if theta is None else current.with_theta(check_theta(theta, current))

    def _adopt(self, hyperparameters: BatchHyperparameters) -> None:
        self._hyperparameters = hyperparameters
        self._posterior = None

    def _conditioned(self) -> tuple[BatchHyperparameters, BatchPosterior]:
        """Return the posterior at the current hyperparameters, which is kept."""
        known, hyperparameters = self._posterior, self._hyperparameters
        if known is None or known[0] is not hyperparameters:
            posterior = self._core.condition(self._settings(hyperparameters))
            self._posterior = known = (hyperparameters, posterior)
        return known

    def _row_offset(self, member: int) -> int:
        """Return where a member's targets begin."""
        if self._points.form is Form.SHARED:
            return member * int(self._points.offsets[1])
        return int(self._points.offsets[member])

    def _targets_of(self, member: int, targets: FloatArray) -> FloatArray:
        first = self._row_offset(member)
        return targets[first : first + len(self._points.of(member))]

    def _raise_first(self, settings: Settings, results: Likelihoods | Predictions) -> None:
        """Raise the error of the first member that failed, if any did."""
        places = np.flatnonzero(results.have_failed)
        if places.size:
            raise self._explain(settings, int(places[0]), results)

    def _explain(
        self, settings: Settings, place: int, results: Likelihoods | Predictions
    ) -> GpratError:
        """Return the error that the member meets as a model of its own."""
        member, (cause, position) = int(settings.members[place]), results.failures[place].tolist()
        if cause == Cause.NONE:
            what, nothing = "log marginal likelihood", np.array(np.nan)
            error = _error_of(lambda: ensure_finite(what, self._dtype, nothing))
            assert error is not None, "NaN is not finite"
            return _of_member(member, error)
        rows = self._points.slice_of(member)
        n = rows.stop - rows.start
        problem = Problem(
            self._points.values[rows],
            self._targets_of(member, self._targets).reshape(n, 1),
            self._basis[rows],
            self._mean.names(self.n_features),
            replace(self._hyperparameters.program, parameters=settings.parameters[place].copy()),
            settings.noise[place : place + 1].copy(),
            n,
            1,
        )
        error = _error_of(lambda: get_engine("cpu").factorise(problem).log_determinant())
        if error is None:  # other tiles, other rounding
            if cause == Cause.RANK_DEFICIENT:
                error = RankDeficientTrendError(problem.basis_names, position)
            else:
                message = f"the covariance matrix is not positive definite at row {position}."
                error = NotPositiveDefiniteError(message, position)
        return _of_member(member, error)

    def _find_data_errors(self) -> dict[int, GpratError]:
        """Refuse data that are no numbers, or too few; or remember whose they are."""
        coefficients = len(self._mean.names(self.n_features))
        if self._points.form is Form.SHARED:
            offsets = np.arange(len(self) + 1) * self._points.offsets[1]
            validation.check_training_inputs(self._points.values, self._dtype)
            good = which_are_finite(self._y, offsets)
        else:
            good = which_are_finite(self._points.values, self._points.offsets)
            good &= which_are_finite(self._y, self._points.offsets)
        good &= self.n_rows >= coefficients
        errors = {}
        for member in np.flatnonzero(~good):
            error = _error_of(partial(self._check_member, int(member), coefficients))
            assert error is not None, "it was found to be wrong"
            errors[int(member)] = _of_member(int(member), error)
        if errors and self._on_failure == "raise":
            raise next(iter(errors.values()))
        return errors

    def _check_member(self, member: int, coefficients: int) -> None:
        X = self._points.of(member)
        if coefficients > len(X):
            raise InvalidInputError(
                f"the mean has {coefficients} coefficients, more than the {len(X)} rows of X. Use "
                "a simpler mean."
            )
        validation.check_training_inputs(X, self._dtype)
        validation.check_rows(self._targets_of(member, self._y), "y", len(X), self._dtype)

    def _make_data(self) -> tuple[FloatArray, FloatArray]:
        """Return the basis functions of the trend, and the targets less the fixed mean."""
        X, y = self._points.values, self._y
        if self._data_errors:
            # What is no number is never computed with, but functions see these points too.
            X, y = (
                np.nan_to_num(X, posinf=0.0, neginf=0.0),
                np.nan_to_num(y, posinf=0.0, neginf=0.0),
            )
            self._points = replace(self._points, values=X)
        offset = self._mean.offset(X, 1)
        targets = y
        if offset is not None:
            with np.errstate(over="ignore"):
                targets = (y.reshape(-1, len(X)) - offset[:, 0]).astype(self._dtype).reshape(-1)
            ensure_finite("difference of y and the mean", self._dtype, targets)
        return self._basis_at(X), targets

    def _basis_at(self, points: FloatArray) -> FloatArray:
        with np.errstate(over="ignore"):
            basis = np.ascontiguousarray(self._mean.basis(points), dtype=self._dtype)
        ensure_finite("values of the mean's basis functions", self._dtype, basis)
        return basis


def _error_of(function: Callable[[], object]) -> GpratError | None:
    try:
        function()
    except GpratError as error:
        return error
    return None


def _of_member(member: int, error: GpratError) -> GpratError:
    """Say in the error whose it is."""
    error.args = (f"member {member}: {error}", *error.args[1:])
    return error
