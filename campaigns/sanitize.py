"""The core's tests and its stress program under each sanitizer, and the extension in Python."""

from __future__ import annotations

import argparse
import secrets
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from campaigns.native import ROOT, build, run
from campaigns.record import read_result, write_result

__all__ = ["PLANTED", "SANITIZERS", "sanitize"]

SANITIZERS = {
    "thread": "thread",
    "address": "address",
    "undefined": "undefined",
    "address-undefined": "address,undefined",
}

# What each must find, lest it be switched off without notice.
PLANTED = {
    "thread": ["race"],
    "address": ["overflow", "leak", "stale"],
    "undefined": ["undefined"],
    "address,undefined": ["overflow", "leak", "stale", "undefined"],
}

_TESTS = sorted(path.stem for path in (ROOT / "core" / "tests").glob("test_*.cpp"))

# The extension in Python: what allocates, hands over and gives back most.
_PYTHON_TESTS = ["tests/test_gp.py", "tests/gp/test_updating.py", "tests/test_runtime.py"]


def sanitize(
    sanitizers: str, seed: int, *, tests: list[str], stress: list[str], faults: list[str]
) -> dict[str, Any]:
    """Run native programs with sanitizers and return what they counted.

    Parameters
    ----------
    sanitizers : str
        As ``-fsanitize`` takes them.
    seed : int
        Of the stress program.
    tests : list of str
        Test programs.
    stress, faults : list of str
        Options of the stress program, and of the one whose allocations fail; without options that
        one is not run.
    """
    start = time.monotonic()
    programs = [*tests, "stress", "planted", *(["faults_memory"] if faults else [])]
    folder = build(programs, sanitizers)
    for planted in PLANTED[sanitizers]:
        _expect_failure(folder, planted)
    for test in tests:
        run([folder / test])
    figures: dict[str, Any] = {"tests": len(tests)}
    figures["stress"] = run([folder / "stress", "--seed", str(seed), *stress])
    if faults:
        figures["faults"] = run([folder / "faults_memory", *faults])
    return {**figures, "seconds": round(time.monotonic() - start, 1)}


def _expect_failure(folder: Path, planted: str) -> None:
    try:
        run([folder / "planted", planted])
    except subprocess.CalledProcessError:
        return
    raise AssertionError(f"the sanitizer overlooked what was planted: {planted}")


def sanitize_python() -> dict[str, Any]:
    """Run tests of the Python package with the extension under the address sanitizer."""
    start = time.monotonic()
    folder = build(["_core"], "address,undefined", python=True)
    libraries = [_library("libasan.so"), _library("libubsan.so"), _library("libstdc++.so")]
    environment = {
        "LD_PRELOAD": " ".join(libraries),
        # Python itself keeps memory until it ends; leaks are the native programs' to show.
        "ASAN_OPTIONS": "detect_leaks=0 detect_stack_use_after_return=1",
        "PYTHONMALLOC": "malloc",
        "GPRAT_SANITIZED_EXTENSION": str(next(folder.glob("_core*.so"))),
    }
    counted = run([sys.executable, "-m", "campaigns.sanitized_pytest", *_PYTHON_TESTS], environment)
    return {"files": _PYTHON_TESTS, **counted, "seconds": round(time.monotonic() - start, 1)}


def _library(name: str) -> str:
    found = subprocess.run(
        ["c++", f"-print-file-name={name}"], capture_output=True, text=True, check=True
    )
    return str(Path(found.stdout.strip()).resolve())


def main() -> None:
    """Run the campaign, print its figures and keep them."""
    parser = argparse.ArgumentParser(description=__doc__)
    choices = [*(name for name in SANITIZERS if "-" not in name), "python"]
    parser.add_argument("sanitizers", nargs="*", choices=[*choices, []], default=[])
    parser.add_argument("--seconds", type=float, default=120.0, help="of stress, each")
    # Every one of them fails in `make faults-memory`, where it takes a tenth of the time.
    parser.add_argument("--step", type=int, default=11, help="one in so many allocations fails")
    parser.add_argument("--seed", type=int, default=None)
    arguments = parser.parse_args()
    seed = secrets.randbelow(1 << 40) if arguments.seed is None else arguments.seed
    table = Table("sanitizer", "tests", "graphs", "operations", "seconds", title="Sanitizers")
    # What other sanitizers found in the same code stays.
    recorded = read_result("sanitize")
    results: dict[str, Any] = {name: recorded[name] for name in choices if name in recorded}
    for name in arguments.sanitizers or choices:
        if name == "python":
            results[name] = sanitize_python()
        else:
            options = ["--seed", str(seed), "--step", str(arguments.step)]
            faults = options if name == "address" else []
            stress = ["--seconds", str(arguments.seconds)]
            results[name] = sanitize(
                SANITIZERS[name], seed, tests=_TESTS, stress=stress, faults=faults
            )
        path = write_result("sanitize", {"seed": seed, **results})
        counted = results[name].get("stress", {})
        tests = results[name].get("tests", results[name].get("passed"))
        figures = (tests, counted.get("graphs", ""), counted.get("operations", ""))
        table.add_row(name, *map(str, figures), str(results[name]["seconds"]))
    Console().print(table)
    print(path)


if __name__ == "__main__":
    main()
