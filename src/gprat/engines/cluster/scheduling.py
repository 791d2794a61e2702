"""What Dask's scheduler is taught, by a plugin."""

from __future__ import annotations

from typing import Any

from distributed import Scheduler, SchedulerPlugin

__all__ = ["OwnersThatAreGone"]


class OwnersThatAreGone(SchedulerPlugin):
    """Forgets the owner of a block that nobody computes, when the owner is lost.

    Other workers may take a task whose owner is gone. But where there is no worker at all for a
    while, as when all are restarted or killed, tasks are laid aside, and of those Dask gives a
    worker that joins only what is for all workers, or for this one by name.
    """

    name = "gprat-owners-that-are-gone"
    idempotent = True

    def add_worker(self, scheduler: Scheduler, worker: str) -> None:
        """Look at what was laid aside, before the scheduler does."""
        _forget_owners(scheduler)

    def remove_worker(self, scheduler: Scheduler, worker: str, **kwargs: Any) -> None:
        """Look at what was laid aside: other workers may be there, but paused."""
        _forget_owners(scheduler)


def _forget_owners(scheduler: Scheduler) -> None:
    for task in scheduler.unrunnable:
        if task.loose_restrictions and scheduler.workers.keys().isdisjoint(
            task.worker_restrictions or ()
        ):
            task.worker_restrictions = set()
