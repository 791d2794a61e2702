"""What is being tried, on record before it is tried: a crash of the process then has a witness."""

from __future__ import annotations

import functools
import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hypothesis import given, settings

from gprat.exceptions import GpratError

__all__ = ["documented", "fuzzed", "note"]

_PATH = os.environ.get("GPRAT_FUZZ_JOURNAL")
_counts: Counter[str] = Counter()


def note(test: str, what: Any) -> None:
    """Count an input, and write it down where a campaign asks for that."""
    if _PATH is None:
        return
    _counts[test] += 1
    counts = "".join(f"{name} {count}\n" for name, count in _counts.items())
    Path(_PATH).write_text(f"{counts}\n{what!r}", encoding="utf-8", errors="backslashreplace")


def fuzzed(weight: float = 1.0, **strategies: Any) -> Callable[[Callable[..., None]], Any]:
    """Do what `hypothesis.given` does, with each example on record before it runs.

    `weight` is the share of examples beside those of other tests.
    """

    def decorate(test: Callable[..., None]) -> Any:
        @functools.wraps(test)
        def recorded(*arguments: Any, **example: Any) -> None:
            note(test.__name__, (arguments, example))
            test(*arguments, **example)

        count = max(1, round(weight * settings.default.max_examples))
        return settings(max_examples=count)(given(**strategies)(recorded))

    return decorate


@contextmanager
def documented(*others: type[Exception]) -> Iterator[None]:
    """Let the errors pass that gprat raises on purpose, and those named."""
    try:
        yield
    except (GpratError, *others) as error:
        if not str(error):
            raise AssertionError("an error without a message") from error
