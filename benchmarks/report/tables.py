"""Tables of times, in Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from benchmarks.record import Record
from benchmarks.report.style import LABELS, describe_failure, seconds

__all__ = ["beside_peers", "cell", "find_row", "markdown"]


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> str:
    """Return a table whose first `left` columns are text and the others numbers."""
    rule = ["---"] * left + ["---:"] * (len(header) - left)
    lines = [header, rule, *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def find_row(record: Record, **wanted: Any) -> dict[str, Any] | None:
    """Return the only row that has these values, or None."""
    rows = record.select(**wanted)
    if len(rows) > 1:
        raise ValueError(f"{record.study} has {len(rows)} rows with {wanted}; expected one.")
    return rows[0] if rows else None


def cell(row: dict[str, Any] | None, ours: float) -> str:
    """Return a peer's time, and how many times ours it is."""
    if row is None:
        return ""
    if "failure" in row:
        return describe_failure(row["failure"])
    return f"{seconds(row['median'])} ({row['median'] / ours:.3g}×)"


def beside_peers(record: Record, key: str, **wanted: Any) -> str:
    """Return a table with a row for each value of `key`, our time first."""
    peers = [name for name in record.settings["peers"] if name not in ("gprat", "lapack")]
    values = sorted({row[key] for row in record.select(**wanted)})
    rows = []
    for value in values:
        ours = find_row(record, peer="gprat", **{key: value}, **wanted)
        if ours is None or "median" not in ours:
            continue
        cells = [
            cell(find_row(record, peer=name, **{key: value}, **wanted), ours["median"])
            for name in peers
        ]
        rows.append([f"{value:,}", seconds(ours["median"]), *cells])
    return markdown([key, "gprat", *(LABELS[name] for name in peers)], rows, left=0)
