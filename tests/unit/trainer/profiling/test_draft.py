"""What `segment-trainer init` makes of tables that nobody prepared."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from schemas.csv_format import CsvFormat, history_format
from schemas.event_columns import EventReader
from schemas.events import UserEvent
from schemas.rejected import RejectReason
from schemas.roles import load_profile_class, profile_fields
from tests.support.histories import read, table, users
from tests.support.reading import parse_event, read_events
from trainer.commands.init import init
from trainer.errors import HistoryError
from trainer.profiling.columns import Kept, LeftOut
from trainer.profiling.draft import MOST_FIELDS, Draft, draft_of
from trainer.profiling.source_text import example_event
from trainer.profiling.table import read_table

Columns = dict[str, Sequence[Any]]
USERS = 120
NUMBERED = range(USERS)


def drafted(path: Path) -> Draft:
    return draft_of(path, read_table(path))


def as_csv(path: Path, columns: Columns, delimiter: str = ",") -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter=delimiter)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))
    return path


def roles(draft: Draft) -> dict[str, str]:
    """Each column's header -> "id", the kind of its field, or "left out"."""
    return {
        column.header: "id"
        if column.role is None
        else column.role.kind
        if isinstance(column.role, Kept)
        else "left out"
        for column in draft.columns
    }


def reason(draft: Draft, header: str) -> str:
    (role,) = (column.role for column in draft.columns if column.header == header)
    assert role is not None
    return role.reason


def kept(draft: Draft, header: str) -> Kept:
    (role,) = (column.role for column in draft.columns if column.header == header)
    assert isinstance(role, Kept)
    return role


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "customers.csv"


SPEND = [round(20 + (i * 37 % 101) * 1.01, 2) for i in NUMBERED]
VISITS = [i * 7 % 30 for i in NUMBERED]


# --- every dialect ---------------------------------------------------------------------------------------------------

CITIES = ["Köln", "Paris", "Málaga"]
STATUS = ["none", "silver", "gold"]
TAGS = [("a", "b"), ("b",), ("a", "c"), (), ("c", "b")]


@st.composite
def dialects(draw: st.DrawFn) -> dict[str, Any]:
    decimal, thousands = draw(
        st.sampled_from([(".", ""), (".", ","), (",", ""), (",", "."), (".", " "), (",", " "), (".", "'")])
    )
    delimiter = draw(st.sampled_from([",", ";", "\t", "|"]))
    items = draw(st.sampled_from([each for each in (",", ";", "|") if each != delimiter]))
    return {
        "delimiter": delimiter,
        "items": items,
        "decimal": decimal,
        "thousands": thousands,
        "encoding": draw(st.sampled_from(["utf-8", "utf-8-sig", "windows-1252"])),
        "newline": draw(st.sampled_from(["\n", "\r\n"])),
        "separator_line": draw(st.booleans()),
        "symbol": draw(st.sampled_from(["", "$", " €", " %", " kr"])),
        "quoted": draw(st.booleans()),
        "missing": draw(st.sampled_from(["", "NA", "-", " ", "NULL"])),
    }


def number_text(value: float, dialect: dict[str, Any]) -> str:
    text = f"{value:,.2f}" if dialect["thousands"] else f"{value:.2f}"
    text = text.translate(str.maketrans({",": dialect["thousands"], ".": dialect["decimal"]}))
    symbol = dialect["symbol"]
    return f"{symbol}{text}" if symbol == "$" else f"{text}{symbol}"


def in_dialect(path: Path, dialect: dict[str, Any]) -> Path:
    text = io.StringIO()
    writer = csv.writer(
        text,
        delimiter=dialect["delimiter"],
        quoting=csv.QUOTE_ALL if dialect["quoted"] else csv.QUOTE_MINIMAL,
        lineterminator="\n",
    )
    writer.writerow(["Customer ID", "Umsatz", "visits", "city", "status", "tags"])
    for i in NUMBERED:
        amount = dialect["missing"] if i == 7 else number_text(SPEND[i] * 50, dialect)
        tags = dialect["items"].join(TAGS[i % 5])
        writer.writerow([f"K-{i:04}", amount, VISITS[i], CITIES[i % 3], STATUS[i % 3], tags])
    content = text.getvalue()
    if dialect["separator_line"]:
        content = f"sep={dialect['delimiter']}\n{content}"
    path.write_bytes(content.replace("\n", dialect["newline"]).encode(dialect["encoding"]))
    return path


@given(dialects())
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_table_in_any_dialect_is_read_by_the_class_that_init_writes(
    tmp_path_factory: pytest.TempPathFactory, dialect: dict[str, Any]
) -> None:
    folder = tmp_path_factory.mktemp("dialect")
    data = in_dialect(folder / "customers.csv", dialect)
    done = init(data, folder / "profile.py", "")
    assert roles(done.draft) == {
        "Customer ID": "id",
        "Umsatz": "number",
        "visits": "number",
        "city": "category",
        "status": "ordered",
        "tags": "several-of",
    }
    profile_class = load_profile_class(f"{done.output}:Customer")
    history = read(data, profile_class)
    assert (history.bad_rows.count, done.draft.bad_rows, "--skip-bad-rows" in done.next_command) == (0, 0, False)
    read_back = table(history)
    amounts = [math.nan if i == 7 else SPEND[i] * 50 for i in NUMBERED]
    assert read_back["umsatz"].tolist() == pytest.approx(amounts, abs=0.006, nan_ok=True)
    assert read_back["city"].tolist() == [CITIES[i % 3] for i in NUMBERED]
    assert read_back["tags"].tolist() == [TAGS[i % 5] for i in NUMBERED]


def test_nothing_is_declared_where_a_file_is_as_the_class_expects_it(path: Path, tmp_path: Path) -> None:
    as_csv(path, {"id": NUMBERED, "spend": SPEND, "visits": VISITS})
    done = init(path, tmp_path / "profile.py", "")
    assert done.draft.written == CsvFormat()
    assert "CsvFormat" not in done.output.read_text()


@pytest.mark.parametrize(
    ("cells", "written"),
    [
        (["1,234", "14,364", "825"], {"thousands": ","}),
        (["1,5", "0,125", "12"], {"decimal": ","}),
        (["1.234,5", "825,0", "7"], {"decimal": ",", "thousands": "."}),
        (["1,234.5", "825.25", "7"], {"thousands": ","}),
        (["1.234", "825.125", "7"], {}),
        (["12 %", "7 %", "100 %"], {"symbols": ("%",)}),
        (["$12.50", "-$3.10", "$1"], {"symbols": ("$",)}),
        (["12", "N/A", "7"], {"missing": ("N/A",)}),
    ],
)
def test_numbers_are_declared_as_they_are_written(path: Path, cells: list[str], written: dict[str, Any]) -> None:
    # Few cells are missing, or the column would be left out.
    values = [cells[i % 3] if cells[i % 3] != "N/A" or i < 4 else "5" for i in NUMBERED]
    draft = drafted(as_csv(path, {"id": NUMBERED, "value": values, "visits": VISITS}))
    assert draft.written == CsvFormat(**written)
    assert roles(draft)["value"] == "number"


