"""Training: minimise a model's loss from one or many starts, on some of the rows or all."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from gprat.optimize.base import Callback, Optimizer
from gprat.optimize.report import TrainingReport
from gprat.optimize.task import TrainingTask

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
    """Minimise the loss of a task."""
    raise NotImplementedError
