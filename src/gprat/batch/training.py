"""Training all members of a batch at once, each on its own data."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, TypeVar, cast, overload

import numpy as np
import numpy.typing as npt

from gprat import _progress
from gprat import _validation as validation
from gprat._range import ensure_finite
from gprat._validation import Float64Array
from gprat.batch.hyperparameters import BatchHyperparameters
from gprat.batch.lockstep import Lockstep, Minima, Settings, Status
from gprat.batch.progress import BatchProgress
from gprat.batch.report import BatchReport
from gprat.batch.state import BatchState
from gprat.engines.batch import Likelihoods
from gprat.engines.batch import Settings as MemberSettings
from gprat.exceptions import ResultOverflowError, UnsupportedTypeError
from gprat.noise import IntArray
from gprat.optimize.report import near_bound
from gprat.priors import positions_of

__all__ = ["BatchIteration", "BatchTraining"]

_Array = TypeVar("_Array", bound=npt.NDArray[Any])

# Hyperparameters change by no more than a factor of exp(4) a step: farther away the parabola that
# is known here says nothing.
_LONGEST_STEP = 4.0


@dataclass(frozen=True, slots=True, eq=False)
class BatchIteration:
    """What a callback is told after each round.

    Parameters
    ----------
    n_rounds : int
        Number of rounds so far, from 1.
    n_running : int
        How many minimisations go on.
    loss : ndarray of shape (b,)
        The lowest loss of each member so far.
    theta : ndarray of shape (b, p)
        Where that was.
    """

    n_rounds: int
    n_running: int
    loss: Float64Array
    theta: Float64Array


# Returning True, or raising StopIteration, ends the training.
BatchCallback: TypeAlias = Callable[[BatchIteration], object]


class BatchTraining(BatchState):
    """The part of `gprat.GPBatch` that judges hyperparameters and learns them."""

    training_: BatchReport | None = None
    """What happened in the last training: prints as a table."""

    @overload
    def log_marginal_likelihood(
        self, theta: npt.ArrayLike | None = None, eval_gradient: Literal[False] = False
    ) -> Float64Array: ...
    @overload
    def log_marginal_likelihood(
        self, theta: npt.ArrayLike | None = None, *, eval_gradient: Literal[True]
    ) -> tuple[Float64Array, Float64Array]: ...
    @overload
    def log_marginal_likelihood(
        self, theta: npt.ArrayLike | None, eval_gradient: Literal[True]
    ) -> tuple[Float64Array, Float64Array]: ...
    def log_marginal_likelihood(
        self, theta: npt.ArrayLike | None = None, eval_gradient: bool = False
    ) -> Float64Array | tuple[Float64Array, Float64Array]:
        """Return each member's log marginal likelihood (R&W 2.30; with a trend 2.45).

        Parameters
        ----------
        theta : array-like of shape (b, p) or (p,), default=None
            Hyperparameters to evaluate at; None for the current ones. The batch does not change.
        eval_gradient : bool, default=False
            Whether to return the gradients with respect to theta too (R&W 5.9).

        Returns
        -------
        log_marginal_likelihood : ndarray of shape (b,), float64
            -inf for members that fail, if they may.
        gradient : ndarray of shape (b, p), float64
            Only if `eval_gradient`. NaN for members that fail, if they may.

        Raises
        ------
        NotPositiveDefiniteError
            If a member's covariance matrix has no Cholesky factor at theta.
        RankDeficientTrendError
            If basis functions of the trend depend on each other at a member's training points.
        ResultOverflowError
            If a gradient is outside the range of floating-point numbers.

        Examples
        --------
        >>> from gprat import GP, GPBatch
        >>> batch = GPBatch([[0.0], [1.0]], [[1.0, -1.0], [1.0, 1.0]], noise=0.5)
        >>> batch.log_marginal_likelihood().round(3)
        array([-3.273, -2.629])
        >>> round(GP([[0.0], [1.0]], [1.0, 1.0], noise=0.5).log_marginal_likelihood(), 3)
        -2.629
        """
        hyperparameters = self._at_theta(theta)
        settings = self._settings(hyperparameters)
        results = self._core.evaluate(settings, gradient=eval_gradient)
        if self._on_failure == "raise":
            self._raise_first(settings, results.failures)
        failed = results.failures[:, 0] != 0
        values = np.full(len(self), -np.inf)
        values[settings.members] = np.where(failed, -np.inf, results.values)
        if not eval_gradient:
            return values
        gradients = np.full((len(self), len(hyperparameters.names)), np.nan)
        by_theta = hyperparameters.theta_gradient(results, settings)
        by_theta[failed] = np.nan
        self._refuse_overflow_of(settings, results, by_theta, failed)
        gradients[settings.members] = by_theta
        values[np.isnan(gradients).any(axis=1)] = -np.inf
        return values, gradients

    def loss(self) -> Float64Array:
        """Return what training minimises: negative log marginal likelihoods, less log priors.

        Returns
        -------
        ndarray of shape (b,), float64
            In nats; infinite outside the support of a prior, and for members that fail, if they
            may.

        Examples
        --------
        >>> from gprat import GPBatch
        >>> batch = GPBatch([[0.0], [1.0]], [[1.0, -1.0], [1.0, 1.0]], noise=0.5)
        >>> batch.loss().round(3)
        array([3.273, 2.629])
        """
        return -self.log_marginal_likelihood() - self._priors.log_densities(self.theta)[0]

    def optimize(
        self,
        *,
        max_iter: int | None = None,
        n_restarts: int = 0,
        random_state: int | np.random.Generator | np.random.RandomState | None = None,
        fixed: Sequence[str] = (),
        callback: BatchCallback | None = None,
        progress: bool | None = None,
    ) -> BatchReport:
        """Train all members: minimise the loss of each over its hyperparameters, within bounds.

        By a quasi-Newton method that goes on for all members in step, so that one call evaluates
        all that are still at work. Every member takes the best hyperparameters that were seen, also
        when the callback, an error or Ctrl-C ends the training early; `training_` tells what
        happened. Trial hyperparameters at which a member has no loss are stepped back from.

        Parameters
        ----------
        max_iter : int, default=None
            The most iterations of a member, at least 1; None for 1000.
        n_restarts : int, default=0
            Further starts of each member, drawn from the priors, and where there are none
            uniformly between the bounds, of theta. The best result counts. All starts go on at the
            same time.
        random_state : int, Generator, RandomState or None, default=None
            Seed of the restarts. The same seed gives the same result for any number of threads.
        fixed : sequence of str, default=()
            Names of hyperparameters (`parameter_names`) that stay as they are this time.
        callback : callable, default=None
            Called after each round with an object that has the attributes n_rounds, n_running,
            loss and theta. Training ends if it returns True or raises StopIteration.
        progress : bool, default=None
            Whether to show a progress line; None: if standard error is a terminal.

        Returns
        -------
        gprat.batch.BatchReport
            The same as `training_`: each member's theta, loss, and whether it converged.

        Raises
        ------
        NotPositiveDefiniteError, RankDeficientTrendError, ResultOverflowError
            If a member has no loss at any of its starts, and `on_failure` is "raise"; the batch
            is as it was. Otherwise that member keeps its hyperparameters.
        InvalidInputError
            If there is no such hyperparameter, or an option makes no sense.

        Examples
        --------
        >>> import numpy as np
        >>> from gprat import GPBatch
        >>> X = np.linspace(0.0, 6.0, 40)[:, np.newaxis]
        >>> y = [np.sin(X[:, 0]), np.sin(2.0 * X[:, 0])] + 0.1 * np.cos(50.0 * X[:, 0])
        >>> batch = GPBatch(X, y)
        >>> report = batch.optimize()
        >>> batch.parameter_names[1], bool(batch.theta[0, 1] > batch.theta[1, 1])
        ('k2__length_scale', True)
        """
        options = validation.check_training_options(max_iter, None)
        rng = validation.check_random_state(random_state)
        n_others = validation.check_count(n_restarts, "n_restarts", "Pass 0 for none.")
        _check_options(callback, progress)
        start = self._hyperparameters
        left_out = {
            i for name in _as_names(fixed) for i in positions_of(name, start.names, "fixed")
        }
        active = np.array([i for i in range(len(start.names)) if i not in left_out], dtype=np.intp)
        return _Fit(self, start, active, int(options.get("max_iter", 1000))).run(
            n_others if active.size else 0, rng, callback, progress
        )

    def _losses(
        self, hyperparameters: BatchHyperparameters, members: IntArray, theta: Float64Array
    ) -> tuple[Float64Array, Float64Array]:
        """Return losses and gradients of some members, at theta, shape (r, p); infinite if none."""
        settings = hyperparameters.settings(members, theta)
        results = self._core.evaluate(settings, gradient=True)
        prior, by_prior = self._priors.log_densities(theta)
        loss = np.where(results.failures[:, 0] != 0, np.inf, -results.values - prior)
        return loss, -hyperparameters.theta_gradient(results, settings) - by_prior

    def _refuse_overflow_of(
        self,
        settings: MemberSettings,
        results: Likelihoods,
        gradient: Float64Array,
        failed: npt.NDArray[np.bool_],
    ) -> None:
        """Raise for members with derivatives that left the range, or mark them by NaN."""
        for place in np.flatnonzero(~np.isfinite(gradient).all(axis=1) & ~failed):
            gradient[place] = np.nan
            if self._on_failure == "raise":
                member, value = settings.members[place], float(results.values[place])
                try:
                    what = "likelihood with its gradient"
                    ensure_finite(what, self._dtype, value, gradient[place])
                except ResultOverflowError as error:
                    raise ResultOverflowError(f"member {member}: {error}") from None


class _Fit:
    """One training of a batch: r = b · starts minimisations, start after start."""

    def __init__(
        self,
        batch: BatchTraining,
        start: BatchHyperparameters,
        active: IntArray,
        max_iter: int,
    ) -> None:
        self._batch, self._start, self._active = batch, start, active
        self._theta = start.theta
        self._members = batch._usable()
        self._bounds = start.finite_bounds[active]
        longest = np.where(start.is_log, _LONGEST_STEP, np.inf)[active]
        self._settings = Settings(longest_step=longest, max_iter=max_iter)
        self._n_rounds = 0

    def run(
        self,
        n_others: int,
        rng: np.random.Generator,
        callback: BatchCallback | None,
        progress: bool | None,
    ) -> BatchReport:
        """Train, and let the batch take the result."""
        self._began = time.perf_counter()
        self._n_starts = 1 + n_others
        others = self._draw(n_others * self._members.size, rng)
        starts = np.concatenate([self._theta[self._members], others])[:, self._active]
        with (
            _progress.no_bars(),
            BatchProgress(progress, starts.shape[0]) as self._display,
        ):
            search = Lockstep(self._evaluate, starts, self._bounds, self._settings)
            self._initial_loss = search.minima.loss[: self._members.size]
            if self._batch.on_failure == "raise":
                self._refuse_failures(search.minima)
            try:
                search.run(lambda minima: self._tell(minima, callback))
            finally:
                # What was reached is kept, whatever ends the training.
                report = self._report(search.minima)
                self._batch._adopt(self._start.with_theta(report.theta))
                self._batch.training_ = report
        return report

    def _draw(self, count: int, rng: np.random.Generator) -> Float64Array:
        """Draw so many starts, as those of a single model are drawn."""
        bounds, priors = self._start.finite_bounds, self._batch._priors
        drawn = [priors.draw(rng, bounds) for _ in range(count)]
        return np.array(drawn).reshape(count, len(bounds))

    def _evaluate(self, rows: IntArray, theta: Float64Array) -> tuple[Float64Array, Float64Array]:
        members = self._members[rows % max(1, self._members.size)]
        full = self._theta[members]
        full[:, self._active] = theta
        loss, gradient = self._batch._losses(self._start, members, full)
        return loss, gradient[:, self._active]

    def _refuse_failures(self, minima: Minima) -> None:
        failed = (minima.status == Status.FAILED).reshape(self._n_starts, -1).all(axis=0)
        if failed.any():
            # This raises their error, as the hyperparameters are those of the first start.
            self._batch.log_marginal_likelihood(self._theta, eval_gradient=True)

    def _tell(self, minima: Minima, callback: BatchCallback | None) -> object:
        self._n_rounds += 1
        n_running = int((minima.status == Status.RUNNING).sum())
        self._display.show(minima.status.size - n_running, self._n_rounds)
        if callback is None:
            return None
        best = self._best(minima)
        loss, theta = self._of_all(minima.loss[best], np.inf), self._full_theta(minima, best)
        try:
            return callback(BatchIteration(self._n_rounds, n_running, loss, theta))
        except StopIteration:
            return True

    def _best(self, minima: Minima) -> IntArray:
        """Return for each member which minimisation is the best."""
        losses = minima.loss.reshape(self._n_starts, -1)
        best: IntArray = losses.argmin(axis=0) * losses.shape[1] + np.arange(losses.shape[1])
        return best

    def _full_theta(self, minima: Minima, best: IntArray) -> Float64Array:
        theta = self._theta.copy()
        members = self._members[np.isfinite(minima.loss[best])]
        found = minima.theta[best[np.isfinite(minima.loss[best])]]
        theta[np.ix_(members, self._active)] = found
        return theta

    def _of_all(self, values: _Array, others: float) -> _Array:
        """Return an array over all members, also over those whose data cannot be used."""
        result = np.full_like(values, others, shape=(len(self._batch), *values.shape[1:]))
        result[self._members] = values
        return cast("_Array", result)

    def _report(self, minima: Minima) -> BatchReport:
        best, theta = self._best(minima), self._full_theta(minima, self._best(minima))
        gradient = np.zeros_like(theta)
        gradient[:, self._active] = self._of_all(minima.gradient[best], np.nan)
        evaluations = minima.n_evaluations.reshape(self._n_starts, -1).sum(axis=0)
        places = np.zeros(theta.shape, dtype=np.intp)
        places[:, self._active] = near_bound(theta[:, self._active], self._bounds)
        return BatchReport(
            names=self._start.names,
            is_log=self._start.is_log,
            theta=theta,
            initial_theta=self._theta,
            loss=self._of_all(minima.loss[best], np.inf),
            initial_loss=self._of_all(self._initial_loss, np.inf),
            gradient=gradient,
            status=self._of_all(minima.status[best], Status.FAILED),
            at_bounds=places,
            n_iterations=self._of_all(minima.n_iterations[best], 0),
            n_evaluations=self._of_all(evaluations, 0),
            n_starts=self._n_starts,
            n_rounds=self._n_rounds,
            seconds=time.perf_counter() - self._began,
        )


def _as_names(fixed: Sequence[str]) -> Sequence[str]:
    if isinstance(fixed, str):
        return (fixed,)
    if not isinstance(fixed, Sequence):
        raise UnsupportedTypeError(
            f"fixed must be names of hyperparameters, got {fixed!r}. Leave it out for none."
        )
    return fixed


def _check_options(callback: object, progress: object) -> None:
    if callback is not None and not callable(callback):
        raise UnsupportedTypeError(
            f"callback must be callable, got {callback!r}. Pass a function of one argument, the "
            "state after a round."
        )
    if progress is not None and not isinstance(progress, bool | np.bool_):
        raise UnsupportedTypeError(
            f"progress must be True, False or None, got {progress!r}. Use callback for a display "
            "of your own."
        )
