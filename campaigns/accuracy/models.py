"""Models by kind: likelihood, gradient, means and variances, and certificates.

Results are held against the reference, certificates against the errors that they bound.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

import gprat
from campaigns.accuracy.reference import Covariance, Model
from campaigns.accuracy.tally import Setting, Tally
from gprat.kernels import RBF, ConstantKernel, Matern

__all__ = ["KINDS", "check_model"]

Array: TypeAlias = npt.NDArray[np.float64]

_KERNELS: dict[str, Callable[[Array], Any]] = {
    "rbf": lambda length_scale: RBF(length_scale),
    "matern12": lambda length_scale: Matern(length_scale, nu=0.5),
    "matern32": lambda length_scale: Matern(length_scale, nu=1.5),
    "matern52": lambda length_scale: Matern(length_scale, nu=2.5),
}
_TEST_POINTS = 12


@dataclass
class Case:
    """Data and hyperparameters; a kind changes those that make it what it is."""

    X: Array
    y: Array
    Xs: Array
    covariance: Covariance
    noise: float | Array
    has_trend: bool = False


def _plain(rng: np.random.Generator, n: int, epsilon: float) -> Case:
    d = int(rng.integers(1, 5))
    X, Xs = rng.uniform(-1.0, 1.0, (n, d)), rng.uniform(-1.0, 1.0, (_TEST_POINTS, d))
    y = np.sin(3.0 * X @ rng.standard_normal(d)) + 0.1 * rng.standard_normal(n)
    name = str(rng.choice(list(_KERNELS)))
    length_scale = rng.uniform(0.3, 1.5, d)
    return Case(X, y, Xs, Covariance(name, float(rng.uniform(0.5, 2.0)), length_scale), 1e-2)


def _with(**changes: Any) -> Callable[..., Case]:
    """Change attributes of the plain case, to values or by functions of (case, rng, n, ε)."""

    def make(rng: np.random.Generator, n: int, epsilon: float) -> Case:
        case = _plain(rng, n, epsilon)
        for name, change in changes.items():
            value = change(case, rng, n, epsilon) if callable(change) else change
            setattr(case, name, value)
        return case

    return make


def _length_scales(factor: float, name: str | None = None) -> Callable[..., Covariance]:
    def change(case: Case, rng: np.random.Generator, n: int, epsilon: float) -> Covariance:
        old = case.covariance
        return Covariance(name or old.name, old.variance, factor * old.length_scale)

    return change


def _near_duplicates(case: Case, rng: np.random.Generator, n: int, epsilon: float) -> Array:
    X = case.X.copy()
    half = n // 2
    X[n - half :] = X[:half] + epsilon**0.6 * rng.standard_normal(X[:half].shape)
    return X


def _duplicates(case: Case, rng: np.random.Generator, n: int, epsilon: float) -> Array:
    X = case.X.copy()
    X[n - n // 2 :] = X[: n // 2]
    return X


def _in_units(power: float) -> Callable[..., Case]:
    """Measure targets in units of 10^75 (10^7 in single), and what goes with them."""

    def make(rng: np.random.Generator, n: int, epsilon: float) -> Case:
        case = _plain(rng, n, epsilon)
        unit = 10.0 ** (power * (75.0 if epsilon < 1e-10 else 7.0))
        old = case.covariance
        case.covariance = Covariance(old.name, old.variance * unit**2, old.length_scale)
        case.y, case.noise = case.y * unit, 1e-2 * unit**2
        return case

    return make


def _inputs_in_units(rng: np.random.Generator, n: int, epsilon: float) -> Case:
    """Measure each feature in a unit of its own, 10^±100 (10^±15 in single)."""
    case = _plain(rng, n, epsilon)
    largest = 100.0 if epsilon < 1e-10 else 15.0
    units = 10.0 ** rng.uniform(-largest, largest, case.X.shape[1])
    old = case.covariance
    case.covariance = Covariance(old.name, old.variance, old.length_scale * units)
    case.X, case.Xs = case.X * units, case.Xs * units
    return case


def _many_units(units: float) -> Callable[..., float]:
    """Noise in units of n·ε times the variance."""

    def change(case: Case, rng: np.random.Generator, n: int, epsilon: float) -> float:
        return units * n * epsilon * case.covariance.variance

    return change


def _uneven(case: Case, rng: np.random.Generator, n: int, epsilon: float) -> Array:
    return 10.0 ** rng.uniform(-4.0, 8.0, n)


# Whether there may be no factor.
KINDS: dict[str, tuple[Callable[..., Case], bool]] = {
    "plain": (_plain, False),
    "little noise": (_with(noise=_many_units(1e3)), False),
    "hardly any noise": (_with(noise=_many_units(3.0)), True),
    "linear trend": (_with(has_trend=True), False),
    "near-duplicates": (_with(X=_near_duplicates, noise=_many_units(100.0)), False),
    "duplicates, noise nε": (_with(X=_duplicates, noise=_many_units(1.0)), True),
    "long length scales": (
        _with(covariance=_length_scales(50.0, "rbf"), noise=_many_units(100.0)),
        False,
    ),
    "short length scales": (_with(covariance=_length_scales(1e-2)), False),
    "targets times 1e75": (_in_units(1.0), False),
    "targets times 1e-75": (_in_units(-1.0), False),
    "inputs in odd units": (_inputs_in_units, False),
    "noise of all sizes": (_with(noise=_uneven), False),
    "zero targets": (_with(y=lambda case, rng, n, epsilon: np.zeros(n)), False),
}


def check_model(setting: Setting, ratios: Tally, certificates: Tally) -> None:
    """Make the model of a setting, and hold its results and its certificate against the truth."""
    ratios.begin(setting)
    certificates.begin(setting)
    make, may_fail = KINDS[setting.kind]
    epsilon = float(np.finfo(setting.dtype).eps)
    case = make(np.random.default_rng([setting.seed, 2]), setting.n, epsilon)
    # Coefficients need rows that determine them.
    case.has_trend &= setting.n > case.X.shape[1] + 1
    gp = _model(case, setting)
    try:
        value, gradient = gp.log_marginal_likelihood(eval_gradient=True)
        gp.predict(gp.X[:1])
    except np.linalg.LinAlgError:
        ratios.refuse(setting, is_allowed=may_fail)
        return
    trend = [np.ones((setting.n, 1)), gp.X] if case.has_trend else [np.empty((setting.n, 0))]
    noise = np.broadcast_to(gp.noise_variance, setting.n)
    truth = Model(case.covariance, gp.X, gp.y, np.hstack(trend), noise)
    yardstick = _Yardstick(truth, setting.dtype)
    ratios.add(setting, "likelihood", abs(value - truth.log_marginal_likelihood),
               yardstick.likelihood())  # fmt: skip
    _check_gradient(gradient, truth, yardstick, setting, ratios)
    _check_predictions(gp, case, truth, yardstick, setting, ratios)
    _check_certificate(gp, truth, setting, certificates)


def _model(case: Case, setting: Setting) -> gprat.GP:
    covariance = case.covariance
    return gprat.GP(
        case.X.astype(setting.dtype),
        case.y.astype(setting.dtype),
        ConstantKernel(covariance.variance) * _KERNELS[covariance.name](covariance.length_scale),
        noise=case.noise,
        mean="linear" if case.has_trend else "zero",
        tile_size=setting.tile_size,
        threads=setting.threads,
        dtype=setting.dtype,
    )


class _Yardstick:
    """How far n·ε moves results: errors of first order for |ΔK|ᵢⱼ ≤ n·ε·√(KᵢᵢKⱼⱼ)."""

    def __init__(self, truth: Model, dtype: str) -> None:
        self.truth, self.unit = truth, len(truth.y) * float(np.finfo(dtype).eps)
        self.smallest = float(np.finfo(dtype).tiny)
        self.d = np.sqrt(np.diagonal(truth.factor.K))
        self.inverse = truth.factor.inverse
        self.weights = float(np.linalg.norm(np.asarray(self.d * truth.alpha, dtype=float)))
        self.fit = float(np.sqrt(abs(truth.y @ truth.alpha)))

    def likelihood(self) -> float:
        """½tr(DK⁻¹D) + ½(‖Dα‖ + √yᵀα)²."""
        trace = float((np.diagonal(self.inverse) * self.d**2).sum())
        value = float(abs(self.truth.log_marginal_likelihood))
        return self.unit * (trace + (self.weights + self.fit) ** 2) / 2 + 4e-16 * value

    def gradient(self, dK: Any) -> float:
        """‖Dα‖·‖DK⁻¹∂Kα‖ + ½tr(D|K⁻¹||∂K||K⁻¹|D), and the terms ½(|ααᵀ| + |P|)∘|∂K| of a sum."""
        change = np.linalg.norm(
            np.asarray(self.d * (self.inverse @ (dK @ self.truth.alpha)), dtype=float)
        )
        spread = self.d[:, np.newaxis] * np.abs(self.inverse)
        trace = float(np.einsum("ij,jk,ik->", spread, np.abs(dK), spread))
        # W's own size, by which each term of the sum is rounded.
        size = np.abs(np.outer(self.truth.alpha, self.truth.alpha)) + np.abs(self.truth.P)
        terms = float((size * self._rounded(dK)).sum())
        return self.unit * (self.weights * float(change) + (trace + terms) / 2)

    def _rounded(self, dK: Any) -> Any:
        """Return what of each entry counts as one rounding.

        The relative error of exp(−s) grows with s; and there is nothing between 0 and the smallest
        normal number, of which r² may be a hundred times as large.
        """
        with np.errstate(divide="ignore"):
            exponent = np.abs(np.log(np.abs(dK) / np.outer(self.d, self.d)))
        grown = np.abs(dK) * np.where(dK == 0, 1.0, 1.0 + exponent)
        return grown + 1e3 / self.unit * self.smallest

    def explained(self, Ks: Any) -> Any:
        """√k(x, x) + ‖DK⁻¹k(X, x)‖ at each test point."""
        prior = np.sqrt(self.truth.covariance.variance)
        return prior + np.linalg.norm(
            np.asarray(self.d[:, np.newaxis] * (self.inverse @ Ks), dtype=float), axis=0
        )


def _check_gradient(
    gradient: Array, truth: Model, yardstick: _Yardstick, setting: Setting, tally: Tally
) -> None:
    # One noise variance a row is no hyperparameter.
    errors = np.abs(gradient - truth.gradient()[: len(gradient)])
    for error, dK in zip(errors, truth.derivatives()[: len(gradient)], strict=True):
        tally.add(setting, "gradient", error, yardstick.gradient(dK))


def _check_predictions(
    gp: gprat.GP, case: Case, truth: Model, yardstick: _Yardstick, setting: Setting, tally: Tally
) -> None:
    Xs = case.Xs.astype(setting.dtype)
    Hs = [np.ones((len(Xs), 1)), Xs] if truth.H.shape[1] else [np.empty((len(Xs), 0))]
    mean, variance = truth.predict(Xs, np.hstack(Hs))
    reach = yardstick.explained(truth.covariance(truth.X, Xs))
    if truth.H.shape[1]:
        # Coefficients of the trend are off as means at the training points are.
        reach = reach * (1.0 + np.linalg.norm(np.hstack(Hs), axis=1) * truth.H.shape[1])
    weights = yardstick.weights + yardstick.fit
    alone, (beside, spread) = gp.predict(Xs), gp.predict_with_uncertainty(Xs)
    for i in range(len(Xs)):
        unit = yardstick.unit * reach[i] * weights
        tally.add(setting, "mean", max(abs(alone[i] - mean[i]), abs(beside[i] - mean[i])), unit)
        tally.add(setting, "variance", abs(spread[i] - variance[i]), yardstick.unit * reach[i] ** 2)
    if not (spread >= 0.0).all():
        tally.fail(setting, "a negative variance")


def _check_certificate(gp: gprat.GP, truth: Model, setting: Setting, tally: Tally) -> None:
    """Every bound is at least the error that it bounds."""
    certificate = gp.certificate()
    if not np.isfinite(certificate.log_marginal_likelihood_error):
        tally.refuse(setting, is_allowed=True)
        return
    tally.add(
        setting,
        "likelihood",
        abs(certificate.log_marginal_likelihood - truth.log_marginal_likelihood),
        certificate.log_marginal_likelihood_error,
    )
    tally.add(
        setting,
        "log determinant",
        abs(certificate.log_determinant - truth.factor.log_determinant),
        certificate.log_determinant_error,
    )
    exact = truth.y - truth.noise * truth.alpha
    for mean in (gp.predict(gp.X), gp.predict_with_uncertainty(gp.X)[0]):
        tally.add(setting, "mean", np.abs(mean - exact).max(), certificate.mean_error)
