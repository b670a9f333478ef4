"""A compressed batch that would fill the memory, on a real broker, which takes it."""

import sys
from pathlib import Path
from typing import Any

from kafka import KafkaAdminClient, KafkaProducer
from kafka.structs import OffsetAndMetadata, TopicPartition

from demo.cluster import NewRecord
from tests.integration.brokers import Programs, TestBroker
from tests.integration.worker_site import worker_site
from tests.unit.events import event_bytes
from worker.errors import ExitStatus

MIB = 1024 * 1024


def test_a_bomb_ends_the_worker_with_words_and_memory_to_spare_and_what_it_says_to_do_helps(
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
    told = f"--group {site.name} --topic {site.input}:0 --reset-offsets --to-offset 2 --execute"
    assert told in reason
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
