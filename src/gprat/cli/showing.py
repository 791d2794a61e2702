"""Results on the standard output, for people or as JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import typer
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from gprat._text import as_plain_text, make_table

__all__ = ["as_json", "names", "pairs", "show", "values"]

_LONGEST = 400
_MOST_ROWS = 40
_MOST_NAMES = 20


def as_json(result: Mapping[str, Any]) -> None:
    """Print a JSON object; what is not finite, which JSON does not know, becomes null."""
    typer.echo(json.dumps(_finite(result), indent=2, ensure_ascii=False, allow_nan=False))


def show(*parts: Table | str, err: bool = False) -> None:
    """Print tables and lines of text, with a blank line between any two."""
    shown: list[Table | Text] = []
    for part in parts:
        shown += [Text("")] if shown else []
        shown.append(Text(part) if isinstance(part, str) else part)
    console = Console(stderr=err, highlight=False)
    if console.is_terminal:
        console.print(Group(*shown))
    else:
        typer.echo(as_plain_text(Group(*shown)), err=err)


def pairs(rows: Mapping[str, str | None]) -> Table:
    """Return a table of names and what belongs to them; None is left out."""
    table = make_table("", "")
    table.columns[0].style = "bold"
    table.columns[1].justify = "left"
    table.columns[1].overflow = "fold"
    for name, value in rows.items():
        if value is not None:
            shown = value if len(value) <= _LONGEST else f"{value[:_LONGEST]} ..."
            table.add_row(Text(name), Text(shown))
    return table


def names(count: int, items: Sequence[str] | None) -> str:
    """Return how many there are, and the first of them."""
    if items is None:
        return f"{count:,}"
    more = ", ..." if len(items) > _MOST_NAMES else ""
    return f"{count:,}: {', '.join(items[:_MOST_NAMES])}{more}"


def values(numbers: Mapping[str, float], features: Sequence[str] | None) -> Table:
    """Return a table of hyperparameters, with the features that length scales belong to."""
    table = make_table("hyperparameter", "value", "")
    table.columns[2].justify = "left"
    for name in list(numbers)[:_MOST_ROWS]:
        feature = _feature_of(name, numbers, features)
        table.add_row(Text(name), f"{numbers[name]:.5g}", Text(feature))
    if len(numbers) > _MOST_ROWS:
        table.add_row(f"... {len(numbers) - _MOST_ROWS:,} more", "", "see --json")
    return table


def _feature_of(name: str, names: Iterable[str], features: Sequence[str] | None) -> str:
    """Return the feature of an element of a vector that has one element a feature, or nothing."""
    stem, bracket, index = name.rstrip("]").rpartition("[")
    is_scale = stem.endswith("length_scale") and index.isdigit()
    if features is None or not bracket or not is_scale:
        return ""
    size = sum(other.startswith(f"{stem}[") for other in names)
    return features[int(index)] if size == len(features) else ""


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _finite(entry) for key, entry in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_finite(entry) for entry in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
