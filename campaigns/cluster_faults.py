"""A cluster in trouble: whatever happens to it, answers have the bits of an undisturbed call.

``python -m campaigns.cluster_faults --count 30 --seed 0``. Workers are killed by SIGKILL at random
moments of factorisation, gradient and prediction; others join and leave in the middle; all are
restarted, which cancels what was asked for; Ctrl-C comes: workers go idle, and the same model
answers again. The scheduler is killed: a clear error, and the model goes on with a new cluster and
without any.
"""

from __future__ import annotations

import argparse
import copy
import os
import signal
import sys
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
from distributed import Client
from rich.console import Console
from rich.progress import track
from rich.table import Table

import gprat
from campaigns.cluster_scene import (
    QUESTIONS,
    Answer,
    HangError,
    Scene,
    Workload,
    at_most,
    processes,
    started,
)
from campaigns.record import write_result
from gprat.exceptions import ClusterError

__all__ = ["Campaign", "lose_schedulers", "main"]

WORKERS = 3
# A trial takes seconds; a worker that comes back takes some more, on a busy machine far more.
_LONGEST = 400
# Seconds in which workers must have ended what they were at.
_IDLE = 20.0


class Campaign:
    """Trials, what they counted, and what went wrong.

    Parameters
    ----------
    rng : numpy.random.Generator
        Of moments and victims.
    workload : Workload, optional
        What is computed.
    """

    def __init__(self, rng: np.random.Generator, workload: Workload | None = None) -> None:
        self.rng, self.workload = rng, workload or Workload()
        self.counts: Counter[str] = Counter()
        self.failures: list[str] = []

    def check(self, is_right: bool, what: str) -> None:
        """Note a failure if it is not right."""
        if not is_right:
            self.failures.append(what)

    def attempt(self, what: str, trial: Callable[[], None], scene: Scene | None = None) -> None:
        """Do a trial; an exception is a failure, and so is one that doesn't end."""
        try:
            with at_most(_LONGEST):
                trial()
        except (Exception, HangError) as error:
            self.failures.append(f"{what}: {type(error).__name__}: {error}")
            traceback.print_exc()
            if scene is not None:
                print(scene.tasks_by_state(), file=sys.stderr)

    def moment(self, scene: Scene, name: str) -> float:
        """Draw a moment of a call."""
        return float(self.rng.uniform(0.0, 0.8 * scene.seconds[name]))

    def disturbed(
        self, scene: Scene, name: str, gp: gprat.GP, disturb: Callable[[], None], kind: str
    ) -> Answer:
        """Ask while something happens; count whether it began in time."""
        began = threading.Event()

        def happen() -> None:
            began.set()
            disturb()

        timer = threading.Timer(self.moment(scene, name), happen)
        timer.start()
        try:
            return QUESTIONS[name](gp, scene.workload.points)
        finally:
            self.counts[f"{kind} in a {name}"] += began.is_set()
            self.counts[kind] += 1
            timer.join()

    def undisturbed(self, scene: Scene, name: str, gp: gprat.GP, after: str) -> None:
        """Ask once more: the same bits."""
        self.compare(scene, name, QUESTIONS[name](gp, scene.workload.points), f"after {after}")

    def compare(self, scene: Scene, name: str, answer: Answer, what: str) -> None:
        """Note a failure if bits differ."""
        self.check(np.array_equal(answer, scene.expected[name]), f"{what}: other bits")

    def kill_workers(self, scene: Scene, name: str) -> None:
        """Kill one worker, or two of three; the nanny starts new ones."""
        victims = self.rng.permutation(scene.worker_processes())[: self.rng.integers(1, WORKERS)]

        def kill() -> None:
            for victim in victims.tolist():
                os.kill(victim, signal.SIGKILL)

        gp = scene.workload.model(scene.client)
        answer = self.disturbed(scene, name, gp, kill, "workers killed")
        self.counts["workers killed"] += len(victims) - 1
        self.compare(scene, name, answer, f"killed in a {name}")
        scene.wait_for_workers(WORKERS, victims.tolist())
        self.undisturbed(scene, name, gp, f"a kill in a {name}")

    def join_and_leave(self, scene: Scene, name: str) -> None:
        """Let a worker join in the middle, which the next call uses; and one leave."""
        assert scene.cluster is not None
        scale, before = scene.cluster.scale, set(scene.client.nthreads())
        gp = scene.workload.model(scene.client)
        answer = self.disturbed(scene, name, gp, lambda: scale(WORKERS + 1), "workers joining")
        self.compare(scene, name, answer, f"joined in a {name}")
        scene.wait_for_workers(WORKERS + 1)
        gp = scene.workload.model(scene.client)
        gp.predict(scene.workload.points)
        held = scene.client.has_what()
        joined = set(scene.client.nthreads()) - before
        self.check(any(held[worker] for worker in joined), "a worker that joined isn't used")
        answer = self.disturbed(scene, name, gp, lambda: scale(WORKERS), "workers leaving")
        self.compare(scene, name, answer, f"left in a {name}")
        while len(scene.client.nthreads()) > WORKERS:
            time.sleep(0.1)

    def interrupt(self, scene: Scene, name: str) -> None:
        """Press Ctrl-C: workers go idle, and the model answers when asked again."""
        gp = scene.workload.model(scene.client)
        timer = threading.Timer(self.moment(scene, name), os.kill, (os.getpid(), signal.SIGINT))
        self.counts["calls interrupted"] += 1
        try:
            timer.start()
            QUESTIONS[name](gp, scene.workload.points)
            timer.join()
            time.sleep(1.0)  # the signal comes here, if it did not come before
        except KeyboardInterrupt:
            self.counts[f"calls interrupted in a {name}"] += 1
        self.check(scene.is_idle_within(_IDLE), f"interrupted in a {name}: workers go on")
        self.undisturbed(scene, name, gp, f"an interruption in a {name}")

    def restart(self, scene: Scene, name: str) -> None:
        """Restart all workers, which cancels what they do: an error that says so, or an answer."""
        gp = scene.workload.model(scene.client)
        try:
            answer = self.disturbed(scene, name, gp, scene.client.restart, "clusters restarted")
        except ClusterError as error:
            self.check("cancelled" in str(error), f"unclear: {error}")
        else:
            self.compare(scene, name, answer, f"restarted in a {name}")
        scene.wait_for_workers(WORKERS)
        self.check(scene.is_idle_within(_IDLE), f"restarted in a {name}: workers go on")
        try:
            self.undisturbed(scene, name, gp, f"a restart in a {name}")
        except ClusterError:
            # The factor was complete, and has gone with the workers; now the model knows.
            self.counts["factors lost"] += 1
            self.undisturbed(scene, name, gp, f"a factor was lost in a {name}")

    def run(self, scene: Scene, count: int) -> None:
        """Do so many trials of each kind, in turn."""
        kinds = {
            "kill": self.kill_workers,
            "join": self.join_and_leave,
            "interrupt": self.interrupt,
            "restart": self.restart,
        }
        order = [
            (kind, name)
            for number in range(count)
            for kind in kinds
            for name in QUESTIONS
            # Where processes start it takes long.
            if kind not in ("join", "restart") or number % 3 == 0
        ]
        for kind, name in track(order, description="workers", console=Console(stderr=True)):
            trial = kinds[kind]
            self.attempt(
                f"{kind}, {name}", lambda trial=trial, name=name: trial(scene, name), scene
            )


