"""How much the number of tiles matters, and how good the automatic choice is."""

from __future__ import annotations

from typing import Any

from matplotlib.figure import Figure

from benchmarks.agreement import check
from benchmarks.models import make_model, mean_seconds, time_once
from benchmarks.problem import Problem
from benchmarks.record import Record
from benchmarks.study import Options, Outcome
from benchmarks.timing import interleave

NAME = "tiles"
TITLE = "Tiles"
SIZES = (512, 1024, 2048, 4096, 8192)
PEERS = ("gprat",)
REPEATS = 5
SMOKE_SIZES = (200,)

FEATURES = 8
TILES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)
# Tiles of fewer rows than this are nobody's choice.
_SMALLEST = 8


def measure(options: Options) -> Outcome:
    """Time likelihood and gradient for numbers of tiles a side, and for the automatic choice."""
    rows = []
    for n in options.sizes:
        options.tell(f"n = {n}")
        rows += _sweep(n, options)
    return Outcome(rows)


def _sweep(n: int, options: Options) -> list[dict[str, Any]]:
    problem = Problem(n=n, m=1, d=FEATURES)
    arrays = problem.arrays()
    automatic = make_model(problem, arrays, threads=options.threads).tile_size
    sizes = {-(-n // tiles) for tiles in TILES if tiles == 1 or n // tiles >= _SMALLEST}

    def call(tile_size: int) -> Any:
        model = make_model(problem, arrays, threads=options.threads, tile_size=tile_size)
        return model.log_marginal_likelihood(eval_gradient=True)

    first, results = {}, {}
    for size in sorted(sizes | {automatic}, reverse=True):
        first[str(size)], (value, gradient) = time_once(lambda size=size: call(size))
        results[size] = {"log_marginal_likelihood": value, "gradient": gradient}
    for size, result in results.items():
        check(f"a tile size of {size}", results[automatic], result, "float64")
    calls = {name: mean_seconds(lambda name=name: call(int(name))) for name in first}
    timings = interleave(calls, first, options.effort)
    return [
        problem.describe()
        | {"tile_size": size, "tiles": -(-n // size), "automatic": size == automatic}
        | timings[str(size)].summary()
        for size in sorted(results, reverse=True)
    ]


def draw(record: Record) -> Figure:
    """Draw the time over that of the best, for each n; the automatic choice is a star."""
    figure = Figure(figsize=(6.5, 4.2), layout="constrained")
    axes = figure.subplots()
    for i, n in enumerate(record.settings["sizes"]):
        rows = sorted(record.select(n=n), key=lambda row: row["tiles"])
        best = min(row["median"] for row in rows)
        ratios = {row["tile_size"]: row["median"] / best for row in rows}
        axes.plot(
            [row["tiles"] for row in rows],
            list(ratios.values()),
            "o-",
            color=f"C{i}",
            markersize=3,
            label=f"n = {n:,} (best {best:.3g} s)",
        )
        (chosen,) = (row for row in rows if row["automatic"])
        axes.plot(chosen["tiles"], ratios[chosen["tile_size"]], "*", color=f"C{i}", markersize=13)
    axes.plot([], [], "*", color="0.3", markersize=13, linestyle="none", label="automatic choice")
    axes.set(
        title="Likelihood and gradient, d = 8",
        xlabel="tiles a side",
        ylabel="time, by the best number of tiles",
        xscale="log",
        yscale="log",
    )
    axes.set_xticks(TILES, [str(tiles) for tiles in TILES])
    ticks = [1, 1.2, 1.5, 2, 3, 5, 10]
    shown = [tick for tick in ticks if tick <= 1.1 * axes.get_ylim()[1]]
    axes.set_yticks(shown, [f"{tick:g}" for tick in shown])
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    axes.legend(frameon=False, fontsize="small")
    return figure


def section(record: Record) -> str:
    """Tell the best, the automatic choice and the worst."""
    lines = [
        "One evaluation of likelihood and gradient by the number of tiles a side. Results agree "
        "between tile sizes to rounding. What is chosen comes from n and the processors, or, where "
        "the machine is calibrated, from a simulation.",
        "",
        "| n | best: tiles, seconds | automatic: tiles, seconds | over the best | one tile, over "
        "it | most tiles, over it |",
        "|---:|---:|---:|---:|---:|---:|",
    ]
    for n in record.settings["sizes"]:
        rows = sorted(record.select(n=n), key=lambda row: row["tiles"])
        best = min(rows, key=lambda row: row["median"])
        (chosen,) = (row for row in rows if row["automatic"])
        ratios = [row["median"] / best["median"] for row in (chosen, rows[0], rows[-1])]
        lines.append(
            f"| {n} | {best['tiles']}, {best['median']:.3g} | {chosen['tiles']}, "
            f"{chosen['median']:.3g} | {' | '.join(f'{ratio:.2f}' for ratio in ratios)} |"
        )
    return "\n".join(lines)
