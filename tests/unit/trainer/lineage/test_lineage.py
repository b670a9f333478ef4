from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from demo.population import DEVICES, NUMBERS, Population, Structure
from models.encoding import CategoryColumn, Columns, Encoder, NumberColumn
from models.manifest import Reassigned
from models.segmentation import Segment, Segmentation
from tests.support.fitted import random_columns, segmentation
from trainer.findings import Fate
from trainer.fitting.sample import Sample
from trainer.fitting.scikit import cluster, cluster_from
from trainer.lineage.lineage import (
    Became,
    Earlier,
    Overlap,
    columns_needed,
    fates_after,
    fates_before,
    lineage,
    matches,
    named,
    nothing_before,
    overlap,
    renumbered,
    stable_numbers,
)
from trainer.lineage.succession import Before, warm_start

KEPT, SPLIT, MERGED, NEW, RETIRED = Fate.KEPT, Fate.SPLIT, Fate.MERGED, Fate.NEW, Fate.RETIRED


def table(*rows: Sequence[int]) -> Overlap:
    """Rows are segments before, numbered from 0; columns are segments after, numbered from 10."""
    users = np.array(rows, dtype=np.int64)
    return Overlap(tuple(range(users.shape[0])), tuple(range(10, 10 + users.shape[1])), users)


# --- counting --------------------------------------------------------------------------------------------------------


def test_users_are_counted_by_both_numbers_over_all_chunks() -> None:
    before = renumbered(segmentation(4, seed=1), {0: 3, 1: 9, 2: 0, 3: 7})
    after = segmentation(3, seed=2)
    chunks = [random_columns(300, seed=seed) for seed in (1, 2, 3)]
    found = overlap(before, after, chunks)
    assert (found.before, found.after) == ((3, 9, 0, 7), (0, 1, 2))
    counted: dict[tuple[int, int], int] = {}
    for chunk in chunks:
        pairs = zip(before.assign(chunk).segment.tolist(), after.assign(chunk).segment.tolist(), strict=True)
        for pair in pairs:
            counted[pair] = counted.get(pair, 0) + 1
    assert found.users.sum() == 900
    for i, row in zip(found.before, found.users.tolist(), strict=True):
        for j, users in zip(found.after, row, strict=True):
            assert users == counted.get((i, j), 0)


def test_segments_that_are_not_listed_in_the_order_of_their_numbers_are_counted_under_their_own() -> None:
    model = segmentation(3)
    reversed_ = replace(model, segments=model.segments[::-1])
    found = overlap(reversed_, model, [random_columns(200)])
    assert found.before == (2, 1, 0)
    assert np.count_nonzero(found.users) == np.count_nonzero(np.fliplr(found.users).diagonal())
    assert found.reassigned == 0


def test_only_the_columns_that_count_are_read_and_labels_too_many_to_be_recorded_are_unknown() -> None:
    before, after = segmentation(3, left_out=frozenset({"age", "gender"})), segmentation(4, left_out=frozenset({"age"}))
    assert columns_needed(before, after) == {column.name for column in before.encoder.columns} - {"age"}
    columns = random_columns(300)
    unseen: dict[str, list[Any]] = {"gender": [""] * 300, "top_interests": [[]] * 300}
    counted = overlap(before, after, [columns | unseen]).users
    fewer = {name: values for name, values in columns.items() if name not in {"age", "gender", "top_interests"}}
    assert np.array_equal(overlap(before, after, [fewer]).users, counted)
    assert not np.array_equal(overlap(before, after, [columns]).users, counted)
    with pytest.raises(KeyError):
        overlap(before, after, [{"gender": columns["gender"]}])


