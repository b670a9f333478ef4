"""What readers receive, read as evidence."""

from demo.kafka.client import StoredRecord
from tests.chaos.evidence import commits_among
from tests.chaos.judgement import Commit


def text(value: str) -> bytes:
    return len(value).to_bytes(2) + value.encode()


def stored(key: bytes, value: bytes | None) -> StoredRecord:
    return StoredRecord("__consumer_offsets", 0, 0, 0, key, value, {})


def offset_key(group: str, partition: int, version: int = 1) -> bytes:
    return version.to_bytes(2) + text(group) + text("in") + partition.to_bytes(4)


def offset_value(offset: int) -> bytes:
    return (3).to_bytes(2) + offset.to_bytes(8) + (-1).to_bytes(4, signed=True) + text("") + bytes(8)


def test_only_offsets_of_the_group_are_read_from_the_log_of_offsets() -> None:
    records = [
        stored(offset_key("mine", 3), offset_value(1 << 40)),
        stored(offset_key("another", 3), offset_value(5)),
        stored((2).to_bytes(2) + text("mine"), b"members"),
        stored(offset_key("mine", 0), None),
        stored(offset_key("mine", 1), offset_value(7)),
    ]
    assert [*commits_among(records, "mine")] == [Commit(3, 1 << 40), Commit(1, 7)]
