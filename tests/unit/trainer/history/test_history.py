import csv
import gzip
import hashlib
import json
import os
import time
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from schemas import UserProfile
from schemas.roles import Kind, category, number, several_of
from tests.support.histories import ADS_DATA, FIELDS, HEADER, noise, read, table, users, write
from trainer.errors import HistoryError
from trainer.history.arrow_copy import CHUNK_ROWS, LARGEST_NUMBER, CheckedCopy, CopyWriter, RowNumbers
from trainer.history.bad_rows import SHOWN, refuse_bad_rows
from trainer.history.history import USERS_COMPARED, read_history


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "history.csv"


def text_of(path: Path) -> str:
    return write(path, noise(3)).read_text(encoding="utf-8")


def test_a_history_keeps_its_order_and_reads_each_column_as_its_kind(path: Path) -> None:
    rows = noise(30)
    history = read(write(path, rows))
    assert users(history) == tuple(row["User ID"] for row in rows)
    assert table(history)["age"].tolist() == [row["Age"] for row in rows]
    assert table(history)["conversion_rate"].tolist() == [row["Conversion Rates"] for row in rows]
    assert table(history)["top_interests"].tolist() == [
        tuple(filter(None, row["Top Interests"].split(", "))) for row in rows
    ]
    assert history.bad_rows.count == 0
    assert history.digest == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.skipif(not ADS_DATA.exists(), reason="the advertising data set is not beside this checkout")
def test_the_advertising_data_set_is_a_history_without_a_bad_row() -> None:
    history = read(ADS_DATA)
    assert len(users(history)) == 1_000
    assert history.bad_rows.count == 0
    assert history.ignored_headers == ()


def test_a_history_longer_than_a_chunk_is_read_whole_and_progress_is_reported(path: Path) -> None:
    rows = noise(CHUNK_ROWS + 7)
    rows[-1]["Gender"] = "X"
    told: list[tuple[int, int]] = []
    with read_history(write(path, rows), UserProfile, lambda *done: told.append(done)) as history:
        size = path.stat().st_size
        assert told[-1] == (size, size)
        assert history.copy.chunk_rows == (CHUNK_ROWS, 7)
        assert users(history) == tuple(row["User ID"] for row in rows)
        assert table(history)["gender"].tolist() == [row["Gender"] for row in rows]


def test_users_are_left_out_of_every_chunk_and_the_time_of_a_chunk_does_not_depend_on_how_many() -> None:
    rows = 60_000
    fields = tuple(field for field in FIELDS if field.kind is Kind.NUMBER)[:1]
    writer = CopyWriter(fields)
    for first in range(0, rows, CHUNK_ROWS):
        numbers = range(first + 1, first + CHUNK_ROWS + 1)
        writer.add(numbers, [f"u{number}" for number in numbers], [np.array(numbers, dtype=np.float64)])
    copy = writer.finish()
    gone = np.arange(2, rows, 3)
    kept = copy.without(gone)
    assert len(kept.chunk_rows) == rows // CHUNK_ROWS
    assert np.array_equal(np.concatenate([*kept.row_numbers()]), np.setdiff1d(np.arange(1, rows + 1), gone))
    repeated = np.unique(np.concatenate([*copy.hashes()])[[0, 7, rows - 1]])
    assert [user for chunk in copy.identities(repeated) for user in chunk.users] == ["u1", "u8", f"u{rows}"]
    few, many = (_seconds(copy, np.arange(1, last)) for last in (1_000, 2_000_000))
    assert many < few + 0.2
    for each in (copy, kept):
        each.close()


def _seconds(copy: CheckedCopy, row_numbers: RowNumbers) -> float:
    before = time.process_time()
    copy.without(row_numbers).close()
    return time.process_time() - before


