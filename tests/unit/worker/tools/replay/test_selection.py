from collections import Counter
from datetime import UTC, datetime

import pytest

from tests.support.events import event_bytes
from tests.support.scoring import SCORING
from worker.stream.records import Record, Records
from worker.tools.bounds import Bounds
from worker.tools.replay.selection import (
    Counts,
    LeftOut,
    Progress,
    Restored,
    Selection,
    as_text,
    restored,
    spans_to_send,
)

INPUT = "user-activity"
ALL = Selection()


def rejected(record: Record) -> Record:
    """As it lies in the rejected topic."""
    (message,) = SCORING.process(Records.of([record]), datetime.now(UTC)).rejected
    return Record("rejected", 0, 0, 0, message.key, message.value, message.headers)


def event(value: bytes | None = b"{", key: bytes | None = b"key", *headers: tuple[str, bytes | None]) -> Record:
    return Record(INPUT, 3, 77, 0, key, value, headers)


def came_back(record: Record, max_hops: int = 3) -> Restored:
    found = restored(rejected(record), ALL, INPUT, max_hops)
    assert isinstance(found, Restored)
    return found


@pytest.mark.parametrize(
    "record",
    [
        event(),
        event(b"", None),
        event(None),
        event(None, None),
        event(None, None, ("a", b"1"), ("b", None)),
        event(b"{", b"key", ("b", None), ("a", b"1"), ("b", b""), ("b", None)),
    ],
)
def test_an_event_comes_back_as_it_was_with_one_hop_more(record: Record) -> None:
    found = came_back(record)
    assert (found.key, found.value) == (record.key, record.value)
    assert found.headers == (*record.headers, ("replay.hops", b"1"))


def test_hops_are_counted_in_one_header_and_null_headers_behind_it_stay_null() -> None:
    found = came_back(event(b"{", b"key", ("a", None), ("replay.hops", b"1"), ("b", None), ("c", b"")))
    assert found.headers == (("a", None), ("b", None), ("c", b""), ("replay.hops", b"2"))


@pytest.mark.parametrize("hops", [b"", b"-1", b"many", b"9" * 5000, "²".encode()])
def test_a_header_that_counts_nothing_is_no_hop(hops: bytes) -> None:
    assert came_back(event(b"{", b"key", ("replay.hops", hops))).headers == (("replay.hops", b"1"),)


def test_at_the_limit_of_hops_an_event_is_left_out() -> None:
    assert came_back(event(b"{", b"key", ("replay.hops", b"2"))).headers == (("replay.hops", b"3"),)
    at_limit = rejected(event(b"{", b"key", ("replay.hops", b"3")))
    assert restored(at_limit, ALL, INPUT, 3) is LeftOut.TOO_MANY_HOPS
    assert isinstance(restored(at_limit, ALL, INPUT, 4), Restored)


def test_an_event_of_which_a_part_is_gone_is_left_out() -> None:
    assert restored(rejected(event(b"x" * 2_000_000)), ALL, INPUT, 3) is LeftOut.INCOMPLETE


def test_what_was_rejected_from_elsewhere_or_not_at_all_is_left_out() -> None:
    assert restored(rejected(event()), ALL, "another-topic", 3) is LeftOut.FOREIGN
    assert restored(event(event_bytes()), ALL, INPUT, 3) is LeftOut.FOREIGN


def test_only_the_reasons_that_were_asked_for_come_back() -> None:
    only = Selection(reasons=frozenset({"empty", "too_large"}))
    assert restored(rejected(event()), only, INPUT, 3) is LeftOut.OTHER_REASON
    found = restored(rejected(event(b"")), only, INPUT, 3)
    assert isinstance(found, Restored)
    assert found.reason == "empty"


def test_a_selection_has_one_name_whatever_the_order_and_another_one_has_another() -> None:
    selections = [
        Selection(),
        Selection(frozenset({"empty", "not_json"})),
        Selection(frozenset({"empty"})),
        Selection(partitions=frozenset({1})),
        Selection(bounds=Bounds(since_ms=1)),
        Selection(bounds=Bounds(until_ms=1)),
        Selection(bounds=Bounds(from_offsets={0: 1, 1: 2})),
        Selection(bounds=Bounds(to_offsets={0: 1, 1: 2})),
    ]
    names = {selection.digest("in", "rejected") for selection in selections}
    assert len(names) == len(selections)
    assert Selection().digest("in", "other") not in names
    turned = Selection(frozenset({"not_json", "empty"}), bounds=Bounds())
    assert turned.digest("in", "rejected") == selections[1].digest("in", "rejected")
    around = Selection(bounds=Bounds(from_offsets={1: 2, 0: 1}))
    assert around.digest("in", "rejected") == selections[6].digest("in", "rejected")


@pytest.mark.parametrize(
    ("found", "before", "expected"),
    [
        (range(5, 50), None, range(5, 50)),
        # Unfinished: to the end of then, whatever came since.
        (range(5, 50), Progress(20, 40), range(20, 40)),
        (range(25, 50), Progress(20, 40), range(25, 40)),
        # Finished: what came since.
        (range(5, 50), Progress(40, 40), range(40, 50)),
        (range(5, 40), Progress(40, 40), range(40, 40)),
        (range(5, 50), Progress(20, None), range(20, 50)),
        # Its rest was removed by retention: nothing is left to finish.
        (range(45, 50), Progress(20, 40), range(45, 50)),
    ],
)
def test_a_run_goes_on_where_the_last_one_of_the_same_selection_was(
    found: range, before: Progress | None, expected: range
) -> None:
    progress = {} if before is None else {0: before}
    assert spans_to_send({0: found}, progress, ALL) == {0: expected}


def test_an_unfinished_run_leaves_what_came_to_its_finished_partitions_to_the_next_one() -> None:
    found = {number: range(50) for number in range(3)}
    spans = spans_to_send(found, {0: Progress(40, 40), 1: Progress(30, 40)}, ALL)
    assert {number: list(span) for number, span in spans.items()} == {0: [], 1: list(range(30, 40)), 2: []}


def test_only_the_partitions_that_were_asked_for_are_read() -> None:
    found = {number: range(10) for number in range(3)}
    assert spans_to_send(found, {}, Selection(partitions=frozenset({1}))).keys() == {1}


def test_how_many_had_been_sent_back_before_is_reported() -> None:
    counts = Counts()
    for hops in ((), (("replay.hops", b"1"),), (("replay.hops", b"0"),)):
        counts.add(came_back(event(b"{", b"key", *hops)))
    assert as_text(counts, "sent", INPUT) == (
        "sent 3 events back to topic user-activity: 3 not_json; sent back before and rejected again: 1\n"
    )


def test_sent_and_skipped_events_are_reported_by_reason() -> None:
    counts = Counts(
        Counter({"not_json": 2, "empty": 1}), left_out=Counter({LeftOut.TOO_MANY_HOPS: 4, LeftOut.FOREIGN: 1})
    )
    assert as_text(counts, "sent", INPUT) == (
        "sent 3 events back to topic user-activity: 1 empty, 2 not_json\n"
        "left out 1 not rejected from this input topic\n"
        "left out 4 sent back as often as --max-hops allows\n"
    )
    assert as_text(Counts(), "would send", INPUT) == "would send 0 events back to topic user-activity\n"
