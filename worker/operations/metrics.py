"""Every metric of the worker, each defined once with its meaning."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain

import numpy as np
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from schemas.rejected import RejectReason
from worker.stream.ports import PartitionProgress
from worker.stream.records import Batch, Outcome

CONTENT_TYPE = CONTENT_TYPE_LATEST
# `segment-worker check` reads these from a running worker.
MODEL_INFO = "segment_worker_model_info"
PROMOTION_REFUSED = "segment_worker_promotion_refused"

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_END_TO_END_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0, 600.0, 3_600.0)
_EVENTS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000)
_BYTES = (1_000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000)


class Metrics:
    """The catalogue. Counters count what is committed and visible, never what may still be aborted.

    Labels are bounded: by the outcomes, the reject reasons, the model's segments, the profile's fields and the
    partitions assigned. Methods may be called from any thread.
    """

    def __init__(self) -> None:
        # Otherwise each counter gets a second series with its creation time.
        disable_created_metrics()  # type: ignore[no-untyped-call]  # the one function there without types
        self._registry = registry = CollectorRegistry()
        self._events = Counter(
            "segment_worker_events_total",
            "Input records with a committed outcome: assigned, erased or rejected.",
            ["outcome"],
            registry=registry,
        )
        self._rejected = Counter(
            "segment_worker_rejected_total", "Rejected events, by reason.", ["reason"], registry=registry
        )
        self._ignored = Counter(
            "segment_worker_ignored_total",
            "Input records that are not events for this worker, by its input format and WORKER_INPUT_WHERE.",
            registry=registry,
        )
        self._assignments = Counter(
            "segment_worker_assignments_total", "Assigned events, by segment number.", ["segment"], registry=registry
        )
        self._outliers = Counter(
            "segment_worker_outliers_total",
            "Assigned events farther from their centroid than 99.5 % of the segment's users in training.",
            registry=registry,
        )
        self._unknown_values = Counter(
            "segment_worker_unknown_values_total",
            "Values in assigned events that did not occur in training, by profile field.",
            ["field"],
            registry=registry,
        )
        self._missing_values = Counter(
            "segment_worker_missing_values_total",
            "Assigned events without a value, by profile field that may have none.",
            ["field"],
            registry=registry,
        )
        self._missing_in_training = Gauge(
            "segment_worker_training_missing_ratio",
            "Share of the users of training without a value, by the same fields.",
            ["field"],
            registry=registry,
        )
        self._batches = Counter(
            "segment_worker_batches_total", "Batches committed, one transaction each.", registry=registry
        )
        self._retries = Counter(
            "segment_worker_retries_total",
            "Failed polls, commits and rewinds; after each, reading restarts at the committed offsets.",
            registry=registry,
        )
        self._batches_dropped = Counter(
            "segment_worker_batches_dropped_total",
            "Batches dropped before their commit because the group rebalanced; their records are read again.",
            registry=registry,
        )
        self._batch_events = Histogram(
            "segment_worker_batch_events", "Input records in one committed batch.", buckets=_EVENTS, registry=registry
        )
        self._batch_bytes = Histogram(
            "segment_worker_batch_bytes",
            "Bytes of keys and values of the input records in one committed batch.",
            buckets=_BYTES,
            registry=registry,
        )
        self._process_seconds = Histogram(
            "segment_worker_process_seconds",
            "Time to parse, validate and assign one committed batch.",
            buckets=_SECONDS,
            registry=registry,
        )
        self._commit_seconds = Histogram(
            "segment_worker_commit_seconds",
            "Time from the start of a committed batch's transaction until its results were visible.",
            buckets=_SECONDS,
            registry=registry,
        )
        self._end_to_end = _EndToEnd()
        registry.register(self._end_to_end)
        self._lag = Gauge(
            "segment_worker_lag_events",
            "Lag of an assigned partition: offsets from the committed to the last stable offset.",
            ["topic", "partition"],
            registry=registry,
        )
        self._position = Gauge(
            "segment_worker_position_offset",
            "The next offset to process in an assigned partition; all before it are committed.",
            ["topic", "partition"],
            registry=registry,
        )
        self._committed_timestamp = Gauge(
            "segment_worker_committed_record_timestamp_seconds",
            "Timestamp of the last input record that this worker committed in an assigned partition.",
            ["topic", "partition"],
            registry=registry,
        )
        self._start_time = Gauge(
            "segment_worker_start_time_seconds", "When this process started, in seconds since 1970.", registry=registry
        )
        self._start_time.set(time.time())
        self._model = Gauge(
            MODEL_INFO,
            "Always 1; the labels name the loaded model.",
            ["version", "digest"],
            registry=registry,
        )
        self._client = Gauge(
            "segment_worker_client_info",
            "Always 1; the labels name the Kafka client (KAFKA_CLIENT) and its version.",
            ["client", "version"],
            registry=registry,
        )
        self._promotion_refused = Gauge(
            PROMOTION_REFUSED,
            "1 while a promotion is refused and the worker keeps its current model, else 0.",
            registry=registry,
        )
        self._store_checked_at = Gauge(
            "segment_worker_model_store_check_timestamp_seconds",
            "When the worker last read the model store, in seconds since 1970; 0 if MODEL_POLL_S is 0.",
            registry=registry,
        )
        self._foreign_members = Gauge(
            "segment_worker_foreign_members",
            "Members of the consumer group that are not segment workers; the events that they read get no outcome.",
            registry=registry,
        )
        self._at_reject_limit = Gauge(
            "segment_worker_at_reject_limit",
            "1 once the reject limit has stopped the worker, else 0.",
            registry=registry,
        )
        self._live = Gauge("segment_worker_live", "1 while /livez answers 200, else 0.", registry=registry)
        self._ready = Gauge("segment_worker_ready", "1 while /readyz answers 200, else 0.", registry=registry)
        # Present from the start, so that rate() sees the first increase.
        for outcome in ("assigned", "erased", "rejected"):
            self._events.labels(outcome)
        for reason in RejectReason:
            self._rejected.labels(reason)

    def model_loaded(
        self,
        version: str,
        digest: str,
        segments: Iterable[int],
        fields: Iterable[str],
        missing: Mapping[str, float],
    ) -> None:
        """Name the model, and start the counters of its segments (by their stable numbers) and fields at zero.

        missing: of each field that may have no value, the share of the users of training without one.
        """
        self._model.labels(version, digest).set(1)
        # The new one first: a scrape in between sees two models rather than none.
        for labels in _labels_of(self._model) - {(version, digest)}:
            self._model.remove(*labels)
        for segment in segments:
            self._assignments.labels(str(segment))
        for field in fields:
            self._unknown_values.labels(field)
        for field, share in missing.items():
            self._missing_values.labels(field)
            self._missing_in_training.labels(field).set(share)

    def client_chosen(self, client: str, version: str) -> None:
        """Name the Kafka client."""
        self._client.labels(client, version).set(1)

    def store_checked(self, *, refused: bool) -> None:
        """Show that the model store was read, and whether what it names was refused."""
        self._promotion_refused.set(refused)
        self._store_checked_at.set(time.time())

    def batch_committed(self, batch: Batch, outcome: Outcome, process_s: float, commit_s: float) -> None:
        """Count a batch; only after its commit, or an aborted batch counts twice."""
        self._events.labels("assigned").inc(outcome.assigned)
        self._events.labels("erased").inc(len(outcome.erasures))
        self._events.labels("rejected").inc(len(outcome.rejected))
        self._ignored.inc(outcome.ignored)
        for reason, count in outcome.reasons.items():
            self._rejected.labels(reason).inc(count)
        for segment, count in outcome.segments.items():
            self._assignments.labels(str(segment)).inc(count)
        for field, count in outcome.unknown_values.items():
            self._unknown_values.labels(field).inc(count)
        for field, count in outcome.missing_values.items():
            self._missing_values.labels(field).inc(count)
        self._outliers.inc(outcome.outliers)
        self._batches.inc()
        records = batch.records
        self._batch_events.observe(len(records))
        self._batch_bytes.observe(sum(len(content) for content in chain(records.keys, records.values) if content))
        self._process_seconds.observe(process_s)
        self._commit_seconds.observe(commit_s)
        self._end_to_end.observe(records.timestamps_ms, time.time())
        # In order of offset within a partition, so the last one stays.
        for partition, timestamp_ms in dict(zip(records.partitions, records.timestamps_ms, strict=True)).items():
            if timestamp_ms >= 0:
                self._committed_timestamp.labels(records.topic, str(partition)).set(timestamp_ms / 1000)

    def group_described(self, foreign_members: int) -> None:
        """Show how many members of the group are not segment workers."""
        self._foreign_members.set(foreign_members)

    def batch_retried(self) -> None:
        """Count a batch that will be read again."""
        self._retries.inc()

    def batch_dropped(self) -> None:
        """Count a batch that was dropped because the group rebalanced."""
        self._batches_dropped.inc()

    def reject_limit_reached(self) -> None:
        """Show that the reject limit has stopped the worker."""
        self._at_reject_limit.set(1)

    def progressed(self, partitions: Iterable[PartitionProgress]) -> None:
        """Show these partitions and no others; if its broker does not answer, a partition keeps its last figures."""
        assigned = {(each.topic, str(each.partition)): each for each in partitions}
        for gauge in (self._lag, self._position, self._committed_timestamp):
            for labels in _labels_of(gauge) - assigned.keys():
                gauge.remove(*labels)
        for labels, each in assigned.items():
            if each.lag is not None:
                self._lag.labels(*labels).set(each.lag)
            if each.position is not None:
                self._position.labels(*labels).set(each.position)

    def expose(self, *, live: bool, ready: bool) -> bytes:
        """The text that Prometheus reads."""
        self._live.set(live)
        self._ready.set(ready)
        return generate_latest(self._registry)


class _EndToEnd(Collector):
    """The time of each event from its record to its commit: a histogram that takes a whole batch at once.

    The library's own takes one value at a time, and would cost about as much as writing the results.
    """

    def __init__(self) -> None:
        # Replaced as one value, because it is read by another thread.
        self._state = np.zeros(len(_END_TO_END_SECONDS) + 1, dtype=np.int64), 0.0

    def observe(self, timestamps_ms: Sequence[int], now_s: float) -> None:
        """Take the events of a batch that was committed now, except those without a timestamp."""
        times = np.array(timestamps_ms, dtype=np.float64)
        seconds = np.maximum(now_s - times[times >= 0] / 1000, 0.0)  # another clock may be ahead
        counts, total = self._state
        added = np.bincount(np.searchsorted(_END_TO_END_SECONDS, seconds), minlength=len(counts))
        self._state = counts + added, total + float(seconds.sum())

    def collect(self) -> Iterable[HistogramMetricFamily]:
        """The histogram as Prometheus reads it."""
        counts, total = self._state
        bounds = [*map(str, _END_TO_END_SECONDS), "+Inf"]
        yield HistogramMetricFamily(
            "segment_worker_end_to_end_seconds",
            "Time from an input record's timestamp until its outcome was committed.",
            buckets=[*zip(bounds, counts.cumsum().tolist(), strict=True)],
            sum_value=total,
        )


def _labels_of(gauge: Gauge) -> set[tuple[str, ...]]:
    return {tuple(sample.labels.values()) for family in gauge.collect() for sample in family.samples}
