"""Tables as plain text."""

from __future__ import annotations

import io

from rich.console import Console, RenderableType
from rich.table import Table

__all__ = ["as_bytes", "as_plain_text", "make_table"]

_WIDTH = 100


def as_plain_text(content: RenderableType) -> str:
    """Return text and tables of rich without colours, 100 characters wide at most.

    Examples
    --------
    >>> table = make_table("tiles", "tasks")
    >>> table.add_row("11", "1 034")
    >>> print(as_plain_text(table))
    tiles  tasks
    11     1 034
    """
    console = Console(
        file=io.StringIO(),
        width=_WIDTH,
        color_system=None,
        force_terminal=False,
        force_jupyter=False,
        highlight=False,
    )
    with console.capture() as capture:
        console.print(content)
    lines = (line.rstrip() for line in capture.get().splitlines())
    return "\n".join(lines).strip("\n")


def as_bytes(count: int) -> str:
    """Return a number of bytes in the unit that suits it.

    Examples
    --------
    >>> as_bytes(3 * 2**29)
    '1.5 GiB'
    """
    size, units = float(count), ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"]
    while size >= 999.5 and len(units) > 1:
        size, units = size / 1024.0, units[1:]
    return f"{size:.3g} {units[0]}"


def make_table(*columns: str) -> Table:
    """Return an empty table without lines, the first column left aligned, the others right."""
    table = Table(box=None, pad_edge=False, show_header=any(columns))
    table.add_column(columns[0], overflow="fold")
    for column in columns[1:]:
        table.add_column(column, justify="right")
    return table
