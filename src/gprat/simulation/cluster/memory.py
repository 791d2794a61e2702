"""What workers hold, in memory and on disk."""

from __future__ import annotations

from collections import OrderedDict

__all__ = ["Memory"]


class Memory:
    """Blocks that a worker holds. Beyond a limit, those that were used least lately go to disk.

    Parameters
    ----------
    limit : float or None
        Bytes that may be in memory; None for any number.
    disk_bandwidth : float
        Bytes a second to and from disk.
    """

    __slots__ = (
        "_bandwidth",
        "_disk_is_free",
        "_held",
        "_limit",
        "_on_disk",
        "in_use",
        "peak",
        "read",
        "written",
    )

    def __init__(self, limit: float | None, disk_bandwidth: float) -> None:
        self._limit, self._bandwidth = limit, disk_bandwidth
        self._held: OrderedDict[int, float] = OrderedDict()
        self._on_disk: dict[int, float] = {}
        self._disk_is_free = 0.0
        self.in_use = self.peak = self.written = self.read = 0.0

    def take(self, now: float, size: float) -> None:
        """Take memory that is no block yet."""
        self.in_use += size
        if self._limit is not None:
            self._spill(now)
        self.peak = max(self.peak, self.in_use)

    def give(self, size: float) -> None:
        """Give memory back that is no block."""
        self.in_use -= size

    def keep(self, block: int, size: float) -> None:
        """Make a block of memory that was taken."""
        self._held[block] = size

    def drop(self, block: int) -> None:
        """Forget a block."""
        size = self._held.pop(block, None)
        if size is not None:
            self.in_use -= size
        elif self._on_disk:
            self._on_disk.pop(block, None)

    def use(self, now: float, block: int) -> float:
        """Return when a block that is held can be read."""
        if self._limit is None:
            return now
        size = self._on_disk.pop(block, None)
        if size is None:
            self._held.move_to_end(block)
            return now
        self.read += size
        self.take(now, size)
        self.keep(block, size)
        return self._wait(now, size)

    def _spill(self, now: float) -> None:
        assert self._limit is not None
        while self.in_use > self._limit and self._held:
            block, size = self._held.popitem(last=False)
            self._on_disk[block] = size
            self.in_use -= size
            self.written += size
            self._wait(now, size)

    def _wait(self, now: float, size: float) -> float:
        self._disk_is_free = max(now, self._disk_is_free) + size / self._bandwidth
        return self._disk_is_free
