import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.manifest import Verdict
from models.segmentation import Assignments
from tests.unit.trainer.histories import ADS_DATA, FIELDS, TOPS, Row, columns, groups, noise, planted, read, write
from trainer.columns import ColumnRule
from trainer.errors import FitRefused
from trainer.fit import FitOptions, Fitted, fit
from trainer.history import History
from trainer.progress import Silence

OPTIONS = FitOptions(k=None, groups=None, columns=ColumnRule.RELATED, seed=0, max_k=10, min_segment_users=20)
BEHAVIOUR = tuple(field.name for field in FIELDS if field.group == "behaviour")


def fitted(path: Path, rows: list[Row], options: FitOptions = OPTIONS) -> tuple[History, Fitted]:
    history = read(write(path, rows))
    return history, fit(history, options, Silence())


def assignments(found: Fitted) -> Assignments:
    """Of all users."""
    chunks = [*found.placed.chunks()]
    segment, distance, margin = (
        np.concatenate([getattr(chunk, name) for chunk in chunks]) for name in ("segment", "distance", "margin")
    )
    return Assignments(segment, distance, margin, np.concatenate([chunk.outlier for chunk in chunks]), {})


@pytest.fixture(scope="module")
def three_groups(tmp_path_factory: pytest.TempPathFactory) -> tuple[History, Fitted]:
    return fitted(tmp_path_factory.mktemp("history") / "history.csv", planted(500))


def test_planted_groups_are_found_among_columns_that_carry_nothing(three_groups: tuple[History, Fitted]) -> None:
    _, found = three_groups
    assert found.columns.kept == BEHAVIOUR
    assert set(found.columns.left_out.values()) == {"not related to any other column"}
    # The groups are numbered by size, as the segments are: equal labels, not only an equal partition.
    assert assignments(found).segment.tolist() == groups(500).tolist()
    assert found.placed.sizes == {0: 250, 1: 150, 2: 100}
    assert (found.verdict, found.verdict_reason) == (Verdict.UNJUDGED, "the structure has not been judged")


def test_each_segment_lies_where_its_users_are(three_groups: tuple[History, Fitted]) -> None:
    history, found = three_groups
    encode = found.segmentation.encoder
    scaled = encode.scale(encode.encode(columns(history)).matrix)
    for segment in found.segmentation.segments:
        members = scaled[assignments(found).segment == segment.number]
        assert members.mean(axis=0) == pytest.approx(np.array(segment.centroid), abs=1e-6)
        distances = np.linalg.norm(members - segment.centroid, axis=1)
        assert segment.median_distance == pytest.approx(np.median(distances))
    assert found.placed.inertia == pytest.approx((assignments(found).distance ** 2).sum())


def test_a_small_segment_takes_its_outlier_distance_from_all_users(three_groups: tuple[History, Fitted]) -> None:
    _, found = three_groups
    medians = np.array([segment.median_distance for segment in found.segmentation.segments])
    pooled = np.quantile(assignments(found).distance / medians[assignments(found).segment], 0.995)
    for segment in found.segmentation.segments:
        assert segment.outlier_distance == pytest.approx(pooled * segment.median_distance)
    assert assignments(found).outlier.sum() == 3  # 0.5 % of 500


def test_a_large_segment_has_an_outlier_distance_of_its_own(tmp_path: Path) -> None:
    _, found = fitted(tmp_path / "history.csv", planted(2_500), replace(OPTIONS, k=3))
    of_largest = assignments(found).distance[assignments(found).segment == 0]
    assert found.placed.sizes[0] >= 1_000
    assert found.segmentation.segments[0].outlier_distance == pytest.approx(np.quantile(of_largest, 0.995))
    pooled = found.segmentation.segments[1].outlier_distance / found.segmentation.segments[1].median_distance
    assert found.segmentation.segments[0].outlier_distance != pytest.approx(
        pooled * found.segmentation.segments[0].median_distance, rel=1e-6
    )


def test_equal_users_are_no_outliers(tmp_path: Path) -> None:
    kinds = planted(100)[::15]
    rows = [kinds[i % len(kinds)] | {"User ID": i} for i in range(50 * len(kinds))]
    options = replace(OPTIONS, k=len(kinds), columns=ColumnRule.ALL)
    history, found = fitted(tmp_path / "history.csv", rows, options)
    assert found.placed.sizes == dict.fromkeys(range(len(kinds)), 50)
    assert 0 < assignments(found).distance.max() < 1e-5  # what rounding leaves
    assert not assignments(found).outlier.any()
    # A sum over one row rounds otherwise than the same sum among many.
    for i in range(len(kinds)):
        one = {name: [values[i]] for name, values in columns(history).items()}
        assert not found.segmentation.assign(one).outlier.any()


def test_the_order_of_users_and_the_seed_decide_nothing_where_groups_are_clear(tmp_path: Path) -> None:
    rows = planted(300)
    _, first = fitted(tmp_path / "history.csv", rows)
    _, again = fitted(tmp_path / "history.csv", rows[::-1], replace(OPTIONS, seed=7))
    assert assignments(again).segment.tolist() == assignments(first).segment.tolist()[::-1]


MODEL_DIGEST = """
import hashlib, sys
from pathlib import Path
from schemas import UserProfile
from trainer.columns import ColumnRule
from trainer.fit import FitOptions, fit
from trainer.history import read_history
from trainer.progress import Silence
history = read_history(Path(sys.argv[1]), UserProfile, lambda *_: None)
found = fit(history, FitOptions(5, None, ColumnRule.ALL, 0, 10, 20), Silence())
print(hashlib.sha256(found.segmentation.to_json()).hexdigest())
"""


