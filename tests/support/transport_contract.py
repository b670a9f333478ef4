"""What every transport promises. The same tests run on the fake and on Kafka, so that the fake cannot drift."""

from __future__ import annotations

import faulthandler
import time
from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

import pytest

from worker.errors import RetryBatchError
from worker.stream.ports import Transport
from worker.stream.records import Batch, Message, Outcome, Record

T = TypeVar("T")


class World(Protocol):
    """A transport and what is around it: at least two partitions, at most three events in a batch."""

    @property
    def transport(self) -> Transport: ...
    def send(self, partition: int, *values: bytes) -> None: ...
    def results(self) -> list[bytes | None]: ...
    def rejected(self) -> list[bytes | None]: ...
    def rebalance(self) -> None: ...


def echo(records: Sequence[Record]) -> Outcome:
    """Each record's value as its result; a value beginning with "bad" is rejected."""
    messages = [(record.value or b"", record.key) for record in records]
    return Outcome(
        results=tuple(Message(key, value) for value, key in messages if not value.startswith(b"bad")),
        rejected=tuple(Message(key, value) for value, key in messages if value.startswith(b"bad")),
    )


# How long to wait for what should happen soon, or for a whole demo: it costs nothing when it does, on a machine under
# load as well. An end all the same, before pytest ends all tests (faulthandler_timeout).
PATIENCE_S = 170


def until(ask: Callable[[], T | None]) -> T:
    """The first answer that is not None; without one, the test fails and shows what each thread was doing."""
    end = time.monotonic() + PATIENCE_S
    while (answer := ask()) is None:
        if time.monotonic() > end:
            faulthandler.dump_traceback(file=2)
            pytest.fail("nothing came")
        time.sleep(0.01)
    return answer


def commit(transport: Transport, batch: Batch, outcome: Outcome) -> None:
    """Begin and finish, with nothing in between."""
    transport.begin(batch, outcome)
    transport.finish()


def next_batch(transport: Transport) -> Batch:
    return until(transport.poll)


def values(batch: Batch) -> list[bytes | None]:
    return [record.value for record in batch.records]


def work_off(transport: Transport, count: int) -> None:
    """Poll, process and commit until this many records were committed; like the loop, read again what was refused."""
    refused: list[RetryBatchError] = []
    must_rewind = False
    while count > 0:
        try:
            if must_rewind:
                transport.rewind()
                must_rewind = False
            batch = next_batch(transport)
            commit(transport, batch, echo(batch.records))
        except RetryBatchError as error:
            refused.append(error)
            assert len(refused) < 10, refused
            must_rewind = True
            time.sleep(0.1 * len(refused))
        else:
            count -= len(batch.records)


class TransportContract:
    """Subclassed with a `world` fixture."""

    @pytest.fixture
    def world(self) -> World:
        raise NotImplementedError

    def test_records_come_in_the_order_of_their_partition(self, world: World) -> None:
        world.send(0, b"0", b"1", b"2", b"3", b"4")
        seen: list[Record] = []
        while len(seen) < 5:
            batch = next_batch(world.transport)
            commit(world.transport, batch, echo(batch.records))
            seen += batch.records
        assert [(record.offset, record.value) for record in seen] == [(n, b"%d" % n) for n in range(5)]

    def test_a_batch_is_no_larger_than_allowed(self, world: World) -> None:
        world.send(0, *(b"%d" % n for n in range(7)))
        assert len(next_batch(world.transport).records) <= 3

    def test_poll_returns_none_when_nothing_is_there(self, world: World) -> None:
        assert world.transport.poll() is None

    def test_an_outcome_is_visible_after_its_commit(self, world: World) -> None:
        world.send(0, b"good", b"bad")
        work_off(world.transport, 2)
        assert (world.results(), world.rejected()) == ([b"good"], [b"bad"])

    def test_a_committed_batch_is_not_read_again(self, world: World) -> None:
        world.send(0, b"first")
        work_off(world.transport, 1)
        world.transport.rewind()
        world.send(0, b"second")
        assert values(next_batch(world.transport)) == [b"second"]

    def test_an_uncommitted_batch_is_read_again_after_a_rewind(self, world: World) -> None:
        world.send(1, b"a", b"b")
        first = next_batch(world.transport)
        world.transport.rewind()
        assert values(next_batch(world.transport))[: len(first.records)] == values(first)

    def test_a_batch_of_a_lost_membership_is_refused_and_read_again(self, world: World) -> None:
        world.send(0, b"one", b"bad two")
        batch = next_batch(world.transport)
        world.rebalance()
        with pytest.raises(RetryBatchError):
            commit(world.transport, batch, echo(batch.records))
        world.transport.rewind()
        work_off(world.transport, 2)
        assert (world.results(), world.rejected()) == ([b"one"], [b"bad two"])

    def test_lag_falls_with_the_commit_not_with_the_poll(self, world: World) -> None:
        world.send(0, b"a", b"b")
        batch = next_batch(world.transport)
        left = len(batch.records)
        assert _lag(world.transport) == 2
        commit(world.transport, batch, echo(batch.records))
        work_off(world.transport, 2 - left)
        world.transport.poll()
        assert _lag(world.transport) == 0

    def test_closing_twice_is_fine_and_ends_the_membership(self, world: World) -> None:
        world.send(0, b"a")
        work_off(world.transport, 1)
        assert world.transport.joined
        world.transport.close()
        world.transport.close()
        assert not world.transport.joined


def _lag(transport: Transport) -> int:
    return sum(each.lag or 0 for each in transport.progress())
