import csv
import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import pytest

from models import promoting
from models.encoding import CategoryColumn, Encoder
from models.errors import PublishFailed
from models.golden import Golden
from models.manifest import ProfileReference, Verdict
from models.segmentation import Segment, Segmentation
from models.store import ModelStore
from schemas import UserProfile
from tests.support.histories import FIELDS, HEADER, columns, groups, noise, planted, read, table, users, write
from trainer.commands.bad_rows import BadRows
from trainer.commands.fit import Published, fit_history
from trainer.errors import HistoryError
from trainer.fitting.columns import ColumnRule
from trainer.fitting.golden import UNSEEN, golden_rows
from trainer.history.history import History
from trainer.pipeline import FitOptions
from trainer.publishing.findings_file import findings_from_json
from trainer.text.progress import Silence

OPTIONS = FitOptions(
    k=None, groups=None, columns=ColumnRule.RELATED, seed=3, max_k=10, min_segment_users=20, not_named=frozenset()
)
NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


@dataclass(frozen=True)
class Case:
    history: History
    published: Published
    store: ModelStore
    folder: Path


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Case:
    folder = tmp_path_factory.mktemp("case")
    path = write(folder / "history.csv", planted(300))
    store = ModelStore(folder / "store")
    published = fit_history(path, UserProfile, OPTIONS, BadRows.REFUSE, store, NOON, Silence())
    return Case(read(path), published, store, store.folder(published.manifest.id))


def test_a_version_has_every_file_that_is_promised(case: Case) -> None:
    files = [
        "golden.json", "kmeans.joblib", "model.json", "scaler.joblib", "segment_profiles.csv", "segmented_users.csv",
        "findings.json", "report.html",
    ]  # fmt: skip
    written = {path.name for path in case.folder.iterdir()}
    assert written >= {*files, "manifest.json"}
    assert {*case.published.manifest.files} == written - {"manifest.json"}


def test_the_manifest_says_what_was_done(case: Case) -> None:
    manifest = case.published.manifest
    assert manifest.created_at == NOON
    assert (manifest.k, manifest.verdict, manifest.rows) == (3, Verdict.CLEAR, 300)
    assert manifest.profile == ProfileReference.of(UserProfile)
    assert (manifest.parent, manifest.reassigned) == (None, None)


def test_the_findings_say_on_what_the_version_rests(case: Case) -> None:
    findings = findings_from_json((case.folder / "findings.json").read_bytes(), case.folder.name)
    assert findings == case.published.findings
    columns = {column.field: column.left_out_because for column in findings.quality.columns}
    assert [name for name, reason in columns.items() if reason is None] == [
        field.name for field in FIELDS if field.group == "behaviour"
    ]
    assert columns["age"] == "not related to any other column"
    trials = findings.judgement.trials
    assert case.published.manifest.silhouette == max(trial.silhouette for trial in trials)
    assert [trial.k for trial in trials] == [*range(2, 11)]
    assert {card.segment: card.users for card in findings.cards} == {0: 150, 1: 90, 2: 60}
    assert findings.quality.rows_skipped == 0
    origin = findings.origin
    assert (origin.created_at, origin.seed, origin.data_sha256) == (NOON, 3, case.history.digest)
    assert origin.options == {
        "k": "chosen",
        "only": "all",
        "columns": "related",
        "max-k": "10",
        "min-segment-users": "20",
        "not named": "none",
    }
    assert {"python", "stream-segmentation", "numpy", "scikit-learn", "diptest"} <= set(origin.libraries)


def test_the_model_holds_neither_clock_nor_path(case: Case) -> None:
    content = (case.folder / "model.json").read_text(encoding="utf-8")
    assert "2026" not in content
    assert str(case.store.root) not in content


