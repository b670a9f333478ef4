"""The worker as people run it: a process, a broker, signals, and its output."""

import json
import re
import signal
import socket
import time
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cloudevents.core.bindings.kafka import KafkaMessage, from_kafka_event
from kafka import KafkaAdminClient, KafkaProducer

from demo.kafka.broker import Broker
from demo.kafka.client import NewRecord
from models.encoding import Encoder, NumberColumn
from models.manifest import MANIFEST_FORMAT
from models.segmentation import Segmentation
from schemas.events import ASSIGNED_TYPE, CONTENT_TYPE, SEGMENT_ERASED_TYPE, SegmentAssigned
from tests.support.brokers import STOP_S, Programs, TestBroker, wait_until
from tests.support.events import event_bytes
from tests.support.fitted import segmentation
from tests.support.worker_site import WorkerSite, worker_site


@pytest.fixture
def site(broker: TestBroker, programs: Programs, tmp_path: Path) -> WorkerSite:
    """Everything that a worker needs."""
    site = bare_site(broker, programs, tmp_path)
    site.create_topics()
    site.publish_model()
    return site


def bare_site(broker: TestBroker | Broker, programs: Programs, tmp_path: Path) -> WorkerSite:
    name = broker.fresh_name("worker") if isinstance(broker, TestBroker) else "worker"
    return worker_site(programs, broker.bootstrap_servers, name, tmp_path)


def events(count: int, users: int = 20) -> list[NewRecord]:
    """Events of several users in turn, numbered by their id."""
    return [
        NewRecord(b"user-%d" % (number % users), event_bytes(id=str(number), subject=f"user-{number % users}"))
        for number in range(count)
    ]


BAD: list[tuple[str, bytes | None]] = [
    ("empty", None),
    ("empty", b""),
    ("too_large", b"x" * 2_000_000),
    ("not_json", b"\xff\xfe"),
    ("not_json", b"{"),
    ("not_json", b'{"specversion": NaN}'),
    ("not_json", event_bytes().replace(b"4.5", b"1e999")),
    ("not_json", b"[" * 10_000 + b"]" * 10_000),
    ("invalid_envelope", b"[]"),
    ("invalid_envelope", b"{}"),
    ("invalid_envelope", event_bytes(without="subject")),
    ("invalid_envelope", event_bytes(time="2026-11-22T12:00:00")),
    ("unknown_type", event_bytes(type="user.profile.deleted.v1")),
    ("invalid_profile", event_bytes(without="age")),
    ("invalid_profile", event_bytes({"likes_and_reactions": "5640"})),
    ("invalid_profile", event_bytes({"likes_and_reactions": True})),
    ("invalid_profile", event_bytes({"weekday_hours_online": 24.5})),
    ("internal_error", event_bytes({"followed_accounts": 700})),
]
TRACEPARENT = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def failing_above_600_followed_accounts() -> Segmentation:
    """A model that loads, and whose distances overflow for users who follow more than 600 accounts."""
    model = segmentation()
    columns = tuple(
        replace(column, low=600.0, high=1000.0, mean=600.0, scale=1e-308)
        if isinstance(column, NumberColumn) and column.name == "followed_accounts"
        else column
        for column in model.encoder.columns
    )
    return Segmentation(Encoder(columns), model.segments)


