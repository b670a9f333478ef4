import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from models.encoding import Floats
from models.manifest import Verdict
from schemas import UserProfile
from schemas.roles import profile_fields
from tests.support.samples import sample_of
from trainer.findings import Border
from trainer.fitting.choose_k import Choice, SearchRange, choose_k, given_k
from trainer.fitting.sample import Sample
from trainer.fitting.scikit import one_thread
from trainer.judging.judge import (
    DRAWS,
    RESAMPLES,
    SEARCHED_DRAWS,
    Judged,
    judge,
)
from trainer.judging.verdict import WEAK_SEPARATION, Evidence, least_separations, verdict_of
from trainer.text.progress import Silence

FIELDS = profile_fields(UserProfile)
NUMBERS = ("weekday_hours_online", "weekend_hours_online", "click_through_rate", "conversion_rate")
RELATED = frozenset(NUMBERS)
ROWS = 240
MAX_K = 4


@pytest.fixture(autouse=True)
def as_in_a_fit() -> Iterator[None]:
    with one_thread():
        yield


def numbers(columns: Floats) -> Sample:
    return sample_of({name: column.tolist() for name, column in zip(NUMBERS, columns.T, strict=True)}, FIELDS)


def groups(separation: float) -> Sample:
    """Three groups of 80, each pair apart in half of the columns by so many standard deviations."""
    centres = np.array([[0, 0, 1, 1], [1, 0, 0, 1], [1, 1, 0, 0]])
    draws = np.random.default_rng(0)
    return numbers(separation * np.repeat(centres, ROWS // 3, axis=0) + draws.normal(size=(ROWS, 4)))


def cloud() -> Sample:
    draws = np.random.default_rng(1)
    return numbers(draws.normal(size=(ROWS, 1)) + draws.normal(size=(ROWS, 4)))


def chosen(sample: Sample) -> Choice:
    return choose_k(sample.scaled, SearchRange(MAX_K, 20, ROWS), seed=0, warm=None, on_progress=lambda *_: None)


def judged(sample: Sample, related: frozenset[str] = RELATED, seed: int = 0) -> Judged:
    return judge(sample, chosen(sample), related, seed, Silence())


@pytest.fixture(scope="module")
def separate() -> tuple[Choice, Judged]:
    with one_thread():
        sample = groups(8)
        choice = chosen(sample)
        return choice, judge(sample, choice, RELATED, 0, Silence())


@pytest.fixture(scope="module")
def one_cloud() -> Judged:
    with one_thread():
        return judged(cloud())


# --- the evidence ----------------------------------------------------------------------------------------------------


def test_separate_groups_are_clear_segments(separate: tuple[Choice, Judged]) -> None:
    _, found = separate
    judgement = found.judgement
    assert (judgement.verdict, judgement.k) == (Verdict.CLEAR, 3)
    assert "every segment is found again" in judgement.reason
    assert [len(np.unique(found.chosen.labels[start : start + 80])) for start in (0, 80, 160)] == [1, 1, 1]


def test_the_figures_of_a_judgement_belong_together(separate: tuple[Choice, Judged]) -> None:
    choice, found = separate
    judgement = found.judgement
    assert judgement.silhouette == choice.chosen.silhouette
    assert len(judgement.null_silhouettes) == SEARCHED_DRAWS
    mean = np.mean(judgement.null_silhouettes)
    assert judgement.effect == pytest.approx((judgement.silhouette - mean) / (1 - mean))
    assert len(judgement.null_between) == DRAWS
    assert judgement.separation == pytest.approx(1 - judgement.between / np.mean(judgement.null_between))
    assert judgement.p_value == 1 / 20
    assert dict(judgement.jaccard) == dict(enumerate(found.stability.jaccard))
    assert len(found.stability.resamples) == RESAMPLES
    assert [border.segment for border in judgement.borders] == [0, 1, 2]
    assert max(border.dip_p_value for border in judgement.borders) < 0.05
    assert (judgement.k_was_given, judgement.sample_rows) == (False, ROWS)
    assert choice.runner_up is not None
    assert (judgement.runner_up, judgement.elbow_k) == (choice.runner_up.k, choice.elbow_k)


def test_every_number_of_segments_is_drawn_beside_data_without_segments(separate: tuple[Choice, Judged]) -> None:
    choice, found = separate
    trials = found.judgement.trials
    assert [trial.k for trial in trials] == [2, 3, 4]
    for trial, candidate in zip(trials, choice.candidates, strict=True):
        assert (trial.silhouette, trial.inertia) == (candidate.silhouette, candidate.inertia)
        assert trial.smallest_users == np.bincount(candidate.labels).min()
        assert trial.null_silhouette is not None
        least, mean, greatest = trial.null_silhouette
        assert least < mean < greatest < candidate.silhouette
        assert trial.gap is not None
        assert trial.gap_error is not None
    assert trials[1].stability == min(found.stability.jaccard)
    assert trials[2].stability is not None
    assert trials[2].stability < 0.9  # one group cut in two
    # The rule of Tibshirani et al. finds the groups too: the first k whose gap the next one does not surpass.
    assert trials[0].gap is not None
    assert trials[1].gap is not None
    assert trials[2].gap is not None
    assert trials[2].gap_error is not None
    assert trials[0].gap < trials[1].gap
    assert trials[1].gap >= trials[2].gap - trials[2].gap_error
    drawn = found.judgement.null_silhouettes
    assert trials[1].null_silhouette == pytest.approx((min(drawn), np.mean(drawn), max(drawn)))  # the judged k


def test_one_cloud_has_no_segments(one_cloud: Judged) -> None:
    judgement = one_cloud.judgement
    assert judgement.verdict is Verdict.NONE
    assert "the segments are not separate enough" in judgement.reason
    assert len(judgement.null_silhouettes) == SEARCHED_DRAWS
    assert judgement.effect is not None
    assert abs(judgement.effect) < 0.05
    assert judgement.separation is not None
    assert abs(judgement.separation) < 0.2
    assert min(judgement.jaccard.values()) > 0.6  # a cloud cut in two comes back
    assert judgement.silhouette_k is None  # no other number is any better
    assert all(trial.null_silhouette and trial.gap is not None and trial.stability for trial in judgement.trials)


def test_pieces_of_a_curve_are_not_segments_although_its_ends_are_separate() -> None:
    draws = np.random.default_rng(0)
    angles = draws.uniform(0, np.pi, size=(ROWS, 1))
    curve = np.hstack([np.cos(angles), np.cos(angles), np.sin(angles), np.sin(angles)])
    judgement = judged(numbers(curve + 0.15 * draws.normal(size=(ROWS, 4)))).judgement
    assert judgement.k == 3
    assert judgement.separation is not None
    assert judgement.separation > WEAK_SEPARATION
    assert judgement.verdict is Verdict.NONE
    assert "the segments lead from one to the next without a gap" in judgement.reason


def test_groups_that_run_into_each_other_are_weak_segments() -> None:
    judgement = judged(groups(2.5)).judgement
    assert judgement.verdict is Verdict.WEAK
    assert "but the difference is small" in judgement.reason


def test_without_related_columns_there_are_no_segments_but_the_curves_all_the_same() -> None:
    judgement = judged(groups(8), related=frozenset()).judgement
    assert judgement.verdict is Verdict.NONE
    assert "no two columns are related" in judgement.reason
    assert len(judgement.null_silhouettes) == SEARCHED_DRAWS
    assert all(trial.null_silhouette and trial.gap is not None for trial in judgement.trials)


def test_three_groups_in_a_row_are_three_although_the_silhouette_is_highest_for_two() -> None:
    draws = np.random.default_rng(0)
    sample = numbers(2.5 * np.repeat([0, 1, 2], ROWS // 3)[:, None] + draws.normal(size=(ROWS, 4)))
    assert chosen(sample).chosen.k == 2
    judgement = judged(sample).judgement
    assert (judgement.k, judgement.silhouette_k, judgement.runner_up) == (3, 2, 2)
    assert judgement.verdict is not Verdict.NONE
    assert judgement.silhouette < max(trial.silhouette for trial in judgement.trials)


def test_tails_that_leave_no_segment_large_enough_end_with_a_verdict() -> None:
    draws = np.random.default_rng(0)
    cloud = draws.normal(size=(ROWS, 1)) + draws.normal(size=(ROWS, 4))
    sample = numbers(cloud / np.sqrt(draws.chisquare(1, size=(ROWS, 1))))
    judgement = judged(sample).judgement
    assert (judgement.verdict, judgement.k) == (Verdict.NONE, 2)
    assert "a few users are so far from all others" in judgement.reason
    assert [trial.allowed for trial in judgement.trials] == [True, False, False]


def test_one_bimodal_column_is_a_threshold() -> None:
    draws = np.random.default_rng(2)
    columns = draws.normal(size=(ROWS, 1)) + draws.normal(size=(ROWS, 4))
    columns[:, 2] = np.where(draws.random(ROWS) < 0.5, -10, 10) + draws.normal(size=ROWS)
    judgement = judged(numbers(columns)).judgement
    assert judgement.verdict is Verdict.NONE
    assert judgement.multimodal_columns == ("Click-Through Rates (CTR)",)
    assert '"Click-Through Rates (CTR)" is multimodal by itself: a threshold' in judgement.reason


def test_a_given_number_is_the_one_that_is_judged() -> None:
    sample = groups(8)
    judgement = judge(sample, given_k(sample.scaled, 6, 0, None), RELATED, 0, Silence()).judgement
    assert (judgement.k, judgement.k_was_given, judgement.runner_up) == (6, True, None)
    assert [trial.k for trial in judgement.trials] == [6]
    assert judgement.trials[0].null_silhouette is not None
    assert max(judgement.null_silhouettes) == judgement.trials[0].null_silhouette[2]
    # There are groups, but not six: one of the six does not come back.
    assert min(judgement.jaccard.values()) < 0.75
    assert judgement.verdict is not Verdict.CLEAR


def test_users_of_as_few_kinds_as_there_are_segments_are_a_table_of_labels() -> None:
    draws = np.random.default_rng(0)
    kinds = draws.choice(4, ROWS, p=[0.4, 0.3, 0.2, 0.1])
    columns: Mapping[str, Sequence[Any]] = {
        "gender": np.array(["Female", "Male"])[kinds % 2].tolist(),
        "location": np.array(["Rural", "Urban", "Suburban"])[kinds // 2].tolist(),
    }
    sample = sample_of(columns, FIELDS)
    judgement = judged(sample, frozenset(columns)).judgement
    assert judgement.verdict is Verdict.NONE
    assert "a table of them" in judgement.reason
    assert judgement.effect is not None
    assert math.isfinite(judgement.effect)
    assert judgement.trials[-1].gap is None  # every user is at a centre


def test_the_number_of_cores_changes_nothing(
    separate: tuple[Choice, Judged], one_cloud: Judged, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trainer.fitting.scikit.VALUES_FOR_THREADS", 0)
    assert judged(groups(8)).judgement == separate[1].judgement
    assert judged(cloud()).judgement == one_cloud.judgement


def test_another_seed_draws_other_data_without_segments(one_cloud: Judged) -> None:
    other = judged(cloud(), seed=1).judgement
    assert other.null_silhouettes != one_cloud.judgement.null_silhouettes
    assert other.verdict is Verdict.NONE


class Listener:
    def __init__(self) -> None:
        self.steps: list[tuple[str, int, int | None]] = []

    def at(self, step: str, done: int = 0, total: int | None = None) -> None:
        self.steps.append((step, done, total))


def test_the_progress_of_each_step_is_reported() -> None:
    listener = Listener()
    sample = cloud()
    judge(sample, chosen(sample), RELATED, 0, listener)
    assert list(dict.fromkeys(step for step, _, _ in listener.steps)) == [
        "clustering bootstrap resamples",
        "comparing with data without segments",
    ]
    assert listener.steps[-1][1:] == (SEARCHED_DRAWS, SEARCHED_DRAWS)


def test_a_judgement_is_renumbered_in_ascending_order(separate: tuple[Choice, Judged]) -> None:
    _, found = separate
    renumbered = found.renumbered({0: 7, 1: 2, 2: 4})
    assert list(renumbered.jaccard) == [2, 4, 7]
    assert renumbered.jaccard[7] == found.judgement.jaccard[0]
    assert [border.segment for border in renumbered.borders] == [2, 4, 7]
    before = found.judgement.borders[0]
    assert renumbered.borders[2].neighbour == {0: 7, 1: 2, 2: 4}[before.neighbour]
    assert renumbered.borders[2].dip_p_value == before.dip_p_value
    assert replace(renumbered, jaccard=found.judgement.jaccard, borders=found.judgement.borders) == found.judgement


# --- the verdict -----------------------------------------------------------------------------------------------------

CLEAR = Evidence(
    k=2,
    related_columns=4,
    halved=False,
    kinds_per_segment=50.0,
    silhouette=0.5,
    null_silhouettes=(0.5,) * DRAWS,
    between=0.024,
    null_between=(0.1,) * DRAWS,
    joined=False,
    least_jaccard=0.75,
    borders=(Border(0, 1, 0.05), Border(1, 0, 0.0)),
    multimodal_columns=(),
)
# Data without segments have too few users between the centres: the silhouette decides.
NO_ROOM = replace(CLEAR, silhouette=0.601, null_between=(0.049,) * DRAWS)


@pytest.mark.parametrize(
    ("evidence", "verdict", "reason"),
    [
        (CLEAR, Verdict.CLEAR, "2 % of users lie between segments, 10 % would in data without segments; every segment"),
        (replace(CLEAR, multimodal_columns=("Time",)), Verdict.CLEAR, "there is a gap between it and its nearest"),
        (replace(CLEAR, between=0.026), Verdict.WEAK, "but the difference is small"),
        (replace(CLEAR, between=0.054), Verdict.WEAK, "but the difference is small"),
        (replace(CLEAR, least_jaccard=0.749), Verdict.WEAK, "bootstrap resamples by only 74 %"),
        (
            replace(CLEAR, borders=(Border(0, 1, 0.051), Border(1, 0, 0.0))),
            Verdict.WEAK,
            "but there is no gap between some neighbouring segments",
        ),
        (
            replace(CLEAR, between=0.05, borders=(Border(0, 1, 1.0),)),
            Verdict.WEAK,
            "but the difference is small and there is no gap",
        ),
        (replace(CLEAR, between=0.064), Verdict.WEAK, "the difference is small"),
        (replace(CLEAR, between=0.066), Verdict.NONE, "the segments are not separate enough; 7 % of users"),
        (
            replace(CLEAR, between=0.059, null_between=(*CLEAR.null_between[:-1], 0.059)),
            Verdict.NONE,
            "not separate enough",
        ),
        (replace(CLEAR, joined=True), Verdict.NONE, "lead from one to the next without a gap"),
        (replace(NO_ROOM, joined=True), Verdict.CLEAR, "so the silhouette decides"),
        (NO_ROOM, Verdict.CLEAR, "so the silhouette decides: 0.60 against 0.50"),
        (replace(NO_ROOM, silhouette=0.599), Verdict.WEAK, "but the difference is small"),
        (replace(NO_ROOM, silhouette=0.525), Verdict.WEAK, "but the difference is small"),
        (replace(NO_ROOM, silhouette=0.524), Verdict.NONE, "so the silhouette decides: 0.52 against 0.50"),
        (replace(NO_ROOM, null_silhouettes=(*CLEAR.null_silhouettes[:-1], 0.601)), Verdict.NONE, "not separate enough"),
        (replace(CLEAR, least_jaccard=0.599), Verdict.NONE, "by only 59 % (60 % are needed)"),
        (replace(CLEAR, related_columns=0), Verdict.NONE, "no two columns are related"),
        (replace(CLEAR, halved=True), Verdict.NONE, "only halves"),
        (replace(CLEAR, kinds_per_segment=2.9), Verdict.NONE, "a table of them"),
        (
            replace(CLEAR, between=0.1, multimodal_columns=("Time", "Rate", "Hours")),
            Verdict.NONE,
            '; "Time", "Rate" and "Hours" are multimodal by themselves: thresholds',
        ),
    ],
)
def test_the_verdict_follows_from_the_evidence(evidence: Evidence, verdict: Verdict, reason: str) -> None:
    found, said = verdict_of(evidence)
    assert found is verdict
    assert reason in said.replace("\N{NO-BREAK SPACE}", " ")


@pytest.mark.parametrize(
    ("other", "evidence", "is_better"),
    [
        (CLEAR, replace(CLEAR, between=0.05), True),
        (CLEAR, CLEAR, False),
        (replace(CLEAR, between=0.059), replace(CLEAR, between=0.061), True),
        (replace(CLEAR, between=0.05), replace(CLEAR, between=0.059), False),
        (replace(CLEAR, between=0.061), replace(CLEAR, between=0.07), True),
        (replace(CLEAR, between=0.07), replace(CLEAR, between=0.08), False),
        (NO_ROOM, replace(CLEAR, between=0.08), False),
    ],
)
def test_another_number_needs_a_better_verdict_or_segments_that_are_much_more_separate(
    *, other: Evidence, evidence: Evidence, is_better: bool
) -> None:
    assert other.is_better_than(evidence) is is_better


def test_around_a_bend_more_separation_is_needed_most_where_there_is_no_other_border() -> None:
    assert least_separations(np.array([[0, 0.14], [0.14, 0]])).tolist() == [[0.35, 0.35], [0.35, 0.35]]
    assert least_separations(np.array([[0, 0.15], [0.15, 0]]))[0].tolist() == [0.35, 0.5]
    assert least_separations(np.array([[0, 0.2, 0.1], [0.2, 0, 0], [0.1, 0, 0]]))[0].tolist() == [0.35, 0.45, 0.35]


def test_data_without_segments_that_lie_on_their_centres_leave_nothing_to_gain() -> None:
    assert replace(CLEAR, silhouette=1.0, null_silhouettes=(1.0,)).effect == 0.0


@pytest.mark.parametrize(
    ("evidence", "is_open"),
    [
        (CLEAR, False),  # the silhouette does not decide
        (NO_ROOM, True),
        (replace(NO_ROOM, silhouette=0.5126), True),  # five draws might be a little too well grouped
        (replace(NO_ROOM, silhouette=0.5124), False),
        (replace(NO_ROOM, null_silhouettes=(0.5, 0.5, 0.5, 0.5, 0.61)), False),
        (replace(NO_ROOM, least_jaccard=0.599), False),
        (replace(NO_ROOM, related_columns=0), False),
        (replace(NO_ROOM, halved=True), False),
        (replace(NO_ROOM, kinds_per_segment=2.0), False),
    ],
)
def test_further_draws_are_searched_only_where_they_could_change_the_verdict(
    *, evidence: Evidence, is_open: bool
) -> None:
    assert evidence.is_open is is_open
    if evidence.separation is None and not is_open:
        assert verdict_of(evidence)[0] is Verdict.NONE
