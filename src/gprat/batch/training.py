"""Training all members of a batch at once, each on its own data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, overload

import numpy as np
import numpy.typing as npt

from gprat import _progress
from gprat import _validation as validation
from gprat._range import ensure_finite
from gprat._validation import Float64Array
from gprat.batch.fitting import BatchCallback, Fit
from gprat.batch.hyperparameters import BatchHyperparameters
from gprat.batch.progress import BatchProgress
from gprat.batch.report import BatchReport
from gprat.batch.state import BatchState
from gprat.engines.batch import Likelihoods, Settings
from gprat.exceptions import InvalidInputError, ResultOverflowError, UnsupportedTypeError
from gprat.noise import IntArray
from gprat.priors import positions_of

__all__ = ["BatchTraining"]


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
            self._raise_first(settings, results)
        failed = results.have_failed
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
        members = self._usable()
        others = self._draw(n_others * members.size if active.size else 0, rng)
        fit = Fit(start, members, self._losses, active, int(options.get("max_iter", 1000)))
        with _progress.no_bars(), BatchProgress(progress, members.size + len(others)) as display:
            fit.begin(others)
            if self._on_failure == "raise":
                self._refuse_failures(fit.failed(), start)
            try:
                fit.run(display, callback)
            finally:
                # What was reached is kept, whatever ends the training.
                report = fit.report()
                self._adopt(start.with_theta(report.theta))
                self.training_ = report
        return report

    def _losses(
        self, hyperparameters: BatchHyperparameters, members: IntArray, theta: Float64Array
    ) -> tuple[Float64Array, Float64Array]:
        """Return losses and gradients of some members, at theta, shape (r, p); infinite if none."""
        settings = hyperparameters.settings(members, theta)
        results = self._core.evaluate(settings, gradient=True)
        prior, by_prior = self._priors.log_densities(theta)
        loss = np.where(results.have_failed, np.inf, -results.values - prior)
        return loss, -hyperparameters.theta_gradient(results, settings) - by_prior

    def _draw(self, count: int, rng: np.random.Generator) -> Float64Array:
        """Draw so many starts, as those of a single model are drawn."""
        bounds = self._hyperparameters.finite_bounds
        drawn = [self._priors.draw(rng, bounds) for _ in range(count)]
        return np.array(drawn).reshape(count, len(bounds))

    def _refuse_failures(self, members: IntArray, start: BatchHyperparameters) -> None:
        """Raise the error of the first member without a loss at its starts, if there is one."""
        if not members.size:
            return
        theta = np.clip(start.theta, *start.finite_bounds.T)
        self.log_marginal_likelihood(theta, eval_gradient=True)
        raise InvalidInputError(
            f"member {members[0]}: the loss at the start is infinite. Scale y to unit variance, or "
            "start from other hyperparameters, where every prior has a density."
        )

    def _refuse_overflow_of(
        self,
        settings: Settings,
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
