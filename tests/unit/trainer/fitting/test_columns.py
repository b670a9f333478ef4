from pathlib import Path

import pytest

from tests.support.histories import ADS_DATA, FIELDS, Row, noise, planted, read, write
from trainer.errors import FitRefused
from trainer.fitting.columns import ChosenColumns, ColumnRule, choose_columns
from trainer.history.history import History
from trainer.text.progress import Silence

BEHAVIOUR = tuple(field.name for field in FIELDS if field.group == "behaviour")
ALL = tuple(field.name for field in FIELDS)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "history.csv"


def chosen(
    history: History, groups: frozenset[str] | None = None, rule: ColumnRule = ColumnRule.RELATED
) -> ChosenColumns:
    return choose_columns(history, groups, rule, 0, Silence())


def test_only_columns_that_are_related_to_another_one_count(path: Path) -> None:
    found = chosen(read(write(path, planted(300))))
    assert found.kept == BEHAVIOUR
    assert found.left_out == dict.fromkeys((n for n in ALL if n not in BEHAVIOUR), "not related to any other column")
    assert found.related == frozenset(BEHAVIOUR)


def test_all_columns_are_kept_when_asked_for(path: Path) -> None:
    assert chosen(read(write(path, planted(300))), rule=ColumnRule.ALL).kept == ALL


def test_a_column_that_repeats_another_one_counts_once(path: Path) -> None:
    first, second = (field for field in FIELDS if field.name in {"weekday_hours_online", "weekend_hours_online"})
    rows = [row | {second.header: row[first.header]} for row in noise(300)]
    found = chosen(read(write(path, rows)))
    assert found.related == frozenset()  # that a column agrees with itself is no relation
    assert found.kept == tuple(name for name in ALL if name != second.name)
    assert [*found.left_out] == [second.name]
    assert first.header in found.left_out[second.name]
    assert chosen(read(write(path, rows)), rule=ColumnRule.ALL).kept == ALL


def test_where_none_is_related_all_count(path: Path) -> None:
    found = chosen(read(write(path, noise(300))))
    assert (found.kept, found.left_out, found.related) == (ALL, {}, frozenset())


@pytest.mark.skipif(not ADS_DATA.exists(), reason="the advertising data set is not beside this checkout")
def test_no_column_of_the_advertising_data_set_is_related_to_another() -> None:
    assert chosen(read(ADS_DATA)).related == frozenset()


def test_only_the_groups_asked_for_count(path: Path) -> None:
    found = chosen(read(write(path, planted(300))), frozenset({"behaviour", "device"}))
    assert found.kept == BEHAVIOUR
    assert found.left_out["device_usage"] == "not related to any other column"
    assert found.left_out["age"] == "its group, demographic, was not selected with --only"
    assert [column.weight for column in found.encoder.columns if column.name == "age"] == [0.0]


def test_a_group_that_no_field_belongs_to_is_refused_with_those_that_there_are(path: Path) -> None:
    with pytest.raises(FitRefused, match=r"no feature group 'behavior': .* behaviour, demographic, device, interest"):
        chosen(read(write(path, noise(50))), frozenset({"behavior"}))


def test_a_column_of_one_value_is_left_out_with_its_reason(path: Path) -> None:
    rows = [row | {"Gender": "X", "Conversion Rates": 0.05} for row in planted(300)]
    found = chosen(read(write(path, rows)), rule=ColumnRule.ALL)
    assert found.left_out == dict.fromkeys(("gender", "conversion_rate"), "every user has the same value")


def test_users_who_are_all_the_same_are_refused(path: Path) -> None:
    rows: list[Row] = [noise(1)[0] | {"User ID": i} for i in range(50)]
    with pytest.raises(
        FitRefused,
        match=r"no column tells users apart: age, gender, .*, top_interests \(every user has the same value\)$",
    ):
        chosen(read(write(path, rows)))
    with pytest.raises(FitRefused, match="no column tells users apart"):
        chosen(read(write(path, rows[:1])))


def test_one_extreme_cell_does_not_change_which_columns_count_or_get_a_logarithm(path: Path) -> None:
    rows = planted(300)
    before = chosen(read(write(path, rows)))
    for header, extreme in (("Likes and Reactions", "1.7e308"), ("Ad Interaction Time (sec)", "1000000000000")):
        rows[7][header] = extreme
    after = chosen(read(write(path, rows)))
    assert after.kept == before.kept
    for old, new in zip(before.encoder.columns, after.encoder.columns, strict=True):
        assert new.scale == pytest.approx(old.scale, rel=0.05)
        assert new.means == pytest.approx(old.means, rel=0.05)


def test_a_hundred_thousand_different_interests_are_left_out_and_in_no_model(path: Path) -> None:
    rows = planted(1_000)
    for i, row in enumerate(rows):
        row["Top Interests"] = ", ".join(f"interest {j}" for j in range(i * 100, i * 100 + 100))
    found = chosen(read(write(path, rows)))
    assert found.kept == BEHAVIOUR
    assert found.left_out["top_interests"] == "100,000 different labels, at most 200 are compared"
    assert "top_interests" not in [column.name for column in found.encoder.columns]


def test_more_labels_than_are_recorded_are_left_out_too(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trainer.history.arrow_copy.MOST_LABELS", 250)
    rows = [row | {"Language": f"language {i}"} for i, row in enumerate(planted(300))]
    found = chosen(read(write(path, rows)))
    assert found.left_out["language"] == "more than 100,000 different labels, at most 200 are compared"
    assert [*found.left_out] == [name for name in ALL if name not in BEHAVIOUR]  # in the order of the profile


def test_what_a_person_should_know_is_noted(path: Path) -> None:
    rows = [row | {"Score": 1} for row in planted(100)]
    rows[0]["Age"] = "old"
    assert chosen(read(write(path, rows))).notes == (
        "Age: <20 users have an undeclared label, which counts as unknown",
        'ignored columns that the profile class does not list: "Score"',
    )
