"""True and false are the same in a CSV file, in Parquet, in an event, in the model and in what leaves it."""

import csv
import math
from datetime import date
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import AfterValidator, BaseModel, Field, create_model

from models.encoding import BooleanColumn, Encoder, NumberColumn
from models.golden import Golden
from models.manifest import Manifest
from models.segmentation import Segment, Segmentation
from models.store import StoredModel
from schemas.csv_format import CsvFormat
from schemas.errors import ProfileClassError
from schemas.event_columns import EventReader
from schemas.rejected import RejectReason
from schemas.roles import Kind, ProfileField, Role, boolean, days_since, number, profile_fields
from tests.support.effect_values import titles_of
from tests.support.events import event_bytes
from tests.support.fitted import fit
from tests.support.histories import read, table
from tests.support.reading import read_events
from tests.support.samples import as_given, sample_of
from trainer.errors import HistoryError
from trainer.explaining.effects import effects
from trainer.explaining.phrases import phrase
from trainer.exporting.export import Target, export
from trainer.findings import Measure
from trainer.fitting.assignment import assign_users
from trainer.fitting.encoders import learn
from trainer.fitting.golden import golden_rows
from trainer.history.history import read_history
from trainer.publishing.tables import write_segment_profiles
from trainer.text.wording import difference, subject


class Member(BaseModel):
    history_id_column: ClassVar[str] = "id"
    spend: Annotated[float, Field(strict=True, allow_inf_nan=False), number("behaviour")]
    newsletter: Annotated[bool, boolean("account")]


TRUTH = [i % 3 == 0 for i in range(60)]


def member(**written: Any) -> type[BaseModel]:
    annotations = {"history_format": ClassVar[CsvFormat]}
    return type("Member", (Member,), {"__annotations__": annotations, "history_format": CsvFormat(**written)})


def as_csv(path: Path, true: str, false: str) -> Path:
    rows = [f"u{i},{i}.5,{true if value else false}" for i, value in enumerate(TRUTH)]
    path.write_text("\n".join(["id,spend,newsletter", *rows, ""]), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("true", "false", "written"),
    [
        ("True", "False", {}),
        ("TRUE", "false ", {}),
        ("yes", "no", {"true": ("yes",), "false": ("no",)}),
        ("1", "0", {"true": ("1", "t"), "false": ("0", "f")}),
        ("T", "F", {"true": ("1", "t"), "false": ("0", "f")}),
    ],
)
def test_a_csv_file_has_them_as_its_format_declares(
    tmp_path: Path, true: str, false: str, written: dict[str, Any]
) -> None:
    history = read(as_csv(tmp_path / "members.csv", true, false), member(**written))
    assert history.bad_rows.count == 0
    assert table(history)["newsletter"].tolist() == TRUTH


@pytest.mark.parametrize("cell", ["yes", "1", "on", "", "2"])
def test_a_cell_that_is_neither_is_refused_with_its_column(tmp_path: Path, cell: str) -> None:
    (row, *_) = read(as_csv(tmp_path / "members.csv", cell, "false"), Member).bad_rows.first
    assert (row.number, row.problem.partition(":")[0]) == (2, "newsletter")


def test_parquet_has_them_as_booleans(tmp_path: Path) -> None:
    columns = {"id": [f"u{i}" for i in range(60)], "spend": [i + 0.5 for i in range(60)], "newsletter": TRUTH}
    pq.write_table(pa.table(columns), tmp_path / "members.parquet")
    assert table(read(tmp_path / "members.parquet", Member))["newsletter"].tolist() == TRUTH
    pq.write_table(pa.table({**columns, "newsletter": ["yes"] * 60}), tmp_path / "text.parquet")
    with pytest.raises(HistoryError, match="newsletter"):
        read(tmp_path / "text.parquet", Member)


@pytest.mark.parametrize("written", [{"true": ("yes", "T"), "false": ("t",)}, {"true": "yes"}])
def test_a_format_in_which_a_text_is_both_or_no_list_is_refused(written: dict[str, Any]) -> None:
    with pytest.raises(ProfileClassError):
        CsvFormat(**written)


@pytest.mark.parametrize("value", ["true", "True", 1, 0, 1.0, None, "", [True]])
@pytest.mark.parametrize("one_by_one", [False, True])
def test_an_event_has_them_as_json_has_them_though_the_class_does_not_say_strict(
    value: object, *, one_by_one: bool
) -> None:
    reader = EventReader(Member, 900_000)
    assert reader.one_by_one_because is None
    if one_by_one:
        reader._decoders = ()
    given = [event_bytes(data={"spend": 1, "newsletter": each}) for each in (True, value, False)]
    events, rejections = read_events(reader, given)
    assert [*events.profile["newsletter"]] == [True, False]
    assert {row: rejection.reason for row, rejection in rejections.items()} == {1: RejectReason.INVALID_PROFILE}
    assert "data.newsletter" in rejections[1].detail


@pytest.mark.parametrize("of", [str, int])
def test_the_role_needs_the_type_bool(of: type) -> None:
    annotation = Annotated[of, boolean("a")]  # type: ignore[valid-type]  # known at run time only
    with pytest.raises(ProfileClassError, match="use the type bool"):
        profile_fields(type("Member", (BaseModel,), {"__annotations__": {"newsletter": annotation}}))