# --- roles -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "values", "role"),
    [
        ("spend", SPEND, "number"),
        ("active", [i % 2 for i in NUMBERED], "boolean"),
        ("store code", [i % 4 for i in NUMBERED], "category"),
        ("plan", [("free", "pro", "team")[i % 3] for i in NUMBERED], "category"),
        ("newsletter", [i % 3 == 0 for i in NUMBERED], "boolean"),
        ("age group", [("18-24", "25-34", "65+")[i % 3] for i in NUMBERED], "ordered"),
        ("children", [("0", "1", "2", "3+")[i % 4] for i in NUMBERED], "ordered"),
        ("likes", [("a, b", "b, c", "a", "c, a")[i % 4] for i in NUMBERED], "several-of"),
        ("shelf", [("Home, Garden", "Toys, Games", "Books")[i % 3] for i in NUMBERED], "category"),
        ("place", [("Paris, France", "Nice, France", "Rome, Italy")[i % 3] for i in NUMBERED], "category"),
        ("constant", ["x"] * USERS, "left out"),
        ("empty", [""] * USERS, "left out"),
        ("code", [f"u{i}" for i in NUMBERED], "left out"),
        ("signup", [f"2024-{1 + i % 12:02}-{1 + i % 28:02}" for i in NUMBERED], "days-since"),
        ("email", [f"a{i}@example.org" for i in NUMBERED], "left out"),
        ("comment", [f"I have bought {i} nice things here so far" for i in NUMBERED], "left out"),
        ("suburb", [f"place {i % 60}" for i in NUMBERED], "left out"),
        ("mixed", [i if i % 3 else "many" for i in NUMBERED], "left out"),
        ("mostly empty", [i if i % 3 == 0 else "" for i in NUMBERED], "left out"),
        ("row key", [1000 + i for i in NUMBERED], "left out"),
        ("dept", [f"{i % 7:04}" for i in NUMBERED], "category"),
        ("likes", [str([*TAGS[i % 5]]) for i in NUMBERED], "left out"),
        ("likes", [f"{{{','.join(TAGS[i % 5])}}}" for i in NUMBERED], "left out"),
    ],
)  # fmt: skip
def test_each_column_gets_the_role_that_fits_its_values(
    path: Path, header: str, values: Sequence[Any], role: str
) -> None:
    draft = drafted(as_csv(path, {"customer_id": [f"K{i}" for i in NUMBERED], header: values, "visits": VISITS}))
    assert roles(draft)["customer_id"] == "id"
    assert roles(draft)[header] == role
    assert reason(draft, header)


def test_more_than_200_labels_are_left_out(path: Path) -> None:
    rows = range(2_000)
    columns: Columns = {
        "id": rows,
        "shop": [f"shop {i % 201}" for i in rows],
        "town": [f"town {i % 200}" for i in rows],
    }
    draft = drafted(as_csv(path, columns))
    assert (roles(draft)["shop"], roles(draft)["town"]) == ("left out", "category")
    assert "201" in reason(draft, "shop")


def test_dates_in_three_formats_are_left_out_with_the_line_of_each(path: Path) -> None:
    forms = ["2024-02-22", "22.02.2024", "2/22/2024"]
    draft = drafted(as_csv(path, {"id": NUMBERED, "signup": [forms[i % 3] for i in NUMBERED], "visits": VISITS}))
    assert all(f"{form} on line {line}" in reason(draft, "signup") for line, form in enumerate(forms, start=2))


def test_a_mixed_column_is_left_out_with_the_line_of_the_first_text(path: Path) -> None:
    values = ["x" if i >= 100 else i for i in NUMBERED]
    draft = drafted(as_csv(path, {"id": NUMBERED, "value": values, "visits": VISITS}))
    assert reason(draft, "value") == "mixed: 83 % are numbers, but line 102 has text"


def test_a_field_with_missing_values_is_optional_and_only_that_one(path: Path) -> None:
    columns: Columns = {
        "id": NUMBERED,
        "Spend": ["" if i < 30 else value for i, value in enumerate(SPEND)],
        "plan": ["N/A" if i % 9 == 0 else ("a", "b", "c")[i % 3] for i in NUMBERED],
        "level": ["" if i % 7 == 0 else ("low", "high")[i % 2] for i in NUMBERED],
        "member": ["" if i % 5 == 0 else ("yes", "no")[i % 2] for i in NUMBERED],
        "joined": ["" if i % 8 == 0 else f"2025-01-{i % 28 + 1:02}" for i in NUMBERED],
        "likes": [("a, b", "b, c", "", "c, a")[i % 4] for i in NUMBERED],
        "visits": VISITS,
    }
    done = init(as_csv(path, columns), path.with_name("profile.py"), "")
    profile_class = load_profile_class(f"{done.output}:Customer")
    assert {field.name: field.optional for field in profile_fields(profile_class)} == {
        "spend": True, "plan": True, "level": True, "member": True, "joined": True, "likes": False, "visits": False,
    }  # fmt: skip
    assert (read(path, profile_class).bad_rows.count, done.draft.bad_rows) == (0, 0)
    assert EventReader(profile_class, 900_000).one_by_one_because is None
    event = example_event(done.draft)
    for data in (event["data"], {name: event["data"][name] for name in ("likes", "visits")}):
        events, rejections = read_events(EventReader(profile_class, 900_000), [orjson.dumps({**event, "data": data})])
        assert {one.reason for one in rejections.values()} <= {RejectReason.TOO_LITTLE_KNOWN}
        assert len(events.rows) + len(rejections) == 1


def test_a_few_cells_that_are_no_numbers_cost_rows_and_a_column_that_most_lack_is_left_out(path: Path) -> None:
    few = ["" if i == 3 else "x" if i == 4 else value for i, value in enumerate(SPEND)]
    many = ["" if i < 66 else value for i, value in enumerate(VISITS)]
    draft = drafted(as_csv(path, {"id": NUMBERED, "few": few, "many": many, "visits": VISITS}))
    assert (roles(draft)["few"], roles(draft)["many"], draft.bad_rows) == ("number", "left out", 1)
    assert "55 %" in reason(draft, "many")
    (column,) = (each for each in draft.columns if each.header == "many")
    assert isinstance(column.role, LeftOut)
    assert column.role.otherwise is not None, "so that it can be uncommented"


def test_na_is_a_label_among_codes_and_missing_elsewhere(path: Path) -> None:
    countries = [("DE", "US", "NA", "FR")[i % 4] for i in NUMBERED]
    assert drafted(as_csv(path, {"id": NUMBERED, "country": countries, "visits": VISITS})).written == CsvFormat()
    plans = ["NA" if i == 5 else ("free", "team")[i % 2] for i in NUMBERED]
    draft = drafted(as_csv(path, {"id": NUMBERED, "plan": plans, "visits": VISITS}))
    assert draft.written == CsvFormat(missing=("NA",))


@pytest.mark.parametrize(
    ("marker", "labels", "role"),
    [("none", ("none", "silver", "gold"), "ordered"), ("NA", ("NA", "EU", "AS"), "category")],
)
def test_a_marker_of_one_column_that_is_a_label_in_another_is_missing_in_the_first_only(
    path: Path, marker: str, labels: Sequence[str], role: str
) -> None:
    columns: Columns = {
        "id": NUMBERED,
        "complaints": [marker if i % 10 == 0 else i % 7 for i in NUMBERED],
        "tier": [labels[i % 3] for i in NUMBERED],
        "plan": ["N/A" if i % 9 == 0 else ("a", "b", "c")[i % 3] for i in NUMBERED],
    }
    done = init(as_csv(path, columns), path.with_name("profile.py"), "")
    assert roles(done.draft) == {"id": "id", "complaints": "number", "tier": role, "plan": "category"}
    assert done.draft.written.missing == ("N/A",)
    history = read(path, load_profile_class(f"{done.output}:Customer"))
    assert history.bad_rows.count == 0
    found = table(history).isna().mean()
    assert (found["complaints"], found["tier"], found["plan"]) == (0.1, 0.0, pytest.approx(14 / 120))


