"""What a cluster is like, as its brokers describe it to this worker."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


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
class GroupFacts:
    """The consumer group as its coordinator describes it."""

    operations: frozenset[str]
    protocol_type: str
    """Empty without members."""
    assignor: str
    """Empty without members."""
    instance_ids: frozenset[str]
    """Of the static members that are in it now."""


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


@dataclass(frozen=True, slots=True)
class LostPlace:
    """A committed offset of the input topic that is no place to go on from."""

    partition: int
    offset: int
    start: int
    """The first offset of the log."""
    end: int
    because: str
    only_by_hand: bool
    """Whether the worker stops there whatever WORKER_ON_EXPIRED_OFFSETS says."""
