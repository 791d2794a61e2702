"""``gprat predict``: from a model and a table to a table of predictions, block by block."""

from __future__ import annotations

import contextlib
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console
from rich.progress import Progress, TextColumn, TimeElapsedColumn
from scipy.special import ndtri

from gprat import runtime, tables
from gprat._fitted import FittedModel, as_fitted
from gprat._progress import no_bars
from gprat._validation import Float64Array
from gprat.cli import showing
from gprat.cli.describing import load_model
from gprat.exceptions import InvalidInputError

if TYPE_CHECKING:
    from pandas import DataFrame

__all__ = ["Prediction", "run", "show"]


@dataclass(frozen=True)
class Prediction:
    """What is to be predicted and how; `gprat.cli.app` documents the fields as options."""

    model: Path
    data: Path
    out: Path | None
    features: list[str] | None
    target: str | None
    interval: float
    include_noise: bool
    keep: bool
    drop_missing: bool
    separator: str | None
    threads: int | None
    progress: bool


@dataclass
class _Scores:
    """Sums over the targets that are known, of which there may be too many to keep."""

    quantile: float
    n: int = 0
    sum_squares: float = 0.0
    sum_log_density: float = 0.0
    n_inside: int = 0

    def add(self, y: Float64Array, mean: Float64Array, std: Float64Array | None) -> None:
        """Take targets into account; NaN are not known. Without deviations only the errors."""
        error = (y - mean)[~np.isnan(y)]
        self.n += error.size
        self.sum_squares += float(np.square(error).sum())
        if std is None:
            self.sum_log_density = math.nan
            return
        known = np.maximum(std[~np.isnan(y)], np.finfo(np.float64).tiny)
        residual = error / known
        log_density = -0.5 * np.square(residual) - np.log(known) - 0.5 * math.log(2.0 * math.pi)
        self.sum_log_density += float(log_density.sum())
        self.n_inside += int((np.abs(residual) <= self.quantile).sum())

    def summary(self) -> dict[str, float | int]:
        """Return means over the known targets."""
        n = self.n
        with_density = math.isfinite(self.sum_log_density)
        return {
            "rows": n,
            "rmse": math.sqrt(self.sum_squares / n),
            "nlpd": -self.sum_log_density / n if with_density else math.nan,
            "coverage": self.n_inside / n if with_density else math.nan,
        }


@dataclass
class _Predictor:
    """Predicts blocks of rows."""

    task: Prediction
    model: FittedModel
    has_names: bool
    scores: _Scores
    # Of an observation, beyond the latent function's variance; None where there is no such number.
    noise: float | None = field(default=None, init=False)
    _is_noise_known: bool = field(default=False, init=False)

    def predict(self, numbers: Float64Array, names: list[str], y: Float64Array | None) -> DataFrame:
        """Return the columns to write; score them if targets are given."""
        import pandas

        X = pandas.DataFrame(numbers, columns=names) if self.has_names else numbers
        means, stds = self.model.predict(X, self.task.include_noise)
        if y is not None:
            self.scores.add(y, means[:, 0], self._of_observation(X, stds[:, 0]))
        columns: dict[str, Float64Array] = {}
        for output, (mean, std) in enumerate(zip(means.T, stds.T, strict=True)):
            half = self.scores.quantile * std
            parts = (mean, std, mean - half, mean + half)
            columns |= dict(zip(_names(output, means.shape[1]), parts, strict=True))
        return pandas.DataFrame(columns)

    def _of_observation(self, X: Any, std: Float64Array) -> Float64Array | None:
        """Return the standard deviations of observations, which targets are compared with."""
        if self.task.include_noise:
            return std
        if not self._is_noise_known:
            self._is_noise_known = True
            self.noise = self._measure_noise(X, float(std[0]))
        return None if self.noise is None else np.sqrt(np.square(std) + self.noise)

    def _measure_noise(self, X: Any, std: float) -> float | None:
        try:
            _, with_noise = self.model.predict(X[:1], include_noise=True)
        except InvalidInputError:  # it differs between the training rows
            return None
        return max(0.0, float(with_noise[0, 0]) ** 2 - std**2)


def run(task: Prediction) -> dict[str, Any]:
    """Predict all rows, write them, and return how many there were and how good they are.

    Raises
    ------
    InvalidInputError, ModelFileError, OSError, ImportError
        If model or data cannot be used. Then no file has been written.
    """
    if task.out is not None:
        tables.check_output(task.out)
    model = load_model(task.model)
    fitted = as_fitted(model)
    table = tables.open_table(task.data, task.separator)
    features = _features(model, fitted, task)
    table.require(features, "a feature")
    target = _target(model, fitted, table, task)
    names = [*features, *([] if target is None else [target])]
    _check_names(table, fitted, task)

    scores = _Scores(float(ndtri(0.5 + task.interval / 2.0)))
    predictor = _Predictor(task, fitted, hasattr(model, "feature_names_in_"), scores)
    gaps = tables.Gaps(table, features)
    n_read = 0
    with (
        _limit(task.threads),
        tables.open_output(task.out) as write,
        no_bars(),
        _progress(task) as progress,
    ):
        line = progress.add_task("")
        for rows in tables.read(table, names):
            n_read += len(rows.numbers)
            write(_predict_block(predictor, gaps, rows, features))
            progress.update(line, completed=n_read)
        if n_read == 0:
            raise InvalidInputError(f"{table.path} has no rows below the names of its columns.")
    return {
        "model": str(task.model),
        "predictions": None if task.out is None else str(task.out),
        "rows": n_read - gaps.n_rows,
        "rows_left_out": gaps.n_rows,
        "interval": task.interval,
        "target": target,
        "scores": scores.summary() if scores.n else None,
    }


