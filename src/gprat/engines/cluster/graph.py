"""Blocks as tasks of Dask: where each is computed, what comes first, and how results come back."""

from __future__ import annotations

import uuid
import weakref
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any

from gprat.engines.cluster.client import failures_of_cluster_explained, release_in_order
from gprat.engines.cluster.failures import BlockFailedError, failure_among
from gprat.engines.cluster.futures import Future, Key, Submitted
from gprat.engines.cluster.interruption import interruptions_kept
from gprat.engines.cluster.layout import Grid
from gprat.engines.cluster.progress import Progress
from gprat.engines.cluster.tasks import call, open_arguments
from gprat.engines.cluster.trace import Recording

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["BlockGraph"]

# Tasks, and bytes that travel with them, that go to the scheduler at a time: so many that a message
# is little beside them, so few that workers soon have something to do. Dask warns from 10 MB on.
_TASKS_AT_A_TIME, _BYTES_AT_A_TIME = 512, 4 << 20
_WARNING = "distributed.admin.large-graph-warning-threshold"


class _ByKey(dict[Key, Any]):
    """What each task has, as Dask asks for it."""

    def __call__(self, key: Key) -> Any:
        return self[key]


class BlockGraph:
    """Adds tasks, all of which belong to one computation; a context that ends it.

    A task is pure: its result is a new block. So Dask may run it again when a worker is lost, and
    the same bits come out. Tasks are told the worker that owns their block, but others may take
    them when that one is gone. A block lives as long as something needs it: tasks to come, or a
    future that is kept.

    Tasks are submitted many at a time. If the block ends with an error, what it has submitted is
    released: workers finish the tasks that they are at.

    Parameters
    ----------
    client : distributed.Client
        Connected to the cluster.
    grid : Grid
        Who owns which block.
    title : str
        What is computed.
    is_long : bool, default=False
        Whether it may take so long that people want to see how far it is.
    """

    def __init__(self, client: Client, grid: Grid, title: str, is_long: bool = False) -> None:
        self._client = client
        self.grid = grid
        self._token = uuid.uuid4().hex
        self._tasks: dict[Key, tuple[Any, ...]] = {}
        self._owners, self._priorities = _ByKey(), _ByKey()
        # Those that nobody keeps until the graph is submitted are intermediate results.
        self._kept: list[weakref.ref[Future]] = []
        self._bytes = 0
        # No WeakSet: Ctrl-C is lost where it comes in the midst of what a set does when one dies.
        self._submitted: list[weakref.ref[Submitted]] = []
        self._wanted: list[Key] = []
        self._progress = Progress(title) if is_long else None
        self._recording = Recording.wanted(client)
        self._interruptions = ExitStack()

    def __enter__(self) -> BlockGraph:
        if self._recording is not None:
            with failures_of_cluster_explained():
                self._recording.begin()
        self._interruptions.enter_context(interruptions_kept())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with self._interruptions:
            self._end(error)

    def _end(self, error: BaseException | None) -> None:
        if error is not None and not isinstance(error, BlockFailedError):
            # Not Client.cancel: it breaks the connection where one of them has been released.
            for entry in self._submitted:
                if (future := entry()) is not None:
                    future.release()
            release_in_order(self._client, self._wanted)
        if self._recording is not None:
            # What went wrong is worth more than what the cluster says of it afterwards.
            with failures_of_cluster_explained() if error is None else suppress(Exception):
                self._recording.end()

    def add(
        self,
        name: str,
        index: tuple[int, ...],
        function: Callable[..., Any],
        *arguments: Any,
        at: tuple[int, int],
        rank: int,
        work: float = 0.0,
    ) -> Future:
        """Add a task.

        Parameters
        ----------
        name : str
            What Dask's dashboard calls it.
        index : tuple of int
            Which of that name it is.
        function : callable
            Computes the result.
        *arguments : object
            Its arguments; futures in them, or in lists and tuples of them, stand for their results.
        at : tuple of two int
            The block whose owner computes it.
        rank : int
            Among the tasks that are ready, those of smaller rank are first.
        work : float, default=0.0
            Floating-point operations, if they are many.
        """
        future = Future((f"{name}-{self._token}", *index))
        opened, needed = open_arguments(arguments)
        inputs = [needs.submitted or needs.key for needs in needed]
        self._tasks[future.key] = (call, function, opened, *inputs)
        self._owners[future.key] = [self.grid.owner(*at)]
        self._priorities[future.key] = -rank
        self._kept.append(weakref.ref(future))
        if self._progress is not None:
            self._progress.add(future.key, work)
        if self._recording is not None:
            self._recording.add(future.key, [needs.key for needs in needed], work)
        if len(self._tasks) >= _TASKS_AT_A_TIME:
            self.submit()
        return future

    def share(self, name: str, index: tuple[int, ...], value: Any) -> Future:
        """Give a value to the cluster, as a task: it can be had again when a worker is lost."""
        i = index[0] if index else 0
        future = self.add(name, index, _returned, value, at=(i, i), rank=-1)
        self._bytes += _size(value)
        if self._bytes >= _BYTES_AT_A_TIME:
            self.submit()
        return future

    def all(self, name: str, futures: Sequence[Future]) -> Future:
        """Add a task whose result is a list of small results."""
        return self.add(name, (), _returned, list(futures), at=(0, 0), rank=-1)

    def scatter(self, block: Any, at: tuple[int, int]) -> Future:
        """Send a block to its owner. Unlike a task's result it is gone if the owner is lost."""
        with failures_of_cluster_explained():
            sent = self._client.scatter(block, workers=[self.grid.owner(*at)], hash=False)
        return Future(sent.key, sent)

    def submit(self) -> None:
        """Let the cluster begin with what was added; what is kept can be had from now on."""
        kept = [future for entry in self._kept if (future := entry()) is not None]
        counted = self._progress.keys_among(self._tasks) if self._progress is not None else []
        wanted = list({*(future.key for future in kept), *counted})
        if wanted:
            self._wanted += wanted
            made = dict(zip(wanted, self._start(wanted), strict=True))
            self._submitted += map(weakref.ref, made.values())
            for future in kept:
                future.submitted = made[future.key]
            if self._progress is not None:
                self._progress.expect({key: made[key] for key in counted})
        self._tasks, self._kept, self._bytes = {}, [], 0
        self._owners, self._priorities = _ByKey(), _ByKey()

    def _start(self, wanted: list[Key]) -> list[Submitted]:
        import dask
        from dask.highlevelgraph import HighLevelGraph, MaterializedLayer

        name = f"blocks-{uuid.uuid4().hex}"
        annotations = {
            "workers": self._owners,
            "priority": self._priorities,
            "allow_other_workers": True,
        }
        layer = MaterializedLayer(self._tasks, annotations=annotations)
        graph = HighLevelGraph({name: layer}, {name: set()})

        async def start() -> list[Submitted]:
            futures: list[Submitted] = self._client.get(graph, wanted, sync=False)
            return futures

        # The data go with the tasks that return them, once.
        quiet = {_WARNING: 2 * self._bytes} if self._bytes > 2 * _BYTES_AT_A_TIME else {}
        with dask.config.set(quiet), failures_of_cluster_explained():
            # In the thread that hears of a restart: futures that are made while it is at that are
            # neither cancelled nor ever done.
            started: list[Submitted] = self._client.sync(start)
        return started

    def results(self, futures: Sequence[Future]) -> list[Any]:
        """Wait for results, which may be interrupted.

        Raises
        ------
        BlockFailedError
            If one of them is a failure.
        ClusterError
            If the cluster does not deliver them.
        """
        from distributed import wait

        self.submit()
        with failures_of_cluster_explained():
            if self._progress is not None:
                self._progress.wait()
            submitted = [future.submitted for future in futures]
            # Dask reports an interruption of `gather` once for each future that it waits for.
            wait(submitted)
            values: list[Any] = self._client.gather(submitted)
        if (failure := failure_among(values)) is not None:
            raise BlockFailedError(failure)
        return values


def _returned(value: Any) -> Any:
    return value


def _size(value: Any) -> int:
    """Return the bytes of arrays, and of what consists of them."""
    if isinstance(value, tuple | list):
        return sum(map(_size, value))
    return int(getattr(value, "nbytes", 0))
