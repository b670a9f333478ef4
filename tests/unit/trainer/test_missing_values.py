"""A column with holes: what is missing says nothing, and the verdict stays what it was."""

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Annotated, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import BaseModel, Field
from sklearn.metrics import adjusted_rand_score

from models.encoding import Floats
from models.manifest import Verdict
from schemas.csv_format import CsvFormat
from schemas.event_columns import EventReader
from schemas.rejected import RejectReason
from schemas.roles import category, number, several_of
from tests.support.events import event_bytes
from tests.support.reading import read_events
from trainer.fitting.columns import ColumnRule
from trainer.fitting.golden import golden_rows
from trainer.fitting.sample import JUDGED_ROWS
from trainer.history.history import History, read_history
from trainer.lineage.succession import NOTHING_BEFORE
from trainer.pipeline import FitOptions, Fitted, fit
from trainer.publishing.tables import write_segment_profiles
from trainer.text.progress import Silence

INPUTS = Path(__file__).parents[4] / "shared" / "inputs"
OPTIONS = FitOptions(
    k=None, groups=None, columns=ColumnRule.ALL, seed=7, max_k=6, min_segment_users=20, not_named=frozenset()
)
COLUMNS = 6
Run = Callable[..., tuple[int, str, str]]
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]


class Whole(BaseModel):
    history_id_column: ClassVar[None] = None
    x0: Annotated[Number, number("play")]
    x1: Annotated[Number, number("play")]
    x2: Annotated[Number, number("play")]
    x3: Annotated[Number, number("play")]
    x4: Annotated[Number, number("play")]
    x5: Annotated[Number, number("play")]
    side: Annotated[str, category("play")]


class WithHoles(BaseModel):
    history_id_column: ClassVar[None] = None
    x0: Annotated[Number | None, number("play")] = None
    x1: Annotated[Number | None, number("play")] = None
    x2: Annotated[Number | None, number("play")] = None
    x3: Annotated[Number | None, number("play")] = None
    x4: Annotated[Number | None, number("play")] = None
    x5: Annotated[Number | None, number("play")] = None
    side: Annotated[str | None, category("play")] = None


def written(path: Path, numbers: Floats, sides: list[str], holes: Floats | float) -> Path:
    """A history in which about this share of the cells is empty."""
    generator = np.random.default_rng(3)
    lines = [",".join([*(f"x{i}" for i in range(COLUMNS)), "side"])]
    each = np.broadcast_to(holes, (len(numbers), COLUMNS + 1))
    for row, side, shares in zip(numbers, sides, each, strict=True):
        cells = [*(f"{value:.6f}" for value in row), side]
        empty = generator.random(len(cells)) < shares
        lines.append(",".join("" if gone else cell for cell, gone in zip(cells, empty, strict=True)))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def noise(rows: int) -> tuple[Floats, list[str]]:
    """One cloud, its columns related."""
    generator = np.random.default_rng(11)
    numbers = generator.normal(size=(rows, COLUMNS)) + generator.normal(size=(rows, 1))
    return numbers, np.where(numbers[:, 0] + generator.normal(size=rows) > 0, "left", "right").tolist()


def three_groups(rows: int) -> tuple[Floats, list[str], npt.NDArray[np.intp]]:
    """Numbers and sides, and the group of each row."""
    generator = np.random.default_rng(12)
    groups = np.arange(rows) % 3
    centres = 3.0 * np.array([[1, 1, 1, 0, 0, 0], [0, 0, 1, 1, 1, 0], [1, 0, 0, 0, 1, 1]])
    numbers: Floats = centres[groups] + generator.normal(0, 0.5, size=(rows, COLUMNS))
    return numbers, np.array(["left", "right", "middle"])[groups].tolist(), groups


def fitted(path: Path, profile_class: type[BaseModel], options: FitOptions = OPTIONS) -> tuple[History, Fitted]:
    """The users of the fit, and the fit."""
    found = fit(read_history(path, profile_class, lambda *_: None), options, NOTHING_BEFORE, Silence())
    return found.history, found


def test_noise_with_holes_has_no_segments(tmp_path: Path) -> None:
    history, found = fitted(written(tmp_path / "noise.csv", *noise(800), 0.3), WithHoles)
    with history:
        assert found.judgement.verdict is Verdict.NONE


