import numpy as np
import pytest

from trainer.history.sampling import draw

CHUNKS = (5_000, 5_000, 7, 3_000)


def test_a_draw_is_seeded_of_the_size_asked_for_and_in_order() -> None:
    drawn = draw(CHUNKS, 1_000, seed=3)
    assert sum(map(len, drawn)) == 1_000
    for at, rows in zip(drawn, CHUNKS, strict=True):
        assert (np.diff(at) > 0).all()
        assert at.max(initial=0) < rows
    assert all(map(np.array_equal, drawn, draw(CHUNKS, 1_000, seed=3)))
    assert not all(map(np.array_equal, drawn, draw(CHUNKS, 1_000, seed=4)))


@pytest.mark.parametrize("most", [sum(CHUNKS), sum(CHUNKS) + 1])
def test_where_there_are_no_more_rows_all_are_drawn(most: int) -> None:
    assert [at.tolist() for at in draw(CHUNKS, most, seed=1)] == [[*range(rows)] for rows in CHUNKS]


def test_every_row_is_as_likely_as_any_other() -> None:
    # 400 draws of 30 of 60 rows: each row 200 times, with a standard deviation of 10.
    counts = np.zeros(60)
    for seed in range(400):
        first, second = draw((10, 50), 30, seed)
        counts[first] += 1
        counts[second + 10] += 1
    assert counts.sum() == 400 * 30
    assert np.abs(counts - 200).max() < 50
