"""``python -m benchmarks.details.forecasts``: tile sizes and times, predicted and measured.

Two tables. The first sweeps the tile size of the likelihood with its gradient: what ``"auto"`` has
chosen beside the best of the sweep, and the time that the simulation predicts beside the measured
one. The second compares `gprat.plan` with each operation. Runs are interleaved, medians are
reported, and a threaded dpotrf of the same size runs among them, so that a slow minute shows.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

import gprat
from benchmarks.details.calls import Dpotrf, make_data, make_model, time_call
from gprat.calibration import CalibratedMachine, Calibration, find
from gprat.planning import auto_tile_size
from gprat.simulation import record_tasks, run

FEATURES = 8
SIZES = (256, 512, 1024, 2048, 4096, 8192, 16384)
SWEEP = (96, 120, 144, 168, 192, 240, 288, 336, 384, 432, 504, 576, 672, 768, 888, 1008)
PAUSE = 0.1
# Of so much time for each line, short operations are repeated more often.
SECONDS_A_LINE, MOST_REPEATS = 5.0, 21


def sweep(n: int, threads: int, calibration: Calibration, repeats: int) -> dict[str, Any]:
    """Time the gradient for all tile sizes that make sense."""
    X, y, _ = make_data(n, FEATURES)
    chosen = make_model(X, y).tile_size
    rule = auto_tile_size(n, gprat.runtime.processors())
    candidates = {size for size in SWEEP if n / 80 <= size <= n} | {chosen, rule}
    if n <= 1024:
        candidates.add(n)
    models = {size: make_model(X, y, tile_size=size, threads=threads) for size in candidates}
    calls = {
        str(size): lambda model=model: model.log_marginal_likelihood(eval_gradient=True)
        for size, model in models.items()
    }
    times = interleaved(calls, n, repeats)
    dpotrf = times.pop("dpotrf")
    medians = {int(size): statistics.median(values) for size, values in times.items()}
    best = min(medians, key=medians.__getitem__)
    predicted = {size: simulated(n, size, threads, calibration) for size in medians}
    return {
        "n": n,
        "threads": threads,
        "chosen": chosen,
        "rule": rule,
        "best": best,
        "seconds": medians,
        "predicted": predicted,
        "chosen_over_best": medians[chosen] / medians[best],
        "rule_over_best": medians[rule] / medians[best],
        "predicted_over_measured": predicted[chosen] / medians[chosen],
        "dpotrf": statistics.median(dpotrf),
    }


def simulated(n: int, tile_size: int, threads: int, calibration: Calibration) -> float:
    """Return the seconds that the simulation predicts for the gradient."""
    tasks = record_tasks(
        "fit", n, FEATURES, n_hyperparameters=FEATURES + 2, tile_size=tile_size, threads=threads
    )
    return run(tasks, CalibratedMachine(calibration, FEATURES), threads).makespan


def check_plans(n: int, threads: int, repeats: int) -> list[dict[str, Any]]:
    """Time each operation beside its plan."""
    X, y, Xs = make_data(n, FEATURES)
    calls: dict[str, Callable[[], Any]] = {
        "fit": lambda: model().log_marginal_likelihood(eval_gradient=True),
        "predict": lambda: model().predict(Xs),
        "variance": lambda: model().predict_with_uncertainty(Xs),
        "covariance": lambda: model().predict_with_full_cov(Xs),
    }

    def model() -> gprat.GP:
        return make_model(X, y, threads=threads)

    times = interleaved(calls, n, repeats)
    rows = []
    for what in calls:
        planned = gprat.plan(
            n, FEATURES, 0 if what == "fit" else n, what=what, threads=threads, calibrate=True
        )
        measured = statistics.median(times[what])
        rows.append(
            {
                "n": n,
                "threads": threads,
                "what": what,
                "predicted": planned.seconds,
                "measured": measured,
                "efficiency": planned.efficiency,
                "ratio": (planned.seconds or np.nan) / measured,
            }
        )
    return rows


def interleaved(
    calls: dict[str, Callable[[], Any]], n: int, repeats: int
) -> dict[str, list[float]]:
    """Time all calls in turn, with dpotrf among them."""
    dpotrf = Dpotrf(n, np.random.default_rng(1))
    times: dict[str, list[float]] = {name: [] for name in [*calls, "dpotrf"]}
    dpotrf.seconds()
    longest = max(time_call(call) for call in calls.values())
    rounds = min(MOST_REPEATS, max(repeats, int(SECONDS_A_LINE / longest / len(calls))))
    for _ in range(rounds):
        times["dpotrf"].append(dpotrf.seconds())
        # The threads of the other library look for more work for a while.
        time.sleep(PAUSE)
        for name, call in calls.items():
            times[name].append(time_call(call))
    return times


def print_sweeps(rows: Sequence[dict[str, Any]]) -> None:
    """Print chosen against best."""
    table = Table(title="likelihood and gradient, d = 8, float64")
    for heading in ("n", "threads", "chosen", "rule", "best", "seconds", "chosen/best",
                    "rule/best", "predicted/measured", "dpotrf s"):  # fmt: skip
        table.add_column(heading, justify="right")
    for row in rows:
        table.add_row(
            f"{row['n']:,}", str(row["threads"]), str(row["chosen"]), str(row["rule"]),
            str(row["best"]), f"{row['seconds'][row['chosen']]:.4f}",
            f"{row['chosen_over_best']:.3f}", f"{row['rule_over_best']:.3f}",
            f"{row['predicted_over_measured']:.3f}", f"{row['dpotrf']:.4f}",
        )  # fmt: skip
    Console(width=120).print(table)


def print_plans(rows: Sequence[dict[str, Any]]) -> None:
    """Print predicted against measured."""
    table = Table(title="gprat.plan, m = n, d = 8, float64")
    for heading in ("n", "threads", "operation", "predicted s", "measured s", "ratio"):
        table.add_column(heading, justify="right")
    for row in rows:
        table.add_row(
            f"{row['n']:,}", str(row["threads"]), row["what"], f"{row['predicted']:.4f}",
            f"{row['measured']:.4f}", f"{row['ratio']:.3f}",
        )  # fmt: skip
    Console(width=120).print(table)


def main() -> None:
    """Parse the command line and measure."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.details.forecasts", description=__doc__
    )
    parser.add_argument("--n", type=int, nargs="+", default=SIZES, help="training points")
    parser.add_argument("--plan-n", type=int, nargs="*", default=(2000, 4000, 8192))
    parser.add_argument("--threads", type=int, nargs="+", default=(1, 2))
    parser.add_argument("--repeats", type=int, default=3, help="runs of each at least (medians)")
    parser.add_argument("--json", type=Path, help="also write the measurements to this file")
    arguments = parser.parse_args()
    calibration = find("float64") or gprat.tune()
    print(calibration)
    sweeps, plans = [], []
    for n in arguments.n:
        sweeps += [sweep(n, threads, calibration, arguments.repeats)
                   for threads in arguments.threads]  # fmt: skip
    for n in arguments.plan_n:
        for threads in arguments.threads:
            plans += check_plans(n, threads, arguments.repeats)
    print_sweeps(sweeps)
    print_plans(plans)
    if arguments.json:
        arguments.json.write_text(json.dumps({"sweeps": sweeps, "plans": plans}, indent=1))


if __name__ == "__main__":
    main()
