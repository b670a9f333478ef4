"""`segment-worker verify`: what is read from the cluster, and in which order."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import Final

from schemas.formats.input_format import can_ignore, ignored_rows
from schemas.misspelt_settings import misspelt_settings
from worker.cluster_rules import is_compacted
from worker.errors import ClusterUnusable, ExitStatus, StopProcessError
from worker.kafka import patches
from worker.kafka.admin import Cluster
from worker.kafka.config import connection_arguments
from worker.kafka.facts import Absent, ClusterFacts, TopicFacts
from worker.kafka.registry import input_read_once
from worker.kafka.topic_reader import Log, Partition, TopicReader
from worker.settings import Settings
from worker.settings_loading import load_settings
from worker.stream.records import Records
from worker.tools.bounds import Bounds, require_partitions
from worker.tools.progress import ReadingProgress
from worker.tools.verify import output
from worker.tools.verify.audit import Audit, Result, Scope, Verification
from worker.tools.verify.current_table import CurrentTable
from worker.tools.verify.references import answered_by_rejected, answered_by_result, assigned_ms

_CONNECT_S: Final = 5.0
# Brokers take records of up to this much in the future (message.timestamp.after.max.ms), so an input may be younger by
# that than its outcome.
_INPUT_AHEAD_MS: Final = 3_600_000
# How far the clocks of workers may differ, and how long a record may be on its way.
_OUTCOME_LATE_MS: Final = 60_000


def run(flags: Mapping[str, str], bounds: Bounds, report: Callable[[str], None], *, as_json: bool) -> ExitStatus:
    """Print the findings; exit status 0 only if the result is clean. Raises WorkerError."""
    for misspelt in misspelt_settings(Settings):
        report(misspelt.line)
    found = audit(load_settings(flags), bounds, report)
    sys.stdout.write(output.as_json(found) if as_json else output.as_text(found))
    return ExitStatus.DONE if found.result is Result.CLEAN else ExitStatus.RESTART


def audit(settings: Settings, bounds: Bounds, report: Callable[[str], None]) -> Verification:
    """Read the topics and find out whether each committed input record has exactly one outcome.

    `report` gets a line about the progress every 10 s. Nothing is written, committed or joined. Raises WorkerError when
    the topics or the group cannot be read.
    """
    patches.apply(settings.worker_event_max_bytes)
    connection = connection_arguments(settings)
    with Cluster(settings, connection, _CONNECT_S) as cluster:
        topics = readable(cluster.facts(), settings)
    partitions = topics[settings.worker_input_topic].partitions
    require_partitions(settings.worker_input_topic, partitions, bounds.partitions, "--from-offset and --to-offset")
    with TopicReader(settings, connection, settings.worker_group_id) as reader:
        # In this order: what is committed now has its outcomes below the ends that are asked for afterwards. These are
        # ends of the log, not of what is visible: a transaction may end there later than among the offsets.
        committed = _committed(reader, topics, settings)
        outcome_logs = {
            at: log
            for topic in (settings.worker_output_topic, settings.worker_rejected_topic)
            for at, log in reader.logs(topic, topics[topic].partitions).items()
        }
        if _has_event_times(settings):
            outcome_logs |= _logs_by_assignment(reader, settings.worker_output_topic, outcome_logs)
            # Its retention counts from other times than those of the assignments.
            topics = {**topics, settings.worker_output_topic: replace(topics[settings.worker_output_topic], configs={})}
        scope = _scope(reader, topics, committed, outcome_logs, bounds, settings)
        reading = {(scope.input_topic, number): span for number, span in scope.spans.items()}
        reading |= _outcome_spans(reader, topics, outcome_logs, bounds, settings)
        found = Audit(scope)
        name = settings.worker_current_topic
        table = None if name is None else CurrentTable(name, scope.input_topic)
        _read(reader, reading, found, table, settings, report)
        # Once more: an outcome that was visible by now has its offset committed by now, or never.
        verification = found.verification(reader.committed(scope.input_topic, partitions))
        if name is None or table is None:
            return verification
        # Its ends are asked for once all results were visible: each of them is there by now, or never.
        logs = reader.logs(name, topics[name].partitions)
        for _, _, records in reader.read({at: range(log.start, log.end) for at, log in logs.items()}):
            table.add_rows(records)
        return replace(verification, current=table.report())


def readable(facts: ClusterFacts, settings: Settings) -> Mapping[str, TopicFacts]:
    """All topics; they and the group exist and may be read. Raises ClusterUnusable, StopProcessError."""
    problems: list[str] = []
    topics: dict[str, TopicFacts] = {}
    outcome_topics = (settings.worker_output_topic, settings.worker_rejected_topic)
    for name in settings.topics:
        topic = facts.topics[name]
        if topic is Absent.MISSING:
            problems.append(f"topic {name}: does not exist; check the names of the topics")
        elif isinstance(topic, Absent) or "READ" not in topic.operations:
            problems.append(f"topic {name}: may not be read; grant READ on it to the user that verify logs in as")
        else:
            topics[name] = topic
    if isinstance(facts.group, Absent):
        problems.append(f"group {settings.worker_group_id}: its offsets may not be seen; grant DESCRIBE on it")
    if problems:
        raise ClusterUnusable(tuple(problems))
    for name in outcome_topics:
        if is_compacted(topics[name]):
            raise StopProcessError(
                f"topic {name} is compacted: outcomes vanish from it, so they cannot be counted; set its "
                "cleanup.policy to delete, and verify what comes after that with --since",
                ExitStatus.RESTART,
            )
    return topics


def lost_before(logs: Mapping[Partition, Log], topics: Mapping[str, TopicFacts], now_ms: int) -> int | None:
    """The time before which outcomes may have been removed, in milliseconds since 1970; None: all are still there."""
    times_ms = []
    for (topic, _), log in logs.items():
        if log.start > 0:
            latest_ms = now_ms if log.first_time_ms is None else log.first_time_ms
            kept_ms = int(topics[topic].configs.get("retention.ms", "-1"))
            # A quiet topic's first record may be of today while what was removed was old.
            if kept_ms >= 0 and topics[topic].configs.get("retention.bytes") == "-1":
                latest_ms = min(latest_ms, now_ms - kept_ms)
            times_ms.append(latest_ms + _OUTCOME_LATE_MS)
    return max(times_ms, default=None)


def input_spans(
    logs: Mapping[Partition, Log],
    committed: Mapping[int, int],
    bounds: Bounds,
    since: Mapping[int, int] | None,
    until: Mapping[int, int] | None,
) -> Mapping[int, range]:
    """For each partition the offsets that must have an outcome: committed, still there, and within the bounds.

    `since` and `until` have the first offset of that time or later, None without such a bound. Raises StopProcessError
    when the group has committed more than there is.
    """
    spans = {}
    for (topic, number), log in logs.items():
        end = committed.get(number, 0)
        if end > log.end:
            raise StopProcessError(
                f"offset {end} of topic {topic}, partition {number} is committed, but the partition ends at {log.end}: "
                "the topic was recreated, or lost records; what was committed before that cannot be verified",
                ExitStatus.RESTART,
            )
        spans[number] = bounds.within(number, range(log.start, max(log.start, end)), since, until)
    return spans


def _logs_by_assignment(reader: TopicReader, topic: str, logs: Mapping[Partition, Log]) -> Mapping[Partition, Log]:
    """The topic's logs that have lost records, each with the time at which its first result was assigned."""
    found = {}
    for at, log in logs.items():
        if at[0] == topic and log.start > 0:
            spans = reader.read({at: range(log.start, log.end)})
            first = next((rows[0] for _, _, rows in spans if rows), None)
            found[at] = replace(log, first_time_ms=None if first is None else assigned_ms(first))
    return found


