"""Peak memory of an operation, by the operating system's account of a fresh process."""

from __future__ import annotations

from benchmarks.peers.process import PeerProcess
from benchmarks.problem import Problem

__all__ = ["peak_bytes"]

# Rows of the problem that has the library load and start all that it needs.
_WARM_UP = 256


def peak_bytes(peer: str, operation: str, problem: Problem, threads: int, limit: float) -> int:
    """Return the peak of resident memory during one call, less what the process held before.

    Before it, the process has done the operation for a small problem, and has the data of this one
    in the form that its library wants.

    Raises
    ------
    PeerError
        If it takes too long or too much memory.
    """
    small = Problem(**(problem.describe() | {"n": _WARM_UP, "m": min(problem.m, _WARM_UP)}))
    process = PeerProcess(peer, threads)
    try:
        process.load(small.arrays(), small.hyperparameters())
        process.seconds(operation)
        process.load(problem.arrays(), problem.hyperparameters())
        before = process.memory(reset=True)["resident"]
        process.seconds(operation, limit=limit)
        return process.memory()["peak"] - before
    finally:
        process.close()
