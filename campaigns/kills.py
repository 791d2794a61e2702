"""SIGKILL while models and checkpoints are written, and disks that fail: what is on the disk stays.

``python -m campaigns.kills --count 300 --seed 0``. After each kill the file must be one of those
that were written, in full, and training must resume to the same bits; litter must not add up. Then
the disk becomes full: a small file system where there may be one, and limits of the size of a file;
and each write, one after the other, is cut short or fails.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import io
import os
import resource
import signal
import subprocess
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

import gprat
from campaigns.record import write_result
from gprat.kernels import RBF, ConstantKernel

__all__ = ["fail_writes", "fill_disk", "kill_saves", "kill_training", "limit_size", "main"]

# Files that may be beside the one that counts: what a killed process was writing.
_MOST_LITTER = 1


def make_models(n: int) -> list[gprat.GP]:
    """Return models of different sizes, so that a mixture of two files would be seen."""
    rng = np.random.default_rng(0)
    X = rng.uniform(-3.0, 3.0, size=(n, 2))
    y = np.sin(X[:, 0]) + 0.1 * rng.standard_normal(n)
    kernel = ConstantKernel(1.0) * RBF([1.0, 1.0])
    return [gprat.GP(X[:m], y[:m], kernel, 0.1, tile_size=64) for m in (n // 2, n)]


class Failures(list[str]):
    """What went wrong."""

    def check(self, is_right: bool, what: str) -> None:
        """Add it if it is not right."""
        if not is_right:
            self.append(what)


def run_in_child(work: Callable[[], object]) -> int:
    """Fork a child that works, and return its number at once."""
    child = os.fork()
    if child == 0:
        try:
            work()
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    return child


def kill_after(seconds: float, child: int) -> bool:
    """Kill a child after some time; return whether it still lived."""
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


def litter(folder: Path, *names: str) -> list[str]:
    """Return what is in the folder beside these names."""
    return sorted(file.name for file in folder.iterdir() if file.name not in names)


def kill_saves(folder: Path, count: int, rng: np.random.Generator, n: int = 600) -> Failures:
    """Kill a process that saves one model after the other over the same file."""
    models = make_models(n)
    path = folder / "model.gprat"
    models[0].save(path)
    wholes = {len(model.X): model.X.tobytes() + model.y.tobytes() for model in models}
    failures = Failures()

    def save() -> None:
        while True:
            for model in models:
                model.save(path, include_factor=True)

    for number in range(count):
        child = run_in_child(save)
        failures.check(kill_after(rng.uniform(0.0, 0.12), child), f"kill {number}: had ended")
        loaded = gprat.load(path)
        content = loaded.X.tobytes() + loaded.y.tobytes()
        failures.check(wholes.get(len(loaded.X)) == content, f"kill {number}: another model")
        left = litter(folder, path.name)
        failures.check(len(left) <= _MOST_LITTER, f"kill {number}: left {left}")
    models[0].save(path)
    failures.check(not litter(folder, path.name), "the last save leaves litter")
    return failures


def kill_training(folder: Path, count: int, rng: np.random.Generator, n: int = 200) -> Failures:
    """Kill training over and over, until it is through; it ends where it would have ended."""
    path = folder / "training.json"
    failures = Failures()
    expected = _train(n, None)
    kills = 0
    while kills < count:
        for _ in range(min(10, count - kills)):
            child = run_in_child(lambda: _train(n, path))
            kills += kill_after(rng.uniform(0.0, 0.25), child)
            failures.check(len(litter(folder, path.name)) <= _MOST_LITTER, f"kill {kills}: litter")
        failures.check(_train(n, path) == expected, f"kill {kills}: ends at another theta")
        failures.check(not litter(folder, path.name), f"kill {kills}: litter at the end")
        path.unlink()
    return failures


def _train(n: int, path: Path | None) -> bytes:
    gp = make_models(n)[1]
    gp.optimize(n_restarts=2, random_state=0, max_iter=12, checkpoint=path, resume=bool(path))
    return gp.theta.tobytes()


@contextlib.contextmanager
def limit_size(most: int) -> Iterator[None]:
    """Let no file grow beyond so many bytes: writes are cut short there, and then fail."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)


