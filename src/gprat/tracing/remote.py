"""Tasks that ran in other processes, beside those of this one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["TASK", "TRANSFER", "RemoteTasks", "merge_tasks", "merge_transfers"]

TASK = np.dtype(
    [
        ("name", "U24"),
        *((name, np.int64) for name in ("row", "column", "thread")),
        *((name, np.float64) for name in ("start", "end", "work")),
        *((name, np.int64) for name in ("graph", "released_by")),
    ]
)
TRANSFER = np.dtype(
    [
        ("name", "U16"),
        ("source", "U64"),
        ("thread", np.int64),
        *((name, np.float64) for name in ("start", "end")),
    ]
)


@dataclass(frozen=True, eq=False)
class RemoteTasks:
    """What other processes did for one call.

    Parameters
    ----------
    tasks : ndarray of shape (n_tasks,)
        Records of the dtype `TASK`, in any order; `thread` is an index of `lanes`, `start` and
        `end` are seconds of the trace, `released_by` is an index of a record, `graph` is ignored.
    transfers : ndarray of shape (n_transfers,)
        Records of the dtype `TRANSFER`: what came to the process of a thread.
    lanes : tuple of str
        What the threads are called; each is one thread of one process.
    """

    tasks: npt.NDArray[np.void]
    transfers: npt.NDArray[np.void]
    lanes: tuple[str, ...]


def merge_tasks(
    local: npt.NDArray[np.void], n_threads: int, remote: Sequence[RemoteTasks], lanes: Sequence[str]
) -> npt.NDArray[np.void]:
    """Return all records in the order in which the tasks ended.

    Parameters
    ----------
    local : ndarray of shape (n_tasks,)
        Those of this process.
    n_threads : int
        How many threads of this process come before the remote ones.
    remote : sequence of RemoteTasks
        Those of others, one a call.
    lanes : sequence of str
        What remote threads are called, in their order.
    """
    parts, offset = [local], local.size
    call = int(local["graph"].max(initial=-1)) + 1
    for number, other in enumerate(remote):
        tasks = other.tasks.copy()
        tasks["thread"] = n_threads + _positions(other.lanes, lanes)[tasks["thread"]]
        tasks["graph"] = call + number
        tasks["released_by"] += np.where(tasks["released_by"] >= 0, offset, 0)
        parts.append(tasks)
        offset += tasks.size
    merged = np.concatenate(parts)
    order = np.argsort(merged["end"], kind="stable")
    place = np.empty(order.size, dtype=np.int64)
    place[order] = np.arange(order.size)
    released_by = merged["released_by"]
    merged["released_by"] = np.where(released_by >= 0, place[released_by], -1)
    result: npt.NDArray[np.void] = merged[order]
    return result


def merge_transfers(
    n_threads: int, remote: Sequence[RemoteTasks], lanes: Sequence[str]
) -> npt.NDArray[np.void]:
    """Return all transfers in the order in which they ended."""
    parts = [np.empty(0, dtype=TRANSFER)]
    for other in remote:
        transfers = other.transfers.copy()
        transfers["thread"] = n_threads + _positions(other.lanes, lanes)[transfers["thread"]]
        parts.append(transfers)
    merged = np.concatenate(parts)
    result: npt.NDArray[np.void] = merged[np.argsort(merged["end"], kind="stable")]
    return result


def _positions(some: Sequence[str], lanes: Sequence[str]) -> npt.NDArray[np.int64]:
    """Return where some lanes are among all."""
    where = {lane: position for position, lane in enumerate(lanes)}
    return np.array([where[lane] for lane in some], dtype=np.int64)