def test_a_byte_order_mark_before_the_first_line_is_no_part_of_it(path: Path) -> None:
    rows = noise(3)
    path.write_bytes(b"\xef\xbb\xbf" + text_of(path).encode())
    history = read(path)
    assert history.bad_rows.count == 0
    assert users(history) == tuple(row["User ID"] for row in rows)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"\n", "is empty"),
        ("User ID".encode("utf-16"), "is UTF-16: save it as UTF-8"),
        (",".join(HEADER).encode() + b"\n1,caf\xe9\n", "line 2 is not UTF-8"),
        ((",".join(HEADER) + "\n").encode(), "no rows"),
        ((";".join(HEADER) + "\n").encode(), "separated by semicolons"),
        (("\t".join(HEADER) + "\n").encode(), "separated by tabs"),
        (("|".join(HEADER) + "\n").encode(), "separated by vertical bars"),
        (b"a,b\n1,2\n", '"User ID", "Age", "Gender", .*"Top Interests"'),
        ((",".join(HEADER[:-1]) + "\n").encode(), 'lacks "Top Interests", which UserProfile needs'),
        (b"User ID ,age\n1,2\n", "lacks .*'User ID ', 'age'"),
        (b'{"age": 1}\n', "is JSON"),
        (b"[\n", "is JSON"),
        (b"PK\x03\x04\x14\x00\x06\x00", "is a spreadsheet: export the sheet as CSV"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "is a spreadsheet: export the sheet as CSV"),
        (b"<!DOCTYPE html>\n", "is HTML or XML"),
        (b"SQLite format 3\0", "is an SQLite database"),
        (b"a,b\0c\n", "not text"),
        ("a,b\n1,2\n".encode("utf-16-le"), "UTF-16"),
        (b"\nUser ID,Age\nu1,18-24\n", "line 1 has no column names"),
        (b"\n\n", "is empty"),
        ((",".join([*HEADER, "Age"]) + "\n").encode(), "more than one column named 'Age' \\(columns 2 and 17\\)"),
        ((",".join(HEADER) + '\n"user-1,18-24\n').encode(), "not valid CSV, starting at line 2"),
        (b'"User ID,Age\n', "not valid CSV, starting at line 1"),
        (b"User ID,Age\r1,18-24\r", "not valid CSV, starting at line 1"),
    ],
)
def test_a_file_that_is_no_history_is_refused_with_the_reason(path: Path, content: bytes, message: str) -> None:
    path.write_bytes(content)
    with pytest.raises(HistoryError, match=message) as refused:
        read(path)
    assert "\n" not in str(refused.value)
    assert str(path) in str(refused.value)


