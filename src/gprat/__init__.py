"""Exact Gaussian process regression on all processors of this machine."""

from importlib.metadata import version

from gprat import datasets, exceptions, kernels, means, plotting, runtime
from gprat.gp import GP
from gprat.trace import trace

__all__ = [
    "GP",
    "__version__",
    "datasets",
    "exceptions",
    "kernels",
    "means",
    "plotting",
    "runtime",
    "trace",
]

__version__ = version("gprat")
