"""`segment-worker check`: checks everything that `run` needs at once, and never joins the group."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from models.errors import ModelError
from models.version_folder import Signature
from schemas.errors import ProfileClassError
from schemas.misspelt_settings import misspelt_settings
from schemas.roles import load_profile_class
from worker.cluster_rules import Finding, Weight, judge_cluster, judge_offsets, problems
from worker.errors import (
    ExitStatus,
    PortUnusable,
    RetryBatchError,
    SettingsError,
    UnsupportedClientError,
    WorkerError,
    ending,
)
from worker.kafka import patches
from worker.kafka.admin import Cluster
from worker.kafka.clients import client_version
from worker.kafka.config import connection_arguments
from worker.kafka.facts import ClusterFacts, GroupFacts, TopicFacts
from worker.kafka.registry import Registry
from worker.kafka.topic_reader import TopicReader
from worker.operations.probes import RunningWorker, require_free_port, running_worker
from worker.served_model import load_model, signature_warnings
from worker.settings import Settings
from worker.settings_loading import read_settings
from worker.stream.records import Record, Records
from worker.stream.reject_limit import limit_warnings
from worker.tools.check.output import as_json as json_of
from worker.tools.check.output import as_text
from worker.tools.trial.judgement import conclusion, event_reader, remedies, tried
from worker.tools.trial.sample import newest

_WAIT_S: Final = 5.0
_MODEL_SETTINGS: Final = frozenset(
    {"models_dir", "model_alias", "model_public_key", "model_min_sequence", "profile_class"}
)
_CLIENT_SETTINGS: Final = frozenset({"kafka_client"})
_REGISTRY_SETTINGS: Final = frozenset(
    {"worker_input_format", *(name for name in Settings.model_fields if name.startswith("schema_registry_"))}
)
# Registries number schemas from 1: this one is only asked for to see an answer.
_NO_SCHEMA: Final = 0
_PORT_SETTINGS: Final = frozenset({"worker_http_host", "worker_http_port"})
_CLUSTER_SETTINGS: Final = frozenset(
    {
        *(name for name in Settings.model_fields if name.startswith("kafka_")),
        *("worker_group_id", "worker_instance_id"),
        *("worker_input_topic", "worker_output_topic", "worker_rejected_topic", "worker_current_topic"),
        "worker_result_time",
        *(name for name in Settings.model_fields if name.startswith("worker_input_")),
        *("worker_session_timeout_ms", "worker_transaction_timeout_ms", "worker_event_max_bytes"),
    }
)


def run(flags: Mapping[str, str], *, as_json: bool) -> ExitStatus:
    """Print every finding; exit status 2 if any of them keeps a worker from running."""
    findings = preflight(flags)
    sys.stdout.write(json_of(findings) if as_json else as_text(findings))
    return ExitStatus.ACT_FIRST if problems(findings) else ExitStatus.DONE


def preflight(flags: Mapping[str, str]) -> tuple[Finding, ...]:
    """Every finding about settings, client, model, port and cluster; checks that need a wrong setting are left out."""
    settings, wrong = read_settings(flags)
    findings = [Finding(Weight.PROBLEM, "settings", problem) for problem in (wrong.problems if wrong else ())]
    findings += [Finding(Weight.ADVICE, "settings", misspelt.line) for misspelt in misspelt_settings(Settings)]
    findings += [Finding(Weight.ADVICE, "settings", line) for line in limit_warnings(settings)]
    findings = findings or [Finding(Weight.FINE, "settings", "all valid")]
    for where, decisive, look in (
        ("client", _CLIENT_SETTINGS, _client),
        ("registry", _REGISTRY_SETTINGS, _registry),
        ("model", _MODEL_SETTINGS, _model),
        ("http", _PORT_SETTINGS, _port),
        ("brokers", _CLUSTER_SETTINGS, _cluster),
    ):
        if wrong is None or wrong.fields.isdisjoint(decisive):
            findings += look(settings)
        else:
            findings.append(Finding(Weight.UNKNOWN, where, "not checked", "correct the settings first"))
    return tuple(findings)


def _client(settings: Settings) -> Iterator[Finding]:
    try:
        yield Finding(Weight.FINE, "client", f"{settings.kafka_client} {client_version(settings)}")
    except UnsupportedClientError as error:
        yield Finding(Weight.PROBLEM, "client", str(error))


def _registry(settings: Settings) -> Iterator[Finding]:
    if not settings.input_is_avro:
        return
    try:
        Registry(settings).schema(_NO_SCHEMA)
    except RetryBatchError as error:
        yield Finding(Weight.OUTAGE, "registry", str(error))
    except WorkerError as error:
        yield Finding(Weight.PROBLEM, "registry", "; ".join(error.lines))
    else:
        yield Finding(Weight.FINE, "registry", f"{settings.schema_registry_url} answers")


def _model(settings: Settings) -> Iterator[Finding]:
    try:
        model = load_model(settings)
    except (ModelError, ProfileClassError) as error:
        yield Finding(Weight.PROBLEM, "model", str(error))
        return
    manifest = model.stored.manifest
    what = f"version {manifest.id} loads, {manifest.k} segments, fitted for {manifest.profile.name}"
    if model.signatures is Signature.VERIFIED:
        what += f", signed, sequence {model.stored.sequence}"
    else:
        what += ", signature not checked"
    if model.stored.beginning is not None:
        what += f"; the history of promotions {model.stored.beginning}"
    yield Finding(Weight.FINE, "model", what)
    yield from (Finding(Weight.ADVICE, "model", line) for line in signature_warnings(model, settings))


def _port(settings: Settings) -> Iterator[Finding]:
    port = settings.worker_http_port
    try:
        require_free_port(settings)
    except PortUnusable as error:
        if (running := running_worker(settings)) is not None:
            yield from _running(running, f"{settings.worker_http_host}:{port}")
        else:
            yield Finding(Weight.PROBLEM, "http", str(error))
    else:
        yield Finding(Weight.FINE, "http", f"port {port} is free" if port else "off, because WORKER_HTTP_PORT is 0")


def _running(worker: RunningWorker, address: str) -> Iterator[Finding]:
    # As when `check` is called inside a running worker's container.
    model = "no model yet" if worker.version is None else f"version {worker.version}"
    what = f"a running segment worker already listens on {address} and serves {model}"
    yield Finding(Weight.ADVICE, "http", what, "stop it before you start another one there")
    if worker.refuses_promotion:
        what = (
            f"the worker on {address} refuses the promoted version or the state of the model store, and keeps its model"
        )
        yield Finding(Weight.ADVICE, "http", what, "see promotion_refused in its log for the reason")


def _cluster(settings: Settings) -> Iterator[Finding]:
    try:
        patches.apply(settings.worker_event_max_bytes)
        with Cluster(settings, connection_arguments(settings), _WAIT_S) as cluster:
            facts = cluster.facts()
    except SettingsError as error:
        yield from (Finding(Weight.PROBLEM, "brokers", problem) for problem in error.problems)
        return
    except WorkerError as error:
        yield Finding(Weight.PROBLEM, "brokers", str(error))
        return
    yield from judge_cluster(facts, settings)
    yield from _offsets(facts, settings)


def _offsets(facts: ClusterFacts, settings: Settings) -> Iterator[Finding]:
    topic, group = facts.topics[settings.worker_input_topic], facts.group
    if not isinstance(topic, TopicFacts) or topic.leaderless or not isinstance(group, GroupFacts):
        # That is a finding already.
        return
    if "READ" not in topic.operations or "READ" not in group.operations:
        return
    doing = "check whether workers can resume from its committed offsets"
    where = f"group {settings.worker_group_id}"
    try:
        with TopicReader(settings, connection_arguments(settings), settings.worker_group_id) as reader:
            lost = tuple(reader.lost_offsets(settings.worker_input_topic, topic.partitions))
            yield from judge_offsets(lost, settings)
            doing, where = "try its newest records as events", f"topic {settings.worker_input_topic}"
            records = newest(reader, settings.worker_input_topic, topic.partitions, topic.partitions)
    except WorkerError as error:
        yield Finding(Weight.UNKNOWN, where, f"could not {doing}: {error}")
        return
    yield from _events(topic, records, settings)


def _events(topic: TopicFacts, records: Sequence[Record], settings: Settings) -> Iterator[Finding]:
    """What would become of the newest record of each partition."""
    where = f"topic {settings.worker_input_topic}"
    columns = Records.of(records)
    try:
        reader = event_reader(settings, load_profile_class(settings.profile_class), columns, topic)
    except (ProfileClassError, WorkerError) as error:
        _, lines = ending(error)
        yield Finding(Weight.UNKNOWN, where, f"could not try its newest records as events: {'; '.join(lines)}")
        return
    found = tried(columns, reader, None)
    if not found:
        yield Finding(Weight.FINE, where, "no record yet that could be tried as an event")
        return
    what = f"of the newest in each partition, {conclusion(found)}"
    remedy = next(iter(remedies(found, columns, reader, settings)), "")
    if remedy:
        yield Finding(Weight.ADVICE, where, what, f"{remedy}; `segment-worker try` shows each record")
    else:
        yield Finding(Weight.FINE, where, what)
