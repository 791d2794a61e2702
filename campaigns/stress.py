"""Random task graphs and random sequences of operations, at full speed and without sanitizers."""

from __future__ import annotations

import argparse
import secrets
import time
from typing import Any

from rich.console import Console
from rich.table import Table

from campaigns.native import build, run
from campaigns.record import write_result

__all__ = ["stress"]


def stress(seconds: float, seed: int) -> dict[str, Any]:
    """Run the stress program for so long and return what it counted."""
    folder = build(["stress"])
    start = time.monotonic()
    figures = run([folder / "stress", "--seconds", str(seconds), "--seed", str(seed)])
    return {**figures, "seconds": round(time.monotonic() - start, 1)}


def main() -> None:
    """Run the campaign, print its figures and keep them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--seed", type=int, default=None)
    arguments = parser.parse_args()
    seed = secrets.randbelow(1 << 40) if arguments.seed is None else arguments.seed
    figures = stress(arguments.seconds, seed)
    table = Table("figure", "value", title="Stress")
    for name, value in figures.items():
        table.add_row(name, f"{value:,}")
    Console().print(table)
    print(write_result("stress", figures))


if __name__ == "__main__":
    main()
