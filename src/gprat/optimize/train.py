"""Training: minimise a model's loss from one or many starts, on some of the rows or all."""

from __future__ import annotations

import contextlib
import operator
import os
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from gprat import _progress
from gprat import _validation as validation
from gprat.exceptions import CheckpointError, InvalidInputError, UnsupportedTypeError
from gprat.optimize.advice import advise
from gprat.optimize.base import Callback, Iteration, Optimizer
from gprat.optimize.checkpoint import Checkpoint, Identity, Plan, check_path
from gprat.optimize.progress import TrainingProgress
from gprat.optimize.registry import describe, get_optimizer
from gprat.optimize.report import TrainingReport
from gprat.optimize.restarts import (
    all_failed,
    concurrency,
    draw_plan,
    run_jobs,
)
from gprat.optimize.runs import Conditions, StartRun
from gprat.optimize.summary import summarise
from gprat.optimize.task import TrainingTask
from gprat.optimize.warm_start import check_schedule, nested_subsets

__all__ = ["TrainingInterrupted", "train"]


class TrainingInterrupted(Exception):  # noqa: N818 - an interruption need not be an error
    """Training was cut short after it had begun.

    Parameters
    ----------
    cause : BaseException
        What ended it, to be raised again: `KeyboardInterrupt`, the error of a callback,
        `NotPositiveDefiniteError` where no start has a loss.
    report : TrainingReport or None
        The best so far; None if there is nothing to adopt.
    """

    def __init__(self, cause: BaseException, report: TrainingReport | None) -> None:
        super().__init__(f"training was cut short by {cause!r}")
        self.cause = cause
        self.report = report


def train(
    task: TrainingTask,
    optimizer: str | Callable[..., Any] | Optimizer = "l-bfgs-b",
    *,
    n_restarts: int = 0,
    random_state: object = None,
    warm_start: tuple[int, ...] | str | None = None,
    callback: Callback | None = None,
    progress: bool | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    resume: bool = False,
    memory_limit: int | None = None,
) -> TrainingReport:
    """Minimise the loss of a task.

    With a warm start, every start first goes through the early stages, on some of the rows; the
    best of them goes on to all rows. Each stage begins at the optimum of the one before, or at the
    start itself if that optimum is a bad one and the loss lower there. L-BFGS-B gives way to a
    trust region once the curvature was measured, on the fewest rows.

    Parameters
    ----------
    task : TrainingTask
        What to train.
    optimizer : str, callable or Optimizer, default="l-bfgs-b"
        See `gprat.optimize.registry.get_optimizer`.
    n_restarts : int, default=0
        Number of random starts beside the task's own, not negative. They run at the same time as
        far as processors and memory allow; the result does not depend on that.
    random_state : None, int, numpy.random.Generator or numpy.random.RandomState, default=None
        Where random starts, and the rows of early stages, are drawn from, before anything is
        computed. None draws differently each time; generators move on.
    warm_start : tuple of int or "auto", default=None
        Numbers of rows of early stages, ascending and below those of the task; "auto" for
        `gprat.optimize.warm_start.default_schedule`; None for none.
    callback : callable, default=None
        Told about each iteration, see `gprat.optimize.base.Iteration`, by the thread that called
        `train`, never twice at the same time. Returning True or raising `StopIteration` ends
        training, of all starts. When training is resumed, it is told again about what was
        computed before.
    progress : bool, default=None
        Whether to show a line on the standard error stream; None for: if that is a terminal.
    checkpoint : str or path, default=None
        File that keeps all evaluations, replaced after each iteration.
    resume : bool, default=False
        Whether to go on from `checkpoint`, if it exists: the result is bitwise that of training
        that was not interrupted. Its starts are taken, not the task's.
    memory_limit : int, default=None
        Bytes that starts may take together when they run at the same time; None for a quarter of
        the memory that is free. One start at a time may always run.

    Returns
    -------
    TrainingReport
        What came out.

    Raises
    ------
    TrainingInterrupted
        For everything that ends training after it has begun, with the best so far.
    CheckpointError
        If the checkpoint cannot be used; nothing was computed, and the file is as it was.
    InvalidInputError, UnsupportedTypeError
        If an argument makes no sense.

    Examples
    --------
    >>> import numpy as np
    >>> from gprat.optimize.task import TrainingTask
    >>> task = TrainingTask(
    ...     names=("x",),
    ...     is_log=np.array([False]),
    ...     start=np.array([1.0]),
    ...     bounds=np.array([[-5.0, 5.0]]),
    ...     n_rows=100,
    ...     make_objective=lambda rows, threads: lambda x: (float(x @ x), 2.0 * x),
    ...     draw_start=lambda rng: rng.uniform(-5.0, 5.0, size=1),
    ...     bytes_per_evaluation=lambda rows: 8 * rows**2,
    ...     threads=2,
    ...     fingerprint="a parabola",
    ... )
    >>> report = train(task, n_restarts=3, random_state=0)
    >>> report.theta.round(6), len(report.starts), report.success
    (array([0.]), 4, True)
    """
    method = get_optimizer(optimizer)
    # Without hyperparameters all starts are the same, and there is nothing to learn early.
    p = len(task.names)
    n_others = _check_n_restarts(n_restarts) if p > 0 else 0
    schedule = check_schedule(warm_start, task.n_rows, p) if p > 0 else ()
    _check_options(callback, progress, memory_limit)
    rng = validation.check_random_state(random_state)
    path = check_path(checkpoint, resume)
    identity = Identity(
        names=task.names,
        bounds=tuple(task.bounds.ravel().tolist()),
        n_rows=task.n_rows,
        fingerprint=task.fingerprint,
        optimizer=describe(method),
        n_restarts=n_others,
        warm_start=schedule,
        random_state=_seed(random_state),
    )
    file = None
    if path is not None and path.exists():
        file = Checkpoint.load(path, identity, task.bounds)
        plan = file.plan
    else:
        plan = draw_plan(task, n_others, rng)
        file = None if path is None else Checkpoint(path, identity, plan)
    subsets = nested_subsets(task.n_rows, schedule, plan.subset_seed)
    conditions = Conditions(task, method, subsets, file, threading.Event())
    return _Training(conditions, plan, callback, memory_limit).run(progress)


