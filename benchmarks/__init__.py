"""Speed and memory beside their yardsticks. Run with ``python -m benchmarks``."""
