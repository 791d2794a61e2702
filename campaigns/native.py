"""Programs of the core's tests: built by CMake in a folder of their own, run, and read."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

__all__ = ["ROOT", "build", "run"]

ROOT = Path(__file__).parents[1]

_BIN = Path(sys.executable).parent
_SUPPRESSIONS = ROOT / "core" / "tests" / "sanitizers" / "thread.supp"


def build(targets: Sequence[str], sanitizers: str = "", *, python: bool = False) -> Path:
    """Build programs, with sanitizers as ``-fsanitize`` takes them, and return their folder."""
    name = f"sanitize-{sanitizers.replace(',', '-')}" if sanitizers else "native"
    folder = ROOT / "build" / (name + ("-python" if python else ""))
    options = {
        "CMAKE_BUILD_TYPE": "Release",
        "CMAKE_MAKE_PROGRAM": _BIN / "ninja",
        "Python_EXECUTABLE": sys.executable,
        "GPRAT_BUILD_PYTHON": "ON" if python else "OFF",
        "GPRAT_BUILD_TESTS": "ON",
        "GPRAT_WARNINGS_AS_ERRORS": "ON",
        "GPRAT_SANITIZE": sanitizers,
    }
    settings = [f"-D{option}={value}" for option, value in options.items()]
    cmake = str(_BIN / "cmake")
    subprocess.run([cmake, "-G", "Ninja", "-S", ROOT, "-B", folder, *settings], check=True)
    subprocess.run([cmake, "--build", folder, "--target", *targets], check=True)
    return folder / ("bindings" if python else "core")


def run(
    command: Sequence[str | Path], environment: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Run a program and return what it printed last, as JSON; {} where that is something else.

    Raises
    ------
    subprocess.CalledProcessError
        If it ended otherwise than well. What it printed is printed then.
    """
    settings = {
        "TSAN_OPTIONS": f"suppressions={_SUPPRESSIONS} halt_on_error=1",
        "ASAN_OPTIONS": "detect_leaks=1 detect_stack_use_after_return=1",
        "UBSAN_OPTIONS": "print_stacktrace=1",
        **os.environ,
        **(environment or {}),
    }
    finished = subprocess.run(
        [str(part) for part in command],
        env=settings,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    if finished.returncode:
        print(finished.stdout)
    finished.check_returncode()
    lines = finished.stdout.strip().splitlines()
    figures = json.loads(lines[-1]) if lines and lines[-1].startswith("{") else {}
    return dict(figures)
