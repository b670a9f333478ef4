import csv
import resource
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from models.encoding import Encoder, NumberColumn
from models.segmentation import Assignments, Segment, Segmentation
from tests.support.histories import Row, noise, read, table, write
from trainer.atomic_file import atomic_file
from trainer.errors import OutputError
from trainer.fitting.assignment import AssignedUsers, assign_users
from trainer.publishing.tables import write_segment_profiles, write_segmented_users, write_segmented_users_as_parquet

HOURS = "Time Spent Online (hrs/weekday)"
NAMES = {3: "Many hours", 9: "Few hours"}


def profiles(tmp_path: Path, rows: list[Row]) -> dict[str, dict[str, Any]]:
    """The table of two segments, those with more than 3 hours and the others, by segment."""
    history = read(write(tmp_path / "history.csv", rows))
    column = NumberColumn("weekday_hours_online", None, low=0.0, high=24.0, mean=0.0, scale=1.0)
    segments = tuple(Segment(number, NAMES[number], (at,), 0.0, np.inf) for number, at in ((3, 5.0), (9, 1.0)))
    segmentation, placed = assign_users(history, Segmentation(Encoder((column,)), segments), 0, lambda *_: None)
    write_segment_profiles(tmp_path / "profiles.csv", history, segmentation.names, placed, 0)
    with (tmp_path / "profiles.csv").open(encoding="utf-8", newline="") as file:
        return {row["segment"]: row for row in csv.DictReader(file)}


def two_groups(users: int, many: int) -> list[Row]:
    return [row | {HOURS: 5.0 if i < many else 1.0} for i, row in enumerate(noise(users))]


def test_each_segment_is_described_under_its_own_number(tmp_path: Path) -> None:
    rows = two_groups(400, 100)
    for i, row in enumerate(rows):
        row["Top Interests"] = "Gaming, Gaming, Travel" if i % 2 else "Gaming"
    found = profiles(tmp_path, rows)
    assert [*found] == ["3", "9", "all"]
    assert [row["segment_name"] for row in found.values()] == ["Many hours", "Few hours", "All users"]
    assert [row["users"] for row in found.values()] == ["100", "300", "400"]
    assert [row["share"] for row in found.values()] == ["0.25", "0.75", "1.0"]
    members = table(read(tmp_path / "history.csv"))
    for key, part in (("3", members[:100]), ("9", members[100:]), ("all", members)):
        assert float(found[key]["Conversion Rates: mean"]) == pytest.approx(part["conversion_rate"].mean(), rel=1e-5)
        assert float(found[key]["Conversion Rates: median"]) == pytest.approx(
            part["conversion_rate"].median(), rel=1e-5
        )
        counts = part["device_usage"].value_counts()
        assert counts[found[key]["Device Usage: most common"]] == counts.max()
        assert float(found[key]["Device Usage: share"]) == pytest.approx(counts.max() / len(part), abs=1e-4)
        assert found[key]["Top Interests: most common"] == "Gaming 100%; Travel 50%"


def test_figures_about_fewer_than_20_users_are_suppressed(tmp_path: Path) -> None:
    found = profiles(tmp_path, two_groups(300, 19))
    few = {name: cell for name, cell in found["3"].items() if name not in {"segment", "segment_name"}}
    assert set(few.values()) == {"<20"}
    assert found["9"]["users"] == "281"
    assert found["all"]["outliers"] == "<20"


def test_a_label_that_fewer_than_20_have_is_not_named_though_it_is_the_most_common(tmp_path: Path) -> None:
    rows = two_groups(200, 30)
    for i, row in enumerate(rows):
        row["Language"] = f"language {i % 15}"
        row["Top Interests"] = "Gaming" if i % 3 else f"interest {i}"
    found = profiles(tmp_path, rows)
    assert found["3"]["Language: most common"] == found["3"]["Language: share"] == "<20"
    assert found["3"]["Top Interests: most common"] == "Gaming"  # 10 of 30 lack it
    assert found["9"]["Top Interests: most common"] == "Gaming 66%"
    assert "interest" not in found["all"]["Top Interests: most common"]


