from collections.abc import Iterator

import numpy as np
import pytest

from models.encoding import Floats
from trainer.errors import FitRefused
from trainer.fitting.choose_k import (
    GAIN_TO_START_AFRESH,
    LEAST_USERS,
    MOST_SEGMENTS,
    Choice,
    SearchRange,
    Start,
    choose_k,
    given_k,
)
from trainer.fitting.scikit import one_thread


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


def chosen_from(scaled: Floats, warm: Floats | None = None) -> Choice:
    return choose_k(scaled, SearchRange(MOST_SEGMENTS, LEAST_USERS, len(scaled)), seed=0, warm=warm, on_progress=silent)


@pytest.mark.parametrize("k", [2, 3, 5, 8])
def test_the_planted_number_of_groups_is_chosen(k: int) -> None:
    choice = chosen_from(blobs(*[60] * k))
    assert choice.chosen.k == k
    assert [candidate.k for candidate in choice.candidates] == [*range(2, MOST_SEGMENTS + 1)]
    assert choice.chosen.silhouette == max(candidate.silhouette for candidate in choice.candidates)
    assert choice.chosen.centroids.shape == (k, 2)


def test_the_runner_up_is_the_next_best_that_could_have_been_chosen() -> None:
    choice = chosen_from(blobs(100, 100, 100))
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
    choice = chosen_from(blobs(*sizes, spread=0.02))
    assert max(choice.candidates, key=lambda candidate: candidate.silhouette).k == 3
    assert choice.chosen.k == 2


def test_no_more_segments_are_tried_than_asked_for() -> None:
    limits = SearchRange(max_k=4, min_segment_users=LEAST_USERS, rows=360)
    choice = choose_k(blobs(*[60] * 6), limits, seed=0, warm=None, on_progress=silent)
    assert [candidate.k for candidate in choice.candidates] == [2, 3, 4]


def test_the_least_number_of_users_is_one_of_the_whole_history_not_of_its_sample() -> None:
    sample = blobs(300, 300, 60, spread=0.02)
    smallest = {
        users: choose_k(sample, SearchRange(MOST_SEGMENTS, users, rows=6_600), seed=0, warm=None, on_progress=silent)
        for users in (600, 601)
    }
    assert {users: choice.chosen.k for users, choice in smallest.items()} == {600: 3, 601: 2}


def test_the_segments_in_production_are_kept_where_a_fresh_start_gains_little() -> None:
    cloud = np.random.default_rng(3).normal(size=(400, 6))
    fresh = chosen_from(cloud)
    assert fresh.runner_up is not None
    assert fresh.chosen.silhouette - fresh.runner_up.silhouette < GAIN_TO_START_AFRESH
    choice = chosen_from(cloud, warm=fresh.runner_up.centroids)
    assert (choice.chosen.k, choice.chosen.start) == (fresh.runner_up.k, Start.WARM)
    assert choice.chosen.labels.tolist() == fresh.runner_up.labels.tolist()
    assert choice.chosen in choice.candidates
    assert choice.runner_up is not None
    assert choice.runner_up.k == fresh.chosen.k
    again = given_k(cloud, fresh.runner_up.k, seed=0, warm=fresh.runner_up.centroids)
    assert again.chosen.start is Start.WARM


def test_the_segments_in_production_stand_for_their_number_where_a_better_fresh_start_is_not_allowed() -> None:
    # Each fresh start gives the few extreme rows a segment of their own, which is too small.
    rows = np.random.default_rng(1).normal(np.repeat([0.0, 10.0, 200.0], [300, 300, 8]))[:, None]
    choice = chosen_from(rows, warm=np.array([[-1.0], [1.0], [15.0]]))
    assert (choice.chosen.k, choice.chosen.start) == (3, Start.WARM)
    assert choice.chosen in choice.candidates


def test_the_segments_in_production_give_way_to_better_ones() -> None:
    rows = blobs(100, 100, 100)
    choice = chosen_from(rows, warm=np.array([[1.0, 0.0], [-1.0, 0.0]]))
    assert (choice.chosen.k, choice.chosen.start) == (3, Start.FRESH)
    # From here k-means does not get out: two centres share one group, two groups share one centre.
    stuck = np.array([[1.0, 0.1], [1.0, -0.1], [-0.5, 0.0]])
    assert given_k(rows, 3, seed=0, warm=stuck).chosen.start is Start.FRESH


