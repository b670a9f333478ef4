"""A date is the number of days since: until the day of a history, or until the event."""

import csv
import math
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Any, ClassVar

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import BaseModel, Field

from models.encoding import Encoder, NumberColumn
from models.segmentation import Segment, Segmentation
from schemas.asyncapi import asyncapi_document
from schemas.csv_format import CsvFormat
from schemas.errors import ProfileClassError
from schemas.event_columns import EventReader
from schemas.rejected import RejectReason
from schemas.roles import Kind, days_since, number, profile_fields
from tests.support.effect_values import elsewhere, titles_of
from tests.support.events import event_bytes
from tests.support.histories import table
from tests.support.reading import read_events
from trainer.errors import HistoryError
from trainer.explaining.phrases import phrase
from trainer.fitting.assignment import assign_users
from trainer.fitting.encoders import learn
from trainer.history.dates import DayRule
from trainer.history.history import History, read_history
from trainer.publishing.tables import write_segment_profiles
from trainer.text.wording import difference


class Buyer(BaseModel):
    """Events carry the date."""

    history_id_column: ClassVar[str] = "id"
    spend: Annotated[float, Field(strict=True, allow_inf_nan=False), number("behaviour")]
    last_order: Annotated[date, days_since("behaviour")]


class Counted(BaseModel):
    """Events carry the number of days."""

    history_id_column: ClassVar[str] = "id"
    spend: Annotated[float, Field(strict=True, allow_inf_nan=False), number("behaviour")]
    last_order: Annotated[float, Field(strict=True, allow_inf_nan=False), days_since("behaviour")]


BOTH = pytest.mark.parametrize("of", [Buyer, Counted])


def in_format(of: type[BaseModel], date_format: str) -> type[BaseModel]:
    carried: Any = of.model_fields["last_order"].annotation
    annotation = Annotated[carried, days_since("behaviour", date_format)]
    return type("Buyer", (of,), {"__annotations__": {"last_order": annotation}})


def read(path: Path, of: type[BaseModel], today: date | None = None) -> History:
    with read_history(path, of, lambda *_: None, DayRule(today)) as history:
        table(history)  # while it is open
        return history


def days(path: Path, of: type[BaseModel], today: date | None = None) -> tuple[list[float], date]:
    with read_history(path, of, lambda *_: None, DayRule(today)) as history:
        assert history.bad_rows.count == 0
        assert history.counted_to is not None
        return table(history)["last_order"].tolist(), history.counted_to.day


def as_csv(path: Path, *cells: str) -> Path:
    path.write_text("\n".join(["id,spend,last_order", *(f"u{i},{i},{cell}" for i, cell in enumerate(cells)), ""]))
    return path


@BOTH
def test_days_are_counted_to_the_newest_date_or_to_a_given_day(tmp_path: Path, of: type[BaseModel]) -> None:
    path = as_csv(tmp_path / "buyers.csv", "2026-02-28", "2026-03-01", "2025-03-01")
    assert days(path, of) == ([1.0, 0.0, 365.0], date(2026, 3, 1))
    assert days(path, of, date(2026, 3, 31)) == ([31.0, 30.0, 395.0], date(2026, 3, 31))


@BOTH
@pytest.mark.parametrize(
    ("date_format", "cells"),
    [
        ("%d.%m.%Y", ("01.03.2026", "28.02.2026")),
        ("%m/%d/%y", ("03/01/26", " 2/28/26")),
        ("%Y-%m-%d %H:%M:%S", ("2026-03-01 00:00:01", "2026-02-28 23:59:59")),
    ],
)
def test_a_class_declares_how_the_dates_of_its_history_are_written(
    tmp_path: Path, of: type[BaseModel], date_format: str, cells: tuple[str, str]
) -> None:
    assert days(as_csv(tmp_path / "buyers.csv", *cells), in_format(of, date_format))[0] == [0.0, 1.0]


STAMPS = (
    *("2026-02-28 23:59:59", "2026-02-28T23:59", "2026-02-28T23:59Z", "2026-02-28 23:59:59.123456789", " 2026-02-28 "),
    *("2026-02-28T23:59:59+02:00", "2026-02-28 23:59:59+00", "2026-02-28 23:59:59.5 UTC", "2026-02-28T23:59:59,5-0800"),
    *("2026-02-28 11:59 PM", "2026-02-28, 9:05:09 p.m.", "2026-02-28 00:00:00 GMT+01"),
)


