"""What to look at after training, in plain words."""

from __future__ import annotations

import re

import numpy as np

from gprat.optimize.report import TrainingReport

__all__ = ["advise"]

# Of losses, in nats, and relative to the loss: less than this apart are the same optimum.
_SAME_OPTIMUM, _SAME_OPTIMUM_RELATIVE = 1e-2, 1e-6
_WORST_CONDITION = 1e12

_NAME = re.compile(r"(.*?)(?:\[(\d+)\])?", re.DOTALL)
_EPSILON = float(np.finfo(np.float64).eps)

_FREE_OF_NOISE = "the data seem free of noise; check for repeated rows, or fix the noise"
_ALL_NOISE = "the model explains little of y; check the kernel and the scale of X"
_LARGE_TARGETS = "y is large or has a trend; scale it, subtract its mean, or widen the bound"
_NO_TERM = "this term adds nothing; drop it"
# What a hyperparameter means at a bound, by the last part of its name.
_MEANINGS = {
    ("length_scale", "upper"): "the function hardly varies; widen the bound or drop that term",
    ("length_scale", "lower"): "it takes noise for fast variation, or the data lie far apart; "
    "scale the features, or raise the bound",
    ("noise_variance", "lower"): _FREE_OF_NOISE,
    ("noise_level", "lower"): _FREE_OF_NOISE,
    ("noise_variance", "upper"): _ALL_NOISE,
    ("noise_level", "upper"): _ALL_NOISE,
    ("constant_value", "upper"): _LARGE_TARGETS,
    ("variance", "upper"): _LARGE_TARGETS,
    ("constant_value", "lower"): _NO_TERM,
    ("variance", "lower"): _NO_TERM,
}


def advise(report: TrainingReport, epsilon: float = _EPSILON) -> tuple[str, ...]:
    """Return what a report suggests to look at, one line each.

    Parameters
    ----------
    report : TrainingReport
        Its `advice` isn't read.
    epsilon : float, default=2.2e-16
        Spacing of the floating point numbers that the model computes with: a condition number from
        1e12, or from 1 / epsilon if that is less, is too large.

    Returns
    -------
    tuple of str
        Empty if there is nothing to say.
    """
    values: dict[str, float] = dict(zip(report.names, report.values, strict=True))
    lines = [_at_bound(name, side, values[name]) for name, side in report.at_bounds.items()]
    lines += _condition(report.condition, min(_WORST_CONDITION, 1.0 / epsilon))
    lines += _exhausted(report)
    lines += _other_optima(report)
    lines += _failed(report)
    return tuple(lines)


def _at_bound(name: str, side: str, value: float) -> str:
    match = _NAME.fullmatch(name.rpartition("__")[2])
    assert match is not None, "the pattern fits every name"
    kind, index = match.groups()
    if (kind, side) == ("length_scale", "upper") and index is not None:
        meaning = f"feature {index} may be irrelevant; leave it out, or widen the bound"
    else:
        otherwise = "the optimum may lie beyond; widen the bound if that makes sense"
        meaning = _MEANINGS.get((kind, side), otherwise)
    return f"{name} is at its {side} bound {value:.3g}: {meaning}."


def _condition(condition: float | None, limit: float) -> list[str]:
    if condition is None or condition < limit:
        return []
    return [
        f"the condition number {condition:.1e} is so large that digits are lost; raise the lower "
        "bound of the noise, or remove near-duplicate rows."
    ]


def _exhausted(report: TrainingReport) -> list[str]:
    if report.success or "reached" not in report.message.lower():
        return []
    n_moving = len(report.unconverged)
    still = f", the loss still falls along {n_moving} hyperparameters" if n_moving else ""
    return [f"the iterations were used up{still}: raise max_iter, or train again from here."]


def _other_optima(report: TrainingReport) -> list[str]:
    losses = np.array([start.loss for start in report.starts if start.loss is not None])
    # Starts that were cut short tell nothing about optima.
    if losses.size < 2 or not report.success:
        return []
    gaps = losses - losses.min()
    same = _SAME_OPTIMUM + _SAME_OPTIMUM_RELATIVE * abs(losses.min())
    n_worse = int((gaps > same).sum())
    if n_worse == 0:
        return []
    return [
        f"{n_worse} of {losses.size} starts ended in worse optima, by up to {gaps.max():.3g}: the "
        "loss has several; more restarts may find a better one."
    ]


def _failed(report: TrainingReport) -> list[str]:
    failures = [start.failure for start in report.starts if start.failure is not None]
    if not failures:
        return []
    return [f"{len(failures)} of {len(report.starts)} starts failed, the first: {failures[0]}"]
