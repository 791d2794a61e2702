"""Speed, memory and accuracy beside other libraries. Run with ``python -m benchmarks``."""

from pathlib import Path

__all__ = ["FIGURES", "RESULTS", "ROOT"]

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks/results"
FIGURES = ROOT / "docs/images/performance"