def test_a_minus_beside_a_plus_is_a_sign_and_no_missing_label(path: Path) -> None:
    columns: Columns = {"id": NUMBERED, "rh": [("+", "-")[i % 3 == 0] for i in NUMBERED], "visits": VISITS}
    draft = drafted(as_csv(path, columns))
    assert (kept(draft, "rh").kind, draft.written.missing) == ("category", ())


def test_what_is_missing_in_parquet_is_what_is_missing_in_a_csv(path: Path, tmp_path: Path) -> None:
    spend = [math.nan if i % 5 == 0 else 1.5 * i for i in NUMBERED]
    different: list[list[str | None]] = [["a", "b"], ["b", None], ["c", " "], []]
    lists = [different[i % 4] for i in NUMBERED]
    columns: Columns = {
        "id": [float(i) for i in NUMBERED],
        "spend": spend,
        "plan": [("", "a", "b", "N/A", "c", "  ")[i % 6] for i in NUMBERED],
        "joined": ["" if i % 9 == 0 else f"2025-{i % 12 + 1:02}-{i % 28 + 1:02}" for i in NUMBERED],
        "likes": lists,
    }
    as_text: Columns = {
        "spend": ["" if math.isnan(value) else value for value in spend],
        "likes": [",".join(item or "" for item in items) for items in lists],
        "id": NUMBERED,
    }
    data = tmp_path / "customers.parquet"
    pq.write_table(pa.table(columns | {"spend": pa.array(spend, from_pandas=False)}), data)
    as_csv(path, columns | as_text)
    found = []
    for each in (path, data):
        done = init(each, each.with_name(f"{each.suffix[1:]}.py"), "")
        history = read(each, load_profile_class(f"{done.output}:Customer"))
        assert (history.bad_rows.count, done.draft.bad_rows) == (0, 0)
        shares = {column.header: column.missing_share for column in done.draft.columns}
        found.append((roles(done.draft), shares, done.draft.written.missing, table(history).to_dict(), users(history)))
        event = example_event(done.draft)
        profile_class = load_profile_class(f"{done.output}:Customer")
        assert not read_events(EventReader(profile_class, 900_000), [orjson.dumps(event)])[1]
    assert str(found[0]) == str(found[1])
    assert found[0][0] == {
        "id": "id", "spend": "number", "plan": "category", "joined": "days-since", "likes": "several-of",
    }  # fmt: skip
    assert found[0][1] == {"id": 0, "spend": 0.2, "plan": 0.5, "joined": pytest.approx(14 / 120), "likes": 0}


def test_values_of_personal_columns_and_ids_are_not_shown(path: Path, tmp_path: Path) -> None:
    columns: Columns = {
        "user": [f"ann-{i}" for i in NUMBERED],
        "email": [f"ann-{i}@example.org" for i in NUMBERED],
        "visits": VISITS,
        "spend": SPEND,
    }
    done = init(as_csv(path, columns), tmp_path / "profile.py", "")
    assert "ann-" not in done.output.read_text()
    assert all("ann-" not in example for column in done.draft.columns for example in column.examples)


def test_no_text_of_a_column_that_is_left_out_for_good_is_shown(path: Path, tmp_path: Path) -> None:
    columns: Columns = {
        "id": NUMBERED,
        "best": ["Bob Jones" if i % 3 else "" for i in NUMBERED],
        "boss": ["Bob Jones"] * USERS,
        "score": ["Bob Jones" if i % 3 == 1 else i for i in NUMBERED],
        "seen": ["Bob Jones" if i == 0 else f"{i % 9}:30" for i in NUMBERED],
        "visits": VISITS,
    }
    done = init(as_csv(path, columns), tmp_path / "profile.py", "")
    assert [reason(done.draft, header).partition(":")[0] for header in ("best", "boss", "score")] == [
        *["constant"] * 2,
        "mixed",
    ]
    assert "line 3 has '1:30'" in reason(done.draft, "seen")
    assert "Jones" not in done.output.read_text()


@pytest.mark.parametrize("value", ["7.5", "2026-01-31", "no"])
def test_a_constant_that_cannot_be_a_name_is_shown(path: Path, value: str) -> None:
    draft = drafted(as_csv(path, {"id": NUMBERED, "state": [value] * USERS, "visits": VISITS}))
    assert reason(draft, "state") == f"constant: all users have {value!r}"


def test_a_single_refused_row_is_in_the_singular(path: Path) -> None:
    path.write_text("customer_id,visits\n" + "".join(f"K{max(1, i)},{i % 7}\n" for i in NUMBERED) + "K500\n")
    refused = [note for note in drafted(path).notes if note.startswith("refused")]
    assert refused == [
        "refused: 1 row with a repeated or empty 'customer_id'",
        "refused: 1 row of another width (line 122 has 1 cells, the header has 2)",
    ]


@pytest.mark.parametrize("infinite", [6, 24])
def test_the_class_reads_a_parquet_file_whose_numbers_may_be_infinite(tmp_path: Path, infinite: int) -> None:
    path = tmp_path / "customers.parquet"
    values = [math.inf if i < infinite else value for i, value in enumerate(SPEND)]
    pq.write_table(pa.table({"id": [*NUMBERED], "spend": values, "visits": VISITS}), path)
    done = init(path, tmp_path / "profile.py", "")
    history = read(path, load_profile_class(f"{done.output}:Customer"))
    if infinite == 6:
        assert history.bad_rows.count == infinite
    else:
        assert reason(done.draft, "spend").startswith("numbers of which many are not finite (row 1 has 'inf')")
        assert history.rows == USERS


def test_a_percent_sign_bounds_its_own_column_only(path: Path) -> None:
    columns: Columns = {"id": NUMBERED, "discount": [f"{i % 40} %" for i in NUMBERED], "visits": VISITS}
    draft = drafted(as_csv(path, columns))
    assert (kept(draft, "discount").bounds.high, kept(draft, "visits").bounds.high) == (100, None)


def test_a_personal_column_is_left_out_even_where_its_values_come_again(path: Path) -> None:
    shared = {"Name": [f"Ann {i % 4}" for i in NUMBERED], "contact": [f"a{i % 4}@example.org" for i in NUMBERED]}
    draft = drafted(as_csv(path, {"id": NUMBERED, **shared, "visits": VISITS}))
    assert [(roles(draft)[header], "personal" in reason(draft, header)) for header in shared] == [
        ("left out", True)
    ] * 2


@pytest.mark.parametrize(("delimiter", "written"), [(",", {"thousands": ","}), (";", {"decimal": ","})])
def test_a_comma_before_three_digits_is_a_decimal_sign_between_semicolons(
    path: Path, delimiter: str, written: dict[str, Any]
) -> None:
    columns: Columns = {"id": NUMBERED, "value": [f"{1 + i % 9},{100 + i}" for i in NUMBERED], "visits": VISITS}
    assert drafted(as_csv(path, columns, delimiter)).written == CsvFormat(delimiter=delimiter, **written)


