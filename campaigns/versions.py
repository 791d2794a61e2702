"""The tests with the oldest versions of all dependencies that are allowed, and with the newest.

``python -m campaigns.versions minimum`` installs each requirement of pyproject.toml at its lower
bound, builds the extension with the oldest build tools and runs the tests of Python;
``python -m campaigns.versions newest`` does it with the newest versions that there are.
"""

from __future__ import annotations

import argparse
import sys
import time
import tomllib
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from rich.console import Console
from rich.table import Table

from campaigns.environments import BUILD, ROOT, SUITES, Environment
from campaigns.record import RESULTS, write_result

__all__ = ["lower_bounds"]

# What is installed to build gprat, and what to test it, with what that includes.
GROUPS = ("build", "demo", "cluster", "jax", "test")

# Old libraries meet new ones of which nobody says how old they may be, and which deprecate what the
# old ones do. Tests that turn warnings into errors would tell of that, and of nothing else.
WARNINGS = {"minimum": ["-W", "ignore::DeprecationWarning"], "newest": []}


def requirements(project: dict[str, Any]) -> Iterator[Requirement]:
    """Yield every requirement that users, builds or tests have, of a parsed pyproject.toml."""
    metadata = project["project"]
    texts = [*project["build-system"]["requires"], *metadata["dependencies"]]
    for extra in metadata["optional-dependencies"].values():
        texts += extra
    for name in GROUPS:
        texts += [item for item in project["dependency-groups"][name] if isinstance(item, str)]
    for text in texts:
        requirement = Requirement(text)
        if canonicalize_name(requirement.name) != canonicalize_name(metadata["name"]):
            yield requirement


def lower_bounds(project: dict[str, Any]) -> dict[str, str]:
    """Return the lowest version of each requirement that pyproject.toml allows.

    Raises
    ------
    SystemExit
        A requirement has no lower bound, or two bounds that differ.
    """
    bounds: dict[str, str] = {}
    for requirement in requirements(project):
        name = canonicalize_name(requirement.name)
        lowest = [s.version for s in requirement.specifier if s.operator in (">=", "==", "~=")]
        if len(lowest) != 1:
            sys.exit(f"pyproject.toml: expected one lower bound of {name}, got {requirement}")
        if bounds.setdefault(name, lowest[0]) != lowest[0]:
            sys.exit(f"pyproject.toml: {name} has the bounds {bounds[name]} and {lowest[0]}")
    return bounds


def make_environment(which: str) -> Environment:
    """Install gprat, what it's built with and what tests it, in the oldest or newest versions."""
    folder = BUILD / "versions" / which
    constraints = None
    if which == "minimum":
        project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
        constraints = folder.with_suffix(".txt")
        constraints.parent.mkdir(parents=True, exist_ok=True)
        pins = [f"{name}=={version}\n" for name, version in lower_bounds(project).items()]
        constraints.write_text("".join(pins), encoding="utf-8")
    environment = Environment(folder / "venv", constraints)
    environment.install("--group", "build")
    environment.install(
        "--no-build-isolation",
        "--editable",
        ".",
        f"--config-settings=build-dir={folder / 'extension'}",
        "--config-settings=cmake.define.GPRAT_WARNINGS_AS_ERRORS=ON",
    )
    environment.install("--group", "test")
    return environment


def print_versions(which: str, versions: dict[str, str]) -> None:
    """Print what was installed of that which pyproject.toml names."""
    table = Table(title=f"{which} versions")
    table.add_column("package")
    table.add_column("version", justify="right")
    for name, version in versions.items():
        table.add_row(name, version)
    Console().print(table)


def test(which: str, folder: Path, arguments: list[str]) -> int:
    """Make the environment, run the tests in it and keep the result; return the exit status."""
    return test_in(make_environment(which), which, folder, arguments)


def test_in(environment: Environment, which: str, folder: Path, arguments: list[str]) -> int:
    """Run the tests in an environment and keep the result; return the exit status."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    installed = environment.versions()
    versions = {
        name: installed[name] for name in sorted(lower_bounds(project)) if name in installed
    }
    print_versions(which, versions)
    start = time.monotonic()
    reports, statuses = [], []
    for name, tests in ({"tests": arguments} if arguments else SUITES).items():
        report = BUILD / "versions" / which / f"{name}.xml"
        command = ["pytest", "-q", *WARNINGS[which], f"--junitxml={report}", *tests]
        statuses.append(environment.run("python", "-m", *command))
        reports.append(counts(report))
    figures = {
        **{name: sum(report[name] for report in reports) for name in reports[0]},
        "passed": not any(statuses),
        "seconds": round(time.monotonic() - start),
        "tested_with": versions,
    }
    write_result(f"versions_{which}", figures, folder)
    return max(statuses)


def counts(report: Path) -> dict[str, int]:
    """Return how many tests passed, failed and were skipped, from pytest's report in XML."""
    suite = ElementTree.parse(report).getroot().find("testsuite")
    if suite is None:
        sys.exit(f"{report} is not a report of pytest")
    number = {name: int(suite.attrib[name]) for name in ("tests", "failures", "errors", "skipped")}
    failed = number["failures"] + number["errors"]
    return {
        "tests_passed": number["tests"] - failed - number["skipped"],
        "tests_failed": failed,
        "tests_skipped": number["skipped"],
    }


def main() -> None:
    """Parse the command line and run the tests; exit as they did."""
    parser = argparse.ArgumentParser(prog="python -m campaigns.versions", description=__doc__)
    parser.add_argument("which", choices=("minimum", "newest"))
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the figures")
    parser.add_argument("pytest", nargs="*", help="arguments of pytest; all tests without them")
    arguments = parser.parse_args()
    sys.exit(test(arguments.which, arguments.results, arguments.pytest))


if __name__ == "__main__":
    main()