def test_the_exported_scaler_and_kmeans_do_what_the_segmentation_does(case: Case, tmp_path: Path) -> None:
    # Our own files, written a moment ago: the only kind that may be unpickled.
    scaler, kmeans = (joblib.load(case.folder / name) for name in ("scaler.joblib", "kmeans.joblib"))
    segmentation = case.store.load(case.published.manifest.id).segmentation
    data = columns(read(write(tmp_path / "other.csv", noise(2_000, seed=9))))
    raw = segmentation.encoder.encode(data).matrix
    scaled = scaler.transform(raw)
    assert np.array_equal(scaled, segmentation.encoder.scale(raw))
    assert np.array_equal(kmeans.segment_numbers_[kmeans.predict(scaled)], segmentation.assign(data).segment)
    assert np.array_equal(kmeans.cluster_centers_, segmentation.centroids)
    assert type(scaler).__name__ == "StandardScaler"
    assert type(kmeans).__name__ == "KMeans"


def test_segmented_users_are_in_input_order_under_the_historys_own_id(case: Case) -> None:
    with (case.folder / "segmented_users.csv").open(encoding="utf-8", newline="") as file:
        rows = [*csv.DictReader(file)]
    assert [*rows[0]] == ["User ID", "segment", "segment_name", "distance", "margin", "outlier"]
    assert [row["User ID"] for row in rows] == [*users(case.history)]
    assert [int(row["segment"]) for row in rows] == groups(300).tolist()
    found = case.published.fitted.segmentation.assign(columns(case.history))
    assert [float(row["distance"]) for row in rows] == found.distance.tolist()
    assert [float(row["margin"]) for row in rows] == found.margin.tolist()
    assert [row["outlier"] == "True" for row in rows] == found.outlier.tolist()
    names = case.published.fitted.segmentation.names
    assert [row["segment_name"] for row in rows] == [names[int(row["segment"])] for row in rows]


def test_segment_profiles_tell_what_is_typical_of_each_segment_and_of_all(case: Case) -> None:
    profiles = pd.read_csv(case.folder / "segment_profiles.csv", dtype={"segment": str})
    assert profiles["segment"].tolist() == ["0", "1", "2", "all"]
    assert profiles["users"].tolist() == [150, 90, 60, 300]
    assert profiles["share"].tolist() == [0.5, 0.3, 0.2, 1.0]
    assert profiles["outliers"].tolist() == ["<20"] * 4
    members = table(case.history)[groups(300) == 1]
    row = profiles.iloc[1]
    assert row["Likes and Reactions: mean"] == pytest.approx(members["likes_and_reactions"].mean(), rel=1e-5)
    assert row["Conversion Rates: median"] == pytest.approx(members["conversion_rate"].median(), rel=1e-5)
    counts = members["device_usage"].value_counts()
    assert counts[row["Device Usage: most common"]] == counts.max()
    assert row["Device Usage: share"] == pytest.approx(counts.max() / 90, abs=1e-4)
    assert profiles.iloc[3]["Top Interests: most common"].split("; ")[0].endswith("%")


def test_golden_rows_are_nobody_and_get_their_segments(case: Case) -> None:
    golden = Golden.from_json((case.folder / "golden.json").read_bytes())
    assert len(golden.segments) == 32
    assert len(set(golden.segments)) > 1
    data = columns(case.history)
    everybody = set(zip(*(map(repr, data[field.name]) for field in FIELDS), strict=True))
    rows = zip(*(map(repr, golden.columns[field.name]) for field in FIELDS), strict=True)
    assert not everybody & set(rows)
    assert UNSEEN in golden.columns["gender"]
    segmentation = case.store.load(case.published.manifest.id).segmentation
    assert segmentation.assign(golden.columns).margin.min() >= 0.001
    assert json.loads(golden.to_json())["segments"] == [*golden.segments]


def test_golden_rows_are_profiles_as_an_event_has_them(case: Case) -> None:
    golden = Golden.from_json((case.folder / "golden.json").read_bytes())
    for values in zip(*(golden.columns[field.name] for field in FIELDS), strict=True):
        UserProfile.model_validate(dict(zip((field.name for field in FIELDS), values, strict=True)))


