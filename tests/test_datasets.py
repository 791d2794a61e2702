"""Data sets: reproducible, physical, and views where views will do."""

import sys

import numpy as np
import pytest

from gprat import datasets
from gprat.datasets import load_co2, mass_spring_damper, nfir
from gprat.exceptions import InvalidInputError, UnsupportedTypeError


@pytest.mark.parametrize("signal", ["multisine", "aprbs"])
def test_same_seed_same_data(signal):
    first = mass_spring_damper(60, signal=signal, random_state=3)
    second = mass_spring_damper(60, signal=signal, random_state=np.random.default_rng(3))
    other = mass_spring_damper(60, signal=signal, random_state=4)
    for a, b, c in zip(first, second, other, strict=True):
        assert a.shape == (60,)
        assert a.dtype == np.float64
        np.testing.assert_array_equal(a, b)
        assert not np.array_equal(a, c)


@pytest.mark.parametrize("n_carts", [1, 3])
def test_constant_force_ends_in_equilibrium(n_carts):
    position = datasets._integrate(np.full((400, 1), 7.0), n_carts)[:, 0]
    # Every spring carries the whole force, and only the last one lies between last cart and wall.
    stretch = position[-1]
    spring = datasets._STIFFNESS * stretch + datasets._HARDENING * stretch**3
    assert spring == pytest.approx(7.0, rel=1e-5)


def test_without_force_nothing_moves():
    assert not datasets._integrate(np.zeros((20, 2)), 4).any()


@pytest.mark.parametrize("n_carts", [1, 4])
def test_energy_changes_by_the_work_of_force_and_friction_alone(n_carts):
    state = 0.1 * np.random.default_rng(5).standard_normal((2 * n_carts, 3))
    force = np.array([0.0, 7.0, -3.0])

    def energy(state):
        position, velocity = np.split(state, 2)
        extension = position - np.vstack([position[1:], np.zeros((1, 3))])
        kinetic = 0.5 * datasets._MASS * velocity**2
        elastic = 0.5 * datasets._STIFFNESS * extension**2
        hardening = 0.25 * datasets._HARDENING * extension**4
        return (kinetic + elastic + hardening).sum(axis=0)

    change = datasets._move(force, state)
    step = 1e-5
    power = (energy(state + step * change) - energy(state - step * change)) / (2 * step)
    velocity = state[n_carts:]
    friction = -datasets._DAMPING * (velocity**2).sum(axis=0)
    assert friction.max() < 0
    np.testing.assert_allclose(power, force * velocity[0] + friction, rtol=1e-6)


@pytest.mark.parametrize("n_carts", [1, 4, 8])
def test_segments_are_the_same_as_one_long_record(n_carts):
    rng = np.random.default_rng(0)
    n_forgetting = datasets._samples_to_forget(n_carts)
    force = datasets._aprbs(10 * n_forgetting + 3, rng)
    whole = datasets._integrate(force[:, None], n_carts)[n_forgetting:, 0]
    in_segments = datasets._simulate(force, n_carts)
    assert in_segments.shape == whole.shape
    # Both are as accurate as the integration is, which is far finer than any measurement noise.
    np.testing.assert_allclose(in_segments, whole, atol=3e-4 * whole.std())


def test_forces_stay_within_their_range():
    multisine, _ = mass_spring_damper(3000, signal="multisine", random_state=0)
    assert multisine.std() == pytest.approx(10.0, rel=0.1)
    power = np.abs(np.fft.rfft(multisine * np.hanning(multisine.size))) ** 2
    frequency = np.fft.rfftfreq(multisine.size, d=0.35)
    assert power[frequency > 0.52].sum() < 1e-3 * power.sum()
    staircase, _ = mass_spring_damper(500, signal="aprbs", random_state=0)
    assert np.abs(staircase).max() <= 10.0
    changes = np.flatnonzero(np.diff(staircase))
    assert np.diff(changes).min() >= 4


def test_noise_is_relative_to_the_position():
    _, clean = mass_spring_damper(2000, noise=0.0, random_state=1)
    _, noisy = mass_spring_damper(2000, noise=0.2, random_state=1)
    assert np.std(noisy - clean) == pytest.approx(0.2 * np.std(clean), rel=0.1)


