"""The catalogue of metrics: names, meanings, and what each batch adds."""

import re
import time

import pytest
from prometheus_client.parser import text_string_to_metric_families

from schemas.rejected import RejectReason
from worker.operations.metrics import Metrics
from worker.stream.ports import PartitionProgress
from worker.stream.records import Batch, Membership, Message, Outcome, Record, Records

MESSAGE = Message(b"key", b"value")


def exposed(metrics: Metrics) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    text = metrics.expose(live=True, ready=False).decode()
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def batch(records: int) -> Batch:
    each = [Record("in", 0, offset, 0, b"key", b"value") for offset in range(records)]
    return Batch(Records.of(each), {("in", 0): records}, Membership("g", "m", 1, None))


def test_every_name_begins_with_the_programs_and_ends_with_a_base_unit() -> None:
    text = Metrics().expose(live=True, ready=True).decode()
    names = re.findall(r"^# TYPE (\S+)", text, flags=re.MULTILINE)
    assert len(names) > 10
    for name in names:
        assert re.fullmatch(
            r"segment_worker_\w+?_(total|seconds|bytes|ratio|events|members|offset|info)"
            r"|segment_worker_(live|ready|at_reject_limit|promotion_refused)",
            name,
        ), name


def test_every_metric_has_a_meaning_of_one_sentence() -> None:
    text = Metrics().expose(live=True, ready=True).decode()
    for name, meaning in re.findall(r"^# HELP (\S+) (.*)$", text, flags=re.MULTILINE):
        assert meaning.endswith("."), name
        assert ". " not in meaning, name


def test_two_catalogues_share_nothing() -> None:
    first, second = Metrics(), Metrics()
    first.batch_retried()
    assert exposed(first)[("segment_worker_retries_total", ())] == 1
    assert exposed(second)[("segment_worker_retries_total", ())] == 0


def test_a_committed_batch_adds_each_of_its_counts() -> None:
    metrics = Metrics()
    outcome = Outcome(
        results=(MESSAGE,) * 5,
        rejected=(MESSAGE,) * 2,
        segments={0: 3, 4: 2},
        reasons={RejectReason.EMPTY: 2},
        unknown_values={"device_usage": 1},
        outliers=1,
        ignored=3,
    )
    for _ in range(2):
        metrics.batch_committed(batch(7), outcome, process_s=0.004, commit_s=0.02)
    values = exposed(metrics)
    assert values[("segment_worker_events_total", (("outcome", "assigned"),))] == 10
    assert values[("segment_worker_events_total", (("outcome", "rejected"),))] == 4
    assert values[("segment_worker_rejected_total", (("reason", "empty"),))] == 4
    assert values[("segment_worker_ignored_total", ())] == 6
    assert values[("segment_worker_assignments_total", (("segment", "0"),))] == 6
    assert values[("segment_worker_assignments_total", (("segment", "4"),))] == 4
    assert values[("segment_worker_unknown_values_total", (("field", "device_usage"),))] == 2
    assert values[("segment_worker_outliers_total", ())] == 2
    assert values[("segment_worker_batches_total", ())] == 2
    assert values[("segment_worker_batch_events_sum", ())] == 14
    assert values[("segment_worker_batch_bytes_sum", ())] == 2 * 7 * 8
    assert values[("segment_worker_process_seconds_sum", ())] == pytest.approx(0.008)
    assert values[("segment_worker_commit_seconds_sum", ())] == pytest.approx(0.04)


def test_every_reason_segment_and_field_is_there_at_zero_before_the_first_event() -> None:
    metrics = Metrics()
    metrics.model_loaded("v1", "abc", segments=[0, 5], fields=["age"], missing={})
    values = exposed(metrics)
    assert all(values[("segment_worker_rejected_total", (("reason", str(each)),))] == 0 for each in RejectReason)
    begun = {labels: value for (name, labels), value in values.items() if name == "segment_worker_assignments_total"}
    assert begun == {(("segment", "0"),): 0, (("segment", "5"),): 0}, "numbers are stable, and may have gaps"
    assert values[("segment_worker_unknown_values_total", (("field", "age"),))] == 0
    assert values[("segment_worker_model_info", (("digest", "abc"), ("version", "v1")))] == 1


def test_the_kafka_client_is_named() -> None:
    metrics = Metrics()
    metrics.client_chosen("confluent", "2.16.1")
    labels = (("client", "confluent"), ("version", "2.16.1"))
    assert exposed(metrics)[("segment_worker_client_info", labels)] == 1


