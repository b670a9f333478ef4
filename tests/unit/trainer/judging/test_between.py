import numpy as np
import pytest

from models.encoding import Floats
from trainer.judging.between import are_between, share_between_out_of_bag
from trainer.judging.stability import Resample

CENTRES = np.array([[0.0, 0.0], [6.0, 0.0]])


@pytest.mark.parametrize(
    ("position", "between"), [(0.0, False), (1.9, False), (2.1, True), (3.0, True), (3.9, True), (4.1, False)]
)
def test_users_in_the_third_next_to_the_border_are_between(position: float, *, between: bool) -> None:
    # What the centres do not differ in has no influence.
    for elsewhere in (0.0, 50.0):
        assert are_between(np.array([[position, elsewhere]]), CENTRES).tolist() == [between]


def test_a_user_is_between_any_two_centres_of_which_one_is_the_nearest() -> None:
    centres = np.array([[0.0, 0.0], [6.0, 0.0], [0.0, 2.0]])
    rows = np.array([[0.5, 0.0], [0.5, 0.9], [2.9, -1.0]])
    assert are_between(rows, centres).tolist() == [False, True, True]


def test_one_centre_has_nothing_between() -> None:
    assert not are_between(np.zeros((3, 2)), CENTRES[:1]).any()


def halves(rows: Floats, drawn: list[int]) -> Resample:
    return Resample(np.array(drawn), (rows[drawn, 0] > 3).astype(np.intp))


def test_only_users_that_a_resample_did_not_draw_count_at_its_centres() -> None:
    rows = np.array([[0.0], [6.0], [3.1], [1.0], [2.5]])
    # Centres 0 and 6 with 3.1, 1.0 and 2.5 left out; then 1 and 6 with 0, 3.1 and 2.5.
    resamples = [halves(rows, [0, 0, 0, 1, 1]), halves(rows, [3, 3, 1, 1, 1])]
    assert share_between_out_of_bag(rows, resamples) == pytest.approx((2 + 1) / 6)


def test_the_centres_of_a_resample_are_the_means_of_its_draws() -> None:
    rows = np.array([[0.0], [6.0], [3.0]])
    again = Resample(np.array([0, 2, 2, 1]), np.array([0, 0, 0, 2]))  # segment 1 was not found again
    assert again.centroids(rows).tolist() == [[2.0], [6.0]]
