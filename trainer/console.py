"""Printing for people: rich on a terminal where it is installed, aligned lines everywhere else."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.util import find_spec


def print_table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table on standard output, one row a line; columns of rich may wrap, those of plain lines never do."""
    if _draws():
        from rich.box import SIMPLE  # noqa: PLC0415  # the base install has no rich
        from rich.console import Console  # noqa: PLC0415
        from rich.table import Table  # noqa: PLC0415
        from rich.text import Text  # noqa: PLC0415

        table = Table(*headers, box=SIMPLE)
        for row in rows:
            table.add_row(*map(Text, row))  # as Text: a bracket in a value is no markup
        Console().print(table)
        return
    widths = [max(map(len, column)) for column in zip(headers, *rows, strict=True)]
    for row in (headers, *rows):
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def print_facts(facts: Sequence[tuple[str, str]]) -> None:
    """Names and what they are, one a line, on standard output."""
    if _draws():
        from rich.console import Console  # noqa: PLC0415  # the base install has no rich
        from rich.table import Table  # noqa: PLC0415
        from rich.text import Text  # noqa: PLC0415

        grid = Table.grid(padding=(0, 2))
        for name, value in facts:
            grid.add_row(Text(name, style="bold"), Text(value))
        Console().print(grid)
        return
    width = max(len(name) for name, _ in facts)
    for name, value in facts:
        print(f"{name.ljust(width)}  {value}".rstrip())


def _draws() -> bool:
    return sys.stdout.isatty() and find_spec("rich") is not None