def test_every_bad_event_is_rejected_with_its_reason_and_the_worker_goes_on(
    broker: TestBroker, programs: Programs, tmp_path: Path
) -> None:
    site = bare_site(broker, programs, tmp_path)
    site.create_topics(partitions=1, input={"max.message.bytes": "3000000"})
    site.publish_model(failing_above_600_followed_accounts())
    worker = site.start_ready()
    good = NewRecord(None, event_bytes(id="last", subject="user-9"), {"traceparent": TRACEPARENT})
    site.send([*(NewRecord(b"key-%d" % number, value) for number, (_, value) in enumerate(BAD)), good])
    outcomes = site.wait_for_outcomes(len(BAD) + 1)

    rejected = [record for record in outcomes if record.topic == site.rejected]
    assert [record.headers["rejected.reason"].decode() for record in rejected] == [reason for reason, _ in BAD]
    for number, ((_, value), record) in enumerate(zip(BAD, rejected, strict=True)):
        assert record.key == b"key-%d" % number
        assert record.headers["rejected.topic"] == site.input.encode()
        assert record.headers["rejected.offset"] == b"%d" % number
        if value is not None and len(value) > 1_000_000:
            assert (record.value, record.headers["rejected.truncated"]) == (b"", b"1")
        else:
            assert record.value == value

    (result,) = [record for record in outcomes if record.topic == site.output]
    assigned = SegmentAssigned.model_validate_json(result.value or b"")
    assert (result.key, assigned.subject, assigned.data.input.id) == (b"user-9", "user-9", "last")
    event = from_kafka_event(KafkaMessage(dict(result.headers), result.key, result.value or b""))
    assert (event.get_type(), event.get_id(), event.get_subject()) == (ASSIGNED_TYPE, str(assigned.id), "user-9")
    assert result.headers == {"content-type": CONTENT_TYPE.encode(), "traceparent": TRACEPARENT}

    status, text = site.get("/metrics")
    assert status == 200
    for reason, count in Counter(reason for reason, _ in BAD).items():
        assert f'segment_worker_rejected_total{{reason="{reason}"}} {count}.0' in text.decode()
    assert worker.stop() == 0
    assert worker.log.count('"event":"internal_error","error":"ArithmeticError"') == 1
    assert not re.search(r"user-9|key-\d|Traceback", worker.log), "a log holds no payload, key or user"


def test_an_erased_user_has_no_row_in_the_current_topic_and_an_event_among_the_results(
    broker: TestBroker, programs: Programs, tmp_path: Path
) -> None:
    site = bare_site(broker, programs, tmp_path)
    site.create_topics(partitions=1, input={"cleanup.policy": "compact"})
    with broker.cluster() as cluster:
        cluster.create_topic(site.current, 1, {"cleanup.policy": "compact"})
    site.publish_model()
    worker = site.start_ready(WORKER_CURRENT_TOPIC=site.current)
    erasure = event_bytes(subject="a", type="user.erased.v1", without="data")
    site.send([NewRecord(user, event_bytes(subject=user.decode())) for user in (b"a", b"b", b"c")])
    site.send([NewRecord(b"a", erasure), NewRecord(b"b", None)])
    results = site.wait_for_outcomes(5)

    read = [from_kafka_event(KafkaMessage(dict(r.headers), r.key, r.value or b"")) for r in results]
    assert [(event.get_subject(), event.get_type()) for event in read] == [
        *((user, ASSIGNED_TYPE) for user in "abc"),
        *((user, SEGMENT_ERASED_TYPE) for user in "ab"),
    ]
    table = {record.key: record.value for record in site.read(site.current)}
    assert table == {b"a": None, b"b": None, b"c": results[2].value}
    assert 'segment_worker_events_total{outcome="erased"} 2.0' in site.get("/metrics")[1].decode()
    assert worker.stop() == 0
    assert worker.log.count('"event":"input_is_compacted"') == 1
    verified = site.run("verify", WORKER_CURRENT_TOPIC=site.current)
    assert verified.returncode == 0, verified.stdout


def test_results_keep_the_order_of_each_partition_and_restart_continues_at_the_committed_offset(
    site: WorkerSite,
) -> None:
    first = site.start_ready()
    site.send(events(1000))
    site.wait_for_outcomes(1000)
    assert first.stop() == 0
    site.send(events(500))
    site.start_ready()
    outcomes = site.wait_for_outcomes(1500)
    assert len(outcomes) == 1500

    seen: dict[str, list[tuple[int, int]]] = {}
    for record in outcomes:
        assigned = SegmentAssigned.model_validate_json(record.value or b"")
        assert record.key == assigned.subject.encode()
        seen.setdefault(assigned.subject, []).append((assigned.data.input.partition, assigned.data.input.offset))
    # One user's events are in one partition, and so are the user's results: in the order they came.
    assert len(seen) == 20
    assert all(
        places == sorted(places) and len({partition for partition, _ in places}) == 1 for places in seen.values()
    )
    assert sum(site.committed().values()) >= 1500


def test_a_running_worker_answers_its_probes_shows_its_lag_and_drains_after_one_ctrl_c(site: WorkerSite) -> None:
    worker = site.start_ready()
    site.send(events(10))
    site.wait_for_outcomes(10)
    wait_until(lambda: lags(site) == [0.0] * 4, "4 partitions without lag")
    assert site.asked("/livez") == 200
    assert site.reason("/readyz") == "model loaded, consumer group joined"
    assert site.asked("/") == 404
    worker.send(signal.SIGINT)
    assert worker.wait(STOP_S) == 0
    assert "Traceback" not in worker.log


