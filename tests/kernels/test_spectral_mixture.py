"""The start that a spectral mixture takes from data."""

import numpy as np
import pytest
from sklearn.gaussian_process import GaussianProcessRegressor

from gprat.exceptions import GpratError
from gprat.kernels import SpectralMixture, WhiteKernel, compile


@pytest.fixture
def signal():
    """Two lines, 0.7 and 2.5 cycles a unit, at points without a grid."""
    rng = np.random.default_rng(0)
    x = np.sort(rng.uniform(0, 30, 300))
    y = 2.0 * np.sin(2 * np.pi * 0.7 * x) + np.cos(2 * np.pi * 2.5 * x) + 0.1 * rng.normal(size=300)
    return x, y


def test_finds_the_lines_of_a_spectrum(signal):
    x, y = signal
    kernel = SpectralMixture.from_data(x, y, 2, random_state=0)
    np.testing.assert_allclose(np.sort(kernel.means[:, 0]), [0.7, 2.5], atol=0.15)
    np.testing.assert_allclose(kernel.weights.sum(), y.var())
    # A fifth of the power is in the second line.
    assert kernel.weights[np.argmin(kernel.means)] > 0.7 * y.var()


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_training_from_there_finds_the_signal(signal):
    x, y = signal
    # Lines have no width, so that the scales end at their lower bound.
    X = x[:100, np.newaxis]
    kernel = SpectralMixture.from_data(X, y[:100], 2, random_state=0) + WhiteKernel(0.01)
    model = GaussianProcessRegressor(kernel).fit(X, y[:100])
    inside = X[50:51] + 0.01
    expected = 2.0 * np.sin(2 * np.pi * 0.7 * inside) + np.cos(2 * np.pi * 2.5 * inside)
    np.testing.assert_allclose(model.predict(inside), expected[:, 0], atol=0.3)


def test_has_a_frequency_a_feature():
    grid = np.stack(np.meshgrid(np.arange(20.0), np.arange(20.0) / 10), axis=-1).reshape(-1, 2)
    y = np.sin(2 * np.pi * 0.25 * grid[:, 0]) + 0.1 * np.sin(2 * np.pi * 2.0 * grid[:, 1])
    kernel = SpectralMixture.from_data(grid, y, 1, random_state=0)
    assert kernel.means.shape == kernel.scales.shape == (1, 2)
    np.testing.assert_allclose(kernel.means, [[0.25, 2.0]], rtol=0.1)
    program = compile(kernel, 2)
    assert program.n_free == 5
    assert np.all((program.theta > program.bounds[:, 0]) & (program.theta < program.bounds[:, 1]))


@pytest.mark.parametrize("n", [2, 3, 5000])
@pytest.mark.parametrize("q", [1, 4])
def test_any_number_of_points_and_any_unit_give_a_kernel(n, q):
    rng = np.random.default_rng(1)
    x = 1e7 * rng.normal(size=n)
    kernel = SpectralMixture.from_data(x, rng.normal(size=n), q, random_state=3)
    program = compile(kernel, 1)
    assert np.all((program.theta >= program.bounds[:, 0]) & (program.theta <= program.bounds[:, 1]))
    assert np.isfinite(kernel(x[:10, np.newaxis])).all()


def test_random_state_decides(signal):
    def means(random_state):
        return SpectralMixture.from_data(*signal, 4, random_state).means

    np.testing.assert_array_equal(means(5), means(5))
    np.testing.assert_array_equal(means(np.random.default_rng(5)), means(np.random.default_rng(5)))
    np.testing.assert_array_equal(means(np.random.RandomState(5)), means(5))


@pytest.mark.parametrize(
    ("X", "y", "q", "error", "message"),
    [
        ([1.0, 2.0], [1.0], 1, ValueError, r"X must have shape \(n, d\) and y shape \(n,\)"),
        ([1.0, 2.0], [[1.0, 2.0], [3.0, 4.0]], 1, ValueError, r"got \(2, 1\) and \(2, 2\)"),
        ([[1.0, 5.0], [2.0, 5.0]], [1.0, 2.0], 1, ValueError, r"X\[:, 1\] is constant"),
        ([1.0, 2.0], [3.0, 3.0], 1, ValueError, "y is constant"),
        ([1.0], [3.0], 1, ValueError, "is constant"),
        ([1.0, np.nan], [3.0, 4.0], 1, ValueError, "must be finite"),
        ([1.0, 2.0], [3.0, 4.0], 0, ValueError, "n_components must be at least 1"),
        ([1.0, 2.0], [3.0, 4.0], 1.5, TypeError, "n_components must be an integer"),
        (["a", "b"], [3.0, 4.0], 1, TypeError, "X must be real and numeric"),
    ],
)
def test_bad_data_are_refused(X, y, q, error, message):
    with pytest.raises(error, match=message) as caught:
        SpectralMixture.from_data(X, y, q)
    assert isinstance(caught.value, GpratError)