# --- fates -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("found", "after", "before"),
    [
        pytest.param(
            table([50, 0], [0, 30]),
            [(KEPT, 0), (KEPT, 1)],
            [(KEPT, 10), (KEPT, 11)],
            id="the same",
        ),
        pytest.param(
            table([0, 50], [30, 0]),
            [(KEPT, 1), (KEPT, 0)],
            [(KEPT, 11), (KEPT, 10)],
            id="the same in another order",
        ),
        pytest.param(
            table([70, 30]),
            [(KEPT, 0), (SPLIT, 0)],
            [(KEPT, 10)],
            id="a part is cut off, the rest is kept",
        ),
        pytest.param(
            table([40, 30, 30]),
            [(SPLIT, 0), (SPLIT, 0), (SPLIT, 0)],
            [(SPLIT, 10, 11, 12)],
            id="cut into three, none of them half",
        ),
        pytest.param(
            table([50, 50]),
            [(KEPT, 0), (SPLIT, 0)],
            [(KEPT, 10)],
            id="cut into equal halves: the first is taken",
        ),
        pytest.param(
            table([70], [30]),
            [(KEPT, 0)],
            [(KEPT, 10), (MERGED, 10)],
            id="a small one goes into a large one, which is kept",
        ),
        pytest.param(
            table([50], [50]),
            [(KEPT, 0)],
            [(KEPT, 10), (MERGED, 10)],
            id="two equal ones are put together: the first is taken",
        ),
        pytest.param(
            table([35], [30], [35]),
            [(MERGED, 0, 2, 1)],
            [(MERGED, 10), (MERGED, 10), (MERGED, 10)],
            id="three are put together, the largest named first",
        ),
        pytest.param(
            table([60, 40], [40, 60]),
            [(SPLIT, 0), (SPLIT, 1)],
            [(MERGED, 10), (MERGED, 11)],
            id="most of each goes to one, but under .5 of both together",
        ),
        pytest.param(
            table([34, 33, 33], [33, 34, 33], [33, 33, 34]),
            [(NEW,), (NEW,), (NEW,)],
            [(RETIRED,), (RETIRED,), (RETIRED,)],
            id="shuffled",
        ),
        pytest.param(
            table([50, 25, 25], [30, 0, 0]),
            [(MERGED, 0, 1), (SPLIT, 0), (SPLIT, 0)],
            [(SPLIT, 10, 11, 12), (MERGED, 10)],
            id="most of it comes from one, yet most of two went into it",
        ),
        pytest.param(
            table([20, 0, 0], [40, 100, 0], [40, 0, 100]),
            [(MERGED, 0), (KEPT, 1), (KEPT, 2)],
            [(MERGED, 10), (KEPT, 11), (KEPT, 12)],
            id="a small one went into what is mostly made of others' parts",
        ),
        pytest.param(
            table([20, 40, 40], [0, 100, 0], [0, 0, 100]),
            [(SPLIT, 0), (KEPT, 1), (KEPT, 2)],
            [(SPLIT, 10), (KEPT, 11), (KEPT, 12)],
            id="and its mirror: a small one comes from what went mostly to others",
        ),
        pytest.param(
            table([50, 0, 0], [0, 0, 0]),
            [(KEPT, 0), (NEW,), (NEW,)],
            [(KEPT, 10), (RETIRED,)],
            id="nobody is in a segment",
        ),
    ],
)
def test_each_segment_of_both_sides_has_one_fate(
    found: Overlap, after: list[tuple[Any, ...]], before: list[tuple[Any, ...]]
) -> None:
    assert [(became.fate, *became.others) for became in fates_after(found)] == after
    assert [(became.fate, *became.others) for became in fates_before(found)] == before


def test_two_weak_pairs_do_not_take_a_segment_away_from_its_own() -> None:
    found = table([67, 33], [33, 0])
    assert found.jaccard[0, 0] > 0.5
    assert found.jaccard[0, 1] + found.jaccard[1, 0] > found.jaccard[0, 0]
    assert matches(found) == {10: 0}


def test_two_empty_segments_are_the_same_one_where_they_have_one_number() -> None:
    found = Overlap((0, 1, 2), (0, 1, 3), np.array([[9, 0, 0], [0, 0, 0], [0, 0, 0]], dtype=np.int64))
    assert matches(found) == {0: 0, 1: 1}
    assert fates_after(found)[2] == Became(NEW, ())
    assert fates_before(found)[2] == Became(RETIRED, ())


@st.composite
def tables(draw: st.DrawFn, most: int = 60) -> Overlap:
    rows, columns = draw(st.integers(1, 5)), draw(st.integers(1, 5))
    cell = st.one_of(st.just(0), st.integers(0, most))
    return table(*(draw(st.lists(cell, min_size=columns, max_size=columns)) for _ in range(rows)))


@given(tables())
def test_kept_segments_are_pairs_and_every_other_segment_is_there_for_a_reason(found: Overlap) -> None:
    kept = matches(found)
    assert set(kept) <= set(found.after)
    assert set(kept.values()) <= set(found.before)
    assert len(set(kept.values())) == len(kept)
    for after, before in kept.items():
        assert found.jaccard[found.before.index(before), found.after.index(after)] >= 0.5
    # None is forgotten: whoever has a partner with more than .5 is kept, with that partner.
    for i, j in np.argwhere(found.jaccard > 0.5).tolist():
        assert kept[found.after[j]] == found.before[i]
    for became, users in zip(fates_after(found), found.users.T, strict=True):
        assert (became.fate is NEW) == (not became.others)
        assert became.fate is not RETIRED
        if not users.any():
            assert became == Became(NEW, ())
    for became in fates_before(found):
        assert (became.fate is RETIRED) == (not became.others)
        assert became.fate is not NEW


