"""Warm-up, interleaved repetitions, medians and spread."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["Effort", "Timing", "interleave"]


@dataclass(frozen=True)
class Effort:
    """How often to repeat.

    Attributes
    ----------
    repeats : int
        Samples of each call, where they are cheap.
    fewest : int
        Samples of each call, where they are dear.
    budget : float
        Seconds for all samples of one call: above them there are fewer, down to `fewest`.
    sample : float
        Seconds that a sample takes at least: the mean of so many calls in a row.
    pause : float
        Seconds of rest before each sample. The threads of a library go on looking for work for a
        while, and would disturb the next one's turn.
    long : float
        Seconds up to which every turn begins with a call that isn't measured: during the turns of
        others the system may have taken back the memory that a library keeps for its next call.
        Above them the first call counts as a sample, unless something is compiled in it.
    limit : float
        Seconds that one call may take; longer ones are stopped, and said to be.
    """

    repeats: int = 5
    fewest: int = 1
    budget: float = 20.0
    sample: float = 0.05
    pause: float = 0.15
    long: float = 12.0
    limit: float = 100.0

    def settings(self) -> dict[str, float]:
        """Return all as a dictionary."""
        return asdict(self)

    def samples(self, seconds: float) -> int:
        """Return how many samples a call of so many seconds gets."""
        affordable = int(self.budget / max(seconds, self.sample, 1e-9))
        return min(self.repeats, max(self.fewest, affordable))

    def calls(self, seconds: float) -> int:
        """Return how many calls in a row make a sample."""
        return min(1000, max(1, math.ceil(self.sample / max(seconds, 1e-6))))


@dataclass(frozen=True)
class Timing:
    """Seconds of one call: all samples, and the first call, with whatever it compiles or loads."""

    samples: tuple[float, ...]
    first: float

    def summary(self) -> dict[str, Any]:
        """Return samples, median and spread for a row of results."""
        return {
            "seconds": list(self.samples),
            "median": statistics.median(self.samples),
            "fastest": min(self.samples),
            "slowest": max(self.samples),
            "first": self.first,
        }


def interleave(
    calls: Mapping[str, Callable[[int], float]],
    first: Mapping[str, float],
    effort: Effort,
    compiles: Callable[[str], bool] = lambda name: False,
) -> dict[str, Timing]:
    """Time calls in turn, round by round, so that a slow minute of the machine hits all of them.

    Parameters
    ----------
    calls : mapping of str to callable
        Each makes so many calls in a row and returns the mean seconds of one.
    first : mapping of str to float
        Seconds of the first call of each, which has been made.
    effort : Effort
        How often.
    compiles : callable
        Whether the first call of a name compiles.
    """
    samples: dict[str, list[float]] = {name: [] for name in calls}
    wanted: dict[str, int] = {}
    counts: dict[str, int] = {}
    for name, call in calls.items():
        seconds = first[name]
        if compiles(name) or seconds < effort.sample:
            time.sleep(effort.pause)
            seconds = call(1)
        elif seconds > effort.long:
            samples[name].append(seconds)
        counts[name] = effort.calls(seconds)
        wanted[name] = effort.samples(seconds) - len(samples[name])
    for turn in range(effort.repeats):
        for name, call in calls.items():
            if takes_turn(turn, wanted[name], effort.repeats):
                time.sleep(effort.pause)
                if first[name] <= effort.long:
                    call(1)
                samples[name].append(call(counts[name]))
    return {name: Timing(tuple(samples[name]), first[name]) for name in calls}


def takes_turn(turn: int, wanted: int, turns: int) -> bool:
    """Return whether one who wants fewer samples than turns has this one: evenly spread."""
    return (turn + 1) * wanted // turns > turn * wanted // turns
