"""A history is read as its profile class declares that it is written."""

from datetime import date
from pathlib import Path
from typing import Annotated, Any, ClassVar

import pytest
from pydantic import BaseModel, Field

from schemas.csv_format import CsvFormat
from schemas.errors import ProfileClassError
from schemas.roles import category, days_since, number, ordered, several_of
from tests.support.histories import read, table, users
from trainer.errors import HistoryError
from trainer.history.history import read_history
from trainer.history.numbers import numbers_of, whole_numbers_of

Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]


class Shopper(BaseModel):
    history_id_column: ClassVar[str | None] = "customer"
    spend: Annotated[Number, number("behaviour")]
    city: Annotated[str, category("place")]
    tags: Annotated[list[str], several_of("interest", separator="|")]


def shopper(**written: Any) -> type[BaseModel]:
    """The class of shoppers, with this format."""
    annotations = {"history_format": ClassVar[CsvFormat]}
    return type("Shopper", (Shopper,), {"__annotations__": annotations, "history_format": CsvFormat(**written)})


@pytest.mark.parametrize(
    ("written", "content"),
    [
        ({}, b'customer,spend,city,tags\na,1234.5,K\xc3\xb6ln,x|y\nb,-2,"Paris, 1",\n'),
        (
            {"delimiter": ";", "decimal": ","},
            'customer;spend;city;tags\na;1234,5;Köln;x|y\nb;-2;"Paris, 1";\n'.encode(),
        ),
        (
            {"delimiter": "\t", "encoding": "windows-1252", "thousands": ","},
            'customer\tspend\tcity\ttags\na\t1,234.5\tKöln\tx|y\nb\t-2\tParis, 1\t\n'.encode("windows-1252"),
        ),
        (
            {"delimiter": ";", "decimal": ",", "thousands": ".", "symbols": ("€", "EUR")},
            "customer;spend;city;tags\na;1.234,5 €;Köln;x|y\nb;-EUR 2,0;Paris, 1;\n".encode(),
        ),
        ({"quote": "'"}, "customer,spend,city,tags\na,1234.5,Köln,x|y\nb,-2,'Paris, 1',\n".encode()),
        ({}, 'sep=;\r\ncustomer;spend;city;tags\r\na;1234.5;Köln;x|y\r\nb;-2;"Paris, 1";\r\n'.encode()),
        ({}, '"sep=;"\ncustomer;spend;city;tags\na;1234.5;Köln;x|y\nb;-2;"Paris, 1";\n'.encode()),
        ({}, '\ufeffcustomer,spend,city,tags\na,1234.5,Köln,x|y\n\ufeffb,-2,"Paris, 1",\n'.encode()),
    ],
    ids=["plain", "decimal comma", "Windows, tabs", "euros", "single quotes", "sep=", '"sep="', "byte-order marks"],
)  # fmt: skip
def test_every_dialect_gives_the_same_users(tmp_path: Path, written: dict[str, Any], content: bytes) -> None:
    path = tmp_path / "shoppers.csv"
    path.write_bytes(content)
    history = read(path, shopper(**written))
    assert [row.problem for row in history.bad_rows.first] == []
    assert users(history) == ("a", "b")
    assert table(history).to_dict("list") == {
        "spend": [1234.5, -2.0],
        "city": ["Köln", "Paris, 1"],
        "tags": [("x", "y"), ()],
    }


def test_the_line_that_excel_writes_does_not_shift_the_numbers_of_lines(tmp_path: Path) -> None:
    path = tmp_path / "shoppers.csv"
    path.write_text("sep=,\ncustomer,spend,city,tags\na,1,x,\nb,much,x,\n")
    assert [row.number for row in read(path, Shopper).bad_rows.first] == [4]


@pytest.mark.parametrize(
    ("written", "cell", "value"),
    [
        (CsvFormat(thousands=","), "1,234,567.5", 1234567.5),
        (CsvFormat(thousands=","), "1234.5", 1234.5),
        (CsvFormat(thousands=","), "0,125", "0,125"),
        (CsvFormat(thousands=","), "1,23", "1,23"),
        (CsvFormat(thousands=","), "12345,678", "12345,678"),
        (CsvFormat(thousands=" "), "1\N{NARROW NO-BREAK SPACE}234", 1234.0),
        (CsvFormat(thousands="'"), "1\N{RIGHT SINGLE QUOTATION MARK}234.5", 1234.5),
        (CsvFormat(decimal=",", thousands="."), "1.234", 1234.0),
        (CsvFormat(decimal=","), "1.5", "1.5"),
        (CsvFormat(decimal=","), ",5", 0.5),
        (CsvFormat(decimal=","), "1,5e3", 1500.0),
        (CsvFormat(symbols=("%",)), "45 %", 45.0),
        (CsvFormat(symbols=("$",)), "-$5", -5.0),
        (CsvFormat(symbols=("$",)), "$-5", -5.0),
        (CsvFormat(symbols=("$",)), "$", "$"),
        (CsvFormat(symbols=("$",)), "€5", "€5"),
        (CsvFormat(symbols=("$",)), "\N{MINUS SIGN}5", -5.0),
        (CsvFormat(), "1_000", "1_000"),
    ],
)  # fmt: skip
def test_a_number_is_read_only_as_the_class_declares_it(written: CsvFormat, cell: str, value: float | str) -> None:
    assert numbers_of(written)([cell]) == [value]


