"""A CSV history of generated users, in the form that the trainer reads, and their true groups beside it."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from demo.population import Block, Population
from schemas import UserProfile
from schemas.roles import Kind, profile_fields

ID_COLUMN = UserProfile.history_id_column
LABEL_COLUMN = "Planted Group"


def labels_path(history: Path) -> Path:
    """The file with the true groups of a history: `users.labels.csv` beside `users.csv`."""
    return history.with_suffix(".labels.csv")


def write_history(path: Path, population: Population) -> None:
    """Write the population as a history to `path`, and its planted groups to `labels_path(path)`.

    The same population gives the same bytes. When interrupted, it leaves no file behind. Raises OSError when a file
    cannot be written.
    """
    fields = profile_fields(UserProfile)
    names = [field.name for field in fields]
    several = tuple(field.name for field in fields if field.kind is Kind.SEVERAL_OF)
    with _written(path) as history, _written(labels_path(path)) as labels:
        rows, groups = csv.writer(history, lineterminator="\n"), csv.writer(labels, lineterminator="\n")
        rows.writerow([ID_COLUMN, *(field.header for field in fields)])
        groups.writerow([ID_COLUMN, LABEL_COLUMN])
        for block in population.blocks():
            rows.writerows(_rows(block, names, several))
            groups.writerows(zip(block.users, block.groups, strict=True))


@contextmanager
def _written(path: Path) -> Iterator[IO[str]]:
    """A file that appears once it is complete."""
    beside = path.with_name(path.name + ".partial")
    try:
        with beside.open("w", encoding="utf-8", newline="") as file:
            yield file
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def _rows(block: Block, names: Iterable[str], several: tuple[str, ...]) -> Iterator[tuple[object, ...]]:
    columns = [map(", ".join, block.profiles[name]) if name in several else block.profiles[name] for name in names]
    return zip(block.users, *columns, strict=True)