def test_no_golden_row_lies_on_a_border() -> None:
    levels = ("left", "middle", "right")
    sample = pd.DataFrame({"side": pd.Categorical(levels * 10)})
    encoder = Encoder((CategoryColumn("side", levels, means=(0.0, 0.0, 0.0), scale=1.0),))
    at_the_sides = ((1.0, 0.0, 0.0), (0.0, 0.0, 1.0))
    segments = tuple(Segment(i, f"Segment {i}", at, 0.1, 1.0) for i, at in enumerate(at_the_sides))
    golden = golden_rows(sample, Segmentation(encoder, segments), seed=1)
    assert set(golden.columns["side"]) == {"left", "right"}


def test_bad_rows_are_left_out_and_written_beside_the_version(tmp_path: Path) -> None:
    rows = planted(100)
    rows[3] |= {"Age": "", "Conversion Rates": "2"}
    rows[7]["User ID"] = "user-1"
    path = write(tmp_path / "history.csv", rows)
    store = ModelStore(tmp_path / "store")
    with pytest.raises(HistoryError, match=r"2 bad rows"):
        fit_history(path, UserProfile, OPTIONS, BadRows.REFUSE, store, NOON, Silence())
    assert not store.root.exists()
    published = fit_history(path, UserProfile, OPTIONS, BadRows.SKIP, store, NOON, Silence())
    manifest = published.manifest
    assert (manifest.rows, published.findings.quality.rows_skipped) == (98, 2)
    assert "bad_rows.csv" in manifest.files
    with (store.folder(manifest.id) / "bad_rows.csv").open(encoding="utf-8", newline="") as file:
        header, *written = csv.reader(file)
    assert header == ["line", "problem", *HEADER]
    assert written[0][:3] == ["5", "Age: is empty; Conversion Rates: '2' should be less than or equal to 1", "user-3"]
    assert written[1][:3] == ["9", "User ID: 'user-1' is already on line 3", "user-1"]
    written_users = pd.read_csv(store.folder(manifest.id) / "segmented_users.csv")["User ID"].tolist()
    assert written_users == [f"user-{i}" for i in range(100) if i not in {3, 7}]


def test_a_history_of_bad_rows_only_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    path = write(tmp_path / "history.csv", [row | {"Age": ""} for row in noise(50)])
    store = ModelStore(tmp_path / "store")
    with pytest.raises(HistoryError, match=r"no row that can be used: .* on line 2, Age: is empty"):
        fit_history(path, UserProfile, OPTIONS, BadRows.SKIP, store, NOON, Silence())
    assert not store.root.exists()


def test_the_parent_of_a_version_is_the_one_in_production(tmp_path: Path) -> None:
    path, store = write(tmp_path / "history.csv", planted(100)), ModelStore(tmp_path / "store")
    first = fit_history(path, UserProfile, OPTIONS, BadRows.REFUSE, store, NOON, Silence()).manifest
    promoting.promote(store, first.id, "production", NOON)
    options = replace(OPTIONS, k=2, groups=frozenset({"device", "behaviour"}), columns=ColumnRule.ALL)
    second = fit_history(path, UserProfile, options, BadRows.REFUSE, store, NOON, Silence())
    assert second.manifest.parent == first.id
    asked = second.findings.origin.options
    assert (asked["k"], asked["only"], asked["columns"], asked["max-k"]) == ("2", "behaviour,device", "all", "10")
    assert [trial.k for trial in second.findings.judgement.trials] == [2]


def test_a_fit_checks_that_it_can_write_its_version_before_it_reads_the_history(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(PublishFailed, match=f"^{file} is not a directory"):
        fit_history(tmp_path / "none.csv", UserProfile, OPTIONS, BadRows.REFUSE, ModelStore(file), NOON, Silence())
