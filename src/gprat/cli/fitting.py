"""``gprat fit``: from a table to a model in a file."""

from __future__ import annotations

import re
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import ndtri
from sklearn.exceptions import ConvergenceWarning

from gprat import runtime, tables
from gprat._validation import Float64Array
from gprat.cli import showing
from gprat.cli.describing import describe_model
from gprat.exceptions import InvalidInputError
from gprat.planning import plan

if TYPE_CHECKING:
    from gprat import GaussianProcessRegressor

__all__ = ["Fit", "run", "show"]

_COVERAGE = 0.95
# Factors between a feature's spread and the bounds of its length scale, in the default kernel.
_NARROWEST, _WIDEST = 1e-2, 1e3


@dataclass(frozen=True)
class Fit:
    """What is to be fitted, to what and how; `gprat.cli.app` documents the fields as options."""

    data: Path
    target: str
    out: Path
    kernel: str | None
    features: list[str] | None
    noise: float | None
    mean: str
    normalize: bool
    objective: str
    optimizer: str | None
    restarts: int
    seed: int
    max_rows: int | None
    drop_missing: bool
    separator: str | None
    threads: int | None
    dtype: str
    include_factor: bool
    progress: bool | None


def run(task: Fit) -> dict[str, Any]:
    """Fit the model, save it, and return what came out of it.

    Raises
    ------
    InvalidInputError, OSError, ImportError
        If the data or the options cannot be used; before anything long is started.
    """
    tables.check_output(task.out)
    if task.out.exists() and task.out.samefile(task.data):
        raise InvalidInputError(f"{task.out} is the data: the model needs another file.")
    template = None if task.kernel is None else _parse_kernel(task.kernel)
    table = tables.open_table(task.data, task.separator)
    table.require([task.target], "the target")
    features, others = _choose_features(table, task)
    numbers, n_left_out = _read(table, [*features, task.target], task)
    X, y = numbers[:, :-1], numbers[:, -1]
    kernel = _default_kernel(X) if template is None else template

    start = time.perf_counter()
    with runtime.progress(task.progress):
        model, messages = _fit(_make_model(task, kernel), X, y, features, task.target)
        seconds = time.perf_counter() - start
        loo = _leave_one_out(model, y)
    model.save(task.out, include_factor=task.include_factor)
    return {
        "model": str(task.out),
        "rows": len(y),
        "rows_left_out": n_left_out,
        "columns_left_out": others,
        **describe_model(model),
        "targets": [task.target],
        "leave_one_out": loo,
        "seconds": seconds,
        "training": _training(model, features),
        "warnings": messages,
    }


def show(result: dict[str, Any]) -> None:
    """Print the result for people."""
    training, loo = result["training"], result["leave_one_out"]
    left_out = ", ".join(f"{name} ({why})" for name, why in result["columns_left_out"].items())
    advice = [] if training is None else training["advice"]
    remarks = [*advice, *result["warnings"]]
    rows = f"{result['rows']:,}"
    if result["rows_left_out"]:
        rows += f", {result['rows_left_out']:,} left out"
    showing.show(
        showing.pairs(
            {
                "model": result["model"],
                "target": result["targets"][0],
                "rows": rows,
                "features": showing.names(result["n_features"], result["features"]),
                "columns left out": left_out or None,
                "kernel": result["kernel"],
                "log marginal likelihood": f"{result['log_marginal_likelihood']:.6g}",
                "leave-one-out RMSE": f"{loo['rmse']:.4g}"
                + (f", {loo['r2']:.1%} of the variance explained" if loo["r2"] > 0.0 else ""),
                "leave-one-out coverage": f"{loo['coverage']:.1%} of the targets in their "
                f"{_COVERAGE:.0%} intervals",
                "training": training and _training_line(training),
                "time": f"{result['seconds']:.3g} s",
            }
        ),
        showing.values(result["hyperparameters"], result["features"]),
        *(["\n".join(f"! {line}" for line in remarks)] if remarks else []),
    )


def _parse_kernel(text: str) -> Any:
    from gprat.kernels.text import parse_kernel

    return parse_kernel(text)


def _choose_features(table: tables.Table, task: Fit) -> tuple[list[str], dict[str, str]]:
    """Return the features, and which other columns there are and why they are none."""
    if task.features is not None:
        table.require(task.features, "a feature")
        if task.target in task.features:
            raise InvalidInputError(f"the target {task.target!r} cannot be a feature too.")
        if len(set(task.features)) < len(task.features):
            raise InvalidInputError(f"a feature comes twice in {', '.join(task.features)}.")
        return task.features, {}
    features, others = tables.numeric_columns(table, leave_out=[task.target])
    if not features:
        raise InvalidInputError(
            f"{table.path} has no column of numbers besides {task.target!r}, so that there is "
            "nothing to predict from. See --features."
        )
    return features, others