@given(tables())
def test_seen_backwards_a_split_is_a_merger_and_a_new_segment_one_that_is_retired(found: Overlap) -> None:
    assume(len(matches(found)) == np.count_nonzero(found.jaccard >= 0.5))  # equal halves have no mirror
    mirrored = {KEPT: KEPT, SPLIT: MERGED, MERGED: SPLIT, NEW: RETIRED, RETIRED: NEW}
    backwards = fates_before(Overlap(found.after, found.before, found.users.T))
    assert [(mirrored[one.fate], one.others) for one in fates_after(found)] == [
        (one.fate, one.others) for one in backwards
    ]


@given(tables(), st.randoms(use_true_random=False), st.integers(5, 50))
def test_the_order_of_the_new_segments_changes_their_numbers_only(found: Overlap, random: Any, first: int) -> None:
    assume(len(matches(found)) == np.count_nonzero(found.jaccard >= 0.5))
    order = [*range(len(found.after))]
    random.shuffle(order)
    shuffled = Overlap(found.before, tuple(found.after[j] for j in order), found.users[:, order])
    assert matches(shuffled) == matches(found)
    fates, again = fates_after(found), fates_after(shuffled)
    assert [fates[j] for j in order] == [*again]
    one, other = (each.renumbered(stable_numbers(each, first)) for each in (found, shuffled))
    assert (one.reassigned, one.compared) == (other.reassigned, other.compared)
    assert sorted(one.after) == sorted(other.after)


# --- numbers ---------------------------------------------------------------------------------------------------------


@given(tables(), st.integers(5, 50))
def test_numbers_are_distinct_and_those_of_retired_segments_stay_unused(found: Overlap, next_number: int) -> None:
    numbers = stable_numbers(found, next_number)
    kept = matches(found)
    assert len(set(numbers.values())) == len(found.after)
    assert {number for number in numbers.values() if number < next_number} == set(kept.values())
    new = sorted(number for number in numbers.values() if number >= next_number)
    assert new == [*range(next_number, next_number + len(found.after) - len(kept))]


def test_new_segments_take_the_next_numbers_in_their_order_and_kept_ones_keep_theirs() -> None:
    found = table([0, 90, 0, 10], [80, 0, 0, 20])
    assert stable_numbers(found, 7) == {11: 0, 10: 1, 12: 7, 13: 8}
    again = found.renumbered({11: 0, 10: 1, 12: 7, 13: 8})
    assert (again.after, again.users.tolist()) == ((1, 0, 7, 8), [[0, 90, 0, 10], [80, 0, 0, 20]])
    assert (again.in_order().after, again.in_order().users.tolist()) == ((0, 1, 7, 8), [[90, 0, 0, 10], [0, 80, 0, 20]])
    assert (again.reassigned, again.in_order().reassigned) == (30, 30)


def test_without_an_earlier_version_segments_are_numbered_from_the_next_number_on() -> None:
    assert stable_numbers(nothing_before(segmentation(3)), 0) == {0: 0, 1: 1, 2: 2}
    assert stable_numbers(nothing_before(segmentation(3)), 8) == {0: 8, 1: 9, 2: 10}


def test_a_renumbered_segmentation_puts_everybody_where_they_were_under_the_new_numbers() -> None:
    model, columns = segmentation(3), random_columns(200)
    numbers = {0: 5, 1: 2, 2: 9}
    changed = renumbered(model, numbers)
    assert [(segment.number, segment.name) for segment in changed.segments] == [
        (5, "Segment 5"), (2, "Segment 2"), (9, "Segment 9"),
    ]  # fmt: skip
    assert np.array_equal(changed.centroids, model.centroids)
    assert [numbers[number] for number in model.assign(columns).segment.tolist()] == changed.assign(
        columns
    ).segment.tolist()
    assert named(changed, {5: "Night owls", 77: "nobody's"}).names == {2: "Segment 2", 5: "Night owls", 9: "Segment 9"}


# --- the lineage that is shown ---------------------------------------------------------------------------------------

EARLIER = Earlier("20261124T120000Z-00000000", False, {0: "Old", 1: "Owls", 2: "Larks"})


def test_the_reassigned_share_is_that_of_users_whose_number_changes() -> None:
    numbers = {10: 0, 11: 1, 12: 3}
    found = table([900, 0, 0], [50, 450, 0], [0, 0, 600]).renumbered(numbers)
    told = lineage(found, EARLIER, {0: "Old", 1: "Owls", 3: "Segment 3"})
    assert told.reassigned == Reassigned(against=EARLIER.version, share=0.325, users=650, compared=2000)
    assert (told.before_segments, told.after_segments) == ((0, 1, 2), (0, 1, 3))


def test_counts_under_twenty_users_are_not_shown() -> None:
    found = table([900, 19], [20, 450]).renumbered({10: 0, 11: 1})
    assert lineage(found, EARLIER, {0: "Old", 1: "Owls"}).users == ((900, None), (20, 450))


