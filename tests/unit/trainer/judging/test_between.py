import numpy as np
import pytest

from models.encoding import Floats
from trainer.judging.between import Between, Centres, are_joined, bends, between, counted, neighbours, out_of_bag
from trainer.judging.stability import Resample

CENTRES = np.array([[0.0, 0.0], [6.0, 0.0]])


@pytest.mark.parametrize(
    ("position", "is_between"), [(0.0, False), (1.9, False), (2.1, True), (3.0, True), (3.9, True), (4.1, False)]
)
def test_users_in_the_third_next_to_the_border_are_between(position: float, *, is_between: bool) -> None:
    # What the centres do not differ in has no influence.
    for elsewhere in (0.0, 50.0):
        found = between(np.array([[position, elsewhere]]), [Centres(np.arange(2), CENTRES)])
        assert found.share == is_between


def test_a_user_is_between_any_two_centres_of_which_one_is_the_nearest() -> None:
    centres = np.array([[0.0, 0.0], [6.0, 0.0], [0.0, 2.0]])
    rows = np.array([[0.5, 0.0], [0.5, 0.9], [2.9, -1.0]])
    own, other = neighbours(rows, centres)
    assert (own.tolist(), other.tolist()) == ([0, 0, 0], [-1, 2, 1])


def test_one_centre_has_nothing_between() -> None:
    assert between(np.zeros((3, 2)), [Centres(np.arange(1), CENTRES[:1])]).share == 0.0


def halves(rows: Floats, drawn: list[int]) -> Resample:
    return Resample(np.array(drawn), (rows[drawn, 0] > 3).astype(np.intp))


def test_only_users_that_a_resample_did_not_draw_count_at_its_centres() -> None:
    rows = np.array([[0.0], [6.0], [3.1], [1.0], [2.5]])
    # Centres 0 and 6 with 3.1, 1.0 and 2.5 left out; then 1 and 6 with 0, 3.1 and 2.5.
    resamples = [halves(rows, [0, 0, 0, 1, 1]), halves(rows, [3, 3, 1, 1, 1])]
    found = counted(out_of_bag(rows, resamples))
    assert found.share == pytest.approx((2 + 1) / 6)
    assert found.users.tolist() == [5, 1]
    assert found.shares == pytest.approx(np.array([[0, 0.5], [0.5, 0]]))


def test_the_centres_of_a_resample_are_the_means_of_its_draws_and_keep_their_numbers() -> None:
    rows = np.array([[0.0], [6.0], [3.0]])
    again = Resample(np.array([0, 2, 2, 1]), np.array([0, 0, 0, 2]))  # segment 1 was not found again
    (found,) = (each.centres for each in out_of_bag(rows, [again]))
    assert (found.numbers.tolist(), found.centroids.tolist()) == ([0, 2], [[2.0], [6.0]])
    placed = between(np.array([[3.9], [6.0]]), [found])
    assert placed.pairs.tolist() == [[0, 0, 1], [0, 0, 0], [1, 0, 0]]


def test_users_between_the_halves_of_a_bend_lie_aside_and_those_between_groups_on_the_line() -> None:
    draws = np.random.default_rng(0)
    angles = draws.uniform(0, np.pi, 4000)
    noise = 0.2 * draws.normal(size=(4000, 20))
    bent, straight = noise.copy(), noise.copy()
    bent[:, 0], bent[:, 1] = np.cos(angles), np.sin(angles)
    straight[:, 0] = 3 * noise[:, 0] + np.sign(angles - np.pi / 2)
    for rows, bend in ((bent, 0.57), (straight, 0.0)):
        labels = (rows[:, 0] > 0).astype(np.intp)
        drawn = [draws.integers(0, 4000, 4000) for _ in range(3)]
        found = bends(rows, out_of_bag(rows, [Resample(each, labels[each]) for each in drawn]))
        assert found == pytest.approx(np.array([[0, bend], [bend, 0]]), abs=0.05)


def test_a_bend_is_known_by_the_numbers_of_its_two_segments() -> None:
    # Segment 1 was not found again; the user between the two others lies as far aside as half of the way.
    rows = np.array([[0.0, 0.0], [6.0, 0.0], [3.0, 1.5]])
    again = Resample(np.array([0, 0, 1]), np.array([0, 0, 2]))
    assert bends(rows, out_of_bag(rows, [again]))[0].tolist() == [0, 0, 0.5]


def test_no_users_between_two_segments_are_no_bend() -> None:
    rows = np.array([[0.0], [6.0], [0.1]])
    assert not bends(rows, out_of_bag(rows, [halves(rows, [0, 1, 1])])).any()


EVENLY = np.full((3, 3), 0.4)


def with_users(first: float, second: float, ends: float) -> Between:
    """Three segments of 100 users: so many between 0 and 1, 1 and 2, 0 and 2."""
    return Between(np.full(3, 100.0), np.array([[0, first, ends], [first, 0, second], [ends, second, 0]]))


@pytest.mark.parametrize(
    ("data", "joined"),
    [
        (with_users(25, 25, 0), True),  # a curve: only its ends are separate
        (with_users(25, 23, 0), False),  # 2 is separate from 0 and 1
        (with_users(0, 0, 0), False),
        (with_users(25, 23, 25), True),  # 2 is separate from 1, but not from 0
    ],
)
def test_segments_are_joined_if_crowded_borders_lead_from_each_to_each(data: Between, *, joined: bool) -> None:
    nulls = [with_users(30, 50, 40), with_users(50, 30, 40)]
    assert are_joined(data, nulls, EVENLY, least_room=0.05) is joined


def test_a_border_with_more_to_show_joins_at_a_larger_separation() -> None:
    nulls, data = [with_users(40, 40, 40)], with_users(21, 21, 0)
    assert not are_joined(data, nulls, EVENLY, least_room=0.05)
    assert are_joined(data, nulls, np.full((3, 3), 0.5), least_room=0.05)


def test_a_border_at_which_data_without_segments_have_hardly_a_user_joins_nothing() -> None:
    nulls = [with_users(40, 9, 40)]
    assert not are_joined(with_users(40, 9, 0), nulls, EVENLY, least_room=0.05)
