"""Traces as files for viewers: the Trace Event Format of Chrome, which Perfetto reads too."""

from __future__ import annotations

import gzip
import itertools
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from gprat._files import write_atomically
from gprat.exceptions import InvalidInputError
from gprat.tracing.critical_path import critical_path
from gprat.tracing.kinds import family_of, unit_of

__all__ = ["save_chrome_trace"]

_EVENTS_PER_WRITE = 4096


def save_chrome_trace(
    path: str | os.PathLike[str],
    tasks: npt.NDArray[np.void],
    *,
    transfers: npt.NDArray[np.void],
    lanes: Sequence[str],
    n_lost: int,
    process: int,
) -> None:
    """Write tasks as complete events, one track a thread, and the critical path as flow.

    Parameters
    ----------
    path : path
        A name that ends in ".json" or ".json.gz".
    tasks : ndarray of shape (n_tasks,)
        The records of a trace.
    transfers : ndarray of shape (n_transfers,)
        What came to workers of a cluster: tracks of their own, which may overlap.
    lanes : sequence of str
        What the threads are called that could compute.
    n_lost : int
        Tasks that are not among the records.
    process : int
        Number of the process that was traced.

    Raises
    ------
    InvalidInputError
        If the name ends differently.
    OSError
        If the file cannot be written.
    """
    target = Path(path)
    name = target.name.lower()
    if not name.endswith((".json", ".json.gz")):
        raise InvalidInputError(
            f'a trace is saved to a name that ends in ".json" or ".json.gz", got {str(path)!r}. '
            "Viewers tell the format by it."
        )
    tracks = _tracks(lanes, transfers)
    events = itertools.chain(
        _names(tracks, process),
        _slices(tasks, process),
        _transfers(transfers, tracks, process),
        _arrows(tasks, process),
    )

    def write(file: BinaryIO) -> None:
        if not name.endswith(".gz"):
            _write_document(file, events, n_lost)
            return
        # No name and no time of day in it: the same trace gives the same file.
        with gzip.GzipFile("", "wb", compresslevel=6, fileobj=file, mtime=0) as packed:
            _write_document(packed, events, n_lost)

    try:
        # The file that a link leads to, so that the link stays.
        write_atomically(Path(os.path.realpath(target)), write)
    except OSError as error:
        reason = error.strerror or str(error)
        raise OSError(
            error.errno,
            f"the trace cannot be saved: {reason}. Nothing was changed. Choose a folder that "
            "exists, has room and may be written to",
            str(target),
        ) from error


def _write_document(
    file: BinaryIO | gzip.GzipFile, events: Iterator[dict[str, Any]], n_lost: int
) -> None:
    about = json.dumps({"program": "gprat", "tasks not recorded": n_lost})
    file.write(f'{{"displayTimeUnit": "ms", "otherData": {about}, "traceEvents": ['.encode())
    separator = "\n"
    while batch := list(itertools.islice(events, _EVENTS_PER_WRITE)):
        file.write((separator + ",\n".join(map(json.dumps, batch))).encode())
        separator = ",\n"
    file.write(b"\n]}\n")


def _tracks(lanes: Sequence[str], transfers: npt.NDArray[np.void]) -> list[tuple[str, float]]:
    """Return the names of all tracks, and where they are: transfers come below their worker."""
    receivers = np.unique(transfers["thread"]).tolist()
    tracks = [(lane, float(thread)) for thread, lane in enumerate(lanes)]
    return tracks + [(f"to {lanes[thread]}", thread + 0.5) for thread in receivers]


def _names(tracks: Sequence[tuple[str, float]], process: int) -> Iterator[dict[str, Any]]:
    yield {"ph": "M", "name": "process_name", "pid": process, "args": {"name": "gprat"}}
    order = {place: index for index, place in enumerate(sorted(place for _, place in tracks))}
    for thread, (name, place) in enumerate(tracks):
        track = {"ph": "M", "pid": process, "tid": thread}
        yield {**track, "name": "thread_name", "args": {"name": name}}
        yield {**track, "name": "thread_sort_index", "args": {"sort_index": order[place]}}


def _slices(tasks: npt.NDArray[np.void], process: int) -> Iterator[dict[str, Any]]:
    for name, row, column, thread, start, end, work, graph, _ in _rows(tasks):
        begin = _microseconds(start)
        yield {
            "ph": "X",
            "name": name,
            "cat": family_of(name),
            "pid": process,
            "tid": thread,
            "ts": begin,
            # From rounded ends, so that slices that touch don't overlap.
            "dur": round(_microseconds(end) - begin, 3),
            "args": {"row": row, "column": column, unit_of(name): work, "call": graph},
        }


def _transfers(
    transfers: npt.NDArray[np.void], tracks: Sequence[tuple[str, float]], process: int
) -> Iterator[dict[str, Any]]:
    """Give transfers as asynchronous events: several come to a worker at a time."""
    number_of = {place: number for number, (_, place) in enumerate(tracks)}
    for number, (name, source, thread, start, end) in enumerate(_rows(transfers)):
        event = {
            "name": name,
            "cat": "transfer",
            "id": number,
            "pid": process,
            "tid": number_of[thread + 0.5],
        }
        yield {**event, "ph": "b", "ts": _microseconds(start), "args": {"from": source}}
        yield {**event, "ph": "e", "ts": _microseconds(end)}


def _arrows(tasks: npt.NDArray[np.void], process: int) -> Iterator[dict[str, Any]]:
    """Give the critical path: from inside one slice, just before its end, to the next."""
    chain = tasks[critical_path(tasks)]
    for number, (source, target) in enumerate(itertools.pairwise(_rows(chain))):
        _, _, _, from_thread, begin, end, *_ = source
        _, _, _, to_thread, start, *_ = target
        arrow = {"name": "critical path", "cat": "critical path", "id": number, "pid": process}
        leave = max(_microseconds(begin), _microseconds(end) - 0.001)
        yield {**arrow, "ph": "s", "tid": from_thread, "ts": leave}
        yield {**arrow, "ph": "f", "bp": "e", "tid": to_thread, "ts": _microseconds(start)}


def _rows(tasks: npt.NDArray[np.void]) -> Iterator[tuple[Any, ...]]:
    """Give the records as tuples of Python's numbers, without a list of all of them."""
    return (task.item() for task in tasks)


def _microseconds(seconds: float) -> float:
    return round(1e6 * seconds, 3)