def test_medians_of_many_users_come_from_a_sample(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = two_groups(2_000, 500)
    exact = profiles(tmp_path, rows)
    monkeypatch.setattr("trainer.publishing.tables.MEDIAN_USERS", 900)
    sampled = profiles(tmp_path, rows)
    medians = []
    for key in exact:
        assert sampled[key]["Conversion Rates: mean"] == exact[key]["Conversion Rates: mean"]
        medians.append([float(each[key]["Conversion Rates: median"]) for each in (exact, sampled)])
    assert all(of_sample == pytest.approx(median, rel=0.2) for median, of_sample in medians)
    assert any(of_sample != median for median, of_sample in medians)


def test_a_share_that_fewer_than_20_lack_is_suppressed_unless_nobody_lacks_it(tmp_path: Path) -> None:
    rows = two_groups(400, 100)
    for i, row in enumerate(rows):
        row["Language"] = "English" if i else "Danish"
    found = profiles(tmp_path, rows)
    cells = [(row["Language: most common"], row["Language: share"]) for row in found.values()]
    assert cells == [("English", "<20"), ("English", "1.0"), ("English", "<20")]


def test_the_sum_of_outliers_is_suppressed_where_it_would_reveal_those_of_one_segment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(AssignedUsers, "outliers", lambda _: {3: 19, 9: 30})
    assert [row["outliers"] for row in profiles(tmp_path, two_groups(400, 100)).values()] == ["<20", "30", "<20"]
    monkeypatch.setattr(AssignedUsers, "outliers", lambda _: {3: 20, 9: 30})
    assert [row["outliers"] for row in profiles(tmp_path, two_groups(400, 100)).values()] == ["20", "30", "50"]


@pytest.mark.parametrize("start", ["=", "+", "-", "@"])
def test_a_name_or_label_is_no_formula(start: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = start + "HYPERLINK(0)"
    rows = [row | {"Language": text, "Top Interests": text} for row in two_groups(400, 100)]
    monkeypatch.setitem(NAMES, 3, text)
    found = profiles(tmp_path, rows)["3"]
    assert found["segment_name"] == found["Language: most common"] == "'" + text
    assert found["Top Interests: most common"] == f"'{text} 100%"


def test_a_segment_name_is_no_formula_and_an_id_stays_as_it_was(tmp_path: Path) -> None:
    found = Assignments(np.array([3]), np.array([1.0]), np.array([0.5]), np.array([1.0]), np.array([False]), {}, {}, {})
    write_segmented_users(tmp_path / "users.csv", "User ID", {3: "=1+1"}, [(["-17"], found)])
    assert (tmp_path / "users.csv").read_text(encoding="utf-8").splitlines()[1] == "-17,3,'=1+1,1.0,0.5,False"


def assigned(users: int) -> Assignments:
    distance, outlier = np.full(users, 1.5), np.full(users, fill_value=False)
    return Assignments(np.full(users, 3), distance, np.full(users, 0.5), distance, outlier, {}, {}, {})


def test_the_parquet_table_has_row_groups_of_bounded_size_and_names_as_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trainer.publishing.tables.GROUP_ROWS", 10)
    chunks = [([f"u{start + i}" for i in range(4)], assigned(4)) for start in range(0, 32, 4)]
    write_segmented_users_as_parquet(tmp_path / "users.parquet", "User ID", None, {3: "=1+1"}, chunks)
    found = pq.ParquetFile(tmp_path / "users.parquet")
    assert [found.metadata.row_group(i).num_rows for i in range(found.num_row_groups)] == [12, 12, 8]
    rows = found.read().to_pylist()
    assert [row["User ID"] for row in rows] == [f"u{i}" for i in range(32)]
    assert {row["segment_name"] for row in rows} == {"=1+1"}


def test_a_parquet_table_never_has_two_columns_of_one_name(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match='"distance"'):
        write_segmented_users_as_parquet(tmp_path / "users.parquet", "distance", None, {3: "Three"}, [])
    assert [*tmp_path.iterdir()] == []


def test_a_disk_that_fills_up_under_the_parquet_table_leaves_the_old_file(tmp_path: Path) -> None:
    output = tmp_path / "users.parquet"
    output.write_text("old", encoding="utf-8")
    ids = [f"{i * 7919 % 1_000_003}" for i in range(50_000)]
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, before[1]))
    try:
        with pytest.raises(OutputError, match="File too large"), atomic_file(output) as unfinished:
            write_segmented_users_as_parquet(unfinished, "id", None, {3: "Three"}, [(ids, assigned(len(ids)))])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert [path.name for path in tmp_path.iterdir()] == ["users.parquet"]
    assert output.read_text(encoding="utf-8") == "old"


def test_ids_beyond_int64_keep_their_type(tmp_path: Path) -> None:
    ids = ["0", str(2**64 - 1)]
    write_segmented_users_as_parquet(tmp_path / "users.parquet", "id", pa.uint64(), {3: "Three"}, [(ids, assigned(2))])
    assert pq.read_table(tmp_path / "users.parquet")["id"].to_pylist() == [0, 2**64 - 1]