def _committed(reader: TopicReader, topics: Mapping[str, TopicFacts], settings: Settings) -> Mapping[int, int]:
    topic = settings.worker_input_topic
    committed = reader.committed(topic, topics[topic].partitions)
    if not committed:
        raise StopProcessError(
            f"group {settings.worker_group_id} has no committed offset of topic {topic}: there is nothing to verify; "
            "check WORKER_GROUP_ID and WORKER_INPUT_TOPIC",
            ExitStatus.RESTART,
        )
    return committed


def _scope(
    reader: TopicReader,
    topics: Mapping[str, TopicFacts],
    committed: Mapping[int, int],
    outcome_logs: Mapping[Partition, Log],
    bounds: Bounds,
    settings: Settings,
) -> Scope:
    topic = settings.worker_input_topic
    partitions = topics[topic].partitions
    since, until = (
        None if time_ms is None else reader.offsets_at(topic, partitions, time_ms)
        for time_ms in (bounds.since_ms, bounds.until_ms)
    )
    now_ms = int(time.time() * 1000)
    lost_before_ms = lost_before(outcome_logs, topics, now_ms)
    logs = reader.logs(topic, partitions)
    gone = {
        number: log.start
        for (_, number), log in logs.items()
        if not bounds.begin_at(number, log.start, lost_before({(topic, number): log}, topics, now_ms))
    }
    first_ms = _outcomes_since_ms(bounds)
    return Scope(
        servers=settings.kafka_bootstrap_servers,
        group_id=settings.worker_group_id,
        input_topic=topic,
        outcome_topics=(settings.worker_output_topic, settings.worker_rejected_topic),
        spans=input_spans(logs, committed, bounds, since, until),
        # All that is read is younger than what was removed.
        lost_before_ms=None if first_ms is not None and first_ms >= (lost_before_ms or 0) else lost_before_ms,
        begin_at_first_outcome=settings.worker_start_at == "latest" and not bounds.begin_later,
        asked_for_all=bounds.begin_later,
        inputs_vanish=is_compacted(topics[topic]),
        bounded=bounds.given,
        gone_before=gone,
        gone_asked_for=frozenset(n for n in gone if bounds.since_ms is not None or n in bounds.from_offsets),
        waiting=_waiting(reader, logs, committed),
    )


