"""When and where blocks would be computed: a cluster, event by event."""

from __future__ import annotations

from enum import IntEnum
from heapq import heappop, heappush

import numpy as np
import numpy.typing as npt

from gprat.engines.cluster.recording import BlockTasks
from gprat.simulation.cluster.links import Links
from gprat.simulation.cluster.memory import Memory
from gprat.simulation.cluster.network import Network
from gprat.simulation.cluster.processors import Processors

__all__ = ["Events"]


class _Event(IntEnum):
    ASSIGNED = 0
    """A worker is told of a task."""
    ARRIVED = 1
    """A block has come."""
    LOADED = 2
    """What a task needs is in memory."""
    ENDED = 3
    """A task of a worker ends, unless others have come between."""
    HEARD = 4
    """The scheduler knows that a task has ended."""
    FORGOTTEN = 5
    """The client refers to a block no more."""


class Events:
    """A cluster that runs tasks as Dask does.

    The client adds tasks one after the other. The scheduler tells a worker of a task when all that
    it waits for is there; the worker fetches the blocks that it lacks, each once, and runs the most
    urgent of the tasks that have theirs. A block is dropped everywhere when all that wait for it
    have been heard of.

    Parameters
    ----------
    tasks : BlockTasks
        The tasks.
    work, span : ndarray of float64, shape (n_tasks,)
        Seconds of each with one thread, and at least.
    threads : int
        Threads of a worker.
    network : Network
        How workers are joined.
    """

    def __init__(
        self,
        tasks: BlockTasks,
        work: npt.NDArray[np.float64],
        span: npt.NDArray[np.float64],
        threads: int,
        network: Network,
    ) -> None:
        self._network, self._threads = network, threads
        self._work, self._span = work.tolist(), span.tolist()
        self._size, self._scratch = tasks.bytes.tolist(), tasks.costs["scratch"].tolist()
        self._owner, self._rank = tasks.owner.tolist(), tasks.rank.tolist()
        # What the client holds until the end is forgotten never.
        times = np.where(tasks.released > len(tasks), np.inf, tasks.released * network.submission)
        self._forgotten = times.tolist()
        offsets, flat = tasks.offsets.tolist(), tasks.predecessors.tolist()
        self._needs = [flat[offsets[i] : offsets[i + 1]] for i in range(len(tasks))]
        self._feeds = _successors(self._needs)
        self._unheard = [len(needs) for needs in self._needs]
        self._uses = [len(feeds) for feeds in self._feeds]
        self._missing = [0] * len(tasks)
        self._holders: list[list[int]] = [[] for _ in self._needs]
        self._waiting: dict[tuple[int, int], list[int]] = {}
        self._ready: list[list[tuple[int, int]]] = [[] for _ in range(tasks.workers)]
        self._loading = [0] * tasks.workers
        self._version = [0] * tasks.workers
        self._scheduler_is_free = 0.0
        self._queue: list[tuple[float, int, int, int, int]] = []
        self._number = 0
        self.links = Links(tasks.workers, network)
        self.processors = [Processors(threads) for _ in range(tasks.workers)]
        self.memory = [Memory(network.memory, network.disk_bandwidth) for _ in range(tasks.workers)]
        self.start, self.end = np.zeros(len(tasks)), np.zeros(len(tasks))

    def run(self) -> None:
        """Run all tasks."""
        handlers = {
            _Event.ASSIGNED: self._assigned,
            _Event.ARRIVED: self._arrived,
            _Event.LOADED: self._loaded,
            _Event.ENDED: self._ended,
            _Event.HEARD: self._heard,
            _Event.FORGOTTEN: self._drop_if_dead,
        }
        by_number = [handlers[event] for event in _Event]
        for task, needs in enumerate(self._needs):
            if not needs:
                self._assign(0.0, task)
        while self._queue:
            now, _, event, first, second = heappop(self._queue)
            by_number[event](now, first, second)

    def _push(self, time: float, event: _Event, first: int, second: int = 0) -> None:
        self._number += 1
        heappush(self._queue, (time, self._number, int(event), first, second))

    def _assign(self, now: float, task: int) -> None:
        """Tell a worker of a task, once the client has added it."""
        added = (task + 1) * self._network.submission
        self._push(max(now, added) + self._network.latency, _Event.ASSIGNED, task)

    def _assigned(self, now: float, task: int, _: int) -> None:
        worker, missing = self._owner[task], 0
        for block in self._needs[task]:
            if worker in self._holders[block]:
                continue
            missing += 1
            waiting = self._waiting.get((block, worker))
            if waiting is None:
                self._waiting[block, worker] = [task]
                self.links.want(worker, block, self._rank[task], task)
            else:
                waiting.append(task)
        self._missing[task] = missing
        if missing:
            self._fetch(now, worker)
        else:
            self._make_ready(now, worker, [task])

    def _fetch(self, now: float, worker: int) -> None:
        while (block := self.links.next_wanted(worker)) is not None:
            source = self.links.least_busy(self._holders[block])
            readable = self.memory[source].use(now, block)
            arrival = self.links.send(readable, source, worker, self._size[block])
            self._push(arrival, _Event.ARRIVED, block, worker)

    def _arrived(self, now: float, block: int, worker: int) -> None:
        self.links.arrive(worker)
        self._holders[block].append(worker)
        self.memory[worker].take(now, self._size[block])
        self.memory[worker].keep(block, self._size[block])
        complete = []
        for task in self._waiting.pop((block, worker)):
            self._missing[task] -= 1
            if not self._missing[task]:
                complete.append(task)
        self._make_ready(now, worker, complete)
        self._fetch(now, worker)

    def _make_ready(self, now: float, worker: int, tasks: list[int]) -> None:
        for task in tasks:
            heappush(self._ready[worker], (self._rank[task], task))
        self._start_some(now, worker)

    def _start_some(self, now: float, worker: int) -> bool:
        """Start the most urgent tasks, as many at a time as there are threads; tell if any were."""
        processors, ready = self.processors[worker], self._ready[worker]
        memory, has_started = self.memory[worker], False
        while ready and len(processors) + self._loading[worker] < self._threads:
            task = heappop(ready)[1]
            loaded = max([now, *(memory.use(now, block) for block in self._needs[task])])
            memory.take(now, self._size[task] + self._scratch[task])
            if loaded > now:
                self._loading[worker] += 1
                self._push(loaded, _Event.LOADED, task)
            else:
                self._begin(now, worker, task)
                has_started = True
        if has_started:
            self._look_again(worker)
        return has_started

    def _begin(self, now: float, worker: int, task: int) -> None:
        self.start[task] = now
        self.processors[worker].start(now, task, self._work[task], self._span[task])

    def _loaded(self, now: float, task: int, _: int) -> None:
        worker = self._owner[task]
        self._loading[worker] -= 1
        self._begin(now, worker, task)
        self._look_again(worker)

    def _look_again(self, worker: int) -> None:
        """Look at a worker again when the first of its tasks ends."""
        self._version[worker] += 1
        if len(self.processors[worker]):
            time = self.processors[worker].next_end()
            self._push(time, _Event.ENDED, worker, self._version[worker])

    def _ended(self, now: float, worker: int, version: int) -> None:
        if version != self._version[worker]:
            return
        memory, network = self.memory[worker], self._network
        for task in self.processors[worker].finish(now):
            self.end[task] = now
            memory.give(self._scratch[task])
            memory.keep(task, self._size[task])
            self._holders[task].append(worker)
            told = max(self._scheduler_is_free, now + network.latency)
            self._scheduler_is_free = told + network.scheduling
            self._push(self._scheduler_is_free, _Event.HEARD, task)
        if not self._start_some(now, worker):
            self._look_again(worker)

    def _heard(self, now: float, task: int, _: int) -> None:
        for successor in self._feeds[task]:
            self._unheard[successor] -= 1
            if not self._unheard[successor]:
                self._assign(now, successor)
        for block in self._needs[task]:
            self._uses[block] -= 1
            self._drop_if_dead(now, block)
        self._drop_if_dead(now, task)

    def _drop_if_dead(self, now: float, block: int, _: int = 0) -> None:
        """Drop a block everywhere that no task waits for, once the client has forgotten it."""
        if self._uses[block] or self._forgotten[block] == np.inf:
            return
        if self._forgotten[block] > now:
            self._push(self._forgotten[block], _Event.FORGOTTEN, block)
            return
        for worker in self._holders[block]:
            self.memory[worker].drop(block)
        self._holders[block] = []


def _successors(needs: list[list[int]]) -> list[list[int]]:
    feeds: list[list[int]] = [[] for _ in needs]
    for task, blocks in enumerate(needs):
        for block in blocks:
            feeds[block].append(task)
    return feeds
