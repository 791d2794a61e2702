"""``python -m campaigns.accuracy``: scaled residuals by kind, as LAPACK tests them."""

from __future__ import annotations

import argparse
import sys
import time
from typing import Any

import numpy as np
from rich.console import Console

from campaigns.accuracy import matrices, models
from campaigns.accuracy.reference import is_long
from campaigns.accuracy.tally import Tally, settings
from campaigns.record import write_result

# Of errors to n·ε times the unit of theory; LAPACK's own programs take 30.
LIMIT = 4.0
_MOST_SHOWN = 20


def run(seed: int, count: int, seconds: float, most: int) -> tuple[Tally, Tally, Tally, int]:
    """Check `count` seeds, or as many as there is time for.

    Parameters
    ----------
    seed, count : int
        The first seed, and how many.
    seconds : float
        After which no further seed is begun.
    most : int
        The largest n.

    Returns
    -------
    tuple of Tally and int
        Of matrices, models and certificates; and how many seeds were done.
    """
    of_matrices = Tally("Given matrices: residuals in units of n·ε", LIMIT)
    of_models = Tally("Models: errors in units of n·ε times their condition", LIMIT)
    of_certificates = Tally("Certificates: true error over its bound", 1.0)
    end = time.monotonic() + seconds
    done = 0
    for number in range(seed, seed + count):
        for setting in settings(number, matrices.KINDS, most):
            matrices.check_matrix(setting, of_matrices)
        for setting in settings(number, models.KINDS, most):
            models.check_model(setting, of_models, of_certificates)
        done += 1
        if time.monotonic() >= end:
            break
    return of_matrices, of_models, of_certificates, done


def _bounds(certificates: Tally) -> dict[str, Any]:
    """Return how much larger than the error a bound usually is, where there is an error."""
    return {
        quantity: {
            "median error over bound": float(f"{np.median(ratios):.2g}"),
            "worst error over bound": float(f"{np.max(ratios):.2g}"),
        }
        for quantity, ratios in certificates.all_ratios.items()
    }


def main() -> None:
    """Parse the command line, check, print and record."""
    parser = argparse.ArgumentParser(prog="python -m campaigns.accuracy", description=__doc__)
    parser.add_argument("--seed", type=int, default=0, help="the first seed")
    parser.add_argument("--count", type=int, default=1_000_000, help="how many seeds")
    parser.add_argument("--seconds", type=float, default=240.0, help="begin none after that long")
    parser.add_argument("--largest", type=int, default=120, help="largest number of rows")
    arguments = parser.parse_args()
    if not is_long():
        raise SystemExit("long double has no more digits than double here: nothing to compare with")
    start = time.monotonic()
    *tallies, done = run(arguments.seed, arguments.count, arguments.seconds, arguments.largest)
    console = Console(width=None if sys.stdout.isatty() else 120)
    for tally in tallies:
        console.print(tally.table())
    failures = [failure for tally in tallies for failure in tally.failures]
    for failure in failures[:_MOST_SHOWN]:
        console.print(failure, markup=False, highlight=False)
    of_matrices, of_models, of_certificates = tallies
    path = write_result(
        "accuracy",
        {
            "seeds": [arguments.seed, arguments.seed + done - 1],
            "largest_n": arguments.largest,
            "seconds": round(time.monotonic() - start, 1),
            "failures": len(failures),
            "matrices": of_matrices.figures(),
            "models": of_models.figures(),
            "certificates": {**of_certificates.figures(), "bounds": _bounds(of_certificates)},
        },
    )
    console.print(f"{done} seeds, {len(failures)} failures; {path}")
    raise SystemExit(1 if failures else 0)


if __name__ == "__main__":
    main()
