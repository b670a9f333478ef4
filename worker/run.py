"""`segment-worker run`: the order in which a worker starts, and how it ends."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote

import structlog

from schemas.formats.input_format import InputFormat
from schemas.misspelt_settings import misspelt_settings
from worker.cluster_rules import Weight, is_compacted, judge_cluster
from worker.errors import ClusterUnusable, ExitStatus, SettingsError, ending
from worker.group_watch import GroupWatch
from worker.kafka import patches
from worker.kafka.admin import Cluster, ListenerProbe
from worker.kafka.clients import client_version
from worker.kafka.config import connection_arguments
from worker.kafka.facts import ClusterFacts
from worker.kafka.registry import input_of
from worker.kafka.transport import open_transport
from worker.kafka.waiting import wait_for_brokers
from worker.lifecycle import Deadline
from worker.operations.health import HealthWatch
from worker.operations.http_server import HttpServer
from worker.operations.logs import configure_logs
from worker.operations.metrics import Metrics
from worker.operations.observer import LoopObserver
from worker.operations.probes import serve_probes
from worker.promotions import PromotionWatch, report_loaded
from worker.served_model import ServedModel, load_model
from worker.settings import Settings
from worker.settings_loading import read_settings
from worker.stream import loop
from worker.stream.internal_errors import InternalErrorGuard
from worker.stream.ports import StopSignal
from worker.stream.processor import Scoring
from worker.stream.records import Batch, Outcome
from worker.stream.reject_limit import RejectGuard, reject_limit

# Short, so that a stop while waiting for a broker takes effect in time.
_ATTEMPT_S: Final = 2.0
_ASK_S: Final = 30.0
# The client bounds each wait, not all of them; a look-up gives up much earlier.
_LOOK_UP_S: Final = 30.0
# A restart does not help with these; WORKER_HOLD_ON_STOP is for them.
_HELD: Final = frozenset({ExitStatus.ACT_FIRST, ExitStatus.REJECT_LIMIT})

_log = structlog.get_logger()


def run(flags: Mapping[str, str], stop: StopSignal, partitions_to_create: int | None) -> ExitStatus:
    """Consume, validate, assign and publish until stopped; returns the exit status.

    Errors are on stderr by then, one line each. Missing topics are created first, the input topic with this many
    partitions; with None they are not.
    """
    settings, wrong = read_settings(flags)
    configure_logs(sys.stderr, settings.worker_log_level)
    metrics = Metrics()
    health = HealthWatch(settings.worker_liveness_window_s, stop, metrics.progressed)
    server: HttpServer | None = None
    try:
        # First, so that /readyz can report what is wrong below.
        if wrong is None or wrong.fields.isdisjoint({"worker_http_host", "worker_http_port"}):
            server = serve_probes(settings, health, metrics)
        model = _model(settings, wrong, metrics)
        return _work(settings, model, stop, health, metrics, partitions_to_create)
    except Exception as error:  # noqa: BLE001  # the last place where an error can still become one line
        status, lines = ending(error)
        for line in lines:
            print(f"segment-worker: {line}", file=sys.stderr)
        if settings.worker_hold_on_stop and status in _HELD:
            _hold(health, stop, "; ".join(lines))
        return status
    finally:
        if server is not None:
            server.close()


def _model(settings: Settings, wrong: SettingsError | None, metrics: Metrics) -> ServedModel:
    if wrong is not None:
        raise wrong
    for misspelt in misspelt_settings(Settings):
        _log.warning("unknown_setting", given=misspelt.given, meant=misspelt.meant)
    model = load_model(settings)
    report_loaded(model, settings, metrics)
    return model


def _work(
    settings: Settings,
    model: ServedModel,
    stop: StopSignal,
    health: HealthWatch,
    metrics: Metrics,
    partitions_to_create: int | None,
) -> ExitStatus:
    patches.apply(settings.worker_event_max_bytes)
    version = client_version(settings)
    metrics.client_chosen(settings.kafka_client, version)
    input_ = input_of(settings)
    with Deadline(stop) as deadline:
        connection = connection_arguments(settings)
        facts = _cluster_facts(settings, connection, stop, deadline, partitions_to_create)
        if facts is None:
            return ExitStatus.DONE
        _require_usable(facts, settings)
        transport = open_transport(settings, connection, deadline, stop, metrics.batch_dropped)
        if transport is None:
            return ExitStatus.DONE
        promotions = PromotionWatch(settings, model, _scoring(settings, model, facts, input_.format), metrics)
        group = GroupWatch(settings, connection, lambda: transport.membership, metrics)
        guard = RejectGuard(reject_limit(settings), metrics.reject_limit_reached)
        internal_errors = InternalErrorGuard()

        def committed(outcome: Outcome) -> None:
            guard.committed(outcome)
            internal_errors.committed(outcome)

        observer = LoopObserver(metrics, health, also_committed=committed)
        health.running(transport.progress, lambda: transport.joined)
        _log.info(
            "started",
            group=settings.worker_group_id,
            topics=settings.topics,
            input_format=settings.worker_input_format,
            model_poll_s=settings.model_poll_s,
            client=f"{settings.kafka_client} {version}",
        )

        def process(batch: Batch) -> Outcome:
            with deadline.within(_LOOK_UP_S, "asking the schema registry"):
                input_.look_up(batch.records.values)
            return promotions.scoring_for(batch.membership).process(batch.records, datetime.now(UTC))

        def admit(outcome: Outcome) -> None:
            internal_errors.require_scoring(outcome)
            guard.require_below(outcome)

        promotions.start()
        group.start()
        try:
            loop.run(transport, process, observer, stop, admit=admit)
        finally:
            promotions.close()
            group.close()
            observer.sum_up()
    _log.info("drained")
    return ExitStatus.DONE


def _scoring(settings: Settings, model: ServedModel, facts: ClusterFacts, reads_as: InputFormat) -> Scoring:
    if is_compacted(facts.topics[settings.worker_input_topic]):
        reads_as = reads_as.of_compacted_topic()
        _log.info("input_is_compacted", topic=settings.worker_input_topic, tombstones=reads_as.tombstones.value)
    scoring = Scoring(
        model=model.stored,
        profile_class=model.profile_class,
        cluster_id=facts.cluster_id,
        source=f"/segment-worker/{quote(settings.worker_group_id, safe='')}",
        event_max_bytes=settings.worker_event_max_bytes,
        rejected_max_bytes=settings.rejected_max_bytes,
        result_time=settings.worker_result_time,
        input_format=reads_as,
    )
    if scoring.one_by_one_because is not None:
        _log.info("events_validated_one_by_one", because=scoring.one_by_one_because)
    return scoring


def _cluster_facts(
    settings: Settings,
    connection: Mapping[str, Any],
    stop: StopSignal,
    deadline: Deadline,
    partitions_to_create: int | None,
) -> ClusterFacts | None:
    """The facts about the cluster, as soon as brokers answer; None when stopped before that."""
    probe = ListenerProbe(settings)

    def ask() -> ClusterFacts:
        with Cluster(settings, connection, _ATTEMPT_S, probe) as cluster, deadline.within(_ASK_S, "asking the cluster"):
            if partitions_to_create is not None and (created := cluster.create_missing_topics(partitions_to_create)):
                _log.info("topics_created", partitions=created)
            return cluster.facts()

    return wait_for_brokers(ask, settings.kafka_bootstrap_servers, settings.worker_broker_wait_s, stop)


def _require_usable(facts: ClusterFacts, settings: Settings) -> None:
    findings = judge_cluster(facts, settings)
    for finding in findings:
        if finding.weight in {Weight.ADVICE, Weight.OUTAGE}:
            _log.warning("cluster_finding", weight=finding.weight, finding=finding.line)
    if refused := tuple(finding.line for finding in findings if finding.weight is Weight.PROBLEM):
        raise ClusterUnusable(refused)


def _hold(health: HealthWatch, stop: StopSignal, reason: str) -> None:
    """Stay alive but not ready until stopped.

    The process then exits with the status that it was held with, not with 0, so that the status still shows why.
    """
    health.not_ready(reason)
    _log.error("held", reason=reason, until="SIGTERM")
    while not stop.is_set():
        time.sleep(0.1)
