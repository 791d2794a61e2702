"""Data, a model with a part of every kind, and its file."""

import numpy as np
import pytest
from scipy import stats

import gprat
from gprat.kernels import Matern
from saved_models import Forgery, N


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.gprat"


@pytest.fixture
def X(rng):
    return rng.uniform(-2.0, 2.0, size=(N, 2))


@pytest.fixture
def y(X, rng):
    return np.sin(2.0 * X[:, 0]) + 0.3 * X[:, 1] + 0.1 * rng.standard_normal(N)


@pytest.fixture
def gp(X, y):
    """A model with a part of every kind."""
    labels = np.array(["north", "south"] * N)[:N]
    return gprat.GP(
        X, y, Matern([0.5, 2.0], nu=2.5), [0.1, 0.2], noise_groups=labels, mean="constant",
        priors={"length_scale": stats.lognorm(1.0)}, known_noise=np.full(N, 0.01), tile_size=10,
    )  # fmt: skip


@pytest.fixture
def forgery(path, gp):
    gp.save(path)
    return Forgery(path)
