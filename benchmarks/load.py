"""Fills topics with events and reads them, fast, because neither is part of a measurement."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self

import orjson
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from benchmarks.outcomes import Assigned, Comparison, Expected, Outcome
from demo.events import emitted
from demo.formats import Write, in_format
from demo.population import Population
from schemas.events import ASSIGNMENT_NAMESPACE
from schemas.rejected import RejectedHeader, RejectReason
from worker.stream.processor import Scoring
from worker.stream.records import Record, Records

USERS = 20_000
PARTITIONS = 4
_READ_AT_ONCE = 5_000
_WAIT_S = 60.0
# Ids are counted, and as long as a UUID.
_ID = "0" * 36
_IDS_CHECKED = 100
# `demo.formats` makes some events another one, which a worker ignores; by its number, none of these.
_NOT_ANOTHER = 1
_CLOUDEVENTS = in_format("cloudevents")


@dataclass(frozen=True, slots=True)
class Template:
    """A record whose id is put between the two parts of its value; a bad event may have no id."""

    key: bytes | None
    before_id: bytes | None
    after_id: bytes | None
    headers: list[tuple[str, Any]]

    def value(self, number: int) -> bytes | None:
        """The value of the event with this number."""
        if self.before_id is None or self.after_id is None:
            return self.before_id
        return b"%b%036d%b" % (self.before_id, number, self.after_id)


def templates(bad_share: float, write: Write = _CLOUDEVENTS) -> list[Template]:
    """Events of as many users; `bad_share` of them are invalid, each kind in turn.

    Those that a worker ignores in this format are left out, because they are less work.
    """
    made = []
    now = datetime.now(UTC)
    events = emitted(Population(USERS, 1), USERS, bad_share, new_id=lambda: _ID, now=lambda: now)
    for one in (write(_NOT_ANOTHER, each) for each in events):
        if one.ignored:
            continue
        before, separator, after = (one.record.value or b"").partition(_ID.encode())
        made.append(
            Template(
                one.record.key,
                before if separator else one.record.value,
                after if separator else None,
                [*(one.record.headers or {}).items()],
            )
        )
    return made


def fill(bootstrap_servers: str, topic: str, count: int, events: Sequence[Template]) -> None:
    """Write this many events, those given again and again, in compressed batches, as upstream applications do."""
    producer = Producer(
        {
            "bootstrap.servers": bootstrap_servers,
            "partitioner": "murmur2_random",
            "compression.type": "lz4",
            "linger.ms": 50,
            "batch.size": 64 * 1024,
            "queue.buffering.max.messages": 200_000,
            "message.max.bytes": 4_000_000,
        }
    )
    failed: list[KafkaError] = []

    def delivered(error: KafkaError | None, _: object) -> None:
        if error is not None:
            failed.append(error)

    for number, template in zip(range(count), itertools.cycle(events), strict=False):
        value = template.value(number)
        while True:
            try:
                producer.produce(topic, value, template.key, headers=template.headers, on_delivery=delivered)
                break
            except BufferError:
                producer.poll(0.05)
        if number % 1_000 == 0:
            producer.poll(0)
    if producer.flush(_WAIT_S) or failed:
        raise SystemExit(f"the backlog could not be written: {failed[:1]}")


class Topics:
    """Reads and deletes topics; a context manager."""

    def __init__(self, bootstrap_servers: str) -> None:
        self._bootstrap_servers = bootstrap_servers

    def __enter__(self) -> Self:
        self._admin = AdminClient({"bootstrap.servers": self._bootstrap_servers})
        return self

    def __exit__(self, *_: object) -> None:
        del self._admin

    def cluster_id(self) -> str:
        """The id of the cluster."""
        return str(self._admin.list_topics(timeout=_WAIT_S).cluster_id)

    def delete(self, *topics: str) -> None:
        """Delete topics, and free their disk."""
        for deleted in self._admin.delete_topics([*topics]).values():
            deleted.result(_WAIT_S)

    def messages(self, topic: str) -> Iterator[list[Message]]:
        """All records of a topic that are committed now."""
        consumer = reader(self._bootstrap_servers)
        try:
            consumer.assign([TopicPartition(topic, number, OFFSET_BEGINNING) for number in range(PARTITIONS)])
            ended: set[int] = set()
            while len(ended) < PARTITIONS:
                polled = consumer.consume(_READ_AT_ONCE, 0.1)
                good = []
                for message in polled:
                    if error := message.error():
                        if error.code() != KafkaError._PARTITION_EOF:  # noqa: SLF001  # how the client names it
                            raise SystemExit(f"{topic} cannot be read: {error}")
                        ended.add(_number(message.partition()))
                    else:
                        good.append(message)
                yield good
        finally:
            consumer.close()


def reader(bootstrap_servers: str) -> Consumer:
    """A read_committed consumer without a group."""
    return Consumer(
        {
            "bootstrap.servers": bootstrap_servers,
            "group.id": f"benchmark-{uuid.uuid4()}",
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
            "enable.partition.eof": True,
            "fetch.queue.backoff.ms": 10,
            "max.partition.fetch.bytes": 8_000_000,
        }
    )


def expected(topics: Topics, topic: str, scoring: Scoring) -> Expected:
    """What the worker's own processing makes of an input topic."""
    outcomes: dict[int, list[Outcome]] = {number: [] for number in range(PARTITIONS)}
    distinct: dict[Outcome, Outcome] = {}
    now = datetime.now(UTC)
    for messages in topics.messages(topic):
        records = Records.of([_record(message) for message in messages])
        outcome = scoring.process(records, now)
        results = iter(outcome.results)
        for message, verdict in zip(messages, outcome.verdicts, strict=True):
            found = outcomes[_number(message.partition())]
            assert message.offset() == len(found), "the input topic has gaps"
            made = verdict if isinstance(verdict, RejectReason) else _assigned(orjson.loads(next(results).value or b""))
            found.append(distinct.setdefault(made, made))
    return outcomes


def compare(topics: Topics, what: Expected, output: str, rejected: str, input_topic: str, cluster_id: str) -> str:
    """What is wrong with the results and dead letters of a contender, in words; empty if nothing is."""
    comparison = Comparison(what)
    for messages in topics.messages(output):
        for message in messages:
            result = orjson.loads(message.value() or b"")
            at = result["data"]["input"]
            position = f"{cluster_id}/{input_topic}/{at['partition']}/{at['offset']}"
            intact = message.key() == result["subject"].encode() and (
                at["offset"] % _IDS_CHECKED or result["id"] == str(uuid.uuid5(ASSIGNMENT_NAMESPACE, position))
            )
            comparison.see(at["partition"], at["offset"], _assigned(result) if intact else None)
    for messages in topics.messages(rejected):
        for message in messages:
            headers: dict[str, Any] = dict(message.headers() or ())
            comparison.see(
                int(headers[RejectedHeader.PARTITION]),
                int(headers[RejectedHeader.OFFSET]),
                RejectReason(headers[RejectedHeader.REASON].decode()),
            )
    return comparison.problems()


def _assigned(result: Any) -> Assigned:
    return Assigned(result["data"]["segment"], result["data"]["distance"])


def _record(message: Message) -> Record:
    topic, key, value = message.topic(), message.key(), message.value()
    assert topic is not None
    return Record(topic, _number(message.partition()), _number(message.offset()), 0, key, value)


def _number(number: int | None) -> int:
    assert number is not None
    return number
