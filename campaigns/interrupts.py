"""Ctrl-C at random moments, hundreds of times, in a terminal and in Jupyter's way.

``python -m campaigns.interrupts --count 300 --seed 0``. One process owns a terminal, on which
Ctrl-C is typed; another is the kernel of a notebook, which its client interrupts. Each time an
operation must end soon, with `KeyboardInterrupt` or because it was finished, and the model must be
usable and right afterwards, bit by bit.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import os
import pty
import queue
import select
import signal
import sys
import time
from collections import Counter
from typing import Any, Protocol

import numpy as np
from rich.console import Console
from rich.table import Table

from campaigns.interruptible import CASES
from campaigns.record import write_result

__all__ = ["Notebook", "Terminal", "interrupt", "main"]

# Seconds after which a process that doesn't answer hangs.
_PATIENCE = 120.0
_TYPED = b"\x03"
# Python's own words where it can only report an exception: in the callback of a weak reference, as
# `threading` has for each thread, nobody can get it.
_LOST_BY_PYTHON = "Exception ignored in"


class Way(Protocol):
    """A process that is interrupted in one way; `said` is what it printed beside its answers."""

    said: list[str]

    def begin(self, case: str) -> None:
        """Let it begin a case."""

    def interrupt(self) -> None:
        """Interrupt it, once."""

    def wait_for(self, mark: str) -> str:
        """Return what stands behind the mark at the beginning of a line of its output.

        Raises
        ------
        TimeoutError
            If it hangs.
        ConnectionError
            If it has crashed.
        """

    def close(self) -> None:
        """End it."""


class Terminal:
    """A Python program that owns a terminal."""

    def __init__(self, n: int) -> None:
        self._child, self._terminal = pty.fork()
        if self._child == 0:
            program = [sys.executable, "-W", "ignore", "-X", "faulthandler"]
            os.execv(sys.executable, [*program, "-m", "campaigns.interruptible", str(n)])
        self._text = ""
        # What it printed beside its answers, such as exceptions that Python could only report.
        self.said: list[str] = []

    def begin(self, case: str) -> None:
        """Type the name of the case."""
        os.write(self._terminal, f"{case}\n".encode())

    def interrupt(self) -> None:
        """Type Ctrl-C."""
        os.write(self._terminal, _TYPED)

    def wait_for(self, mark: str) -> str:
        """Read what it prints."""
        deadline = time.monotonic() + _PATIENCE
        while True:
            line, end, rest = self._text.partition("\n")
            if not end:
                self._read(deadline)
                continue
            self._text = rest
            # The terminal echoes Ctrl-C as ^C, wherever it is.
            _, found, answer = line.partition(mark)
            if found:
                return answer.strip()
            self.said = [*self.said[-30:], line.rstrip()]

    def close(self) -> None:
        """End it, in any case."""
        with contextlib.suppress(OSError):
            os.write(self._terminal, b"\n")
        os.close(self._terminal)
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._child, signal.SIGKILL)
        os.waitpid(self._child, 0)

    def _read(self, deadline: float) -> None:
        ready, _, _ = select.select([self._terminal], [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            raise TimeoutError(f"hangs; it said {self._text[-2000:]!r}")
        try:
            text = os.read(self._terminal, 1 << 16).decode(errors="replace")
        except OSError:  # the other end of the terminal was closed
            text = ""
        if not text:
            raise ConnectionError(f"has ended; it said {self._text[-2000:]!r}")
        self._text += text


class Notebook:
    """A kernel of Jupyter, with the client that interrupts it."""

    def __init__(self, n: int) -> None:
        from jupyter_client.manager import start_new_kernel

        self.said: list[str] = []
        self._manager, self._client = start_new_kernel(kernel_name="python3")
        self._text = ""
        self._client.execute(
            "import warnings; warnings.simplefilter('ignore')\n"
            "from campaigns.interruptible import Workshop\n"
            f"shop = Workshop({n})\nprint('@seconds', shop.seconds(), flush=True)"
        )

    def begin(self, case: str) -> None:
        """Execute the cell of the case."""
        self._client.execute(f"print('@done', shop.trial({case!r}), flush=True)")

    def interrupt(self) -> None:
        """Interrupt the kernel, as the button does."""
        self._manager.interrupt_kernel()

    def wait_for(self, mark: str) -> str:
        """Read the output of the cell, until the kernel is idle after the last mark."""
        deadline = time.monotonic() + _PATIENCE
        while True:
            line, end, rest = self._text.partition("\n")
            if end:
                self._text = rest
                if line.startswith(mark):
                    if mark != "@begin":
                        self._wait_until_idle(deadline)
                    return line[len(mark) :].strip()
                self.said.append(line)
                continue
            self._text += self._output(deadline)

    def close(self) -> None:
        """End it, in any case."""
        self._client.stop_channels()
        self._manager.shutdown_kernel(now=True)

    def _wait_until_idle(self, deadline: float) -> None:
        while self._message(deadline)["content"].get("execution_state") != "idle":
            pass

    def _output(self, deadline: float) -> str:
        message = self._message(deadline)
        if message["msg_type"] == "error":
            raise ConnectionError("\n".join(message["content"]["traceback"])[-2000:])
        return str(message["content"]["text"]) if message["msg_type"] == "stream" else ""

    def _message(self, deadline: float) -> dict[str, Any]:
        while True:
            if not self._manager.is_alive():
                raise ConnectionError("the kernel has died")
            if time.monotonic() > deadline:
                raise TimeoutError("the kernel hangs")
            with contextlib.suppress(queue.Empty):
                message: dict[str, Any] = self._client.get_iopub_msg(timeout=1.0)
                return message


WAYS: dict[str, Any] = {"terminal": Terminal, "notebook": Notebook}


def interrupt(way: Way, count: int, rng: np.random.Generator) -> tuple[Counter[str], list[str]]:
    """Interrupt cases in turn, so many times.

    Returns
    -------
    Counter
        How often a case was interrupted, had finished before, or the interruption was lost.
    list of str
        What went wrong; the first hang or crash ends it.
    """
    seconds = ast.literal_eval(way.wait_for("@seconds"))
    counts: Counter[str] = Counter()
    wrong = []
    names = list(CASES)
    for number in range(count):
        name = names[number % len(names)]
        delay = rng.uniform(0.0, 1.1) * seconds[name]
        way.said.clear()
        try:
            way.begin(name)
            way.wait_for("@begin")
            time.sleep(delay)
            way.interrupt()
            outcome = way.wait_for("@done")
        except (TimeoutError, ConnectionError) as error:
            wrong.append(f"{name} after {delay:.4f} s: {error}")
            break
        counts[f"{name}: {outcome}" if outcome.startswith("wrong") else outcome] += 1
        if outcome == "lost" and any(_LOST_BY_PYTHON in line for line in way.said):
            counts["lost"] -= 1
            counts["lost by Python"] += 1
        elif outcome not in ("interrupted", "finished"):
            wrong.append(f"{name} after {delay:.4f} s: {outcome}; {' | '.join(way.said)}")
    return counts, wrong


def main() -> int:
    """Interrupt in all ways; return 1 if anything went wrong."""
    parser = argparse.ArgumentParser(prog="python -m campaigns.interrupts", description=__doc__)
    parser.add_argument("--count", type=int, default=400, help="how many times, in each way")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--n", type=int, default=1500, help="training points")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    arguments = parser.parse_args()
    began = time.monotonic()
    found: dict[str, Any] = {"seed": arguments.seed, "interruptions": 0, "failures": []}
    columns = ("interrupted", "finished", "lost by Python")
    table = Table("", *columns, "wrong", title="Ctrl-C at random moments")
    for name in arguments.ways:
        way = WAYS[name](arguments.n)
        try:
            counts, wrong = interrupt(way, arguments.count, np.random.default_rng(arguments.seed))
        finally:
            way.close()
        table.add_row(name, *(str(counts[column]) for column in columns), str(len(wrong)))
        found[name] = {outcome: count for outcome, count in counts.items() if count}
        found["interruptions"] += counts.total()
        found["failures"] += [f"{name}: {failure}" for failure in wrong]
    found["seconds"] = round(time.monotonic() - began, 1)
    console = Console()
    console.print(table)
    for failure in found["failures"]:
        console.print(f"seed {arguments.seed}: {failure}", markup=False)
    write_result("interrupts", found)
    return int(bool(found["failures"]))


if __name__ == "__main__":
    raise SystemExit(main())
