"""Data to try Gaussian processes on: a simulated mechanical system, and a record of the air.

Every function returns NumPy arrays of float64.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.integrate import solve_ivp

from gprat._validation import Float64Array, check_positive_integer
from gprat.exceptions import InvalidInputError, UnsupportedTypeError

__all__ = ["load_co2", "mass_spring_damper", "nfir"]

Seed: TypeAlias = int | np.random.Generator | None

# The chain's physics, in SI units. Four carts have their lowest natural frequency at 3.5 rad/s, and
# every mode decays as exp(-2.5 t): eight samples (2.8 s) hold nearly all that matters of the input.
_MASS = 1.0  # kg
_STIFFNESS = 100.0  # N/m
_HARDENING = 5e3  # N/m³: at 0.1 m a spring is half as stiff again
_DAMPING = 5.0  # N s/m
_SAMPLING_STEP = 0.35  # s
_FORCE = 10.0  # N: standard deviation of a multisine, largest level of an APRBS
_BAND = 0.5  # Hz: the multisine has no power above it

_FORGOTTEN = 1e-8  # share of its start that a chain may still remember


def mass_spring_damper(
    n: int,
    n_carts: int = 4,
    signal: Literal["multisine", "aprbs"] = "multisine",
    noise: float = 0.05,
    random_state: Seed = None,
) -> tuple[Float64Array, Float64Array]:
    r"""Simulate a chain of carts: force on the first one in, position of the last one out.

    Carts of mass m (1 kg) are joined by springs that harden, and slow down by friction on the
    ground. With extensions :math:`e_i = x_i - x_{i+1}` and the wall behind the last cart,
    :math:`x_{N+1} = 0`,

    .. math:: m \ddot x_i = [i = 1]\,u(t) + s(e_{i-1}) - s(e_i) - c\,\dot x_i,
              \quad s(e) = k e + k_3 e^3, \quad s(e_0) = 0,

    where k = 100 N/m, k₃ = 5000 N/m³ and c = 5 N s/m: a Duffing oscillator for one cart. Sampled
    every 0.35 s; between samples the force goes in straight lines.

    Parameters
    ----------
    n : int
        Number of samples, at least 1.
    n_carts : int, default=4
        Number of carts, at least 1. The more, the longer is the memory: up to eight carts, eight
        samples of the force explain more than 95 % of the position's variance.
    signal : {"multisine", "aprbs"}, default="multisine"
        Force, in newtons. A sum of cosines of equal amplitudes and random phases up to 0.5 Hz, with
        a standard deviation of 10 N; or a staircase of random levels within ±10 N that are held for
        random times (amplitude-modulated pseudo-random binary signal).
    noise : float, default=0.05
        Standard deviation of the measurement noise relative to that of the noiseless position, not
        negative: 0.05 is 5 %.
    random_state : int, numpy.random.Generator or None, default=None
        Seed of signal and noise.

    Returns
    -------
    u : ndarray of shape (n,)
        Force on the first cart in newtons.
    y : ndarray of shape (n,)
        Measured position of the last cart in metres.

    Raises
    ------
    InvalidInputError
        If a number is out of its range or the signal is unknown. Also a ``ValueError``.
    UnsupportedTypeError
        If a number is something else, or `random_state` cannot be a seed. Also a ``TypeError``.

    Notes
    -----
    The carts move long before the first sample that is returned, so the start from rest is not in
    the record. It is simulated in segments, all at once and each from rest; the samples in which a
    segment still remembers its start are left out. 100 000 samples of four carts take about a
    second.

    References
    ----------
    I. Kovacic and M. J. Brennan (eds.), The Duffing Equation: Nonlinear Oscillators and their
    Behaviour, Wiley, 2011: the spring's law. O. Nelles, Nonlinear System Identification, 2nd ed.,
    Springer, 2020: the signals.

    Examples
    --------
    >>> from gprat.datasets import mass_spring_damper, nfir
    >>> u, y = mass_spring_damper(200, random_state=0)
    >>> X, target = nfir(u, y, n_regressors=8)
    >>> X.shape, target.shape
    ((193, 8), (193,))
    """
    n = check_positive_integer(n, "n", "Pass the number of samples, such as 1000.")
    n_carts = check_positive_integer(n_carts, "n_carts", "Pass the number of carts, such as 4.")
    if not isinstance(signal, str) or signal not in _SIGNALS:
        raise InvalidInputError(
            f"signal must be one of {', '.join(map(repr, _SIGNALS))}; got {signal!r}."
        )
    noise = _check_relative_noise(noise)
    rng = _check_random_state(random_state)
    n_forgetting = _samples_to_forget(n_carts)
    force = _SIGNALS[signal](n_forgetting + n, rng)
    position = _simulate(force, n_carts)
    measured = position + noise * np.std(position) * rng.standard_normal(n)
    return force[n_forgetting:], measured


def nfir(
    u: npt.ArrayLike, y: npt.ArrayLike, n_regressors: int
) -> tuple[Float64Array, Float64Array]:
    """Make the lag matrix of a nonlinear finite impulse response model, y_t = f(u_t, u_{t-1}, …).

    Parameters
    ----------
    u : array-like of shape (n,)
        Input of the system.
    y : array-like of shape (n,)
        Output of the system.
    n_regressors : int
        Number r of inputs that an output depends on, from 1 to n.

    Returns
    -------
    X : ndarray of shape (n - r + 1, r)
        Row t holds u_t, u_{t-1}, …, u_{t-r+1}, beginning with the first t for which all are known.
        A read-only view of `u` where that is an array of float64: no lag is a copy.
    target : ndarray of shape (n - r + 1,)
        The outputs y_t of the same t; a view of `y` likewise.

    Raises
    ------
    InvalidInputError
        If shapes don't fit together, or a value is NaN or infinite. Also a ``ValueError``.
    UnsupportedTypeError
        If the values are not real numbers. Also a ``TypeError``.

    Examples
    --------
    >>> from gprat.datasets import nfir
    >>> X, target = nfir([1.0, 2.0, 3.0, 4.0], [10.0, 20.0, 30.0, 40.0], n_regressors=2)
    >>> X
    array([[2., 1.],
           [3., 2.],
           [4., 3.]])
    >>> target
    array([20., 30., 40.])
    """
    inputs = _check_signal(u, "u")
    outputs = _check_signal(y, "y")
    if inputs.size != outputs.size:
        raise InvalidInputError(
            f"u and y must have one value a sample; got {inputs.size} and {outputs.size} values. "
            "Pass the same stretch of both."
        )
    lags = check_positive_integer(n_regressors, "n_regressors", "Pass how many lags, such as 8.")
    if lags > inputs.size:
        raise InvalidInputError(
            f"n_regressors must be at most the number of samples, {inputs.size}; got {lags}. "
            "Pass a longer record or fewer lags."
        )
    windows = np.lib.stride_tricks.sliding_window_view(inputs, lags)
    return windows[:, ::-1], outputs[lags - 1 :]


def load_co2() -> tuple[Float64Array, Float64Array]:
    """Load the weekly carbon dioxide readings of Mauna Loa, 1958 to 2001.

    The record ships inside statsmodels (``pip install "gprat[data]"``). Weeks without a reading are
    left out.

    Returns
    -------
    year : ndarray of shape (n,)
        Time of the reading in years, such as 1958.24.
    co2 : ndarray of shape (n,)
        Mole fraction of CO₂ in dry air in parts per million.

    Raises
    ------
    ImportError
        If statsmodels is not installed.

    References
    ----------
    Keeling and Whorf, Atmospheric CO₂ concentrations derived from flask air samples at sites in the
    SIO network, 2004.

    Examples
    --------
    >>> from gprat.datasets import load_co2
    >>> year, co2 = load_co2()
    >>> year.shape, float(co2.min())
    ((2225,), 313.0)
    """
    try:
        from statsmodels.datasets import co2 as record
    except ImportError as error:
        raise ImportError(
            'load_co2 needs statsmodels, which ships the record: pip install "gprat[data]".'
        ) from error
    table = record.load_pandas().data["co2"].dropna()
    start_of_year = table.index.to_numpy().astype("datetime64[Y]")
    start_of_next = start_of_year + np.timedelta64(1, "Y")
    date = table.index.to_numpy().astype("datetime64[s]")
    seconds = np.timedelta64(1, "s")
    elapsed = (date - start_of_year.astype("datetime64[s]")) / seconds
    length = (start_of_next - start_of_year.astype("datetime64[s]")) / seconds
    year = start_of_year.astype(np.int64) + 1970 + elapsed / length
    return year, table.to_numpy(dtype=np.float64)


def _multisine(n: int, rng: np.random.Generator) -> Float64Array:
    """Sum of cosines of random phases at the harmonics of 1/n samples up to the band's edge."""
    harmonics = max(1, int(_BAND * _SAMPLING_STEP * n))
    spectrum = np.zeros(n // 2 + 1, dtype=np.complex128)
    spectrum[1 : harmonics + 1] = np.exp(2j * np.pi * rng.uniform(size=harmonics))
    wave: Float64Array = np.fft.irfft(spectrum, n)
    return _FORCE / np.std(wave) * wave


def _aprbs(n: int, rng: np.random.Generator) -> Float64Array:
    """Random levels, each held for 4 to 12 samples."""
    holds = rng.integers(4, 13, size=n // 4 + 1)
    levels = rng.uniform(-_FORCE, _FORCE, size=holds.size)
    staircase: Float64Array = np.repeat(levels, holds)[:n]
    return staircase


_SIGNALS: dict[str, Callable[[int, np.random.Generator], Float64Array]] = {
    "multisine": _multisine,
    "aprbs": _aprbs,
}


def _samples_to_forget(n_carts: int) -> int:
    """Return how many samples it takes the chain to forget where it started.

    From the slowest mode of the chain without hardening; stiffer springs pull it back sooner.
    """
    lowest_frequency = 2 * math.sqrt(_STIFFNESS / _MASS) * math.sin(math.pi / (4 * n_carts + 2))
    half_damping = _DAMPING / (2 * _MASS)
    overdamping = max(0.0, half_damping**2 - lowest_frequency**2)
    slowest_decay = half_damping - math.sqrt(overdamping)
    return math.ceil(-math.log(_FORGOTTEN) / (slowest_decay * _SAMPLING_STEP))


def _simulate(force: Float64Array, n_carts: int) -> Float64Array:
    """Return the last cart's position at every sample after those that it takes to forget rest.

    The chain forgets, so a long record is cut into segments that are integrated side by side, as
    one system with a column a segment: Python's cost of a step is then shared by all of them.
    """
    n_forgetting = _samples_to_forget(n_carts)
    n = force.size - n_forgetting
    length = 4 * n_forgetting  # one part in five is simulated only to be forgotten
    n_segments = -(-n // length)
    padded = np.pad(force, (0, n_segments * length - n), mode="edge")
    segments = np.lib.stride_tricks.sliding_window_view(padded, n_forgetting + length)[::length]
    position = _integrate(np.ascontiguousarray(segments.T), n_carts)
    return position[n_forgetting:].T.ravel()[:n]


def _integrate(force: Float64Array, n_carts: int) -> Float64Array:
    """Return the last cart's position, starting from rest; a column is a record of its own."""
    n_samples, n_records = force.shape
    times = _SAMPLING_STEP * np.arange(n_samples)

    def derivative(t: float, state: Float64Array) -> Float64Array:
        sample = t / _SAMPLING_STEP
        i = min(int(sample), n_samples - 2)
        forces = force[i] + (sample - i) * (force[i + 1] - force[i])
        return _move(forces, state.reshape(2 * n_carts, n_records)).ravel()

    # Not stiff, so explicit; and of moderate order, since the force has a kink at every sample. A
    # step never passes a whole sample, so none of them is overlooked.
    solution: Any = solve_ivp(
        derivative,
        (times[0], times[-1]),
        np.zeros(2 * n_carts * n_records),
        method="RK45",
        t_eval=times,
        max_step=_SAMPLING_STEP,
        rtol=1e-6,
        atol=1e-8,
    )
    position: Float64Array = solution.y.reshape(2 * n_carts, n_records, n_samples)[n_carts - 1].T
    return position


def _move(force: Float64Array, state: Float64Array) -> Float64Array:
    """Return the time derivative of positions (upper half of the rows) and velocities (lower)."""
    position, velocity = np.split(state, 2)
    extension = position.copy()
    extension[:-1] -= position[1:]
    spring = extension * (_STIFFNESS + _HARDENING * extension * extension)
    total = -spring - _DAMPING * velocity
    total[1:] += spring[:-1]
    total[0] += force
    return np.concatenate([velocity, total / _MASS])


def _check_relative_noise(noise: Any) -> float:
    """Return the noise as a float of at least 0."""
    remedy = "It is relative: 0.05 means 5 % of the position's standard deviation."
    if isinstance(noise, bool) or not isinstance(noise, numbers.Real):
        raise UnsupportedTypeError(
            f"noise must be a number; got {noise!r} of type {type(noise).__name__}. {remedy}"
        )
    share = float(noise)
    if not 0.0 <= share < math.inf:
        raise InvalidInputError(f"noise must be finite and at least 0; got {share}. {remedy}")
    return share


def _check_random_state(random_state: Any) -> np.random.Generator:
    """Return a generator of random numbers."""
    remedy = "Pass a whole number of at least 0, a numpy.random.Generator, or None."
    try:
        return np.random.default_rng(random_state)
    except TypeError as error:
        raise UnsupportedTypeError(
            f"random_state cannot be a {type(random_state).__name__}. {remedy}"
        ) from error
    except ValueError as error:
        raise InvalidInputError(
            f"random_state cannot be a seed: {error}; got {random_state!r}. {remedy}"
        ) from error


def _check_signal(values: npt.ArrayLike, name: str) -> Float64Array:
    """Return a one-dimensional signal of finite numbers, not copied if it is one of float64."""
    remedy = "Pass one real number a sample."
    try:
        signal = np.asarray(values)
    except (ValueError, TypeError, RuntimeError) as error:  # a ragged list
        raise InvalidInputError(f"{name} must be one-dimensional; got {error} {remedy}") from error
    if signal.dtype.kind not in "fiub":
        raise UnsupportedTypeError(
            f"{name} must hold real numbers; got dtype {signal.dtype}. {remedy}"
        )
    if signal.ndim != 1 or signal.size == 0:
        raise InvalidInputError(
            f"{name} must be one-dimensional and not empty; got shape {signal.shape}. {remedy}"
        )
    signal = np.asarray(signal, dtype=np.float64)
    bad = np.flatnonzero(~np.isfinite(signal))
    if bad.size:
        raise InvalidInputError(
            f"{name} must be finite; got {signal[bad[0]]} at index {bad[0]}. "
            "Remove or fill in the missing samples."
        )
    return signal