def _waiting(reader: TopicReader, logs: Mapping[Partition, Log], committed: Mapping[int, int]) -> Mapping[int, int]:
    stable = reader.stable_ends(logs)
    spans = {at: range(max(log.start, committed.get(at[1], 0)), stable[at]) for at, log in logs.items()}
    return {at[1]: len(span) for at, span in spans.items() if _holds_record(reader, at, span)}


def _holds_record(reader: TopicReader, at: Partition, span: range) -> bool:
    # Transaction markers and aborted records take offsets too, and do not wait for anything.
    try:
        return any(rows for *_, rows in reader.read({at: span}))
    except StopProcessError:
        # A batch that cannot be read, such as the one that stopped the worker, waits as well. Where brokers are away,
        # reading what is verified says so.
        return True


def _outcomes_since_ms(bounds: Bounds) -> int | None:
    return None if bounds.since_ms is None else bounds.since_ms - _INPUT_AHEAD_MS


def _outcome_spans(
    reader: TopicReader,
    topics: Mapping[str, TopicFacts],
    logs: Mapping[Partition, Log],
    bounds: Bounds,
    settings: Settings,
) -> Mapping[Partition, range]:
    first_ms = _outcomes_since_ms(bounds)
    whole = {at: range(log.start, log.end) for at, log in logs.items()}
    if first_ms is None:
        return whole
    # The time of its event does not say when a result was sent.
    by_time = {topic for topic, _ in logs} - ({settings.worker_output_topic} if _has_event_times(settings) else set())
    starts = {topic: reader.offsets_at(topic, topics[topic].partitions, first_ms) for topic in by_time}
    return whole | {
        (topic, number): range(starts[topic].get(number, span.stop), span.stop)
        for (topic, number), span in whole.items()
        if topic in by_time
    }


def _has_event_times(settings: Settings) -> bool:
    return settings.worker_result_time == "event"


def _read(
    reader: TopicReader,
    reading: Mapping[Partition, range],
    found: Audit,
    table: CurrentTable | None,
    settings: Settings,
    report: Callable[[str], None],
) -> None:
    progress = ReadingProgress(reading, report)
    input_, max_bytes = input_read_once(settings), settings.worker_event_max_bytes
    by_event = _has_event_times(settings)
    for at, position, records in reader.read(reading):
        topic, number = at
        if topic == settings.worker_input_topic:
            ignored: Collection[int] = ()
            if can_ignore(input_.format):
                columns = Records.of(records)
                input_.look_up(columns.values)
                ignored = ignored_rows(input_.format, columns, max_bytes)
            found.add_inputs(number, [record.offset for record in records], ignored)
        elif topic == settings.worker_output_topic:
            times_ms = [*map(assigned_ms, records)] if by_event else [r.timestamp_ms for r in records]
            found.add_outcomes(topic, number, [*zip(map(answered_by_result, records), times_ms, strict=True)])
            if table is not None:
                table.add_results(records)
        else:
            found.add_outcomes(topic, number, [(answered_by_rejected(r), r.timestamp_ms) for r in records])
        progress.reached(at, position)
