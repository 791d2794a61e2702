"""Hours in one process: thousands of operations with flat memory, and results without drift.

``python -m campaigns.soak --hours 1``. Every round works on one of a few data sets and repeats all
that models can do; whatever comes out must be what came out the first time, bit by bit. Every so
often eight Python threads do rounds at once, and forked children do while the parent computes.

Memory is told in three ways: what is resident, which the allocators' habits move; how many
allocations of C and C++ have not been freed, as an allocator counts that is loaded first; and how
many blocks Python's own allocator has given out. A leak shows in one of the latter two.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import hashlib
import itertools
import os
import sys
import tempfile
import threading
import time
import warnings
from array import array
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table

import gprat
from campaigns.native import build
from campaigns.record import write_result
from gprat.differentiation import Regression, Wanted
from gprat.kernels import RBF, ConstantKernel, Matern, RationalQuadratic, WhiteKernel

__all__ = ["Soak", "figures", "main"]

_THREADS = 8
_DATA_SETS = 8
# Rounds between two crowds of threads, and between two forks.
_CROWD_EVERY, _FORK_EVERY = 50, 50
# Memory is still filling caches in the first part of the time.
_WARM_UP = 0.25
# Growth that is more than this a round: what each round keeps for good. Python's types remember the
# last 4096 names of attributes that were asked for, which is some blocks for many rounds.
_LIMITS = {"live_allocations": 0.05, "python_blocks": 0.9}
# Allocators keep memory for later: what is resident grows as caches fill, for an hour and longer.
_MOST_GROWTH = 32 << 20
_KERNELS = (
    ConstantKernel(1.0) * RBF([1.0, 1.0]),
    Matern([0.8, 1.5], nu=2.5) + WhiteKernel(0.1),
    RationalQuadratic(0.9, 0.7),
)

Data = tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], Any]


def life_of_a_model(data: Data, seed: int, path: Path) -> list[npt.ArrayLike]:
    """Train, predict, take rows in and give them up, save and load; return all results."""
    X, y, kernel = data
    n = len(X) - 16
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
    return results


def life_of_an_estimator(data: Data, seed: int, path: Path) -> list[npt.ArrayLike]:
    """Fit, predict, save, load and predict again; return all results."""
    X, y, kernel = data
    n = len(X) - 16
    model = gprat.GaussianProcessRegressor(kernel, noise=0.1, tile_size=32)
    model.fit(X[:n], y[:n])
    results: list[npt.ArrayLike] = [*model.predict(X[n:], return_std=True)]
    model.save(path)
    results.append(gprat.load(path).predict(X[n:]))
    return results


def life_of_a_batch(data: Data, seed: int, path: Path) -> list[npt.ArrayLike]:
    """Train four models at once, and predict; return all results."""
    X, y, kernel = data
    n = len(X) // 4 * 4
    batch = gprat.GPBatch(X[:n].reshape(4, -1, 2), y[:n].reshape(4, -1), kernel, 0.1)
    batch.optimize(max_iter=3)
    return [batch.theta, *batch.predict_with_uncertainty(X[:9])]


def derivatives(data: Data, seed: int, path: Path) -> list[npt.ArrayLike]:
    """Predict, and let derivatives flow back to all arguments; return all results."""
    X, y, kernel = data
    points, everything = X[:5] + 0.5, ~Wanted.MEAN_COEFFICIENTS
    conditioned = Regression(kernel, tile_size=32).condition(X[:-16], y[:-16], noise=0.1)
    prediction = conditioned.predict(points, joint=True)
    by = conditioned.pull_back(points, prediction[0], np.eye(5), everything, joint=True)
    assert by.X is not None
    return [*prediction, by.X, by.theta, by.noise, by.y, by.Xs]  # type: ignore[list-item]


# Each with how many operations it does.
_LIVES: dict[Callable[[Data, int, Path], list[npt.ArrayLike]], int] = {
    life_of_a_model: 10,
    life_of_an_estimator: 4,
    life_of_a_batch: 2,
    derivatives: 2,
}
OPERATIONS = sum(_LIVES.values())
"""Operations of a round."""


def one_round(seed: int, folder: Path, n: int) -> bytes:
    """Do all that models can do; return a digest of every result."""
    rng = np.random.default_rng(seed)
    X = rng.uniform(-3.0, 3.0, size=(n + 16, 2))
    y = np.sin(X[:, 0]) * np.cos(X[:, 1]) + 0.1 * rng.standard_normal(n + 16)
    data = X, y, _KERNELS[seed % len(_KERNELS)]
    path = folder / f"{threading.get_ident()}-{os.getpid()}.gprat"
    results = [result for life in _LIVES for result in life(data, seed, path)]
    path.unlink()
    return hashlib.sha256(b"".join(np.asarray(value).tobytes() for value in results)).digest()


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
        self._expected = [one_round(seed, folder, n) for seed in range(_DATA_SETS)]
        self.rounds = self.crowds = self.forks = self.drifted = 0
        # One number after the other in an array, once a second: a list of all would itself be a
        # leak of a hundred bytes a round.
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
                self._count(seed, job.result())
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
                status = int(one_round(1, self._folder, self._n) != self._expected[1])
            finally:
                os._exit(status)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        worker.join()
        self.drifted += status != 0
        self.forks += 1

    @property
    def memory(self) -> dict[str, npt.NDArray[np.int64]]:
        """Milliseconds, rounds, live allocations, Python's blocks and resident bytes."""
        columns = np.array(self._samples, dtype=np.int64).reshape(-1, 5).T
        names = ("milliseconds", "rounds", *_LIMITS, "resident_bytes")
        return dict(zip(names, columns, strict=True))

    def slopes(self) -> dict[str, float]:
        """Return by how much a round memory grew, after the warm-up, in each of its units."""
        memory = self.memory
        late = slice(int(_WARM_UP * len(memory["rounds"])), None)
        rounds = memory["rounds"][late].astype(np.float64)
        names = (*_LIMITS, "resident_bytes")
        if rounds.size < 2:
            return dict.fromkeys(names, 0.0)
        return {
            name: float(np.polyfit(rounds, memory[name][late].astype(np.float64), 1)[0])
            for name in names
        }

    def grows(self) -> bool:
        """Return whether memory was kept for good."""
        slopes = self.slopes()
        leaks = any(slopes[name] > limit for name, limit in _LIMITS.items())
        return leaks or slopes["resident_bytes"] * self.rounds > _MOST_GROWTH

    def _sample(self) -> None:
        milliseconds = round(1000.0 * (time.monotonic() - self._began))
        if not self._samples or milliseconds - self._samples[-5] >= 1000:
            gc.collect()  # what waits for it is no leak
            memory = _live_allocations(), sys.getallocatedblocks(), _resident_bytes()
            self._samples.extend((milliseconds, self.rounds, *memory))

    def _check(self, seed: int) -> None:
        self._count(seed, one_round(seed, self._folder, self._n))

    def _count(self, seed: int, digest: bytes) -> None:
        self.rounds += 1
        self.drifted += digest != self._expected[seed]