def of_partitions(metrics: Metrics, name: str) -> dict[tuple[str, str], float]:
    """The values of one metric, by topic and partition."""
    return {
        (dict(labels)["topic"], dict(labels)["partition"]): value
        for (each, labels), value in exposed(metrics).items()
        if each == f"segment_worker_{name}"
    }


def test_lag_and_position_are_shown_for_the_partitions_assigned_now_and_no_others() -> None:
    metrics = Metrics()
    metrics.progressed([PartitionProgress("in", 0, 5, 9), PartitionProgress("in", 1, 9, 9)])
    metrics.progressed([PartitionProgress("in", 1, 9, 19)])
    assert of_partitions(metrics, "lag_events") == {("in", "1"): 10}
    assert of_partitions(metrics, "position_offset") == {("in", "1"): 9}


def test_lag_and_position_keep_their_last_figures_while_no_broker_answers() -> None:
    metrics = Metrics()
    metrics.progressed([PartitionProgress("in", 0, 5, 9)])
    metrics.progressed([PartitionProgress("in", 0, 5, None)])
    metrics.progressed([PartitionProgress("in", 0, None, 9)])
    assert of_partitions(metrics, "lag_events") == {("in", "0"): 4}
    assert of_partitions(metrics, "position_offset") == {("in", "0"): 5}


def test_the_time_of_the_last_committed_record_is_shown_until_its_partition_leaves() -> None:
    metrics = Metrics()
    times = [(0, 1_500), (1, 9_000), (0, 2_500), (2, -1)]
    records = tuple(Record("in", partition, 0, time_ms, b"key", b"value") for partition, time_ms in times)
    committed = Batch(Records.of(records), {}, Membership("g", "m", 1, None))
    metrics.batch_committed(committed, Outcome(), process_s=0, commit_s=0)
    name = "committed_record_timestamp_seconds"
    assert of_partitions(metrics, name) == {("in", "0"): 2.5, ("in", "1"): 9}, "a record without a time shows none"
    metrics.progressed([PartitionProgress("in", 1, 9, 19)])
    assert of_partitions(metrics, name) == {("in", "1"): 9}


def test_the_start_of_the_process_is_a_metric_so_that_restarts_can_be_counted() -> None:
    before = time.time()
    assert before <= exposed(Metrics())[("segment_worker_start_time_seconds", ())] <= time.time()


def test_health_is_a_metric_too() -> None:
    values = exposed(Metrics())
    assert (values[("segment_worker_live", ())], values[("segment_worker_ready", ())]) == (1, 0)


def end_to_end(metrics: Metrics, bound: str) -> float:
    return exposed(metrics)[("segment_worker_end_to_end_seconds_bucket", (("le", bound),))]


def test_each_committed_event_counts_with_the_time_since_its_record() -> None:
    metrics = Metrics()
    now_ms = int(time.time() * 1000)
    ages_ms = (0, 30_000, 30_000, -60_000, 7_200_000)  # one is from a clock that is ahead
    records = [Record("in", 0, offset, now_ms - age_ms, b"key", b"value") for offset, age_ms in enumerate(ages_ms)]
    without_a_time = Record("in", 0, len(records), -1, b"key", b"value")
    for _ in range(2):
        committed = Batch(Records.of([*records, without_a_time]), {("in", 0): 6}, Membership("g", "m", 1, None))
        metrics.batch_committed(committed, Outcome(), process_s=0.0, commit_s=0.0)
    assert [end_to_end(metrics, bound) for bound in ("10.0", "60.0", "3600.0", "+Inf")] == [4, 8, 8, 10]
    values = exposed(metrics)
    assert values[("segment_worker_end_to_end_seconds_count", ())] == 10
    assert values[("segment_worker_end_to_end_seconds_sum", ())] == pytest.approx(2 * 7_260, abs=20)


def test_missing_values_are_counted_and_stand_beside_their_share_in_training() -> None:
    metrics = Metrics()
    metrics.model_loaded("v1", "abc", segments=[0], fields=["age", "income"], missing={"income": 0.25})
    metrics.batch_committed(batch(2), Outcome(missing_values={"income": 2}), 0.1, 0.1)
    values = exposed(metrics)
    assert values[("segment_worker_missing_values_total", (("field", "income"),))] == 2
    assert values[("segment_worker_training_missing_ratio", (("field", "income"),))] == 0.25
    assert ("segment_worker_missing_values_total", (("field", "age"),)) not in values
