"""Bytewax, at least once: a data flow from the topic through batches to the results and dead letters.

Its epochs are saved on the local disk, and outputs after the last one come again.
"""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import bytewax.operators as op
from bytewax.connectors.kafka import KafkaSinkMessage, KafkaSource
from bytewax.connectors.kafka import operators as kafka
from bytewax.dataflow import Dataflow
from bytewax.recovery import RecoveryConfig, init_db_dir
from bytewax.run import cli_main

from benchmarks.peers.job import BOOTSTRAP_SERVERS, INPUT, OUTPUT, Incoming, Job

BATCH = 2_000


def dataflow(job: Job) -> Dataflow:
    """From the topic to the results and dead letters."""

    def process(messages: list[Any]) -> list[KafkaSinkMessage[bytes | None, bytes | None]]:
        records = [
            Incoming(message.partition, message.offset, message.timestamp[1], message.key, message.value)
            for message in messages
        ]
        return [
            KafkaSinkMessage(key, value, headers=headers, topic=topic)
            for topic, key, value, headers in job.batch(records)
        ]

    brokers = BOOTSTRAP_SERVERS.split(",")
    reading = {"isolation.level": "read_committed", "fetch.queue.backoff.ms": "10"}
    writing = {"partitioner": "murmur2_random", "linger.ms": "5", "batch.size": "1000000"}
    flow = Dataflow("assign")
    events = op.input("events", flow, KafkaSource(brokers, [INPUT], add_config=reading, batch_size=BATCH))
    outcomes = op.flat_map_batch("job", events, process)
    # The topic is that of results; dead letters name their own.
    kafka.output("outcomes", outcomes, brokers=brokers, topic=OUTPUT, add_config=writing)
    return flow


def main() -> None:
    """Run until killed."""
    recovery = Path(os.environ["SCRATCH"], "recovery")
    recovery.mkdir()
    init_db_dir(recovery, 1)
    cli_main(
        dataflow(Job.from_environment("bytewax")),
        # The default; the documentation advises longer ones only where state is large.
        epoch_interval=timedelta(seconds=10),
        recovery_config=RecoveryConfig(str(recovery)),
    )


if __name__ == "__main__":
    main()