def test_every_segment_after_has_a_fate_and_then_those_that_ended() -> None:
    found = table([900, 0, 0, 0], [0, 160, 120, 120], [100, 0, 0, 0]).renumbered({10: 0, 11: 3, 12: 4, 13: 5})
    told = lineage(found, EARLIER, {0: "Old", 3: "Early", 4: "Late", 5: "Later"})
    assert [(fate.segment, fate.name, fate.fate, fate.others) for fate in told.fates] == [
        (0, "Old", KEPT, (0,)),
        (3, "Early", SPLIT, (1,)),
        (4, "Late", SPLIT, (1,)),
        (5, "Later", SPLIT, (1,)),
        (1, "Owls", SPLIT, (3, 4, 5)),
        (2, "Larks", MERGED, (0,)),
    ]
    assert [fate.jaccard for fate in told.fates] == pytest.approx([0.9, 0.4, 0.3, 0.3, 0.4, 0.1])


def test_fates_are_in_the_order_of_the_segments_numbers() -> None:
    found = table([0, 500, 0], [400, 0, 0], [0, 0, 300]).renumbered({10: 1, 11: 0, 12: 2})
    told = lineage(Overlap((0, 1, 2)[::-1], found.after, found.users[::-1]), EARLIER, {0: "Old", 1: "Owls", 2: "Larks"})
    assert (told.before_segments, told.after_segments) == ((0, 1, 2), (0, 1, 2))
    assert told.users == ((500, None, None), (None, 400, None), (None, None, 300))
    assert [fate.segment for fate in told.fates] == [0, 1, 2]


def test_an_overlap_of_too_few_users_is_not_shown() -> None:
    found = table([19, 0], [0, 100]).renumbered({10: 0, 11: 1})
    told = lineage(found, EARLIER, {0: "Old", 1: "Owls"})
    assert [(fate.fate, fate.jaccard) for fate in told.fates] == [(KEPT, None), (KEPT, 1.0)]


@given(st.integers(1, 6), st.integers(0, 1000))
def test_identical_models_reassign_nobody_whatever_their_order(k: int, seed: int) -> None:
    model = segmentation(k, seed=seed % 7)
    shuffled = replace(
        model,
        segments=tuple(
            replace(model.segments[place], number=i)
            for i, place in enumerate(np.random.default_rng(seed).permutation(k).tolist())
        ),
    )
    found = overlap(model, shuffled, [random_columns(60, seed)])
    numbers = stable_numbers(found, model.k)
    assert found.renumbered(numbers).reassigned == 0


# --- another sample of the same users --------------------------------------------------------------------------------


def users(seed: int) -> Iterator[Columns]:
    for block in Population(3_000, seed, Structure.PLANTED).blocks():
        yield block.profiles


def encoder(columns: Columns) -> Encoder:
    """A plain encoder, fitted to these users."""
    numbers: list[NumberColumn] = []
    for number in NUMBERS:
        values = np.array(columns[number.name], dtype=np.float64)
        unit = float(np.median(values[values > 0]))
        logs = np.log1p(values / unit)
        low, high = np.quantile(logs, [0.001, 0.999]).tolist()
        logs = np.clip(logs, low, high)
        numbers.append(NumberColumn(number.name, unit, low, high, float(logs.mean()), float(logs.std())))
    devices = np.array([[device == level for level in DEVICES] for device in columns["device_usage"]])
    means = tuple(devices.mean(axis=0).tolist())
    return Encoder(
        (*numbers, CategoryColumn("device_usage", DEVICES, means, float(np.sqrt(devices.var(axis=0).sum()))))
    )


def clustered(columns: Columns, before: Segmentation | None) -> Segmentation:
    made = encoder(columns)
    sample = Sample(pd.DataFrame({name: pd.Series([*values]) for name, values in columns.items()}), (), made)
    earlier = Before(None, before, accepted_no_structure=False, given_names={}, next_number=0)
    warm = warm_start(earlier, sample)
    found = cluster(sample.scaled, 5, seed=1) if warm is None else cluster_from(sample.scaled, warm)
    assert (warm is None) == (before is None)
    return Segmentation(
        made,
        tuple(Segment(i, f"Segment {i}", tuple(row.tolist()), 1.0, 2.0) for i, row in enumerate(found.centroids)),
    )


@pytest.mark.parametrize("start", ["warm", "fresh"])
def test_a_refit_on_another_sample_of_well_separated_groups_moves_under_one_in_a_hundred(start: str) -> None:
    (first,), (second,) = users(seed=1), users(seed=2)
    before = clustered(first, None)
    after = clustered(second, before if start == "warm" else None)
    found = overlap(before, after, [second])
    numbers = stable_numbers(found, before.k)
    assert sorted(numbers.values()) == [0, 1, 2, 3, 4]
    found = found.renumbered(numbers)
    assert found.reassigned / found.compared < 0.01
