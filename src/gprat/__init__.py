"""Exact Gaussian process regression on all processors of this machine."""

from importlib.metadata import version

from gprat import datasets, diagnostics, exceptions, kernels, means, plotting, runtime, simulation
from gprat.batch import GPBatch
from gprat.calibration import tune
from gprat.diagnostics import diagnose
from gprat.estimator import GaussianProcessRegressor
from gprat.gp import GP
from gprat.interop import from_gpytorch, from_sklearn, to_sklearn
from gprat.persistence import load
from gprat.planning import plan
from gprat.simulation import simulate
from gprat.tracing import trace

__all__ = [
    "GP",
    "GPBatch",
    "GaussianProcessRegressor",
    "__version__",
    "datasets",
    "diagnose",
    "diagnostics",
    "exceptions",
    "from_gpytorch",
    "from_sklearn",
    "kernels",
    "load",
    "means",
    "plan",
    "plotting",
    "runtime",
    "simulate",
    "simulation",
    "to_sklearn",
    "trace",
    "tune",
]

__version__ = version("gprat")
