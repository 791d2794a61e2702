"""``python -m benchmarks``: a command a study, and those that go with them."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Annotated

import typer
from rich.console import Console

from benchmarks import FIGURES, RESULTS
from benchmarks.peers import environments
from benchmarks.peers.registry import known
from benchmarks.report.page import render
from benchmarks.studies import (
    baselines,
    border,
    cluster,
    cluster_network,
    cluster_scaling,
    features,
    generalisation,
    headline,
    memory,
    scaling,
    small,
    tiles,
)
from benchmarks.study import Options, run_study
from benchmarks.timing import Effort

# In the order of the page.
STUDIES: tuple[ModuleType, ...] = (
    headline,
    small,
    features,
    generalisation,
    memory,
    baselines,
    tiles,
    scaling,
    border,
    cluster,
    cluster_network,
    cluster_scaling,
)

app = typer.Typer(help=__doc__, no_args_is_help=True, add_completion=False)
peers_app = typer.Typer(help="Environments of the peers.", no_args_is_help=True)
app.add_typer(peers_app, name="peers")
console = Console(stderr=True)

Sizes = Annotated[list[int] | None, typer.Option("--n", help="Training points; may be repeated.")]
Names = Annotated[list[str] | None, typer.Option("--peers", help="Peers; may be repeated.")]
Repeats = Annotated[int | None, typer.Option(help="Repetitions of each call.", min=1)]
Threads = Annotated[int, typer.Option(help="Threads of every library; 0: all there are.", min=0)]
Data = Annotated[Path | None, typer.Option(help="Folder of data sets, NAME/data.csv.gz.")]
Output = Annotated[Path, typer.Option(help="Folder for the JSON files.")]
Figures = Annotated[Path, typer.Option(help="Folder for the figures.")]
Smoke = Annotated[
    bool, typer.Option("--smoke", help="Seconds instead of minutes: ours and scikit-learn.")
]
Update = Annotated[
    bool, typer.Option("--update", help="Keep the sizes of the record that aren't measured anew.")
]

_SMOKE_PEERS = ("gprat", "scikit-learn", "lapack")
_SMOKE_EFFORT = Effort(repeats=2, budget=0.2, sample=0.0, pause=0.0)


def perform(
    study: ModuleType,
    *,
    sizes: list[int] | None = None,
    names: list[str] | None = None,
    repeats: int | None = None,
    threads: int = 0,
    data: Path | None = None,
    output: Path = RESULTS,
    figures: Path = FIGURES,
    smoke: bool = False,
    update: bool = False,
) -> None:
    """Run one study with its own defaults where nothing else is said."""
    start = time.perf_counter()

    def tell(message: str) -> None:
        console.print(f"[dim]{time.perf_counter() - start:7.1f} s[/] {study.NAME}: {message}")

    wanted = tuple(names) if names else tuple(study.PEERS)
    if smoke:
        wanted = tuple(name for name in wanted if name in _SMOKE_PEERS)
    for name in wanted:
        if not known(name).is_installed:
            tell(f"{name} is not installed and left out: python -m benchmarks peers install")
    effort = _SMOKE_EFFORT if smoke else Effort()
    options = Options(
        sizes=tuple(sorted(sizes or (study.SMOKE_SIZES if smoke else study.SIZES))),
        peers=tuple(name for name in wanted if known(name).is_installed),
        threads=threads or len(os.sched_getaffinity(0)),
        effort=effort if smoke else replace(effort, repeats=repeats or study.REPEATS),
        data=data,
        tell=tell,
    )
    run_study(study, options, output, figures, update)
    tell(f"done; {output / study.NAME}.json")


def needs(study: ModuleType) -> str | None:
    """Return what a study needs and is not there, if it needs anything."""
    ask: Callable[[], str | None] = getattr(study, "needs", lambda: None)
    return ask()


def command(study: ModuleType) -> Callable[..., None]:
    """Make the command of a study."""

    def run(
        n: Sizes = None,
        peers: Names = None,
        repeats: Repeats = None,
        threads: Threads = 0,
        data: Data = None,
        output: Output = RESULTS,
        figures: Figures = FIGURES,
        smoke: Smoke = False,
        update: Update = False,
    ) -> None:
        perform(
            study,
            sizes=n,
            names=peers,
            repeats=repeats,
            threads=threads,
            data=data,
            output=output,
            figures=figures,
            smoke=smoke,
            update=update,
        )

    return run


for module in STUDIES:
    app.command(module.NAME, help=(module.__doc__ or "").splitlines()[0])(command(module))


@app.command("all")
def run_all(
    threads: Threads = 0,
    data: Data = None,
    output: Output = RESULTS,
    figures: Figures = FIGURES,
    smoke: Smoke = False,
) -> None:
    """Run every study, then render."""
    for study in STUDIES:
        if (reason := needs(study)) is not None:
            console.print(f"{study.NAME} is left out: {reason}")
            continue
        perform(study, threads=threads, data=data, output=output, figures=figures, smoke=smoke)
    if output == RESULTS:
        render(STUDIES, output)


@app.command("render")
def render_page(output: Output = RESULTS) -> None:
    """Make the documentation's page and the README's table from the JSON files."""
    for path in render(STUDIES, output):
        console.print(f"wrote {path}")


@peers_app.command("install")
def install(names: Annotated[list[str] | None, typer.Argument()] = None) -> None:
    """Install peers into environments of their own, from PyPI; without names, all."""
    for name in names or environments.available():
        console.print(f"{name}: {environments.install(name)}")


if __name__ == "__main__":
    app()
