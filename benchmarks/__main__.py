"""``python -m benchmarks``: print the core's table and, on request, keep it as JSON."""

from __future__ import annotations

import argparse
import json
import platform
from pathlib import Path
from typing import Any

import numpy as np
import scipy
from rich.console import Console
from rich.table import Table

import gprat
from benchmarks.core import FEATURES_LIMIT, LIMITS, MEMORY_LIMIT, measure


def print_table(result: dict[str, Any]) -> None:
    """Print the medians as ratios to dpotrf, each beside its limit."""
    n, median = result["n"], result["median"]
    cholesky_flops = n**3 / 3
    peak = result["fma_gflops"]
    dpotrf = median["dpotrf"]
    table = Table(title=f"n = m = {n}, d = 8, float64, {result['threads']} threads")
    for heading in ("", "seconds", "ratio to dpotrf", "limit"):
        table.add_column(heading, justify="left" if not heading else "right")
    table.add_row("dpotrf (SciPy, threaded)", f"{dpotrf:.3f}", "1.00", "")
    for name, limit in LIMITS.items():
        table.add_row(name, f"{median[name]:.3f}", f"{median[name] / dpotrf:.2f}", f"{limit:.2f}")
    wide, narrow = median["likelihood and gradient, d = 128"], median["likelihood and gradient"]
    table.add_row("the same at d = 128, ratio to d = 8", f"{wide:.3f}", f"{wide / narrow:.2f}",
                  f"{FEATURES_LIMIT:.2f}")  # fmt: skip
    table.add_row("peak memory of the gradient, GiB", "", f"{result['peak_gib']:.3f}",
                  f"{MEMORY_LIMIT:.2f}")  # fmt: skip
    console = Console()
    console.print(table)
    share = cholesky_flops / median["assemble + Cholesky"] / 1e9 / peak
    console.print(
        f"FMA peak {peak:.0f} GF/s; dpotrf {cholesky_flops / dpotrf / 1e9:.0f} GF/s; "
        f"assemble + Cholesky at {share:.0%} of the peak (goal: 70%); "
        f"{result['task_microseconds']:.2f} µs a task; tile size {result['tile_size']}"
    )


def main() -> None:
    """Parse the command line and measure."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--n", type=int, default=8192, help="training and test points")
    parser.add_argument("--repeats", type=int, default=5, help="runs of each line (medians)")
    parser.add_argument("--threads", type=int, default=gprat.runtime.threads())
    parser.add_argument("--tile-size", type=int, help="side of a tile instead of the automatic one")
    parser.add_argument("--json", type=Path, help="also write the measurements to this file")
    arguments = parser.parse_args()
    options = {} if arguments.tile_size is None else {"tile_size": arguments.tile_size}
    result = measure(arguments.n, arguments.repeats, arguments.threads, **options)
    print_table(result)
    if arguments.json:
        result["machine"] = {
            "processor": platform.processor() or platform.machine(),
            "python": platform.python_version(),
            "numpy": np.__version__,
            "scipy": scipy.__version__,
            "gprat": gprat.__version__,
        }
        arguments.json.write_text(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
