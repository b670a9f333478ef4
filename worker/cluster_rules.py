"""What this worker needs from a cluster: facts and settings in, findings out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from schemas.counting import counted
from worker.client_options import is_segment_worker
from worker.kafka.facts import Absent, ClusterFacts, GroupFacts, TopicFacts
from worker.kafka.lost_offsets import LostOffset
from worker.kafka.tuning import BATCH_BYTES
from worker.settings import Settings

# The clocks of brokers and workers differ by less, unless one of them is wrong.
_CLOCK_DIFFERENCE_MS = 60_000
# Kafka's default: records may be of any age.
_NO_LIMIT_MS = 2**63 - 1
# Another application may have a hundred consumers; a few of them identify it.
_MOST_NAMED = 5


class Weight(StrEnum):
    """What a finding means for the worker."""

    FINE = "fine"
    """As required."""
    ADVICE = "advice"
    """It works, but could work better."""
    UNKNOWN = "unknown"
    """It could not be checked."""
    OUTAGE = "outage"
    """It does not work now, and may recover without help."""
    PROBLEM = "problem"
    """It does not work until somebody changes something."""


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check: where, what was found, and what to do about it."""

    weight: Weight
    where: str
    what: str
    remedy: str = ""

    @property
    def line(self) -> str:
        """One line for people, without the weight."""
        return f"{self.where}: {self.what}" + (f"; {self.remedy}" if self.remedy else "")


