"""JSON from files, read strictly."""

from __future__ import annotations

import json
from typing import Any

__all__ = ["parse_json"]


def parse_json(text: str | bytes, *, allow_constants: bool = False) -> Any:
    """Return what a JSON document in UTF-8 holds.

    Parameters
    ----------
    text : str or bytes
        The document.
    allow_constants : bool, default=False
        Whether NaN and infinities, which JSON does not have, are numbers.

    Raises
    ------
    ValueError
        If it is no such document, or is nested too deeply, or a name comes twice in an object.

    Examples
    --------
    >>> parse_json(b'{"a": [1, 2.5]}')
    {'a': [1, 2.5]}
    >>> parse_json('{"a": 1, "a": 2}')
    Traceback (most recent call last):
    ...
    ValueError: a name comes twice
    """

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        entries = dict(pairs)
        if len(entries) != len(pairs):
            raise ValueError("a name comes twice")
        return entries

    def constant(name: str) -> float:
        if not allow_constants:
            raise ValueError(f"it holds {name}")
        return float(name)

    decoded = text.decode("utf-8") if isinstance(text, bytes) else text
    try:
        return json.loads(decoded, object_pairs_hook=unique, parse_constant=constant)
    except RecursionError as error:
        raise ValueError(str(error)) from None
