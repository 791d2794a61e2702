"""What a study is: a module that measures, draws and tells; and how one is run and kept."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from matplotlib.figure import Figure

from benchmarks.record import Record, machine, source, versions
from benchmarks.report.style import save_figure
from benchmarks.timing import Effort

__all__ = ["Options", "Outcome", "Study", "run_study"]


def silent(_message: str) -> None:
    """Tell nobody."""


@dataclass(frozen=True)
class Options:
    """What the command line says about a run.

    Attributes
    ----------
    sizes : tuple of int
        Numbers of training points, ascending; what a study else varies is its own constant.
    peers : tuple of str
        Names in `benchmarks.peers.registry.PEERS`, ours among them; those that are not installed
        have been taken out.
    threads : int
        Threads and processors that every library may use.
    effort : Effort
        How often to repeat, and when less is enough.
    data : Path or None
        Folder of data sets, for studies that read one.
    tell : callable
        Where to report progress, a line at a time.
    """

    sizes: tuple[int, ...]
    peers: tuple[str, ...]
    threads: int
    effort: Effort = field(default_factory=Effort)
    data: Path | None = None
    tell: Callable[[str], None] = silent


@dataclass
class Outcome:
    """What `measure` returns: a flat dictionary a measurement, and how peers describe themselves.

    `extra` is for what is no row: a fitted model, a curve, a yardstick.
    """

    rows: list[dict[str, Any]]
    peers: dict[str, dict[str, Any]] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)


class Study(Protocol):
    """A module of `benchmarks.studies`. Constants in capitals are its defaults."""

    NAME: str
    """The command, and the stem of the files it writes."""
    TITLE: str
    """The heading of its section in the page."""
    SIZES: tuple[int, ...]
    PEERS: tuple[str, ...]
    """Names of `registry.PEERS` that take part, ours first."""
    REPEATS: int
    SMOKE_SIZES: tuple[int, ...]
    """Sizes for a run of seconds that tests take."""

    @staticmethod
    def measure(options: Options) -> Outcome:
        """Measure; takes its time."""
        ...

    @staticmethod
    def draw(record: Record) -> Figure:
        """Draw the figure from what was measured, and nothing else."""
        ...

    @staticmethod
    def section(record: Record) -> str:
        """Return text and tables of the page's section: Markdown without heading or figure."""
        ...


def run_study(
    study: Study, options: Options, results: Path, figures: Path, update: bool = False
) -> Record:
    """Measure, and write NAME.json and NAME.png; an update replaces sizes in what is there."""
    path = results / f"{study.NAME}.json"
    earlier = Record.read(path) if update else None
    if earlier is not None:
        earlier.check_update(list(options.peers), options.threads)
    start = time.perf_counter()
    outcome = study.measure(options)
    record = Record(
        study=study.NAME,
        settings={
            "sizes": list(options.sizes),
            "peers": list(options.peers),
            "threads": options.threads,
            "effort": options.effort.settings(),
        },
        rows=outcome.rows,
        peers=outcome.peers,
        extra=outcome.extra,
        machine=machine(options.threads),
        versions=versions(),
        source=source(),
        seconds=time.perf_counter() - start,
    )
    if earlier is not None:
        record = earlier.updated(record)
    record.write(path)
    save_figure(study.draw(record), figures / f"{study.NAME}.png")
    return record
