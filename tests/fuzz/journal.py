"""What is being tried, on record before it is tried: a crash of the process then has a witness."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hypothesis import given, settings

from gprat.exceptions import GpratError

__all__ = ["documented", "fuzzed", "note"]

_PATH = os.environ.get("GPRAT_FUZZ_JOURNAL")
_JOURNAL = Path(_PATH) if _PATH else None


class _Counter:
    inputs = 0


def note(what: Any) -> None:
    """Count an input, and write it down where a campaign asks for that."""
    _Counter.inputs += 1
    if _JOURNAL is not None:
        text = f"{_Counter.inputs}\n{what!r}\n"
        _JOURNAL.write_text(text, encoding="utf-8", errors="backslashreplace")


def fuzzed(weight: float = 1.0, **strategies: Any) -> Callable[[Callable[..., None]], Any]:
    """Do what `hypothesis.given` does, with each example on record before it runs.

    `weight` is the share of examples beside those of other tests.
    """

    def decorate(test: Callable[..., None]) -> Any:
        @functools.wraps(test)
        def recorded(*arguments: Any, **example: Any) -> None:
            note((test.__name__, arguments, example))
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
        assert str(error), "an error without a message"
