"""A cell takes the time of its length, whatever is in it: no pattern tries all ways to divide a run of blanks."""

import csv
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Annotated, ClassVar

import pytest
from pydantic import BaseModel, Field

from schemas.csv_format import CsvFormat
from schemas.roles import category, days_since, number
from tests.support.histories import read
from trainer.errors import HistoryError
from trainer.profiling.draft import draft_of
from trainer.profiling.table import read_table

ROWS = 210
LIMIT_S = 2.0
BLANKS = " " * 5_000
COLUMNS: dict[str, Callable[[int], str]] = {
    "joined": lambda i: f"2025-0{1 + i % 9}-1{i % 10}",
    "age": lambda i: f"{i}-{i + 1}",
    "plan": lambda i: f"l{i % 15}",
    "code": lambda i: f"K-{i:04}",
    "paid": lambda i: f"{i * 37 % 91},5 €",
    "balance": lambda i: f"({i})",
    "tags": lambda i: f"a{i % 5},b{i % 7}",
    "phone": lambda i: f"+49 151 {i:06}",
}
CELLS = {
    "date": f"x{BLANKS}y",
    "dates": "10:30 " * 3_000,
    "range": f"1{BLANKS}x",
    "two ranges": f"1{BLANKS}-{BLANKS}2{BLANKS}x",
    "numbered": f"1.{BLANKS}x\ny",
    "amount": f"-{BLANKS}x0001",
    "blanks first": f"{BLANKS}x",
    "bracket": f"({BLANKS}1",
    "digits": f"{'1' * 20_000}!",
    "items": "a,b" * 5_000,
}


class Member(BaseModel):
    history_id_column: ClassVar[str] = "id"
    history_format: ClassVar[CsvFormat] = CsvFormat(decimal=",", thousands=".", symbols=("€",))
    joined: Annotated[date, days_since("behaviour")]
    paid: Annotated[float, Field(strict=True), number("behaviour")]
    plan: Annotated[str, category("status")]


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Raise TimeoutError once this process has computed for so long."""

    def stop(*_: object) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


@pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS)
def test_a_long_cell_in_any_column_takes_the_time_of_its_length(tmp_path: Path, cell: str) -> None:
    path = tmp_path / "members.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", *COLUMNS])
        writer.writerows([i, *(value(i) if i else cell for value in COLUMNS.values())] for i in range(ROWS))
    with within(LIMIT_S):
        draft_of(path, read_table(path))
    with within(LIMIT_S):
        history = read(path, Member)
    assert (history.rows, history.bad_rows.count) == (ROWS - 1, 1)


def test_many_short_cells_of_blanks_take_no_longer(tmp_path: Path) -> None:
    path = tmp_path / "members.csv"
    path.write_text("id,value\n" + "".join(f"{i},-{' ' * 46}x{i:04}\n" for i in range(2_000)))
    with within(LIMIT_S), pytest.raises(HistoryError, match="no column that can segment"):
        draft_of(path, read_table(path))
