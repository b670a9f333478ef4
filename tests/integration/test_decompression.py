"""A compressed batch that would fill the memory, on a real broker, which takes it."""

import gzip
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer
from kafka.record import default_records
from kafka.serializer import Deserializer
from kafka.structs import OffsetAndMetadata, TopicPartition

from demo.kafka.client import Cluster, NewRecord, Sender
from tests.support.brokers import Programs, TestBroker
from tests.support.events import event_bytes
from tests.support.transport_contract import PATIENCE_S
from tests.support.worker_site import worker_site
from worker.errors import ExitStatus

MIB = 1024 * 1024


def test_a_decompression_bomb_stops_the_worker_with_a_remedy_that_works_and_memory_to_spare(
    broker: TestBroker, programs: Programs, tmp_path: Path
) -> None:
    site = worker_site(programs, broker.bootstrap_servers, broker.fresh_name("bomb"), tmp_path)
    site.create_topics(partitions=1)
    site.publish_model()
    site.send([NewRecord(b"a", event_bytes(id="before"))])
    upstream: Any = KafkaProducer(
        bootstrap_servers=site.bootstrap_servers, compression_type="gzip", max_request_size=300 * MIB
    )
    upstream.send(site.input, key=b"a", value=bytes(150 * MIB)).get(timeout=60)
    upstream.close()
    site.send([NewRecord(b"a", event_bytes(id="after"))])

    worker = site.start(WORKER_HOLD_ON_STOP="true")
    worker.wait_for_log('"held"')
    reason = site.reason("/readyz")
    assert f"topic {site.input}, partition 0, offset 1: the compressed batch there holds more than" in reason
    remedy = f"--group {site.name} --topic {site.input}:0 --reset-offsets --to-offset 2 --execute"
    assert remedy in reason
    if sys.platform == "linux":
        status = Path(f"/proc/{worker.pid}/status").read_text()
        (peak_kib,) = [int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")]
        print(f"peak of the worker's memory: {peak_kib // 1024} MiB")
        assert peak_kib < 300 * 1024
    assert worker.stop() == ExitStatus.ACT_FIRST
    assert "Traceback" not in worker.log

    proof = site.run("verify")
    assert proof.returncode == 0, proof.stderr  # it looks below the committed offset only
    admin: Any = KafkaAdminClient(bootstrap_servers=site.bootstrap_servers)
    admin.alter_group_offsets(site.name, {TopicPartition(site.input, 0): OffsetAndMetadata(2, "", -1)})
    admin.close()
    proof = site.run("verify")
    assert (proof.returncode, "--from-offset 0:2" in proof.stderr) == (ExitStatus.ACT_FIRST, True), proof.stderr

    assert site.start_ready().running()
    assert len(site.wait_for_outcomes(2)) == 2
    assert site.run("verify", "--from-offset", "0:2").returncode == 0


def test_a_batch_of_one_gzip_member_per_byte_is_processed_like_any_other(
    broker: TestBroker, programs: Programs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = worker_site(programs, broker.bootstrap_servers, broker.fresh_name("members"), tmp_path)
    site.create_topics(partitions=1, input={"max.message.bytes": str(16 * MIB)})
    site.publish_model()
    padding = bytes(100_000)  # kafka-python sends as it is what compression makes larger
    members = [gzip.compress(bytes([byte])) for byte in range(256)]

    def in_members(content: bytes) -> bytes:
        behind = content.rindex(padding) + len(padding)
        return gzip.compress(content[:behind]) + b"".join(members[byte] for byte in content[behind:])

    monkeypatch.setattr(default_records, "gzip_encode", in_members)
    upstream: Any = KafkaProducer(
        bootstrap_servers=site.bootstrap_servers,
        compression_type="gzip",
        batch_size=16 * MIB,
        max_request_size=16 * MIB,
        delivery_timeout_ms=180_000,
        linger_ms=60_000,  # all in one batch, which flush() sends
    )
    events = [padding] * 100 + [event_bytes(id=str(number)) for number in range(700)]
    sent = [upstream.send(site.input, key=b"a", value=event) for event in events]
    upstream.flush(timeout=PATIENCE_S)
    assert [future.get(timeout=PATIENCE_S).offset for future in sent] == list(range(len(events)))
    upstream.close()

    worker = site.start_ready()
    assert len(site.wait_for_outcomes(len(events))) == len(events)
    assert worker.stop() == ExitStatus.DONE
    assert len(site.read(site.output)) == 700


class Unforeseen(Deserializer):  # type: ignore[misc]  # the library has no types
    """A deserializer with a defect."""

    def deserialize(self, topic: str, headers: Any, data: bytes) -> bytes:  # noqa: ARG002  # the library's own names
        raise ZeroDivisionError(f"no one thought of this at {topic}")


def test_an_unexpected_error_is_raised_by_each_poll_and_none_runs_for_ever(broker: TestBroker) -> None:
    topic = broker.fresh_name("unforeseen")
    with Cluster(broker.bootstrap_servers) as cluster:
        cluster.create_topic(topic, partitions=1)
    with Sender(broker.bootstrap_servers, topic) as sender:
        sender.send([NewRecord(b"a", b"any")])
        sender.flush()
    consumer: Any = KafkaConsumer(
        bootstrap_servers=broker.bootstrap_servers,
        value_deserializer=Unforeseen(),
        auto_offset_reset="earliest",
        enable_auto_commit=False,
    )
    consumer.assign([TopicPartition(topic, 0)])
    raised: list[ZeroDivisionError] = []

    def poll() -> None:
        while len(raised) < 3:
            try:
                assert not consumer.poll(timeout_ms=500)
            except ZeroDivisionError as error:
                raised.append(error)

    polling = threading.Thread(target=poll, daemon=True)
    polling.start()
    polling.join(timeout=PATIENCE_S)
    assert len(raised) == 3
    assert topic in str(raised[-1])
    polling.join(timeout=PATIENCE_S)
    consumer.close()
