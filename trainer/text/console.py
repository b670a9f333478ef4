"""Printing for people: rich on a terminal where it is installed, aligned lines everywhere else."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from shutil import get_terminal_size


def print_table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table on standard output, one row per line, never cut or wrapped."""
    widths = [max(map(len, column)) for column in zip(headers, *rows, strict=True)]
    # A table that rich must fold to fit would break the ids, and a broken id cannot be copied.
    if _draws() and sum(widths) + 2 * len(widths) + 2 <= get_terminal_size().columns:
        from rich.box import SIMPLE  # noqa: PLC0415  # the base install has no rich
        from rich.console import Console  # noqa: PLC0415
        from rich.table import Table  # noqa: PLC0415
        from rich.text import Text  # noqa: PLC0415

        table = Table(*headers, box=SIMPLE)
        for row in rows:
            table.add_row(*map(Text, row))  # as Text: a bracket in a value is not markup
        Console().print(table)
        return
    for row in (headers, *rows):
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def print_facts(facts: Sequence[tuple[str, str]], to_copy: Sequence[tuple[str, str]]) -> None:
    """Names and values, one per line, on standard output; those to copy come last and are never wrapped."""
    width = max(len(name) for name, _ in (*facts, *to_copy))
    if _draws():
        from rich.console import Console  # noqa: PLC0415  # the base install has no rich
        from rich.table import Table  # noqa: PLC0415
        from rich.text import Text  # noqa: PLC0415

        grid = Table.grid(padding=(0, 2))
        grid.add_column(min_width=width)
        for name, value in facts:
            grid.add_row(Text(name, style="bold"), Text(value))
        console = Console()
        console.print(grid)
        for name, value in to_copy:
            console.print(Text.assemble((name.ljust(width), "bold"), "  ", value), soft_wrap=True)
        return
    for name, value in (*facts, *to_copy):
        print(f"{name.ljust(width)}  {value}".rstrip())


def print_json(value: object) -> None:
    """A value as JSON on standard output, for machines."""
    print(json.dumps(value, indent=1, ensure_ascii=False))


def _draws() -> bool:
    return sys.stdout.isatty() and find_spec("rich") is not None
