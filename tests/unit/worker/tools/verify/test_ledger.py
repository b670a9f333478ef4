import sys

import numpy as np
import pytest

from worker.tools.verify import ledger
from worker.tools.verify.ledger import BLOCK, EXAMPLES_MOST, Ledger, Offsets, Tally


def offsets(*several: int) -> Offsets:
    return np.array(several, np.int64)


def counts(tally: Tally) -> tuple[int, int, int, int]:
    return tally.inputs, tally.missing, tally.doubled, tally.strangers


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
    assert (tally.missing_at, tally.doubled_at, tally.strangers_at) == ((1,), (2,), (7,))
    assert counts(book.tally(1, 0)) == (0, 0, 0, 0)


def test_an_outcome_is_the_first_of_its_offset_only_once() -> None:
    book = Ledger({0: range(10)})
    assert book.add_outcomes(0, offsets(5, 3, 5, 4)).tolist() == [True, True, False, True]
    assert book.add_outcomes(0, offsets(3, 6)).tolist() == [False, True]


def test_what_has_no_outcome_below_an_offset_is_not_missing() -> None:
    book = Ledger({0: range(10)})
    book.add_inputs(0, offsets(1, 2, 3, 4))
    tally = book.tally(0, 3)
    assert (tally.unanswered, tally.missing, tally.missing_at) == (2, 2, (3, 4))


def test_only_the_first_offsets_of_a_damage_are_kept() -> None:
    book = Ledger({0: range(BLOCK * 3)})
    book.add_inputs(0, offsets(5, *range(BLOCK, BLOCK + 50)))
    tally = book.tally(0, 0)
    assert tally.missing == 51
    assert tally.missing_at == (5, *range(BLOCK, BLOCK + EXAMPLES_MOST - 1))


def test_blocks_that_were_put_away_are_as_they_were(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "_OPEN_MOST", 2)
    book = Ledger({number: range(7, 7 + BLOCK * 4) for number in range(3)})
    every = np.arange(7, 7 + BLOCK * 4, 1000, dtype=np.int64)
    for number in range(3):
        book.add_inputs(number, every)
    for number in (2, 0, 1):
        book.add_outcomes(number, every[::-1][:-1])
    for number in range(3):
        tally = book.tally(number, 0)
        assert (tally.inputs, tally.missing_at, tally.doubled) == (len(every), (7,), 0)


def test_ten_million_records_take_little_memory() -> None:
    count = 10_000_000
    book = Ledger({0: range(count)})
    for start in range(0, count, 500_000):
        some = np.arange(start, start + 500_000, dtype=np.int64)
        book.add_inputs(0, some[some % 501 != 500])  # the end of each transaction is no record
        book.add_outcomes(0, some[some % 501 != 500])
    assert book.tally(0, 0).missing == 0
    lying_open = sum(block.nbytes for block in book._open.values())
    put_away = sum(sys.getsizeof(block) for block in book._closed.values())
    assert lying_open <= 512 * BLOCK
    # All but what lies open grows with the records: here by less than a hundredth of a byte for each.
    assert put_away < count / 100
