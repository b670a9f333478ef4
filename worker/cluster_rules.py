"""What a cluster must be like for this worker, judged from facts: a list of findings, for people or for machines."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from worker.kafka.facts import CLIENT_ID, Absent, ClusterFacts, GroupFacts, TopicFacts
from worker.kafka.lost_offsets import LostOffset
from worker.settings import Settings

# Clocks of brokers and workers differ by less, or else something is wrong with them.
_CLOCK_DIFFERENCE_MS = 60_000
# Another application may have a hundred consumers; a few show which one it is.
_MOST_NAMED = 5


class Weight(StrEnum):
    """What a finding means for the worker."""

    FINE = "fine"
    """As it must be."""
    ADVICE = "advice"
    """It works, and could work better."""
    UNKNOWN = "unknown"
    """It could not be looked at."""
    OUTAGE = "outage"
    """It does not work now and may by itself in a while."""
    PROBLEM = "problem"
    """It does not work until a person changes something."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at: where, what it is like, and what to do about it."""

    weight: Weight
    where: str
    what: str
    remedy: str = ""

    @property
    def line(self) -> str:
        """For people, without its weight."""
        return f"{self.where}: {self.what}" + (f"; {self.remedy}" if self.remedy else "")


def problems(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Those that keep the worker from running, now or until someone acts."""
    return tuple(each for each in findings if each.weight in {Weight.PROBLEM, Weight.OUTAGE})


def judge_cluster(facts: ClusterFacts, settings: Settings) -> tuple[Finding, ...]:
    """Every finding about brokers, topics, rights and group; the worst is not first, the order is the reader's."""
    return (
        Finding(Weight.FINE, "brokers", f"{_counted(facts.brokers, 'broker')}, cluster id {facts.cluster_id}"),
        *_topics(facts, settings),
        *_group(facts.group, settings),
        *_transactional_id(facts, settings),
        *_timeouts(facts.broker_configs, settings),
    )


def _topics(facts: ClusterFacts, settings: Settings) -> Iterator[Finding]:
    for name, setting, operation in (
        (settings.worker_input_topic, "WORKER_INPUT_TOPIC", "READ"),
        (settings.worker_output_topic, "WORKER_OUTPUT_TOPIC", "WRITE"),
        (settings.worker_rejected_topic, "WORKER_REJECTED_TOPIC", "WRITE"),
    ):
        where = f"topic {name}"
        topic = facts.topics[name]
        if topic is Absent.MISSING:
            remedy = f"create it, set {setting} to the right one, or start once with `run --create-topics`"
            yield Finding(Weight.PROBLEM, where, "does not exist", remedy)
        elif isinstance(topic, Absent):
            what = "does not exist, or this worker may not see it"
            yield Finding(Weight.PROBLEM, where, what, f"grant {operation} on it, or check {setting}")
        else:
            found = [*_usable(where, topic, operation), *_configured(where, topic, operation, facts, settings)]
            if not problems(found):
                replicas = f"{_counted(topic.replicas, 'replica')} of each"
                what = f"{_counted(topic.partitions, 'partition')}, {replicas}, {operation} allowed"
                yield Finding(Weight.FINE, where, what)
            yield from found
    yield from _partitions(facts, settings)


def _usable(where: str, topic: TopicFacts, operation: str) -> Iterator[Finding]:
    if operation not in topic.operations:
        remedy = f"grant {operation} on it to the user that the worker signs in as"
        yield Finding(Weight.PROBLEM, where, f"this worker may not {operation}", remedy)
    if topic.leaderless:
        numbers = ", ".join(map(str, topic.leaderless))
        yield Finding(Weight.OUTAGE, where, f"no broker leads partition {numbers}", "start the brokers that hold it")


def _configured(
    where: str, topic: TopicFacts, operation: str, facts: ClusterFacts, settings: Settings
) -> Iterator[Finding]:
    if not topic.configs:
        remedy = "grant DESCRIBE_CONFIGS on it to have them checked"
        yield Finding(Weight.UNKNOWN, where, "this worker may not read its settings", remedy)
        return
    if operation == "READ":
        return
    in_sync = int(topic.configs.get("min.insync.replicas", "1"))
    if in_sync > topic.replicas:
        # Since Kafka 3.7 the number of copies is its limit (apache/kafka#14594).
        what = (
            f"min.insync.replicas is {in_sync}, more than its copies ({topic.replicas}): an old broker refuses writes"
        )
        yield Finding(Weight.ADVICE, where, what, "add copies, or lower min.insync.replicas")
    elif in_sync == topic.replicas > 1:
        what = f"min.insync.replicas equals its {topic.replicas} copies: one broker away stops every write"
        yield Finding(Weight.ADVICE, where, what, "add a copy, or lower min.insync.replicas by one")
    if topic.replicas == 1 and facts.brokers > 1:
        yield Finding(Weight.ADVICE, where, "has one copy: a lost disk loses results", "add copies on other brokers")
    tolerance_ms = int(topic.configs.get("message.timestamp.after.max.ms", _CLOCK_DIFFERENCE_MS))
    if tolerance_ms < _CLOCK_DIFFERENCE_MS and topic.configs.get("message.timestamp.type") != "LogAppendTime":
        what = f"message.timestamp.after.max.ms is {tolerance_ms}: a small difference of clocks refuses results"
        yield Finding(Weight.ADVICE, where, what, f"raise it to {_CLOCK_DIFFERENCE_MS} or more")
    yield from _compaction(where, topic, settings)
    yield from _sizes(where, topic, settings)


def _compaction(where: str, topic: TopicFacts, settings: Settings) -> Iterator[Finding]:
    if "compact" not in topic.configs.get("cleanup.policy", ""):
        return
    if where == f"topic {settings.worker_rejected_topic}":
        what = "is compacted: a rejected event without a key is refused, and one with the key of a later one is lost"
        yield Finding(Weight.PROBLEM, where, what, "set its cleanup.policy to delete")
    else:
        what = "is compacted: of each user only the last assignment stays, and the others can no longer be counted"
        yield Finding(Weight.ADVICE, where, what, "set its cleanup.policy to delete unless that is wanted")


def _sizes(where: str, topic: TopicFacts, settings: Settings) -> Iterator[Finding]:
    if where != f"topic {settings.worker_rejected_topic}":
        return
    taken, needed = (
        int(topic.configs.get("max.message.bytes", settings.rejected_max_bytes)),
        settings.rejected_max_bytes,
    )
    if taken < needed:
        what = f"max.message.bytes is {taken}, and an event of WORKER_EVENT_MAX_BYTES with its headers needs {needed}"
        yield Finding(Weight.PROBLEM, where, what, f"raise it to {needed}, or lower WORKER_EVENT_MAX_BYTES")


def _partitions(facts: ClusterFacts, settings: Settings) -> Iterator[Finding]:
    read, written = facts.topics[settings.worker_input_topic], facts.topics[settings.worker_output_topic]
    if not isinstance(read, TopicFacts):
        return
    if read.partitions == 1:
        what = "has 1 partition, so no second worker can share the load"
        remedy = "recreate it with more while it is empty; partitions that are added later move users to other ones"
        yield Finding(Weight.ADVICE, f"topic {settings.worker_input_topic}", what, remedy)
    if isinstance(written, TopicFacts) and read.partitions != written.partitions:
        what = (
            f"has {_counted(written.partitions, 'partition')}, "
            f"topic {settings.worker_input_topic} has {read.partitions}"
        )
        remedy = "give both the same number, so that readers can join them partition by partition"
        yield Finding(Weight.ADVICE, f"topic {settings.worker_output_topic}", what, remedy)


def _group(group: GroupFacts | Absent | None, settings: Settings) -> Iterator[Finding]:
    where = f"group {settings.worker_group_id}"
    if group is None:
        yield Finding(Weight.OUTAGE, where, "its coordinator is not available", "look at the brokers' logs")
    elif isinstance(group, Absent) or "READ" not in group.operations:
        remedy = "grant READ on the group, or check WORKER_GROUP_ID"
        yield Finding(Weight.PROBLEM, where, "this worker may not READ with it", remedy)
    elif foreign := foreign_members(group):
        yield Finding(Weight.PROBLEM, where, *_foreign(foreign))
    elif settings.worker_instance_id is not None and settings.worker_instance_id in _instance_ids(group):
        what = f"a member with the instance id {settings.worker_instance_id} is in it now"
        remedy = "stop that one first, unless it is this worker's predecessor; two with one id stop each other"
        yield Finding(Weight.ADVICE, where, what, remedy)
    else:
        yield Finding(Weight.FINE, where, "READ allowed")


def foreign_members(group: GroupFacts) -> tuple[str, ...]:
    """Who is in the group and is not a segment worker: client id and host of each member, in alphabetical order.

    The client id decides: it is the one thing that brokers show of every member, in both group protocols and during a
    rebalance, and every version of the worker has the same. A subscription, which could carry a mark of ours, is shown
    of stable classic groups only.
    """
    if isinstance(group.members, Absent):
        # Workers read the input topic only, and that one may be described.
        return ("client id and host are hidden, because it reads a topic that this worker may not DESCRIBE",)
    others = (each for each in group.members if each.client_id != CLIENT_ID)
    return tuple(sorted(f"client id {each.client_id} on host {each.host}" for each in others))


def _foreign(members: Sequence[str]) -> tuple[str, str]:
    distinct = list(dict.fromkeys(members))
    named = ", ".join(distinct[:_MOST_NAMED]) + (
        f" and {more} more" if (more := len(distinct) - _MOST_NAMED) > 0 else ""
    )
    if len(members) == 1:
        what = f"1 member is not a segment worker ({named}), and the events that it takes get no outcome"
        return what, "stop it, or set another WORKER_GROUP_ID"
    what = f"{len(members)} members are not segment workers ({named}), and the events that they take get no outcome"
    return what, "stop them, or set another WORKER_GROUP_ID"


def _instance_ids(group: GroupFacts) -> Iterator[str | None]:
    return (each.instance_id for each in (() if isinstance(group.members, Absent) else group.members))


def judge_offsets(lost: Iterable[LostOffset], settings: Settings) -> Iterator[Finding]:
    """A finding for each committed offset that `run` could not resume from."""
    for each in lost:
        where = f"group {settings.worker_group_id}"
        what = f"topic {settings.worker_input_topic}, partition {each.partition}: {each.description}"
        by_hand = "choose an offset with kafka-consumer-groups --reset-offsets"
        if each.only_by_hand:
            yield Finding(Weight.PROBLEM, where, what, f"{by_hand}; WORKER_ON_OFFSET_OUT_OF_RANGE does not help here")
        elif settings.worker_on_offset_out_of_range == "stop":
            remedy = f"{by_hand}, or set WORKER_ON_OFFSET_OUT_OF_RANGE=earliest to continue at offset {each.log_start}"
            yield Finding(Weight.PROBLEM, where, what, remedy)
        else:
            remedy = f"WORKER_ON_OFFSET_OUT_OF_RANGE=earliest: it will continue at offset {each.log_start}"
            yield Finding(Weight.ADVICE, where, what, remedy)


def _transactional_id(facts: ClusterFacts, settings: Settings) -> Iterator[Finding]:
    where = f"transactional id {settings.transactional_id('…')}"
    if facts.transactional_id_visible is None:
        yield Finding(Weight.OUTAGE, where, "its coordinator is not available", "look at the brokers' logs")
    elif facts.transactional_id_visible:
        yield Finding(Weight.FINE, where, "DESCRIBE allowed; whether WRITE is too, only the first transaction shows")
    else:
        remedy = f"grant WRITE on the transactional ids that begin with {settings.worker_group_id}:"
        yield Finding(Weight.PROBLEM, where, "this worker may not use it", remedy)


def _timeouts(configs: Mapping[str, str], settings: Settings) -> Iterator[Finding]:
    if not configs:
        what, remedy = "this worker may not read their settings", "grant DESCRIBE_CONFIGS on the cluster"
        yield Finding(Weight.UNKNOWN, "brokers", what, f"{remedy} to have the timeouts checked")
        return
    for name, variable, given, is_longest in (
        ("transaction.max.timeout.ms", "WORKER_TRANSACTION_TIMEOUT_MS", settings.worker_transaction_timeout_ms, True),
        ("group.max.session.timeout.ms", "WORKER_SESSION_TIMEOUT_MS", settings.worker_session_timeout_ms, True),
        ("group.min.session.timeout.ms", "WORKER_SESSION_TIMEOUT_MS", settings.worker_session_timeout_ms, False),
    ):
        allowed = int(configs.get(name, given))
        if given > allowed if is_longest else given < allowed:
            what = f"{name} is {allowed}, and {variable} is {given}"
            yield Finding(
                Weight.PROBLEM, "brokers", what, f"{'lower' if is_longest else 'raise'} {variable} to {allowed}"
            )


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")