def test_a_file_that_cannot_be_opened_is_refused_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(HistoryError, match="does not exist"):
        read(tmp_path / "none.csv")
    with pytest.raises(HistoryError, match="is a directory"):
        read(tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser reads every file")
def test_a_file_without_read_rights_is_refused(path: Path) -> None:
    write(path, noise(1)).chmod(0)
    with pytest.raises(HistoryError, match="cannot be read: Permission denied"):
        read(path)


@pytest.mark.parametrize(
    ("header", "cell", "problem"),
    [
        ("Age", "", "Age: is empty"),
        ("Gender", "x" * 201, f"Gender: '{'x' * 40}…': string should have at most 200 characters"),
        ("Likes and Reactions", "many", "Likes and Reactions: 'many' should be a valid number"),
        ("Likes and Reactions", "1_000", "Likes and Reactions: '1_000' should be a valid number"),
        ("Likes and Reactions", "5640.5", "Likes and Reactions: '5640.5' should be a multiple of 1"),
        ("Followed Accounts", "-1", "Followed Accounts: '-1' should be greater than or equal to 0"),
        ("Followed Accounts", "", "Followed Accounts: is empty"),
        ("Conversion Rates", "1.1", "Conversion Rates: '1.1' should be less than or equal to 1"),
        ("Conversion Rates", "0,1", "Conversion Rates: '0,1' should be a valid number"),
        ("Conversion Rates", "nan", "Conversion Rates: 'nan' should be a finite number"),
        ("Conversion Rates", "1e999", "Conversion Rates: '1e999' should be a finite number"),
        ("Conversion Rates", "-inf", "Conversion Rates: '-inf' should be a finite number"),
        ("Top Interests", "c" * 201, f"Top Interests: '{'c' * 40}…': string should have at most 200 characters"),
        ("User ID", "", "User ID: is empty"),
    ],
)  # fmt: skip
def test_a_bad_row_is_named_with_line_column_and_reason(path: Path, header: str, cell: str, problem: str) -> None:
    rows = noise(5)
    rows[2][header] = cell
    history = read(write(path, rows))
    (bad_row,) = history.bad_rows.first
    assert (bad_row.number, bad_row.problem) == (4, problem)
    assert bad_row.cells == tuple(str(rows[2][name]) for name in HEADER)
    assert users(history) == ("user-0", "user-1", "user-3", "user-4")
    assert history.rows == 4


def test_every_problem_of_a_row_is_named(path: Path) -> None:
    rows = noise(2)
    rows[1] |= {"Age": "", "Conversion Rates": "much"}
    (bad_row,) = read(write(path, rows)).bad_rows.first
    assert bad_row.problem == "Age: is empty; Conversion Rates: 'much' should be a valid number"


def test_a_row_with_another_number_of_cells_is_a_bad_row(path: Path) -> None:
    path.write_text(text_of(path) + "user-9,18-24\n" + ",".join("x" * 20) + "\n", encoding="utf-8")
    history = read(path)
    assert [(row.number, row.problem) for row in history.bad_rows.first] == [
        (5, "the row: has 2 cells, the header has 16"),
        (6, "the row: has 20 cells, the header has 16"),
    ]


def test_a_user_named_again_is_a_bad_row_that_names_the_first_line(path: Path) -> None:
    rows = noise(4)
    rows[3]["User ID"] = "user-1"
    history = read(write(path, rows))
    assert [(row.number, row.problem) for row in history.bad_rows.first] == [
        (5, "User ID: 'user-1' is already on line 3")
    ]
    assert users(history) == ("user-0", "user-1", "user-2")


def test_a_bad_row_does_not_make_the_good_row_of_its_user_a_repetition(path: Path) -> None:
    rows = noise(3)
    rows[0] |= {"User ID": "user-2", "Age": ""}
    history = read(write(path, rows))
    assert [row.number for row in history.bad_rows.first] == [2]
    assert users(history) == ("user-1", "user-2")


def test_lines_are_those_of_the_file_where_cells_hold_line_breaks_and_lines_are_empty(path: Path) -> None:
    rows = noise(3)
    rows[0]["Language"] = "two\nlines"
    rows[2]["Age"] = ""
    lines = write(path, rows).read_bytes().replace(b"user-1", b"\r\n\r\nuser-1")
    path.write_bytes(lines)
    (bad_row,) = read(path).bad_rows.first
    assert bad_row.number == 7
    assert lines.splitlines()[bad_row.number - 1].startswith(b"user-2")


def test_columns_that_the_profile_class_does_not_have_are_ignored_and_named(path: Path) -> None:
    rows = [{"Score": 1, **row, "Notes": "x, y"} for row in noise(3)]
    history = read(write(path, rows))
    assert history.ignored_headers == ("Score", "Notes")
    assert table(history)["age"].tolist() == [row["Age"] for row in rows]


def test_the_first_bad_rows_are_shown_and_the_others_counted(path: Path) -> None:
    rows = noise(SHOWN + 5)
    for row in rows[2:]:
        row["Age"] = ""
    with pytest.raises(HistoryError) as refused:
        refuse_bad_rows(path, read(write(path, rows)).bad_rows, "correct them")
    first, *shown, last, way_out = str(refused.value).splitlines()
    assert first == f"{path} has 23 bad rows, nothing was written: correct them"
    assert shown == [f"  line {line}, Age: is empty" for line in range(4, 4 + SHOWN)]
    assert last == "  and 3 more"
    assert way_out.startswith("23 lines with an empty cell")
    assert "| None" in way_out


def test_cells_that_may_stand_for_no_value_are_counted_beyond_the_rows_that_are_shown(path: Path) -> None:
    rows = noise(SHOWN + 9)
    for row in rows[:SHOWN]:
        row["Age"] = "old"
    rows[-1]["Age"] = ""
    rows[-2]["Conversion Rates"] = " n/a"
    rows[-3]["Conversion Rates"] = "N/A"
    rows[-4] = rows[-5]
    with pytest.raises(HistoryError) as refused:
        refuse_bad_rows(path, read(write(path, rows)).bad_rows, "correct them")
    *_, empty, markers = str(refused.value).splitlines()
    assert empty.startswith("1 line with an empty cell")
    assert "missing=('N/A', 'n/a')" in markers


def test_a_history_without_a_bad_row_is_not_refused(path: Path) -> None:
    refuse_bad_rows(path, read(write(path, noise(3))).bad_rows, "correct them")


class Shop(BaseModel):
    model_config = ConfigDict(validate_by_name=True, validate_by_alias=False)

    history_id_column: ClassVar[str] = "customer"

    orders: Annotated[int, number("sales"), Field(strict=True, ge=0)]
    refunds: Annotated[float, number("sales")]
    country: Annotated[str, category("place")] = Field(alias="Land")

    @model_validator(mode="after")
    def not_more_refunds_than_orders(self) -> "Shop":
        if self.refunds > self.orders:
            raise ValueError("more refunds than orders")
        return self


def test_a_class_of_ones_own_is_the_rule_its_own_checks_included(path: Path) -> None:
    path.write_text("customer,Land,orders,refunds\na,FR,3,1\nb,FR,1,2.5\nc,FR,1.5,0\n", encoding="utf-8")
    with read_history(path, Shop, lambda *_: None) as history:
        assert users(history) == ("a",)
        assert [(row.number, row.problem) for row in history.bad_rows.first] == [
            (3, "the row: value error, more refunds than orders"),
            (4, "orders: '1.5' should be a valid integer"),
        ]


class Open(BaseModel):
    history_id_column: ClassVar[str] = "who"

    spent: Annotated[float, number("sales")]
    visits: Annotated[int, number("sales")]
    tags: Annotated[frozenset[str], several_of("interest")]


def test_a_number_that_no_event_can_hold_is_a_bad_row_though_the_class_takes_it(path: Path) -> None:
    huge = "1" + "0" * 400
    path.write_text(f"who,spent,visits,tags\na,1.5,2,\nb,inf,2,\nc,nan,2,\nd,1,{huge},\n", encoding="utf-8")
    with read_history(path, Open, lambda *_: None) as history:
        assert users(history) == ("a",)
        assert [row.problem for row in history.bad_rows.first] == [
            "spent: 'inf' should be a finite number",
            "spent: 'nan' should be a finite number",
            f"visits: '{huge[:40]}…' should be a finite number",
        ]


def test_the_labels_of_a_set_have_one_order_in_every_process(path: Path) -> None:
    tags = ",".join(f"tag {i:02}" for i in range(40))
    path.write_text(f'who,spent,visits,tags\na,1.5,2,"{tags}"\n', encoding="utf-8")
    with read_history(path, Open, lambda *_: None) as history:
        assert table(history)["tags"].tolist() == [tuple(tags.split(","))]


# --- users who are there twice ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("compared", [USERS_COMPARED, 3])
def test_a_repeated_user_is_found_however_many_are_compared_at_a_time(
    path: Path, monkeypatch: pytest.MonkeyPatch, compared: int
) -> None:
    monkeypatch.setattr("trainer.history.history.USERS_COMPARED", compared)
    rows = noise(40)
    for at, earlier in ((39, 0), (12, 7), (13, 7)):
        rows[at]["User ID"] = f"user-{earlier}"
    history = read(write(path, rows))
    assert [(row.number, row.problem) for row in history.bad_rows.first] == [
        (14, "User ID: 'user-7' is already on line 9"),
        (15, "User ID: 'user-7' is already on line 9"),
        (41, "User ID: 'user-0' is already on line 2"),
    ]
    assert users(history) == tuple(f"user-{i}" for i in range(40) if i not in {12, 13, 39})
    assert table(history)["age"].tolist() == [row["Age"] for i, row in enumerate(rows) if i not in {12, 13, 39}]


def test_users_whose_hashes_are_equal_are_not_taken_for_the_same(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trainer.history.arrow_copy.hash", len, raising=False)
    history = read(write(path, [*noise(20), noise(5)[4]]))
    assert len(users(history)) == 20
    assert [row.problem for row in history.bad_rows.first] == ["User ID: 'user-4' is already on line 6"]


def test_labels_that_only_repeated_rows_have_are_no_labels_of_the_history(path: Path) -> None:
    rows = noise(30)
    rows[20] |= {"User ID": "user-3", "Language": "Esperanto"}
    assert "Esperanto" not in read(write(path, rows)).label_counts("language")


def test_bad_rows_are_written_in_the_order_of_the_file_with_their_cells(path: Path) -> None:
    rows = [{**row, "Notes": "kept, too"} for row in noise(30)]
    rows[25]["Age"] = rows[5]["Age"] = ""
    rows[9]["User ID"] = "user-2"
    history = read(write(path, rows))
    history.bad_rows.write(path.with_name("bad.csv"))
    with path.with_name("bad.csv").open(encoding="utf-8", newline="") as file:
        header, *written = csv.reader(file)
    assert header == ["line", "problem", *HEADER, "Notes"]
    assert [row[:3] for row in written] == [
        ["7", "Age: is empty", "user-5"],
        ["11", "User ID: 'user-2' is already on line 4", "user-2"],
        ["27", "Age: is empty", "user-25"],
    ]
    assert [row[-1] for row in written] == ["kept, too"] * 3


# --- what is in the copy ---------------------------------------------------------------------------------------------


def test_labels_are_counted_by_users_not_by_how_often_one_has_them(path: Path) -> None:
    rows = noise(3)
    for row, items in zip(rows, ("Gaming, Gaming, Pet Care", "Gaming", ""), strict=True):
        row["Top Interests"] = items
    history = read(write(path, rows))
    assert history.label_counts("top_interests") == {"Gaming": 2, "Pet Care": 1}
    assert sum(history.label_counts("age").values()) == 3


def test_a_sample_is_seeded_in_the_order_of_the_file_and_leaves_nobody_out_where_all_fit(path: Path) -> None:
    rows = [row | {"Likes and Reactions": i} for i, row in enumerate(noise(CHUNK_ROWS + 500))]
    history = read(write(path, rows))
    first, again, other = (history.sample(300, seed) for seed in (1, 1, 2))
    assert first.equals(again)
    assert not first.equals(other)
    assert len(first) == 300
    assert first["likes_and_reactions"].is_monotonic_increasing
    assert first["likes_and_reactions"].is_unique
    assert first["likes_and_reactions"].max() > CHUNK_ROWS
    assert history.sample(len(rows), 1)["likes_and_reactions"].tolist() == [*range(len(rows))]


def test_chunks_hold_only_the_columns_asked_for(path: Path) -> None:
    history = read(write(path, noise(10)))
    (chunk,) = history.chunks(["age", "top_interests"])
    assert [*chunk.columns] == ["age", "top_interests"]


def test_a_hundred_thousand_different_labels_are_read(path: Path) -> None:
    rows = noise(1_000)
    for i, row in enumerate(rows):
        row["Top Interests"] = ", ".join(f"interest {j}" for j in range(i * 100, i * 100 + 100))
    history = read(write(path, rows))
    assert len(history.label_counts("top_interests")) == 100_000
    assert history.fields == FIELDS


def test_a_column_with_more_labels_than_that_is_not_recorded(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trainer.history.arrow_copy.MOST_LABELS", 10)
    rows = noise(CHUNK_ROWS + 30)
    for i, row in enumerate(rows):
        row["Language"], row["Top Interests"] = f"language {i}", f"interest {i}"
    history = read(write(path, rows))
    assert {field.name for field in FIELDS} - {field.name for field in history.fields} == {"language", "top_interests"}
    assert table(history)["age"].tolist() == [row["Age"] for row in rows]
    history.require(["age"])
    with pytest.raises(HistoryError, match=r'column "Language" has more than .* labels, far more than the model has'):
        history.require(["age", "language"])


def test_nothing_lies_in_the_folder_for_temporary_files_even_while_a_history_is_open(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setenv("TMPDIR", str(scratch))
    monkeypatch.setattr("tempfile.tempdir", None)
    with read_history(write(path, noise(50)), UserProfile, lambda *_: None) as history:
        assert history.rows == 50
        assert [*scratch.iterdir()] == []


# --- other kinds of file ---------------------------------------------------------------------------------------------


def test_a_compressed_history_is_the_same_history_whatever_it_is_called(path: Path) -> None:
    rows = noise(200)
    plain = read(write(path, rows))
    compressed = path.with_name("users.export")
    compressed.write_bytes(gzip.compress(path.read_bytes()))
    history = read(compressed)
    assert table(history).equals(table(plain))
    assert users(history) == users(plain)
    assert history.digest == hashlib.sha256(compressed.read_bytes()).hexdigest()


def test_a_compressed_history_that_is_cut_off_is_refused(path: Path) -> None:
    whole = gzip.compress(write(path, noise(500)).read_bytes())
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(HistoryError, match=r"is cut off or damaged \(gzip: Compressed file ended .*\): copy it again"):
        read(path)
    path.write_bytes(whole[:-8] + b"\0" * 8)
    with pytest.raises(HistoryError, match=r"is cut off or damaged \(gzip: CRC check failed"):
        read(path)


# What an event can hold and a CSV cell can too, the bounds of the profile class on both sides.
numbers = st.one_of(st.integers(-5, 12_000), st.floats(-1, 30).map(lambda x: round(x, 3)), st.floats(allow_nan=False))
labels = st.text(st.characters(exclude_categories=["Cs"]), max_size=210)
items = st.lists(st.sampled_from(["Gaming", "Travel", "été", "x" * 201]), max_size=4)


@st.composite
def profiles(draw: st.DrawFn) -> dict[str, Any]:
    strategies = {Kind.NUMBER: numbers, Kind.ORDERED: labels, Kind.CATEGORY: labels, Kind.SEVERAL_OF: items}
    valid = noise(1, seed=draw(st.integers(0, 99)))[0]
    profile: dict[str, Any] = {
        field.name: valid[field.header].split(", ") if field.kind is Kind.SEVERAL_OF else valid[field.header]
        for field in FIELDS
    }
    profile["top_interests"] = [item for item in profile["top_interests"] if item]
    for field in draw(st.lists(st.sampled_from(FIELDS), max_size=2)):
        profile[field.name] = draw(strategies[field.kind])
    return profile


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=100, deadline=None)
@given(st.lists(profiles(), min_size=1, max_size=4))
def test_a_row_is_good_exactly_when_the_same_profile_in_an_event_is(tmp_path: Path, given_profiles: list[Any]) -> None:
    path = tmp_path / "history.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(HEADER)
        for i, profile in enumerate(given_profiles):
            values = [profile[field.name] for field in FIELDS]
            writer.writerow([f"user-{i}", *(", ".join(v) if isinstance(v, list) else v for v in values)])
    expected = {}
    for i, profile in enumerate(given_profiles):
        try:
            expected[f"user-{i}"] = UserProfile.model_validate_json(json.dumps(profile))
        except ValidationError:
            continue
    with read_history(path, UserProfile, lambda *_: None) as history:
        assert users(history) == tuple(expected)
        assert history.bad_rows.count == len(given_profiles) - len(expected)
        found = table(history)
    for field in FIELDS:
        given = [getattr(profile, field.name) for profile in expected.values()]
        # Clipped, so that the sums and squares of all of them are finite.
        read = [min(value, LARGEST_NUMBER) for value in given] if field.kind is Kind.NUMBER else given
        assert found[field.name].tolist() == read