@BOTH
@pytest.mark.parametrize("cell", STAMPS)
def test_a_time_of_day_after_the_date_is_ignored_however_it_is_written(
    tmp_path: Path, of: type[BaseModel], cell: str
) -> None:
    path = as_csv(tmp_path / "buyers.csv", "2026-03-01", f'"{cell}"')
    assert days(path, of)[0] == [0.0, 1.0]
    dotted = cell.replace("2026-02-28", "28.02.2026")
    path = as_csv(tmp_path / "buyers.csv", "01.03.2026", f'"{dotted}"')
    assert days(path, in_format(of, "%d.%m.%Y"))[0] == [0.0, 1.0]


@BOTH
@pytest.mark.parametrize(
    ("cell", "rule"),
    [
        ("soon", "is not a date such as 31.01.2026"),
        ("01.02.2026 25:00", "is not a date such as 31.01.2026"),
        ("02.03.2026", "must not be after 2026-03-01"),
    ],
)
def test_a_cell_that_cannot_be_a_date_is_refused_with_the_form_of_one_or_the_day(
    tmp_path: Path, of: type[BaseModel], cell: str, rule: str
) -> None:
    path = as_csv(tmp_path / "buyers.csv", "28.02.2026", cell)
    (row,) = read(path, in_format(of, "%d.%m.%Y"), date(2026, 3, 1)).bad_rows.first
    assert row.problem.startswith(f"last_order: '{cell}'")
    assert row.problem.endswith(rule)


@BOTH
@pytest.mark.parametrize("kind", [pa.date32(), pa.timestamp("us"), pa.timestamp("ms", "UTC"), pa.string()])
def test_parquet_has_dates_times_or_text(tmp_path: Path, of: type[BaseModel], kind: Any) -> None:
    moments = [datetime(2026, 3, 1, 7), datetime(2026, 2, 28, 23)]  # noqa: DTZ001  # Parquet has both
    column = pa.array([str(each.date()) for each in moments]) if kind == pa.string() else pa.array(moments).cast(kind)
    pq.write_table(pa.table({"id": ["a", "b"], "spend": [1.0, 2.0], "last_order": column}), tmp_path / "b.parquet")
    assert days(tmp_path / "b.parquet", of)[0] == [0.0, 1.0]


def test_a_number_in_parquet_is_not_a_date(tmp_path: Path) -> None:
    pq.write_table(pa.table({"id": ["a"], "spend": [1.0], "last_order": [20260301]}), tmp_path / "b.parquet")
    with pytest.raises(HistoryError, match="last_order"):
        read(tmp_path / "b.parquet", Buyer)


@BOTH
@pytest.mark.parametrize("cell", ["2026-03-02", "2026-02-30", "soon", "", "7"])
def test_a_row_without_a_date_or_with_one_after_the_day_is_bad(tmp_path: Path, of: type[BaseModel], cell: str) -> None:
    path = as_csv(tmp_path / "buyers.csv", "2026-02-28", cell)
    (row,) = read(path, of, date(2026, 3, 1)).bad_rows.first
    assert (row.number, row.problem.partition(":")[0]) == (3, "last_order")


def test_a_declared_missing_date_does_not_set_the_day(tmp_path: Path) -> None:
    annotations = {"history_format": ClassVar[CsvFormat]}
    of = type("Gaps", (Buyer,), {"__annotations__": annotations, "history_format": CsvFormat(missing=("9999-12-31",))})
    with read_history(
        as_csv(tmp_path / "b.csv", "2026-03-01", "9999-12-31", " 9999-12-31 "), of, lambda *_: None
    ) as history:
        assert history.counted_to is not None
        assert history.counted_to.day == date(2026, 3, 1)


def test_a_date_that_may_stand_for_a_missing_one_is_named_as_it_is_written(tmp_path: Path) -> None:
    cells = ["01.01.1900" if i % 3 == 0 else f"{i % 28 + 1:02}.01.2026" for i in range(90)]
    of = in_format(Buyer, "%d.%m.%Y")
    with read_history(as_csv(tmp_path / "b.csv", *cells), of, lambda *_: None) as history:
        note = learn(history, history.all_fields[1], 0).note
    assert note is not None
    assert "30 users have 01.01.1900," in note


EVENT = {"spend": 1.5, "last_order": "2026-02-28"}


