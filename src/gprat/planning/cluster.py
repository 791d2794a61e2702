"""What an operation costs on a cluster, from the engine's own tasks and a simulated network."""

from __future__ import annotations

import dataclasses
import html
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from rich.console import Group
from rich.table import Table
from rich.text import Text

from gprat._text import as_bytes, as_plain_text, make_table
from gprat.exceptions import InsufficientMemoryError, InvalidInputError
from gprat.planning.words import TITLES, count, duration

if TYPE_CHECKING:
    from gprat.calibration.table import Calibration
    from gprat.engines.cluster.recording import BlockTasks, Sizes
    from gprat.simulation import ClusterSimulation, Machine, Network

__all__ = ["ClusterPlan", "ClusterShape", "plan_cluster"]

# Measured: a worker that holds no block, with the libraries that it has loaded.
_PROCESS_BYTES = 200 << 20
# Dask writes blocks to disk from this share of a worker's memory on, where it may.
_SPILLS_FROM = 0.6
# How many numbers of workers are tried for one that does, and how fast they grow.
_TRIALS, _FALL = 5, 1.6


@dataclass(frozen=True, slots=True)
class ClusterPlan:
    """What an operation costs on a cluster, known before it starts. Prints as a table.

    Parameters
    ----------
    what : str
        The operation: "fit", "predict", "variance" or "covariance".
    n, d, m : int
        Training points, features, test points.
    n_outputs : int
        Columns of y.
    n_hyperparameters : int
        What the gradient has entries for.
    workers, threads : int
        Workers of the cluster, and threads of each.
    dtype : str
        Precision, "float64" or "float32".
    block_size, tile_size : int
        Rows of a block, and side of the tiles that a worker cuts it into.
    n_tasks : int
        Tasks of Dask.
    bandwidth, latency : float
        Bytes a second of a worker's link, each way; seconds of a message.
    rates : str
        Whose rates of computation were taken: "this machine's" or "a model's".
    seconds : float
        Predicted time.
    critical_path_seconds : float
        What the longest chain of tasks takes: no number of workers makes it quicker.
    efficiency : float
        The share of all threads' time that tasks take, in (0, 1].
    limit : str
        What is to be better for a shorter time: "compute", "network", "critical path",
        "scheduler" or "disk".
    flops : float
        Additions and multiplications.
    traffic_bytes : int
        What travels between workers.
    worker_traffic_bytes : int
        The most that one worker receives.
    worker_peak_bytes : int
        The most that one worker takes at a time, its process included, if it never writes to disk.
    memory : int or None
        Bytes that each worker may take; None: not known.
    spilled_bytes : int
        What all workers write to their disks, since it does not fit.
    seconds_in_memory : float
        What it would take if all fitted.

    Examples
    --------
    >>> from gprat.planning import plan
    >>> plan(10_000, workers=4, threads=2, calibrate=False).limit
    'compute'
    """

    what: str
    n: int
    d: int
    m: int
    n_outputs: int
    n_hyperparameters: int
    workers: int
    threads: int
    dtype: str
    block_size: int
    tile_size: int
    n_tasks: int
    bandwidth: float
    latency: float
    rates: str
    seconds: float
    critical_path_seconds: float
    efficiency: float
    limit: str
    flops: float
    traffic_bytes: int
    worker_traffic_bytes: int
    worker_peak_bytes: int
    memory: int | None
    spilled_bytes: int
    seconds_in_memory: float

    def as_dict(self) -> dict[str, Any]:
        """Return all fields as numbers and text that JSON knows.

        Returns
        -------
        dict
            By the names of the fields.

        Examples
        --------
        >>> from gprat.planning import plan
        >>> plan(5000, workers=2, threads=2, calibrate=False).as_dict()["workers"]
        2
        """
        return dataclasses.asdict(self)

    def __str__(self) -> str:
        return as_plain_text(Group(Text(self._headline()), Text(""), self._table()))

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(str(self))}</pre>"

    def _headline(self) -> str:
        return (
            f"{TITLES[self.what]}, {count(self.n, 'training point')}, on "
            f"{count(self.workers, 'worker')} of {count(self.threads, 'thread')}"
        )

    def _table(self) -> Table:
        table = make_table("", "")
        table.columns[-1].justify = "left"
        points = f", {count(self.m, 'test point')}" if self.m else ""
        rows = {
            "size": f"{count(self.d, 'feature')}, {count(self.n_outputs, 'output')}, "
            f"{count(self.n_hyperparameters, 'hyperparameter')}{points}",
            "peak of a worker": self._peak(),
            "traffic": f"{as_bytes(self.traffic_bytes)}, a worker receives at most "
            f"{as_bytes(self.worker_traffic_bytes)}",
            "network": f"{8e-9 * self.bandwidth:.3g} Gbit/s each way, "
            f"latency {1e3 * self.latency:.3g} ms",
            "operations": f"{self.flops:.3g} flop, at {self.rates} rates",
            "tasks": f"{self.n_tasks:,} on blocks of {self.block_size:,} rows, in tiles of side "
            f"{self.tile_size}, in {self.dtype}",
            "time": f"{duration(self.seconds)}, at least {duration(self.critical_path_seconds)} "
            f"with any number of workers; efficiency {self.efficiency:.0%}",
            "limit": self.limit,
        }
        if self.spilled_bytes:
            rows["disk"] = (
                f"{as_bytes(self.spilled_bytes)} do not fit and are written: "
                f"{self.seconds / self.seconds_in_memory:.1f} times slower than in memory"
            )
        for name, value in rows.items():
            table.add_row(name, Text(value))
        return table

    def _peak(self) -> str:
        peak = as_bytes(self.worker_peak_bytes)
        return peak if self.memory is None else f"{peak} of {as_bytes(self.memory)}"


