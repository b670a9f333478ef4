"""What the transport asks of its reader and its producer, with stand-ins for these two instead of Kafka."""

import threading
from collections.abc import Callable
from typing import Any, cast

import pytest

from worker.errors import RetryBatchError
from worker.kafka.offsets import NoStartOffset
from worker.kafka.transport import KafkaTransport
from worker.settings import Settings
from worker.stream.records import Batch, Membership, Outcome, Record, Records


class Reader:
    """One whose committed offsets are gone while its group rebalances."""

    def __init__(self) -> None:
        self.offsets = self
        self.forgot = False

    def poll(self, *_: object) -> None:
        raise NoStartOffset({})

    def rewind(self) -> None:
        raise NoStartOffset({})

    def settled_membership(self) -> None:
        return None

    def forget_positions(self) -> None:
        self.forgot = True


class Transactions:
    def open(self) -> None:
        pass


def transport(reader: Reader) -> KafkaTransport:
    return KafkaTransport(Settings(), cast(Any, reader), cast(Any, Transactions()))


def test_a_rewind_that_has_to_wait_for_the_group_is_made_by_the_next_poll_also_as_another_member() -> None:
    reader = Reader()
    transport(reader).rewind()
    assert reader.forgot


def test_the_offsets_to_start_at_are_not_committed_while_the_group_rebalances() -> None:
    # Neither asked for nor committed: the stand-ins have nothing for either.
    with pytest.raises(RetryBatchError):
        transport(Reader()).poll()


def test_a_batch_grows_while_the_commit_before_it_is_under_way() -> None:
    membership, committed = Membership("g", "m", 1, None), threading.Event()
    batch = Batch(Records.of([Record("in", 0, 0, 0, None, None, ())]), {("in", 0): 1}, membership)
    left_s: list[float] = []

    class Gathering:
        topic_id = ""

        def __init__(self) -> None:
            self.offsets = self

        def poll(self, _: int, __: bool, next_begins_in_s: Callable[[], float]) -> None:
            left_s.append(next_begins_in_s())

        def membership(self) -> Membership:
            return membership

        def note_committed(self, _: object) -> None:
            pass

    class Committing(Transactions):
        def commit(self, *_: object) -> None:
            committed.wait()

    one = KafkaTransport(Settings(worker_commit_interval_ms=0), cast(Any, Gathering()), cast(Any, Committing()))
    one.begin(batch, Outcome(ignored=1))
    one.poll()
    committed.set()
    one.finish()
    one.poll()
    during, after = left_s
    assert during > after == 0