def test_the_same_history_gives_the_same_model_byte_for_byte_whatever_the_number_of_threads(tmp_path: Path) -> None:
    path = write(tmp_path / "history.csv", noise(600))
    runs = [
        subprocess.Popen(
            [sys.executable, "-c", MODEL_DIGEST, str(path)],
            env=os.environ | {"OMP_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads},
            cwd=Path(__file__).parents[3], stdout=subprocess.PIPE, text=True,
        )
        for threads in ("1", "2")
    ]  # fmt: skip
    digests = {run.communicate()[0] for run in runs}
    assert [run.returncode for run in runs] == [0, 0]
    assert len(digests) == 1


def test_noise_has_no_structure_and_all_its_columns_are_used(tmp_path: Path) -> None:
    _, found = fitted(tmp_path / "history.csv", noise(300))
    assert (found.verdict, found.verdict_reason) == (Verdict.NONE, "no two columns are related")
    assert found.columns.kept == tuple(field.name for field in FIELDS)
    assert found.columns.left_out == {}


def test_to_keep_every_column_does_not_make_structure_out_of_noise(tmp_path: Path) -> None:
    _, found = fitted(tmp_path / "history.csv", noise(300), replace(OPTIONS, columns=ColumnRule.ALL))
    assert found.verdict is Verdict.NONE


@pytest.mark.skipif(not ADS_DATA.exists(), reason="the advertising data set is not beside this checkout")
def test_the_advertising_data_set_has_no_structure() -> None:
    found = fit(read(ADS_DATA), OPTIONS, Silence())
    assert (found.verdict, found.verdict_reason) == (Verdict.NONE, "no two columns are related")


def test_all_columns_are_kept_when_asked_for(tmp_path: Path) -> None:
    _, found = fitted(tmp_path / "history.csv", planted(300), replace(OPTIONS, columns=ColumnRule.ALL, k=3))
    assert found.columns.kept == tuple(field.name for field in FIELDS)
    assert found.verdict is Verdict.UNJUDGED


def test_only_the_groups_asked_for_count(tmp_path: Path) -> None:
    options = replace(OPTIONS, groups=frozenset({"behaviour", "device"}))
    _, found = fitted(tmp_path / "history.csv", planted(300), options)
    assert found.columns.kept == BEHAVIOUR
    assert found.columns.left_out["device_usage"] == "not related to any other column"
    assert found.columns.left_out["age"] == "its group, demographic, was not asked for"
    assert [column.weight for column in found.segmentation.encoder.columns if column.name == "age"] == [0.0]


def test_a_group_that_no_field_belongs_to_is_refused_with_those_that_there_are(tmp_path: Path) -> None:
    with pytest.raises(FitRefused, match=r"no feature group 'behavior': .* behaviour, demographic, device, interest"):
        fitted(tmp_path / "history.csv", noise(50), replace(OPTIONS, groups=frozenset({"behavior"})))


def test_a_constant_column_is_left_out_with_its_reason(tmp_path: Path) -> None:
    rows = [row | {"Gender": "X", "Conversion Rates": 0.05} for row in planted(300)]
    _, found = fitted(tmp_path / "history.csv", rows, replace(OPTIONS, columns=ColumnRule.ALL, k=3))
    assert found.columns.left_out == dict.fromkeys(("gender", "conversion_rate"), "every user has the same value")


def test_users_who_are_all_the_same_are_refused(tmp_path: Path) -> None:
    rows: list[Row] = [noise(1)[0] | {"User ID": i} for i in range(50)]
    with pytest.raises(
        FitRefused,
        match=r"nothing to tell users apart by: age, gender, .*, top_interests \(every user has the same value\)$",
    ):
        fitted(tmp_path / "history.csv", rows)


def test_a_history_of_one_user_or_of_fewer_than_the_segments_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FitRefused, match="nothing to tell users apart by"):
        fitted(tmp_path / "history.csv", noise(1))
    with pytest.raises(FitRefused, match="5 rows are too few for 6 segments"):
        fitted(tmp_path / "history.csv", planted(5), replace(OPTIONS, k=6))
    with pytest.raises(FitRefused, match="30 rows are too few to choose"):
        fitted(tmp_path / "history.csv", planted(30))


def test_what_a_person_should_know_is_noted(tmp_path: Path) -> None:
    rows = [row | {"Score": 1} for row in planted(100)]
    rows[0]["Age"] = "old"
    _, found = fitted(tmp_path / "history.csv", rows)
    assert found.columns.notes == (
        "Age: 1 users have a label that is none of its levels ('old'); it counts as unknown",
        'columns that the profile class does not have were ignored: "Score"',
    )


class Listener:
    def __init__(self) -> None:
        self.steps: list[str] = []

    def at(self, step: str, done: int = 0, total: int | None = None) -> None:
        self.steps.append(f"{step} {done}/{total}")


def test_each_step_is_told(tmp_path: Path) -> None:
    listener = Listener()
    fit(read(write(tmp_path / "history.csv", planted(100))), OPTIONS, listener)
    assert listener.steps == [
        *(f"looking at the columns {done}/15" for done in range(16)),
        "choosing the number of segments 0/None",
        *(f"choosing the number of segments {done}/9" for done in range(1, 10)),
        "encoding all users 0/None",
        "encoding all users 100/100",
        "fitting 3 segments to 100 users 0/None",
        "placing all users 0/None",
        "placing all users 100/100",
    ]


def test_extreme_numbers_do_not_break_the_fit(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = planted(300)
    rows[0] |= {"Likes and Reactions": "1.7e308", "Followed Accounts": "1e300"}
    rows[1] |= dict.fromkeys(TOPS, 0)
    _, found = fitted(tmp_path / "history.csv", rows)
    assert np.isfinite(assignments(found).distance).all()
