"""The commands and their options."""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from gprat.cli.failing import failures

__all__ = ["app"]

app = typer.Typer(
    name="gprat",
    help="Exact Gaussian process regression on all processors of this machine.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

_UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


def _examples(*commands: str) -> str:
    """Return commands below each other, which click would join otherwise."""
    return "\n".join(["\b", "Examples:", *(f"  {command}" for command in commands)])


_FIT_EXAMPLES = _examples(
    "gprat fit data.csv --target y --out model.gprat",
    "gprat fit data.parquet --target y --features a,b --mean linear --out model.gprat",
    "gprat fit data.csv --target y --kernel 'ConstantKernel(1) * Matern(nu=2.5)' --out m.gprat",
)
_PREDICT_EXAMPLES = _examples(
    "gprat predict model.gprat new.csv --out predictions.csv",
    "gprat predict model.gprat new.parquet --keep --interval 0.9 --out predictions.parquet",
    "gprat predict model.gprat new.csv | head",
)
_PLAN_EXAMPLES = _examples(
    "gprat plan --n 20000 --d 8",
    "gprat plan --n 50000 --d 8 --m 10000 --what variance --dtype float32 --memory 64GiB",
    "gprat plan --n 100000 --d 8 --workers 16 --threads 32 --bandwidth 12.5 --memory 64GiB",
)
_INFO_EXAMPLES = _examples(
    "gprat info model.gprat",
    "gprat info model.gprat --json",
)


class _Mean(StrEnum):
    zero = "zero"
    constant = "constant"
    linear = "linear"
    quadratic = "quadratic"


class _Objective(StrEnum):
    log_marginal_likelihood = "log_marginal_likelihood"
    leave_one_out = "leave_one_out"


class _Optimizer(StrEnum):
    l_bfgs_b = "l-bfgs-b"
    adam = "adam"
    none = "none"


class _Precision(StrEnum):
    float64 = "float64"
    float32 = "float32"


class _What(StrEnum):
    fit = "fit"
    predict = "predict"
    variance = "variance"
    covariance = "covariance"


_Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")]
_Threads = Annotated[
    int | None, typer.Option(min=1, help="The most threads; all processors unless given.")
]
_Separator = Annotated[
    str | None,
    typer.Option(help="Between the columns of a text file; ',' for .csv and a tab for .tsv."),
]
_DropMissing = Annotated[
    bool, typer.Option("--drop-missing", help="Leave out rows with missing values.")
]


@app.callback(invoke_without_command=True)
def _main(
    version: Annotated[bool, typer.Option("--version", help="Show the version and exit.")] = False,
) -> None:
    if version:
        from gprat import __version__

        typer.echo(f"gprat {__version__}")
        raise typer.Exit


@app.command(epilog=_FIT_EXAMPLES)
def fit(
    data: Annotated[Path, typer.Argument(help="Table: CSV, TSV (also .gz) or Parquet.")],
    target: Annotated[str, typer.Option(help="Column to be predicted.")],
    out: Annotated[Path, typer.Option(help="File for the model; an old one is replaced.")],
    kernel: Annotated[
        str | None,
        typer.Option(
            help="Kernel, as in Python, such as 'ConstantKernel(1.0) * Matern(nu=2.5)'. Unless "
            "given, an RBF with a length scale for each feature, in the feature's units."
        ),
    ] = None,
    features: Annotated[
        str | None,
        typer.Option(help="Columns to predict from, as a,b,c; all other columns of numbers."),
    ] = None,
    noise: Annotated[
        str,
        typer.Option(
            help="Noise variance to start from, which is learned, in units of the normalised "
            "target; 'none' for data without noise."
        ),
    ] = "0.1",
    mean: Annotated[_Mean, typer.Option(help="Mean function.")] = _Mean.zero,
    normalize: Annotated[
        bool,
        typer.Option(
            "--normalize/--no-normalize",
            help="Shift and scale the target to mean 0 and variance 1 first. Predictions are in "
            "its own units all the same.",
        ),
    ] = True,
    restarts: Annotated[int, typer.Option(min=0, help="Further starts of the optimizer.")] = 0,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Seed of all chance.")] = 0,
    optimizer: Annotated[
        _Optimizer, typer.Option(help="How to learn; 'none' leaves the kernel as it is.")
    ] = _Optimizer.l_bfgs_b,
    objective: Annotated[
        _Objective, typer.Option(help="What is maximised.")
    ] = _Objective.log_marginal_likelihood,
    max_rows: Annotated[
        int | None, typer.Option(min=1, help="Use a random sample of so many rows at most.")
    ] = None,
    drop_missing: _DropMissing = False,
    separator: _Separator = None,
    threads: _Threads = None,
    dtype: Annotated[
        _Precision, typer.Option(help="Precision; float32 takes half the memory.")
    ] = _Precision.float64,
    include_factor: Annotated[
        bool,
        typer.Option(
            "--include-factor",
            help="Save the Cholesky factor too, so that predictions start at once: n²/2 numbers.",
        ),
    ] = False,
    json: _Json = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing.")] = False,
) -> None:
    """Learn a model from a table, and save it.

    Shows what was learned, and how well each row is predicted from all others.
    """
    variance = _noise(noise)
    names = _names(features)
    with failures():
        from gprat.cli import fitting, showing

        task = fitting.Fit(
            data=data,
            target=target,
            out=out,
            kernel=kernel,
            features=names,
            noise=variance,
            mean=mean.value,
            normalize=normalize,
            objective=objective.value,
            optimizer=None if optimizer is _Optimizer.none else optimizer.value,
            restarts=restarts,
            seed=seed,
            max_rows=max_rows,
            drop_missing=drop_missing,
            separator=separator,
            threads=threads,
            dtype=dtype.value,
            include_factor=include_factor,
            progress=False if quiet else None,
        )
        result = fitting.run(task)
        if json:
            showing.as_json(result)
        elif not quiet:
            fitting.show(result)


@app.command(epilog=_PREDICT_EXAMPLES)
def predict(
    model: Annotated[Path, typer.Argument(help="A saved model.")],
    data: Annotated[Path, typer.Argument(help="Table with the features, in any order.")],
    out: Annotated[
        Path | None,
        typer.Option(
            help="File for the predictions, of the kinds that data may have; an old one is "
            "replaced. CSV on the standard output unless given."
        ),
    ] = None,
    interval: Annotated[
        float, typer.Option(help="Probability of the interval from 'lower' to 'upper'.")
    ] = 0.95,
    include_noise: Annotated[
        bool,
        typer.Option(
            "--include-noise",
            help="Predict observations, with their noise, and not the function behind them.",
        ),
    ] = False,
    keep: Annotated[
        bool, typer.Option("--keep", help="Write the columns of the data too, before the others.")
    ] = False,
    target: Annotated[
        str | None,
        typer.Option(
            help="Column that predictions are compared with; that of the training, if the data "
            "have it."
        ),
    ] = None,
    features: Annotated[
        str | None,
        typer.Option(help="Columns of the features, for models that don't know their names."),
    ] = None,
    drop_missing: _DropMissing = False,
    separator: _Separator = None,
    threads: _Threads = None,
    json: _Json = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Print nothing but predictions.")
    ] = False,
) -> None:
    """Predict every row of a table: mean, standard deviation, and an interval.

    Rows are read and predicted in blocks, so that the table may be larger than the memory. Where
    the target is known too, its errors are shown: the root of their mean square (RMSE), the mean
    negative log predictive density (NLPD), and how many lie in their intervals, with noise.
    """
    if not 0.0 < interval < 1.0:
        raise typer.BadParameter(
            f"must lie between 0 and 1, got {interval:g}.", param_hint="--interval"
        )
    if json and out is None:
        raise typer.BadParameter(
            "goes with --out: the standard output is for one of both.", param_hint="--json"
        )
    names = _names(features)
    with failures():
        from gprat.cli import predicting, showing

        result = predicting.run(
            predicting.Prediction(
                model=model,
                data=data,
                out=out,
                features=names,
                target=target,
                interval=interval,
                include_noise=include_noise,
                keep=keep,
                drop_missing=drop_missing,
                separator=separator,
                threads=threads,
                progress=not quiet,
            )
        )
        if json:
            showing.as_json(result)
        elif not quiet:
            predicting.show(result, err=out is None)