def lags(site: WorkerSite) -> list[float]:
    """The lag of each partition that the worker shows."""
    text = site.get("/metrics")[1].decode()
    return [float(line.split()[-1]) for line in text.splitlines() if line.startswith("segment_worker_lag_events{")]


def test_of_two_workers_with_one_instance_id_one_ends_with_2_and_names_it_and_the_other_works_on(
    site: WorkerSite, programs: Programs, tmp_path: Path
) -> None:
    other = worker_site(programs, site.bootstrap_servers, site.name, tmp_path)
    workers = [place.start_ready(WORKER_INSTANCE_ID="one") for place in (site, other)]
    wait_until(lambda: not all(worker.running() for worker in workers), "one of two workers to end")
    (ended,) = [worker for worker in workers if not worker.running()]
    (left,) = [worker for worker in workers if worker.running()]
    assert ended.wait() == 2
    (printed,) = [line for line in ended.log.splitlines() if line.startswith("segment-worker: ")]
    assert f"instance id one of group {site.name}" in printed
    assert "WORKER_INSTANCE_ID" in printed
    site.send(events(20))
    assert len(site.wait_for_outcomes(20)) == 20
    assert left.stop() == 0


def test_a_worker_without_a_partition_is_ready(broker: TestBroker, programs: Programs, tmp_path: Path) -> None:
    first = bare_site(broker, programs, tmp_path)
    first.create_topics(partitions=1)
    first.publish_model()
    second = worker_site(programs, broker.bootstrap_servers, first.name, tmp_path)
    first.start_ready()
    second.start_ready()
    assert len(lags(first) + lags(second)) <= 1


def test_transactions_of_an_upstream_leave_no_lag(site: WorkerSite) -> None:
    upstream: Any = KafkaProducer(bootstrap_servers=site.bootstrap_servers, transactional_id=f"{site.name}-upstream")
    upstream.init_transactions()
    site.start_ready()
    for number in range(3):
        upstream.begin_transaction()
        upstream.send(site.input, key=b"a", value=event_bytes(id=str(number)))
        upstream.flush()
        if number == 1:
            upstream.abort_transaction()
        else:
            upstream.commit_transaction()
    site.wait_for_outcomes(2)
    upstream.begin_transaction()
    upstream.send(site.input, key=b"a", value=event_bytes(id="left open"))
    upstream.flush()
    # The log ends with markers, and then with a transaction that is left open: nothing that could be read is waiting.
    wait_until(lambda: lags(site) == [0.0] * 4, "4 partitions without lag")
    upstream.abort_transaction()
    upstream.close()


def test_an_output_topic_that_is_gone_makes_a_worker_not_ready_and_never_dead(site: WorkerSite) -> None:
    window_s = 16.5
    worker = site.start_ready(
        WORKER_LIVENESS_WINDOW_S=str(window_s),
        WORKER_MAX_POLL_INTERVAL_MS="6000",
        WORKER_TRANSACTION_TIMEOUT_MS="2000",
    )
    admin: Any = KafkaAdminClient(bootstrap_servers=site.bootstrap_servers)
    admin.delete_topics([site.output])
    site.send(events(50))
    worker.wait_for_log('"batch_retried"')
    failing_until_s = time.monotonic() + window_s + 2
    wait_until(lambda: site.asked("/readyz") == 503, "a worker that is not ready")
    assert site.reason("/readyz").startswith("retrying for ")
    while time.monotonic() < failing_until_s:
        assert site.asked("/livez") == 200, site.reason("/livez")
        time.sleep(0.5)
    admin.create_topics({site.output: {"num_partitions": 4}}, wait_for_metadata=True)
    admin.close()
    wait_until(lambda: site.asked("/readyz") == 200, "a worker that is ready again")
    assert len(site.wait_for_outcomes(50)) == 50


def test_sigterm_drains_within_five_seconds_and_nothing_is_lost_or_doubled(site: WorkerSite) -> None:
    worker = site.start_ready()
    site.send(events(5000))
    # Not drained after 5 s, it would have ended with 1.
    assert worker.stop() == 0
    assert '"drained"' in worker.log
    first = len(site.read(site.output))
    assert sum(site.committed().values()) >= first
    site.start_ready()
    outcomes = site.wait_for_outcomes(5000)
    ids = Counter(json.loads(record.value or b"")["id"] for record in outcomes)
    assert len(ids) == len(outcomes) == 5000


