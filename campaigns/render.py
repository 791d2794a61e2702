"""``python -m campaigns.render``: make the documentation's page from what campaigns recorded."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from campaigns.record import RESULTS

__all__ = ["PAGE", "page"]

PAGE = Path(__file__).parents[1] / "docs/testing.md"

INTRODUCTION = """\
# How gprat is tested

`make test` runs all that is quick: properties, comparisons with a dense reference, with
scikit-learn and, where it is installed, GPyTorch, on fresh random data; every example of the
documentation; and a short version of each campaign. Campaigns run longer, each by one command. A
failure prints the seed that repeats it. What follows is generated from what they recorded
(`python -m campaigns.render`).
"""

Figures = dict[str, Any]


@dataclass(frozen=True)
class Campaign:
    """A row of the page: what a campaign proves, and which of its figures tell."""

    name: str
    command: str
    proves: str
    tell: Callable[[Figures], str]


def worst(figures: Figures) -> str:
    """Return the worst scaled residual of each quantity."""
    groups = (figures["matrices"], figures["models"])
    quantities: dict[str, float] = {}
    for group in groups:
        for quantity, by_kind in group["worst"].items():
            quantities[quantity] = max(quantities.get(quantity, 0.0), *by_kind.values())
    cases = sum(group["cases"] for group in groups)
    ratios = ", ".join(f"{name} {value:.2g}" for name, value in quantities.items())
    return f"{cases:,} cases, {figures['failures']} failures; worst ratios: {ratios}"


def loaders(figures: Figures) -> str:
    """Return how many files were accepted and refused."""
    kinds = ("models", "checkpoints", "calibrations")
    refused = sum(figures[kind]["refused"] for kind in kinds)
    failed = [kind for kind in kinds if figures[kind]["failed"]]
    return (
        f"{figures['inputs']:,} files, {refused:,} refused with a clear error, the others valid; "
        f"failures: {', '.join(failed) or 'none'}; {figures['how']}"
    )


def soak(figures: Figures) -> str:
    """Return hours, operations and how flat memory was."""
    return (
        f"{figures['hours']:g} hours, {figures['operations']:,} operations in "
        f"{figures['rounds']:,} rounds, {figures['crowds_of_threads']:,} crowds of "
        f"{figures['threads_of_a_crowd']} threads, {figures['forks_under_load']:,} forks under "
        f"load; {figures['results_that_drifted']} results drifted; memory from "
        f"{figures['resident_mib_after_warm_up']:.0f} to "
        f"{figures['resident_mib_at_the_end']:.0f} MiB"
    )


def cluster_faults(figures: Figures) -> str:
    """Return what happened, how much of it in the midst of a call, and that all answers came."""
    kinds = {
        "workers killed": "workers killed",
        "workers joining": "joined",
        "workers leaving": "left",
        "clusters restarted": "clusters restarted",
        "calls interrupted": "calls interrupted",
        "schedulers killed": "schedulers killed",
    }
    told = []
    for key, title in kinds.items():
        in_time = sum(count for name, count in figures.items() if name.startswith(f"{key} in a "))
        told.append(f"{figures.get(key, 0)} {title} ({in_time} times in the midst of a call)")
    return (
        f"{', '.join(told)}, {figures['clear errors without a scheduler']} clear errors without a "
        f"scheduler; {len(figures['failures'])} failures, seed {figures['seed']}"
    )


def stress(figures: Figures) -> str:
    """Return what was counted."""
    counted = {
        name: value
        for name, value in figures.items()
        if isinstance(value, int) and name not in ("seed", "rounds")
    }
    return ", ".join(f"{value:,} {name.replace('_', ' ')}" for name, value in counted.items())


def sanitizers(figures: Figures) -> str:
    """Return how much ran under each, without a finding: a finding ends the campaign."""
    native = [
        f"{name}: {run['tests']} test programs, {run['stress']['graphs']:,} random graphs"
        for name, run in figures.items()
        if isinstance(run, dict) and "stress" in run
    ]
    python = figures.get("python")
    return "; ".join([*native, *([f"Python: {python['passed']:,} tests"] if python else [])])


def allocations(figures: Figures) -> str:
    """Return how many allocations failed, and what was left behind."""
    native, step = figures["native"], figures.get("step", 1)
    which = f"one allocation in {step}: " if step > 1 else ""
    return (
        f"{which}{sum(run['faults'] for run in native):,} failures in C++, "
        f"{sum(run['leaked'] for run in native)} leaks; {figures['python']['faults']:,} from Python"
    )


def coverage(figures: Figures) -> str:
    """Return the share of lines of each language, and whether tests failed meanwhile."""
    shares = "; ".join(
        f"{figures[key]['per_cent']} % of {figures[key]['lines']:,} lines of {name}, with "
        f"{figures[key]['excluded']} left out"
        for key, name in (("python", "Python"), ("c++", "C++"))
    )
    return shares if figures["tests_passed"] else f"{shares}; some tests failed"


def versions(figures: Figures) -> str:
    """Return how many tests passed, and with which versions."""
    with_these = ", ".join(f"{name} {version}" for name, version in figures["tested_with"].items())
    return (
        f"{figures['tests_passed']:,} tests passed, {figures['tests_failed']} failed, with "
        f"Python {figures['versions']['python']}, {with_these}"
    )


CAMPAIGNS = (
    Campaign(
        "accuracy",
        "make accuracy",
        "Factor, solve, inverse, log determinant, likelihood, gradient and variance are right to a "
        "few n·ε (times the condition number where theory says so), by kind of matrix and model, "
        "against long double arithmetic; the bounds of certificates hold.",
        worst,
    ),
    Campaign(
        "fuzz",
        "make fuzz",
        "Whatever is passed to the public interface: the answer is that of the reference, or a "
        "documented error. Never a crash, a hang, a NaN, or a changed input.",
        lambda f: f"{f['inputs']:,} inputs in {f['seconds']} s, {len(f['defects'])} defects",
    ),
    Campaign(
        "fuzz_loaders",
        "make fuzz-loaders",
        "Files that are damaged or hostile are refused: no code runs, no other file is read, no "
        "more memory is taken than their size justifies.",
        loaders,
    ),
    Campaign(
        "interrupts",
        "make interrupts",
        "Ctrl-C at random moments, in a terminal and in a notebook's kernel, stops the work and "
        "leaves a model that answers.",
        lambda f: (
            f"{f['interruptions']:,} interruptions, {len(f['failures'])} failures; in a terminal "
            f"{f['terminal']['interrupted']} came in time, in a notebook "
            f"{f['notebook']['interrupted']}"
        ),
    ),
    Campaign(
        "kills",
        "make kills",
        "Killed while it saves, or with a disk that is full or fails: the old file is there or the "
        "new one, whole.",
        lambda f: (
            f"{f['saves killed']} saves and {f['trainings killed']} trainings killed, "
            f"{f['sizes that were too small']} disks too small, {f['writes that failed']} failing "
            f"writes; {len(f['failures'])} failures"
        ),
    ),
    Campaign(
        "cluster_faults",
        "make cluster-faults",
        "On a cluster whose workers are killed at random moments, join, leave, or are restarted, "
        "and after Ctrl-C, answers have the bits of an undisturbed call, and workers go idle. "
        "Without its scheduler there is a clear error, and the model goes on with another cluster "
        "or none.",
        cluster_faults,
    ),
    Campaign(
        "soak",
        "make soak HOURS=1",
        "Hours of fits, predictions, updates, saves, threads and forks in one process: results "
        "don't drift, memory stays flat.",
        soak,
    ),
    Campaign(
        "stress",
        "make stress",
        "Random task graphs, with exceptions and cancellations, and random sequences of operations "
        "give the bits of one thread; no two tasks that conflict overlap, whatever the delays.",
        stress,
    ),
    Campaign(
        "sanitize",
        "make sanitize",
        "The same under ThreadSanitizer, AddressSanitizer (with leaks, and with what lay on the "
        "stack of functions that have returned), and UndefinedBehaviorSanitizer, each of which "
        "must find planted mistakes first.",
        sanitizers,
    ),
    Campaign(
        "faults_memory",
        "make faults-memory",
        "Every allocation of every operation fails once: a clear error, nothing leaked, and the "
        "same model answers.",
        allocations,
    ),
    Campaign(
        "coverage",
        "make coverage",
        "The tests run the lines: of Python, also in processes that they start, and of C++, "
        "counted in an extension that was compiled for it. Lines are left out one by one, where a "
        "comment says why no test can reach them.",
        coverage,
    ),
    Campaign(
        "versions_minimum",
        "make minimum-versions",
        "The lower bounds of `pyproject.toml` are true: with the oldest version of everything, "
        "build tools too, the tests of Python pass.",
        versions,
    ),
    Campaign(
        "versions_newest",
        "make newest-versions",
        "They pass with the newest versions that there are.",
        versions,
    ),
    Campaign(
        "sdist",
        "make sdist-check",
        "Built twice from clean clones, the source distribution is the same file; it has what is "
        "under version control and nothing else; pip installs it where nothing is, and it works.",
        lambda f: (
            f"{f['file']}: {'the same' if f['reproducible'] else 'not the same'} bytes; "
            f"{len(f['missing'])} files missing, {len(f['surplus'])} too many; tests of what was "
            f"installed {'passed' if f['tests_of_the_installed_passed'] else 'failed'}"
        ),
    ),
)


def page(results: Path = RESULTS) -> str:
    """Return the page; campaigns without a record have no figures in it."""
    parts = [INTRODUCTION]
    for campaign in CAMPAIGNS:
        parts.append(f"## `{campaign.command}`\n\n{campaign.proves}")
        path = results / f"{campaign.name}.json"
        if path.exists():
            figures = json.loads(path.read_text(encoding="utf-8"))
            parts.append(f"Last recorded ({figures['date'][:10]}): {campaign.tell(figures)}.")
    return "\n\n".join(part.strip() for part in parts) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(PAGE)
