"""Numbers are read as they are meant, left out with the reason, or asked about."""

import csv
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from schemas.csv_format import CsvFormat
from trainer.profiling.columns import Kept, LeftOut
from trainer.profiling.draft import Draft, draft_of
from trainer.profiling.number_formats import sniffed_numbers
from trainer.profiling.table import read_table

USERS = range(120)
WHOLE = [37 + i * 7919 % 9800 for i in USERS]
VISITS = [str(i * 7 % 30) for i in USERS]
GROUPED = [f"{value:,}" for value in WHOLE]
GERMAN = [each.replace(",", ".") for each in GROUPED]
THREE_DECIMALS = [f"{1 + i * 37 % 9}.{100 + i * 7}" for i in USERS]
COMMAS = [each.replace(".", ",") for each in THREE_DECIMALS]


def drafted(folder: Path, columns: dict[str, list[str]], delimiter: str = ",") -> Draft:
    path = folder / "customers.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file, delimiter=delimiter)
        writer.writerow(["customer_id", *columns, "visits"])
        writer.writerows([f"K{i}", *cells] for i, *cells in zip(USERS, *columns.values(), VISITS, strict=True))
    return draft_of(path, read_table(path))


def role(draft: Draft, header: str) -> Kept | LeftOut:
    (found,) = (column.role for column in draft.columns if column.header == header)
    assert found is not None
    return found


def question(draft: Draft, header: str) -> str:
    found = role(draft, header)
    assert isinstance(found, Kept)
    return found.question


def reason(draft: Draft, header: str) -> str:
    found = role(draft, header)
    assert isinstance(found, LeftOut)
    return found.reason


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize(
    ("cells", "written"), [(GROUPED, {"thousands": ","}), (GERMAN, {"decimal": ",", "thousands": "."})]
)
def test_whole_numbers_with_thousands_beside_some_below_1000_are_not_decimals(
    tmp_path: Path, delimiter: str, cells: list[str], written: dict[str, Any]
) -> None:
    draft = drafted(tmp_path, {"sales": cells}, delimiter)
    assert draft.written == CsvFormat(delimiter=delimiter, **written)
    assert question(draft, "sales") == ""


@pytest.mark.parametrize(
    ("delimiter", "cells", "read"),
    [(",", COMMAS, "1100"), (";", COMMAS, "1.1"), (",", THREE_DECIMALS, "1.1"), (";", THREE_DECIMALS, "1.1")],
)
def test_three_digits_after_every_mark_are_asked_about(
    tmp_path: Path, delimiter: str, cells: list[str], read: str
) -> None:
    asked = question(drafted(tmp_path, {"weight": cells}, delimiter), "weight")
    assert f"Is {cells[0]} the number {read}, as it is read, or" in asked
    assert "declare decimal=" in asked


@pytest.mark.parametrize(
    ("others", "cells"),
    [
        (["581.03", "4331.28", "0.5"], THREE_DECIMALS),
        (["581.03", "4331.28", "0.5"], COMMAS),
        (["581,03", "4.331,28", "7,5"], [each for each in GERMAN if len(each) > 3]),
        (["581,03", "4331,28", "7,5"], COMMAS),
    ],
)
def test_another_column_decides(tmp_path: Path, others: list[str], cells: list[str]) -> None:
    columns = {"eur": [others[i % 3] for i in USERS], "weight": [cells[i % len(cells)] for i in USERS]}
    assert question(drafted(tmp_path, columns, ";"), "weight") == ""


def test_the_numbers_of_many_columns_are_not_kept_all_at_once() -> None:
    columns = [{f"{1_000 * at + i}.5": 1 for i in range(500)} for at in range(40)]
    tracemalloc.start()
    sniffed_numbers(columns, CsvFormat())
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2_000_000


def test_a_program_may_write_points_where_people_write_commas(tmp_path: Path) -> None:
    draft = drafted(tmp_path, {"eur": [f"{i % 50},5" for i in USERS], "lat": THREE_DECIMALS}, ";")
    assert "Is 1.100 the number 1100, as it is read, or 1.1? If the latter, write" in question(draft, "lat")


def test_a_column_written_in_another_way_than_the_others_is_left_out(tmp_path: Path) -> None:
    rates = ["0.507" if i % 40 == 39 else each for i, each in enumerate(THREE_DECIMALS)]
    euros = [f"{value // 1000}.{value % 1000:03},28" if value > 999 else f"{value},03" for value in WHOLE]
    draft = drafted(tmp_path, {"eur": euros, "sum": euros, "rate": rates}, ";")
    assert (draft.written, draft.bad_rows) == (CsvFormat(delimiter=";", decimal=",", thousands="."), 0)
    assert "1.100 is 1.1 here, and 1100 there" in reason(draft, "rate")


@pytest.mark.parametrize(
    ("cells", "named"),
    [
        (["€5.10", "$7", "€3"], "€ in 80 rows, first on line 2; $ in 40 rows, first on line 3"),
        (["12 EUR", "7.5 €"], "EUR in 60 rows, first on line 2; € in 60 rows, first on line 3"),
        (["0.24", "51%", "7 %"], "none in 40 rows, first on line 2; % in 80 rows, first on line 3"),
    ],
)
def test_numbers_with_different_signs_do_not_add_up(tmp_path: Path, cells: list[str], named: str) -> None:
    assert named in reason(drafted(tmp_path, {"value": [cells[i % len(cells)] for i in USERS]}), "value")


@pytest.mark.parametrize("cells", [["0", "51%"], ["$5", "7.5"], ["-$5", "$-7"], ["5 $", "$7"]])
def test_signs_that_say_the_same_are_read(tmp_path: Path, cells: list[str]) -> None:
    draft = drafted(tmp_path, {"value": [cells[i % 2] for i in USERS]})
    assert isinstance(role(draft, "value"), Kept)
    assert draft.bad_rows == 0


@pytest.mark.parametrize(("form", "symbol"), [("R$ {}", "R$"), ("US${}", "US$"), ("{}₹", "₹"), ("CAD {}", "CAD")])
def test_any_currency_is_a_symbol(tmp_path: Path, form: str, symbol: str) -> None:
    draft = drafted(tmp_path, {"value": [form.format(f"{i * 37 % 91}.5") for i in USERS]})
    assert draft.written == CsvFormat(symbols=(symbol,))


@pytest.mark.parametrize("unit", ["k", " kg", " m²", " km/h"])
def test_numbers_with_a_unit_are_left_out_with_its_name(tmp_path: Path, unit: str) -> None:
    draft = drafted(tmp_path, {"value": [f"{i * 37 % 91}.5{unit}" for i in USERS]})
    assert f"with the unit {unit.strip()}:" in reason(draft, "value")


@pytest.mark.parametrize(
    ("form", "named"), [("({})", "(581.03) on line 2: write -581.03"), ("{}-", "581.03- on line 2")]
)
@pytest.mark.parametrize("every", [2, 30])
def test_negative_numbers_without_a_minus_before_them_are_named(
    tmp_path: Path, form: str, named: str, every: int
) -> None:
    cells = [form.format("581.03") if i % every == 0 else f"{i}.5" for i in USERS]
    assert named in reason(drafted(tmp_path, {"balance": cells}), "balance")
