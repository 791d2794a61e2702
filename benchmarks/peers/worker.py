"""``python -m benchmarks.peers.worker MODULE:CLASS``: one library in a process of its own.

Reads a JSON object a line from standard input and answers with one a line; sleeps on its pipe in
between. Commands: ``load`` (a task, its arrays as .npy files), ``run`` (an operation, so many times
in a row), ``optimise``, ``memory``, ``describe``, ``quit``. What the library itself prints goes to
standard error.
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
import traceback
from importlib import import_module
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from benchmarks.peers.protocol import OPERATIONS, Adapter, Task


class Worker:
    """Answers commands by calling an adapter."""

    def __init__(self, adapter: Adapter) -> None:
        self._adapter = adapter

    def answer(self, command: str, **arguments: Any) -> dict[str, Any]:
        """Carry out one command."""
        actions = {
            "describe": self.describe,
            "load": self.load,
            "run": self.run,
            "optimise": self.optimise,
            "memory": self.memory,
        }
        return actions[command](**arguments)

    def describe(self) -> dict[str, Any]:
        """Say who this is."""
        adapter = self._adapter
        return {
            "name": adapter.name,
            "approximate": adapter.approximate,
            "dtype": adapter.dtype,
            "compiles": adapter.compiles,
            "caches": adapter.caches,
            "operations": adapter.operations(),
            "versions": {"python": sys.version.split()[0], **adapter.versions()},
        }

    def load(self, folder: str, threads: int, hyperparameters: dict[str, Any]) -> dict[str, Any]:
        """Read a task from a folder and prepare for it."""
        X, y, X_test = (np.load(Path(folder) / f"{name}.npy") for name in ("X", "y", "X_test"))
        self._adapter.prepare(
            Task(
                X,
                y,
                X_test,
                variance=hyperparameters["variance"],
                length_scales=np.asarray(hyperparameters["length_scales"], dtype=X.dtype),
                noise_variance=hyperparameters["noise_variance"],
                threads=threads,
            )
        )
        return {}

    def run(self, operation: str, count: int = 1, output: str | None = None) -> dict[str, Any]:
        """Time an operation: the mean of some calls in a row; keep the last one's arrays."""
        call = getattr(self._adapter, operation)
        elapsed = 0.0
        for _ in range(count):
            self._adapter.fresh(operation)
            start = time.perf_counter()
            result = call()
            elapsed += time.perf_counter() - start
        if output is not None:
            save(output, dict(zip(OPERATIONS[operation], as_tuple(result), strict=True)))
        return {"seconds": elapsed / count}

    def optimise(self, output: str, seed: int) -> dict[str, Any]:
        """Time a fit; keep what it found."""
        start = time.perf_counter()
        result = self._adapter.optimise(seed)
        elapsed = time.perf_counter() - start
        save(output, result)
        return {"seconds": elapsed}

    def memory(self, reset: bool = False) -> dict[str, Any]:
        """Tell resident memory now and at its peak, in bytes; `reset` starts the peak anew."""
        if reset:
            Path("/proc/self/clear_refs").write_text("5")
        status = Path("/proc/self/status").read_text()
        found = dict(re.findall(r"Vm(RSS|HWM):\s+(\d+) kB", status))
        return {"resident": 1024 * int(found["RSS"]), "peak": 1024 * int(found["HWM"])}


def as_tuple(result: Any) -> tuple[Any, ...]:
    """Return what an operation returned as a tuple, in the order of `OPERATIONS`."""
    if result is None:
        return ()
    return result if isinstance(result, tuple) else (result,)


def save(path: str, arrays: dict[str, Any]) -> None:
    """Write each array to a file of its own, NAME.npy in a folder, where it can be mapped."""
    folder = Path(path)
    folder.mkdir(parents=True, exist_ok=True)
    for name, values in arrays.items():
        np.save(folder / f"{name}.npy", np.asarray(values))


def serve(adapter: Adapter, commands: TextIO, answers: TextIO) -> None:
    """Answer commands until there are no more."""
    worker = Worker(adapter)
    for line in commands:
        message = json.loads(line)
        if message["command"] == "quit":
            return
        try:
            answer = worker.answer(**message)
        except Exception as error:
            traceback.print_exc()
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), file=answers, flush=True)


def main() -> None:
    """Serve the adapter that the command line names."""
    # Libraries that print would break the answers: their standard output becomes standard error.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    module, name = sys.argv[1].split(":")
    adapter = getattr(import_module(module), name)()
    serve(adapter, sys.stdin, answers)


if __name__ == "__main__":
    main()
