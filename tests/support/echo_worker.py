"""A worker without a model, to be stopped and killed: it marks each value with its own name and sends it on.

Arguments: settings as JSON, its name, and optionally a place `step:n`: it stands still in front of the n-th call of its
producer's `step` (take_over, send_offsets or commit) after saying so, until SIGUSR1.
"""

from __future__ import annotations

import json
import signal
import sys
import threading
import time

from worker.errors import RetryBatchError, StopProcessError
from worker.kafka.config import connection_arguments
from worker.kafka.confluent.producer import ConfluentProducer
from worker.kafka.kafka_python.producer import KafkaPythonProducer
from worker.kafka.transport import open_transport
from worker.lifecycle import Deadline
from worker.settings import Settings
from worker.stream import loop
from worker.stream.ports import Timings
from worker.stream.records import Batch, Message, Outcome


class Printed:
    """An observer that says what it sees."""

    def turned(self) -> None:
        pass

    def committed(self, batch: Batch, _: Outcome, __: Timings) -> None:
        print("batch of", len(batch.records), flush=True)

    def retrying(self, error: RetryBatchError, _: float) -> None:
        print("retrying", error, flush=True)


def stand_still_before(producer: type, step: str, number: int) -> None:
    """Wrap one call of the producer: the work in front of it is really done, on a real broker."""
    call = getattr(producer, step)
    seen: list[None] = []
    released: list[None] = []
    signal.signal(signal.SIGUSR1, lambda *_: released.append(None))

    def counted(*arguments: object) -> object:
        seen.append(None)
        if len(seen) == number:
            print("standing still", flush=True)
            while not released:
                time.sleep(0.02)
        return call(*arguments)

    setattr(producer, step, counted)


def main(given: str, name: str, place: str | None = None) -> int:
    """Run until SIGTERM; the exit status that the worker would have."""
    settings = Settings(_env_file=None, **json.loads(given))
    if place is not None:
        step, _, number = place.partition(":")
        producer = {"kafka-python": KafkaPythonProducer, "confluent": ConfluentProducer}[settings.kafka_client]
        stand_still_before(producer, step, int(number))
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())

    def process(batch: Batch) -> Outcome:
        mark = b"|" + name.encode()
        return Outcome(results=tuple(Message(record.key, (record.value or b"") + mark) for record in batch.records))

    with Deadline(stop) as deadline:
        transport = open_transport(settings, connection_arguments(settings), deadline, stop, lambda: None)
        if transport is None:
            return 0
        try:
            loop.run(transport, process, Printed(), stop)
        except StopProcessError as error:
            print(error, file=sys.stderr)
            return error.exit_status
    return 0


if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:]))
