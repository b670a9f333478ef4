"""Histories in Parquet files, written by hand with the types that people's tools write."""

from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, ClassVar

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import BaseModel, ConfigDict, Field

from schemas.roles import days_since, several_of
from tests.support.histories import HEADER, columns, noise, read, table, users, write
from trainer.errors import HistoryError
from trainer.history.arrow_copy import CHUNK_ROWS
from trainer.profiling.table import read_table


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "history.parquet"


def parquet(path: Path, rows: list[dict[str, Any]], row_group_size: int | None = None, **types: Any) -> Path:
    """The rows as a Parquet file; types are those of the columns of these names, with _ for a space."""
    columns = {header: [row[header] for row in rows] for header in rows[0]}
    arrays = {header: pa.array(values, types.get(header.replace(" ", "_"))) for header, values in columns.items()}
    pq.write_table(pa.table(arrays), path, row_group_size=row_group_size)
    return path


def with_lists(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [row | {"Top Interests": [item for item in row["Top Interests"].split(", ") if item]} for row in rows]


def test_a_parquet_file_is_the_history_that_its_csv_file_is(path: Path, tmp_path: Path) -> None:
    rows = noise(CHUNK_ROWS + 40)
    plain = read(write(tmp_path / "history.csv", rows))
    for given in (rows, with_lists(rows)):
        history = read(parquet(path, given, row_group_size=1_300))
        assert table(history).equals(table(plain))
        assert users(history) == users(plain)
        # The same chunks too, so that a fit adds up in the same order.
        assert history.copy.chunk_rows == plain.copy.chunk_rows
        path.unlink()


@pytest.mark.parametrize(
    ("types", "change"),
    [
        ({"Age": pa.dictionary(pa.int8(), pa.string())}, {}),
        ({"Age": pa.large_string()}, {}),
        ({"User_ID": pa.int64()}, {"User ID": 7}),
        ({"Conversion_Rates": pa.decimal128(9, 4)}, {}),
        ({"Likes_and_Reactions": pa.float64()}, {}),
        ({"Followed_Accounts": pa.uint16()}, {}),
        ({"Top_Interests": pa.large_list(pa.string())}, {"Top Interests": ["Gaming"]}),
        ({"Top_Interests": pa.null()}, {"Top Interests": None}),
    ],
)
def test_every_type_that_holds_the_right_values_is_taken(path: Path, types: Any, change: dict[str, Any]) -> None:
    row = noise(1)[0] | change
    if "Conversion_Rates" in types:
        row["Conversion Rates"] = Decimal(str(row["Conversion Rates"]))
    history = read(parquet(path, [row], **types))
    assert history.bad_rows.count == 0
    assert users(history) == (str(row["User ID"]),)


@pytest.mark.parametrize(
    ("header", "value", "message"),
    [
        ("Conversion Rates", "0.1", 'column "Conversion Rates" has the type string, .* a number:'),
        ("Conversion Rates", True, 'column "Conversion Rates" has the type bool, .* a number:'),
        ("Age", 25, 'column "Age" has the type int64, .* text:'),
        ("Age", ["18-24"], 'column "Age" has the type list<.*>, .* text:'),
        ("Top Interests", 3, 'column "Top Interests" has the type int64, .* a list of text, or text with commas'),
        ("Top Interests", [3], 'column "Top Interests" has the type list<.*>, .* a list of text, or text with commas'),
        ("User ID", True, 'column "User ID" has the type bool, .* text or numbers:'),
    ],
)
def test_a_column_of_another_type_is_refused_with_both_types(
    path: Path, header: str, value: object, message: str
) -> None:
    with pytest.raises(HistoryError, match=message) as refused:
        read(parquet(path, [row | {header: value} for row in noise(3)]))
    assert "\n" not in str(refused.value)
    assert str(path) in str(refused.value)


def test_a_value_that_is_missing_is_an_empty_cell(path: Path) -> None:
    rows = with_lists(noise(5))
    for row, header in zip(rows, ("Age", "Conversion Rates", "User ID", "Top Interests"), strict=False):
        row[header] = None
    history = read(parquet(path, rows))
    assert [(row.number, row.problem) for row in history.bad_rows.first] == [
        (1, "Age: is empty"),
        (2, "Conversion Rates: is empty"),
        (3, "User ID: is empty"),
    ]
    assert table(history)["top_interests"].tolist()[0] == ()
    assert users(history) == ("user-3", "user-4")


def test_bad_rows_are_counted_in_rows_and_keep_their_cells(path: Path, tmp_path: Path) -> None:
    rows = with_lists(noise(6))
    rows[2] |= {"Conversion Rates": 1.5, "Top Interests": ["Gaming", "x" * 201]}
    rows[4]["User ID"] = "user-1"
    rows[5]["Likes and Reactions"] = -3
    history = read(parquet(path, [row | {"When": 5} for row in rows]))
    too_high = "'1.5' should be less than or equal to 1"
    too_long = f"'Gaming, {'x' * 32}…': string should have at most 200 characters"
    assert history.ignored_headers == ("When",)
    assert [(row.number, row.problem) for row in history.bad_rows.first] == [
        (3, f"Conversion Rates: {too_high}; Top Interests: {too_long}"),
        (5, "User ID: 'user-1' is already in row 2"),
        (6, "Likes and Reactions: '-3' should be greater than or equal to 0"),
    ]
    history.bad_rows.write(tmp_path / "bad.csv")
    lines = (tmp_path / "bad.csv").read_text(encoding="utf-8").splitlines()
    assert lines[0] == ",".join(["row", "problem", *HEADER])
    assert len(lines) == 4


def test_a_number_that_is_not_one_is_a_bad_row(path: Path) -> None:
    rows = noise(3)
    rows[1]["Conversion Rates"] = float("nan")
    history = read(parquet(path, rows))
    assert [row.problem for row in history.bad_rows.first] == ["Conversion Rates: is empty"]


@pytest.mark.parametrize("type_", [pa.float64(), pa.decimal128(18, 2), pa.dictionary(pa.int32(), pa.int64())])
def test_a_whole_number_that_is_an_id_has_no_decimal_point_however_it_is_stored(path: Path, type_: Any) -> None:
    rows = [row | {"User ID": 1_000 + i} for i, row in enumerate(noise(3))]
    rows[1]["User ID"] = None
    history = read(parquet(path, rows, User_ID=type_))
    assert users(history) == ("1000", "1002")
    assert [row.problem for row in history.bad_rows.first] == ["User ID: is empty"]


@pytest.mark.parametrize("id_", ["1234567890123456789012345678901.0000000", "1234567890123456789012345678901.5000000"])
def test_an_id_may_have_more_digits_than_decimals_are_computed_with(path: Path, id_: str) -> None:
    history = read(parquet(path, [noise(1)[0] | {"User ID": Decimal(id_)}], User_ID=pa.decimal128(38, 7)))
    assert users(history) == (id_.removesuffix(".0000000"),)


def test_a_text_that_is_declared_as_missing_is_no_empty_list_in_either_file(path: Path, tmp_path: Path) -> None:
    class Reader(BaseModel):
        history_id_column: ClassVar[None] = None
        tags: Annotated[list[str], several_of("interest", missing=("N/A",))]

    plain = tmp_path / "history.csv"
    plain.write_text('tags,other\na,1\nN/A,1\n"",1\n')
    pq.write_table(pa.table({"tags": ["a", "N/A", ""]}), path)
    found = [read(each, Reader) for each in (plain, path)]
    assert [columns(each)["tags"] for each in found] == [[("a",), ()]] * 2
    assert [[row.problem for row in each.bad_rows] for each in found] == [["tags: is empty"]] * 2


def test_ids_that_lost_their_last_digits_are_refused(path: Path) -> None:
    rows = [row | {"User ID": float(2**53 + 2 * i)} for i, row in enumerate(noise(2))]
    with pytest.raises(HistoryError, match='column "User ID" has ids beyond 9,007,199,254,740,992 stored as floats'):
        read(parquet(path, rows))


def test_a_parquet_file_that_is_no_history_is_refused_with_the_reason(path: Path) -> None:
    whole = parquet(path, noise(300)).read_bytes()
    path.write_bytes(whole[:-200])
    with pytest.raises(HistoryError, match=r"is a damaged Parquet file \(.*\): write it again"):
        read(path)
    path.write_bytes(whole[:4] + b"\0" * 3_000 + whole[3_004:])
    with pytest.raises(HistoryError, match=r"is a damaged Parquet file \(.*\): write it again"):
        read(path)
    parquet(path, [{header: row[header] for header in HEADER if header != "Age"} for row in noise(3)])
    with pytest.raises(HistoryError, match='lacks "Age", which UserProfile needs'):
        read(path)
    pq.write_table(pa.table({header: pa.array([], pa.string()) for header in HEADER}), path)
    with pytest.raises(HistoryError, match='column "Likes and Reactions" has the type string'):
        read(path)
    pq.write_table(pq.read_table(parquet(path, noise(3))).slice(0, 0), path)
    with pytest.raises(HistoryError, match="no rows"):
        read(path)


@pytest.mark.parametrize(
    "values",
    [
        pa.array([0] * 1_000 + [253_402_300_800_000_000, 0], pa.int64()).cast(pa.timestamp("us")),
        pa.array([0] * 1_000 + [2_932_897, 0], pa.int32()).cast(pa.date32()),
        pa.array([b"a"] * 1_000 + [b"\xff", b"a"]).view(pa.string()),
    ],
    ids=["timestamp after the year 9999", "date after the year 9999", "text that is not UTF-8"],
)
def test_a_value_that_python_cannot_hold_is_refused_with_its_row_and_column(path: Path, values: Any) -> None:
    pq.write_table(pa.table({"User ID": [f"u{i}" for i in range(1_002)], "Last Order": values}), path)

    class Buyer(BaseModel):
        history_id_column: ClassVar[str] = "User ID"
        last_order: Annotated[date, days_since("behaviour")] = Field(alias="Last Order")
        model_config = ConfigDict(validate_by_name=True, validate_by_alias=False)

    for reads in (read_table, lambda path: read(path, Buyer)):
        with pytest.raises(HistoryError, match='row 1001: column "Last Order" has a value that cannot be read'):
            reads(path)
