"""One start of training, from stage to stage."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from gprat._validation import Float64Array
from gprat.optimize.base import Evaluation, Failure, Iteration, Optimizer, Search, Stopped
from gprat.optimize.checkpoint import Checkpoint
from gprat.optimize.task import IntArray, TrainingTask
from gprat.optimize.trust_region import TrustRegionBFGS
from gprat.optimize.warm_start import (
    Curvature,
    first_point,
    for_stage,
    measure_curvature,
    uses_curvature,
)

__all__ = ["Conditions", "StageRun", "StartRun"]


@dataclass(frozen=True, eq=False)
class Conditions:
    """What all starts share.

    Parameters
    ----------
    task : TrainingTask
        What is trained.
    optimizer : Optimizer
        What minimises the loss.
    subsets : tuple of ndarray of int
        Rows of the early stages.
    checkpoint : Checkpoint or None
        Where evaluations are kept.
    stop : threading.Event
        Set to end all starts.
    """

    task: TrainingTask
    optimizer: Optimizer
    subsets: tuple[IntArray, ...]
    checkpoint: Checkpoint | None
    stop: threading.Event

    @property
    def n_stages(self) -> int:
        """Number of stages; the last is on all rows."""
        return len(self.subsets) + 1

    def subset(self, stage: int) -> IntArray | None:
        """Return the rows of a stage, or None for all."""
        return self.subsets[stage] if stage < len(self.subsets) else None

    def n_rows(self, stage: int) -> int:
        """Return the number of rows of a stage."""
        subset = self.subset(stage)
        return self.task.n_rows if subset is None else int(subset.size)


@dataclass(eq=False)
class StageRun:
    """One stage of one start while it runs, and after.

    Parameters
    ----------
    rows : int
        Number of rows.
    search : Search
        What evaluates the loss on them.
    """

    rows: int
    search: Search
    began: float = field(default_factory=time.perf_counter)
    seconds: float = 0.0
    success: bool = False
    message: str = "interrupted"
    # The lowest loss that the optimiser found, as against those that only measure curvature.
    _optimum: Evaluation | None = None

    @property
    def best(self) -> Evaluation | None:
        """The lowest loss, so far or at the end."""
        return self.search.best if self._optimum is None else self._optimum

    def minimise(self, optimizer: Optimizer, theta: Float64Array, bounds: Float64Array) -> None:
        """Run the optimiser from a theta at which the search has a loss."""
        self.success, self.message = self.search.run(optimizer, theta, bounds)
        self._optimum = self.search.best


class StartRun:
    """One start.

    Parameters
    ----------
    number : int
        Its number, from 0.
    theta : ndarray of shape (p,)
        Where it starts.
    conditions : Conditions
        What it shares with the others.

    Attributes
    ----------
    stages : list of StageRun
        Those that were begun.
    failure : Failure or None
        Why there is nothing to go on from: no loss at the start.
    """

    def __init__(self, number: int, theta: Float64Array, conditions: Conditions) -> None:
        self.number = number
        self.theta = theta
        self._conditions = conditions
        self._curvature: Curvature | None = None
        self._start_loss_per_row = math.inf
        self.stages: list[StageRun] = []
        self.failure: Failure | None = None

    @property
    def n_evaluations(self) -> int:
        """Evaluations so far, in all stages."""
        return sum(stage.search.n_evaluations for stage in self.stages)

    def best_of(self, stage: int) -> Evaluation | None:
        """Return the lowest loss of a stage, if there is one."""
        return self.stages[stage].best if stage < len(self.stages) else None

    def run(self, stages: range, threads: int, callback: Callable[[Iteration], object]) -> None:
        """Go through stages until one fails or all starts are stopped."""
        for stage in stages:
            if self.failure is not None or self._conditions.stop.is_set():
                return
            run = StageRun(self._conditions.n_rows(stage), self._search(stage, threads, callback))
            self.stages.append(run)
            try:
                self._train(stage, run)
            except Stopped:
                self._conditions.stop.set()
            finally:
                run.seconds = time.perf_counter() - run.began

    def _search(self, stage: int, threads: int, callback: Callable[[Iteration], object]) -> Search:
        conditions = self._conditions
        checkpoint = conditions.checkpoint
        return Search(
            conditions.task.make_objective(conditions.subset(stage), threads),
            callback,
            rows=conditions.n_rows(stage),
            start=self.number,
            n_earlier_iterations=sum(len(earlier.search.iterations) for earlier in self.stages),
            log=None if checkpoint is None else checkpoint.log(self.number, stage),
            stop=conditions.stop,
        )

    def _train(self, stage: int, run: StageRun) -> None:
        conditions = self._conditions
        optimum = self.best_of(stage - 1) if stage > 0 else None
        first = first_point(
            run.search,
            self.theta,
            None if optimum is None else optimum.theta,
            # What the start cost on fewer rows, in proportion.
            highest_loss=self._start_loss_per_row * run.rows,
        )
        if isinstance(first, Failure):
            self.failure = first
            return
        if stage == 0:
            self._start_loss_per_row = first.loss / run.rows
        is_last = stage + 1 == conditions.n_stages
        optimizer = for_stage(conditions.optimizer, run.rows, self._curvature, is_last)
        run.minimise(optimizer, first.theta, conditions.task.bounds)
        if not is_last:
            self._learn_curvature(optimizer, run)

    def _learn_curvature(self, optimizer: Optimizer, run: StageRun) -> None:
        """Take the curvature from the optimiser that knows it, or measure it once."""
        task = self._conditions.task
        if isinstance(optimizer, TrustRegionBFGS) and self._curvature is not None:
            self._curvature = Curvature(optimizer.hessian, self._curvature.typical, run.rows)
        elif uses_curvature(optimizer):
            assert run.best is not None
            self._curvature = measure_curvature(
                run.search, run.best.theta, task.bounds, task.is_log, run.rows
            )
