"""Coverage-guided fuzzing of what is read from disk: models, checkpoints, calibrations.

``python -m campaigns.fuzz_loaders --seconds 120 --seed 1``, with atheris (dependency group
``fuzz``); ``--random`` changes real files at random instead, without it. A file must be loaded or
refused with the documented error, within bounded memory and time.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import random
import resource
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import FunctionType
from typing import Any

from rich.console import Console
from rich.table import Table

from campaigns.loader_targets import TARGETS, Target, mutate
from campaigns.record import write_result

__all__ = ["fuzz_at_random", "main"]

# Seconds that one file of some kilobytes may take, and MiB that the process may take in all.
_MOST_SECONDS, _MOST_MIB = 20, 3000


def fuzz_at_random(target: Target, seed: int, count: int, seconds: float = 1e9) -> Counter[str]:
    """Test changed files; an error that is not documented is raised, with its number in a note.

    Returns
    -------
    Counter
        How many were accepted and refused.
    """
    counts: Counter[str] = Counter()
    began = time.monotonic()
    for number in range(count):
        if time.monotonic() - began > seconds:
            break
        rng = random.Random(f"{seed} {number}")
        content = mutate(target, rng.choice(target.seeds), rng)
        start = time.monotonic()
        try:
            counts["accepted" if target.test(content) else "refused"] += 1
        except BaseException as error:
            error.add_note(f"seed {seed}, number {number}")
            raise
        if time.monotonic() - start > _MOST_SECONDS:
            raise TimeoutError(f"seed {seed}, number {number} took {time.monotonic() - start} s")
    return counts


def _fuzz_with_coverage(name: str, seed: int, seconds: float, counts_path: Path) -> None:
    """Let atheris choose the files; runs in a process of its own, which it ends."""
    import atheris

    for function in _functions_of("gprat"):
        atheris.instrument_func(function)
    target = TARGETS[name]()
    counts = {"accepted": 0, "refused": 0}

    def test(content: bytes) -> None:
        counts["accepted" if target.test(content) else "refused"] += 1
        if sum(counts.values()) % 50 == 0:
            counts_path.write_text(json.dumps(counts))

    def mutator(content: bytes, most: int, number: int) -> bytes:
        rng = random.Random(number)
        if target.parse(content) is None or rng.random() < 0.05:
            content = rng.choice(target.seeds)
        return mutate(target, content, rng)[:most]

    with tempfile.TemporaryDirectory() as corpus:
        for number, content in enumerate(target.seeds):
            (Path(corpus) / str(number)).write_bytes(content)
        options = [
            f"-seed={seed + 1}",
            f"-max_total_time={int(seconds)}",
            f"-timeout={_MOST_SECONDS}",
            f"-rss_limit_mb={_MOST_MIB}",
            f"-max_len={4 * max(map(len, target.seeds))}",
            f"-artifact_prefix={tempfile.gettempdir()}/gprat-fuzz-{name}-",
        ]
        atheris.Setup([sys.argv[0], *options, corpus], test, custom_mutator=mutator)
        atheris.Fuzz()


def _functions_of(package: str) -> Iterator[FunctionType]:
    """Yield all functions and methods of a package, as far as it is imported."""
    modules = [module for name, module in sys.modules.items() if name.split(".")[0] == package]
    for module in modules:
        for value in list(vars(module).values()):
            if getattr(value, "__module__", "") != module.__name__:
                continue
            members = vars(value).values() if isinstance(value, type) else (value,)
            for member in members:
                function = getattr(member, "__func__", member)
                if isinstance(function, FunctionType):
                    yield function


def _fuzz(name: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """Fuzz one kind of file in a process of its own; return what was counted."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "counts"
        path.write_text('{"accepted": 0, "refused": 0}')
        work = _random if arguments.random else _fuzz_with_coverage
        process = multiprocessing.get_context("spawn").Process(
            target=work, args=(name, arguments.seed, arguments.seconds, path)
        )
        process.start()
        process.join()
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
        return {
            **json.loads(path.read_text()),
            "failed": process.exitcode != 0,
            "peak_mib": round(peak, 1),
        }


def _random(name: str, seed: int, seconds: float, counts_path: Path) -> None:
    resource.setrlimit(resource.RLIMIT_DATA, (_MOST_MIB << 20, _MOST_MIB << 20))
    counts = fuzz_at_random(TARGETS[name](), seed, sys.maxsize, seconds)
    counts_path.write_text(json.dumps({"accepted": 0, "refused": 0} | counts))


def main() -> int:
    """Fuzz all kinds of files; return 1 if one got through."""
    parser = argparse.ArgumentParser(prog="python -m campaigns.fuzz_loaders", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="for each kind of file")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--targets", nargs="+", choices=TARGETS, default=list(TARGETS))
    parser.add_argument("--random", action="store_true", help="without atheris")
    arguments = parser.parse_args()
    began = time.monotonic()
    found: dict[str, Any] = {name: _fuzz(name, arguments) for name in arguments.targets}
    table = Table("", "accepted", "refused", "peak MiB", "", title="hostile files")
    for name, counts in found.items():
        outcome = "FAILED, see above" if counts["failed"] else "no crash, no hang"
        row = [str(counts[key]) for key in ("accepted", "refused", "peak_mib")]
        table.add_row(name, *row, outcome)
    Console().print(table)
    how = "at random" if arguments.random else "guided by coverage (atheris)"
    total = sum(counts["accepted"] + counts["refused"] for counts in found.values())
    failed = any(counts["failed"] for counts in found.values())
    found |= {"how": how, "inputs": total, "seed": arguments.seed}
    write_result("fuzz_loaders", found | {"seconds": round(time.monotonic() - began, 1)})
    return int(failed)


if __name__ == "__main__":
    raise SystemExit(main())
