"""Which lines of Python and of C++ the tests run: ``python -m campaigns.coverage``.

The extension and the tests of the core are compiled with counters. Then all tests run, also those
that need PyTorch, and those of JAX in a process of their own, with the processes that they start.
Lines that no test can reach are left out where a comment says why, ``not covered: REASON``, in
either language.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from campaigns.environments import BUILD, ROOT, SUITES, Environment
from campaigns.record import RESULTS, write_result

FOLDER = BUILD / "coverage"
EXTENSION = FOLDER / "extension"

# The least that may be covered, in per cent of lines.
GOALS = {"python": 95.0, "c++": 90.0}

# An extension with counters rounds otherwise than the library that a C++ program is built with.
_OTHER_BITS = [
    f"--deselect=tests/test_cpp_package.py::test_at_the_{when}_it_computes_what_python_computes"
    for when in ("start", "end")
]

# A line whose comment says why no test can reach it.
EXCLUDED = r"//\s*not covered: \S+"


def make_environment() -> Environment:
    """Install gprat with counters in it, and all that tests it."""
    environment = Environment(FOLDER / "venv")
    environment.install("--group", "build")
    environment.install(
        "--no-build-isolation",
        "--editable",
        ".",
        f"--config-settings=build-dir={EXTENSION}",
        "--config-settings=cmake.define.GPRAT_COVERAGE=ON",
        "--config-settings=cmake.define.GPRAT_BUILD_TESTS=ON",
    )
    environment.install("--group", "test", "--group", "torch", "--group", "coverage")
    return environment


def run_tests(environment: Environment, arguments: list[str]) -> bool:
    """Run the tests of Python and of C++ with counters; return whether all passed."""
    for counters in EXTENSION.rglob("*.gcda"):
        counters.unlink()
    for records in FOLDER.glob("data*"):
        records.unlink()
    suites = [arguments] if arguments else SUITES.values()
    measured = ["coverage", "run", "-m", "pytest", "-q", *_OTHER_BITS]
    statuses = [
        environment.run("python", "-m", *measured, *suite, COVERAGE_FILE=str(FOLDER / "data"))
        for suite in suites
    ]
    native = environment.run("ctest", "--test-dir", str(EXTENSION), "--output-on-failure")
    return not any([*statuses, native])


def python_lines(environment: Environment) -> dict[str, Any]:
    """Combine the records of all processes; return the counts of lines."""
    report = FOLDER / "python.json"
    for arguments in (
        ["combine", "--quiet", str(FOLDER)],
        ["json", "--quiet", "-o", str(report)],
        ["html", "--quiet", "-d", str(FOLDER / "python")],
    ):
        variables = {"COVERAGE_FILE": str(FOLDER / "data")}
        if environment.run("python", "-m", "coverage", *arguments, **variables):
            sys.exit(f"coverage {arguments[0]} failed")
    totals = json.loads(report.read_text(encoding="utf-8"))["totals"]
    return summary(totals["covered_lines"], totals["num_statements"], totals["excluded_lines"])


def native_lines(environment: Environment) -> dict[str, Any]:
    """Return the counts of lines of the core and of the bindings."""
    report, page = FOLDER / "native.json", FOLDER / "native" / "index.html"
    page.parent.mkdir(exist_ok=True)
    sources = ["core/src/", "core/include/", "bindings/"]
    status = environment.run(
        "gcovr",
        f"--root={ROOT}",
        # Innermost loops do run more often than gcovr deems likely.
        "--gcov-suspicious-hits-threshold=0",
        *(f"--filter={source}" for source in sources),
        f"--exclude-lines-by-pattern=.*{EXCLUDED}",
        "--merge-mode-functions=separate",
        f"--json={report}",
        f"--html-details={page}",
        str(EXTENSION),
    )
    if status:
        sys.exit("gcovr failed")
    files = json.loads(report.read_text(encoding="utf-8"))["files"]
    lines = [line for file in files for line in file["lines"]]
    excluded = sum(1 for line in lines if line.get("gcovr/excluded"))
    counted = [line for line in lines if not line.get("gcovr/excluded")]
    return summary(sum(1 for line in counted if line["count"]), len(counted), excluded)


def summary(covered: int, lines: int, excluded: int) -> dict[str, Any]:
    """Return counts and share as they are kept."""
    return {
        "lines": lines,
        "covered": covered,
        "excluded": excluded,
        "per_cent": round(100 * covered / lines, 2),
    }


def print_table(figures: dict[str, dict[str, Any]]) -> None:
    """Print what is covered of each language, beside its goal."""
    table = Table(title="Coverage of lines")
    for heading in ("", "lines", "covered", "per cent", "goal", "left out", "see"):
        table.add_column(heading, justify="left" if heading in ("", "see") else "right")
    pages = {"python": "python/index.html", "c++": "native/index.html"}
    for language, found in figures.items():
        page = (FOLDER / pages[language]).relative_to(ROOT)
        counts = [str(found[name]) for name in ("lines", "covered", "per_cent")]
        table.add_row(
            language, *counts, f"{GOALS[language]:.0f}", str(found["excluded"]), str(page)
        )
    Console().print(table)


def main() -> None:
    """Parse the command line and measure; exit 1 where tests fail or a goal is missed."""
    parser = argparse.ArgumentParser(prog="python -m campaigns.coverage", description=__doc__)
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the figures")
    parser.add_argument("pytest", nargs="*", help="arguments of pytest; all tests without them")
    arguments = parser.parse_args()
    environment = make_environment()
    passed = run_tests(environment, arguments.pytest)
    figures = {"python": python_lines(environment), "c++": native_lines(environment)}
    print_table(figures)
    write_result("coverage", {"tests_passed": passed, "goals": GOALS, **figures}, arguments.results)
    reached = all(figures[language]["per_cent"] >= goal for language, goal in GOALS.items())
    sys.exit(0 if passed and reached else 1)


if __name__ == "__main__":
    main()