def test_three_groups_with_holes_are_clear_and_found(tmp_path: Path) -> None:
    numbers, sides, groups = three_groups(900)
    history, found = fitted(written(tmp_path / "groups.csv", numbers, sides, 0.3), WithHoles)
    with history:
        kept = np.array([int(user) - 2 for chunk in history.chunks([]) for user in chunk.users])
        segments = np.concatenate([chunk.segment for chunk in found.assigned.chunks()])
        assert (found.judgement.verdict, found.judgement.k) == (Verdict.CLEAR, 3)
        assert adjusted_rand_score(groups[kept], segments) > 0.9
        assert [each.field for each in found.explained.missing] == [field.name for field in history.fields]
        assert not any(each.is_related for each in found.explained.missing)
        assert {len(each.share_by_segment) for each in found.explained.missing} == {3}
        # A user of whom more than half is missing is left out, and said.
        assert history.too_little_known == 900 - history.rows > 0
        assert any("more than half" in note for note in found.columns.notes)


def test_who_lacks_only_what_the_model_does_not_use_counts_and_who_lacks_what_it_uses_does_not(
    tmp_path: Path, run: Run
) -> None:
    numbers, sides, groups = three_groups(300)
    generator = np.random.default_rng(5)
    numbers[:, 2:] = generator.normal(size=(300, COLUMNS - 2))  # noise, which the rule RELATED leaves out
    numbers[:, :2] = 4.0 * np.array([[0, 0], [0, 1], [1, 0]])[groups] + generator.normal(0, 0.3, size=(300, 2))
    holes = np.zeros((300, COLUMNS + 1))
    holes[:30, 2:6] = 1.0  # more than half of the class, nothing of the model
    holes[30:60, [0, 1, 6]] = 1.0
    path = written(tmp_path / "groups.csv", numbers, sides, holes)
    history, found = fitted(path, WithHoles, replace(OPTIONS, columns=ColumnRule.RELATED))
    with history:
        assert (
            found.columns.kept == ("x0", "x1", "side") == (*sorted(found.segmentation.encoder.used - {"side"}), "side")
        )
        left_out = {str(number) for number in range(32, 62)}
        users = [user for chunk in history.chunks([]) for user in chunk.users]
        assert (len(users), {*users} & left_out, history.too_little_known) == (270, set(), 30)
        assert any("30 users of whom more than half" in note for note in found.columns.notes)
    reader = EventReader(WithHoles, 10_000, used=found.segmentation.encoder.used)
    noise = {f"x{i}": 0.5 for i in range(2, COLUMNS)}
    _, rejections = read_events(reader, [event_bytes(data={"x0": 4.0, "side": "left"}), event_bytes(data=noise)])
    assert {row: each.reason for row, each in rejections.items()} == {1: RejectReason.TOO_LITTLE_KNOWN}
    store, of = ("--models", str(tmp_path / "store")), ("--profile", f"{__file__}:WithHoles")
    assert run("fit", path, *of, *store)[0] == 0
    (version,) = json.loads(run("list", "--json", *store)[1])
    assert run("assign", path, *of, *store, "--version", version["id"], "-o", tmp_path / "out.csv")[0] == 0
    with (tmp_path / "out.csv").open(encoding="utf-8", newline="") as file:
        assert {*users} == {row[0] for row in [*csv.reader(file)][1:]}
    compared = json.loads(run("compare", version["id"], version["id"], path, *of, *store, "--json")[1])
    assert (compared["too_little_known"], compared["reassigned"]["compared"]) == (30, 270)
    nobody = written(tmp_path / "nobody.csv", numbers, sides, np.array([1.0, 1.0, 0, 0, 0, 0, 0]))
    status, _, errors = run("compare", version["id"], version["id"], nobody, *of, *store)
    assert (status, "nothing can be compared" in errors) == (2, True)


def test_a_fit_of_which_the_model_before_knows_no_user_continues_none_of_its_segments(tmp_path: Path) -> None:
    numbers, sides, groups = three_groups(300)
    first, found = fitted(
        written(tmp_path / "first.csv", numbers[:, ::-1], sides, np.array([0.0] * 3 + [1.0] * 4)), WithHoles
    )
    path = written(tmp_path / "second.csv", numbers, sides, np.array([1.0] * 3 + [0.0] * 4))
    before = replace(NOTHING_BEFORE, parent="20261122T090000Z-cc081013", model=found.segmentation, next_number=7)
    second = fit(read_history(path, WithHoles, lambda *_: None), OPTIONS, before, Silence())
    with first, second.history:
        assert second.lineage is None
        assert min(second.segmentation.names) == 7
        assert adjusted_rand_score(groups, np.concatenate([each.segment for each in second.assigned.chunks()])) > 0.9


