"""``python -m benchmarks.details.deep_kernel``: a training step, beside GPyTorch (exact).

A step is a network from 8 inputs by 64 units to 2 features, an RBF kernel of these, the log
marginal likelihood, its gradient, and a step of Adam, all in float64.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gpytorch
import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from benchmarks.details.calls import Dpotrf, make_data, peak_resident_gib
from benchmarks.details.gpytorch_models import (
    NOISE,
    PeerRegression,
    check_agreement,
    exact,
    kernel,
    medians,
    use_threads,
)
from gprat.torch import ExactGP

# GPyTorch's time over ours at least, and our memory over GPyTorch's at most.
SPEED_GOAL, MEMORY_GOAL = 4.0, 0.25
_SMALL = 64
_LEARNING_RATE = 1e-3


def make_network() -> torch.nn.Module:
    """Return the features, the same every time."""
    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.Linear(8, 64), torch.nn.ReLU(), torch.nn.Linear(64, 2)
    ).double()


class Ours:
    """gprat."""

    def __init__(self, X: torch.Tensor, y: torch.Tensor) -> None:
        self.network = make_network()
        self._data = X, y
        self._model = ExactGP(kernel(), NOISE, features=self.network, dtype=torch.float64)
        self._optimiser = torch.optim.Adam(self._model.parameters(), lr=_LEARNING_RATE)

    def loss(self) -> torch.Tensor:
        """Return the loss."""
        return -self._model(*self._data)

    def step(self) -> float:
        """Take one step; return the loss before it."""
        self._optimiser.zero_grad()
        loss = self.loss()
        loss.backward()
        self._optimiser.step()
        return loss.item()


class Theirs(Ours):
    """GPyTorch with its exact path forced."""

    def __init__(self, X: torch.Tensor, y: torch.Tensor) -> None:
        self.network = make_network()
        self._data = X, y
        self._model = PeerRegression(X, y, self.network).train()
        self._likelihood = gpytorch.mlls.ExactMarginalLogLikelihood(
            self._model.likelihood, self._model
        )
        self._optimiser = torch.optim.Adam(self._model.parameters(), lr=_LEARNING_RATE)

    def loss(self) -> torch.Tensor:
        """Return the loss: GPyTorch's is that of one row."""
        X, y = self._data
        return -self._likelihood(self._model(X), y) * len(y)

    def step(self) -> float:
        """Take one step in GPyTorch's exact settings."""
        with exact():
            return super().step()


CONTESTANTS: dict[str, type[Ours]] = {"gprat": Ours, "GPyTorch (exact)": Theirs}


def make_tensors(n: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return inputs and targets."""
    X, y, _ = make_data(n, 8)
    return torch.from_numpy(X), torch.from_numpy(y)


def compare(n: int) -> float:
    """Check that both have the same loss and the same gradient by the weights."""
    X, y = make_tensors(n)
    losses, gradients = [], []
    for make in CONTESTANTS.values():
        contestant = make(X, y)
        with exact():
            loss = contestant.loss()
            loss.backward()
        losses.append([loss.detach()])
        gradients.append([weights.grad for weights in contestant.network.parameters()])
    return max(check_agreement(*losses), check_agreement(*gradients))


def measure(n: int, repeats: int) -> dict[str, Any]:
    """Time steps of both in turn, with LAPACK's factorisation among them."""
    X, y = make_tensors(n)
    dpotrf = Dpotrf(n, np.random.default_rng(1))
    calls: dict[str, Callable[[], Any]] = {
        name: make(X, y).step for name, make in CONTESTANTS.items()
    }
    return {"n": n, **medians(calls | {"dpotrf": dpotrf.seconds}, repeats)}


def memory_of_steps(name: str, n: int) -> float:
    """Return the GiB that two steps add at their peak to data and libraries, in this process."""
    use_threads()
    # Whatever is loaded or made once is there afterwards.
    CONTESTANTS[name](*make_tensors(_SMALL)).step()
    contestant = CONTESTANTS[name](*make_tensors(n))
    Path("/proc/self/clear_refs").write_text("5")
    before = _resident_gib()
    contestant.step()
    contestant.step()
    return peak_resident_gib() - before


def _resident_gib() -> float:
    (kibibytes,) = re.findall(r"VmRSS:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(kibibytes) / 2**20


def memory_in_a_fresh_process(name: str, n: int) -> float:
    """Ask a process of its own for its memory."""
    module = "benchmarks.details.deep_kernel"
    code = f"from {module} import memory_of_steps; print(memory_of_steps({name!r}, {n}))"
    completed = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    )
    return float(completed.stdout.split()[-1])


def print_table(console: Console, times: dict[str, Any], memory: dict[str, float]) -> None:
    """Print a line for each library."""
    table = Table(title=f"one step of training a deep kernel, n = {times['n']}, float64")
    for heading in ("", "seconds", "of dpotrf", "memory of a step"):
        table.add_column(heading, justify="left" if not heading else "right")
    for name in CONTESTANTS:
        seconds = times[name]["median"]
        ratio = seconds / times["dpotrf"]["median"]
        table.add_row(name, f"{seconds:.3f}", f"{ratio:.2f}", f"{memory[name]:.2f} GiB")
    console.print(table)
    ours, theirs = CONTESTANTS
    speed = times[theirs]["median"] / times[ours]["median"]
    share = memory[ours] / memory[theirs]
    console.print(
        f"{speed:.1f} times faster (goal: at least {SPEED_GOAL:g}), in {share:.2f} of the memory "
        f"(goal: at most {MEMORY_GOAL:g})"
    )


def main() -> None:
    """Parse the command line and measure."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.details.deep_kernel", description=__doc__
    )
    parser.add_argument("--n", type=int, default=4096, help="training points")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", type=Path, help="also write the measurements to this file")
    arguments = parser.parse_args()
    console = Console()
    threads = use_threads()
    difference = compare(min(arguments.n, 1024))
    console.print(f"{threads} threads; losses and gradients agree to {difference:.0e}")
    times = measure(arguments.n, arguments.repeats)
    memory = {name: memory_in_a_fresh_process(name, arguments.n) for name in CONTESTANTS}
    print_table(console, times, memory)
    if arguments.json:
        record = {"threads": threads, "difference": difference, "times": times, "gib": memory}
        arguments.json.write_text(json.dumps(record, indent=2))


if __name__ == "__main__":
    main()
