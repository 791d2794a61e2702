"""The source distribution: ``python -m campaigns.sdist``.

Built twice from clean clones it's the same file, byte for byte. It has all files that are under
version control and no other, is installed by pip in an empty environment, and tests run there.
"""

from __future__ import annotations

import argparse
import hashlib
import subprocess
import sys
import tarfile
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console

from campaigns.environments import BUILD, ROOT, Environment
from campaigns.record import RESULTS, write_result

__all__ = ["build", "clone", "differences"]

# What only those need who develop gprat, and what only the distribution has.
LEFT_OUT = {".ci/run"}
ADDED = {"PKG-INFO"}

_BUILD = "import sys; from scikit_build_core.build import build_sdist; build_sdist(sys.argv[1])"


def clone(folder: Path, umask: int = 0o022) -> Path:
    """Clone the last commit into a folder; return it.

    Parameters
    ----------
    folder : path
        Is made.
    umask : int, default=0o022
        Permissions that the files don't get. The distribution must not depend on them.
    """
    command = ["git", "clone", "--quiet", "--depth=1", ROOT.as_uri(), str(folder)]
    subprocess.run(command, check=True, umask=umask)
    return folder


def build(source: Path, folder: Path) -> Path:
    """Build the source distribution of a clone in a folder; return the file."""
    command = [sys.executable, "-c", _BUILD, str(folder)]
    subprocess.run(command, cwd=source, check=True, stdout=subprocess.DEVNULL)
    (archive,) = folder.glob("*.tar.gz")
    return archive


def differences(archive: Path, source: Path) -> tuple[set[str], set[str]]:
    """Return which files of a clone are missing in its distribution, and which are too many."""
    with tarfile.open(archive) as members:
        files = {name.split("/", 1)[1] for name in members.getnames()}
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=source, check=True, stdout=subprocess.PIPE, text=True
    )
    tracked = set(listed.stdout.split("\0")) - {""} - LEFT_OUT
    return tracked - files, files - tracked - ADDED


def test_installed(archive: Path, folder: Path, tests: list[str]) -> bool:
    """Install a distribution in an empty environment and run tests of its own there."""
    environment = Environment(BUILD / "sdist" / "venv")
    # As users do: pip gets the build tools itself.
    environment.install(f"gprat[cli,parquet,plot] @ {archive.as_uri()}")
    environment.install("pytest", "hypothesis", "safetensors", "threadpoolctl")
    with tarfile.open(archive) as members:
        members.extractall(folder, filter="data")
    (unpacked,) = (path for path in folder.iterdir() if path.is_dir())
    # Were the sources there, they would be imported and not what was installed.
    (unpacked / "src").rename(folder / "not-imported")
    return environment.run("python", "-m", "pytest", "-q", *tests, folder=unpacked) == 0


def main() -> None:
    """Build, compare, install and test; exit 1 where something is wrong."""
    parser = argparse.ArgumentParser(prog="python -m campaigns.sdist", description=__doc__)
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the figures")
    tests = ["tests/test_gp.py", "tests/persistence", "tests/test_cli.py"]
    parser.add_argument("pytest", nargs="*", default=tests, help="arguments of pytest")
    arguments = parser.parse_args()
    start = time.monotonic()
    with TemporaryDirectory() as name:
        folder = Path(name)
        source = clone(folder / "clone")
        archive = build(source, folder / "first")
        again = build(clone(folder / "private", umask=0o077), folder / "second")
        missing, surplus = differences(archive, source)
        reproducible = archive.read_bytes() == again.read_bytes()
        installed = test_installed(archive, folder / "first", arguments.pytest)
        figures = {
            "file": archive.name,
            "sha256": hashlib.sha256(archive.read_bytes()).hexdigest(),
            "reproducible": reproducible,
            "missing": sorted(missing),
            "surplus": sorted(surplus),
            "tests_of_the_installed_passed": installed,
        }
    Console().print(figures)
    write_result(
        "sdist", {**figures, "seconds": round(time.monotonic() - start)}, arguments.results
    )
    sys.exit(0 if reproducible and installed and not missing and not surplus else 1)


if __name__ == "__main__":
    main()
