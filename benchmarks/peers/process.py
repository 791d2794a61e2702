"""Peers as processes: started, asked over pipes, watched for time and memory, and ended."""

from __future__ import annotations

import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers.registry import ROOT, known
from benchmarks.problem import Arrays

__all__ = ["PeerError", "PeerProcess", "available_memory", "first_calls", "started"]

# Variables that choose kernels or threads of a library; each peer starts without the caller's.
_PREFIXES = (
    "OPENBLAS_",
    "MKL_",
    "OMP_",
    "GOTO_",
    "BLIS_",
    "NVPL_",
    "XLA_",
    "JAX_",
    "TF_",
    "GPRAT_",
)
_STARTUP = 300.0
# Share of the memory that was free at the start which one peer may hold.
_SHARE = 0.85
_LOOK = 0.1
# What a peer may hold while others have their turn at another operation.
_IDLE = 2**30


class PeerError(RuntimeError):
    """A peer that could not do what it was asked: `kind` is "time", "memory" or "error"."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind

    def describe(self) -> dict[str, str]:
        """Return what a row of results says of it."""
        return {"failure": self.kind, "message": str(self)}


class PeerProcess:
    """One adapter in a process of its own; begun again by the next question if it was stopped."""

    def __init__(self, name: str, threads: int) -> None:
        self.name = name
        self._peer, self._threads = known(name), threads
        self._folder = Path(tempfile.mkdtemp(prefix="gprat-benchmark-"))
        self._memory_limit = int(_SHARE * available_memory())
        self._process: subprocess.Popen[bytes] | None = None
        self._task: dict[str, Any] | None = None
        self._output = b""
        try:
            self.about: dict[str, Any] = self._ask(_STARTUP, command="describe")
        except BaseException:
            self.close()
            raise

    def load(self, arrays: Arrays, hyperparameters: dict[str, Any]) -> None:
        """Give it a problem."""
        arrays.write(self._folder / "task")
        self._task = {
            "command": "load",
            "folder": str(self._folder / "task"),
            "threads": self._threads,
            "hyperparameters": hyperparameters,
        }
        self._ask(_STARTUP, **self._task)

    def offers(self, operation: str) -> bool:
        """Return whether its library can do an operation."""
        return operation in self.about["operations"]

    def seconds(self, operation: str, count: int = 1, limit: float = 3600.0) -> float:
        """Return the mean seconds of so many calls in a row."""
        answer = self._ask(limit * count, command="run", operation=operation, count=count)
        return float(answer["seconds"])

    def result(self, operation: str, limit: float = 3600.0) -> tuple[float, dict[str, np.ndarray]]:
        """Return the seconds of one call, and its arrays, mapped from files until the next call."""
        folder = self.forget_result()
        answer = self._ask(limit, command="run", operation=operation, output=str(folder))
        return float(answer["seconds"]), _read(folder)

    def optimise(self, seed: int, limit: float = 3600.0) -> tuple[float, dict[str, np.ndarray]]:
        """Return the seconds of a fit, and what it found."""
        folder = self.forget_result()
        answer = self._ask(limit, command="optimise", seed=seed, output=str(folder))
        return float(answer["seconds"]), _read(folder)

    def memory(self, reset: bool = False) -> dict[str, int]:
        """Return resident memory now and at its peak since the last `reset`, in bytes."""
        return self._ask(_STARTUP, command="memory", reset=reset)

    def forget_result(self) -> Path:
        """Remove the files of the last result; return their folder."""
        folder = self._folder / "result"
        shutil.rmtree(folder, ignore_errors=True)
        return folder

    def release(self) -> None:
        """End the process if it holds much memory; the next question begins it anew."""
        if self._process is not None and _resident(self._process.pid) > _IDLE:
            self._stop()

    def close(self) -> None:
        """End the process and remove its files."""
        self._stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _ask(self, limit: float, **message: Any) -> dict[str, Any]:
        if self._process is None:
            self._process = self._start()
            if self._task is not None and message["command"] not in ("load", "describe"):
                self._exchange(self._process, self._task, _STARTUP)
        return self._exchange(self._process, message, limit)

    def _start(self) -> subprocess.Popen[bytes]:
        if not self._peer.is_installed:
            raise PeerError("error", f"{self.name} is not installed in {self._peer.python}")
        processors = sorted(os.sched_getaffinity(0))[: self._threads]
        with (self._folder / "stderr").open("wb") as errors:
            return subprocess.Popen(
                [str(self._peer.python), "-m", "benchmarks.peers.worker", self._peer.adapter],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                cwd=ROOT,
                env=environment(self._threads),
                bufsize=0,
                preexec_fn=lambda: os.sched_setaffinity(0, processors),
            )

    def _exchange(
        self, process: subprocess.Popen[bytes], message: dict[str, Any], limit: float
    ) -> dict[str, Any]:
        assert process.stdin is not None
        try:
            process.stdin.write(json.dumps(message).encode() + b"\n")
        except BrokenPipeError:
            raise self._ended() from None
        answer: dict[str, Any] = json.loads(self._read_line(process, limit))
        if "error" in answer:
            kind = "memory" if "MemoryError" in answer["error"] else "error"
            raise PeerError(kind, f"{self.name}: {answer['error']}")
        return answer

    def _read_line(self, process: subprocess.Popen[bytes], limit: float) -> bytes:
        assert process.stdout is not None
        deadline = time.monotonic() + limit
        while b"\n" not in self._output:
            if select.select([process.stdout], [], [], _LOOK)[0]:
                chunk = os.read(process.stdout.fileno(), 1 << 16)
                if not chunk:
                    raise self._ended()
                self._output += chunk
            elif time.monotonic() > deadline:
                self._stop()
                raise PeerError("time", f"{self.name} took more than {limit:g} s")
            elif _resident(process.pid) > self._memory_limit:
                self._stop()
                gib = self._memory_limit / 2**30
                raise PeerError("memory", f"{self.name} took more than {gib:.0f} GiB of memory")
        line, self._output = self._output.split(b"\n", 1)
        return line

    def _ended(self) -> PeerError:
        """Say why a process that has gone away is gone."""
        assert self._process is not None
        code = self._process.wait()
        last = (self._folder / "stderr").read_text(errors="replace").strip().splitlines()[-3:]
        self._stop()
        kind = "memory" if code == -9 else "error"
        return PeerError(kind, f"{self.name} ended with status {code}: {' / '.join(last)}")

    def _stop(self) -> None:
        process, self._process, self._output = self._process, None, b""
        if process is None:
            return
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()


def first_calls(
    calls: Mapping[str, Callable[[int], float]],
) -> tuple[dict[str, float], dict[str, PeerError]]:
    """Make one call of each; return the seconds of those that succeeded, and why others failed."""
    seconds: dict[str, float] = {}
    failures: dict[str, PeerError] = {}
    for name, call in calls.items():
        try:
            seconds[name] = call(1)
        except PeerError as failure:
            failures[name] = failure
    return seconds, failures


@contextmanager
def started(names: tuple[str, ...], threads: int) -> Iterator[dict[str, PeerProcess]]:
    """Start the peers of these names; end them all."""
    processes: dict[str, PeerProcess] = {}
    try:
        for name in names:
            processes[name] = PeerProcess(name, threads)
        yield processes
    finally:
        for process in processes.values():
            process.close()


def environment(threads: int) -> dict[str, str]:
    """Return the caller's environment with so many threads for every library we know of."""
    count = str(threads)
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(_PREFIXES)}
    return inherited | {
        "OMP_NUM_THREADS": count,
        "OPENBLAS_NUM_THREADS": count,
        "MKL_NUM_THREADS": count,
        "NUMEXPR_NUM_THREADS": count,
        "TF_NUM_INTRAOP_THREADS": count,
        "TF_NUM_INTEROP_THREADS": "1",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "GPRAT_NUM_THREADS": count,
        "CUDA_VISIBLE_DEVICES": "",
        "JAX_PLATFORMS": "cpu",
    }


def available_memory() -> int:
    """Return the bytes that new processes can have."""
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return 1024 * int(line.split()[1])
    raise RuntimeError("/proc/meminfo has no MemAvailable: the suite needs Linux")


def _resident(pid: int) -> int:
    try:
        pages = Path(f"/proc/{pid}/statm").read_text().split()[1]
    except (OSError, IndexError):
        return 0
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def _read(folder: Path) -> dict[str, np.ndarray]:
    return {path.stem: np.load(path, mmap_mode="r") for path in sorted(folder.glob("*.npy"))}
