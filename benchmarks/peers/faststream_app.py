"""FastStream on confluent-kafka, at least once: a subscriber that takes batches and publishes batches."""

from __future__ import annotations

import asyncio
from typing import Any

from faststream import AckPolicy, FastStream
from faststream.confluent import KafkaBroker, KafkaMessage, KafkaPublishMessage

from benchmarks.peers.job import BOOTSTRAP_SERVERS, GROUP, INPUT, OUTPUT, Incoming, Job

BATCH = 2_000

job = Job.from_environment("faststream")
broker = KafkaBroker(
    BOOTSTRAP_SERVERS,
    partitioner="murmur2_random",
    linger_ms=5,
    allow_auto_create_topics=False,
    config={"fetch.queue.backoff.ms": 10},
)


async def undecoded(message: Any) -> Any:
    """The events are validated by the job."""
    return message.body


@broker.subscriber(  # type: ignore[untyped-decorator]  # its package is not installed where types are checked
    INPUT,
    batch=True,
    max_records=BATCH,
    polling_interval=0.01,
    group_id=GROUP,
    auto_offset_reset="earliest",
    isolation_level="read_committed",
    ack_policy=AckPolicy.NACK_ON_ERROR,  # the offsets of a batch are committed after its results
    decoder=undecoded,
)
async def assign(message: KafkaMessage) -> None:
    """Publish the results and dead letters of a batch."""
    records = [
        Incoming(each.partition(), each.offset(), each.timestamp()[1], each.key(), each.value())
        for each in message.raw_message
    ]
    results = []
    for topic, key, value, headers in job.batch(records):
        texts = {name: text.decode() for name, text in headers}
        if topic == OUTPUT:
            results.append(KafkaPublishMessage(value, key=key, headers=texts))
        else:
            # Singly: a batch leaves out a first message without a value.
            await broker.publish(value, topic, key=key, headers=texts)
    if results:
        await broker.publish_batch(*results, topic=OUTPUT)


if __name__ == "__main__":
    asyncio.run(FastStream(broker).run())
