"""Environments for the peers: one each, from PyPI, since their requirements exclude each other."""

from __future__ import annotations

import subprocess
import sys
import venv
from pathlib import Path

from benchmarks.peers.registry import ENVIRONMENTS

__all__ = ["REQUIREMENTS", "available", "install"]

REQUIREMENTS = Path(__file__).parent / "requirements"


def available() -> tuple[str, ...]:
    """Return the names of the environments that can be installed.

    The original GPRat is not among them: it is in no package registry. Build its Python module by
    hand, and make an environment `build/peers/gprat-original` that can import it.
    """
    return tuple(sorted(path.stem for path in REQUIREMENTS.glob("*.txt")))


def install(name: str) -> Path:
    """Make or complete an environment with the pinned versions; return its folder."""
    if name not in available():
        raise ValueError(
            f"no environment {name!r} to install: expected one of {', '.join(available())}."
        )
    folder = ENVIRONMENTS / name
    if not (folder / "bin/python").exists():
        venv.create(folder, with_pip=True)
    subprocess.run(
        [
            str(folder / "bin/python"),
            "-m",
            "pip",
            "install",
            "--quiet",
            "--requirement",
            str(REQUIREMENTS / f"{name}.txt"),
        ],
        check=True,
        stdout=sys.stderr,
    )
    return folder