@pytest.mark.parametrize(
    ("header", "values", "asked"),
    [
        ("churn", [i % 2 for i in NUMBERED], "outcome"),
        ("plan", [("pro", "Pro ", "free")[i % 3] for i in NUMBERED], "'Pro '"),
        ("plan", [(" pro", " free")[i % 2] for i in NUMBERED], "' pro'"),
        ("bedrooms", [i % 2 for i in NUMBERED], "a count that was 0 or 1 so far"),
        ("plan", [("l0", "l1", "l2", "l3")[i % 4] for i in NUMBERED], "Are l0, l1, l2, … steps"),
        ("spend", [-999 if i % 20 == 0 else 5 + i for i in NUMBERED], "-999"),
        ("spend", [9999 if i % 20 == 0 else 5 + i for i in NUMBERED], "9999"),
        ("spend", [-998.0 - i % 2 if i % 20 < 2 else 5 + i for i in NUMBERED], "'-999.0', '-998.0'"),
        ("last_seen", [f"2025-01-{i % 28 + 1:02}" if i % 20 else "1900-01-01" for i in NUMBERED], "1900-01-01"),
    ],
    ids=["outcome", "twins", "spaces", "count", "steps", "below", "above", "two codes", "date"],
)
def test_what_a_person_should_decide_is_asked_in_the_file(
    path: Path, header: str, values: Sequence[Any], asked: str
) -> None:
    draft = drafted(as_csv(path, {"id": NUMBERED, header: values, "visits": VISITS}))
    assert asked in kept(draft, header).question


def test_spellings_of_an_item_become_one_where_the_file_says_how(path: Path) -> None:
    classes = [("yoga,SPIN", "spin,yoga,swim", "swim,SPIN", "spin")[i % 4] for i in NUMBERED]
    done = init(as_csv(path, {"id": NUMBERED, "classes": classes, "visits": VISITS}), path.with_name("profile.py"), "")
    question = kept(done.draft, "classes").question
    assert "'SPIN'" in question
    advised = question[question.index("tuple[") : question.index("; StringConstraints")]
    text = done.output.read_text().replace("Annotated[Labels,", f"Annotated[{advised},")
    done.output.write_text(text.replace("import BaseModel", "import StringConstraints, BaseModel"))
    history = read(path, load_profile_class(f"{done.output}:Customer"))
    assert history.bad_rows.count == 0
    assert sorted(history.copy.labels["classes"]) == ["spin", "swim", "yoga"]


@pytest.mark.parametrize(
    ("true", "false"),
    [("True", "False"), ("yes", "No"), ("1", "0"), ("T", "F"), ("ja", "nein"), ("1.0", "0.0"), ("S", "N"), ("✓", "✗")],
)
def test_true_and_false_are_found_however_they_are_written(path: Path, true: str, false: str) -> None:
    columns: Columns = {"id": NUMBERED, "newsletter": [(true, false)[i % 3 == 0] for i in NUMBERED], "visits": VISITS}
    done = init(as_csv(path, columns), path.with_name("profile.py"), "")
    assert roles(done.draft)["newsletter"] == "boolean"
    assert example_event(done.draft)["data"]["newsletter"] is True
    history = read(path, load_profile_class(f"{done.output}:Customer"))
    assert history.bad_rows.count == 0
    assert table(history)["newsletter"].tolist() == [i % 3 != 0 for i in NUMBERED]


def test_booleans_of_parquet_are_found(tmp_path: Path) -> None:
    columns = {"id": [*NUMBERED], "active": [i % 3 == 0 for i in NUMBERED], "visits": VISITS}
    pq.write_table(pa.table(columns), tmp_path / "customers.parquet")
    assert roles(drafted(tmp_path / "customers.parquet"))["active"] == "boolean"


@pytest.mark.parametrize(
    ("header", "kind"),
    [
        ("gender", "category"),
        ("children", "number"),
        ("pets", "number"),
        ("vip", "boolean"),
        ("genre_sports", "boolean"),
    ],
)
def test_0_and_1_may_be_a_code_or_a_count(path: Path, header: str, kind: str) -> None:
    columns: Columns = {"id": NUMBERED, header: [i % 2 for i in NUMBERED], "visits": VISITS}
    assert roles(drafted(as_csv(path, columns)))[header] == kind


