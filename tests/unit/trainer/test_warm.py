from collections.abc import Sequence
from dataclasses import replace
from itertools import chain

import numpy as np
import pytest

from models.encoding import CategoryColumn, Column, Encoder, NumberColumn, OrderedColumn, SeveralOfColumn
from models.segmentation import Segment, Segmentation
from tests.unit.fitted import encoder, segmentation
from trainer.warm import translated

NUMBER = NumberColumn("hours", None, low=0.0, high=20.0, mean=8.0, scale=4.0)
LOGS = NumberColumn("hours", 3.0, low=0.0, high=float(np.log1p(20 / 3.0)), mean=1.0, scale=0.5)
ORDERED = OrderedColumn("income", ("low", "middle", "high"), mean=1.0, scale=0.5)
CATEGORY = CategoryColumn("device", ("phone", "tablet"), means=(0.7, 0.3), scale=0.6)
SEVERAL = SeveralOfColumn("interests", ("chess", "golf"), means=(0.5, 0.2), scale=0.9)


def centred(column: Column, *raw: Sequence[float]) -> Segmentation:
    """Segments whose centres are these values of the column, before scaling."""
    made = Encoder((column,))
    rows = made.scale(np.array(raw, dtype=np.float64))
    segments = (Segment(i, f"Segment {i}", tuple(row.tolist()), 1.0, 2.0) for i, row in enumerate(rows))
    return Segmentation(made, tuple(segments))


def raw_in(column: Column, model: Segmentation) -> list[list[float]]:
    """The model's centres as values of another column, before scaling."""
    made = Encoder((column,))
    found = translated(model, made)
    assert found is not None
    raw: list[list[float]] = (found * made.scales + made.means).tolist()
    return raw


def test_in_an_equal_encoder_the_centres_are_the_same_to_the_last_digit() -> None:
    model = segmentation(5, left_out=frozenset({"gender"}))
    found = translated(model, encoder(frozenset({"gender"})))
    assert found is not None
    assert np.array_equal(found, model.centroids)


def test_scaling_and_weight_are_undone_and_done_again() -> None:
    new = replace(NUMBER, mean=2.0, scale=3.0, weight=0.5)
    found = translated(centred(NUMBER, [5.0], [11.0]), Encoder((new,)))
    assert found is not None
    assert found.ravel().tolist() == pytest.approx([(5 - 2) / 3 * 0.5, (11 - 2) / 3 * 0.5])


def test_a_number_goes_from_a_logarithm_into_another_unit_and_out_of_it() -> None:
    values = [[6.0], [14.0]]
    logs = [[float(np.log1p(value / 3.0))] for (value,) in values]
    model = centred(LOGS, *logs)
    assert np.ravel(raw_in(NUMBER, model)).tolist() == pytest.approx([6.0, 14.0])
    assert np.ravel(raw_in(LOGS, centred(NUMBER, *values))).tolist() == pytest.approx([*chain.from_iterable(logs)])
    other = replace(LOGS, log_unit=7.0)
    assert np.ravel(raw_in(other, model)).tolist() == pytest.approx([np.log1p(6 / 7), np.log1p(14 / 7)])


def test_a_number_is_kept_within_the_new_limits() -> None:
    assert np.ravel(raw_in(replace(NUMBER, low=6.0, high=12.0), centred(NUMBER, [1.0], [19.0]))).tolist() == [6.0, 12.0]
    assert np.ravel(raw_in(LOGS, centred(NUMBER, [-5.0], [5.0]))).tolist()[0] == pytest.approx(0.0)


def test_an_ordered_field_keeps_its_place_and_is_refused_with_other_levels() -> None:
    model = centred(ORDERED, [0.5], [1.5])
    assert np.ravel(raw_in(replace(ORDERED, mean=0.2), model)).tolist() == pytest.approx([0.5, 1.5])
    assert translated(model, Encoder((replace(ORDERED, levels=("low", "high")),))) is None


@pytest.mark.parametrize("column", [CATEGORY, SEVERAL])
def test_labels_are_matched_by_name_new_ones_have_a_share_of_zero_and_old_ones_are_dropped(
    column: CategoryColumn | SeveralOfColumn,
) -> None:
    first, second = column.levels
    model = centred(column, [0.9, 0.1], [0.2, 0.8])
    new = replace(column, levels=("brand new", second, first), means=(0.1, 0.2, 0.3), scale=0.4)
    assert np.allclose(raw_in(new, model), [[0.0, 0.1, 0.9], [0.0, 0.8, 0.2]])
    assert np.allclose(raw_in(replace(column, levels=(second,), means=(0.2,)), model), [[0.1], [0.8]])


def test_each_field_finds_its_place_in_another_order_of_columns() -> None:
    model = segmentation(3)
    turned = Encoder(tuple(reversed(model.encoder.columns)))
    found = translated(model, turned)
    assert found is not None
    old_at = [column.name for column in model.encoder.kept for _ in range(column.width)]
    new_at = [column.name for column in turned.kept for _ in range(column.width)]
    assert old_at != new_at
    for name in {*old_at}:
        old = model.centroids[:, [at == name for at in old_at]]
        assert np.array_equal(found[:, [at == name for at in new_at]], old)


@pytest.mark.parametrize(
    ("model", "columns"),
    [
        (centred(NUMBER, [1.0], [2.0]), (NUMBER, CATEGORY)),
        (centred(NUMBER, [1.0], [2.0]), (replace(CATEGORY, name="hours"),)),
        (centred(NUMBER, [1.0], [2.0]), (replace(NUMBER, weight=0.0), CATEGORY)),
        (centred(NUMBER, [1.0], [2.0]), (replace(NUMBER, low=5.0),)),
        (centred(replace(LOGS, high=1e9), [1.0], [1e6]), (replace(NUMBER, high=np.inf),)),
    ],
    ids=["another column", "another kind", "left out", "two centres in one place", "an infinite centre"],
)
def test_where_there_is_no_translation_there_is_none(model: Segmentation, columns: tuple[Column, ...]) -> None:
    assert translated(model, Encoder(columns)) is None
