"""Real data: time to convergence, and how good the predictions are."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from scipy.stats import norm

import gprat
from benchmarks.peers.process import PeerError, started
from benchmarks.real_data import Table, read_tables
from benchmarks.record import Record
from benchmarks.report.style import COLOURS, LABELS, describe_failure, seconds
from benchmarks.report.tables import markdown
from benchmarks.study import Options, Outcome
from gprat.kernels import ConstantKernel, Matern

NAME = "generalisation"
TITLE = "Real data"
# Training rows for the comparison, and the most that ours trains alone.
SIZES = (1000, 20_000)
PEERS = ("gprat", "scikit-learn", "gpytorch")
REPEATS = 1
SMOKE_SIZES = (60, 100)

SEED = 0
# A fit by a peer that takes longer is stopped.
LIMIT = 300.0
# Test RMSE of exact GPs in Wang et al. (2019), "Exact Gaussian processes on a million data points".
PUBLISHED = {"pol": 0.151, "bike": 0.220, "kin40k": 0.099}


def measure(options: Options) -> Outcome:
    """Fit all peers to the same few rows, then ours to all."""
    few, many = min(options.sizes), max(options.sizes)
    rows: list[dict[str, Any]] = []
    with started(options.peers, options.threads) as peers:
        for table in read_tables(options.data):
            options.tell(f"{table.name}: beside peers")
            arrays, target = table.split(SEED, few)
            d = arrays.X.shape[1]
            start = {
                "variance": 1.0,
                "length_scales": [float(np.sqrt(d))] * d,
                "noise_variance": 0.1,
            }
            for name, peer in peers.items():
                row = _about(table, len(arrays.X), d) | {"peer": name, "model": "RBF"}
                try:
                    peer.load(arrays, start)
                    elapsed, found = peer.optimise(SEED, LIMIT)
                except PeerError as failure:
                    rows.append(row | failure.describe())
                    continue
                variance = found["variance_test"] + found["noise_variance"]
                rows.append(
                    row | {"fit_and_predict": elapsed} | scores(target, found["mean"], variance)
                )
            options.tell(f"{table.name}: all rows")
            rows.append(_all_rows(table, many, options.threads))
    return Outcome(rows, {name: peer.about for name, peer in peers.items()})


def _about(table: Table, n: int, d: int) -> dict[str, Any]:
    return {"data": table.name, "n": n, "d": d}


def _all_rows(table: Table, most: int, threads: int) -> dict[str, Any]:
    """Fit ours as one would for the best predictions: a Matern kernel and a constant mean."""
    arrays, target = table.split(SEED, most)
    d = arrays.X.shape[1]
    kernel = ConstantKernel(1.0) * Matern(np.full(d, np.sqrt(d)), nu=1.5)
    start = time.perf_counter()
    model = gprat.GP(arrays.X, arrays.y, kernel, noise=0.1, mean="constant", threads=threads)
    model.optimize(progress=False)
    fitted = time.perf_counter()
    mean, variance = model.predict_with_uncertainty(arrays.X_test, include_noise=True)
    return (
        _about(table, len(arrays.X), d)
        | {
            "peer": "gprat",
            "model": "Matern 3/2",
            "fit": fitted - start,
            "fit_and_predict": time.perf_counter() - start,
        }
        | scores(target, mean, variance)
    )


def scores(target: np.ndarray, mean: np.ndarray, variance: np.ndarray) -> dict[str, float]:
    """Return test RMSE, mean negative log predictive density, and coverage of 95 % intervals."""
    error, deviation = target - mean, np.sqrt(variance)
    return {
        "rmse": float(np.sqrt(np.mean(error**2))),
        "nlpd": float(-np.mean(norm.logpdf(target, mean, deviation))),
        "coverage": float(np.mean(np.abs(error) <= norm.ppf(0.975) * deviation)),
    }


def draw(record: Record) -> Figure:
    """Draw test RMSE over the time to fit and predict; a marker a data set."""
    figure = Figure(figsize=(7.5, 5.0), layout="constrained")
    axes = figure.subplots()
    names = list(dict.fromkeys(row["data"] for row in record.rows))
    for row in record.rows:
        if "rmse" not in row:
            continue
        full = row["model"] != "RBF"
        axes.plot(
            row["fit_and_predict"],
            row["rmse"],
            marker="os^Dv<>P"[names.index(row["data"]) % 8],
            color=COLOURS[row["peer"]],
            markerfacecolor=COLOURS[row["peer"]] if full else "none",
            markersize=8,
            linestyle="none",
        )
    for name in record.settings["peers"]:
        axes.plot([], [], "o", color=COLOURS[name], markerfacecolor="none", label=LABELS[name])
    axes.plot([], [], "o", color=COLOURS["gprat"], label="gprat, all training rows")
    for i, name in enumerate(names):
        axes.plot([], [], "os^Dv<>P"[i % 8], color="0.5", markerfacecolor="none", label=name)
    axes.set(
        xscale="log",
        yscale="log",
        xlabel="seconds to fit and predict",
        ylabel="test RMSE (targets standardised)",
    )
    axes.grid(alpha=0.3)
    axes.legend(frameon=False, fontsize="small", ncols=2)
    return figure


def section(record: Record) -> str:
    """Tell scores and times."""
    parts = [
        "4/9 of the rows to train and 3/9 to test, all columns standardised by the training rows. "
        "Beside peers: the same rows, at most "
        f"{min(record.settings['sizes']):,}, one RBF kernel with a length scale a feature and "
        "learned noise, from the same start to convergence, each with its usual optimiser "
        "(L-BFGS-B; Adam for GPyTorch). All rows: ours alone, a Matern 3/2 kernel with a length "
        "scale a feature and a constant mean. NLPD: mean negative log predictive density (less is "
        "better); coverage: share of test targets inside 95 % intervals.",
    ]
    for full, title in ((False, "Beside peers"), (True, "All rows")):
        lines = []
        for row in record.rows:
            if (row["model"] != "RBF") != full:
                continue
            published = PUBLISHED.get(row["data"])
            lines.append(
                [
                    row["data"],
                    LABELS[row["peer"]],
                    f"{row['n']:,}",
                    *_scores(row),
                    *([] if not full else ["" if published is None else f"{published:.3f}"]),
                ]
            )
        header = ["data", "", "n", "fit and predict", "RMSE", "NLPD", "coverage"]
        header += ["published RMSE"] if full else []
        parts += [f"**{title}**", markdown(header, lines, left=2)]
    parts.append(
        "Published: exact GPs of Wang et al. (2019) on the same data sets, with the same shares of "
        "rows; splits differ."
    )
    return "\n\n".join(parts)


def _scores(row: dict[str, Any]) -> list[str]:
    if "failure" in row:
        return [describe_failure(row["failure"]), "", "", ""]
    return [
        seconds(row["fit_and_predict"]),
        f"{row['rmse']:.4f}",
        f"{row['nlpd']:.3f}",
        f"{row['coverage']:.1%}",
    ]