@pytest.mark.parametrize(
    "date_format",
    [
        *("%Y-%m-%d", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S%z", "%d.%m.%Y", "%m/%d/%Y", "%d %b %Y", "%Y%m%d"),
        *("%d.%m.%Y %H:%M:%S", "%d/%m/%Y %H:%M:%S", "%m/%d/%Y %I:%M %p", "%Y/%m/%d %H:%M:%S", "%Y-%m-%d %H:%M:%S UTC"),
        *("%Y-%m-%d %H:%M:%S+00", "%Y-%m-%d %H:%M:%S.%f000", "%Y-%m-%dT%H:%MZ", "%d. %m. %Y"),
    ],
)
def test_dates_written_in_one_way_are_the_days_since(path: Path, date_format: str) -> None:
    moments = [datetime(2025, 1, 14, 10, 30, tzinfo=UTC) + timedelta(days=i * 7 % 99) for i in NUMBERED]
    columns: Columns = {
        "id": NUMBERED,
        "last order date": [f"{each:{date_format}}" for each in moments],
        "spend": SPEND,
    }
    done = init(as_csv(path, columns), path.with_name("profile.py"), "")
    assert roles(done.draft)["last order date"] == "days-since"
    profile_class = load_profile_class(f"{done.output}:Customer")
    history = read(path, profile_class)
    assert history.bad_rows.count == 0
    assert table(history)["last_order_date"].tolist() == [(max(moments) - each).days for each in moments]
    event = orjson.dumps(example_event(done.draft))
    assert isinstance(parse_event(event, profile_class), UserEvent)


@pytest.mark.parametrize(
    ("cells", "named"),
    [
        (("01/01/2025", "01/02/2025", "03/04/2025"), "01/02/2025 is 2025-02-01 or 2025-01-02"),
        (("02/02/2025", "03/03/2025"), "the same in every cell"),
        (("2025-01-31", "31.01.2025", "01/31/2025"), "3 ways"),
        (("2025-01-31", "2025-02-30"), "cannot be read (line 3 has '2025-02-30')"),
        (("01/13/2025", "13/01/2025"), "cannot be read (line 2"),
    ],
)
def test_dates_that_may_be_read_in_two_ways_or_in_none_are_left_out_with_the_reason(
    path: Path, cells: Sequence[str], named: str
) -> None:
    columns: Columns = {"id": NUMBERED, "signup": [cells[i % len(cells)] for i in NUMBERED], "visits": VISITS}
    draft = drafted(as_csv(path, columns))
    assert (roles(draft)["signup"], named in reason(draft, "signup")) == ("left out", True)
    load_profile_class(f"{init(path, path.with_name('profile.py'), '').output}:Customer")


def test_another_column_decides_whether_the_day_or_the_month_is_first(path: Path) -> None:
    columns: Columns = {
        "id": NUMBERED,
        "signup": [f"{i % 12 + 1:02}/{i % 11 + 1:02}/2025" for i in NUMBERED],
        "visit": [f"{i % 28 + 1:02}/{i % 11 + 1:02}/2025" for i in NUMBERED],
        "spend": SPEND,
    }
    signup = kept(drafted(as_csv(path, columns)), "signup")
    assert signup.date_format == "%d/%m/%Y"
    assert "the day is first, as in 'visit'" in signup.reason
    columns["order"] = [f"{i % 11 + 1:02}/{i % 28 + 1:02}/2025" for i in NUMBERED]
    assert "may be first" in reason(drafted(as_csv(path, columns)), "signup")


def test_a_date_that_cannot_be_read_costs_its_row_as_a_misspelt_number_does(path: Path) -> None:
    dates = ["2025-02-30" if i == 9 else f"2025-01-{i % 28 + 1:02}" for i in NUMBERED]
    done = init(as_csv(path, {"id": NUMBERED, "signup": dates, "spend": SPEND}), path.with_name("profile.py"), "")
    assert (roles(done.draft)["signup"], done.draft.bad_rows) == ("days-since", 1)
    (row,) = read(path, load_profile_class(f"{done.output}:Customer")).bad_rows.first
    assert (row.number, "'2025-02-30' is not a date" in row.problem) == (11, True)
    dates = ["2025-02-30" if i % 15 == 9 else date for i, date in enumerate(dates)]
    assert "line 11 has '2025-02-30'" in reason(
        drafted(as_csv(path, {"id": NUMBERED, "signup": dates, "spend": SPEND})), "signup"
    )


@pytest.mark.parametrize("marker", ["9999-12-31", "0001-01-01", "0000-00-00", "unknown"])
def test_what_stands_for_no_date_is_missing(path: Path, marker: str) -> None:
    dates = [marker if i % 9 == 0 else f"2025-01-{i % 28 + 1:02}" for i in NUMBERED]
    done = init(as_csv(path, {"id": NUMBERED, "quit": dates, "spend": SPEND}), path.with_name("profile.py"), "")
    assert done.draft.written == CsvFormat(missing=(marker,))
    history = read(path, load_profile_class(f"{done.output}:Customer"))
    assert history.bad_rows.count == 0
    assert str(history.counted_to).startswith("2025-01-28")


def test_a_year_beyond_all_is_not_a_date_in_parquet(tmp_path: Path) -> None:
    dates = [date(9999, 12, 31) if i % 9 == 0 else date(2025, 1, i % 28 + 1) for i in NUMBERED]
    columns = {"id": [*NUMBERED], "quit": dates, "spend": SPEND}
    pq.write_table(pa.table(columns), tmp_path / "customers.parquet")
    assert "9999-12-31" in reason(drafted(tmp_path / "customers.parquet"), "quit")


@pytest.mark.parametrize(
    ("header", "year", "role"),
    [
        ("contract end", 2027, "left out"),
        ("Vertrag bis", 2025, "left out"),
        ("session end", 2024, "days-since"),
        ("weekend visit", 2027, "days-since"),
    ],
)
def test_dates_that_may_be_in_the_future_are_left_out_or_asked_about(
    path: Path, header: str, year: int, role: str
) -> None:
    columns: Columns = {
        "id": NUMBERED,
        header: [f"{year}-06-{i % 28 + 1:02}" for i in NUMBERED],
        "joined": [f"2025-01-{i % 28 + 1:02}" for i in NUMBERED],
        "spend": SPEND,
    }
    draft = drafted(as_csv(path, columns))
    assert roles(draft)[header] == role
    why = reason(draft, header) if role == "left out" else kept(draft, header).question
    assert ("rejected" in why) is (year > 2024)
    assert roles(drafted(as_csv(path, {each: columns[each] for each in ("id", header, "spend")})))[header] == (
        "days-since" if header == "weekend visit" else "left out"
    )


# --- ids -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "found"),
    [
        (("order_id", "customer_id"), "customer_id"),
        (("x", "id"), "id"),
        (("Unnamed: 0", "UserID"), "UserID"),
        (("hash", "kundennummer"), "kundennummer"),
        (("hash", "x"), "hash"),
        (("IBAN", "Mitgliedsnr."), "Mitgliedsnr."),
        (("hash", "client_ref"), "client_ref"),
    ],
)
def test_the_column_that_names_users_is_the_id(path: Path, headers: tuple[str, str], found: str) -> None:
    ids = {header: [f"{header[0]}{i * 17 % 1009}" for i in NUMBERED] for header in headers}
    assert drafted(as_csv(path, {**ids, "spend": SPEND, "visits": VISITS})).id_header == found


# Six digits in no order, all different.
UNORDERED = [100_000 + i * 7_919 * 61 % 899_981 for i in NUMBERED]


@pytest.mark.parametrize(
    "header",
    [
        *("Policy Number", "Member #", "membership_number", "Vertragsnummer", "Patientennummer", "numero_cliente"),
        *("Nº de cliente", "N° client", "código", "cliente", "MRN", "user", "Kunde", "client_ref", "card", "account"),
        *("customer", "Row Labels", "№"),
    ],
)
def test_whole_numbers_in_no_order_that_are_all_different_are_the_ids(path: Path, header: str) -> None:
    draft = drafted(as_csv(path, {"visits": VISITS, header: UNORDERED, "email": [f"a{i}@b.org" for i in NUMBERED]}))
    assert draft.id_header == header
    draft = drafted(as_csv(path, {"customer_id": [f"K{i}" for i in NUMBERED], header: UNORDERED, "visits": VISITS}))
    assert (draft.id_header, roles(draft)[header]) == ("customer_id", "left out")
    (column,) = (each for each in draft.columns if each.header == header)
    assert isinstance(column.role, LeftOut)
    assert column.role.otherwise is not None, "so that it can be uncommented"
    assert column.examples == ()


@pytest.mark.parametrize(
    ("cells", "found"), [([f"ann{'ab'[i % 2] * i}" for i in NUMBERED], "user"), ([f"Ann B{i}" for i in NUMBERED], None)]
)
def test_one_word_is_the_id_of_a_user_and_several_may_be_a_name(
    path: Path, cells: Sequence[str], found: str | None
) -> None:
    assert drafted(as_csv(path, {"user": cells, "spend": SPEND, "visits": VISITS})).id_header == found


def test_numbers_without_gaps_are_ids_by_their_form_which_is_said(path: Path) -> None:
    draft = drafted(as_csv(path, {"visits": VISITS, "nummernkreis": [i * 7 % USERS + 57 for i in NUMBERED]}))
    assert draft.id_header == "nummernkreis"
    assert any("'nummernkreis' is the id only because its numbers" in note for note in draft.notes)


@pytest.mark.parametrize(
    ("header", "values"),
    [
        ("annual income", UNORDERED),
        ("Jahreseinkommen", UNORDERED),
        ("number of clicks", UNORDERED),
        ("steps", UNORDERED),
        ("wealth (€)", UNORDERED),
        ("wealth", [f"{value:,}" for value in UNORDERED]),
        ("wealth", [i * i + 1_000 * i + 17 for i in NUMBERED]),
        ("recency", NUMBERED),
    ],
)
def test_numbers_that_measure_something_stay_numbers_even_if_all_differ(
    path: Path, header: str, values: Sequence[Any]
) -> None:
    draft = drafted(as_csv(path, {header: values, "visits": VISITS}))
    assert (draft.id_header, kept(draft, header).kind) == (None, "number")


