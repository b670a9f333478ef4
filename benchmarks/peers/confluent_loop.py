"""A plain transaction loop on confluent-kafka: consume, process, produce, offsets, commit; an error ends it."""

from __future__ import annotations

from typing import Any

from confluent_kafka import Consumer, Producer, TopicPartition

from benchmarks.peers.job import BOOTSTRAP_SERVERS, GROUP, INPUT, Incoming, Job

MOST = 2_000


def main() -> None:
    """Run until killed."""
    job = Job.from_environment("confluent-loop")
    consumer = Consumer(
        {
            "bootstrap.servers": BOOTSTRAP_SERVERS,
            "group.id": GROUP,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
            "fetch.queue.backoff.ms": 10,  # the default, 1 s, leaves a fast reader without records for that long
        }
    )
    producer = Producer(
        {
            "bootstrap.servers": BOOTSTRAP_SERVERS,
            "transactional.id": GROUP,
            "partitioner": "murmur2_random",
            "linger.ms": 5,
            "batch.size": 1_000_000,
        }
    )
    producer.init_transactions()
    consumer.subscribe([INPUT])
    while True:
        polled = consumer.poll(1.0)
        if polled is None:
            continue
        messages: list[Any] = [polled, *consumer.consume(MOST - 1, 0)]
        next_offsets: dict[int, int] = {}
        records = []
        for message in messages:
            if error := message.error():
                raise SystemExit(str(error))
            next_offsets[message.partition()] = message.offset() + 1
            records.append(
                Incoming(message.partition(), message.offset(), message.timestamp()[1], message.key(), message.value())
            )
        producer.begin_transaction()
        for topic, key, value, headers in job.batch(records):
            producer.produce(topic, value, key, headers=headers)
        offsets = [TopicPartition(INPUT, partition, offset) for partition, offset in next_offsets.items()]
        producer.send_offsets_to_transaction(offsets, consumer.consumer_group_metadata())
        producer.commit_transaction()


if __name__ == "__main__":
    main()
