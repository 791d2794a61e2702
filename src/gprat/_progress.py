"""A bar on the terminal for one long computation, and the one place that says who may show what.

One display at a time: while training shows its line, or another thread its bar, there is no other.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from types import TracebackType
from typing import IO, Any, TextIO, cast

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from gprat._core import runtime as _runtime

__all__ = [
    "bar",
    "counted",
    "error_console",
    "get_wanted",
    "is_terminal",
    "no_bars",
    "output_may_be_gone",
    "set_wanted",
]

# Seconds before a bar appears, and between two looks of it.
_PATIENCE, _INTERVAL = 1.0, 0.25

_wanted: bool | None = None
_one_at_a_time = threading.Lock()
# How many trainings go on: what they compute shows no bars.
_trainings = 0
_trainings_lock = threading.Lock()
_first_process = os.getpid()


def set_wanted(wanted: bool | None) -> None:
    """Show bars; or not; or, with None, if standard error is a terminal."""
    global _wanted
    _wanted = wanted


def get_wanted() -> bool | None:
    """Return what was set last."""
    return _wanted


@contextlib.contextmanager
def no_bars() -> Iterator[None]:
    """Let no computation show a bar during a ``with`` block, in whatever thread."""
    global _trainings
    with _trainings_lock:
        _trainings += 1
    try:
        yield
    finally:
        with _trainings_lock:
            _trainings -= 1


def bar(title: str, total: float, pair: float) -> AbstractContextManager[object]:
    """Return what shows how far the computations of a ``with`` block of this thread are.

    Parameters
    ----------
    title : str
        What is computed.
    total : float
        Floating-point operations, where a pair of points counts as `pair`.
    pair : float
        Operations that take as long as the covariance of two points.
    """
    if _trainings or not _is_wanted():
        return contextlib.nullcontext()
    return _CoreBar(title, total, pair)


@contextlib.contextmanager
def counted(title: str, total: float) -> Iterator[Callable[[float], None] | None]:
    """Yield what is told how many operations are done, to show it; None if nobody looks.

    Parameters
    ----------
    title : str
        What is computed.
    total : float
        Floating-point operations.
    """
    if _trainings or not _is_wanted():
        yield None
        return
    with _Bar(title, total) as bar:
        yield bar.tell if bar.is_mine else None


class _Bar:
    """Told how far a computation is, by the thread that waits for it."""

    def __init__(self, title: str, total: float) -> None:
        self._title, self._total = title, total
        self._display: Progress | None = None
        self.is_mine = False

    def __enter__(self) -> _Bar:
        self.is_mine = _one_at_a_time.acquire(blocking=False)
        self._next_look = time.perf_counter() + _PATIENCE
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if not self.is_mine:
            return
        try:
            self._stop(is_complete=kind is None)
        finally:
            _one_at_a_time.release()

    def tell(self, done: float) -> None:
        """Show that so many operations are done, if it is time to."""
        now = time.perf_counter()
        if now < self._next_look:
            return
        self._next_look = now + _INTERVAL
        if _trainings:
            self._stop(is_complete=False)
            return
        with output_may_be_gone():
            if self._display is None:
                self._start(done)
            else:
                self._display.update(self._task, completed=done, refresh=True)

    def _start(self, done: float) -> None:
        console = error_console()
        self._display = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TaskProgressColumn(),
            TimeRemainingColumn(compact=True, elapsed_when_finished=True),
            console=console,
            # The thread that computes shows it: none is left behind by Ctrl-C.
            auto_refresh=False,
            # In a file the last state stays, on a terminal nothing does.
            transient=console.is_terminal,
            # What others print goes above the bar, but never where it wasn't going.
            redirect_stdout=is_terminal(sys.stdout),
        )
        self._task = self._display.add_task(self._title, total=self._total)
        self._display.update(self._task, completed=done)
        self._display.start()

    def _stop(self, is_complete: bool) -> None:
        if self._display is None:
            return
        display, self._display = self._display, None
        with output_may_be_gone():
            if is_complete:
                display.update(self._task, completed=self._total)
            display.stop()


class _CoreBar(_Bar):
    """Told by the core of this process."""

    def __init__(self, title: str, total: float, pair: float) -> None:
        super().__init__(title, total)
        self._pair = pair

    def __enter__(self) -> _Bar:
        super().__enter__()
        if self.is_mine:
            _runtime.set_progress_listener(self._listen)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            if self.is_mine:
                _runtime.set_progress_listener(None)
        finally:
            super().__exit__(kind, error, traceback)

    def _listen(self, flops: float, pairs: float) -> None:
        self.tell(flops + self._pair * pairs)


def _is_wanted() -> bool:
    if _wanted is not None:
        return _wanted
    # Many processes that share a terminal would write over each other.
    is_first = os.getpid() == _first_process and multiprocessing.parent_process() is None
    return is_first and is_terminal(sys.stderr)


class _UntilItCloses:
    """A stream whose end is no error."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write if that is still possible."""
        with output_may_be_gone():
            return self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Flush if that is still possible."""
        with output_may_be_gone():
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def error_console() -> Console:
    """Return the standard error stream for rich, which would end the program if that is gone."""
    if sys.stderr is None:  # a process without a console
        return Console(stderr=True)
    return Console(file=cast("IO[str]", _UntilItCloses(sys.stderr)))


def is_terminal(stream: TextIO | None) -> bool:
    """Tell whether people watch a stream; a process without a console has none."""
    return stream is not None and not stream.closed and stream.isatty()


def output_may_be_gone() -> contextlib.suppress:
    """Let the work go on when its terminal has been closed."""
    return contextlib.suppress(OSError, ValueError)
