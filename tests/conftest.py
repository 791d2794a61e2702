"""What all tests share: seeded random numbers, a table of kernels, and a clean runtime."""

import signal

import numpy as np
import pytest

from gprat import runtime
from gprat.kernels import (
    RBF,
    ActiveDims,
    ArcCosine,
    ChangePoint,
    ConstantKernel,
    Cosine,
    DotProduct,
    ExpSineSquared,
    Linear,
    Matern,
    Periodic,
    Polynomial,
    RationalQuadratic,
    SpectralMixture,
    WhiteKernel,
)


def pytest_configure():
    """Let Ctrl-C interrupt, also where a shell in the background has it ignored."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


# Kernels of two features: each class, isotropic and with a length scale a feature, and nestings.
# ExpSineSquared alone is indefinite for more than one feature, but not with this long period.
KERNELS = [
    RBF(0.7),
    RBF([0.5, 2.0]),
    Matern([0.8, 1.5], nu=0.5),
    Matern(0.8, nu=1.5),
    Matern([0.8, 1.5], nu=2.5),
    Matern(1.2, nu=np.inf),
    RationalQuadratic(0.9, 0.4),
    ExpSineSquared(1.5, 9.0),
    DotProduct(0.6),
    ConstantKernel(2.5) * RBF(1.1) + WhiteKernel(0.3),
    ConstantKernel(0.4, constant_value_bounds="fixed") * Matern(0.9, nu=2.5) + DotProduct(1.2),
    (RBF([1.0, 3.0]) + DotProduct(0.3)) ** 2 + WhiteKernel(0.1, noise_level_bounds="fixed"),
    RationalQuadratic([0.9, 1.6], 0.4),
    Periodic([1.2, 2.0], [3.0, 4.5]),
    Linear([0.5, 1.5], [0.3, -0.4], centre_bounds=(-2.0, 2.0)) + RBF(1.5),
    Polynomial(2, variance=0.7, offset=0.9),
    Cosine([2.0, 3.0]) * RBF(1.4),
    ArcCosine(0, [0.6, 1.4], 0.8),
    ArcCosine(1) + ArcCosine(2, 0.5, 0.3),
    ActiveDims(Matern(0.8, nu=3.7), [1]) * ActiveDims(Periodic(1.1, 2.5), [0]),
    ChangePoint(RBF([0.6, 1.2]), 2.0 * Matern(nu=1.5), location=-0.1, width=0.4, feature=1),
    SpectralMixture([0.7, 0.4], [[0.2, 0.1], [0.3, 0.4]], [[0.1, 0.2], [0.15, 0.1]]),
    RBF(2.0) * (RationalQuadratic(1.1, 0.8) + ConstantKernel(0.5) * ExpSineSquared(1.5, 9.0))
    + 0.2 * Matern(0.6, nu=0.5),
]


@pytest.fixture
def rng():
    """Random numbers that are the same in every run."""
    return np.random.default_rng(20240607)


@pytest.fixture(params=KERNELS, ids=str)
def kernel(request):
    """One of a table of kernels for points with two features."""
    return request.param


@pytest.fixture(autouse=True)
def clean_runtime(monkeypatch):
    """Keep the environment out of the tests, and each test's changes out of the next one."""
    monkeypatch.delenv("GPRAT_NUM_THREADS", raising=False)
    # Dask sets them where it starts workers.
    for library in ("OMP", "MKL", "OPENBLAS"):
        monkeypatch.delenv(f"{library}_NUM_THREADS", raising=False)
    yield
    runtime.resume()