def test_the_segments_in_production_are_not_kept_where_one_has_become_too_small() -> None:
    rows = blobs(300, 300, 12, spread=0.02)
    in_production = given_k(rows, 3, seed=0, warm=None).chosen
    assert (in_production.smallest_rows, in_production.silhouette > chosen_from(rows).chosen.silhouette) == (12, True)
    choice = chosen_from(rows, warm=in_production.centroids)
    assert (choice.chosen.k, choice.chosen.start) == (2, Start.FRESH)


def test_production_of_another_number_of_segments_says_nothing_about_the_number_that_was_given() -> None:
    choice = given_k(blobs(60, 60, 60), 3, seed=0, warm=np.array([[1.0, 0.0], [-1.0, 0.0]]))
    assert (choice.chosen.k, choice.chosen.start) == (3, Start.FRESH)


def test_the_elbow_is_shown_beside_it() -> None:
    assert chosen_from(blobs(100, 100, 100, 100, spread=0.02)).elbow_k == 4
    assert given_k(blobs(100, 100), 2, seed=0, warm=None).elbow_k is None
    # In so many dimensions each further segment of a cloud gains as little as the one before.
    assert chosen_from(np.random.default_rng(0).normal(size=(300, 300))).elbow_k is None


def test_progress_is_reported_for_each_number() -> None:
    reported: list[tuple[int, int]] = []
    limits = SearchRange(MOST_SEGMENTS, LEAST_USERS, 60)
    choose_k(blobs(30, 30), limits, seed=0, warm=None, on_progress=lambda done, total: reported.append((done, total)))
    assert reported == [(done, 9) for done in range(1, 10)]


def test_no_more_segments_are_tried_than_there_are_different_rows() -> None:
    rows = np.repeat([[0.0, 0.0], [0.0, 1.0], [5.0, 0.0]], 30, axis=0)
    choice = chosen_from(rows)
    assert [candidate.k for candidate in choice.candidates] == [2, 3]
    assert choice.chosen.k == 3
    assert choice.elbow_k is None


def test_too_few_rows_to_choose_from_are_refused() -> None:
    with pytest.raises(FitRefused, match=r"39 rows.*\b40\b"):
        chosen_from(blobs(20, 19))
    chosen_from(blobs(20, 20))


@pytest.mark.parametrize("columns", [2, 5])
@pytest.mark.parametrize("seed", range(4))
def test_a_cloud_whose_tails_leave_every_number_a_tiny_segment_is_halved(columns: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    cloud = generator.normal(size=(300, 1)) + generator.normal(size=(300, columns))
    choice = chosen_from(cloud / np.sqrt(generator.chisquare(1, size=(300, 1))))
    assert (choice.chosen.k, choice.chosen.start) == (2, Start.HALVES)
    assert choice.chosen.smallest_share > 0.2
    assert choice.candidates[0] is choice.chosen
    assert choice.runner_up is None


def test_rows_of_which_any_split_leaves_too_few_are_refused() -> None:
    rows = np.concatenate([np.zeros((200, 2)), [[100.0, 0.0]]])
    with pytest.raises(FitRefused, match="fewer than 20 of the 201 rows"):
        chosen_from(rows)


def test_a_given_number_is_taken_without_a_look_at_others() -> None:
    choice = given_k(blobs(60, 60, 60), 4, seed=0, warm=None)
    assert choice.chosen.k == 4
    assert choice.candidates == (choice.chosen,)
    assert choice.runner_up is None


def test_fewer_rows_or_fewer_different_rows_than_segments_are_refused() -> None:
    with pytest.raises(FitRefused, match="3 rows, too few for 3 segments"):
        given_k(blobs(1, 1, 1), 3, seed=0, warm=None)
    with pytest.raises(FitRefused, match="2 different users, too few for 3 segments"):
        given_k(np.repeat([[0.0], [1.0]], 10, axis=0), 3, seed=0, warm=None)
    assert given_k(np.repeat([[0.0], [1.0]], 10, axis=0), 2, seed=0, warm=None).chosen.silhouette == pytest.approx(1.0)
