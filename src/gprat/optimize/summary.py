"""The report of starts that have ended, or that were cut short."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gprat.optimize.registry import describe
from gprat.optimize.report import Stage, Start, TrainingReport, at_bounds, unconverged
from gprat.optimize.runs import Conditions, StageRun, StartRun

__all__ = ["summarise"]


def summarise(
    conditions: Conditions, runs: Sequence[StartRun], seconds: float, ended: str | None
) -> TrainingReport | None:
    """Report the best start: the lowest loss on the most rows that any of them reached.

    Parameters
    ----------
    conditions : Conditions
        What the starts share.
    runs : sequence of StartRun
        The starts, in order.
    seconds : float
        How long they took.
    ended : str or None
        What ended them all before they were done, if something did.

    Returns
    -------
    TrainingReport or None
        Without advice. None if no start has a loss.
    """
    winner = min((run for run in runs if _stages(run)), key=_rank, default=None)
    if winner is None:
        return None
    stages, task = _stages(winner), conditions.task
    best = stages[-1].best
    assert best is not None
    iterations = [iteration for stage in stages for iteration in stage.search.iterations]
    return TrainingReport(
        names=task.names,
        is_log=task.is_log,
        theta=best.theta,
        initial_theta=runs[0].theta,
        loss=best.loss,
        gradient=best.gradient,
        loss_history=np.array([iteration.loss for iteration in iterations]),
        gradient_history=np.array(
            [iteration.gradient for iteration in iterations], dtype=np.float64
        ).reshape(len(iterations), len(task.names)),
        n_iterations=len(iterations),
        n_evaluations=sum(run.n_evaluations for run in runs),
        seconds=seconds,
        success=ended is None and stages[-1].success,
        message=stages[-1].message if ended is None else ended,
        optimizer=describe(conditions.optimizer),
        stages=tuple(_stage(stage) for stage in stages),
        starts=tuple(_start(run, conditions, run is winner) for run in runs),
        at_bounds=at_bounds(task.names, best.theta, task.bounds),
        unconverged=unconverged(
            task.names, best.theta, best.gradient, task.bounds, stages[-1].rows
        ),
    )


def _stages(run: StartRun) -> list[StageRun]:
    """Return the stages of a start that have a loss; none of a start that failed."""
    if run.failure is not None:
        return []
    return [stage for stage in run.stages if stage.best is not None]


def _rank(run: StartRun) -> tuple[int, float, int]:
    """Return what is lowest for the best start."""
    stages = _stages(run)
    best = stages[-1].best
    assert best is not None
    return -len(stages), best.loss, run.number


def _stage(run: StageRun) -> Stage:
    assert run.best is not None
    search = run.search
    return Stage(run.rows, search.n_evaluations, len(search.iterations), run.seconds, run.best.loss)


def _start(run: StartRun, conditions: Conditions, is_best: bool) -> Start:
    # All starts went through the stages before the last one, or through the only one.
    best = run.best_of(max(0, conditions.n_stages - 2))
    failure = None if run.failure is None else " ".join(str(run.failure.error).split())
    return Start(
        theta=run.theta,
        loss=None if best is None else best.loss,
        optimum=None if best is None else best.theta,
        n_evaluations=run.n_evaluations,
        failure=failure,
        is_best=is_best,
    )