def test_a_whole_number_may_have_thousands_but_no_decimals() -> None:
    read_cells = whole_numbers_of(CsvFormat(thousands=","))
    assert [*map(repr, read_cells(["1,234", "5", "5.0", "x"]))] == ["1234", "5", "5.0", "'x'"]


@pytest.mark.parametrize("cell", ["NA", " NA ", "", "  "])
def test_a_cell_that_the_class_declares_as_missing_is_empty(tmp_path: Path, cell: str) -> None:
    path = tmp_path / "shoppers.csv"
    path.write_text(f"customer,spend,city,tags\na,1,NAM,x|NA\nb,{cell},x,\nc,1,{cell},\nd,2,x,{cell}\n")
    history = read(path, shopper(missing=("", "NA")))
    shown = [(row.number, row.problem.partition(":")[0]) for row in history.bad_rows.first]
    # Several labels may be none at all: then the cell is empty, but not missing.
    assert shown == [(3, "spend"), (4, "city"), *([(5, "tags")] if cell.strip() else [])]
    assert users(history)[0] == "a"


class Grades(BaseModel):
    history_id_column: ClassVar[None] = None
    history_format: ClassVar[CsvFormat] = CsvFormat(missing=("NA",))
    points: Annotated[Number | None, number("a", missing=("none",))]
    status: Annotated[str | None, ordered("a", "none", "gold")]
    seen: Annotated[date | None, days_since("a", "%d.%m.%Y", missing=("31.12.9999",))]
    tags: Annotated[list[str] | None, several_of("a", missing=("?",))]


def test_a_role_declares_what_is_missing_in_its_column_only_beside_what_is_missing_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "grades.csv"
    path.write_text("points,status,seen,tags\n1,none,03.01.2026,none\n none,NA,31.12.9999,?\nNA,gold,01.01.2026,NA\n")
    history = read(path, Grades)
    assert history.bad_rows.count == 0
    assert history.counted_to is not None
    assert history.counted_to.day == date(2026, 1, 3)
    (chunk,) = history.chunks()
    assert chunk.columns == {
        "points": [1.0, None, None],
        "status": ["none", None, "gold"],
        "seen": [0.0, None, 2.0],
        "tags": [("none",), None, None],
    }


def test_what_is_missing_in_a_column_is_a_tuple() -> None:
    with pytest.raises(ProfileClassError, match=r"missing of a role is 'none', expected a tuple"):
        number("a", missing="none")  # type: ignore[arg-type]  # as somebody may write it


def test_a_user_without_an_id_is_known_by_the_number_of_the_line(tmp_path: Path) -> None:
    class Nameless(Shopper):
        history_id_column: ClassVar[str | None] = None

    path = tmp_path / "shoppers.csv"
    path.write_text("spend,city,tags\n1,x,\nmuch,x,\n\n2,y,\n")
    history = read(path, Nameless)
    assert (history.id_header, users(history)) == ("line", ("2", "5"))


@pytest.mark.parametrize(
    ("written", "content", "named"),
    [
        ({}, "customer;spend;city;tags\n", r"semicolons.*CsvFormat\(delimiter=';'\)"),
        ({"delimiter": ";"}, "customer,spend,city,tags\n", r"commas.*CsvFormat\(delimiter=','\)"),
        ({}, "customer, Spend ,city,tags\n", "' Spend ' meant .*\"spend\""),
        ({}, "customer,spends,city,tags\n", "'spends' meant .*\"spend\""),
        ({}, "customer,spend,City,CITY,tags\n", "segment-trainer init"),
        ({}, "who,when,what,how\n", r"segment-trainer init \S+ -o profile.py"),
    ],
    ids=["semicolons", "commas", "case and spaces", "letters", "two alike", "another table"],
)
def test_a_header_that_does_not_fit_is_refused_with_what_to_do(
    tmp_path: Path, written: dict[str, Any], content: str, named: str
) -> None:
    path = tmp_path / "shoppers.csv"
    path.write_text(content)
    with pytest.raises(HistoryError, match=named), read_history(path, shopper(**written), lambda *_: None):
        pass


def test_bytes_of_another_encoding_are_named_with_their_line_and_what_to_declare(tmp_path: Path) -> None:
    path = tmp_path / "shoppers.csv"
    path.write_bytes(b"customer,spend,city,tags\na,1,x,\nb,1,K\xf6ln,\n")
    with pytest.raises(HistoryError, match=r"line 3 .*windows-1252"), read_history(path, Shopper, lambda *_: None):
        pass
