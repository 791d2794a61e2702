"""Blocks on their way: each worker has a link that sends and receives at the same time."""

from __future__ import annotations

from heapq import heappop, heappush

from gprat.simulation.cluster.network import Network

__all__ = ["Links"]

# Blocks that a worker asks for at a time. The rest wait, the most urgent first.
_AT_A_TIME = 4


class Links:
    """What is on its way, and what waits for that.

    Parameters
    ----------
    workers : int
        How many links there are.
    network : Network
        What a link carries.
    """

    __slots__ = ("_asked", "_in", "_network", "_out", "_waiting", "received", "sent")

    def __init__(self, workers: int, network: Network) -> None:
        self._network = network
        self._in = [0.0] * workers
        self._out = [0.0] * workers
        self._asked = [0] * workers
        self._waiting: list[list[tuple[int, int, int]]] = [[] for _ in range(workers)]
        self.received = [0.0] * workers
        self.sent = [0.0] * workers

    def want(self, worker: int, block: int, rank: int, task: int) -> None:
        """Note that a worker wants a block, for a task of that rank."""
        heappush(self._waiting[worker], (rank, task, block))

    def next_wanted(self, worker: int) -> int | None:
        """Return the block that a worker asks for next, if it may ask for more now."""
        if self._asked[worker] >= _AT_A_TIME or not self._waiting[worker]:
            return None
        self._asked[worker] += 1
        return heappop(self._waiting[worker])[2]

    def send(self, now: float, source: int, worker: int, size: float) -> float:
        """Send a block, and return when it arrives."""
        duration = size / self._network.bandwidth
        self._out[source] = max(now, self._out[source]) + duration
        # The last byte comes when it has been sent, and when those of other blocks have come.
        self._in[worker] = max(self._out[source], max(now, self._in[worker]) + duration)
        self.received[worker] += size
        self.sent[source] += size
        return self._in[worker] + self._network.latency

    def arrive(self, worker: int) -> None:
        """Note that a block has arrived."""
        self._asked[worker] -= 1

    def least_busy(self, sources: list[int]) -> int:
        """Return the one of some workers that can send first."""
        return min(sources, key=self._out.__getitem__)
