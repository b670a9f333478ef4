"""The loop's observer: counts after the commit, one line a batch at most."""

import threading
from dataclasses import dataclass, field

from structlog.testing import capture_logs

from schemas.rejected import RejectReason
from worker.errors import RetryBatchError
from worker.operations.health import HealthWatch
from worker.operations.metrics import Metrics
from worker.operations.observer import LoopObserver
from worker.stream.ports import Timings
from worker.stream.records import Batch, Membership, Message, Outcome, Record, Records

BATCH = Batch(
    Records.of([Record("in", 0, 0, 0, b"user-1042", b"payload")] * 3), {("in", 0): 1}, Membership("g", "m", 1, None)
)
OUTCOME = Outcome((Message(b"user-1042", b"result"),) * 2, (Message(None, b"bad"),), {0: 2}, {RejectReason.NOT_JSON: 1})
TIMINGS = Timings(process_s=0.002, commit_s=0.01)


@dataclass
class Clock:
    now_s: float = 0.0

    def __call__(self) -> float:
        return self.now_s


@dataclass
class Watched:
    clock: Clock = field(default_factory=Clock)
    metrics: Metrics = field(default_factory=Metrics)
    committed: list[Outcome] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.health = HealthWatch(90, threading.Event(), self.metrics.progressed, self.clock)
        self.observer = LoopObserver(self.metrics, self.health, self.committed.append, self.clock)

    @property
    def text(self) -> str:
        return self.metrics.expose(live=True, ready=True).decode()


def test_a_committed_batch_is_counted_and_one_line_at_debug_level() -> None:
    watched = Watched()
    with capture_logs() as logs:
        watched.observer.committed(BATCH, OUTCOME, TIMINGS)
    (line,) = logs
    assert (line["event"], line["log_level"]) == ("batch_committed", "debug")
    assert (line["events"], line["assigned"], line["rejected"]) == (3, 2, 1)
    assert (line["process_ms"], line["commit_ms"]) == (2.0, 10.0)
    assert 'segment_worker_events_total{outcome="assigned"} 2.0' in watched.text
    assert watched.committed == [OUTCOME]


def test_health_follows_the_turns_of_the_loop() -> None:
    watched = Watched()
    watched.health.running(tuple, lambda: True)
    watched.observer.retrying(RetryBatchError("broker away"), 0.2)
    watched.clock.now_s = 60
    assert watched.health.ready().reason == "retrying for 60 s: broker away"
    watched.observer.turned()
    assert watched.health.ready().healthy
    watched.clock.now_s = 149
    assert watched.health.live().healthy
    watched.clock.now_s = 150
    assert not watched.health.live().healthy
    watched.health.not_ready("over")


def test_a_retried_batch_is_no_event() -> None:
    watched = Watched()
    with capture_logs() as logs:
        watched.observer.retrying(RetryBatchError("broker away"), 0.2)
    (line,) = logs
    assert (line["event"], line["log_level"], line["because"]) == ("batch_retried", "warning", "broker away")
    assert 'segment_worker_events_total{outcome="assigned"} 0.0' in watched.text
    assert "segment_worker_retries_total 1.0" in watched.text


def test_every_ten_seconds_in_which_something_happened_are_summed_up_in_one_line() -> None:
    watched = Watched()
    with capture_logs() as logs:
        for now_s in range(25):
            watched.clock.now_s = float(now_s)
            if now_s < 12:
                watched.observer.committed(BATCH, OUTCOME, TIMINGS)
            watched.observer.turned()
    sums = [line for line in logs if line["event"] == "events_committed"]
    assert [(line["batches"], line["assigned"], line["rejected"]) for line in sums] == [(11, 22, 11), (1, 2, 1)]
    assert sums[0]["events_per_second"] == 3.3


def test_no_line_holds_a_payload_or_a_user() -> None:
    watched = Watched()
    with capture_logs() as logs:
        watched.observer.committed(BATCH, OUTCOME, TIMINGS)
        watched.observer.sum_up()
    assert len(logs) == 2
    assert "payload" not in repr(logs)
    assert "user-1042" not in repr(logs)
