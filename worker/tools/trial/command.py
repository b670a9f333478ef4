"""`segment-worker try`: what would become of some records; nothing is written, committed or joined."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Final

from models.errors import ModelError
from schemas.misspelt_settings import misspelt_settings
from schemas.rejected import RejectReason
from schemas.roles import load_profile_class
from worker.errors import ClusterUnusable, ExitStatus, SettingsError
from worker.kafka import patches
from worker.kafka.admin import Cluster
from worker.kafka.config import connection_arguments
from worker.kafka.facts import Absent, TopicFacts
from worker.kafka.topic_reader import TopicReader
from worker.served_model import load_model
from worker.settings import Settings
from worker.settings_loading import load_settings
from worker.stream.records import Record, Records, Verdict
from worker.tools.trial.judgement import conclusion, event_reader, is_event, remedies, tried, uses_key_or_headers
from worker.tools.trial.sample import first_of_file, newest

_CONNECT_S: Final = 5.0


def run(flags: Mapping[str, str], path: str | None, count: int, report: Callable[[str], None]) -> ExitStatus:
    """Print a line for each record, then the conclusion; exit status 2 if none of them is an event.

    `path` is a file with a record in each line; with None, the newest of the input topic are read. Raises WorkerError
    and ProfileClassError.
    """
    for misspelt in misspelt_settings(Settings):
        report(misspelt.line)
    settings = load_settings(flags)
    profile_class = load_profile_class(settings.profile_class)
    try:
        segmentation = load_model(settings).stored.segmentation
    except ModelError as error:
        report(f"no segments are shown: {error}")
        segmentation = None
    topic: TopicFacts | Absent
    if path is None:
        topic, records = _of_topic(settings, count)
        names = [f"{record.partition}/{record.offset}" for record in records]
    else:
        if settings.input_is_avro:
            problem = f"WORKER_INPUT_FORMAT={settings.worker_input_format}: a file has text; try the topic itself"
            raise SettingsError((problem,), frozenset({"worker_input_format"}))
        topic = Absent.MISSING
        records = first_of_file(path, settings.worker_input_topic, count, settings.worker_event_max_bytes)
        names = [f"record {number}" for number in range(1, len(records) + 1)]
    if not records:
        where = f"topic {settings.worker_input_topic}" if path is None else path
        sys.stdout.write(f"{where} has no records yet; try again when there are some\n")
        return ExitStatus.DONE
    columns = Records.of(records)
    reader = event_reader(settings, profile_class, columns, topic, segmentation)
    found = tried(columns, reader, segmentation)
    width = max(map(len, names))
    lines = [
        f"{name:<{width}}  {_verdict(each.verdict)}" + (f"  {each.text}" if each.text else "")
        for name, each in zip(names, found, strict=True)
    ]
    lines.append(conclusion(found))
    lines += remedies(found, columns, reader, settings)
    if path is not None and uses_key_or_headers(reader, settings):
        lines.append("records of a file have neither keys nor headers, and the time of now; try the topic itself")
    sys.stdout.write("\n".join(lines) + "\n")
    return ExitStatus.DONE if any(map(is_event, found)) else ExitStatus.ACT_FIRST


def _verdict(verdict: Verdict | RejectReason) -> str:
    return verdict if isinstance(verdict, Verdict) else f"rejected  {verdict}"


def _of_topic(settings: Settings, count: int) -> tuple[TopicFacts, tuple[Record, ...]]:
    patches.apply(settings.worker_event_max_bytes)
    connection = connection_arguments(settings)
    name = settings.worker_input_topic
    with Cluster(settings, connection, _CONNECT_S) as cluster:
        topic = cluster.facts().topics[name]
    if not isinstance(topic, TopicFacts) or "READ" not in topic.operations:
        raise ClusterUnusable(
            (f"topic {name}: does not exist, or may not be read; check its name, or grant READ on it",)
        )
    with TopicReader(settings, connection, settings.worker_group_id) as reader:
        return topic, newest(reader, name, topic.partitions, count)
