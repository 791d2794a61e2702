"""Two workers on two hosts that a link of a given rate joins: traffic and time beside the plan."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from typing import Any

from matplotlib.figure import Figure

from benchmarks import ROOT
from benchmarks.namespaces import joined, missing
from benchmarks.network_probe import OPERATIONS
from benchmarks.problem import Problem
from benchmarks.record import Record
from benchmarks.report.style import seconds
from benchmarks.report.tables import find_row, markdown
from benchmarks.study import Options, Outcome
from gprat.calibration import CalibratedMachine, Calibration, calibrate, find
from gprat.simulation.cluster import Network, simulate_cluster

NAME = "cluster_network"
TITLE = "Two hosts and a link"
SIZES = (8192,)
PEERS = ("gprat",)
REPEATS = 3
SMOKE_SIZES = (300,)

WORKERS = 2
TEST_POINTS = 1024
# Bits a second of the link, each way.
LINKS: dict[str, float | None] = {"1 Gbit/s": 1e9, "10 Gbit/s": 1e10, "unlimited": None}
# What the model of the traffic is promised to be within.
TOLERANCE = 0.2

needs = missing


def measure(options: Options) -> Outcome:
    """Measure by link and size."""
    if (reason := missing()) is not None:
        raise SystemExit(f"{NAME}: {reason}.")
    calibration = find("float64") or calibrate("float64")
    rows, overheads = [], {}
    for link, bits in LINKS.items():
        for n in options.sizes:
            options.tell(f"{link}, n = {n}")
            problem = Problem(n=n, m=min(n, TEST_POINTS))
            found = _probe(problem, None if bits is None else bits / 8, options.effort.repeats)
            overheads[link] = found["overheads"]
            network = Network(**found["overheads"])
            rows += [
                problem.describe()
                | {"link": link, "operation": operation}
                | _measured(operation, found["rows"])
                | _simulated(operation, problem, network, calibration)
                for operation in OPERATIONS
            ]
    return Outcome(rows, extra={"overheads": overheads})


def _probe(problem: Problem, rate: float | None, repeats: int) -> dict[str, Any]:
    with joined(rate) as hosts:
        settings = {
            "hosts": [[host.name, host.address] for host in hosts],
            "n": problem.n,
            "m": problem.m,
            "repeats": repeats,
        }
        command = [sys.executable, "-m", "benchmarks.network_probe", json.dumps(settings)]
        completed = subprocess.run(
            [*hosts[0].prefix, *command], cwd=ROOT, capture_output=True, text=True, check=False
        )
    if completed.returncode != 0:
        raise SystemExit(f"{NAME}: the program on the first host failed:\n{completed.stderr}")
    result: dict[str, Any] = json.loads(completed.stdout.splitlines()[-1])
    return result


def _measured(operation: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return seconds, and the most and the least that went over the link."""
    ours = [row for row in rows if row["operation"] == operation]
    times = [row["seconds"] for row in ours]
    return {
        "seconds": times,
        "median": statistics.median(times),
        "sent": [row["sent"] for row in ours],
        "received": [row["received"] for row in ours],
        "traffic": statistics.median(row["sent"] + row["received"] for row in ours),
    }


def _simulated(
    operation: Any, problem: Problem, network: Network, calibration: Calibration
) -> dict[str, Any]:
    simulation = simulate_cluster(
        problem.n,
        problem.d,
        0 if operation == "fit" else problem.m,
        what=operation,
        workers=WORKERS,
        threads=1,
        machine=CalibratedMachine(calibration, problem.d, inline=True, processors=1),
        network=network,
    )
    return {
        "simulated_seconds": simulation.makespan,
        "simulated_traffic": simulation.traffic_bytes,
        "limit": simulation.limit,
        "block_size": simulation.tasks.block_size,
    }


def draw(record: Record) -> Figure:
    """Draw traffic and seconds by link, measured and simulated, at the largest n."""
    figure = Figure(figsize=(10, 4.2), layout="constrained")
    panels = figure.subplots(1, 2)
    n = max(record.settings["sizes"])
    units = {"traffic": 2.0**20, "seconds": 1.0}
    for axes, (what, unit) in zip(panels, units.items(), strict=True):
        for i, (operation, title) in enumerate(OPERATIONS.items()):
            rows = [find_row(record, n=n, operation=operation, link=link) or {} for link in LINKS]
            places = [place + 0.42 * i - 0.32 for place in range(len(LINKS))]
            measured = [row["median" if what == "seconds" else what] / unit for row in rows]
            simulated = [row[f"simulated_{what}"] / unit for row in rows]
            axes.bar(places, measured, 0.2, color=f"C{i}", label=f"{title}, measured")
            places = [place + 0.2 for place in places]
            label = f"{title}, simulated"
            axes.bar(places, simulated, 0.2, color=f"C{i}", alpha=0.4, label=label)
        axes.set_xticks(range(len(LINKS)), list(LINKS))
        axes.grid(axis="y", alpha=0.3)
    panels[0].set(ylabel="MiB over the link", title=f"n = {n:,}, two workers with one thread")
    panels[1].set(ylabel="seconds")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure


def section(record: Record) -> str:
    """Tell traffic and time beside the simulation's, and what Dask costs."""
    parts = [
        "Two network namespaces on this machine, a worker with one thread in each; scheduler and "
        "client are in the first. A token bucket of the kernel (`tc … tbf`) limits the link that "
        "joins them, each way. Traffic is what the link's counters say, with headers, the data and "
        "all messages. Dask neither steals tasks nor drops copies early, as the page about "
        "clusters advises. The simulation is that of `gprat.plan`, at this machine's rates and "
        "what Dask was measured to cost on that link.",
        _table(record),
        "What Dask costs, as `gprat.simulation.Network` takes it:",
        _overheads(record),
    ]
    return "\n\n".join(parts)


def _table(record: Record) -> str:
    rows = []
    for row in record.rows:
        rows.append(
            [
                row["link"],
                OPERATIONS[row["operation"]],
                f"{row['n']:,}",
                f"{row['traffic'] / 2**20:.0f}",
                f"{row['simulated_traffic'] / 2**20:.0f}",
                f"{row['simulated_traffic'] / row['traffic'] - 1.0:+.0%}",
                seconds(row["median"]),
                seconds(row["simulated_seconds"]),
                row["limit"],
            ]
        )
    header = ["link", "operation", "n", "MiB over the link", "simulated"]
    header += [f"difference (≤ {TOLERANCE:.0%})", "time", "simulated", "limit"]
    return markdown(header, rows, left=2)


def _overheads(record: Record) -> str:
    rows = [
        [
            link,
            f"{8e-9 * costs['bandwidth']:.2f} Gbit/s",
            *(seconds(costs[key]) for key in ("latency", "submission", "scheduling", "overhead")),
        ]
        for link, costs in record.extra["overheads"].items()
    ]
    header = ["link", "bandwidth", "latency", "submission", "scheduling", "overhead of a task"]
    return markdown(header, rows)
