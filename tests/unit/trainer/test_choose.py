from collections.abc import Iterator

import numpy as np
import pytest

from models.encoding import Floats
from trainer.choose import MOST_SEGMENTS, SAMPLE_ROWS, choose_k, given_k
from trainer.errors import FitRefused
from trainer.scikit import one_thread


def blobs(*sizes: int, spread: float = 0.1, seed: int = 1) -> Floats:
    """Groups of these sizes on a circle of radius 1."""
    generator = np.random.default_rng(seed)
    angles = np.repeat(np.arange(len(sizes)) * 2 * np.pi / len(sizes), sizes)
    centres = np.column_stack([np.cos(angles), np.sin(angles)])
    return centres + spread * generator.normal(size=centres.shape)


@pytest.fixture(autouse=True)
def as_in_a_fit() -> Iterator[None]:
    with one_thread():
        yield


def silent(done: int, total: int) -> None:
    pass


@pytest.mark.parametrize("k", [2, 3, 5, 8])
def test_the_planted_number_of_groups_is_chosen(k: int) -> None:
    choice = choose_k(blobs(*[60] * k), seed=0, tried=silent)
    assert choice.chosen.k == k
    assert [candidate.k for candidate in choice.candidates] == [*range(2, MOST_SEGMENTS + 1)]
    assert choice.chosen.silhouette == max(candidate.silhouette for candidate in choice.candidates)
    assert choice.chosen.centroids.shape == (k, 2)


def test_the_runner_up_is_the_next_best_that_could_have_been_chosen() -> None:
    choice = choose_k(blobs(100, 100, 100), seed=0, tried=silent)
    assert choice.runner_up is not None
    assert choice.runner_up.k != 3
    assert choice.runner_up.smallest_share >= 0.03
    assert choice.runner_up.silhouette < choice.chosen.silhouette


@pytest.mark.parametrize(
    "sizes",
    [
        (300, 300, 12),  # 12 rows are under 20, and 2 %
        (160, 160, 15),  # 15 rows are under 20, though over 3 %
        (2_000, 2_000, 100),  # 100 rows are over 20, but under 3 %: also on a sample of the rows
    ],
)
def test_a_number_that_leaves_a_segment_too_small_is_not_chosen(sizes: tuple[int, ...]) -> None:
    choice = choose_k(blobs(*sizes, spread=0.02), seed=0, tried=silent)
    assert max(choice.candidates, key=lambda candidate: candidate.silhouette).k == 3
    assert choice.chosen.k == 2


def test_the_elbow_is_shown_beside_it() -> None:
    assert choose_k(blobs(100, 100, 100, 100, spread=0.02), seed=0, tried=silent).elbow_k == 4
    assert given_k(blobs(100, 100), 2, seed=0).elbow_k is None


def test_progress_is_told_for_each_number() -> None:
    told: list[tuple[int, int]] = []
    choose_k(blobs(30, 30), seed=0, tried=lambda done, total: told.append((done, total)))
    assert told == [(done, 9) for done in range(1, 10)]


def test_no_more_segments_are_tried_than_there_are_different_rows() -> None:
    rows = np.repeat([[0.0, 0.0], [0.0, 1.0], [5.0, 0.0]], 30, axis=0)
    choice = choose_k(rows, seed=0, tried=silent)
    assert [candidate.k for candidate in choice.candidates] == [2, 3]
    assert choice.chosen.k == 3
    assert choice.elbow_k is None


def test_too_few_rows_to_choose_from_are_refused() -> None:
    with pytest.raises(FitRefused, match=r"39 rows are too few .* 40 are needed"):
        choose_k(blobs(20, 19), seed=0, tried=silent)
    choose_k(blobs(20, 20), seed=0, tried=silent)


def test_rows_of_which_any_split_leaves_too_few_are_refused() -> None:
    rows = np.concatenate([np.zeros((200, 2)), [[100.0, 0.0]]])
    with pytest.raises(FitRefused, match="under 20 of the 201 rows"):
        choose_k(rows, seed=0, tried=silent)


def test_a_given_number_is_taken_without_a_look_at_others() -> None:
    choice = given_k(blobs(60, 60, 60), 4, seed=0)
    assert choice.chosen.k == 4
    assert choice.candidates == (choice.chosen,)
    assert choice.runner_up is None


def test_fewer_rows_or_fewer_different_rows_than_segments_are_refused() -> None:
    with pytest.raises(FitRefused, match="3 rows are too few for 3 segments"):
        given_k(blobs(1, 1, 1), 3, seed=0)
    with pytest.raises(FitRefused, match="3 segments are more than the 2 different users"):
        given_k(np.repeat([[0.0], [1.0]], 10, axis=0), 3, seed=0)
    assert given_k(np.repeat([[0.0], [1.0]], 10, axis=0), 2, seed=0).chosen.silhouette == 1.0


def test_a_sample_is_judged_where_there_are_more_rows() -> None:
    rows = blobs(SAMPLE_ROWS, SAMPLE_ROWS)
    first, again, other = (given_k(rows, 2, seed).chosen for seed in (1, 1, 2))
    assert first.silhouette == again.silhouette
    assert first.silhouette != other.silhouette