def test_the_system_is_nonlinear_and_forgets_within_eight_samples():
    u, y = mass_spring_damper(800, noise=0.0, signal="aprbs", random_state=2)
    X, target = nfir(u, y, 8)
    design = np.column_stack([X, np.ones(len(X))])
    residual = target - design @ np.linalg.lstsq(design, target)[0]
    unexplained = residual.var() / target.var()
    assert 1e-4 < unexplained < 0.05


def test_lag_matrix_is_a_view_of_the_input():
    rng = np.random.default_rng(0)
    u, y = rng.standard_normal((2, 50))
    X, target = nfir(u, y, 6)
    expected = np.array([u[t - np.arange(6)] for t in range(5, 50)])
    np.testing.assert_array_equal(X, expected)
    np.testing.assert_array_equal(target, y[5:])
    assert np.shares_memory(X, u)
    assert np.shares_memory(target, y)
    assert not X.flags.writeable


def test_as_many_lags_as_samples_is_one_row():
    X, target = nfir([1, 2, 3], [4, 5, 6], 3)
    np.testing.assert_array_equal(X, [[3.0, 2.0, 1.0]])
    np.testing.assert_array_equal(target, [6.0])


def test_co2_record():
    year, co2 = load_co2()
    assert year.shape == co2.shape == (2225,)
    assert np.all(np.diff(year) > 0)
    assert (int(year[0]), int(year[-1])) == (1958, 2001)
    assert np.isfinite(co2).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n": 0}, "n must be"),
        ({"n": 10, "n_carts": 0}, "n_carts must be"),
        ({"n": 10, "signal": "sine"}, "'multisine', 'aprbs'; got 'sine'"),
        ({"n": 10, "signal": ["aprbs"]}, "signal must be one of"),
        ({"n": 10, "noise": -0.1}, "noise must be finite and at least 0; got -0.1"),
        ({"n": 10, "noise": np.nan}, "noise must be finite"),
        ({"n": 10, "random_state": -1}, "random_state cannot be a seed"),
    ],
)
def test_bad_simulation_is_refused(arguments, message):
    with pytest.raises(InvalidInputError, match=message):
        mass_spring_damper(**arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n": 2.5}, "n must be"),
        ({"n": 10, "noise": "much"}, "noise must be a number; got 'much'"),
        ({"n": 10, "noise": True}, "noise must be a number; got True"),
        ({"n": 10, "random_state": "dice"}, "random_state cannot be a str"),
    ],
)
def test_arguments_of_another_type_are_refused(arguments, message):
    with pytest.raises(UnsupportedTypeError, match=message):
        mass_spring_damper(**arguments)


@pytest.mark.parametrize(
    ("u", "y", "lags", "message"),
    [
        ([1.0, 2.0], [1.0], 1, "one value a sample; got 2 and 1"),
        ([1.0, 2.0], [1.0, 2.0], 3, "at most the number of samples, 2; got 3"),
        ([1.0, 2.0], [1.0, 2.0], 0, "n_regressors must be"),
        ([1.0, np.nan], [1.0, 2.0], 1, "u must be finite; got nan at index 1"),
        ([], [], 1, "not empty"),
        ([[1.0]], [1.0], 1, "one-dimensional"),
        ([[1.0], [1.0, 2.0]], [1.0, 2.0], 1, "u must be one-dimensional"),
    ],
)
def test_bad_signals_are_refused(u, y, lags, message):
    with pytest.raises(InvalidInputError, match=message):
        nfir(u, y, lags)


@pytest.mark.parametrize("u", [["a", "b"], [1j, 2.0], [None, 1.0]])
def test_signals_of_other_things_than_real_numbers_are_refused(u):
    with pytest.raises(UnsupportedTypeError, match="u must hold real numbers; got dtype"):
        nfir(u, [1.0, 2.0], 1)


def test_missing_statsmodels_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "statsmodels.datasets", None)
    with pytest.raises(ImportError, match=r'pip install "gprat\[data\]"'):
        load_co2()
