"""What the transport asks of its reader and its producer, told by stand-ins for these two and not for Kafka."""

from typing import Any, cast

from worker.kafka.offsets import NowhereToBegin
from worker.kafka.transport import KafkaTransport
from worker.settings import Settings


class Reader:
    """One whose committed offsets are gone while its group shares out the partitions anew."""

    def __init__(self) -> None:
        self.positions = self
        self.forgot = False

    def rewind(self) -> None:
        raise NowhereToBegin({})

    def settled_membership(self) -> None:
        return None

    def forget_positions(self) -> None:
        self.forgot = True


class Transactions:
    def open(self) -> None:
        pass


def test_a_rewind_that_has_to_wait_for_the_group_is_made_by_the_next_poll_whoever_the_member_is_then() -> None:
    reader = Reader()
    KafkaTransport(Settings(), cast(Any, reader), cast(Any, Transactions())).rewind()
    assert reader.forgot
