"""Hours in one process: thousands of operations with flat memory, and results without drift.

``python -m campaigns.soak --hours 1``. Every round works on one of a few data sets and repeats all
that a model can do; whatever comes out must be what came out the first time, bit by bit. Every so
often eight Python threads do rounds at once, and forked children do while the parent computes.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import os
import tempfile
import threading
import time
import warnings
from array import array
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table

import gprat
from campaigns.record import write_result
from gprat.kernels import RBF, ConstantKernel, Matern, RationalQuadratic, WhiteKernel

__all__ = ["Soak", "main"]

_THREADS = 8
_DATA_SETS = 8
# Rounds between two crowds of threads, and between two forks.
_CROWD_EVERY, _FORK_EVERY = 50, 50
# Memory is still filling caches in the first part of the time.
_WARM_UP = 0.25
# A leak of one small array a round would be more than this.
_MOST_BYTES_A_ROUND = 512
_KERNELS = (
    ConstantKernel(1.0) * RBF([1.0, 1.0]),
    Matern([0.8, 1.5], nu=2.5) + WhiteKernel(0.1),
    RationalQuadratic(0.9, 0.7),
)


def one_round(seed: int, folder: Path, n: int) -> tuple[bytes, int]:
    """Do all that a model can do; return a digest of every result, and how many operations."""
    rng = np.random.default_rng(seed)
    X = rng.uniform(-3.0, 3.0, size=(n + 16, 2))
    y = np.sin(X[:, 0]) * np.cos(X[:, 1]) + 0.1 * rng.standard_normal(n + 16)
    kernel = _KERNELS[seed % len(_KERNELS)]
    path = folder / f"{threading.get_ident()}-{os.getpid()}.gprat"
    results: list[npt.ArrayLike] = []

    gp = gprat.GP(X[:n], y[:n], kernel, 0.1, tile_size=32)
    results += gp.loss(eval_gradient=True)
    gp.optimize(max_iter=3)
    results += [gp.theta, *gp.predict_with_uncertainty(X[n:])]
    gp.append(X[n:], y[n:])
    results.append(gp.predict(X[:9] + 0.25))
    gp.delete(np.arange(0, n, 7))
    results.append(gp.predict(X[:9] + 0.25))
    gp.save(path, include_factor=True)
    loaded = gprat.load(path)
    results += [*loaded.predict_with_full_cov(X[:5] + 0.5)]
    results.append(loaded.sample(X[:5] + 0.5, 3, random_state=seed))

    model = gprat.GaussianProcessRegressor(kernel, noise=0.1, tile_size=32)
    model.fit(X[:n], y[:n])
    results += [*model.predict(X[n:], return_std=True)]
    model.save(path)
    results.append(gprat.load(path).predict(X[n:]))
    path.unlink()
    digest = hashlib.sha256(b"".join(np.asarray(value).tobytes() for value in results))
    return digest.digest(), 14


class Soak:
    """Rounds without end, with what was counted.

    Parameters
    ----------
    folder : Path
        For files.
    n : int, default=120
        Training points of a model.
    """

    def __init__(self, folder: Path, n: int = 120) -> None:
        self._folder, self._n = folder, n
        self._expected = [one_round(seed, folder, n)[0] for seed in range(_DATA_SETS)]
        self.rounds = self.operations = self.crowds = self.forks = self.drifted = 0
        # Milliseconds since the start, rounds, and resident bytes: one number after the other in an
        # array, once a second, as a list of all would itself be a leak of a hundred bytes a round.
        self._samples = array("q")
        self._began = time.monotonic()

    def run(self, seconds: float, most_rounds: int | None = None) -> None:
        """Do rounds for so long, or so many."""
        for number in itertools.count():
            if time.monotonic() - self._began > seconds or number == most_rounds:
                return
            self._check(number % _DATA_SETS)
            if number % _CROWD_EVERY == 1:
                self.crowd()
            if number % _FORK_EVERY == 2:
                self.fork()
            self._sample()

    def crowd(self) -> None:
        """Let threads share the runtime: each result is that of one thread alone."""
        with ThreadPoolExecutor(_THREADS) as pool:
            jobs = [pool.submit(one_round, i, self._folder, self._n) for i in range(_DATA_SETS)]
            for seed, job in enumerate(jobs):
                self._count(seed, *job.result())
        self.crowds += 1

    def fork(self) -> None:
        """Fork a child that computes, while another thread of the parent computes."""
        worker = threading.Thread(target=self._check, args=(0,))
        worker.start()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of fork() in a process with threads
            child = os.fork()
        if child == 0:
            status = 2
            try:
                status = int(one_round(1, self._folder, self._n)[0] != self._expected[1])
            finally:
                os._exit(status)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        worker.join()
        self.drifted += status != 0
        self.forks += 1

    @property
    def memory(self) -> npt.NDArray[np.int64]:
        """Milliseconds, rounds and resident bytes, shape (samples, 3)."""
        return np.array(self._samples, dtype=np.int64).reshape(-1, 3)

    def slope(self) -> float:
        """Return by how many bytes a round memory grew, after the warm-up."""
        memory = self.memory
        _, rounds, resident = memory[int(_WARM_UP * len(memory)) :].T.astype(np.float64)
        if rounds.size < 2:
            return 0.0
        return float(np.polyfit(rounds, resident, 1)[0])

    def _sample(self) -> None:
        milliseconds = round(1000.0 * (time.monotonic() - self._began))
        if not self._samples or milliseconds - self._samples[-3] >= 1000:
            self._samples.extend((milliseconds, self.rounds, _resident_bytes()))

    def _check(self, seed: int) -> None:
        self._count(seed, *one_round(seed, self._folder, self._n))

    def _count(self, seed: int, digest: bytes, operations: int) -> None:
        self.rounds += 1
        self.operations += operations
        self.drifted += digest != self._expected[seed]


def _resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def figures(soak: Soak) -> dict[str, Any]:
    """Return what is kept as JSON."""
    memory = soak.memory
    hours = memory[-1, 0] / 3.6e6
    per_hour = soak.slope() * soak.rounds / hours if hours else 0.0
    return {
        "hours": round(float(hours), 4),
        "rounds": soak.rounds,
        "operations": soak.operations,
        "crowds_of_threads": soak.crowds,
        "threads_of_a_crowd": _THREADS,
        "forks_under_load": soak.forks,
        "results_that_drifted": soak.drifted,
        "runtime_threads": gprat.runtime.threads(),
        "resident_mib_after_warm_up": memory[int(_WARM_UP * len(memory)), 2] / 2**20,
        "resident_mib_at_the_end": memory[-1, 2] / 2**20,
        "slope_bytes_a_round": round(soak.slope(), 1),
        "slope_mib_an_hour": round(per_hour / 2**20, 3),
    }


def main() -> int:
    """Soak for the hours of the command line; return 1 for a leak or a drift."""
    parser = argparse.ArgumentParser(prog="python -m campaigns.soak", description=__doc__)
    parser.add_argument("--hours", type=float, default=1.0, help="how long")
    parser.add_argument("--n", type=int, default=120, help="training points of a model")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        soak = Soak(Path(folder), arguments.n)
        soak.run(3600.0 * arguments.hours)
        left = [file.name for file in Path(folder).iterdir()]
    found = figures(soak) | {"files_left": len(left)}
    table = Table("", "", title="soak")
    for name, value in found.items():
        table.add_row(name.replace("_", " "), f"{value:,}")
    Console().print(table)
    write_result("soak", found)
    failed = bool(soak.drifted or left or soak.slope() > _MOST_BYTES_A_ROUND)
    return int(failed)


if __name__ == "__main__":
    raise SystemExit(main())
