"""A plain transaction loop on kafka-python with the worker's own processing, without its checks.

Poll, process, send, offsets, commit; an error ends it.
"""

from __future__ import annotations

import os
import uuid
from datetime import UTC, datetime

from kafka import KafkaConsumer, KafkaProducer
from kafka.structs import OffsetAndMetadata

from worker.kafka.tuning import BATCH_BYTES, LINGER_MS
from worker.served_model import load_model
from worker.settings_loading import load_settings
from worker.stream.processor import Scoring
from worker.stream.records import Record, Records


def main() -> None:
    """Run until killed, with the worker's own settings from the environment."""
    settings = load_settings({})
    served = load_model(settings)
    scoring = Scoring(
        model=served.stored,
        profile_class=served.profile_class,
        cluster_id=os.environ["CLUSTER_ID"],
        source="plain-loop",
        event_max_bytes=settings.worker_event_max_bytes,
        rejected_max_bytes=settings.rejected_max_bytes,
    )
    consumer = KafkaConsumer(
        settings.worker_input_topic,
        bootstrap_servers=settings.bootstrap_servers,
        group_id=settings.worker_group_id,
        isolation_level="read_committed",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        max_poll_records=settings.worker_batch_max_events,
    )
    producer = KafkaProducer(
        bootstrap_servers=settings.bootstrap_servers,
        transactional_id=f"plain-{os.getpid()}-{uuid.uuid4().hex}",
        # The worker's settings: with kafka-python's defaults this loop is about half as fast.
        linger_ms=LINGER_MS,
        batch_size=BATCH_BYTES,
    )
    producer.init_transactions()
    while True:
        polled = consumer.poll(timeout_ms=250)
        if not polled:
            continue
        records = [
            Record(r.topic, r.partition, r.offset, r.timestamp, r.key, r.value, tuple(r.headers))
            for rows in polled.values()
            for r in rows
        ]
        outcome = scoring.process(Records.of(records), datetime.now(UTC))
        producer.begin_transaction()
        for message in outcome.results:
            producer.send(settings.worker_output_topic, message.value, message.key)
        for message in outcome.rejected:
            producer.send(settings.worker_rejected_topic, message.value, message.key, list(message.headers))
        offsets = {at: OffsetAndMetadata(rows[-1].offset + 1, "", -1) for at, rows in polled.items()}
        producer.send_offsets_to_transaction(offsets, consumer.group_metadata())
        producer.commit_transaction()


if __name__ == "__main__":
    main()
