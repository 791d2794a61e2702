"""Costs that are known before the work starts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, overload

import numpy.typing as npt

from gprat import _validation as validation
from gprat import runtime
from gprat._costs import Operation, Work, check_operation
from gprat._machine import available_memory
from gprat.exceptions import InvalidInputError
from gprat.planning.checks import (
    LARGEST_SIZE,
    check_memory,
    check_points,
    check_size,
)
from gprat.planning.cluster import ClusterPlan, ClusterShape, plan_cluster
from gprat.planning.result import Plan
from gprat.planning.tile_size import TileSize
from gprat.planning.words import OperationName

if TYPE_CHECKING:
    from gprat.calibration.cache import Entry
    from gprat.calibration.table import Calibration

__all__ = ["plan"]

_Size = int | Literal["auto"]
_NO_FORECAST = (None, None, None)


@overload
def plan(
    n: int,
    d: int = 1,
    m: int = 0,
    *,
    what: OperationName = "fit",
    n_outputs: int = 1,
    n_hyperparameters: int | None = None,
    threads: int | None = None,
    dtype: npt.DTypeLike = "float64",
    tile_size: _Size = "auto",
    memory: int | None = None,
    calibrate: bool | None = None,
    workers: None = None,
) -> Plan: ...


@overload
def plan(
    n: int,
    d: int = 1,
    m: int = 0,
    *,
    what: OperationName = "fit",
    n_outputs: int = 1,
    n_hyperparameters: int | None = None,
    threads: int | None = None,
    dtype: npt.DTypeLike = "float64",
    tile_size: _Size = "auto",
    memory: int | None = None,
    calibrate: bool | None = None,
    workers: int,
    bandwidth: float | None = None,
    latency: float | None = None,
    disk_bandwidth: float | None = None,
    block_size: _Size = "auto",
) -> ClusterPlan: ...


def plan(
    n: int,
    d: int = 1,
    m: int = 0,
    *,
    what: OperationName = "fit",
    n_outputs: int = 1,
    n_hyperparameters: int | None = None,
    threads: int | None = None,
    dtype: npt.DTypeLike = "float64",
    tile_size: _Size = "auto",
    memory: int | None = None,
    calibrate: bool | None = None,
    workers: int | None = None,
    bandwidth: float | None = None,
    latency: float | None = None,
    disk_bandwidth: float | None = None,
    block_size: _Size = "auto",
) -> Plan | ClusterPlan:
    """Say what an operation costs, without data and without doing it.

    Bytes, operations and tasks are counted from the loops of the core; the memory that is kept by
    each thread is an estimate of a few MiB. Time is that of a simulation of the very tasks that
    would run, at the rates at which tasks of an RBF kernel were measured on this machine. Training
    takes as many evaluations as it needs, each of which costs this much; restarts that run at the
    same time take that many times the memory.

    With `workers` it is the costs on a cluster, ``engine="cluster"``: the tasks are those that the
    engine would give to Dask, and a simulation of its scheduler and of the network says how long
    they take, what travels, and what each worker holds. See `gprat.simulation.simulate_cluster`.

    Parameters
    ----------
    n : int
        Number of training points, from 1 to 10⁹; with `workers`, to 10⁶.
    d : int, default=1
        Number of features.
    m : int, default=0
        Number of test points; at least 1 unless `what` is "fit".
    what : {"fit", "predict", "variance", "covariance"}, default="fit"
        "fit": one evaluation of the log marginal likelihood and its gradient. The others: the
        factor, and predicted means; with variances; or with the joint covariance of all test
        points.
    n_outputs : int, default=1
        Number of columns of y.
    n_hyperparameters : int, default=None
        Number of entries of theta; None for d + 2: a variance, a length scale for each feature, and
        the noise.
    threads : int, default=None
        Threads that compute, of each worker; None for all that a computation would use here and
        now.
    dtype : {"float64", "float32"}, default="float64"
        Precision.
    tile_size : int or "auto", default="auto"
        Side of the tiles; "auto" for what a model would choose on this machine, or a worker. A
        worker of many threads takes smaller ones.
    memory : int, default=None
        Bytes that may be taken, by each worker. None for what is available to this process now, by
        the kernel's estimate and the limits of its cgroups; with `workers`, for any number.
    calibrate : bool, default=None
        Whether to measure how fast this machine is, which takes a second or two, where that isn't
        known yet; without it there is no prediction of times, and workers are taken to have the
        default rates of `gprat.simulation.ModelMachine`. None to do so where the operation takes
        much longer; see `gprat.tune`. The processors of workers are taken to be like this
        machine's.
    workers : int, default=None
        Workers of a cluster, from 1 to 4096; None for this machine alone.
    bandwidth : float, default=None
        Bytes a second that a worker's link to the network carries, each way: 1.25e9 for 10 Gbit/s,
        which is what None stands for.
    latency : float, default=None
        Seconds that a message between workers takes besides its bytes; None for 1 ms.
    disk_bandwidth : float, default=None
        Bytes a second of a worker's disk, if it may write there what does not fit into its memory;
        None if it may not.
    block_size : int or "auto", default="auto"
        Rows of the blocks that are spread over the workers; "auto" for what the engine would
        choose.

    Returns
    -------
    Plan or ClusterPlan
        Costs, and the largest n that fits; with `workers`, bytes and traffic of a worker. Prints as
        a table.

    Raises
    ------
    InvalidInputError
        If a number is out of its range, `what` is unknown, or test points are missing; if what is
        for clusters alone is given without `workers`, or blocks are too small to be simulated.
    InsufficientMemoryError
        If workers have too little memory; it says how many would do.
    UnsupportedTypeError
        If a number is not a whole number, or the dtype is none of the two.

    Examples
    --------
    >>> from gprat.planning import plan
    >>> costs = plan(20_000, d=8, threads=2, memory=8 * 2**30)
    >>> print(costs)
    Fit: likelihood and gradient, 20,000 training points: fits into 8 GiB of memory
    <BLANKLINE>
    size                  8 features, 1 output, 10 hyperparameters
    ...
    >>> costs.fits, costs.largest_n > 40_000
    (True, True)
    >>> print(plan(20_000, d=8, workers=4, threads=8, bandwidth=1.25e9, calibrate=False))
    Fit: likelihood and gradient, 20,000 training points, on 4 workers of 8 threads
    <BLANKLINE>
    size ...
    """
    operation = check_operation(what)
    features = check_size(d, "d")
    parameters = features + 2
    if n_hyperparameters is not None:
        parameters = check_size(n_hyperparameters, "n_hyperparameters")
    precision = validation.check_dtype(dtype, None)
    size = check_size(n, "n")
    counts = features, check_points(m, operation), check_size(n_outputs, "n_outputs"), parameters
    width = runtime.threads() if threads is None else check_size(threads, "threads")
    budget = None if memory is None else check_memory(memory)
    options = {"bandwidth": bandwidth, "latency": latency, "disk_bandwidth": disk_bandwidth}
    if workers is not None:
        shape = _shape(workers, width, block_size, tile_size, budget, options)
        entry = _calibration(str(precision), size, calibrate)
        return _plan_cluster(operation, size, counts, str(precision), shape, entry)
    _refuse_without_workers(block_size=None if block_size == "auto" else block_size, **options)
    tiles = TileSize(tile_size, size, precision)
    entry = _calibration(str(precision), size, calibrate)
    work = Work(operation, *counts, width, runtime.processors(), precision.itemsize, tiles)
    return _plan(work, size, str(precision), budget or available_memory(), entry)


def _plan(work: Work, n: int, dtype: str, memory: int, entry: Entry | None) -> Plan:
    """Return what an operation costs on this machine."""
    tile = work.tile_size_for(n)
    tiles_a_side = -(-n // tile)
    forecast = _NO_FORECAST if entry is None else _forecast(work, n, entry.calibration)
    return Plan(
        what=work.operation.value,
        n=n,
        d=work.d,
        m=work.m,
        n_outputs=work.k,
        n_hyperparameters=work.p,
        threads=work.threads,
        dtype=dtype,
        tile_size=tile,
        n_tiles=tiles_a_side * (tiles_a_side + 1) // 2,
        n_tasks=work.tasks(n),
        seconds=forecast[0],
        critical_path_seconds=forecast[1],
        efficiency=forecast[2],
        flops=work.flops(n),
        data_bytes=work.data_bytes(n),
        peak_bytes=work.peak_bytes(n),
        memory=memory,
        largest_n=_largest_n(work, memory),
    )


def _plan_cluster(
    operation: Operation,
    n: int,
    counts: tuple[int, int, int, int],
    dtype: str,
    shape: ClusterShape,
    entry: Entry | None,
) -> ClusterPlan:
    """Return what an operation costs on a cluster."""
    from gprat.engines.cluster.recording import Sizes
    from gprat.simulation.tasks import check_size as check_simulated

    d, m, n_outputs, n_hyperparameters = counts
    for value, name in ((n, "n"), (d, "d"), (m or 1, "m")):
        check_simulated(value, name)
    sizes = Sizes(operation, n, d, m, n_outputs, n_hyperparameters, dtype)
    return plan_cluster(sizes, shape, None if entry is None else entry.calibration)


def _shape(
    workers: Any,
    threads: int,
    block_size: _Size,
    tile_size: _Size,
    memory: int | None,
    options: dict[str, float | None],
) -> ClusterShape:
    """Return the cluster that a user describes."""
    from gprat.simulation.cluster.network import Network
    from gprat.simulation.cluster.simulate import check_workers
    from gprat.simulation.tasks import check_threads

    given = {name: value for name, value in options.items() if value is not None}
    return ClusterShape(
        check_workers(workers),
        check_threads(threads),
        block_size,
        tile_size,
        memory,
        Network(**given),
        may_spill="disk_bandwidth" in given,
    )


def _refuse_without_workers(**options: Any) -> None:
    for name, value in options.items():
        if value is not None:
            raise InvalidInputError(
                f"{name} is for clusters alone. Pass how many workers there are too, such as "
                "workers=8, or leave it out."
            )


def _calibration(dtype: str, n: int, calibrate: bool | None) -> Entry | None:
    """Return the calibration of this machine, if there is one or one is wanted."""
    if calibrate is False:
        return None
    # Imported here: small models, which import this module, never wait for it.
    from gprat.calibration import choice

    if calibrate:
        return choice.obtain(dtype, measure=True, asked=True)
    return choice.obtain(dtype, measure=choice.is_worthwhile(n, runtime.processors()))


def _forecast(
    work: Work, n: int, calibration: Calibration
) -> tuple[float, float, float] | tuple[None, None, None]:
    """Return seconds, seconds of the critical path, and efficiency, if they can be simulated."""
    from gprat.calibration.forecast import forecast, is_simulated

    return forecast(work, n, calibration) if is_simulated(work) else _NO_FORECAST


def _largest_n(work: Work, memory: int) -> int:
    """Return the largest n that fits, by bisection: what is taken grows with n."""

    def fits(n: int) -> bool:
        return work.data_bytes(n) + work.peak_bytes(n) <= memory

    low, high = 0, LARGEST_SIZE + 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low
