"""Quix Streams, exactly once: one streaming data frame, with a branch for the results and one for dead letters."""

from __future__ import annotations

from typing import Any

from quixstreams import Application, message_context
from quixstreams.models import Serializer

from benchmarks.peers.job import (
    BOOTSTRAP_SERVERS,
    COMMIT_INTERVAL_MS,
    GROUP,
    INPUT,
    OUTPUT,
    REJECTED,
    Incoming,
    Job,
    Outgoing,
)


class ValueOf(Serializer):  # type: ignore[misc]  # its package is not installed where types are checked
    """The bytes that the job has made."""

    def __call__(self, value: Outgoing, ctx: Any) -> bytes | None:  # noqa: ARG002  # Quix passes it
        """See class."""
        return value.value


def main() -> None:
    """Run until killed."""
    job = Job.from_environment("quix-streams")
    application = Application(
        BOOTSTRAP_SERVERS,
        consumer_group=GROUP,
        auto_offset_reset="earliest",
        auto_create_topics=False,
        processing_guarantee="exactly-once",
        # The default is 5 s; each commit is a transaction, so its documentation advises a longer one for throughput.
        commit_interval=COMMIT_INTERVAL_MS / 1000,
        consumer_extra_config={"fetch.queue.backoff.ms": 10},
        producer_extra_config={"partitioner": "murmur2_random", "linger.ms": 5, "batch.size": 1_000_000},
        loglevel="WARNING",
    )

    def process(value: bytes | None, key: bytes | None, timestamp: int, _headers: Any) -> Outgoing:
        at = message_context()
        return job.one(Incoming(at.partition, at.offset, timestamp, key, value))

    serialized = {"key_serializer": "bytes", "value_serializer": ValueOf()}
    events = application.topic(INPUT, key_deserializer="bytes", value_deserializer="bytes")
    outgoing = application.dataframe(events).apply(process, metadata=True)
    outgoing = outgoing.set_headers(lambda message, _key, _timestamp, _headers: message.headers)
    for topic in (OUTPUT, REJECTED):
        chosen = outgoing[outgoing.apply(lambda message, topic=topic: message.topic == topic)]
        chosen.to_topic(application.topic(topic, **serialized), key=lambda message: message.key)
    application.run()


if __name__ == "__main__":
    main()
