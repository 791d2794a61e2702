"""Exact Gaussian process regression on all processors of this machine."""

from importlib.metadata import version

from gprat import datasets, exceptions, kernels, means, plotting, runtime
from gprat.estimator import GaussianProcessRegressor
from gprat.gp import GP
from gprat.persistence import load
from gprat.trace import trace

__all__ = [
    "GP",
    "GaussianProcessRegressor",
    "__version__",
    "datasets",
    "exceptions",
    "kernels",
    "load",
    "means",
    "plotting",
    "runtime",
    "trace",
]

__version__ = version("gprat")
