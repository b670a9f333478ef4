import gzip
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
from tests.support.histories import FIELDS, Row, columns, groups, noise, planted, read, write
from trainer.errors import FitRefused
from trainer.fitting.columns import ColumnRule
from trainer.history.history import History
from trainer.lineage.succession import NOTHING_BEFORE
from trainer.pipeline import FitOptions, Fitted, fit
from trainer.text.progress import Silence

OPTIONS = FitOptions(
    k=None, groups=None, columns=ColumnRule.RELATED, seed=0, max_k=10, min_segment_users=20, not_named=frozenset()
)
BEHAVIOUR = tuple(field.name for field in FIELDS if field.group == "behaviour")


def fitted(path: Path, rows: list[Row], options: FitOptions = OPTIONS) -> tuple[History, Fitted]:
    history = read(write(path, rows))
    return history, fit(history, options, NOTHING_BEFORE, Silence())


def assignments(found: Fitted) -> Assignments:
    """Of all users."""
    chunks = [*found.assigned.chunks()]
    names = ("segment", "distance", "margin", "reach", "outlier")
    segment, distance, margin, reach, outlier = (
        np.concatenate([getattr(chunk, name) for chunk in chunks]) for name in names
    )
    return Assignments(segment, distance, margin, reach, outlier, {}, {}, {})


@pytest.fixture(scope="module")
def three_groups(tmp_path_factory: pytest.TempPathFactory) -> tuple[History, Fitted]:
    return fitted(tmp_path_factory.mktemp("history") / "history.csv", planted(500))


def test_planted_groups_are_found_among_columns_that_carry_nothing(three_groups: tuple[History, Fitted]) -> None:
    _, found = three_groups
    assert found.columns.kept == BEHAVIOUR
    assert set(found.columns.left_out.values()) == {"not related to any other column"}
    # The groups are numbered by size, as the segments are: equal labels, not only an equal partition.
    assert assignments(found).segment.tolist() == groups(500).tolist()
    assert found.assigned.sizes == {0: 250, 1: 150, 2: 100}
    assert found.judgement.verdict is Verdict.CLEAR


def test_each_segment_lies_where_its_users_are(three_groups: tuple[History, Fitted]) -> None:
    history, found = three_groups
    encode = found.segmentation.encoder
    scaled = encode.scale(encode.encode(columns(history)).matrix)
    for segment in found.segmentation.segments:
        members = scaled[assignments(found).segment == segment.number]
        assert members.mean(axis=0) == pytest.approx(np.array(segment.centroid), abs=1e-6)
        distances = np.linalg.norm(members - segment.centroid, axis=1)
        assert segment.median_distance == pytest.approx(np.median(distances))
    assert found.assigned.inertia == pytest.approx((assignments(found).distance ** 2).sum())


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
    assert found.assigned.sizes[0] >= 1_000
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
    assert found.assigned.sizes == dict.fromkeys(range(len(kinds)), 50)
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


def test_the_same_users_give_the_same_model_byte_for_byte_whatever_the_cores_and_the_file(tmp_path: Path) -> None:
    plain = write(tmp_path / "history.csv", noise(600))
    compressed = tmp_path / "history.csv.gz"
    compressed.write_bytes(gzip.compress(plain.read_bytes()))
    runs = []
    for path, cores in ((plain, "1"), (compressed, "2")):
        threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "LOKY_MAX_CPU_COUNT"), cores)
        words = ("fit", str(path), "--k", "5", "--columns", "all", "--models", str(tmp_path / cores))
        runs.append(
            subprocess.Popen(
                [sys.executable, "-m", "trainer", *words],
                env=os.environ | threads,
                cwd=Path(__file__).parents[3],
                stdout=subprocess.DEVNULL,
            )
        )
    assert [run.wait() for run in runs] == [0, 0]
    one, two = ((path / "model.json").read_bytes() for path in sorted(tmp_path.glob("?/versions/*")))
    assert one == two


def test_to_keep_every_column_does_not_make_structure_out_of_noise(tmp_path: Path) -> None:
    _, found = fitted(tmp_path / "history.csv", noise(300), replace(OPTIONS, columns=ColumnRule.ALL, k=2))
    assert found.judgement.verdict is Verdict.NONE


def test_too_few_users_for_the_segments_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FitRefused, match="5 rows, too few for 6 segments"):
        fitted(tmp_path / "history.csv", planted(5), replace(OPTIONS, k=6, columns=ColumnRule.ALL))
    with pytest.raises(FitRefused, match=r"30 rows.*--k"):
        fitted(tmp_path / "history.csv", planted(30))
    with pytest.raises(FitRefused, match=r"60 rows.*\b80\b"):
        fitted(tmp_path / "history.csv", planted(60), replace(OPTIONS, min_segment_users=40))


def test_more_segments_than_different_users_are_refused(tmp_path: Path) -> None:
    kinds = planted(100)[::25]
    rows = [kinds[i % len(kinds)] | {"User ID": i} for i in range(200)]
    with pytest.raises(FitRefused, match=r"4 different users.* 5 segments"):
        fitted(tmp_path / "history.csv", rows, replace(OPTIONS, k=5, columns=ColumnRule.ALL))


def test_a_segment_of_too_few_users_is_refused(tmp_path: Path) -> None:
    options = replace(OPTIONS, k=3, min_segment_users=21)
    with pytest.raises(
        FitRefused,
        match=r"20 of 100 users.* 21 .*--min-segment-users",
    ):
        fitted(tmp_path / "history.csv", planted(100), options)


def test_no_more_segments_are_tried_than_asked_for(tmp_path: Path) -> None:
    _, found = fitted(tmp_path / "history.csv", planted(100), replace(OPTIONS, max_k=4))
    assert [trial.k for trial in found.judgement.trials] == [2, 3, 4]


class Listener:
    def __init__(self) -> None:
        self.steps: list[str] = []

    def at(self, step: str, done: int = 0, total: int | None = None) -> None:  # noqa: ARG002  # names only
        self.steps.append(step)


def test_each_step_is_reported(tmp_path: Path) -> None:
    listener = Listener()
    fit(read(write(tmp_path / "history.csv", planted(100))), replace(OPTIONS, max_k=3), NOTHING_BEFORE, listener)
    steps = [*dict.fromkeys(listener.steps)]
    assert steps[:2] == ["looking at the columns", "choosing the number of segments"]
    placing = steps.index("encoding all users")
    assert steps[placing : placing + 3] == [
        "encoding all users",
        "fitting 3 segments to 100 users",
        "assigning all users",
    ]


def test_extreme_cells_do_not_change_the_segments(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = planted(300)
    rows[0] |= {"Likes and Reactions": "1.7e308", "Followed Accounts": "1000000000000"}
    _, found = fitted(tmp_path / "history.csv", rows)
    assert assignments(found).segment.tolist()[1:] == groups(300).tolist()[1:]
    assert np.isfinite(assignments(found).distance).all()
