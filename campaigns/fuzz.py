"""``python -m campaigns.fuzz``: inputs at random over the whole public interface, for a while.

The tests in ``tests/fuzz`` are run again and again with new seeds, in a process of their own. What
they try is on record before it is tried, so that a crash and a hang have a witness too.
"""

from __future__ import annotations

import argparse
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Table

from campaigns.record import write_result

TESTS = Path(__file__).parent.parent / "tests" / "fuzz"
_POLL = 0.2
# Exit statuses of pytest: all passed, some failed, and none ran.
_PASSED, _FAILED = 0, 1


@dataclass
class Round:
    """What one run of all tests came to."""

    verdict: str
    inputs: Counter[str]
    last: str
    output: str

    @property
    def is_good(self) -> bool:
        """Whether nothing was found."""
        return self.verdict == "passed"


@dataclass
class Tally:
    """What all rounds came to."""

    inputs: Counter[str] = field(default_factory=Counter)
    rounds: int = 0
    defects: list[dict[str, object]] = field(default_factory=list)

    def add(self, seed: int, found: Round) -> None:
        """Count a round, and keep what it found."""
        self.rounds += 1
        self.inputs.update(found.inputs)
        if not found.is_good:
            self.defects.append({"seed": seed, "verdict": found.verdict})


def read_journal(path: Path) -> tuple[Counter[str], str]:
    """Return how many inputs each test tried, and the last of them, from a journal."""
    text = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
    counts, _, last = text.partition("\n\n")
    pairs = (line.rpartition(" ") for line in counts.splitlines())
    return Counter({name: int(count) for name, _, count in pairs if count.isdigit()}), last


def run_watched(command: list[str], journal: Path, stall: float) -> Round:
    """Run a command until it ends, or until its journal has been still for `stall` seconds."""
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as output:
        process = subprocess.Popen(
            command,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, "GPRAT_FUZZ_JOURNAL": str(journal)},
        )
        try:
            hung = _wait(process, journal, stall)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
        output.seek(0)
        text = output.read()
    return Round(_verdict(process.returncode, hung), *read_journal(journal), text)


def _wait(process: subprocess.Popen[bytes], journal: Path, stall: float) -> bool:
    """Wait for a process; whether it had to be stopped because nothing happened any more."""
    seen, since = -1, time.monotonic()
    while process.poll() is None:
        stamp = journal.stat().st_mtime_ns if journal.exists() else 0
        if stamp != seen:
            seen, since = stamp, time.monotonic()
        elif time.monotonic() - since > stall:
            # Python's fault handler says where each thread is.
            process.send_signal(signal.SIGABRT)
            process.wait(timeout=stall)
            return True
        time.sleep(_POLL)
    return False


def _verdict(status: int, hung: bool) -> str:
    if hung:
        return "hang"
    if status < 0:
        return f"crash: {signal.Signals(-status).name}"
    return {_PASSED: "passed", _FAILED: "failed"}.get(status, f"exit status {status}")


def fuzz_once(seed: int, examples: int, stall: float, tests: list[str]) -> Round:
    """Run the tests once with a seed."""
    os.environ |= {"GPRAT_FUZZ_PROFILE": "campaign", "GPRAT_FUZZ_EXAMPLES": str(examples)}
    command = [sys.executable, "-X", "faulthandler", "-m", "pytest", "--quiet", "--tb=short"]
    command += ["-p", "no:cacheprovider", f"--hypothesis-seed={seed}", *tests]
    with tempfile.TemporaryDirectory() as folder:
        return run_watched(command, Path(folder) / "journal", stall)


def _report(console: Console, tally: Tally, seconds: float) -> None:
    table = Table(title=f"{tally.rounds} rounds in {seconds:.0f} s")
    table.add_column("test")
    table.add_column("inputs", justify="right")
    for name, count in sorted(tally.inputs.items()):
        table.add_row(name, f"{count:,}")
    table.add_section()
    table.add_row("all", f"{tally.inputs.total():,}")
    console.print(table)
    verdict = f"{len(tally.defects)} rounds found something" if tally.defects else "nothing found"
    console.print(verdict, style="bold red" if tally.defects else "bold green")


def main(arguments: list[str] | None = None) -> int:
    """Fuzz until the time is up; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m campaigns.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=float, default=300.0, help="no new round after this")
    parser.add_argument("--examples", type=int, default=200, help="inputs a test and round")
    parser.add_argument("--seed", type=int, help="of the first round; the others' follow on it")
    parser.add_argument("--stall", type=float, default=300.0, help="seconds without a new input")
    parser.add_argument("--record", action="store_true", help="keep the figures as a result")
    parser.add_argument("tests", nargs="*", default=[str(TESTS)], help="files of tests, or some")
    given = parser.parse_args(arguments)
    seed = secrets.randbelow(2**32) if given.seed is None else given.seed
    console, tally, start = Console(), Tally(), time.monotonic()
    while tally.rounds == 0 or time.monotonic() - start < given.seconds:
        found = fuzz_once(seed + tally.rounds, given.examples, given.stall, given.tests)
        if not found.is_good:
            console.print(found.output, markup=False, highlight=False)
            console.print(f"seed {seed + tally.rounds}: {found.verdict}", style="bold red")
            console.print(f"last input: {found.last}", markup=False, highlight=False)
        tally.add(seed + tally.rounds, found)
    seconds = time.monotonic() - start
    _report(console, tally, seconds)
    if given.record:
        figures = {
            "seconds": round(seconds),
            "seed": seed,
            "rounds": tally.rounds,
            "inputs": tally.inputs.total(),
            "inputs_by_test": dict(sorted(tally.inputs.items())),
            "defects": tally.defects,
        }
        console.print(write_result("fuzz", figures))
    return 1 if tally.defects else 0


if __name__ == "__main__":
    sys.exit(main())