def test_a_worker_that_waits_for_a_broker_says_so_and_follows_a_signal(site: WorkerSite) -> None:
    worker = site.start(KAFKA_BOOTSTRAP_SERVERS="127.0.0.1:1")
    worker.wait_for_log('"waiting_for_broker"')
    assert (site.asked("/livez"), site.asked("/readyz")) == (200, 503)
    assert worker.stop() == 0


def test_ctrl_c_twice_ends_at_once_with_130(site: WorkerSite) -> None:
    # Half a minute passes before it gives a batch up whose results have nowhere to go.
    worker = site.start_ready(WORKER_TRANSACTION_TIMEOUT_MS="60000")
    admin: Any = KafkaAdminClient(bootstrap_servers=site.bootstrap_servers)
    admin.delete_topics([site.output])
    admin.close()
    site.send(events(1))
    wait_until(lambda: sum(lags(site)) == 1, "a batch that hangs")
    worker.send(signal.SIGINT)
    wait_until(lambda: site.reason("/readyz") == "draining", "the first signal's effect")
    worker.send(signal.SIGINT)
    assert worker.wait(STOP_S) == 130
    assert "not_drained" not in worker.log
    assert "Traceback" not in worker.log


def test_a_broker_that_comes_late_is_waited_for(
    broker_with: Callable[..., AbstractContextManager[Broker]], programs: Programs, tmp_path: Path
) -> None:
    with broker_with() as broker:
        site = bare_site(broker, programs, tmp_path)
        site.create_topics()
        site.publish_model()
        broker.stop()
        worker = site.start()
        worker.wait_for_log('"waiting_for_broker"')
        broker.start()
        wait_until(lambda: site.asked("/readyz") == 200, "a ready worker")
        site.send(events(10))
        assert len(site.wait_for_outcomes(10)) == 10
        broker.kill()
        # Whether its last commit was complete when the broker died is open; that it ends is promised.
        assert worker.stop() in {0, 1}


def refused(site: WorkerSite, *arguments: str, status: int = 2, **changed: str) -> str:
    """The one line of a worker that does not start, without a traceback."""
    ended = site.run("run", *arguments, **changed)
    assert ended.returncode == status, ended.stderr
    printed = [line for line in ended.stderr.splitlines() if not line.startswith("{")]
    assert len(printed) == 1, ended.stderr
    assert printed[0].startswith("segment-worker: ")
    return printed[0]


def test_a_start_without_a_model_is_refused(broker: TestBroker, programs: Programs, tmp_path: Path) -> None:
    line = refused(bare_site(broker, programs, tmp_path))
    assert "model-store; check MODELS_DIR and that its volume is there, or fit a first model with `segment-t" in line


def test_a_start_with_a_damaged_model_is_refused(site: WorkerSite) -> None:
    (model,) = site.store.glob("versions/*/model.json")
    model.write_bytes(model.read_bytes() + b" ")
    assert f"{model} is not what was published" in refused(site)
    model.unlink()
    assert f"{model} cannot be read" in refused(site)


@pytest.mark.parametrize("other", [MANIFEST_FORMAT - 1, MANIFEST_FORMAT + 1])
def test_a_start_with_a_model_of_another_format_is_refused(site: WorkerSite, other: int) -> None:
    (manifest,) = site.store.glob("versions/*/manifest.json")
    document = json.loads(manifest.read_bytes())
    manifest.write_text(json.dumps({**document, "format": other}))
    line = refused(site)
    assert f"format {other}, " in line
    assert f"format {MANIFEST_FORMAT}: " in line


def test_a_start_with_another_profile_class_is_refused_and_both_are_named(site: WorkerSite) -> None:
    other = Path(__file__).parents[1] / "unit" / "worker" / "test_served_model.py"
    line = refused(site, PROFILE_CLASS=f"{other}:OtherProfile")
    assert "was fitted for profile class UserProfile" in line
    assert "profile class OtherProfile" in line


def test_a_start_with_a_port_in_use_is_refused(site: WorkerSite) -> None:
    with socket.create_server(("127.0.0.1", site.http_port)):
        assert "WORKER_HTTP_HOST and WORKER_HTTP_PORT: cannot listen on" in refused(site)