def _read(table: tables.Table, names: list[str], task: Fit) -> tuple[Float64Array, int]:
    """Return the rows that are used, the target last, and how many were left out."""
    gaps = tables.Gaps(table, names)
    n_read = 0

    def complete_rows() -> Iterator[Float64Array]:
        nonlocal n_read
        for rows in tables.read(table, names):
            n_read += len(rows.numbers)
            complete = rows.numbers[gaps.count(rows)]
            if task.max_rows is None:
                _check_memory(max(1, n_read - gaps.n_rows), names, task)
            yield complete

    blocks = complete_rows()
    first = next(blocks, None)
    if first is None:
        raise InvalidInputError(f"{table.path} has no rows below the names of its columns.")

    def all_blocks() -> Iterator[Float64Array]:
        yield first
        yield from blocks

    numbers = tables.collect(all_blocks(), task.max_rows, np.random.default_rng(task.seed))
    if not task.drop_missing:
        gaps.refuse()
    if len(numbers) == 0:
        raise InvalidInputError(
            f"every row of {table.path} misses a value. Choose --features with fewer gaps."
        )
    _check_memory(len(numbers), names, task)
    return numbers, n_read - len(numbers)


def _check_memory(n: int, names: list[str], task: Fit) -> None:
    """Check that n rows, so far, are not too many."""
    cost = plan(n, len(names) - 1, threads=task.threads, dtype=task.dtype)
    if not cost.fits:
        raise InvalidInputError(
            f"{n:,} rows or more of {task.data} are to be used, and the memory that is free "
            f"suffices for {cost.largest_n:,}. Use --max-rows {max(1, cost.largest_n)} for a "
            "random sample of them, or --dtype float32."
        )


def _default_kernel(X: Float64Array) -> Any:
    """Return an RBF kernel with a length scale for each feature, in the feature's own units."""
    from gprat.kernels import RBF, ConstantKernel

    spread = X.std(axis=0)
    spread[~(spread > 0.0)] = 1.0
    bounds = np.column_stack([_NARROWEST * spread, _WIDEST * spread])
    return ConstantKernel(1.0) * RBF(spread, length_scale_bounds=bounds)


def _make_model(task: Fit, kernel: Any) -> GaussianProcessRegressor:
    from gprat import GaussianProcessRegressor

    return GaussianProcessRegressor(
        kernel,
        noise=task.noise,
        mean=task.mean,
        normalize_y=task.normalize,
        objective=task.objective,
        optimizer=task.optimizer,
        n_restarts_optimizer=task.restarts,
        random_state=task.seed,
        threads=task.threads,
        dtype=np.dtype(task.dtype).type,
        progress=task.progress,
        copy_X_train=False,
    )


def _fit(
    model: GaussianProcessRegressor,
    X: Float64Array,
    y: Float64Array,
    features: list[str],
    target: str,
) -> tuple[GaussianProcessRegressor, list[str]]:
    """Fit, and return the warnings too, each once."""
    import pandas

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        # What it says of bounds and convergence is in the training report.
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(pandas.DataFrame(X, columns=features), pandas.Series(y, name=target))
    messages = [" ".join(str(warning.message).split()) for warning in caught]
    return model, list(dict.fromkeys(messages))


def _leave_one_out(model: GaussianProcessRegressor, y: Float64Array) -> dict[str, float]:
    loo = model.loo_
    inside = np.abs(loo.standardized_residuals) <= ndtri(0.5 + _COVERAGE / 2.0)
    squares = np.square(y - loo.mean)
    variance = float(np.var(y))
    return {
        "rmse": float(np.sqrt(squares.mean())),
        "r2": 1.0 - float(squares.mean()) / variance if variance > 0.0 else float("nan"),
        "coverage": float(inside.mean()),
        "level": _COVERAGE,
        "mean_log_density": float(loo.log_density.mean()),
    }


def _training(model: GaussianProcessRegressor, features: list[str]) -> dict[str, Any] | None:
    report = model.training_
    if report is None:
        return None

    def with_name(match: re.Match[str]) -> str:
        number = int(match[1])
        return f"feature {features[number]!r}" if number < len(features) else match[0]

    return {
        "converged": report.success,
        "message": report.message,
        "iterations": report.n_iterations,
        "evaluations": report.n_evaluations,
        "condition": report.condition,
        "advice": [re.sub(r"\bfeature (\d+)", with_name, line) for line in report.advice],
    }


def _training_line(training: dict[str, Any]) -> str:
    state = "converged" if training["converged"] else f"not converged: {training['message']}"
    return f"{state}, {training['evaluations']} evaluations"
