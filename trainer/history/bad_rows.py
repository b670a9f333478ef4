"""The rows of a history that are not valid profiles: all of them on disk, since there may be millions."""

from __future__ import annotations

import csv
import io
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from schemas.counting import counted
from trainer.errors import HistoryError
from trainer.history.rows import BadRow
from trainer.history.tempfiles import close, room_needed, scratch_file

SHOWN = 20
MARKERS_SHOWN = 5


class BadRows:
    """Bad rows in the order of the file: how many there are, the first few, and all of them in a file."""

    def __init__(self, unit: str, header: Sequence[str]) -> None:
        """None yet; unit is what rows are counted in: "line" or "row"."""
        self.unit = unit
        self.count = 0
        self.first: list[BadRow] = []
        self.without_value: Counter[str] = Counter()
        """Cell that usually holds no value -> rows that are refused for one."""
        self._file = io.TextIOWrapper(scratch_file(), encoding="utf-8", newline="")
        self._writer = csv.writer(self._file, lineterminator="\n")
        self._writer.writerow([unit, "problem", *header])

    @property
    def before_number(self) -> str:
        """The words before the number of a row: "on line" or "in row"."""
        return "on line" if self.unit == "line" else f"in {self.unit}"

    def add(self, rows: Iterable[BadRow]) -> None:
        """Append rows."""
        with room_needed():
            for row in rows:
                self.count += 1
                self.without_value.update(row.without_value)
                if self.count <= SHOWN:
                    self.first.append(row)
                self._writer.writerow([row.number, row.problem, *row.cells])
            self._file.flush()

    def __iter__(self) -> Iterator[BadRow]:
        self._file.seek(0)
        reader = csv.reader(self._file)
        next(reader)
        for number, problem, *cells in reader:
            yield BadRow(int(number), problem, tuple(cells))

    def write(self, path: Path) -> None:
        """Write a CSV file of all rows: its line or row number, what is wrong, and its original cells."""
        self._file.seek(0)
        with path.open("wb") as file:
            shutil.copyfileobj(self._file.buffer, file)

    def close(self) -> None:
        """Remove what was kept on disk."""
        close(self._file)


def refuse_bad_rows(path: Path, bad_rows: BadRows, remedy: str) -> None:
    """Raise HistoryError, naming the first bad rows and the remedy, when there is a bad row."""
    if not bad_rows.count:
        return
    lines = [f"  {bad_rows.unit} {row.number}, {row.problem}" for row in bad_rows.first]
    if bad_rows.count > len(bad_rows.first):
        lines.append(f"  and {bad_rows.count - len(bad_rows.first):,} more")
    lines.extend(_may_be_missing(bad_rows))
    raise HistoryError(
        "\n".join([f"{path} has {counted(bad_rows.count, 'bad row')}, nothing was written: {remedy}", *lines])
    )


def _may_be_missing(bad_rows: BadRows) -> Iterator[str]:
    """What to do if refused cells stand for no value."""
    if empty := bad_rows.without_value[""]:
        yield (
            f"{counted(empty, bad_rows.unit)} with an empty cell: if a value may be missing, add `| None` to the type "
            "of its field in the profile class."
        )
    markers = tuple(sorted(bad_rows.without_value.keys() - {""}))[:MARKERS_SHOWN]
    if markers:
        declare = f"declare history_format with missing={markers}" if bad_rows.unit == "line" else "write null instead"
        yield (
            f"If {' or '.join(map(repr, markers))} stands for no value, {declare}, and add `| None` to the type of "
            "each such field, in the profile class."
        )
