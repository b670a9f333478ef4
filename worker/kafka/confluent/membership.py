"""A membership as librdkafka writes it: bytes that its producer checks and takes back."""

from __future__ import annotations

import struct
from typing import Final

from worker.errors import UnsupportedClientError
from worker.kafka.ports import NO_GENERATION
from worker.stream.records import Membership

_MAGIC: Final = b"CGMDv2:"
_GENERATION: Final = struct.Struct("=i")


def membership_in(metadata: bytes) -> Membership | None:
    """Who this process is in its group, or None when it is not a member. Raises UnsupportedClientError."""
    start = len(_MAGIC)
    (generation,) = _GENERATION.unpack_from(metadata, start)
    # All ids are printable; one byte after the member's says whether there is no instance id.
    group_id, member_id, instance = metadata[start + _GENERATION.size :].split(b"\0", 2)
    instance_id = instance[1:-1].decode() if instance[:1] == b"\0" else None
    found = Membership(group_id.decode(), member_id.decode(), generation, instance_id)
    if metadata_of(found) != metadata:
        raise UnsupportedClientError(
            "confluent-kafka writes the membership of its group in an unknown format; install the version that "
            "requirements/fast.txt pins, or set KAFKA_CLIENT=kafka-python"
        )
    # No broker checks a membership that was lost.
    return found if generation != NO_GENERATION and member_id else None


def metadata_of(membership: Membership) -> bytes:
    """The membership for librdkafka's producer."""
    instance = b"\1" if membership.instance_id is None else b"\0" + membership.instance_id.encode() + b"\0"
    ids = membership.group_id.encode() + b"\0" + membership.member_id.encode() + b"\0"
    return _MAGIC + _GENERATION.pack(membership.generation) + ids + instance
