"""A cluster as its brokers describe it to this worker."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Absent(StrEnum):
    """Why nothing is known about a topic or a group."""

    MISSING = "missing"
    HIDDEN = "hidden"


@dataclass(frozen=True, slots=True)
class TopicFacts:
    """A topic as the cluster describes it to this worker."""

    partitions: int
    leaderless: tuple[int, ...]
    """Partitions that have no leader now."""
    replicas: int
    """The smallest number of replicas of any partition."""
    operations: frozenset[str]
    """What this worker may do with the topic: READ, WRITE, …"""
    configs: Mapping[str, str]
    """The topic's configuration; empty where this worker may not read it."""


@dataclass(frozen=True, slots=True)
class Member:
    """A member of the consumer group, as it introduced itself."""

    client_id: str
    host: str
    instance_id: str | None
    """None for a dynamic member."""


@dataclass(frozen=True, slots=True)
class GroupFacts:
    """The consumer group as its coordinator describes it."""

    operations: frozenset[str]
    members: tuple[Member, ...] | Absent
    """HIDDEN: at least one member reads a topic that this worker may not describe."""


@dataclass(frozen=True, slots=True)
class ClusterFacts:
    """Everything about the cluster that decides whether this worker can run there."""

    cluster_id: str
    brokers: int
    topics: Mapping[str, TopicFacts | Absent]
    group: GroupFacts | Absent | None
    """None where the group's coordinator is not available."""
    transactional_id_visible: bool | None
    """False: this worker may not describe it, so it may not write with it. None where its coordinator is not available.
    True for brokers before Kafka 3.0, which do not report it."""
    broker_configs: Mapping[str, str]
    """The configuration of one broker; empty where this worker may not read it."""