def problems(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """The findings that keep a worker from running: problems and outages."""
    return tuple(each for each in findings if each.weight in {Weight.PROBLEM, Weight.OUTAGE})


def judge_cluster(facts: ClusterFacts, settings: Settings) -> tuple[Finding, ...]:
    """Every finding about brokers, topics, group and rights, in that order, whatever their weight."""
    return (
        Finding(Weight.FINE, "brokers", f"{counted(facts.brokers, 'broker')}, cluster id {facts.cluster_id}"),
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
        (settings.worker_current_topic, "WORKER_CURRENT_TOPIC", "WRITE"),
    ):
        if name is None:
            continue
        where = f"topic {name}"
        topic = facts.topics[name]
        if topic is Absent.MISSING:
            remedy = f"create it, correct {setting}, or start once with `run --create-topics`"
            yield Finding(Weight.PROBLEM, where, "does not exist", remedy)
        elif isinstance(topic, Absent):
            what = "does not exist, or is not visible to this worker"
            yield Finding(Weight.PROBLEM, where, what, f"grant {operation} on it, or check {setting}")
        else:
            found = [*_usable(where, topic, operation), *_configured(where, topic, operation, facts, settings)]
            if not problems(found):
                size = f"{counted(topic.partitions, 'partition')} with {counted(topic.replicas, 'replica')}"
                what = f"{size}{' each' if topic.partitions > 1 else ''}, {operation} allowed"
                yield Finding(Weight.FINE, where, what)
            yield from found
    yield from _partitions(facts, settings)


def _usable(where: str, topic: TopicFacts, operation: str) -> Iterator[Finding]:
    if operation not in topic.operations:
        remedy = f"grant {operation} on it to the user of this worker"
        yield Finding(Weight.PROBLEM, where, f"{operation} is not allowed", remedy)
    if topic.leaderless:
        what = (
            f"{counted(len(topic.leaderless), 'partition')} without a leader: {', '.join(map(str, topic.leaderless))}"
        )
        yield Finding(Weight.OUTAGE, where, what, "start the brokers that hold their replicas")


def _configured(
    where: str, topic: TopicFacts, operation: str, facts: ClusterFacts, settings: Settings
) -> Iterator[Finding]:
    if not topic.configs:
        remedy = "grant DESCRIBE_CONFIGS on it to check that"
        yield Finding(Weight.UNKNOWN, where, "its configuration was not checked", remedy)
        return
    if operation == "READ":
        return
    in_sync = int(topic.configs.get("min.insync.replicas", "1"))
    if in_sync > topic.replicas:
        # Since Kafka 3.7 the number of replicas is its limit (apache/kafka#14594).
        replicas = counted(topic.replicas, "replica")
        what = f"min.insync.replicas is {in_sync}, but the topic has {replicas}: brokers before Kafka 3.7 refuse writes"
        yield Finding(Weight.ADVICE, where, what, "add replicas, or lower min.insync.replicas")
    elif in_sync == topic.replicas > 1:
        what = f"min.insync.replicas equals its {topic.replicas} replicas: with one broker down, writes fail"
        yield Finding(Weight.ADVICE, where, what, "add a replica, or lower min.insync.replicas by one")
    if topic.replicas == 1 and facts.brokers > 1:
        what = "has 1 replica: a lost disk loses results"
        yield Finding(Weight.ADVICE, where, what, "add replicas on other brokers")
    yield from _record_times(where, topic, settings)
    yield from _compaction(where, topic, settings)
    yield from _sizes(where, topic, settings)


def _record_times(where: str, topic: TopicFacts, settings: Settings) -> Iterator[Finding]:
    has_event_times = settings.worker_result_time == "event" and where != f"topic {settings.worker_rejected_topic}"
    if topic.configs.get("message.timestamp.type") == "LogAppendTime":
        if has_event_times:
            what = "message.timestamp.type is LogAppendTime: brokers replace the times of WORKER_RESULT_TIME=event"
            yield Finding(Weight.ADVICE, where, what, "set it to CreateTime")
        return
    tolerance_ms = int(topic.configs.get("message.timestamp.after.max.ms", _CLOCK_DIFFERENCE_MS))
    if tolerance_ms < _CLOCK_DIFFERENCE_MS:
        what = f"message.timestamp.after.max.ms is {tolerance_ms}: if clocks differ by more, brokers refuse results"
        yield Finding(Weight.ADVICE, where, what, f"raise it to {_CLOCK_DIFFERENCE_MS} or more")
    oldest_ms = int(topic.configs.get("message.timestamp.before.max.ms", _NO_LIMIT_MS))
    if has_event_times and oldest_ms < _NO_LIMIT_MS:
        what = (
            f"message.timestamp.before.max.ms is {oldest_ms}: brokers refuse results of older events, which stops the "
            "worker"
        )
        yield Finding(Weight.PROBLEM, where, what, "remove that limit, or set WORKER_RESULT_TIME=processing")


def is_compacted(topic: TopicFacts | Absent) -> bool:
    """Whether brokers keep only the last record of each key; False where this worker may not read its configuration."""
    return isinstance(topic, TopicFacts) and "compact" in topic.configs.get("cleanup.policy", "")


def _compaction(where: str, topic: TopicFacts, settings: Settings) -> Iterator[Finding]:
    policy = topic.configs.get("cleanup.policy", "")
    if where == f"topic {settings.worker_current_topic}":
        if "compact" not in policy:
            what = "is not compacted: it would keep every result, and lose that of a quiet user to retention"
            yield Finding(Weight.PROBLEM, where, what, "set its cleanup.policy to compact")
        elif "delete" in policy:
            what = "its cleanup.policy deletes, too: users without an event for as long as its retention vanish from it"
            yield Finding(Weight.ADVICE, where, what, "set its cleanup.policy to compact, unless you want that")
        return
    if "compact" not in policy:
        return
    if where == f"topic {settings.worker_rejected_topic}":
        what = "is compacted: brokers refuse events without a key, and keep only the last one of each key"
        yield Finding(Weight.PROBLEM, where, what, "set its cleanup.policy to delete")
    else:
        what = "is compacted: it keeps only the last assignment of each user, and `verify` cannot count the others"
        remedy = "set its cleanup.policy to delete, and WORKER_CURRENT_TOPIC for a compacted topic beside it"
        yield Finding(Weight.ADVICE, where, what, remedy)


def _sizes(where: str, topic: TopicFacts, settings: Settings) -> Iterator[Finding]:
    needed = settings.rejected_max_bytes if where == f"topic {settings.worker_rejected_topic}" else 0
    taken = int(topic.configs.get("max.message.bytes", max(needed, BATCH_BYTES)))
    if settings.kafka_client == "confluent" and needed <= taken < BATCH_BYTES:
        what = f"max.message.bytes is {taken}: the worker stops at a larger batch, because librdkafka cannot split it"
        yield Finding(Weight.ADVICE, where, what, f"raise it to {BATCH_BYTES}, or set KAFKA_CLIENT=kafka-python")
    if taken < needed:
        what = f"max.message.bytes is {taken}, but an event of WORKER_EVENT_MAX_BYTES with its headers needs {needed}"
        yield Finding(Weight.PROBLEM, where, what, f"raise it to {needed}, or lower WORKER_EVENT_MAX_BYTES")


def _partitions(facts: ClusterFacts, settings: Settings) -> Iterator[Finding]:
    read = facts.topics[settings.worker_input_topic]
    if not isinstance(read, TopicFacts):
        return
    if read.partitions == 1:
        what = "has 1 partition, so a second worker cannot share the load"
        remedy = "recreate it with more before it is used: adding partitions later moves users to other partitions"
        yield Finding(Weight.ADVICE, f"topic {settings.worker_input_topic}", what, remedy)
    for name in (settings.worker_output_topic, settings.worker_current_topic):
        written = None if name is None else facts.topics[name]
        if isinstance(written, TopicFacts) and read.partitions != written.partitions:
            what = (
                f"has {counted(written.partitions, 'partition')}, "
                f"topic {settings.worker_input_topic} has {read.partitions}"
            )
            remedy = "give both the same number, so that readers can join them partition by partition"
            yield Finding(Weight.ADVICE, f"topic {name}", what, remedy)


def _group(group: GroupFacts | Absent | None, settings: Settings) -> Iterator[Finding]:
    where = f"group {settings.worker_group_id}"
    if group is None:
        yield Finding(Weight.OUTAGE, where, "its coordinator is not available", "look at the brokers' logs")
    elif isinstance(group, Absent) or "READ" not in group.operations:
        remedy = "grant READ on the group, or check WORKER_GROUP_ID"
        yield Finding(Weight.PROBLEM, where, "READ is not allowed", remedy)
    elif foreign := foreign_members(group, settings.client_id):
        yield Finding(Weight.PROBLEM, where, *_foreign(foreign))
    elif settings.worker_instance_id is not None and settings.worker_instance_id in _instance_ids(group):
        what = f"a member with the instance id {settings.worker_instance_id} is in it now"
        remedy = "stop it first, unless this worker is to replace it: two members with the same id fence each other"
        yield Finding(Weight.ADVICE, where, what, remedy)
    else:
        yield Finding(Weight.FINE, where, "READ allowed")


def foreign_members(group: GroupFacts, own_client_id: str) -> tuple[str, ...]:
    """Client id and host of each member that is not a segment worker, in alphabetical order.

    The client id decides, because brokers show it for every member, in both group protocols and during a rebalance, and
    because every version of the worker begins it in the same way, unless KAFKA_CLIENT_CONFIG sets another one.
    Subscriptions could carry a marker, but brokers show them for stable classic groups only.
    """
    if isinstance(group.members, Absent):
        # So it is not a worker, because workers read only the input topic.
        return ("client id and host are hidden, because it reads a topic that this worker may not DESCRIBE",)
    others = (each for each in group.members if not is_segment_worker(each.client_id, own_client_id))
    return tuple(sorted(f"client id {each.client_id} on host {each.host}" for each in others))


def _foreign(members: Sequence[str]) -> tuple[str, str]:
    distinct = list(dict.fromkeys(members))
    named = ", ".join(distinct[:_MOST_NAMED]) + (
        f" and {more} more" if (more := len(distinct) - _MOST_NAMED) > 0 else ""
    )
    if len(members) == 1:
        what = f"1 member is not a segment worker ({named}), and the events that it reads get no outcome"
        return what, "stop it, or set another WORKER_GROUP_ID"
    what = f"{len(members)} members are not segment workers ({named}), and the events that they read get no outcome"
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
        yield Finding(Weight.FINE, where, "DESCRIBE is allowed; only the first transaction shows whether WRITE is, too")
    else:
        remedy = f"grant WRITE on the transactional ids that begin with {settings.worker_group_id}:"
        yield Finding(Weight.PROBLEM, where, "WRITE is not allowed", remedy)


def _timeouts(configs: Mapping[str, str], settings: Settings) -> Iterator[Finding]:
    if not configs:
        remedy = "grant DESCRIBE_CONFIGS on the cluster to check them"
        yield Finding(Weight.UNKNOWN, "brokers", "their timeout limits were not checked", remedy)
        return
    for name, variable, given, is_longest in (
        ("transaction.max.timeout.ms", "WORKER_TRANSACTION_TIMEOUT_MS", settings.worker_transaction_timeout_ms, True),
        ("group.max.session.timeout.ms", "WORKER_SESSION_TIMEOUT_MS", settings.worker_session_timeout_ms, True),
        ("group.min.session.timeout.ms", "WORKER_SESSION_TIMEOUT_MS", settings.worker_session_timeout_ms, False),
    ):
        allowed = int(configs.get(name, given))
        if given > allowed if is_longest else given < allowed:
            what = f"{name} is {allowed}, but {variable} is {given}"
            yield Finding(
                Weight.PROBLEM, "brokers", what, f"{'lower' if is_longest else 'raise'} {variable} to {allowed}"
            )
