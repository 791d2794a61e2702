"""A cluster, a model on it, questions with known answers, and a clock that ends what hangs."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dask
import numpy as np
import numpy.typing as npt
from distributed import Client, LocalCluster

import gprat
from gprat.engines.cluster import ClusterEngine
from gprat.kernels import RBF, ConstantKernel

__all__ = ["QUESTIONS", "HangError", "Scene", "Workload", "at_most", "processes", "started"]

# Seconds in which processes must have started, on a machine that is busy.
_STARTS = 300

Answer = npt.NDArray[np.float64]
Question = Callable[[gprat.GP, Answer], Answer]


class HangError(BaseException):
    """Something took so long that it would never have ended; no `except Exception` catches it."""


def factorise(gp: gprat.GP, Xs: Answer) -> Answer:
    """Assemble and factorise, and return the likelihood."""
    return np.array([gp.log_marginal_likelihood(gp.theta)])


def differentiate(gp: gprat.GP, Xs: Answer) -> Answer:
    """Return the likelihood and its gradient."""
    value, gradient = gp.log_marginal_likelihood(gp.theta, eval_gradient=True)
    return np.array([value, *gradient])


def predict(gp: gprat.GP, Xs: Answer) -> Answer:
    """Return means and variances."""
    return np.concatenate(gp.predict_with_uncertainty(Xs))


QUESTIONS: dict[str, Question] = {
    "factorisation": factorise,
    "gradient": differentiate,
    "prediction": predict,
}


@dataclass(frozen=True)
class Workload:
    """Data and a model, the same each time.

    Parameters
    ----------
    n : int, default=600
        Training points; a quarter as many are predicted.
    block_size : int, default=60
        So small that a call is hundreds of tasks.
    """

    n: int = 600
    block_size: int = 60

    def inputs(self, count: int) -> Answer:
        """Draw points."""
        return np.random.default_rng(count).normal(size=(count, 2))

    @property
    def points(self) -> Answer:
        """Where to predict."""
        return self.inputs(self.n // 4)

    def model(self, client: Client) -> gprat.GP:
        """Return a model that has computed nothing."""
        X = self.inputs(self.n)
        kernel = ConstantKernel(1.3) * RBF([0.7, 1.1])
        engine = ClusterEngine(client, self.block_size)
        return gprat.GP(X, np.sin(2.0 * X[:, 0]) * X[:, 1], kernel, 0.05, engine=engine)


@dataclass
class Scene:
    """A connected client, what undisturbed calls return, and how long they take."""

    client: Client
    workload: Workload
    cluster: LocalCluster | None = None
    expected: dict[str, Answer] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)

    def ask_all(self) -> None:
        """Note all answers, and the time of each, of the second call of two."""
        for name, question in QUESTIONS.items():
            for _ in range(2):
                gp = self.workload.model(self.client)
                began = time.monotonic()
                self.expected[name] = question(gp, self.workload.points)
                self.seconds[name] = time.monotonic() - began

    def worker_processes(self) -> list[int]:
        """Return the process number of each worker."""
        return list(self.client.run(os.getpid).values())

    def tasks_by_state(self) -> dict[str, int]:
        """Return how many tasks the scheduler has in each state."""

        def count(dask_scheduler: Any) -> dict[str, int]:
            states = [task.state for task in dask_scheduler.tasks.values()]
            return {state: states.count(state) for state in set(states)}

        return dict(self.client.run_on_scheduler(count))

    def tasks_in_work(self) -> int:
        """Return how many tasks workers have, or wait for one."""
        busy = ("processing", "queued", "no-worker", "waiting")
        return sum(count for state, count in self.tasks_by_state().items() if state in busy)

    def is_idle_within(self, seconds: float) -> bool:
        """Return whether workers have nothing to do any more, soon."""
        until = time.monotonic() + seconds
        while self.tasks_in_work():
            if time.monotonic() > until:
                return False
            time.sleep(0.05)
        return True

    def wait_for_workers(self, count: int, dead: Collection[int] = ()) -> None:
        """Wait until there are so many workers that answer, without those that were killed."""
        while True:
            # One that was killed is still listed for a while.
            found = self.client.run(os.getpid, on_error="ignore").values()
            if len(found) >= count and not set(dead) & set(found):
                return
            time.sleep(0.1)


@contextlib.contextmanager
def started(workers: int, workload: Workload) -> Iterator[Scene]:
    """Start a cluster of processes with one thread each, and ask all questions."""
    # What Dask was waiting for when it was told to stop is reported there.
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    # So long after a worker was lost, Dask gives it up if it is not there; but here it may just
    # have been killed once more.
    patience = {"distributed.deploy.lost-worker-timeout": "24h"}
    with (
        dask.config.set(patience),
        LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            processes=True,
            dashboard_address=":0",
            silence_logs=logging.CRITICAL,
        ) as cluster,
        Client(cluster) as client,
    ):
        scene = Scene(client, workload, cluster)
        scene.ask_all()
        yield scene


@contextlib.contextmanager
def processes(workers: int) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Start a scheduler and workers by Dask's commands; yield the address and the scheduler."""
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        file = Path(folder) / "scheduler.json"
        scheduler = stack.enter_context(
            _command("scheduler", "--port", "0", "--dashboard-address", ":0", file, folder)
        )
        for _ in range(workers):
            stack.enter_context(
                _command("worker", "--nthreads", "1", "--no-dashboard", "--no-nanny", file, folder)
            )
        with Client(scheduler_file=str(file), timeout=_STARTS) as client:
            client.wait_for_workers(workers, timeout=_STARTS)
            address = client.scheduler.address
        yield address, scheduler


@contextlib.contextmanager
def _command(name: str, *arguments: Any) -> Iterator[subprocess.Popen[bytes]]:
    *options, file, folder = arguments
    command = [sys.executable, "-m", f"distributed.cli.dask_{name}", *options]
    process = subprocess.Popen(
        [*command, "--scheduler-file", str(file)],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@contextlib.contextmanager
def at_most(seconds: int) -> Iterator[None]:
    """Raise `HangError` in the main thread after so many seconds."""

    def stop(number: int, frame: Any) -> None:
        raise HangError(f"no answer in {seconds} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
