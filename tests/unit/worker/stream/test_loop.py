"""The order of the loop's steps, and what happens on each error."""

from dataclasses import dataclass, field
from threading import Event

import pytest

from tests.support.fake_transport import FakeTransport
from tests.support.transport_contract import echo
from worker.errors import ExitStatus, RetryBatchError, StopProcessError
from worker.stream.loop import RETRY_FIRST_S, RETRY_MOST_S, backoff_s, run
from worker.stream.ports import Timings
from worker.stream.records import Batch, Outcome


@dataclass
class Seen:
    """An observer that remembers."""

    turns: int = 0
    committed_values: list[bytes | None] = field(default_factory=list)
    delays_s: list[float] = field(default_factory=list)

    def turned(self) -> None:
        self.turns += 1

    def committed(self, batch: Batch, _: Outcome, timings: Timings) -> None:
        assert timings.process_s >= 0
        assert timings.commit_s >= 0
        self.committed_values += [record.value for record in batch.records]

    def retrying(self, _: RetryBatchError, delay_s: float) -> None:
        self.delays_s.append(delay_s)


@pytest.fixture
def stop() -> Event:
    return Event()


@pytest.fixture
def transport(stop: Event) -> FakeTransport:
    """Five records; the loop is stopped at the first poll that finds nothing, or when it goes round in circles."""
    transport = FakeTransport()
    for n in range(5):
        transport.send(n % 2, b"%d" % n)

    def stop_when_done() -> None:
        if sum(each.lag or 0 for each in transport.progress()) == 0 or len(transport.calls) > 50:
            stop.set()

    transport.on_poll = stop_when_done
    return transport


def echoed(batch: Batch) -> Outcome:
    return echo(batch.records)


def no_delay(failures: int) -> float:
    return 0.0


def test_every_record_is_processed_and_committed_once(transport: FakeTransport, stop: Event) -> None:
    seen = Seen()
    run(transport, echoed, seen, stop, no_delay)
    assert sorted(message.value or b"" for message in transport.results) == [b"0", b"1", b"2", b"3", b"4"]
    assert sorted(value or b"" for value in seen.committed_values) == [b"0", b"1", b"2", b"3", b"4"]


def test_an_aborted_batch_is_read_again_and_counted_once(transport: FakeTransport, stop: Event) -> None:
    transport.commit_errors.append(RetryBatchError("aborted"))
    seen = Seen()
    run(transport, echoed, seen, stop, no_delay)
    assert sorted(message.value or b"" for message in transport.results) == [b"0", b"1", b"2", b"3", b"4"]
    assert sorted(value or b"" for value in seen.committed_values) == [b"0", b"1", b"2", b"3", b"4"]


def test_a_rewind_comes_before_the_next_poll(transport: FakeTransport, stop: Event) -> None:
    transport.commit_errors.append(RetryBatchError("aborted"))
    run(transport, echoed, Seen(), stop, no_delay)
    # The second batch was read and processed by then: it is forgotten, and nothing of it was begun.
    assert transport.calls[:7] == ["poll", "begin", "poll", "finish", "rewind", "poll", "begin"]


def test_a_batch_is_read_and_processed_during_the_commit_before_it_and_begun_after(
    transport: FakeTransport, stop: Event
) -> None:
    def process(batch: Batch) -> Outcome:
        transport.calls.append("process")
        return echo(batch.records)

    run(transport, process, Seen(), stop, no_delay)
    first, second = ["poll", "process", "begin"], ["poll", "process", "finish", "begin"]
    assert transport.calls == [*first, *second, "poll", "finish", "poll", "commit_markers", "close"]


def test_an_outcome_is_admitted_when_all_before_it_are_counted_and_a_refused_one_is_not_sent(
    transport: FakeTransport, stop: Event
) -> None:
    seen = Seen()

    def admit(outcome: Outcome) -> None:
        if len(seen.committed_values) == 3:
            raise StopProcessError("too many", ExitStatus.REJECT_LIMIT)

    with pytest.raises(StopProcessError):
        run(transport, echoed, seen, stop, no_delay, admit)
    assert len(transport.results) == 3
    assert transport.calls[-2:] == ["finish", "close"]