def test_numbers_that_may_be_ids_are_asked_about(path: Path) -> None:
    draft = drafted(as_csv(path, {"id": NUMBERED, "wealth": [20_000 + i * i * 5 for i in NUMBERED], "visits": VISITS}))
    assert "identify users?" in kept(draft, "wealth").question


def test_a_flag_and_a_manager_are_not_the_user_of_a_table_of_events(path: Path) -> None:
    columns: Columns = {"id": NUMBERED, "client": [i % 3 for i in NUMBERED], "no_client": [i % 2 for i in NUMBERED]}
    columns |= {"agent_id": [i % 9 for i in NUMBERED], "visits": VISITS}
    assert drafted(as_csv(path, columns)).id_header == "id"


def test_no_value_of_a_column_that_may_hold_names_is_shown(path: Path, tmp_path: Path) -> None:
    columns: Columns = {
        "id": NUMBERED,
        "Spieler": [f"Ann Smith {i}" for i in NUMBERED],
        "Freund": [f"Ann Smith {i % 90}" for i in NUMBERED],
        "visits": VISITS,
    }
    done = init(as_csv(path, columns), tmp_path / "profile.py", "")
    assert "Smith" not in done.output.read_text()
    assert [column.examples for column in done.draft.columns if column.header in {"Spieler", "Freund"}] == [(), ()]


@pytest.mark.parametrize("mark", ["yes", "x"])
def test_a_lone_yes_is_constant_and_the_empty_cells_may_mean_no(path: Path, mark: str) -> None:
    columns: Columns = {"id": NUMBERED, "opt_in": [mark if i % 3 else "" for i in NUMBERED], "visits": VISITS}
    assert "mean no" in reason(drafted(as_csv(path, columns)), "opt_in")


def test_without_a_column_that_identifies_users_the_line_does(path: Path, tmp_path: Path) -> None:
    done = init(as_csv(path, {"spend": SPEND, "visits": VISITS}), tmp_path / "profile.py", "")
    assert done.draft.id_header is None
    history = read(path, load_profile_class(f"{done.output}:Customer"))
    assert (history.rows, history.bad_rows.count) == (USERS, 0)


def test_a_table_of_orders_is_refused(path: Path) -> None:
    for header in ("customer_id", "UserID", "id"):
        columns: Columns = {"order": NUMBERED, header: [i % 40 for i in NUMBERED], "amount": SPEND}
        with pytest.raises(HistoryError, match=f"120 rows for 40 users in '{header}'"):
            drafted(as_csv(path, columns))


def test_a_few_users_that_come_again_are_said_and_skipped(path: Path) -> None:
    draft = drafted(as_csv(path, {"id": [*range(USERS - 1), 0], "spend": SPEND, "visits": VISITS}))
    assert (draft.id_header, draft.bad_rows) == ("id", 1)


# --- bad input -------------------------------------------------------------------------------------------------------

ROWS = "".join(f"{i},{i % 7}\n" for i in range(30))


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (b"", "is empty"),
        (b"a,b\n", "no rows"),
        (b"a,b\n1,2\n", "a single row"),
        (b"value\n1\n2\n", "a single column, 'value'"),
        (b"1,2\n3,4\n", r"line 1 has numbers as names \(1, 2\)"),
        (f"K7,581.0,23,red\nK8,{ROWS}".encode(), r"line 1 has numbers as names \(581.0, 23\)"),
        (
            b"Report\n\na;b;c\n" + b"1;2;3\n" * 9,
            "most lines have 3, separated by semicolons: remove the lines above line 3",
        ),
        (b"Report,,\na,b,c\n" + b"1,2,3\n" * 9, "line 1 names only one of its 3 columns"),
        (b"a b c\n" + b"1 2 3\n" * 9, "separated by spaces"),
        (b'"a,b"\n' + b'"1,2"\n' * 9, "in quotes as a whole"),
        (b'[{"a": 1, "b": 2},\n{"a": 1, "b": 2}]\n', "JSON"),
        (b'a,b\n1,"say \\"x\\", y"\n', "with a backslash"),
        (b"a,b\r1,2\r3,4\r", "carriage return"),
        ("a,b\n1,grün\n".encode() + "2,grün\n".encode("latin-1"), "line 2 is UTF-8 and line 3 is not"),
        (b"a,b\n1,\x81\n", r"line 2 is not WINDOWS-1252 \(byte 0x81\): save the file as UTF-8$"),
        (b'"a", "b"\n"1", "2"\n' * 3, "line 1 has spaces before quotes"),
        (b"PK\x03\x04rest", "a spreadsheet"),
        (b'{"a": 1}\n{"a": 2}\n', "JSON"),
        (f'a,b\n{ROWS}5,"open\n'.encode(), "line 32"),
        (f"a,b\n{ROWS}a,b\n{ROWS}".encode(), "line 32 repeats the header"),
        (b"a,b\n" + b"1,2,3\n" * 5, r"line 2 has 3 cells, the header has 2"),
        (b"a,b\nx,\ny,\nz,\n", r"no column that can segment users"),
    ],
)
def test_a_file_that_is_not_a_table_is_refused_and_nothing_is_written(
    path: Path, tmp_path: Path, content: bytes, named: str
) -> None:
    path.write_bytes(content)
    with pytest.raises(HistoryError, match=named) as refused:
        init(path, tmp_path / "profile.py", "")
    assert "\n" not in str(refused.value)
    assert [*tmp_path.iterdir()] == [path]


def test_headers_that_appear_twice_or_are_empty_are_left_out(path: Path) -> None:
    path.write_text("id,spend,spend,,visits\n" + "".join(f"{i},{i},{i},{i},{i % 9}\n" for i in NUMBERED))
    draft = drafted(path)
    assert [column.role.reason for column in draft.columns if isinstance(column.role, LeftOut)] == [
        *["columns 2 and 3 have this header: give each its own"] * 2,
        "it has no name: give it one in the header",
    ]
    assert [(column.header, type(column.role)) for column in draft.columns] == [
        ("id", type(None)),
        ("spend", LeftOut),
        ("spend", LeftOut),
        ("", LeftOut),
        ("visits", Kept),
    ]


def test_years_and_numbers_of_columns_may_be_headers(path: Path) -> None:
    assert roles(drafted(as_csv(path, {"id": NUMBERED, "2023": SPEND, "2024": VISITS})))["2024"] == "number"


@pytest.mark.parametrize("digits", [10, 5_000])
def test_a_header_of_many_digits_is_a_name_as_any_other(path: Path, digits: int) -> None:
    long = "1" * digits
    draft = drafted(as_csv(path, {"id": NUMBERED, f"score (0-{long})": VISITS, long: SPEND}))
    assert roles(draft) == {"id": "id", f"score (0-{long})": "number", long: "number"}
    path.write_text(f"{long},{long}2\n1,2\n2,3\n")
    with pytest.raises(HistoryError, match="line 1 has numbers as names"):
        drafted(path)


def test_a_bound_in_a_header_keeps_all_of_its_digits(path: Path, tmp_path: Path) -> None:
    done = init(as_csv(path, {"id": NUMBERED, "points (0-12345678)": VISITS}), tmp_path / "profile.py", "")
    assert "le=12345678)" in done.output.read_text()


@pytest.mark.parametrize("delimiter", [":", "^"])
def test_colons_and_carets_separate_where_nothing_else_does(path: Path, delimiter: str) -> None:
    columns: Columns = {"id": NUMBERED, "spend": SPEND, "visits": VISITS}
    assert drafted(as_csv(path, columns, delimiter)).written == CsvFormat(delimiter=delimiter)


