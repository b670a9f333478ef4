"""The rows of a history that are not valid profiles: all of them on disk, since there may be millions."""

from __future__ import annotations

import csv
import io
import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from trainer.history.rows import BadRow
from trainer.history.tempfiles import close, room_needed, scratch_file

SHOWN = 20


class BadRows:
    """Bad rows in the order of the file: how many there are, the first few, and all of them in a file."""

    def __init__(self, unit: str, header: Sequence[str]) -> None:
        """None yet; unit is what rows are counted in: "line" or "row"."""
        self.unit = unit
        self.count = 0
        self.first: list[BadRow] = []
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
