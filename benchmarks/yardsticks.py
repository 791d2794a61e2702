"""What the machine can do at best: its rate of fused multiply-adds, and what a task costs."""

from __future__ import annotations

import json
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

__all__ = ["native_yardsticks"]

YARDSTICKS = Path(__file__).parents[1] / "build/native/benchmarks/native/yardsticks"


@cache
def native_yardsticks(threads: int) -> dict[str, Any]:
    """Measure FMA peak (GF/s) and scheduling cost (µs a task) with the compiled program.

    Both are None where the program is not there: ``make native-test`` builds it.
    """
    if not YARDSTICKS.exists():
        return {"fma_gflops": None, "task_microseconds": None}
    output = subprocess.run(
        [str(YARDSTICKS), str(threads)], check=True, capture_output=True, text=True
    ).stdout
    measured = json.loads(output)
    return {name: measured[name] for name in ("fma_gflops", "task_microseconds")}
