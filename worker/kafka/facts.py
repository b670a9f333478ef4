"""What a cluster is like, as its brokers describe it to this worker."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

CLIENT_ID: Final = "segment-worker"
"""What every Kafka client of this program calls itself. Another member of the group is a worker if it has this one."""


class Absent(StrEnum):
    """Why nothing is known about a topic."""

    MISSING = "missing"
    HIDDEN = "hidden"


@dataclass(frozen=True, slots=True)
class TopicFacts:
    """A topic as the cluster describes it to this worker."""

    partitions: int
    leaderless: tuple[int, ...]
    """Partitions without a leader now."""
    replicas: int
    """The smallest number of copies of any partition."""
    operations: frozenset[str]
    """What this worker may do with it; READ, WRITE, …"""
    configs: Mapping[str, str]
    """Its settings; empty where this worker may not read them."""


@dataclass(frozen=True, slots=True)
class Member:
    """A member of the consumer group, as it introduced itself."""

    client_id: str
    host: str
    instance_id: str | None
    """Of a static member only."""


@dataclass(frozen=True, slots=True)
class GroupFacts:
    """The consumer group as its coordinator describes it."""

    operations: frozenset[str]
    members: tuple[Member, ...] | Absent
    """HIDDEN: at least one of them reads a topic that this worker may not describe."""


@dataclass(frozen=True, slots=True)
class ClusterFacts:
    """Everything about the cluster that decides whether this worker can run there."""

    cluster_id: str
    brokers: int
    topics: Mapping[str, TopicFacts | Absent]
    group: GroupFacts | Absent | None
    """None where its coordinator was not available."""
    transactional_id_visible: bool | None
    """False: not even to be described, so not to be written with; None where its coordinator was not available. True
    also where the brokers are too old to say, before Kafka 3.0."""
    broker_configs: Mapping[str, str]
    """Of one broker; empty where this worker may not read them."""