def test_a_start_without_a_topic_is_refused_and_makes_none(
    broker: TestBroker, programs: Programs, tmp_path: Path
) -> None:
    site = bare_site(broker, programs, tmp_path)
    site.publish_model()
    with broker.cluster() as cluster:
        cluster.create_topic(site.output, 1)
        cluster.create_topic(site.rejected, 1)
        line = refused(site)
        assert f"topic {site.input}: does not exist" in line
        assert "WORKER_INPUT_TOPIC" in line
        assert site.input not in cluster.topics()


def test_a_start_without_a_broker_ends_with_1_because_starting_again_can_help(site: WorkerSite) -> None:
    line = refused(site, KAFKA_BOOTSTRAP_SERVERS="127.0.0.1:1", WORKER_BROKER_WAIT_S="1", status=1)
    assert "no broker answers at 127.0.0.1:1 (111 ECONNREFUSED); check KAFKA_BOOTSTRAP_SERVERS" in line


def test_create_topics_makes_what_is_missing_so_that_the_largest_event_fits(
    broker: TestBroker, programs: Programs, tmp_path: Path
) -> None:
    site = bare_site(broker, programs, tmp_path)
    site.publish_model()
    with broker.cluster() as cluster:
        cluster.create_topic(site.input, 3, {"max.message.bytes": "3000000"})
    settings = {
        "WORKER_EVENT_MAX_BYTES": "2500000",
        "WORKER_BATCH_MAX_BYTES": "8000000",
        "WORKER_CURRENT_TOPIC": site.current,
    }
    worker = site.start_ready("--create-topics", **settings)
    large = NewRecord(b"k", b"{" + b" " * 2_000_000)
    site.send([*events(5), large])
    outcomes = site.wait_for_outcomes(6)
    (rejected,) = [record for record in outcomes if record.topic == site.rejected]
    assert rejected.value == large.value
    with broker.cluster() as cluster:
        assert [len(cluster.end_offsets(topic)) for topic in (site.output, site.rejected, site.current)] == [3, 3, 3]
    # A reader of the current topic needs nothing else: it has whole CloudEvents.
    results = {record.value for record in outcomes if record.topic == site.output}
    table = site.read(site.current)
    assert {record.value for record in table} == results
    (event, *_) = [from_kafka_event(KafkaMessage(dict(r.headers), r.key, r.value or b"")) for r in table]
    assert event.get_type() == ASSIGNED_TYPE
    assert worker.stop() == 0
    site.start_ready("--create-topics", **settings)


def test_where_ends_are_restarted_a_worker_that_a_person_must_mend_stays_alive_and_not_ready(
    broker: TestBroker, programs: Programs, tmp_path: Path
) -> None:
    site = bare_site(broker, programs, tmp_path)
    worker = site.start(WORKER_HOLD_ON_STOP="true")
    worker.wait_for_log('"held"')
    assert site.asked("/livez") == 200
    assert site.asked("/readyz") == 503
    assert "there is no model store at" in site.reason("/readyz")
    assert worker.stop() == 2


def test_too_many_rejected_events_stop_the_worker_in_front_of_the_batch(site: WorkerSite) -> None:
    limit = {"WORKER_REJECT_LIMIT_CONSECUTIVE": "50", "WORKER_BATCH_MAX_EVENTS": "20", "WORKER_HOLD_ON_STOP": "true"}
    worker = site.start_ready(**limit)
    bad = [NewRecord(b"user-1", b"{") for _ in range(60)]
    site.send([*bad[:30], NewRecord(b"user-1", event_bytes()), *bad])
    worker.wait_for_log('"held"')
    assert "50 of the last 50 events would be rejected (50 not_json), and WORKER_REJECT_LIMIT_CONS" in site.reason(
        "/readyz"
    )
    assert "segment_worker_at_reject_limit 1.0" in site.get("/metrics")[1].decode()
    assert worker.stop() == 3
    # Fewer than fifty in a row, and whole batches.
    done = sum(site.committed().values())
    assert 31 <= done < 31 + 50
    assert len(site.read(site.output, site.rejected)) == done
    ended = site.run("verify")
    assert (ended.returncode, ended.stderr) == (0, "")


def test_a_wrong_setting_is_held_too_where_its_port_is_not_in_doubt(site: WorkerSite) -> None:
    worker = site.start(WORKER_HOLD_ON_STOP="true", WORKER_BATCH_MAX_EVENTS="many")
    worker.wait_for_log('"held"')
    assert "WORKER_BATCH_MAX_EVENTS" in site.reason("/readyz")
    assert worker.stop() == 2
