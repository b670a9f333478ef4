"""Verdicts on whole tables, from the history to the judgement."""

import numpy as np
import pytest

from benchmarks.judgement import seen
from benchmarks.other_tables import (
    four_in_a_row,
    groups_beside_items,
    groups_beside_yes_and_no,
    groups_in_categories,
    survey,
)
from benchmarks.tables import curved_cloud
from models.manifest import Verdict
from schemas import UserProfile
from schemas.roles import load_profile_class
from tests.support.histories import ADS_DATA
from trainer.findings import Judgement
from trainer.fitting.choose_k import SearchRange, choose_k
from trainer.fitting.columns import ColumnRule, choose_columns
from trainer.fitting.sample import Sample
from trainer.fitting.scikit import one_thread
from trainer.history.history import read_history
from trainer.judging.judge import judge
from trainer.text.progress import Silence

TABLES = ADS_DATA.parents[1] / "inputs" / "verdict"
ROWS = 600
MAX_K = 4


def judged(name: str) -> Judgement:
    profile = UserProfile if name == "device101" else load_profile_class(f"{TABLES / 'profiles.py'}:{name}")
    with one_thread(), read_history(TABLES / f"{name}.csv", profile, lambda *_: None) as history:
        columns = choose_columns(history, None, ColumnRule.RELATED, 0, Silence())
        sample = Sample(history.sample(ROWS, 0), history.fields, columns.encoder)
        choice = choose_k(sample.scaled, SearchRange(MAX_K, 20, ROWS), 0, None, lambda *_: None)
        return judge(sample, choice, columns.related, 0, Silence()).judgement


@pytest.mark.skipif(not TABLES.exists(), reason="the tables are not beside this checkout")
@pytest.mark.parametrize(
    ("name", "segments"), [("device101", True), ("interests", True), ("labels2", True), ("flat_simplex", False)]
)
def test_separate_groups_are_found_in_labels_and_items_and_not_in_one_flat_cloud(name: str, *, segments: bool) -> None:
    assert (judged(name).verdict is not Verdict.NONE) is segments


def test_groups_in_categories_are_segments_although_a_cloud_in_them_has_as_high_a_silhouette() -> None:
    found = seen(groups_in_categories(np.random.default_rng(0)), 0)
    assert found.judgement.verdict is Verdict.CLEAR
    assert found.judgement.effect < 0.05
    assert found.rand is not None
    assert found.rand > 0.9


def test_groups_that_are_separate_in_numbers_are_not_cut_into_cells_of_items() -> None:
    found = seen(groups_beside_items(np.random.default_rng(0)), 0)
    assert (found.judgement.verdict, found.judgement.k) == (Verdict.CLEAR, 3)
    assert found.rand is not None
    assert found.rand > 0.8


def test_answers_of_a_survey_without_groups_are_not_segments() -> None:
    judgement = seen(survey(np.random.default_rng(0)), 0).judgement
    assert judgement.verdict is Verdict.NONE
    assert judgement.separation is not None
    assert abs(judgement.separation) < 0.2


def test_four_groups_in_a_row_are_four_where_six_exceed_data_without_segments_more() -> None:
    users = four_in_a_row(np.random.default_rng(8004))
    found = seen(users, 8004).judgement
    assert (found.k, found.silhouette_k, found.verdict) == (4, 2, Verdict.WEAK)


def test_two_halves_of_a_curve_are_joined_by_the_users_around_the_bend() -> None:
    halves = seen(curved_cloud(np.random.default_rng(20059)), 20059).judgement
    assert (halves.k, halves.verdict) == (2, Verdict.NONE)
    assert "lead from one to the next" in halves.reason


def test_groups_are_not_cut_into_cells_of_labels_that_follow_them_loosely() -> None:
    found = seen(groups_beside_yes_and_no(np.random.default_rng(20000)), 20000)
    assert (found.judgement.k, found.judgement.verdict) == (3, Verdict.CLEAR)
    assert found.judgement.silhouette_k == 9
