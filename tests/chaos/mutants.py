"""A worker that lacks one precaution, otherwise like the real one: `python -m tests.chaos.mutants MUTATION run …`.

Each mutation checks that what it replaces is there, and says so in the log when it first made a difference: a worker
that moved on can then not pass as a mutant by mistake.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from kafka import KafkaConsumer
from kafka.errors import KafkaError
from kafka.producer.transaction_manager import TransactionManager

from worker.__main__ import main
from worker.kafka.consumer import GroupReader
from worker.kafka.kafka_python import consumer as kafka_python_consumer
from worker.kafka.kafka_python.producer import KafkaPythonProducer
from worker.stream.records import Batch

IN_FORCE = "mutation in force:"


class Missing(Exception):
    """What a mutation replaces is not there: the worker changed, and the mutation has to follow."""


class _Said:
    """Says once that a mutation made a difference."""

    def __init__(self, mutation: str) -> None:
        self._mutation = mutation
        self._said = False

    def __call__(self) -> None:
        if not self._said:
            self._said = True
            print(IN_FORCE, self._mutation, file=sys.stderr, flush=True)


def _there(owner: object, name: str) -> Any:
    found = vars(owner).get(name)
    if found is None:
        raise Missing(f"{owner!r} has no {name} of its own")
    return found


def read_uncommitted(said: _Said) -> None:
    """The worker's consumer reads, and asks for offsets, as if transactions did not concern it."""
    connect = _there(kafka_python_consumer, "connected")

    def connected(client: Callable[..., Any], **arguments: Any) -> Any:
        if client is KafkaConsumer:
            if arguments.get("isolation_level") != "read_committed":
                raise Missing("the worker's consumer is not read_committed")
            arguments["isolation_level"] = "read_uncommitted"
            said()
        return connect(client, **arguments)

    vars(kafka_python_consumer)["connected"] = connected


def bare_group_id(said: _Said) -> None:
    """Offsets are sent with the name of the group only, so that no broker checks who sends them."""
    send_offsets = _there(TransactionManager, "send_offsets_to_transaction")

    def bare(self: Any, offsets: Any, group_metadata: Any) -> Any:
        if not getattr(group_metadata, "member_id", None):
            raise Missing("the worker gives no member with its offsets")
        said()
        return send_offsets(self, offsets, group_metadata.group_id)

    setattr(TransactionManager, "send_offsets_to_transaction", bare)  # noqa: B010  # mypy refuses a plain assignment


def snapshot_after_poll(said: _Said) -> None:
    """Who the worker is in the group is looked up when the records are there already."""
    poll, membership = _there(GroupReader, "poll"), _there(GroupReader, "membership")

    def polled(self: GroupReader, *arguments: Any) -> Batch | None:
        before = membership(self)
        vars(self)["membership"] = lambda: before  # a rebalance within the poll goes unnoticed there
        try:
            batch: Batch | None = poll(self, *arguments)
        finally:
            del vars(self)["membership"]
        after = membership(self)
        if batch is None or after is None:
            return None
        if after != batch.membership:
            said()
        return replace(batch, membership=after)

    setattr(GroupReader, "poll", polled)  # noqa: B010  # see above


def producer_used_again(said: _Said) -> None:
    """After a failed transaction its producer aborts and goes on, as its documentation allows."""
    _there(KafkaPythonProducer, "abort")

    def abort(self: KafkaPythonProducer) -> bool:
        try:
            self._producer.abort_transaction()
        except KafkaError:
            return False  # fenced, or never begun: the only case in which even such a worker needs a new one
        said()
        return True

    setattr(KafkaPythonProducer, "abort", abort)  # noqa: B010  # see above


MUTATIONS: Mapping[str, Callable[[_Said], None]] = {
    "read_uncommitted": read_uncommitted,
    "bare_group_id": bare_group_id,
    "snapshot_after_poll": snapshot_after_poll,
    "producer_used_again": producer_used_again,
}


if __name__ == "__main__":
    MUTATIONS[sys.argv[1]](_Said(sys.argv[1]))
    sys.argv = ["segment-worker", *sys.argv[2:]]
    sys.exit(main())
