"""Training a model: the task that the optimisers are given, and what becomes of their answer."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.optimize import OptimizeResult

from gprat import _validation as validation
from gprat import runtime
from gprat._hyperparameters import Hyperparameters
from gprat._validation import Float64Array
from gprat.exceptions import (
    InsufficientMemoryError,
    InvalidInputError,
    NotPositiveDefiniteError,
    UnsupportedTypeError,
)
from gprat.gp.likelihood import Likelihood, check_leverage
from gprat.gp.state import OBJECTIVES, finite_bounds
from gprat.kernels import Program
from gprat.kernels._reading import is_list
from gprat.noise import IntArray
from gprat.optimize.adam import Moments
from gprat.optimize.advice import advise
from gprat.optimize.base import Callback, Objective, Optimizer
from gprat.optimize.registry import get_optimizer
from gprat.optimize.report import TrainingReport
from gprat.optimize.task import TrainingTask, add_tasks
from gprat.optimize.train import TrainingInterrupted, train
from gprat.optimize.warm_start import default_schedule
from gprat.planning import choose_tile_size
from gprat.priors import positions_of

__all__ = ["Training"]

WarmStart: TypeAlias = Literal["auto"] | Sequence[int] | None


class Training(Likelihood):
    """The part of `gprat.GP` that learns hyperparameters."""

    training_: TrainingReport | None = None
    """What happened in the last training: prints as a table; see `gprat.plotting.plot_training`."""

    def optimize(
        self,
        optimizer: str | Callable[..., Any] = "l-bfgs-b",
        *,
        max_iter: int | None = None,
        learning_rate: float | None = None,
        schedule: str | Callable[[int, int], float] | None = None,
        n_restarts: int = 0,
        starts: Sequence[npt.ArrayLike] | None = None,
        random_state: int | np.random.Generator | np.random.RandomState | None = None,
        warm_start: WarmStart = "auto",
        fixed: Sequence[str] = (),
        callback: Callback | None = None,
        progress: bool | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
        resume: bool = False,
        memory_limit: int | None = None,
        partners: Sequence[Training] = (),
    ) -> OptimizeResult:
        """Train: minimise the loss over the free hyperparameters, within their bounds.

        The model takes the best hyperparameters that were seen, also when the callback, an error or
        Ctrl-C ends the training early; `training_` tells what happened. The kept factor is released
        first. Trial hyperparameters for which the covariance matrix is not positive definite are
        stepped back from.

        Parameters
        ----------
        optimizer : {"l-bfgs-b", "adam"} or callable, default="l-bfgs-b"
            Quasi-Newton, or gradient descent with momentum, or a function with the signature of
            scikit-learn's optimisers: ``optimizer(obj_func, initial_theta, bounds)`` returns theta
            and the loss there; ``obj_func(theta, eval_gradient=True)`` the loss and its gradient.
        max_iter : int, default=None
            The most iterations of one run, at least 1; None for 1000 ("l-bfgs-b") or 200 ("adam").
        learning_rate : float, default=None
            Only for "adam": length of a first step in each log hyperparameter, positive; None for
            0.1.
        schedule : {"constant", "cosine"} or callable, default=None
            Only for "adam": factor of the learning rate, by iteration; a function takes the
            iteration, from 0, and `max_iter`. None for "constant".
        n_restarts : int, default=0
            Further starts, drawn from the priors, and where there are none uniformly between the
            bounds, of theta. The best result counts; starts at which the loss does not exist are
            skipped and reported.
        starts : sequence of array-like of shape (p,), default=None
            Further starts of your own, as `theta`; None to draw `n_restarts` of them.
        random_state : int, Generator, RandomState or None, default=None
            Seed of the restarts and of the subsets of a warm start. The same seed gives the same
            result for any number of threads.
        warm_start : "auto", sequence of int or None, default="auto"
            Numbers of rows to train on before all rows are used: random subsets, each within the
            next, each starting from the optimum of the last. The last stage always minimises the
            full loss to convergence. "auto": for "l-bfgs-b" without `max_iter` from about 2000 rows
            on; a schedule that is much cheaper than what it saves. None: all rows at once.
        fixed : sequence of str, default=()
            Names of hyperparameters (`parameter_names`) that stay as they are this time.
        callback : callable, default=None
            Called after each iteration with an object that has the attributes iteration, loss,
            log_marginal_likelihood, gradient_norm, gradient, theta, stage and start. Training ends
            if it returns True or raises StopIteration.
        progress : bool, default=None
            Whether to show a progress line; None: if standard error is a terminal.
        checkpoint : path, default=None
            A file to which every iteration is written, replaced as a whole, so that it is never
            half-written.
        resume : bool, default=False
            Go on from the checkpoint, if there is one, to exactly the result of a training that
            was not interrupted. Data, model and arguments must be the same.
        memory_limit : int, default=None
            The most bytes that restarts which run at the same time may use together; None for the
            model's `memory_limit`, and where that is None too, for a quarter of the memory that is
            free. One run at a time is always allowed, as far as the model's `memory_limit` goes.
        partners : sequence of GP, default=()
            Models of other data with the same hyperparameters, which are learned from all data
            together: the sum of the losses is minimised, from the hyperparameters of this model,
            and all models take the result. Without a warm start.

        Returns
        -------
        scipy.optimize.OptimizeResult
            x (the new theta), fun (the loss there), jac (its gradient), nit, nfev, success, status,
            message, loss_history (after each iteration).

        Raises
        ------
        NotPositiveDefiniteError
            If the covariance matrix has no Cholesky factor at the start, or at any start.
        InvalidInputError
            If there is no such optimiser or hyperparameter, or an option makes no sense.
        InsufficientMemoryError
            If an evaluation of the loss needs more memory than it may take, or than there is; found
            out before anything is computed.
        CheckpointError
            If the checkpoint belongs to another training, is damaged, or cannot be written; or it
            exists and `resume` is False. The file is left as it is.

        Examples
        --------
        >>> import numpy as np
        >>> from gprat import GP
        >>> X = np.linspace(0.0, 6.0, 40).reshape(-1, 1)
        >>> y = np.sin(X[:, 0]) + 0.1 * np.cos(50.0 * X[:, 0])
        >>> gp = GP(X, y)
        >>> before = gp.loss()
        >>> result = gp.optimize(n_restarts=2, random_state=0)
        >>> bool(result.fun < before), len(gp.training_.starts)
        (True, 3)
        """
        options: dict[str, Any] = {**validation.check_training_options(max_iter, learning_rate)}
        if schedule is not None:
            options["schedule"] = schedule
        method = get_optimizer(optimizer, **options)
        models = self._check_partners(partners)
        with _locked(models):
            active = self._active_positions(fixed)
            is_default = optimizer == "l-bfgs-b" and max_iter is None and len(models) == 1
            is_warm = warm_start is not None and validation.as_choice(warm_start) != "auto"
            if len(models) > 1 and is_warm:
                raise InvalidInputError(
                    "a warm start on some of the rows cannot be combined with partners, whose rows "
                    "are others. Leave warm_start out."
                )
            further = self._check_starts(starts)
            return self._train(
                models,
                active,
                method,
                further,
                n_restarts=n_restarts if further is None else len(further),
                random_state=random_state,
                warm_start=self._resolve_warm_start(warm_start, len(active), is_default),
                callback=callback,
                progress=progress,
                checkpoint=checkpoint,
                resume=resume,
                memory_limit=self._memory_limit if memory_limit is None else memory_limit,
            )

    def optimize_step(self, learning_rate: float = 0.1) -> float:
        """Take one step of Adam.

        The running means of the gradient persist from step to step, until `theta`, `noise_variance`
        or `optimize` changes the hyperparameters.

        Parameters
        ----------
        learning_rate : float, default=0.1
            Length of a first step in each log hyperparameter, positive.

        Returns
        -------
        float
            The loss before the step.

        Raises
        ------
        NotPositiveDefiniteError
            If the covariance matrix has no Cholesky factor before the step.

        Examples
        --------
        >>> from gprat import GP
        >>> gp = GP([[0.0], [1.0], [2.0]], [0.1, 0.9, 2.1])
        >>> losses = [gp.optimize_step() for _ in range(20)]
        >>> losses[-1] < losses[0]
        True
        """
        rate = validation.check_learning_rate(learning_rate)
        with self._training_lock:
            self._release()
            hyperparameters = self._hyperparameters
            moments = self._moments or Moments(len(hyperparameters.names))
            loss, gradient = self.loss(eval_gradient=True)
            lower, upper = finite_bounds(hyperparameters).T
            theta = hyperparameters.theta + moments.step(gradient, rate)
            self._adopt(hyperparameters.with_theta(np.clip(theta, lower, upper)))
            self._moments = moments
            return loss

    def _train(
        self,
        models: Sequence[Training],
        active: IntArray,
        method: Optimizer,
        further: Sequence[Float64Array] | None = None,
        **options: Any,
    ) -> OptimizeResult:
        start = self._hyperparameters
        starts = [start, *(m._hyperparameters.with_theta(start.theta) for m in models[1:])]

        def adopt(report: TrainingReport) -> None:
            for model, hyperparameters in zip(models, starts, strict=True):
                model._adopt(_at(hyperparameters, active, report.theta))

        for model in models:
            model._release()
        for model, hyperparameters in zip(models, starts, strict=True):
            # Before the early stages on few rows: they may take minutes.
            problem = model._problem(hyperparameters)
            self._engine.ensure_memory(problem, model._objective)
            if model._objective is OBJECTIVES["leave_one_out"]:
                check_leverage(problem)
        task = add_tasks([m._task(s, active) for m, s in zip(models, starts, strict=True)])
        if further is not None:
            remaining = iter(further)
            task = dataclasses.replace(task, draw_start=lambda _: next(remaining)[active])
        try:
            report = train(task, method, **options)
        except TrainingInterrupted as interruption:
            # What was reached is kept; then the cause goes on its way.
            if interruption.report is not None:
                adopt(interruption.report)
                self.training_ = interruption.report
            raise interruption.cause from None
        adopt(report)
        self.training_ = self._with_condition(report)
        return self.training_.to_optimize_result()

    def _check_starts(self, starts: Sequence[npt.ArrayLike] | None) -> list[Float64Array] | None:
        if starts is None:
            return None
        if not is_list(starts):
            raise UnsupportedTypeError(
                f"starts must be a list of hyperparameters as in theta, got {starts!r}. Pass "
                "[theta] for one start."
            )
        names, is_log = self._hyperparameters.names, self._hyperparameters.is_log
        return [validation.check_theta(start, names, is_log) for start in starts]

    def _check_partners(self, partners: Sequence[Training]) -> list[Training]:
        """Return this model and its partners."""
        names = self._hyperparameters.names
        if not is_list(partners):
            raise UnsupportedTypeError(
                f"partners must be a list of gprat.GP, got {partners!r}. Leave it out for none."
            )
        for position, partner in enumerate(partners):
            if not isinstance(partner, Training):
                raise UnsupportedTypeError(
                    f"partners[{position}] must be a gprat.GP, got {partner!r}."
                )
            others = partner._hyperparameters.names
            if others != names:
                raise InvalidInputError(
                    f"partners[{position}] has the hyperparameters {', '.join(others)}, not those "
                    f"of this model: {', '.join(names)}. Make it with the same kernel and noise."
                )
        return [self, *partners]

    def _with_condition(self, report: TrainingReport) -> TrainingReport:
        """Add what the factor at the optimum says, which predictions need anyway."""
        try:
            condition = self.condition_number()
        except (NotPositiveDefiniteError, InsufficientMemoryError):
            # A model of which nothing is free may have no factor; others may have taken the memory.
            return report
        report = dataclasses.replace(report, condition=condition)
        epsilon = float(np.finfo(self._dtype).eps)
        return dataclasses.replace(report, advice=advise(report, epsilon))

    def _active_positions(self, fixed: Sequence[str]) -> IntArray:
        """Return the entries of theta that are to be trained."""
        names = self._hyperparameters.names
        if isinstance(fixed, str):
            fixed = (fixed,)
        if not isinstance(fixed, Iterable) or (isinstance(fixed, np.ndarray) and fixed.ndim == 0):
            raise UnsupportedTypeError(
                f"fixed must be names of hyperparameters, got {fixed!r}. Leave it out for none."
            )
        left_out = {i for name in fixed for i in positions_of(name, names, "fixed")}
        return np.array([i for i in range(len(names)) if i not in left_out], dtype=np.intp)

    def _resolve_warm_start(
        self, warm_start: WarmStart, p: int, is_default: bool
    ) -> tuple[int, ...] | str | None:
        if isinstance(warm_start, str) and warm_start == "auto":
            return default_schedule(self._X.shape[0], p) if is_default else None
        if warm_start is None or isinstance(warm_start, str):
            return warm_start  # `train` says what is wrong with other strings
        if not is_list(warm_start):
            raise UnsupportedTypeError(
                f'warm_start must be "auto", None or numbers of rows, got {warm_start!r}. Pass '
                "ascending numbers, such as (100, 1000)."
            )
        return tuple(warm_start)

    def _task(self, start: Hyperparameters, active: IntArray) -> TrainingTask:
        bounds = finite_bounds(start)[active]
        theta = np.clip(start.theta[active], bounds[:, 0], bounds[:, 1])
        return TrainingTask(
            names=tuple(start.names[i] for i in active),
            is_log=start.is_log[active],
            start=theta,
            bounds=bounds,
            n_rows=self._X.shape[0],
            make_objective=lambda rows, threads: self._make_objective(start, active, rows, threads),
            draw_start=lambda rng: self._priors.draw(rng, finite_bounds(start))[active],
            bytes_per_evaluation=self._bytes_per_evaluation,
            threads=self._threads or runtime.processors(),
            fingerprint=self._fingerprint(start, active),
        )

    def _make_objective(
        self,
        start: Hyperparameters,
        active: IntArray,
        rows: IntArray | None,
        threads: int | None,
    ) -> Objective:
        """Return the loss and its gradient as functions of the active entries of theta."""
        data, tile_size = self._data, self.tile_size
        if rows is not None:
            data, start = data.select(rows), start.select(rows)
            tile_size = min(tile_size, len(rows))
            if self._tile_size_is_automatic:
                tile_size = choose_tile_size(len(rows), self._dtype)
        allowed = self._threads if threads is None else threads

        def objective(theta: Float64Array) -> tuple[float, Float64Array]:
            hyperparameters = _at(start, active, theta)
            prior, prior_gradient = self._priors.log_density(hyperparameters.theta)
            if prior == -np.inf:
                return np.inf, np.zeros(len(active))
            adjoint = self._engine.differentiate(
                data.problem(hyperparameters, tile_size, allowed, self._memory_limit),
                self._objective,
            )
            gradient = hyperparameters.theta_gradient(adjoint.parameters, adjoint.noise)
            return -adjoint.value - prior, -(gradient + prior_gradient)[active]

        return objective

    def _bytes_per_evaluation(self, rows: int) -> int:
        """Return the memory of one lower triangle in tiles, and of the vectors beside it."""
        columns = 4 * (self._Y.shape[1] + self._data.basis.shape[1]) + 8
        numbers = rows * (rows + self.tile_size) // 2 + rows * columns
        return int(self._dtype.itemsize * numbers)

    def _fingerprint(self, start: Hyperparameters, active: IntArray) -> str:
        """Return a hash of all that determines the loss, but not of where training starts."""
        digest = hashlib.sha256()
        for array in (self._X, self._data.Y, self._data.basis, start.noise.known, active):
            digest.update(b"-" if array is None else np.ascontiguousarray(array).tobytes())
        fixed = np.ones(len(start.names), dtype=bool)
        fixed[active] = False
        program = start.program
        structure = program.instructions if isinstance(program, Program) else program.reason
        described = (
            self._X.shape,
            str(self._dtype),
            structure,
            repr(self._kernel) if not isinstance(program, Program) else "",
            program.names,
            program.parameters[~program.is_free].tolist(),
            start.theta[fixed].tolist(),
            None if start.noise.groups is None else start.noise.groups.tolist(),
            start.noise.learned.tolist() if not start.noise.is_free else start.noise.labels,
            self._objective.name,
            self._priors.describe(),
        )
        digest.update(repr(described).encode())
        return digest.hexdigest()


@contextlib.contextmanager
def _locked(models: Sequence[Training]) -> Iterator[None]:
    """Hold the training locks of models, always in the same order, so that nobody waits in vain."""
    with contextlib.ExitStack() as stack:
        for model in sorted(models, key=id):
            stack.enter_context(model._training_lock)
        yield


def _at(start: Hyperparameters, active: IntArray, theta: Float64Array) -> Hyperparameters:
    """Return the model with the active entries of theta replaced."""
    full = start.theta
    full[active] = theta
    return start.with_theta(full)