def accepted(of: type[BaseModel], *given: bytes, one_by_one: bool) -> tuple[list[Any], dict[int, str]]:
    reader = EventReader(of, 900_000)
    assert reader.one_by_one_because is None
    if one_by_one:
        reader._decoders = ()
    events, rejections = read_events(reader, given)
    assert {each.reason for each in rejections.values()} <= {RejectReason.INVALID_PROFILE}
    return [*events.profile["last_order"]], {row: each.detail for row, each in rejections.items()}


@pytest.mark.parametrize("one_by_one", [False, True])
def test_the_days_of_an_event_with_a_date_are_counted_to_its_own_time(*, one_by_one: bool) -> None:
    times = ["2026-03-01T00:00:00Z", "2026-03-01T23:59:59.5+14:00", "2026-02-28T23:00:00-11:00", "2026-02-27T23:00:00Z"]
    found, rejected = accepted(Buyer, *(event_bytes(data=EVENT, time=time) for time in times), one_by_one=one_by_one)
    assert found == [1, 1, 0]
    assert [*rejected] == [3]
    assert rejected[3].startswith("data.last_order: ")
    assert rejected[3].endswith(" 2026-02-27"), "the event's own day, not the value"


@pytest.mark.parametrize("one_by_one", [False, True])
@pytest.mark.parametrize(
    "value", [3, 3.5, True, "20260228", "2026-02-30", "2026-02-28T00:00:00", "2026-W09-6", "0000-01-01", "", None, []]
)
def test_what_is_no_date_is_refused(value: object, *, one_by_one: bool) -> None:
    found, rejected = accepted(Buyer, event_bytes(data={**EVENT, "last_order": value}), one_by_one=one_by_one)
    assert (found, [*rejected]) == ([], [0])
    assert "last_order" in rejected[0]
    assert "pattern" not in rejected[0]
    if not isinstance(value, str):
        assert rejected[0].endswith("input should be a date such as 2026-01-31")


@pytest.mark.parametrize("one_by_one", [False, True])
def test_a_number_of_days_is_never_negative_though_the_class_does_not_say_so(*, one_by_one: bool) -> None:
    given = [event_bytes(data={**EVENT, "last_order": value}) for value in (0, 12, 0.5, -1, "2026-02-28")]
    found, rejected = accepted(Counted, *given, one_by_one=one_by_one)
    assert (found, [*rejected]) == ([0, 12, 0.5], [3, 4])


@pytest.mark.parametrize(("of", "shape"), [(Buyer, {"type": "string"}), (Counted, {"type": "number", "minimum": 0})])
def test_the_document_of_the_topics_says_what_an_event_carries(of: type[BaseModel], shape: dict[str, Any]) -> None:
    schemas = asyncapi_document(of, "in", "out", "rejected", "1")["components"]["schemas"]
    assert shape.items() <= schemas[of.__name__]["properties"]["last_order"].items()


def test_the_role_needs_a_date_or_a_number() -> None:
    with pytest.raises(ProfileClassError, match="use the type date"):
        profile_fields(type("Buyer", (BaseModel,), {"__annotations__": {"x": Annotated[str, days_since("a")]}}))


def test_the_table_of_segments_says_that_its_figures_are_days(tmp_path: Path) -> None:
    column = NumberColumn("spend", None, 0.0, 40.0, 0.0, 1.0)
    model = Segmentation(Encoder((column,)), (Segment(0, "all", (0.0,), 0.0, math.inf),))
    path = as_csv(tmp_path / "buyers.csv", *["2026-03-01"] * 20, *["2026-02-28"] * 20)
    with read_history(path, Buyer, lambda *_: None) as history:
        model, placed = assign_users(history, model, 0, lambda *_: None)
        write_segment_profiles(tmp_path / "profiles.csv", history, model.names, placed, 0)
    with (tmp_path / "profiles.csv").open(encoding="utf-8", newline="") as file:
        assert {row["last_order: days since: mean"] for row in csv.DictReader(file)} == {"0.5"}


def test_a_card_and_a_name_say_days_ago() -> None:
    longer, shorter = (elsewhere("last_order", "Last Order", Kind.DAYS_SINCE, size=size) for size in (0.5, -0.5))
    assert difference(longer) == "0.60 days ago against 0.10 elsewhere"
    titles = titles_of([longer])
    assert (phrase(longer, titles), phrase(shorter, titles)) == ("Last Order: long ago", "Last Order: recent")