@app.command(epilog=_PLAN_EXAMPLES)
def plan(
    n: Annotated[int, typer.Option("--n", min=1, help="Training points.")],
    d: Annotated[int, typer.Option("--d", min=1, help="Features.")] = 1,
    m: Annotated[int, typer.Option("--m", min=0, help="Test points.")] = 0,
    what: Annotated[
        _What,
        typer.Option(help="An evaluation of the likelihood and its gradient, or a prediction."),
    ] = _What.fit,
    outputs: Annotated[int, typer.Option(min=1, help="Targets.")] = 1,
    hyperparameters: Annotated[
        int | None, typer.Option(min=1, help="Hyperparameters; d + 2 unless given.")
    ] = None,
    threads: _Threads = None,
    dtype: Annotated[_Precision, typer.Option(help="Precision.")] = _Precision.float64,
    tile_size: Annotated[
        int | None, typer.Option(min=1, help="Side of the tiles; chosen by n unless given.")
    ] = None,
    memory: Annotated[
        str | None,
        typer.Option(
            help="Memory that may be taken, by each worker, such as 64GiB; all that is free now."
        ),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Workers of a cluster; this machine unless given.")
    ] = None,
    bandwidth: Annotated[
        float | None,
        typer.Option(help="GB a second that a worker's link carries; 1.25, 10 Gbit/s."),
    ] = None,
    latency: Annotated[
        float | None, typer.Option(help="Milliseconds of a message between workers; 1.")
    ] = None,
    disk_bandwidth: Annotated[
        float | None,
        typer.Option(help="GB a second of a worker's disk, if it may write there what is too much"),
    ] = None,
    block_size: Annotated[
        int | None, typer.Option(min=1, help="Rows of the blocks of a cluster; chosen by n.")
    ] = None,
    json: _Json = False,
) -> None:
    """Say what an operation costs before it starts: memory, work, and the largest n.

    With --workers, on a cluster: also what travels, and the time.
    """
    limit = None if memory is None else _bytes(memory)
    with failures():
        from gprat import planning
        from gprat.cli import showing

        planned = planning.plan(
            n,
            d,
            m,
            what=what.value,
            n_outputs=outputs,
            n_hyperparameters=hyperparameters,
            threads=threads,
            dtype=dtype.value,
            tile_size="auto" if tile_size is None else tile_size,
            memory=limit,
            **_cluster(workers, bandwidth, latency, disk_bandwidth, block_size),
        )
        if json:
            showing.as_json(planned.as_dict())
        else:
            typer.echo(str(planned))