def test_a_poll_that_fails_during_a_commit_loses_no_count_of_it(transport: FakeTransport, stop: Event) -> None:
    seen = Seen()
    polled = transport.on_poll

    def fail_the_second() -> None:
        if transport.calls.count("poll") == 2:
            transport.poll_errors.append(RetryBatchError("broker away"))
        polled()

    transport.on_poll = fail_the_second
    run(transport, echoed, seen, stop, no_delay)
    assert sorted(value or b"" for value in seen.committed_values) == [b"0", b"1", b"2", b"3", b"4"]
    assert transport.calls[:6] == ["poll", "begin", "poll", "finish", "rewind", "poll"]


def test_a_commit_that_fails_after_the_stop_is_reported_and_the_group_is_left(stop: Event) -> None:
    transport = FakeTransport()
    transport.send(0, b"a")
    transport.on_poll = stop.set
    transport.commit_errors.append(RetryBatchError("aborted"))
    seen = Seen()
    run(transport, echoed, seen, stop, no_delay)
    assert (seen.committed_values, len(seen.delays_s), transport.closed) == ([], 1, True)


def test_the_delay_grows_with_failures_in_a_row_and_begins_anew_after_a_commit(
    transport: FakeTransport, stop: Event
) -> None:
    transport.commit_errors.extend([RetryBatchError("one"), RetryBatchError("two"), None, RetryBatchError("later")])
    seen = Seen()
    run(transport, echoed, seen, stop, lambda failures: failures / 1e6)
    assert seen.delays_s == [1e-6, 2e-6, 1e-6]


def test_a_poll_that_fails_is_retried(transport: FakeTransport, stop: Event) -> None:
    transport.poll_errors.append(RetryBatchError("broker away"))
    run(transport, echoed, Seen(), stop, no_delay)
    assert len(transport.results) == 5


def test_an_error_that_ends_the_process_leaves_the_group_first(transport: FakeTransport, stop: Event) -> None:
    transport.commit_errors.append(StopProcessError("no right to write", ExitStatus.ACT_FIRST))
    with pytest.raises(StopProcessError) as caught:
        run(transport, echoed, Seen(), stop, no_delay)
    assert caught.value.exit_status == 2
    assert transport.closed
    assert transport.results == []


def test_a_defect_in_processing_leaves_the_group_and_is_not_hidden(transport: FakeTransport, stop: Event) -> None:
    def process(batch: Batch) -> Outcome:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run(transport, process, Seen(), stop, no_delay)
    assert transport.closed


def test_a_stop_finishes_the_batch_in_hand(stop: Event) -> None:
    transport = FakeTransport(batch_max_events=2)
    for value in (b"a", b"b", b"c"):
        transport.send(0, value)
    transport.on_poll = stop.set
    run(transport, echoed, Seen(), stop, no_delay)
    assert [message.value for message in transport.results] == [b"a", b"b"]
    assert transport.closed


def test_how_far_was_read_is_not_committed_after_a_last_commit_that_failed(stop: Event) -> None:
    transport = FakeTransport()
    transport.send(0, b"0")
    transport.commit_errors.append(RetryBatchError("aborted"))
    transport.on_poll = stop.set
    run(transport, echoed, Seen(), stop, no_delay)
    assert transport.calls == ["poll", "begin", "finish", "close"]


def test_a_stop_ends_the_wait_before_a_retry(stop: Event) -> None:
    transport = FakeTransport()
    transport.poll_errors.append(RetryBatchError("broker away"))
    transport.on_poll = stop.set
    run(transport, echoed, Seen(), stop, lambda _: 3600.0)
    assert transport.calls == ["poll", "close"]


def test_turns_without_records_count_as_life(stop: Event) -> None:
    transport = FakeTransport()
    seen = Seen()
    transport.on_poll = lambda: stop.set() if seen.turns == 2 else None
    run(transport, echoed, seen, stop, no_delay)
    assert seen.turns == 3


def test_retries_back_off_up_to_a_limit_and_differ_between_workers() -> None:
    assert all(RETRY_FIRST_S / 2 <= backoff_s(1) <= RETRY_FIRST_S for _ in range(50))
    assert all(RETRY_MOST_S / 2 <= backoff_s(failures) <= RETRY_MOST_S for failures in (10, 100, 10_000))
    assert len({backoff_s(3) for _ in range(50)}) > 40
