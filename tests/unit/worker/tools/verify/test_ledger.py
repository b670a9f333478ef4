import numpy as np

from worker.tools.verify.ledger import EXAMPLES_MOST, Found, Ledger, Offsets, Tally


def offsets(*several: int) -> Offsets:
    return np.array(several, np.int64)


def counts(tally: Tally) -> tuple[int, int, int, int]:
    return tally.inputs, tally.missing.count, tally.duplicates.count, tally.orphans.count


def test_inputs_and_outcomes_meet_in_any_order() -> None:
    book = Ledger({0: range(100, 200)})
    book.add_outcomes(0, offsets(103, 101))
    book.add_inputs(0, offsets(100, 101, 103, 104))
    book.add_outcomes(0, offsets(100, 104))
    assert counts(book.tally(0, 100)) == (4, 0, 0, 0)


def test_each_kind_of_damage_is_counted_with_its_offsets() -> None:
    book = Ledger({0: range(10), 1: range(10)})
    book.add_inputs(0, offsets(0, 1, 2, 3))
    book.add_outcomes(0, offsets(0, 2, 2, 7))
    book.add_outcomes(0, offsets(2, 3, 2))
    tally = book.tally(0, 0)
    assert counts(tally) == (4, 1, 1, 1)
    assert [each.examples for each in (tally.missing, tally.duplicates, tally.orphans)] == [(1,), (2,), (7,)]
    assert counts(book.tally(1, 0)) == (0, 0, 0, 0)


def test_an_outcome_is_the_first_of_its_offset_only_once() -> None:
    book = Ledger({0: range(10)})
    assert book.add_outcomes(0, offsets(5, 3, 5, 4)).tolist() == [True, True, False, True]
    assert book.add_outcomes(0, offsets(3, 6)).tolist() == [False, True]


def test_what_has_no_outcome_below_an_offset_is_not_missing() -> None:
    book = Ledger({0: range(10)})
    book.add_inputs(0, offsets(1, 2, 3, 4))
    tally = book.tally(0, 3)
    assert (tally.unanswered, tally.missing) == (2, Found(2, (3, 4)))


def test_only_the_first_offsets_of_a_damage_are_kept() -> None:
    book = Ledger({0: range(7, 200_000)})
    book.add_inputs(0, offsets(8, *range(100_000, 100_050)))
    assert book.tally(0, 0).missing == Found(51, (8, *range(100_000, 100_000 + EXAMPLES_MOST - 1)))