@dataclass(frozen=True, slots=True)
class ClusterShape:
    """A cluster as a user describes it.

    Parameters
    ----------
    workers, threads : int
        Workers, and threads of each.
    block_size, tile_size : int or "auto"
        How the matrix is cut.
    memory : int or None
        Bytes that each worker may take; None: not known.
    network : Network
        How workers are joined.
    may_spill : bool
        Whether workers write to their disks what does not fit.
    """

    workers: int
    threads: int
    block_size: int | Literal["auto"]
    tile_size: int | Literal["auto"]
    memory: int | None
    network: Network
    may_spill: bool


def plan_cluster(sizes: Sizes, shape: ClusterShape, calibration: Calibration | None) -> ClusterPlan:
    """Return what an operation costs on a cluster.

    Raises
    ------
    InsufficientMemoryError
        If a worker has too little memory.
    InvalidInputError
        If blocks are too small to be simulated, or there is no memory for one block.
    """
    from gprat.simulation.cluster.simulate import record_blocks, run_blocks

    machine = _machine(calibration, sizes.d, shape.threads)
    tasks = record_blocks(sizes, shape.workers, shape.threads, shape.block_size, shape.tile_size)
    fitting = run_blocks(tasks, shape.threads, machine, shape.network)
    peak = _peak(fitting)
    actual = fitting
    if shape.memory is not None:
        if shape.may_spill:
            actual = _with_disk(tasks, shape, machine)
        elif peak > shape.memory:
            raise _insufficient(sizes, shape, peak)
    return ClusterPlan(
        what=sizes.operation.value,
        n=sizes.n,
        d=sizes.d,
        m=sizes.m,
        n_outputs=sizes.n_outputs,
        n_hyperparameters=sizes.n_hyperparameters,
        workers=shape.workers,
        threads=shape.threads,
        dtype=sizes.dtype,
        block_size=tasks.block_size,
        tile_size=tasks.tile_size,
        n_tasks=len(tasks),
        bandwidth=shape.network.bandwidth,
        latency=shape.network.latency,
        rates="a model's" if calibration is None else "this machine's",
        seconds=actual.makespan,
        critical_path_seconds=actual.critical_path_seconds,
        efficiency=actual.efficiency,
        limit="disk" if actual.makespan > 1.1 * fitting.makespan else actual.limit,
        flops=tasks.flops,
        traffic_bytes=int(actual.traffic_bytes),
        worker_traffic_bytes=int(actual.received.max()),
        worker_peak_bytes=peak,
        memory=shape.memory,
        spilled_bytes=int(actual.written.sum()),
        seconds_in_memory=fitting.makespan,
    )


def _peak(simulation: ClusterSimulation) -> int:
    return int(simulation.peak_bytes.max()) + _PROCESS_BYTES


def _machine(calibration: Calibration | None, d: int, threads: int) -> Machine:
    from gprat.calibration.machine import CalibratedMachine
    from gprat.simulation.machine import ModelMachine

    if calibration is None:
        return ModelMachine(threads=threads)
    return CalibratedMachine(calibration, d=d, inline=threads == 1, processors=threads)


def _with_disk(tasks: BlockTasks, shape: ClusterShape, machine: Machine) -> ClusterSimulation:
    """Simulate workers that write to their disks what is too much."""
    from gprat.simulation.cluster.simulate import run_blocks

    assert shape.memory is not None
    room = _SPILLS_FROM * shape.memory - _PROCESS_BYTES
    # A task holds what it reads and what it makes.
    costs = tasks.costs
    most = float((costs["moved"] + costs["size"] + costs["scratch"]).max())
    if room < most:
        raise InvalidInputError(
            f"a worker may hold {as_bytes(max(0, int(room)))} beside its process, and one block of "
            f"{tasks.block_size:,} rows takes {as_bytes(int(most))} to compute. Pass a smaller "
            "block_size, or workers with more memory."
        )
    network = dataclasses.replace(shape.network, memory=room)
    return run_blocks(tasks, shape.threads, machine, network)


def _insufficient(sizes: Sizes, shape: ClusterShape, peak: int) -> InsufficientMemoryError:
    """Say how many workers would do."""
    assert shape.memory is not None
    message = (
        f"{TITLES[sizes.operation.value].lower()} with {sizes.n:,} training points takes "
        f"{as_bytes(peak)} on each of {count(shape.workers, 'worker')}, which may use "
        f"{as_bytes(shape.memory)}. What would fit: {_enough(sizes, shape, peak)}; workers that "
        "may write to their disks (disk_bandwidth)."
    )
    return InsufficientMemoryError(message, peak * shape.workers, shape.memory * shape.workers)


def _enough(sizes: Sizes, shape: ClusterShape, peak: int) -> str:
    """Return how many workers of this memory have enough of it, in words."""
    from gprat.simulation.cluster.simulate import MOST_WORKERS, record_blocks, run_blocks
    from gprat.simulation.machine import ModelMachine

    assert shape.memory is not None
    room = shape.memory - _PROCESS_BYTES
    workers = shape.workers
    for _ in range(_TRIALS if room > 0 else 0):
        # Copies of others' blocks, which are most of it, fall with the square root of the number.
        more = math.ceil(workers * ((peak - _PROCESS_BYTES) / room) ** _FALL)
        workers = min(max(workers + 1, more), MOST_WORKERS)
        tasks = record_blocks(sizes, workers, shape.threads, shape.block_size, shape.tile_size)
        peak = _peak(run_blocks(tasks, shape.threads, ModelMachine(), shape.network))
        if peak <= shape.memory:
            return f"{workers:,} workers of this size"
    if room <= 0 or workers == MOST_WORKERS:
        return "workers with more memory"
    return f"more than {workers:,} workers of this size"
