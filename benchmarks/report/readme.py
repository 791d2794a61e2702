"""The README's table: what most readers want to know first."""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks.record import Record
from benchmarks.report.style import LABELS, seconds
from benchmarks.report.tables import find_row, markdown

__all__ = ["table"]

SIZES = (128, 1024, 8192)
OPERATIONS = {
    "likelihood_gradient": "likelihood and gradient",
    "mean_variance": "mean and variance",
    "covariance": "mean and covariance",
}
PEERS = ("scikit-learn", "gpytorch", "gpflow", "tinygp", "gpy")
SHORT = {"memory": "no memory", "error": "failed"}


def table(records: Mapping[str, Record]) -> str:
    """Return how many times ours each peer takes, at three sizes."""
    record = records["headline"]
    peers = [name for name in PEERS if name in record.settings["peers"]]
    too_long = {"time": f"> {record.settings['effort']['limit']:g} s"}
    rows = []
    for operation, title in OPERATIONS.items():
        for n in SIZES:
            ours = find_row(record, peer="gprat", n=n, operation=operation)
            if ours is None:
                continue
            cells = []
            for name in peers:
                theirs = find_row(record, peer=name, n=n, operation=operation)
                if theirs is None:
                    cells.append("")
                elif "failure" in theirs:
                    cells.append((SHORT | too_long)[theirs["failure"]])
                else:
                    cells.append(f"{theirs['median'] / ours['median']:.3g}×")
            rows.append([title, f"{n:,}", seconds(ours["median"]), *cells])
    header = ["", "n = m", "gprat", *(LABELS[name] for name in peers)]
    machine = record.machine
    return (
        markdown(header, rows)
        + "\n\n"
        + f"The peer's time over ours, on {machine['processors']} cores ({machine['processor']}), "
        "float64, 8 features with a length scale each, results compared before times are. "
        "[All studies, the rules, and where others are faster](docs/performance.md)."
    )
