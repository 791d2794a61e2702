"""Any value as any argument of kernels, files, data and priors is taken, or refused clearly."""

import inspect
import tempfile
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import strategies as st
from scipy import stats

import gprat
from fuzz.journal import documented, fuzzed
from fuzz.strategies_arrays import nasty
from gprat import GP, datasets, kernels, means
from gprat.kernels import RBF, SpectralMixture

X = np.array([[0.0, 1.0], [1.0, -1.0], [0.5, 0.25]])
Y = np.array([1.0, -1.0, 0.5])
NEEDED = {"k1": RBF(), "k2": RBF(2.0), "kernel": RBF(), "dims": [0], "exponent": 2.0}
MIXTURE = {"weights": [1.0, 0.5], "means": [0.1, 1.0], "scales": [0.01, 0.2]}
CLASSES = [
    kind
    for kind in map(kernels.__dict__.get, kernels.__all__)
    if isinstance(kind, type)
    and issubclass(kind, kernels.Kernel)
    and kind not in (kernels.Kernel, kernels.CompoundKernel)
]
ARGUMENTS = [
    (kind, name)
    for kind in CLASSES
    for name in inspect.signature(kind.__init__).parameters
    if name != "self"
]


def _make(kind, name, value):
    wanted = inspect.signature(kind.__init__).parameters
    given = MIXTURE if kind is SpectralMixture else NEEDED
    return kind(**{**{k: v for k, v in given.items() if k in wanted}, name: value})


@pytest.mark.parametrize(
    ("kind", "name"), ARGUMENTS, ids=[f"{kind.__name__}-{name}" for kind, name in ARGUMENTS]
)
@fuzzed(weight=0.25, value=nasty)
def test_arguments_of_kernels(kind, name, value):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with documented():
            gp = GP(X, Y, _make(kind, name, value), noise=0.5)
            assert np.isfinite(gp.log_marginal_likelihood())
            assert np.isfinite(gp.predict(X)).all()
            assert np.isfinite(gp.log_marginal_likelihood(eval_gradient=True)[1]).all()
            assert repr(gp)


CALLS = {
    "path of load": lambda value: gprat.load(value),
    "path of save": lambda value: GP(X, Y).save(_inside(value)),
    "nfir": lambda value: datasets.nfir(value, value, 2),
    "lags": lambda value: datasets.nfir(Y, Y, _few(value)),
    "n of carts": lambda value: datasets.mass_spring_damper(_few(value)),
    "seed of carts": lambda value: datasets.mass_spring_damper(20, random_state=value),
    "from_data X": lambda value: SpectralMixture.from_data(value, Y, 1),
    "from_data y": lambda value: SpectralMixture.from_data(X, value, 1),
    "from_data n": lambda value: SpectralMixture.from_data(X, Y, _few(value)),
    "from_data seed": lambda value: SpectralMixture.from_data(X, Y, 1, value),
    "intercept": lambda value: GP(X, Y, mean=means.FixedLinear(value)).predict(X),
    "coefficients": lambda value: GP(X, Y, mean=means.FixedLinear(1.0, value)).predict(X),
    "mean returns": lambda value: GP(X, Y, mean=lambda _: value).predict(X),
    "basis returns": lambda value: GP(X, Y, mean=[lambda _: value]).predict(X),
    "basis": lambda value: GP(X, Y, mean=means.BasisFunction(None if callable(value) else value)),
    "prior": lambda value: GP(X, Y, priors={"noise_variance": stats.norm(value, 1.0)}).loss(),
    "fixed": lambda value: GP(X, Y).optimize(max_iter=1, fixed=value),
    "partners": lambda value: GP(X, Y).optimize(max_iter=1, partners=value),
    "schedule": lambda value: GP(X, Y).optimize(
        "adam", max_iter=1, schedule="cosine" if callable(value) else value
    ),
    "progress": lambda value: GP(X, Y).optimize(max_iter=1, progress=value),
    "limit": lambda value: _limited(value),
}


def _inside(value):
    """A path that stays in a folder which is removed; values that are none stay as they are."""
    if isinstance(value, str):
        return Path(tempfile.gettempdir()) / "gprat-no-such-folder" / value.replace("/", "_")
    return value if not isinstance(value, int | bytes) else 1.5


def _few(value):
    return 3 if isinstance(value, int | np.integer) and value > 100 else value


def _limited(value):
    with gprat.runtime.limit(value):
        GP(X, Y).predict(X)


@pytest.mark.parametrize("call", CALLS)
@fuzzed(weight=0.5, value=nasty)
def test_arguments_of_calls(call, value):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with documented(OSError):
            CALLS[call](value)


@fuzzed(value=nasty)
def test_points_of_kernels(value):
    kernel = kernels.ChangePoint(RBF(), kernels.Linear() * kernels.ArcCosine())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with documented(ValueError, TypeError, RuntimeError, OverflowError):
            kernel(value)


@fuzzed(entries=st.lists(st.floats(), min_size=4, max_size=4))
def test_theta_of_kernels(entries):
    kernel = kernels.ChangePoint(RBF(), RBF(2.0))
    with np.errstate(all="ignore"):
        moved = kernel.clone_with_theta(np.array(entries))
        with documented():
            kernels.compile(moved, 1)
