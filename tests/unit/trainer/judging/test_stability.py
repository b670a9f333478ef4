import numpy as np
import pytest

from models.encoding import Floats
from trainer.fitting.choose_k import Candidate, given_k
from trainer.fitting.scikit import one_thread
from trainer.judging.stability import Plan, Stability, stabilities


def blobs(*sizes: int, spread: float = 0.1) -> Floats:
    """Groups of these sizes on a circle of radius 1."""
    angles = np.repeat(np.arange(len(sizes)) * 2 * np.pi / len(sizes), sizes)
    centres = np.column_stack([np.cos(angles), np.sin(angles)])
    return centres + spread * np.random.default_rng(1).normal(size=centres.shape)


def solution(rows: Floats, k: int) -> Candidate:
    with one_thread():
        return given_k(rows, k, seed=0, warm=None).chosen


def stability(rows: Floats, k: int, resamples: int = 10, seed: int = 0) -> Stability:
    (found,) = stabilities(rows, [Plan(solution(rows, k), resamples)], seed, lambda *_: None)
    return found


def test_separate_groups_come_back_whole() -> None:
    assert stability(blobs(60, 40, 30), 3).jaccard == pytest.approx((1.0, 1.0, 1.0))


def test_groups_cut_at_random_do_not_come_back() -> None:
    cloud = np.random.default_rng(0).normal(size=(150, 6))
    assert min(stability(cloud, 5).jaccard) < 0.5


def test_only_the_group_that_is_cut_in_two_does_not_come_back() -> None:
    rows = blobs(50, 50, 50, spread=0.12)
    found = stability(rows, 4, resamples=20)
    whole = [size > 40 for size in np.bincount(solution(rows, 4).labels)]
    assert sum(whole) == 2
    for jaccard, is_whole in zip(found.jaccard, whole, strict=True):
        assert jaccard > 0.9 if is_whole else jaccard < 0.9


def test_each_resample_holds_as_many_rows_drawn_with_replacement_under_the_numbers_of_the_solution() -> None:
    rows = blobs(60, 40, 30)
    labels = solution(rows, 3).labels
    found = stability(rows, 3)
    assert len(found.resamples) == 10
    for resample in found.resamples:
        assert resample.rows.shape == resample.labels.shape == (130,)
        assert len(np.unique(resample.rows)) == pytest.approx(130 * (1 - np.exp(-1)), abs=15)
        assert np.array_equal(resample.labels, labels[resample.rows])
    drawn = {resample.rows.tobytes() for resample in found.resamples}
    assert len(drawn) == 10


def test_the_same_seed_draws_the_same_users_for_every_solution_and_another_seed_others() -> None:
    rows = blobs(60, 40, 30)
    plans = [Plan(solution(rows, 2), 3), Plan(solution(rows, 3), 5)]
    told: list[tuple[int, int]] = []
    two, three = stabilities(rows, plans, 0, lambda done, total: told.append((done, total)))
    assert (len(two.jaccard), len(three.jaccard)) == (2, 3)
    assert [len(found.resamples) for found in (two, three)] == [3, 5]
    for one, other in zip(two.resamples, three.resamples, strict=False):
        assert np.array_equal(one.rows, other.rows)
    assert told == [(done, 8) for done in range(1, 9)]
    (again,) = stabilities(rows, plans[1:], 0, lambda *_: None)
    assert again.jaccard == three.jaccard
    (elsewhere,) = stabilities(rows, plans[1:], 1, lambda *_: None)
    assert not np.array_equal(elsewhere.resamples[0].rows, three.resamples[0].rows)


def test_a_cluster_of_which_no_user_is_drawn_has_nothing_in_common_with_any() -> None:
    rows = np.concatenate([np.zeros((30, 2)), np.ones((30, 2)), [[9.0, 9.0]]])
    alone = int(solution(rows, 3).labels[-1])
    found = stability(rows, 3, resamples=30)
    drawn = [60 in resample.rows for resample in found.resamples]
    assert 5 < sum(drawn) < 30
    assert found.jaccard[alone] == pytest.approx(np.mean(drawn))
    others = [jaccard for cluster, jaccard in enumerate(found.jaccard) if cluster != alone]
    assert others == pytest.approx([1.0, 1.0])
