"""The current topic beside the results: a record that is not the last result of its user is found."""

import orjson
import pytest

from worker.stream.records import Record
from worker.tools.verify.current_table import CurrentReport, CurrentTable

ASSIGNED, ERASED = "user.segment.assigned.v1", "user.segment.erased.v1"


def value(offset: int, kind: str = ASSIGNED, partition: int = 0, topic: str = "in") -> bytes:
    answered = {"topic": topic, "partition": partition, "offset": offset}
    return orjson.dumps({"type": kind, "data": {"input": answered}})


def tombstone(offset: int, partition: int = 0, topic: str = "in") -> tuple[tuple[str, bytes], ...]:
    """The headers of a tombstone."""
    return ("input.topic", topic.encode()), ("input.partition", b"%d" % partition), ("input.offset", b"%d" % offset)


Given = tuple[bytes, bytes | tuple[tuple[str, bytes], ...]]


def records(*given: Given) -> list[Record]:
    """Records of partition 1, with these keys, and values or headers."""
    return [
        Record("any", 1, offset, 0, key, content)
        if isinstance(content, bytes)
        else Record("any", 1, offset, 0, key, None, content)
        for offset, (key, content) in enumerate(given)
    ]


def report(results: list[Record], rows: list[Record]) -> CurrentReport:
    table = CurrentTable("now", "in")
    table.add_results(results)
    table.add_rows(rows)
    return table.report()


A0, A5, B1 = (b"a", value(0)), (b"a", value(5)), (b"b", value(1))
A_ERASED = (b"a", value(6, ERASED))


@pytest.mark.parametrize(
    ("results", "rows", "stale"),
    [
        ([A0, B1, A5], [A0, B1, A5], ()),
        ([A0, B1, A5], [B1, A5], ()),
        ([A0, B1, A5], [A0, B1], ("1/0",)),
        # Retention has removed the results; or the rows were read later.
        ([B1], [A5, B1], ()),
        ([A0, B1], [B1, A5], ()),
        ([A0, A_ERASED], [A0, (b"a", tombstone(6))], ()),
        ([A0, A_ERASED], [A0], ("1/0",)),
        ([A5, B1], [(b"a", tombstone(4)), B1], ("1/0",)),
        ([A_ERASED, (b"a", value(7))], [(b"a", value(7))], ()),
        ([A_ERASED, (b"a", value(7))], [(b"a", tombstone(6))], ("1/0",)),
        # The user was erased after the results were read; or retention has removed that result.
        ([A0, B1], [(b"a", tombstone(6)), B1], ()),
        ([], [(b"a", tombstone(6))], ()),
        ([A5], [(b"a", tombstone(0, partition=1))], ()),
        ([A5], [(b"a", tombstone(0, topic="other"))], ()),
        # Somebody else wrote it.
        ([A0, B1], [(b"a", ()), B1], ("1/0",)),
        ([A0], [(b"a", b"foreign")], ("1/0",)),
        # Results of two partitions of the input have no order.
        ([(b"a", value(9)), (b"a", value(3, partition=1))], [(b"a", value(9))], ()),
        ([(b"a", value(9)), (b"a", value(3, partition=1))], [(b"a", value(2, partition=1))], ("1/0",)),
        # Those of another input topic are not judged.
        ([A5], [(b"a", value(0, topic="other"))], ()),
    ],
)
def test_a_record_that_is_not_the_last_result_of_its_user_is_stale(
    results: list[Given], rows: list[Given], stale: tuple[str, ...]
) -> None:
    found = report(records(*results), records(*rows))
    assert (found.examples, found.stale) == (stale, len(stale))


def test_users_without_a_record_are_counted_unless_they_were_erased() -> None:
    found = report(records(A0, B1, A_ERASED, (b"c", value(7))), records((b"c", value(7))))
    assert (found.absent, found.rows, found.stale) == (1, 1, 0)


def test_of_many_stale_records_all_are_counted_and_some_are_named() -> None:
    users = [b"%d" % number for number in range(15)]
    found = report(
        records(*((user, value(number + 1)) for number, user in enumerate(users))),
        records(*((user, value(number)) for number, user in enumerate(users))),
    )
    assert (found.stale, len(found.examples), found.examples[0]) == (15, 10, "1/0")
