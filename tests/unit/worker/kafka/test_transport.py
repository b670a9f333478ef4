"""What the transport asks of its reader and its producer, with stand-ins for these two instead of Kafka."""

from typing import Any, cast

import pytest

from worker.errors import RetryBatchError
from worker.kafka.offsets import NoStartOffset
from worker.kafka.transport import KafkaTransport
from worker.settings import Settings


class Reader:
    """One whose committed offsets are gone while its group rebalances."""

    def __init__(self) -> None:
        self.offsets = self
        self.forgot = False

    def poll(self, _: int, __: bool) -> None:
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