def test_without_a_hole_an_optional_field_changes_nothing(tmp_path: Path) -> None:
    numbers, sides, _ = three_groups(300)
    path = written(tmp_path / "whole.csv", numbers, sides, 0.0)
    made = []
    for profile_class in (Whole, WithHoles):
        history, found = fitted(path, profile_class)
        with history:
            users = [(each.segment.tolist(), each.distance.tolist()) for each in found.assigned.chunks()]
            golden = golden_rows(history.sample(JUDGED_ROWS, 7), found.segmentation, 7).to_json()
            made.append((found.segmentation.to_json(), users, golden, found.judgement))
    assert made[0] == made[1]


def test_a_value_that_one_segment_lacks_is_said_to_be_related(tmp_path: Path) -> None:
    numbers, sides, groups = three_groups(600)
    holes = np.zeros((600, COLUMNS + 1))
    holes[groups == 0, 3] = 0.8
    history, found = fitted(written(tmp_path / "groups.csv", numbers, sides, holes), WithHoles)
    with history:
        (missing,) = found.explained.missing
        assert (missing.field, missing.is_related) == ("x3", True)
        assert len({*missing.share_by_segment}) > 1


def test_a_value_that_one_segment_lacks_a_little_more_often_is_not_said_to_be_related(tmp_path: Path) -> None:
    numbers, sides, groups = three_groups(600)
    holes = np.zeros((600, COLUMNS + 1))
    holes[:, 3] = np.array([0.25, 0.14, 0.14])[groups]
    history, found = fitted(written(tmp_path / "groups.csv", numbers, sides, holes), WithHoles)
    with history:
        (missing,) = found.explained.missing
        assert 0.01 < missing.p_value < 0.05
        assert not missing.is_related


def test_a_column_that_more_than_half_lack_is_left_out_with_the_reason(tmp_path: Path) -> None:
    numbers, sides, _ = three_groups(300)
    holes = np.array([0.7, *[0.0] * COLUMNS])
    history, found = fitted(written(tmp_path / "groups.csv", numbers, sides, holes), WithHoles)
    with history:
        assert "have no value" in found.columns.left_out["x0"]
        assert 0.6 < found.columns.learned[0].missing_share < 0.8
        (column,) = [each for each in found.segmentation.encoder.columns if each.name == "x0"]
        assert column.weight == 0


def test_a_column_without_any_value_is_left_out(tmp_path: Path) -> None:
    numbers, sides, _ = three_groups(120)
    holes = np.array([*[0.0] * COLUMNS, 1.0])
    holes[0] = 1.0
    history, found = fitted(written(tmp_path / "groups.csv", numbers, sides, holes), WithHoles)
    with history:
        assert [found.columns.left_out[name] for name in ("x0", "side")] == ["no user has a value"] * 2
        golden_rows(history.sample(JUDGED_ROWS, 7), found.segmentation, 7).check(found.segmentation)


def test_means_and_scales_are_of_the_observed_values(tmp_path: Path) -> None:
    numbers, sides, _ = three_groups(300)
    path = written(tmp_path / "groups.csv", numbers, sides, 0.2)
    _, found = fitted(path, WithHoles)
    with found.history as history:
        # Those of the users who are left, whose segments they belong to.
        assert history.too_little_known > 0
        (column,) = [each for each in found.segmentation.encoder.columns if each.name == "x3"]
        observed = np.concatenate([*history.copy.numbers("x3")])
        (learned,) = [each for each in found.columns.learned if each.field.name == "x3"]
        assert learned.missing_share == pytest.approx(np.isnan(observed).mean())
        observed = np.clip(observed[~np.isnan(observed)], column.low, column.high)  # type: ignore[union-attr]  # a number
        assert column.means == pytest.approx([observed.mean()])
        assert column.scale == pytest.approx(observed.std())
        (side,) = [each for each in found.segmentation.encoder.columns if each.name == "side"]
        assert sum(side.means) == pytest.approx(1.0)


class WithTags(BaseModel):
    history_id_column: ClassVar[str] = "user"
    history_format: ClassVar[CsvFormat] = CsvFormat(missing=("NA",))
    spend: Annotated[Number, number("play")]
    tags: Annotated[list[str] | None, several_of("play")] = None


TAGS: list[list[str] | None] = [["a", "b"], None, [], ["b"]] * 60


