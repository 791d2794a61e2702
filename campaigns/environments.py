"""Virtual environments of their own, in which campaigns install and run gprat."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Mapping
from pathlib import Path

__all__ = ["BUILD", "ROOT", "SUITES", "Environment"]

ROOT = Path(__file__).parents[1]
BUILD = ROOT / "build"

# The tests of gprat, by arguments of pytest. Those of campaigns and benchmarks build and run other
# programs. JAX has threads, with which a process must not fork: its tests have one of their own.
SUITES = {
    "tests": ["--ignore=tests/benchmarks", "--ignore=tests/campaigns"],
    "with_jax": ["tests/with_jax", "src/gprat/jax"],
}


class Environment:
    """A virtual environment.

    Parameters
    ----------
    folder : path
        Where it is made, anew if it exists.
    constraints : path, default=None
        A file that bounds the versions of whatever is installed, as pip takes it.
    """

    def __init__(self, folder: Path, constraints: Path | None = None) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        venv.create(folder, with_pip=True)
        self.folder = folder
        self._constraints = [] if constraints is None else ["--constraint", str(constraints)]
        # `--group` is younger than the pip that comes with Python.
        self._run("-m", "pip", "install", "--quiet", "--upgrade", "pip")

    def install(self, *what: str) -> None:
        """Install requirements, or whatever else ``pip install`` takes."""
        self._run("-m", "pip", "install", "--quiet", *self._constraints, *what)

    def run(self, program: str, *arguments: str, folder: Path = ROOT, **variables: str) -> int:
        """Run a program of the environment; return its exit status.

        Parameters
        ----------
        program : str
            Its name: ``"python"``, for one.
        *arguments : str
            What it's called with.
        folder : path, default=ROOT
            The working directory.
        **variables : str
            Of the environment.
        """
        command = [str(self.folder / "bin" / program), *arguments]
        return subprocess.run(
            command, cwd=folder, env=self._variables(variables), check=False
        ).returncode

    def versions(self) -> dict[str, str]:
        """Return the version of each distribution that is installed, by name."""
        listing = self._run("-m", "pip", "list", "--format=freeze", "--exclude-editable")
        pairs = (line.split("==") for line in listing.splitlines() if "==" in line)
        return {name.lower().replace("_", "-"): version for name, version in pairs}

    def _run(self, *arguments: str) -> str:
        command = [str(self.folder / "bin/python"), *arguments]
        completed = subprocess.run(
            command, cwd=ROOT, env=self._variables({}), stdout=subprocess.PIPE, text=True
        )
        if completed.returncode:
            sys.exit(f"{' '.join(command)} failed")
        return completed.stdout

    def _variables(self, more: Mapping[str, str]) -> dict[str, str]:
        """Return the environment of processes: this one's programs are found first."""
        path = f"{self.folder / 'bin'}{os.pathsep}{os.environ.get('PATH', '')}"
        kept = {k: v for k, v in os.environ.items() if k not in {"VIRTUAL_ENV", "PYTHONPATH"}}
        return {**kept, "PATH": path, **more}