def show(result: dict[str, Any], err: bool = False) -> None:
    """Print the result for people."""
    scores = result["scores"]
    rows = f"{result['rows']:,}"
    if result["rows_left_out"]:
        rows += f", {result['rows_left_out']:,} left out"
    shown = {"predictions": result["predictions"], "rows": rows}
    if scores is not None:
        shown["compared with"] = f"{result['target']}, {scores['rows']:,} values"
        shown["RMSE"] = f"{scores['rmse']:.4g}"
        if math.isfinite(scores["nlpd"]):
            shown["NLPD"] = f"{scores['nlpd']:.4g} nats a value"
            shown["coverage"] = (
                f"{scores['coverage']:.1%} in their {100.0 * result['interval']:.4g}% intervals, "
                "with noise"
            )
    showing.show(showing.pairs(shown), err=err)


def _predict_block(
    predictor: _Predictor, gaps: tables.Gaps, rows: tables.Rows, features: list[str]
) -> DataFrame:
    """Return what is to be written of a block of rows."""
    import pandas

    d = len(features)
    task = predictor.task
    inputs = tables.Rows(rows.block, rows.numbers[:, :d], rows.first)
    complete = gaps.count(inputs)
    if not task.drop_missing:
        gaps.refuse()
    numbers = rows.numbers[complete]
    y = numbers[:, d] if numbers.shape[1] > d else None
    if len(numbers):
        predicted = predictor.predict(numbers[:, :d], features, y)
    else:
        columns = _all_names(predictor.model)
        predicted = pandas.DataFrame(np.empty((0, len(columns))), columns=columns)
    if not task.keep:
        return predicted
    kept = rows.block[complete].reset_index(drop=True)
    return pandas.concat([kept, predicted], axis=1)


def _features(model: Any, fitted: FittedModel, task: Prediction) -> list[str]:
    """Return the columns that are the features, in the model's order."""
    known = getattr(model, "feature_names_in_", None)
    d = fitted.X.shape[1]
    if known is not None:
        if task.features is not None:
            raise InvalidInputError(
                f"the model knows its features ({', '.join(map(str, known))}). Leave out "
                "--features."
            )
        return [str(name) for name in known]
    if task.features is None:
        raise InvalidInputError(
            f"the model was fitted without names of features. Pass its {d} columns in the order "
            "of training, as in --features a,b,c."
        )
    if len(task.features) != d:
        raise InvalidInputError(
            f"the model has {d} features, and --features names {len(task.features)}."
        )
    return task.features


def _target(model: Any, fitted: FittedModel, table: tables.Table, task: Prediction) -> str | None:
    """Return the column that predictions are compared with, if there is one."""
    if fitted.Y.shape[1] > 1:
        if task.target is not None:
            raise InvalidInputError("only predictions of a single target are compared with it.")
        return None
    if task.target is not None:
        table.require([task.target], "the target")
        return task.target
    known = getattr(model, "target_names_", None)
    return known[0] if known is not None and known[0] in table.columns else None


def _check_names(table: tables.Table, fitted: FittedModel, task: Prediction) -> None:
    taken = [name for name in _all_names(fitted) if name in table.columns]
    if task.keep and taken:
        raise InvalidInputError(
            f"{table.path} has a column {taken[0]!r} already, which --keep would write twice. "
            "Rename it, or leave out --keep."
        )


def _all_names(fitted: FittedModel) -> list[str]:
    k = fitted.Y.shape[1]
    return [name for output in range(k) for name in _names(output, k)]


def _names(output: int, n_outputs: int) -> tuple[str, str, str, str]:
    suffix = "" if n_outputs == 1 else f"_{output}"
    return f"mean{suffix}", f"std{suffix}", f"lower{suffix}", f"upper{suffix}"


def _progress(task: Prediction) -> Progress:
    """Return a line that counts rows; it must not come between rows on the same terminal."""
    console = Console(stderr=True)
    is_shown = task.progress and task.out is not None and console.is_terminal
    # A display that is switched off still ends its line, unless nothing is written at all.
    console.quiet = not is_shown
    columns = TextColumn("{task.completed:,} rows predicted"), TimeElapsedColumn()
    return Progress(*columns, console=console, transient=True, disable=not is_shown)


def _limit(threads: int | None) -> contextlib.AbstractContextManager[None]:
    return contextlib.nullcontext() if threads is None else runtime.limit(threads)