class _Training:
    """All starts of one call of `train`."""

    def __init__(
        self,
        conditions: Conditions,
        plan: Plan,
        callback: Callback | None,
        memory_limit: int | None,
    ) -> None:
        self._conditions = conditions
        self._callback = callback
        self._memory_limit = memory_limit
        self._runs = [
            StartRun(number, theta, conditions) for number, theta in enumerate(plan.starts)
        ]
        self._error: BaseException | None = None
        self._began = time.perf_counter()

    def run(self, progress: bool | None) -> TrainingReport:
        """Run all starts and report."""
        checkpoint = self._conditions.checkpoint
        try:
            with (
                _progress.no_bars(),
                TrainingProgress(progress, len(self._runs)) as self._progress,
            ):
                self._run_stages()
            if checkpoint is not None:
                checkpoint.save()
            report = self._report("stopped by the callback" if self._is_stopped else None)
            assert report is not None, "a start succeeds, or its error is raised"
        except BaseException as cause:
            if checkpoint is not None:
                with contextlib.suppress(CheckpointError):
                    checkpoint.save()
            raise TrainingInterrupted(cause, self._report(f"interrupted by {cause!r}")) from cause
        return report

    def _run_stages(self) -> None:
        """Take all starts through the early stages, or the only one, and the best to the end."""
        last = self._conditions.n_stages - 1
        shared = range(max(1, last))
        threads = self._conditions.task.threads
        at_a_time = concurrency(
            len(self._runs),
            threads,
            self._conditions.task.bytes_per_evaluation(self._conditions.n_rows(shared[-1])),
            self._memory_limit,
        )
        jobs = [partial(run.run, shared, max(1, threads // at_a_time)) for run in self._runs]
        run_jobs(jobs, at_a_time, self._tell, self._conditions.stop)
        if last > 0:
            self._finish(range(last, last + 1))
        if self._error is not None:
            # Some methods take an error of a callback for a failure of the loss, and go on.
            raise self._error
        failures = [run.failure.error for run in self._runs if run.failure is not None]
        if len(failures) == len(self._runs):
            raise all_failed(failures)

    def _finish(self, stages: range) -> None:
        """Take the best start to the end, or the next best if there is no loss on all rows."""
        ranking = sorted(
            (best.loss, run.number)
            for run in self._runs
            if run.failure is None and (best := run.best_of(stages[0] - 1)) is not None
        )
        for _, number in ranking:
            run = self._runs[number]
            run.run(stages, self._conditions.task.threads, self._tell)
            if run.failure is None:
                return

    @property
    def _is_stopped(self) -> bool:
        return self._conditions.stop.is_set()

    def _tell(self, iteration: Iteration) -> object:
        """Show an iteration and tell the callback, unless all starts are to stop."""
        if self._is_stopped:
            return True
        try:
            self._progress.show(iteration, sum(run.n_evaluations for run in self._runs))
            answer = None if self._callback is None else self._callback(iteration)
        except StopIteration:
            answer = True
        except BaseException as error:
            self._error = error
            self._conditions.stop.set()
            raise
        if answer is True:
            self._conditions.stop.set()
        return answer

    def _report(self, ended: str | None) -> TrainingReport | None:
        seconds = time.perf_counter() - self._began
        report = summarise(self._conditions, self._runs, seconds, ended)
        return None if report is None else replace(report, advice=advise(report))


def _check_n_restarts(value: Any) -> int:
    remedy = "Pass how many random starts to try, or 0 for none."
    try:
        number = None if isinstance(value, bool | np.bool_) else operator.index(value)
    except TypeError:
        number = None
    if number is None:
        raise UnsupportedTypeError(f"n_restarts must be a whole number, got {value!r}. {remedy}")
    if number < 0:
        raise InvalidInputError(f"n_restarts must not be negative, got {number}. {remedy}")
    return number


def _check_options(callback: Any, progress: Any, memory_limit: Any) -> None:
    if callback is not None and not callable(callback):
        raise UnsupportedTypeError(
            f"callback must be callable, got {callback!r}. Pass a function of one argument, the "
            "iteration."
        )
    if progress is not None and not isinstance(progress, bool | np.bool_):
        raise UnsupportedTypeError(
            f"progress must be True, False or None, got {progress!r}. Use callback for a display "
            "of your own."
        )
    if memory_limit is not None:
        remedy = "Pass bytes, or None for a quarter of what is free."
        validation.check_positive_integer(memory_limit, "memory_limit", remedy)


def _seed(random_state: object) -> int | None:
    """Return a seed that is a number; other states cannot be told apart."""
    try:
        return operator.index(random_state)  # type: ignore[arg-type]
    except TypeError:
        return None
