"""Every allocation of every operation fails once, in the core and through the Python package."""

from __future__ import annotations

import argparse
import sys
import time
from typing import Any

from rich.console import Console
from rich.table import Table

from campaigns.native import build, run
from campaigns.record import write_result

__all__ = ["faults_memory"]


def faults_memory(rows: int, step: int, seeds: list[int], python_step: int) -> dict[str, Any]:
    """Inject faults and return how many.

    Parameters
    ----------
    rows : int
        Of the models of the native program.
    step, python_step : int
        One in so many allocations fails; 1: every one.
    seeds : list of int
        Of the models of the native program.
    """
    start = time.monotonic()
    folder = build(["faults_memory", "gprat_failing_allocator"])
    options = ["--rows", str(rows), "--step", str(step)]
    native = [run([folder / "faults_memory", *options, "--seed", str(seed)]) for seed in seeds]
    allocator = next(folder.glob("libgprat_failing_allocator.*"))
    python = run(
        [sys.executable, "-m", "campaigns.failing_python", "--step", str(python_step)],
        {"LD_PRELOAD": str(allocator)},
    )
    return {
        "seeds": seeds,
        "rows": rows,
        "step": step,
        "python_step": python_step,
        "native": native,
        "python": python,
        "faults": sum(figures["faults"] for figures in native) + python["faults"],
        "seconds": round(time.monotonic() - start, 1),
    }


def main() -> None:
    """Run the campaign, print its figures and keep them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=200)
    parser.add_argument("--step", type=int, default=1)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 3, 4])
    arguments = parser.parse_args()
    figures = faults_memory(arguments.rows, arguments.step, arguments.seeds, arguments.step)
    table = Table("where", "faults", "left behind", title="Allocations that fail")
    for seed, native in zip(arguments.seeds, figures["native"], strict=True):
        table.add_row(f"native, seed {seed}", f"{native['faults']:,}", str(native["leaked"]))
    table.add_row("Python", f"{figures['python']['faults']:,}", "")
    Console().print(table)
    print(write_result("faults_memory", figures))


if __name__ == "__main__":
    main()