@app.command(epilog=_INFO_EXAMPLES)
def info(
    model: Annotated[Path, typer.Argument(help="A saved model.")],
    json: _Json = False,
) -> None:
    """Show what is in a saved model: its data's shape, kernel and hyperparameters."""
    with failures():
        from gprat.cli import describing, showing

        result = describing.describe_file(model)
        if json:
            showing.as_json(result)
        else:
            describing.show(result)


def _noise(text: str) -> float | None:
    if text.strip().lower() == "none":
        return None
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0.0 < value < float("inf"):
        raise typer.BadParameter(
            f"must be a positive number or 'none', got {text!r}.", param_hint="--noise"
        )
    return value


def _names(text: str | None) -> list[str] | None:
    if text is None:
        return None
    names = [name.strip() for name in text.split(",")]
    if not all(names):
        raise typer.BadParameter(
            f"must be names with commas between them, got {text!r}.", param_hint="--features"
        )
    return names


def _cluster(
    workers: int | None,
    bandwidth: float | None,
    latency: float | None,
    disk_bandwidth: float | None,
    block_size: int | None,
) -> dict[str, Any]:
    """Return the options of a cluster as `gprat.plan` takes them: bytes and seconds."""
    given = {
        "workers": workers,
        "bandwidth": None if bandwidth is None else 1e9 * bandwidth,
        "latency": None if latency is None else 1e-3 * latency,
        "disk_bandwidth": None if disk_bandwidth is None else 1e9 * disk_bandwidth,
        "block_size": block_size,
    }
    return {name: value for name, value in given.items() if value is not None}


def _bytes(text: str) -> int:
    match: Any = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]?)(?:i?B)?\s*", text, re.IGNORECASE)
    size = 0 if match is None else int(float(match[1]) * _UNITS[match[2].upper()])
    if size < 1:
        raise typer.BadParameter(
            f"must be a size such as 64GiB, got {text!r}.", param_hint="--memory"
        )
    return size
