"""A membership as librdkafka writes it."""

import confluent_kafka
import pytest

from worker.errors import UnsupportedClientError
from worker.kafka.confluent.membership import membership_in, metadata_of
from worker.stream.records import Membership

DYNAMIC = Membership("group", "member", 7, None)
STATIC = Membership("group", "member", 0, "one")


@pytest.mark.parametrize("membership", [DYNAMIC, STATIC])
def test_a_membership_is_the_same_after_it_was_written_and_read(membership: Membership) -> None:
    assert membership_in(metadata_of(membership)) == membership


@pytest.mark.parametrize("lost", [Membership("group", "member", -1, None), Membership("group", "", 3, "one")])
def test_one_that_was_lost_is_none(lost: Membership) -> None:
    assert membership_in(metadata_of(lost)) is None


@pytest.mark.parametrize("instance", [None, "one"])
def test_it_is_written_as_the_installed_librdkafka_writes_it(instance: str | None) -> None:
    static = {} if instance is None else {"group.instance.id": instance}
    consumer = confluent_kafka.Consumer({"bootstrap.servers": "127.0.0.1:1", "group.id": "g", "log_level": 0, **static})
    assert consumer.consumer_group_metadata() == metadata_of(Membership("g", "", -1, instance))
    consumer.close()


@pytest.mark.parametrize("metadata", [b"CGMDv3:" + metadata_of(DYNAMIC)[7:], metadata_of(DYNAMIC) + b"more"])
def test_an_unknown_format_is_refused(metadata: bytes) -> None:
    with pytest.raises(UnsupportedClientError, match="KAFKA_CLIENT"):
        membership_in(metadata)
