"""Strong and weak scaling on many hosts, simulated with what was measured here."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from matplotlib.figure import Figure

from benchmarks import RESULTS
from benchmarks.dask_cluster import measure_overheads, started_cluster
from benchmarks.record import Record
from benchmarks.report.style import seconds
from benchmarks.report.tables import markdown
from benchmarks.studies import cluster_network
from benchmarks.study import Options, Outcome
from gprat.calibration import CalibratedMachine, calibrate, find
from gprat.plotting.cluster import plot_cluster_scaling
from gprat.simulation import ClusterScaling, Network, cluster_scaling

NAME = "cluster_scaling"
TITLE = "Many hosts, simulated"
SIZES = (100_000, 300_000)
PEERS = ("gprat",)
REPEATS = 1
SMOKE_SIZES = (3000,)

FEATURES, THREADS = 8, 32
WORKERS = (1, 2, 4, 8, 16, 32, 64)
KINDS = ("strong", "weak")
# Bits a second of each host's link.
LINKS = {"10 Gbit/s": 1e10, "100 Gbit/s": 1e11}


def measure(options: Options) -> Outcome:
    """Simulate by size, link and kind of scaling."""
    calibration = find("float64") or calibrate("float64")
    machine = CalibratedMachine(calibration, FEATURES, inline=False, processors=THREADS)
    overheads, source = _overheads()
    curves = []
    for n in options.sizes:
        for link, bits in LINKS.items():
            network = Network(**overheads | {"bandwidth": bits / 8})
            for kind in KINDS:
                options.tell(f"{kind}, n = {n}, {link}")
                curve = cluster_scaling(
                    n,
                    FEATURES,
                    kind=kind,
                    workers=WORKERS,
                    threads=THREADS,
                    machine=machine,
                    network=network,
                )
                curves.append(asdict(curve) | {"link": link, "largest": n})
    return Outcome(
        [row for curve in curves for row in _rows(curve)],
        extra={"curves": curves, "overheads": overheads, "overheads_from": source},
    )


def _overheads() -> tuple[dict[str, float], str]:
    """Return what Dask costs: as between two hosts, if that was measured, or two processes."""
    path = RESULTS / f"{cluster_network.NAME}.json"
    if path.exists():
        overheads = dict(Record.read(path).extra["overheads"]["unlimited"])
        return overheads, "two hosts joined by a link without a limit"
    with started_cluster(2) as client:
        return measure_overheads(client), "two processes of this machine"


def _rows(curve: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a row for each number of workers; n is that of the curve's most workers."""
    names = {
        "points": "n", "workers": "workers", "block_size": "block_sizes", "median": "seconds",
        "efficiency": "efficiency", "traffic": "traffic", "bytes": "peak_bytes", "limit": "limits",
    }  # fmt: skip
    about = {"n": curve["largest"], "kind": curve["kind"], "link": curve["link"]}
    return [
        about | {name: curve[field][i] for name, field in names.items()}
        for i in range(len(curve["workers"]))
    ]


def curve_of(saved: dict[str, Any]) -> ClusterScaling:
    """Return a curve as it was simulated."""
    values = {name: saved[name] for name in ClusterScaling.__dataclass_fields__}
    network = Network(**values.pop("network"))
    lists = {name: tuple(value) for name, value in values.items() if isinstance(value, list)}
    return ClusterScaling(**values | lists, network=network)


def draw(record: Record) -> Figure:
    """Draw time and efficiency over the number of hosts, a row of panels a kind of scaling."""
    figure = Figure(figsize=(11, 7.4), layout="constrained")
    panels = figure.subplots(len(KINDS), 2, squeeze=False)
    for axes, kind in zip(panels, KINDS, strict=True):
        curves = [curve_of(saved) for saved in record.extra["curves"] if saved["kind"] == kind]
        plot_cluster_scaling(curves, axes)
        axes[0].set_title(f"{kind.capitalize()} scaling: likelihood and gradient", loc="left")
    return figure


def section(record: Record) -> str:
    """Tell times, efficiencies and limits."""
    costs = record.extra["overheads"]
    told = ", ".join(
        f"{name} {seconds(costs[name])}"
        for name in ("latency", "submission", "scheduling", "overhead")
    )
    parts = [
        f"One evaluation of likelihood and gradient on hosts with {THREADS} processors like this "
        "machine's, one worker each: the engine's own tasks, simulated with the rates that tiles "
        f"have here and with what Dask was measured to cost on {record.extra['overheads_from']} "
        f"({told}). Links are taken to carry what they are sold for. With weak scaling n grows "
        "with the square root of the hosts, so that each holds as many numbers as with any other "
        "number of them; n is that of the most hosts. Efficiency is the share of all processors' "
        "time that tasks take. The last column names what has to be better to be quicker: the "
        "processors (compute), the links (network), the longest chain of tasks (critical path), or "
        "the one thread of Dask's scheduler.",
    ]
    for kind in KINDS:
        parts += [f"**{kind.capitalize()} scaling**", _table(record, kind)]
    return "\n\n".join(parts)


def _table(record: Record, kind: str) -> str:
    rows = [
        [
            row["link"],
            f"{row['points']:,}",
            str(row["workers"]),
            f"{row['block_size']:,}",
            seconds(row["median"]),
            f"{row['efficiency']:.0%}",
            f"{row['traffic'] / 2**30:.1f}",
            f"{row['bytes'] / 2**30:.1f}",
            row["limit"],
        ]
        for row in record.select(kind=kind)
    ]
    header = ["link", "n", "hosts", "rows of a block", "time", "efficiency"]
    header += ["GiB between hosts", "GiB on a host", "limit"]
    return markdown(header, rows)