def test_in_the_model_they_are_one_column_of_0_and_1(tmp_path: Path) -> None:
    history = read(as_csv(tmp_path / "members.csv", "true", "false"), Member)
    learned = learn(history, history.all_fields[1], seed=0)
    assert isinstance(learned.column, BooleanColumn)
    assert [learned.column.mean, learned.column.scale] == pytest.approx([1 / 3, math.sqrt(2) / 3])
    encoder = Encoder((learned.column,))
    assert encoder.encode({"newsletter": [True, False]}).matrix.tolist() == [[1.0], [0.0]]
    assert encoder.scale(encoder.encode({"newsletter": TRUTH}).matrix).std() == pytest.approx(1.0)


class Guarded(BaseModel):
    history_id_column: ClassVar[None] = None
    kept: Annotated[bool | None, boolean("a")] = None
    last: Annotated[date | None, days_since("a")] = None
    spend: Annotated[float, number("a")]
    visits: Annotated[float, number("a")]


def test_booleans_and_dates_that_are_missing_are_known_to_be(tmp_path: Path) -> None:
    path = tmp_path / "history.csv"
    rows = ["kept,last,spend,visits", "true,2026-01-01,1,1", ",,2,2", "false,2026-01-02,3,3", ",2026-01-03,4,4", ""]
    path.write_text("\n".join(rows), encoding="utf-8")
    with read_history(path, Guarded, lambda *_: None) as history:
        missing = {name: np.concatenate([*history.without_value(name)]).tolist() for name in ("kept", "last")}
    assert missing == {"kept": [False, True, False, True], "last": [False, True, False, False]}


@pytest.mark.parametrize("role", [boolean("a"), days_since("a")])
def test_a_validator_before_the_role_is_refused_since_strictness_would_not_reach_the_type(role: Role) -> None:
    of = bool if role.kind is Kind.BOOLEAN else date
    with pytest.raises(ProfileClassError, match=role.kind.replace("-", "_")):
        create_model("Before", x=(Annotated[of, AfterValidator(lambda value: value), role], ...))  # type: ignore[arg-type]  # a type that is known at run time only


def test_a_column_that_is_always_true_is_left_out(tmp_path: Path) -> None:
    history = read(as_csv(tmp_path / "members.csv", "true", "true"), Member)
    assert learn(history, history.all_fields[1], seed=0).useless_because == "every user has the same value"


MODEL = Segmentation(
    Encoder((NumberColumn("spend", None, 0.0, 60.0, 30.0, 17.0), BooleanColumn("newsletter", 0.4, 0.49))),
    (Segment(3, "Many", (1.0, 1.2), 0.5, 2.0), Segment(7, "Few", (-1.0, -0.8), 0.5, 2.0)),
)


def test_a_model_with_them_is_read_as_it_was_written_and_its_golden_rows_fit() -> None:
    again = Segmentation.from_json(MODEL.to_json())
    assert again == MODEL
    users = sample_of({"spend": [*range(60)], "newsletter": TRUTH}, profile_fields(Member)).table
    golden = golden_rows(users, MODEL, seed=0)
    assert {*map(type, golden.columns["newsletter"])} == {bool}
    Golden.from_json(golden.to_json()).check(again)


@pytest.mark.parametrize("target", [*Target])
def test_an_export_takes_them_as_booleans(tmp_path: Path, target: Target) -> None:
    manifest = Manifest(**dict(fit()), format=1, id="20261124T120000Z-00000000", next_number=8, files={})
    assert export(StoredModel(manifest, MODEL), target, tmp_path / "model").rows > 3_000  # each compared with the model


def division_by_truth(shares: tuple[float, float]) -> Any:
    labels = np.repeat([0, 1], [200, 200])
    values = [i % 100 < 100 * shares[label] for i, label in enumerate(labels.tolist())]
    fields = [ProfileField("newsletter", "Newsletter", "account", Kind.BOOLEAN, ())]
    return as_given(sample_of({"newsletter": values}, fields), labels)


def test_a_card_says_how_many_have_yes_and_a_name_says_yes_or_no() -> None:
    found = effects(division_by_truth((0.7, 0.3)), frozenset({"newsletter"}))
    (more,), (fewer,) = found[0], found[1]
    assert (more.measure, more.kind) == (Measure.SHARE_DIFFERENCE, Kind.BOOLEAN)
    assert [more.inside, more.outside] == pytest.approx([0.7, 0.3])
    assert (subject(more), difference(more).partition(",")[0]) == (
        "Newsletter: yes",
        "70\N{NO-BREAK SPACE}% against 30\N{NO-BREAK SPACE}% elsewhere",
    )
    titles = titles_of([more])
    assert (phrase(more, titles), phrase(fewer, titles)) == ("Newsletter: yes", "Newsletter: no")


def test_the_table_of_segments_has_the_share_of_true_but_not_of_fewer_than_20(tmp_path: Path) -> None:
    history = read(as_csv(tmp_path / "members.csv", "true", "false"), Member)
    column = NumberColumn("spend", None, 0.0, 60.0, 0.0, 1.0)
    segments = (Segment(0, "low", (0.0,), 0.0, np.inf), Segment(1, "high", (59.0,), 0.0, np.inf))
    segmentation, placed = assign_users(history, Segmentation(Encoder((column,)), segments), 0, lambda *_: None)
    write_segment_profiles(tmp_path / "profiles.csv", history, segmentation.names, placed, 0)
    with (tmp_path / "profiles.csv").open(encoding="utf-8", newline="") as file:
        shares = {row["segment"]: row["newsletter: share of true"] for row in csv.DictReader(file)}
    assert shares == {"0": "<20", "1": "<20", "all": "0.3333"}