def lose_schedulers(campaign: Campaign, expected: Scene, count: int) -> None:
    """Kill schedulers in the middle of calls."""
    names = [list(QUESTIONS)[number % len(QUESTIONS)] for number in range(count)]
    for name in track(names, description="schedulers", console=Console(stderr=True)):
        campaign.attempt(
            f"scheduler lost, {name}", lambda name=name: _lose(campaign, expected, name)
        )


def _lose(campaign: Campaign, expected: Scene, name: str) -> None:
    with processes(2) as (address, scheduler), Client(address) as client:
        scene = Scene(client, campaign.workload, None, expected.expected, expected.seconds)
        gp = campaign.workload.model(client)
        try:
            answer = campaign.disturbed(scene, name, gp, scheduler.kill, "schedulers killed")
            campaign.compare(scene, name, answer, f"scheduler killed in a {name}")
            QUESTIONS[name](gp, campaign.workload.points)
        except ClusterError:
            campaign.counts["clear errors without a scheduler"] += 1
        else:
            campaign.failures.append(f"a {name} without a scheduler")
    theta = gp.theta
    elsewhere = campaign.workload.model(expected.client)
    elsewhere.theta = theta
    campaign.undisturbed(expected, name, elsewhere, f"a new client, {name}")
    answer = QUESTIONS[name](copy.deepcopy(gp), campaign.workload.points)
    is_close = np.allclose(answer, expected.expected[name], rtol=1e-7, atol=1e-9)
    campaign.check(is_close, f"{name} without a cluster: another answer")


def figures(campaign: Campaign, seed: int, seconds: float) -> dict[str, Any]:
    """Return what is kept as JSON."""
    return {
        "seed": seed,
        "workers": WORKERS,
        "n": campaign.workload.n,
        "block_size": campaign.workload.block_size,
        **{name: int(count) for name, count in sorted(campaign.counts.items())},
        "failures": campaign.failures,
        "seconds": round(seconds, 1),
    }


def main() -> int:
    """Run all of it; return 1 if anything went wrong."""
    parser = argparse.ArgumentParser(prog="python -m campaigns.cluster_faults", description=__doc__)
    parser.add_argument("--count", type=int, default=15, help="trials of each kind and operation")
    parser.add_argument("--schedulers", type=int, default=12, help="schedulers that are killed")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    arguments = parser.parse_args()
    campaign = Campaign(np.random.default_rng(arguments.seed))
    began = time.monotonic()
    with started(WORKERS, campaign.workload) as scene:
        campaign.run(scene, arguments.count)
        lose_schedulers(campaign, scene, arguments.schedulers)
    found = figures(campaign, arguments.seed, time.monotonic() - began)
    table = Table("", "", title="a cluster in trouble")
    for key, value in found.items():
        table.add_row(key, str(value))
    Console().print(table)
    write_result("cluster_faults", found)
    return int(bool(campaign.failures))


if __name__ == "__main__":
    raise SystemExit(main())