class _FailingFile(io.FileIO):
    """A file of which one write is cut short, and the next fails."""

    def __init__(self, path: Path, fails_at: int, number: int) -> None:
        super().__init__(path, "wb")
        self._left, self._number = fails_at, number
        self.has_failed = False

    def write(self, data: Any, /) -> int:
        """Write all, or half of it, or nothing."""
        self._left -= 1
        if self._left == 0 and len(memoryview(data).cast("B")) > 1:
            view = memoryview(data).cast("B")
            return super().write(view[: len(view) // 2]) or 0
        if self._left < 0:
            self.has_failed = True
            raise OSError(self._number, os.strerror(self._number))
        return super().write(data) or 0


@contextlib.contextmanager
def fail_writes(fails_at: int, number: int) -> Iterator[list[_FailingFile]]:
    """Let the file that a save writes fail at its k-th write, the first being number 1."""
    opened = Path.open
    files: list[_FailingFile] = []

    def open_failing(self: Path, mode: str = "r", *rest: Any, **options: Any) -> Any:
        if mode != "wb":
            return opened(self, mode, *rest, **options)
        files.append(_FailingFile(self, fails_at, number))
        return io.BufferedWriter(files[-1])

    Path.open = open_failing  # type: ignore[method-assign,assignment]
    try:
        yield files
    finally:
        Path.open = opened  # type: ignore[method-assign]


def expect_failure(
    folder: Path, path: Path, model: gprat.GP, numbers: tuple[int, ...], failures: Failures
) -> bool:
    """Save where that fails: a clear error, the old file, no litter. Return whether it failed."""
    before = path.read_bytes()
    try:
        model.save(path, include_factor=True)
    except OSError as error:
        failures.check(error.errno in numbers, f"another error: {error!r}")
        failures.check("cannot be saved" in str(error), f"unclear: {error}")
        failures.check(path.read_bytes() == before, f"{error}: the old file has changed")
        failures.check(not litter(folder, path.name), f"{error}: litter")
        return True
    failures.check(len(gprat.load(path).X) == len(model.X), "saved without an error, but damaged")
    path.write_bytes(before)
    return False


def fail_everywhere(folder: Path, n: int = 600) -> tuple[Counter[str], Failures]:
    """Fail each write, and limit the size of files to many sizes."""
    old, new = make_models(n)
    path = folder / "model.gprat"
    counts: Counter[str] = Counter()
    failures = Failures()
    new.save(path, include_factor=True)
    size = path.stat().st_size
    old.save(path)
    for number in (errno.ENOSPC, errno.EIO, errno.EDQUOT):
        for fails_at in range(1, 10_000):
            with fail_writes(fails_at, number):
                if not expect_failure(folder, path, new, (number,), failures):
                    break
            counts["writes that failed"] += 1
    for most in np.linspace(0, size - 1, 100).astype(int).tolist():
        with limit_size(most):
            failed = expect_failure(folder, path, new, (errno.EFBIG,), failures)
        failures.check(failed, f"{size} bytes were saved where {most} may be")
        counts["sizes that were too small"] += 1
    return counts, failures


def fill_disk(n: int = 600) -> tuple[int, Failures] | None:
    """Save on file systems that are too small; None where this process may not mount any."""
    old, new = make_models(n)
    failures = Failures()
    count = 0
    for size in ("320k", "640k", "1m", "1200k", "1400k"):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", name]
            if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
                return None
            try:
                path = folder / "model.gprat"
                old.save(path)
                failed = expect_failure(folder, path, new, (errno.ENOSPC,), failures)
                failures.check(failed, f"a model of 1.4 MiB fits on {size}")
                count += failed
            finally:
                subprocess.run(["umount", name], check=True)
    return count, failures


def main() -> int:
    """Run all of it; return 1 if anything went wrong."""
    parser = argparse.ArgumentParser(prog="python -m campaigns.kills", description=__doc__)
    parser.add_argument("--count", type=int, default=300, help="kills of each kind")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    arguments = parser.parse_args()
    rng = np.random.default_rng(arguments.seed)
    began = time.monotonic()
    found: dict[str, Any] = {"seed": arguments.seed}
    failures: list[str] = []
    with tempfile.TemporaryDirectory() as name:
        for kind, kill in (("saves", kill_saves), ("trainings", kill_training)):
            folder = Path(name) / kind
            folder.mkdir()
            failures += kill(folder, arguments.count, rng)
            found[f"{kind} killed"] = arguments.count
        counts, wrong = fail_everywhere(Path(name) / "saves")
        found |= counts
        failures += wrong
    disks = fill_disk()
    if disks is not None:
        found["disks that were full"] = disks[0]
        failures += disks[1]
    found |= {"failures": failures, "seconds": round(time.monotonic() - began, 1)}
    table = Table("", "", title="kills and disks that fail")
    for key, value in found.items():
        table.add_row(key, str(value))
    Console().print(table)
    write_result("kills", found)
    return int(bool(failures))


if __name__ == "__main__":
    raise SystemExit(main())
