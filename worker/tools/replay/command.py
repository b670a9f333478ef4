"""`segment-worker replay`: rejected events go back to the input, each once, whatever is killed in between."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from schemas.misspelt_settings import misspelt_settings
from worker.errors import ClusterUnusable, ExitStatus, ProducerFenced, RetryBatchError, SettingsError, StopProcessError
from worker.kafka import patches
from worker.kafka.admin import Cluster
from worker.kafka.config import connection_arguments
from worker.kafka.facts import Absent, ClusterFacts
from worker.kafka.kafka_python.producer import KafkaPythonProducer
from worker.kafka.patches.record_builder import SendsNulls, null_if_absent
from worker.kafka.ports import NO_GENERATION
from worker.kafka.producer import Transactions
from worker.kafka.topic_reader import Partition, TopicReader
from worker.lifecycle import Deadline
from worker.settings import Settings
from worker.settings_loading import load_settings
from worker.stream.ports import StopSignal
from worker.stream.records import Membership, Message
from worker.tools.bounds import require_partitions
from worker.tools.progress import ReadingProgress
from worker.tools.replay.selection import Counts, Progress, Restored, Selection, as_text, restored, spans_to_send

_CONNECT_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class Replay:
    """What to send back, from where, and how often at most."""

    settings: Settings
    selection: Selection
    max_hops: int

    @property
    def transactional_id(self) -> str:
        """The same for every run, so that a second run ends the first; no instance id gives it to a worker."""
        return f"{self.settings.worker_group_id}:~replay"

    @property
    def group_id(self) -> str:
        """The group that keeps the progress of this selection."""
        digest = self.selection.digest(self.settings.worker_input_topic, self.settings.worker_rejected_topic)
        return f"{self.transactional_id}-{digest}"


def run(
    flags: Mapping[str, str],
    selection: Selection,
    max_hops: int,
    stop: StopSignal,
    report: Callable[[str], None],
    *,
    dry_run: bool,
) -> ExitStatus:
    """Send, or only count, what is selected, and print the counts. Raises WorkerError.

    Sending cannot be undone: a misspelt setting, which could mean another topic or group, is refused.
    """
    misspelt = tuple(each.line for each in misspelt_settings(Settings))
    if misspelt and not dry_run:
        raise SettingsError(misspelt, frozenset())
    for line in misspelt:
        report(line)
    settings = load_settings(flags)
    replay = Replay(settings, selection, max_hops)
    if dry_run:
        verb, counts = "would send", count(replay, report)
    else:
        verb, counts = "sent", send(replay, stop, report)
    sys.stdout.write(as_text(counts, verb, settings.worker_input_topic))
    return ExitStatus.DONE


def count(replay: Replay, report: Callable[[str], None]) -> Counts:
    """What `send` would do now; nothing is written. Raises WorkerError."""
    settings = replay.settings
    patches.apply(settings.worker_event_max_bytes)
    connection = connection_arguments(settings)
    partitions = _partitions(replay, connection, {settings.worker_rejected_topic: "READ"})
    counts = Counts()
    with TopicReader(settings, connection, replay.group_id) as reader:
        spans = _spans(replay, reader, partitions)
        progress = ReadingProgress(spans, report)
        for at, position, records in reader.read(spans):
            for record in records:
                counts.add(restored(record, replay.selection, settings.worker_input_topic, replay.max_hops))
            progress.reached(at, position)
    return counts


def send(replay: Replay, stop: StopSignal, report: Callable[[str], None]) -> Counts:
    """Send back what is left, up to what is there now, or was there when an unfinished run of the selection began.

    Ends early when stopped. Raises WorkerError; what was sent by then is not sent again by the next run.
    """
    settings = replay.settings
    patches.apply(settings.worker_event_max_bytes)
    connection = connection_arguments(settings)
    needed = {settings.worker_rejected_topic: "READ", settings.worker_input_topic: "WRITE"}
    partitions = _partitions(replay, connection, needed)
    with Deadline(stop) as deadline, TopicReader(settings, connection, replay.group_id) as reader:
        transactions = Transactions(
            settings,
            connection,
            replay.transactional_id,
            lambda transactional_id: KafkaPythonProducer(settings, connection, transactional_id, SendsNulls()),
            deadline,
        )
        try:
            # First, because it ends another run and what that one has in hand; then the progress is known.
            transactions.open()
            return _send(replay, reader, transactions, _spans(replay, reader, partitions), stop, report)
        except RetryBatchError as error:
            raise _given_up(replay, error) from error
        finally:
            transactions.close()


def _send(
    replay: Replay,
    reader: TopicReader,
    transactions: Transactions,
    spans: Mapping[Partition, range],
    stop: StopSignal,
    report: Callable[[str], None],
) -> Counts:
    counts, progress = Counts(), ReadingProgress(spans, report)
    input_topic = replay.settings.worker_input_topic
    # Not a member: the transactional id is protection enough.
    nobody = Membership(replay.group_id, "", NO_GENERATION, None)
    ends = {at: str(span.stop) for at, span in spans.items() if span}
    # Before the first event, so that a continued run ends where this one would have.
    if ends:
        transactions.commit({}, {at: spans[at].start for at in ends}, nobody, ends)
    for at, position, records in reader.read(spans):
        if stop.is_set():
            report("stopped before the end; the same command continues from here")
            break
        events = [restored(record, replay.selection, input_topic, replay.max_hops) for record in records]
        messages = [_message(event) for event in events if isinstance(event, Restored)]
        transactions.commit({input_topic: messages}, {at: position}, nobody, ends)
        for event in events:
            counts.add(event)
        progress.reached(at, position)
    return counts


def _message(event: Restored) -> Message:
    headers = tuple((name, null_if_absent(content)) for name, content in event.headers)
    # The client refuses a null key only beside a null value.
    key = null_if_absent(event.key) if event.value is None else event.key
    return Message(key, event.value, headers)


def _spans(replay: Replay, reader: TopicReader, partitions: int) -> Mapping[Partition, range]:
    topic, bounds = replay.settings.worker_rejected_topic, replay.selection.bounds
    since, until = (
        None if time_ms is None else reader.offsets_at(topic, partitions, time_ms)
        for time_ms in (bounds.since_ms, bounds.until_ms)
    )
    found = {}
    for (_, number), log in reader.logs(topic, partitions).items():
        found[number] = bounds.within(number, range(log.start, log.end), since, until)
    kept = reader.committed_with_notes(topic, partitions)
    progress = {
        number: Progress(offset, int(note) if note.isdecimal() else None) for number, (offset, note) in kept.items()
    }
    return {(topic, number): span for number, span in spans_to_send(found, progress, replay.selection).items()}


def _partitions(replay: Replay, connection: Mapping[str, Any], needed: Mapping[str, str]) -> int:
    """How many partitions the dead-letter topic has; checks the rights, too."""
    settings = replay.settings
    with Cluster(settings, connection, _CONNECT_S) as cluster:
        topics = require_rights(cluster.facts(), needed, settings)
    partitions = topics[settings.worker_rejected_topic]
    selection = replay.selection
    named = selection.partitions | selection.bounds.partitions
    flags = "--partition, --from-offset and --to-offset"
    require_partitions(settings.worker_rejected_topic, partitions, named, flags)
    return partitions


def require_rights(facts: ClusterFacts, needed: Mapping[str, str], settings: Settings) -> Mapping[str, int]:
    """The number of partitions of each topic that is needed, with the operation on it. Raises ClusterUnusable."""
    problems: list[str] = []
    found: dict[str, int] = {}
    for name, operation in needed.items():
        topic = facts.topics[name]
        if isinstance(topic, Absent) or operation not in topic.operations:
            problems.append(
                f"topic {name}: does not exist, or {operation} is not allowed; create it, or grant {operation}"
            )
        else:
            found[name] = topic.partitions
    if "WRITE" in needed.values() and facts.transactional_id_visible is False:
        what = "grant WRITE on the transactional ids that begin with"
        problems.append(f"transactional id: WRITE is not allowed; {what} {settings.worker_group_id}:")
    if problems:
        raise ClusterUnusable(tuple(problems))
    return found


def _given_up(replay: Replay, error: RetryBatchError) -> StopProcessError:
    if isinstance(error, ProducerFenced):
        return StopProcessError(
            f"another replay for group {replay.settings.worker_group_id} was started and replaces this one; "
            "run one at a time",
            ExitStatus.ACT_FIRST,
        )
    return StopProcessError(
        f"sending back was interrupted ({error}); the same command continues where it stopped", ExitStatus.RESTART
    )
