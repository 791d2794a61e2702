"""Speed, memory and accuracy beside other libraries. Run with ``python -m benchmarks``."""