def _resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def _live_allocations() -> int:
    """Return what C and C++ have allocated and not freed; 0 where nobody counts it."""
    count = getattr(ctypes.CDLL(None), "gprat_faults_live", None)
    if count is None:
        return 0
    count.restype = ctypes.c_long
    return int(count())


def run_counted() -> None:
    """Start this program anew, in place of itself, with an allocator that counts."""
    allocator = next(build(["gprat_failing_allocator"]).glob("libgprat_failing_allocator.*"))
    environment = {**os.environ, "LD_PRELOAD": str(allocator)}
    os.execve(sys.executable, [sys.executable, "-m", "campaigns.soak", *sys.argv[1:]], environment)


def figures(soak: Soak) -> dict[str, Any]:
    """Return what is kept as JSON."""
    memory, slopes = soak.memory, soak.slopes()
    hours = float(memory["milliseconds"][-1]) / 3.6e6
    resident = memory["resident_bytes"] / 2**20
    per_hour = slopes["resident_bytes"] * soak.rounds / hours if hours else 0.0
    return {
        "hours": round(hours, 4),
        "rounds": soak.rounds,
        "operations": OPERATIONS * soak.rounds,
        "crowds_of_threads": soak.crowds,
        "threads_of_a_crowd": _THREADS,
        "forks_under_load": soak.forks,
        "results_that_drifted": soak.drifted,
        "runtime_threads": gprat.runtime.threads(),
        "resident_mib_after_warm_up": round(float(resident[int(_WARM_UP * len(resident))]), 1),
        "resident_mib_at_the_end": round(float(resident[-1]), 1),
        "slope_mib_an_hour": round(per_hour / 2**20, 3),
        **{f"slope_{name}_a_round": round(slope, 3) for name, slope in slopes.items()},
    }


def main() -> int:
    """Soak for the hours of the command line; return 1 for a leak or a drift."""
    parser = argparse.ArgumentParser(prog="python -m campaigns.soak", description=__doc__)
    parser.add_argument("--hours", type=float, default=1.0, help="how long")
    parser.add_argument("--n", type=int, default=120, help="training points of a model")
    arguments = parser.parse_args()
    if not hasattr(ctypes.CDLL(None), "gprat_faults_live"):
        run_counted()
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
    return int(bool(soak.drifted or left or soak.grows()))


if __name__ == "__main__":
    raise SystemExit(main())
