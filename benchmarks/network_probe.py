"""Measure traffic and time of a cluster on two hosts; a program that runs on the first of them.

``python -m benchmarks.network_probe '{"n": 2048, …}'`` in a namespace of `benchmarks.namespaces`.
Scheduler, client and the first worker are here, the second worker is on the other host. What was
measured is printed as JSON.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import dask
from distributed import Client

from benchmarks.dask_cluster import AS_PLANNED, measure_overheads, started_cluster
from benchmarks.models import make_model
from benchmarks.namespaces import Host, sent_and_received
from benchmarks.problem import Arrays, Problem

__all__ = ["OPERATIONS", "main"]

# Names of `gprat.plan`, and what they do.
OPERATIONS = {"fit": "likelihood and gradient", "variance": "mean and variance"}


def main(settings: dict[str, Any]) -> dict[str, Any]:
    """Start the cluster, and measure."""
    here, other = (Host(*host) for host in settings["hosts"])
    # Started before the worker elsewhere, which finds the scheduler by its address.
    with (
        dask.config.set(AS_PLANNED),
        started_cluster(1, host=here.address) as client,
        _worker(other, client),
    ):
        client.wait_for_workers(2)
        overheads = measure_overheads(client)
        problem = Problem(n=settings["n"], m=settings["m"])
        arrays = problem.arrays()
        for what in OPERATIONS:  # what workers load and start when they first need it
            small = Problem(n=256, m=16)
            _run(what, client, small, small.arrays())
        rows = [
            _row(what, client, problem, arrays)
            for what in OPERATIONS
            for _ in range(settings["repeats"])
        ]
    return {"overheads": overheads, "rows": rows}


@contextlib.contextmanager
def _worker(host: Host, client: Client) -> Iterator[None]:
    command = [sys.executable, "-m", "distributed.cli.dask_worker", client.scheduler.address]
    options = ["--nthreads", "1", "--host", host.address, "--memory-limit", "0", "--no-dashboard"]
    with subprocess.Popen([*host.prefix, *command, *options], stderr=subprocess.DEVNULL) as process:
        try:
            yield
        finally:
            process.terminate()


def _row(what: str, client: Client, problem: Problem, arrays: Arrays) -> dict[str, Any]:
    before = sent_and_received()
    start = time.perf_counter()
    _run(what, client, problem, arrays)
    seconds = time.perf_counter() - start
    sent, received = (now - then for now, then in zip(sent_and_received(), before, strict=True))
    return {"operation": what, "seconds": seconds, "sent": sent, "received": received}


def _run(what: str, client: Client, problem: Problem, arrays: Arrays) -> None:
    model = make_model(problem, arrays, engine="cluster", client=client)
    if what == "fit":
        model.log_marginal_likelihood(eval_gradient=True)
    else:
        model.predict_with_uncertainty(arrays.X_test)


if __name__ == "__main__":
    print(json.dumps(main(json.loads(sys.argv[1]))))