@pytest.mark.parametrize(
    ("header", "values", "what"),
    [
        ("signup_ts", [1_735_718_709 + value for value in UNORDERED], "seconds since 1970 (1735818709 is 2025-01-02)"),
        ("x", [f"{1_735_718_709_000 + 86_400_000 * n}" for n in NUMBERED], "milliseconds since 1970"),
        ("x", ["", *(f"{1_735_718_709 + 86_400 * n}.0" for n in NUMBERED[1:])], "seconds since 1970"),
        ("signup_date", [45040 + n % 50 for n in NUMBERED], "Excel's days since 1900 (45040 is 2023-04-24)"),
        ("fecha_alta", [45040.5 + n % 50 for n in NUMBERED], "Excel's days since 1900 (45040.5 is 2023-04-24)"),
    ],
)
def test_dates_stored_as_numbers_are_left_out_with_the_way_out(
    path: Path, header: str, values: Sequence[Any], what: str
) -> None:
    draft = drafted(as_csv(path, {header: values, "visits": VISITS}))
    (column,) = (column for column in draft.columns if column.header == header)
    assert isinstance(column.role, LeftOut)
    assert column.role.reason.startswith(f"numbers that look like {what}")
    assert "write them as dates" in column.role.reason
    assert column.role.otherwise is not None


@pytest.mark.parametrize(
    ("header", "values"),
    [
        ("x", [45040 + n % 50 for n in NUMBERED]),
        ("days since signup", [45040 + n % 50 for n in NUMBERED]),
        ("time on page", [45040 + n % 50 for n in NUMBERED]),
        ("revenue", [1_500_000_000 + n % 60 for n in NUMBERED]),
        ("x", [f"{1_500_000_000 + n % 60:,}" for n in NUMBERED]),
    ],
)
def test_numbers_in_the_range_of_timestamps_stay_numbers_where_something_says_so(
    path: Path, header: str, values: Sequence[Any]
) -> None:
    assert kept(drafted(as_csv(path, {header: values, "visits": VISITS})), header).kind == "number"


def test_an_id_in_the_range_of_timestamps_stays_the_id(path: Path) -> None:
    ids = [1_735_718_709 + 7 * value for value in UNORDERED]
    assert drafted(as_csv(path, {"client code": ids, "visits": VISITS})).id_header == "client code"


@pytest.mark.parametrize("header", ["fecha_alta", "Letzter Kauf", "created", "last_order", "x"])
def test_digits_that_are_all_days_are_dates_whatever_their_header_says(path: Path, header: str) -> None:
    days = [f"{date(2024, 1, 31) + timedelta(days=7 * n):%Y%m%d}" for n in NUMBERED]
    draft = drafted(as_csv(path, {header: days, "visits": VISITS}))
    assert draft.id_header is None
    assert kept(draft, header).date_format == "%Y%m%d"


def test_months_are_dates_and_no_ranges(path: Path, tmp_path: Path) -> None:
    months = [f"2024-{n % 12 + 1:02d}" for n in NUMBERED]
    draft = drafted(as_csv(path, {"month": months, "visits": VISITS}))
    assert kept(draft, "month").date_format == "%Y-%m"
    init(path, tmp_path / "profile.py", "")
    profile = load_profile_class(f"{tmp_path / 'profile.py'}:Customer")
    assert users(read(path, profile)) == (*map(str, range(2, USERS + 2)),)


@pytest.mark.parametrize("no_answer", ["Prefer not to say", "Unknown", "Don't know", "N/A", "keine Angabe"])
def test_who_does_not_answer_is_no_step_of_a_scale(path: Path, no_answer: str) -> None:
    steps = ["18-24", "25-34", "55+", no_answer]
    draft = drafted(as_csv(path, {"ages": [steps[n % 4] for n in NUMBERED], "visits": VISITS}))
    assert kept(draft, "ages").levels == ("18-24", "25-34", "55+")
    assert draft.columns[0].missing_share == 0.25
    assert draft.written.missing == (no_answer,)
    assert no_answer == "N/A" or f"{no_answer}: no answer, so missing" in kept(draft, "ages").reason


def test_no_answer_is_a_label_beside_labels_without_order(path: Path) -> None:
    columns: Columns = {
        "ages": [["18-24", "25-34", "Unknown"][n % 3] for n in NUMBERED],
        "channel": [["shop", "web", "Unknown"][n % 3] for n in NUMBERED],
    }
    draft = drafted(as_csv(path, columns))
    assert draft.written.missing == ()
    assert [column.missing for column in draft.columns] == [("Unknown",), ()]


@pytest.mark.parametrize(
    "mark", ["#NV", "#BEZUG!", "#WERT!", "#ZAHL!", "#NOMBRE?", "#¿NOMBRE?", "#¡DIV/0!", "#N/D", "#ADR!", "#BŁĄD!"]
)
def test_the_errors_of_spreadsheets_are_missing(path: Path, mark: str) -> None:
    numbers = [mark, *NUMBERED[1:]]
    labels = [mark, *(["#VIP", "#NEU"][n % 2] for n in NUMBERED[1:])]
    draft = drafted(as_csv(path, {"a score": numbers, "kind": labels}))
    assert draft.written.missing == (mark,)
    assert roles(draft) == {"a score": "number", "kind": "category"}


@pytest.mark.parametrize(
    ("header", "values", "asked"),
    [
        ("Default Address City", ["Austin", "Boston"], False),
        ("default", ["none", "late"], True),
        ("default payment", [0, 1], True),
        ("has default", ["yes", "no"], True),
        ("Passenger Class", [1, 2, 3], False),
        ("class", ["a", "b", "c"], True),
    ],
)
def test_what_is_an_outcome_in_some_tables_only_is_one_by_its_whole_header_or_as_yes_and_no(
    path: Path, header: str, values: Sequence[Any], *, asked: bool
) -> None:
    draft = drafted(as_csv(path, {header: [values[n % len(values)] for n in NUMBERED], "visits": VISITS}))
    assert ("outcome" in kept(draft, header).question) is asked


@pytest.mark.parametrize("other", ["Card ID", "account_id", "Account"])
def test_id_is_the_id_before_that_of_a_card_and_the_other_is_said(path: Path, other: str) -> None:
    cards = [f"card_{n}x" for n in NUMBERED]
    draft = drafted(as_csv(path, {other: cards, "id": [f"cus_{n}x" for n in NUMBERED], "visits": VISITS}))
    assert draft.id_header == "id"
    assert f"'id' is taken as the id: if it is {other!r}, set history_id_column to it" in draft.notes


@pytest.mark.parametrize(
    "first", ["Summe", "Total 2024", "Suma:", "RAZEM", "Totale", "Somme", "Gesamtsumme", "Grand total"]
)
def test_a_line_of_sums_is_noted_though_remarks_follow(path: Path, first: str) -> None:
    rows = "".join(f"K-{n},{n % 7},1\n" for n in NUMBERED)
    path.write_text(f"client,visits,n\n{rows},,\n{first},400,120\nStand: 02.12.2024,,\n")
    draft = drafted(path)
    assert [column.examples for column in draft.columns] == [(), ("0", "3", "6"), ("1",)]
    notes = " ".join(draft.notes)
    assert f"line {USERS + 3} has {first!r}, which counts as a user" in notes
    assert f"line {USERS + 4} has 'Stand: 02.12.2024', which counts as a user" in notes


