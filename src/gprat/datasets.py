"""Data to try Gaussian processes on: a simulated mechanical system, and a record of the air.

Every function returns NumPy arrays of float64.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.integrate import solve_ivp

from gprat._validation import Float64Array, check_positive_integer
from gprat.exceptions import InvalidInputError

__all__ = ["load_co2", "mass_spring_damper", "nfir"]

Seed: TypeAlias = int | np.random.Generator | None

# The chain's physics, in SI units. The lowest mode swings at 3.5 rad/s and every mode decays as
# exp(-2.5 t), so eight samples (2.8 s) hold nearly all that the system remembers of its input.
_MASS = 1.0  # kg
_STIFFNESS = 100.0  # N/m
_HARDENING = 5e3  # N/m³: at 0.1 m a spring is half as stiff again
_DAMPING = 5.0  # N s/m
_SAMPLING_STEP = 0.35  # s
_FORCE = 10.0  # N: standard deviation of a multisine, largest level of an APRBS
_BAND = 0.5  # Hz: the multisine has no power above it

_BURN_IN = 40  # samples before the first one returned, for the start from rest to be forgotten


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
        Number of carts, at least 1. The more, the longer is the memory: four have forgotten a force
        after some eight samples.
    signal : {"multisine", "aprbs"}, default="multisine"
        Force, in newtons. A sum of cosines of equal amplitudes and random phases up to 0.5 Hz, with
        a standard deviation of 10 N; or a staircase of random levels within ±10 N that are held for
        random times (amplitude-modulated pseudo-random binary signal).
    noise : float, default=0.05
        Standard deviation of the measurement noise relative to that of the position, not negative.
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
    if signal not in _SIGNALS:
        raise InvalidInputError(
            f"signal must be one of {', '.join(map(repr, _SIGNALS))}; got {signal!r}."
        )
    if not isinstance(noise, int | float | np.number) or not 0 <= noise < np.inf:
        raise InvalidInputError(
            f"noise must be a finite number, at least 0; got {noise!r}. "
            "It is relative: 0.05 means 5 % of the position's standard deviation."
        )
    rng = np.random.default_rng(random_state)
    force = _SIGNALS[signal](n + _BURN_IN, rng)
    position = _simulate(force, n_carts)[_BURN_IN:]
    measured = position + noise * np.std(position) * rng.standard_normal(n)
    return force[_BURN_IN:], measured


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
        If shapes don't fit together. Also a ``ValueError``.

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
            f"u and y must have one value a sample; got {inputs.size} and {outputs.size} values."
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
    """Sum of cosines at the harmonics of 1/n samples up to the band's edge."""
    harmonics = max(1, int(_BAND * _SAMPLING_STEP * n))
    spectrum = np.zeros(n // 2 + 1, dtype=np.complex128)
    last = min(harmonics, spectrum.size - 1)
    spectrum[1 : last + 1] = np.exp(2j * np.pi * rng.uniform(size=last))
    wave: Float64Array = np.fft.irfft(spectrum, n)
    return _FORCE * wave / max(float(np.std(wave)), np.finfo(np.float64).tiny)


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


def _simulate(force: Float64Array, n_carts: int) -> Float64Array:
    """Return the last cart's position at every sample, starting from rest."""
    times = _SAMPLING_STEP * np.arange(force.size)
    # Slopes for the straight lines between samples: np.interp searches, and costs more.
    slopes = np.append(np.diff(force), 0.0)

    def derivative(t: float, state: Float64Array) -> Float64Array:
        sample, part = divmod(t / _SAMPLING_STEP, 1.0)
        i = min(int(sample), force.size - 1)
        return _accelerate(force[i] + part * slopes[i], state, n_carts)

    # The chain isn't stiff. A step never passes a whole sample, so none of them is overlooked.
    solution: Any = solve_ivp(
        derivative,
        (times[0], max(times[-1], _SAMPLING_STEP)),
        np.zeros(2 * n_carts),
        t_eval=times,
        max_step=_SAMPLING_STEP,
        rtol=1e-6,
        atol=1e-8,
    )
    position: Float64Array = solution.y[n_carts - 1]
    return position


def _accelerate(force: float, state: Float64Array, n_carts: int) -> Float64Array:
    """Return the time derivative of all positions and velocities."""
    position, velocity = state[:n_carts], state[n_carts:]
    extension = position.copy()
    extension[:-1] -= position[1:]
    spring = extension * (_STIFFNESS + _HARDENING * extension * extension)
    acceleration = -spring - _DAMPING * velocity
    acceleration[1:] += spring[:-1]
    acceleration[0] += force
    return np.concatenate([velocity, acceleration / _MASS])


def _check_signal(values: npt.ArrayLike, name: str) -> Float64Array:
    """Return a one-dimensional signal of finite numbers, not copied if it is one of float64."""
    signal = np.asarray(values)
    if signal.ndim != 1 or signal.size == 0:
        raise InvalidInputError(
            f"{name} must be one-dimensional and not empty; got shape {signal.shape}."
        )
    try:
        signal = np.asarray(signal, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InvalidInputError(
            f"{name} must hold real numbers; got dtype {signal.dtype}."
        ) from error
    bad = np.flatnonzero(~np.isfinite(signal))
    if bad.size:
        raise InvalidInputError(
            f"{name} must be finite; got {signal[bad[0]]} at index {bad[0]}. "
            "Remove or fill in the missing samples."
        )
    return signal