def test_a_missing_list_is_not_an_empty_one_in_a_csv_in_parquet_or_in_an_event(tmp_path: Path) -> None:
    cells = ["NA" if tags is None else ",".join(tags) for tags in TAGS]
    lines = [f'u{i},{i % 7},"{cell}"' for i, cell in enumerate(cells)]
    (tmp_path / "users.csv").write_text("\n".join(["user,spend,tags", *lines]), encoding="utf-8")
    columns = {"user": [f"u{i}" for i in range(len(TAGS))], "spend": [i % 7 for i in range(len(TAGS))]}
    pq.write_table(pa.table(columns | {"tags": pa.array(TAGS)}), tmp_path / "lists.parquet")
    texts = pa.array([None if tags is None else ",".join(tags) for tags in TAGS])
    pq.write_table(pa.table(columns | {"tags": texts}), tmp_path / "texts.parquet")
    wanted = [None if tags is None else tuple(tags) for tags in TAGS]
    for path in tmp_path.iterdir():
        with read_history(path, WithTags, lambda *_: None) as history:
            assert [items for chunk in history.chunks() for items in chunk.columns["tags"]] == wanted
            assert history.sample(JUDGED_ROWS, 0)["tags"].isna().mean() == 0.25
            assert history.label_counts("tags") == {"a": 60, "b": 120}
    events, rejections = read_events(
        EventReader(WithTags, 10_000),
        [
            event_bytes(data={"spend": i % 7} if tags is None else {"spend": i % 7, "tags": tags})
            for i, tags in enumerate(TAGS)
        ],
    )
    assert not rejections
    assert [None if tags is None else tuple(tags) for tags in events.profile["tags"]] == wanted
    with read_history(tmp_path / "users.csv", WithTags, lambda *_: None) as history:
        found = fit(history, replace(OPTIONS, k=2), NOTHING_BEFORE, Silence())
        (column,) = [each for each in found.segmentation.encoder.columns if each.name == "tags"]
        assert column.means == pytest.approx((1 / 3, 2 / 3)), "of the users who have a list"
        assert [each.missing_share for each in found.columns.learned] == [0.0, 0.25]
        assert found.segmentation.assign({"spend": [3.0], "tags": [None]}).missing.keys() == {"tags"}
        write_segment_profiles(tmp_path / "profiles.csv", history, found.segmentation.names, found.assigned, 0)
        golden_rows(history.sample(JUDGED_ROWS, 7), found.segmentation, 7).check(found.segmentation)
    with (tmp_path / "profiles.csv").open(encoding="utf-8", newline="") as file:
        *_, everybody = csv.DictReader(file)
    assert everybody["tags: most common"] == "b 67%; a 33%"


def test_the_console_says_how_much_is_missing_and_who_is_left_out(tmp_path: Path, run: Run) -> None:
    numbers, sides, _ = three_groups(300)
    path = written(tmp_path / "groups.csv", numbers, sides, 0.3)
    store = ("--models", str(tmp_path / "store"))
    of = ("--profile", f"{__file__}:WithHoles")
    status, fit_output, errors = run("fit", path, *of, "--k", "3", *store)
    assert (status, errors.count("Traceback")) == (0, 0)
    (version,) = json.loads(run("list", "--json", *store)[1])
    for output in (fit_output, run("show", version["id"], *store)[1]):
        (line,) = [line for line in output.splitlines() if line.startswith("missing values")]
        assert line.count("%") == COLUMNS + 1
    _, compared, _ = run("compare", version["id"], version["id"], path, *of, *store)
    _, assigned, _ = run("assign", path, *of, *store, "--version", version["id"], "-o", tmp_path / "out.csv")
    document = json.loads(run("compare", version["id"], version["id"], path, *of, *store, "--json")[1])
    for output in (compared, assigned):
        (line,) = [line for line in output.splitlines() if line.startswith("left out")]
        assert line.split()[2] == str(document["too_little_known"]) == str(300 - document["reassigned"]["compared"])


@pytest.mark.skipif(not INPUTS.exists(), reason="needs ../shared")
@pytest.mark.parametrize("file", ["rfm_missing.csv", "emptycat.csv"])
def test_a_real_table_with_holes_is_read_whole(file: str) -> None:
    class Rfm(BaseModel):
        history_id_column: ClassVar[str] = "customer_id"
        recency_days: Annotated[Number | None, number("behaviour")]
        frequency: Annotated[Number, number("behaviour")]
        monetary: Annotated[Number | None, number("behaviour")]

    class Shopper(BaseModel):
        history_id_column: ClassVar[str] = "customer"
        basket_value: Annotated[Number, number("behaviour")]
        country: Annotated[str | None, category("demographic")]

    classes: dict[str, type[BaseModel]] = {"rfm_missing.csv": Rfm, "emptycat.csv": Shopper}
    with read_history(INPUTS / file, classes[file], lambda *_: None) as history:
        optional = [field.name for field in history.fields if field.optional]
        missing = {name: sum(int(each.sum()) for each in history.without_value(name)) for name in optional}
        assert history.bad_rows.count == 0
        assert history.too_little_known <= 6
        assert all(missing.values())
        assert all("" not in labels for labels in history.copy.labels.values())