def test_users_whose_names_begin_like_sums_are_none(path: Path) -> None:
    path.write_text("client,visits,n\n" + "".join(f"Summer{n},{n % 7},1\n" for n in NUMBERED))
    assert not any("counts as a user" in note for note in drafted(path).notes)


def test_a_line_of_sums_at_the_end_is_noted(path: Path) -> None:
    columns: Columns = {"id": [*NUMBERED, "Total"], "spend": [*SPEND, sum(SPEND)], "visits": [*VISITS, sum(VISITS)]}
    assert any("line 122 has 'Total'" in note for note in drafted(as_csv(path, columns)).notes)


def test_a_byte_order_mark_in_mid_file_is_no_part_of_a_cell(path: Path) -> None:
    lines = [f"\ufeff{i},{i % 9}" if i == 60 else f"{i},{i % 9}" for i in NUMBERED]
    path.write_text("\n".join(["id,visits", *lines]))
    assert drafted(path).bad_rows == 0


def test_the_first_200_of_a_thousand_columns_are_fields(path: Path, tmp_path: Path) -> None:
    columns: Columns = {f"x{i}": [(i * row) % 7 for row in range(8)] for i in range(1_000)}
    done = init(as_csv(path, columns), tmp_path / "profile.py", "")
    assert len(done.draft.fields) == MOST_FIELDS
    assert len(profile_fields(load_profile_class(f"{done.output}:Customer"))) == MOST_FIELDS


def test_a_list_is_optional_where_one_is_marked_as_missing_and_an_empty_cell_is_an_empty_list(
    path: Path, tmp_path: Path
) -> None:
    tags = ["NA" if i % 12 == 7 else ", ".join(TAGS[i % 5]) for i in NUMBERED]
    as_csv(path, {"user": [f"u{i}" for i in NUMBERED], "spend": SPEND, "tags": tags, "city": CITIES * 40})
    done = init(path, tmp_path / "profile.py", "")
    assert done.draft.bad_rows == 0
    profile_class = load_profile_class(f"{done.output}:Customer")
    assert [field.name for field in profile_fields(profile_class) if field.optional] == ["tags"]
    history = read(path, profile_class)
    assert table(history)["tags"].tolist() == [None if i % 12 == 7 else TAGS[i % 5] for i in NUMBERED]


# --- Parquet ---------------------------------------------------------------------------------------------------------


def test_a_parquet_file_is_read_by_its_types(tmp_path: Path) -> None:
    data = tmp_path / "customers.parquet"
    columns = {
        "user_id": pa.array([*NUMBERED]),
        "spend": pa.array([None if i == 3 else value for i, value in enumerate(SPEND)]),
        "digits": pa.array([str(i % 4) for i in NUMBERED]),
        "likes": pa.array([None if i == 5 else list(TAGS[i % 5]) for i in NUMBERED]),
        "signup": pa.array([i * 86_400 for i in NUMBERED], pa.timestamp("s")),
        "active": pa.array([i % 2 == 0 for i in NUMBERED]),
    }
    pq.write_table(pa.table(columns), data)
    done = init(data, tmp_path / "profile.py", "")
    assert roles(done.draft) == {
        "user_id": "id",
        "spend": "number",
        "digits": "category",
        "likes": "several-of",
        "signup": "days-since",
        "active": "boolean",
    }
    history = read(data, load_profile_class(f"{done.output}:Customer"))
    assert (history.bad_rows.count, math.isnan(table(history)["spend"][3])) == (0, True)
    assert table(history)["likes"].tolist()[1:6] == [("b",), ("a", "c"), (), ("c", "b"), None]


def test_an_apostrophe_alone_in_a_cell_quotes_nothing(path: Path) -> None:
    columns: Columns = {
        "id": NUMBERED,
        "a": ["'"] * USERS,
        "b": [("'", "x")[i % 2] for i in NUMBERED],
        "visits": VISITS,
    }
    assert drafted(as_csv(path, columns)).written == CsvFormat()


# --- the file --------------------------------------------------------------------------------------------------------

NUMBERS = count()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("headers")


@given(
    st.lists(
        st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=30), min_size=1, max_size=6
    ),
    st.lists(
        st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r\n"), min_size=1, max_size=30),
        min_size=3,
        max_size=9,
    ),
)
@example(
    ["class", "model_config", "number", "a\nb", '"', "\\", "'\"", '"""', "{}", "Field", "Customer"], ["a", "b", "c"]
)
@settings(max_examples=30, deadline=None)  # fmt: skip
def test_the_file_loads_and_reads_the_table_whatever_its_headers_and_labels_are(
    folder: Path, headers: list[str], labels: list[str]
) -> None:
    rows = range(60)
    columns: Columns = {header: [labels[i % len(labels)] for i in rows] for header in headers} | {
        "customer id": [f"K{i}" for i in rows],
        "spend on it": [i * 31 % 17 for i in rows],
    }
    data = as_csv(folder / f"{next(NUMBERS)}.csv", columns)
    done = init(data, data.with_suffix(".py"), "")
    profile_class = load_profile_class(f"{done.output}:Customer")
    assert [field.header for field in profile_fields(profile_class)] == [one.header for one, _ in done.draft.fields]
    history = read(data, profile_class)
    assert history.bad_rows.count <= done.draft.bad_rows


def test_the_example_event_is_an_event_of_the_class(path: Path, tmp_path: Path) -> None:
    columns: Columns = {
        "id": NUMBERED,
        "Annual Income (k$)": [f"{value:.2f}".replace(".", ",") for value in SPEND],
        "visits": VISITS,
        "status": [STATUS[i % 3] for i in NUMBERED],
        "likes": ["|".join(TAGS[i % 5]) for i in NUMBERED],
    }

    done = init(as_csv(path, columns, ";"), tmp_path / "profile.py", "")
    profile_class = load_profile_class(f"{done.output}:Customer")
    assert history_format(profile_class) == CsvFormat(delimiter=";", decimal=",")
    event = parse_event(orjson.dumps(example_event(done.draft)), profile_class, 10_000)
    assert isinstance(event, UserEvent)
    profile: Any = event.data
    assert profile.likes == ("b", "a")


def test_the_same_table_always_gives_the_same_file(path: Path, tmp_path: Path) -> None:
    as_csv(path, {"id": NUMBERED, "spend": SPEND, "likes": ["|".join(TAGS[i % 5]) for i in NUMBERED]})
    first = init(path, tmp_path / "a.py", "").output.read_text()
    assert init(path, tmp_path / "b.py", "").output.read_text() == first.replace("a.py", "b.py")


def lines_of(path: Path) -> Iterator[str]:
    yield from path.read_text().splitlines()


def test_no_line_of_the_file_is_longer_than_a_screen(path: Path, tmp_path: Path) -> None:
    columns: Columns = {"id": NUMBERED, "A rather long header of a column (with its unit)": SPEND}
    columns |= {"Highest level of education": [f"{i % 14}. label of a level" for i in NUMBERED], "visits": VISITS}
    done = init(as_csv(path, columns), tmp_path / "profile.py", "")
    assert [line for line in lines_of(done.output) if len(line) > 120 and not line.lstrip().startswith("#")] == []
