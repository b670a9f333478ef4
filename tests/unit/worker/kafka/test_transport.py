"""What the transport asks of its reader and its producer, with stand-ins for these two instead of Kafka."""

import signal
import threading
from collections.abc import Callable
from typing import Any, cast

import pytest
from kafka.errors import FencedInstanceIdError

from worker.errors import ExitStatus, RetryBatchError, StopProcessError
from worker.kafka.offsets import NoStartOffset
from worker.kafka.transport import KafkaTransport
from worker.settings import Settings
from worker.stream.records import Batch, Membership, Outcome, Record, Records


class Reader:
    """One whose committed offsets are gone while its group rebalances."""

    def __init__(self) -> None:
        self.offsets = self
        self.forgot = False

    def poll(self, *_: object) -> None:
        raise NoStartOffset({})

    def rewind(self) -> None:
        raise NoStartOffset({})

    def settled_membership(self) -> None:
        return None

    def forget_positions(self) -> None:
        self.forgot = True


class Transactions:
    def open(self) -> None:
        pass


def transport(reader: Reader) -> KafkaTransport:
    return KafkaTransport(Settings(), cast(Any, reader), cast(Any, Transactions()), threading.Event())


def test_a_rewind_that_has_to_wait_for_the_group_is_made_by_the_next_poll_also_as_another_member() -> None:
    reader = Reader()
    transport(reader).rewind()
    assert reader.forgot


def test_the_offsets_to_start_at_are_not_committed_while_the_group_rebalances() -> None:
    # Neither asked for nor committed: the stand-ins have nothing for either.
    with pytest.raises(RetryBatchError):
        transport(Reader()).poll()


class Gathering:
    """A reader that notes what it is told about the next transaction."""

    topic_id = ""

    def __init__(self) -> None:
        self.offsets = self
        self.member: Membership | None = BATCH.membership
        self.told: list[float | None] = []

    def poll(self, _: int, __: bool, next_begins_in_s: Callable[[], float | None]) -> None:
        self.told.append(next_begins_in_s())

    def membership(self) -> Membership | None:
        return self.member

    def note_committed(self, _: object) -> None:
        pass

    def markers(self) -> Batch:
        return Batch(Records("in"), {("in", 0): 2}, BATCH.membership)


class Committing(Transactions):
    """Transactions of which each ends when it may, or fails."""

    def __init__(self, error: Exception | None = None) -> None:
        self.may_end, self._error = threading.Event(), error

    def commit(self, *_: object) -> None:
        assert self.may_end.wait(10)
        if self._error is not None:
            raise self._error


BATCH = Batch(
    Records.of([Record("in", 0, 0, 0, None, None, ())]), {("in", 0): 1}, Membership("g", "m", 1, instance_id=None)
)


def gathering(
    committing: Committing, interval_ms: int, stop: threading.Event | None = None
) -> tuple[KafkaTransport, list[float | None]]:
    """A transport during its first commit, and what its reader is told from now on."""
    reader, settings = Gathering(), Settings(worker_commit_interval_ms=interval_ms)
    one = KafkaTransport(settings, cast(Any, reader), cast(Any, committing), stop or threading.Event())
    one.begin(BATCH, Outcome(ignored=1))
    return one, reader.told


@pytest.mark.parametrize("error", [RetryBatchError("away"), StopProcessError("no right", ExitStatus.ACT_FIRST)])
def test_markers_that_cannot_be_committed_do_not_spoil_a_drain(error: Exception) -> None:
    committing = Committing(error)
    committing.may_end.set()
    one = KafkaTransport(Settings(), cast(Any, Gathering()), cast(Any, committing), threading.Event())
    one.commit_markers()


def test_a_batch_grows_during_the_commit_before_it_and_for_the_interval_after_it() -> None:
    committing = Committing()
    one, told = gathering(committing, interval_ms=4_000)
    one.poll()
    committing.may_end.set()
    one.finish()
    one.poll()
    assert told[0] is None
    assert 0 < (told[1] or 0) <= 4


def test_a_batch_waits_neither_for_a_slow_commit_nor_after_a_failed_one_nor_when_the_worker_stops(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    failing, stop = Committing(RetryBatchError("refused")), threading.Event()
    failed, told = gathering(failing, interval_ms=4_000)
    failing.may_end.set()
    with pytest.raises(RetryBatchError):
        cast(Any, failed)._in_flight.committing.result(10)
    failed.poll()
    with pytest.raises(RetryBatchError):
        failed.finish()
    slow = Committing()
    one, told_later = gathering(slow, interval_ms=4_000, stop=stop)
    with monkeypatch.context() as patch:
        patch.setattr("worker.kafka.transport._GATHER_MOST_S", 0.0)
        one.poll()
    slow.may_end.set()
    one.finish()
    stop.set()
    one.poll()
    assert (told, told_later) == ([0.0], [0.0, 0.0])


def test_a_signal_that_the_waiting_thread_slept_through_is_handled_before_a_slow_commit_ends() -> None:
    committing = Committing()
    one, _ = gathering(committing, interval_ms=0)
    stopped = threading.Event()
    before = signal.signal(signal.SIGUSR1, lambda *_: stopped.set())

    def elsewhere() -> None:
        # To this thread, so that it does not wake the other one, as if that had not been asleep yet.
        signal.pthread_kill(threading.get_ident(), signal.SIGUSR1)
        seen.append(stopped.wait(8))
        committing.may_end.set()

    seen: list[bool] = []
    try:
        threading.Timer(0.2, elsewhere).start()
        one.finish()
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert seen == [True]


@pytest.mark.parametrize(
    ("member", "expected"),
    [
        (BATCH.membership, StopProcessError),
        (None, RetryBatchError),
        (Membership("g", "of a new session", 2, instance_id="one"), RetryBatchError),
    ],
)
def test_offsets_that_are_fenced_stop_the_worker_unless_it_was_this_process_that_joined_again(
    member: Membership | None, expected: type[Exception]
) -> None:
    fenced = StopProcessError("the instance id is used by another worker", ExitStatus.ACT_FIRST)
    fenced.__cause__ = FencedInstanceIdError()
    committing = Committing(fenced)
    reader = Gathering()
    one = KafkaTransport(Settings(), cast(Any, reader), cast(Any, committing), threading.Event())
    one.begin(BATCH, Outcome(ignored=1))
    reader.member = member
    committing.may_end.set()
    with pytest.raises(expected):
        one.finish()
