"""Health: a partition with lag that stands still while brokers answer, and nothing else, is not alive."""

import threading
from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from tests.support.transport_contract import PATIENCE_S, until
from worker.operations.health import Health, HealthWatch, Standstill, Watch, liveness, watched
from worker.stream.ports import PartitionProgress

WINDOW_S = 60.0


def partition(position: int | None, end: int | None, number: int = 0) -> PartitionProgress:
    return PartitionProgress("in", number, position, end)


def looked(*looks: tuple[float, PartitionProgress]) -> Watch:
    watch: Watch = {}
    for now_s, progress in looks:
        watch = watched(watch, [progress], now_s)
    return watch


def alive(watch: Watch, now_s: float) -> bool:
    return liveness(watch, now_s, WINDOW_S).healthy


def test_a_partition_with_lag_that_stands_still_for_the_window_is_a_stall() -> None:
    watch = looked((0, partition(5, 9)), (30, partition(5, 20)), (60, partition(5, 20)))
    assert alive(watch, 59.9)
    assert not alive(watch, 60)
    assert liveness(watch, 75, WINDOW_S).reason == "no progress although there is lag: in/0 at offset 5 for 75 s"


def test_a_partition_that_moves_is_alive_however_far_behind() -> None:
    watch = looked((0, partition(5, 10**9)), (59, partition(6, 10**9)))
    assert alive(watch, 118)
    assert not alive(watch, 119)


def test_a_partition_without_lag_may_stand_still_for_ever() -> None:
    watch = looked((0, partition(9, 9)), (3600, partition(9, 9)))
    assert alive(watch, 10**6)


def test_a_position_that_stays_unknown_while_the_partition_holds_something_is_a_stall() -> None:
    watch = looked((0, partition(None, 9)), (30, partition(None, 9)))
    assert not alive(watch, 60)
    assert "in/0 at offset unknown for 60 s" in liveness(watch, 60, WINDOW_S).reason
    assert alive(looked((0, partition(None, 0))), 10**6)
    assert alive(looked((0, partition(None, None))), 10**6)


def test_the_window_begins_when_the_lag_does() -> None:
    watch = looked((0, partition(9, 9)), (1000, partition(9, 10)))
    assert alive(watch, 1059)
    assert not alive(watch, 1060)


def test_without_an_answer_of_the_brokers_nothing_is_a_stall_and_the_window_begins_anew_after_it() -> None:
    watch = looked((0, partition(5, 9)), (50, partition(5, None)))
    assert alive(watch, 10**6)
    watch = looked((0, partition(5, 9)), (50, partition(5, None)), (100, partition(5, 9)))
    assert alive(watch, 159)
    assert not alive(watch, 160)


def test_an_open_upstream_transaction_is_no_stall_of_this_worker() -> None:
    # The log goes on, and the last stable offset does not: there is nothing that could be read.
    watch = looked((0, partition(9, 9)), (600, partition(9, 9)))
    assert alive(watch, 600)


def test_a_partition_that_left_is_forgotten() -> None:
    watch = watched({("in", 0): Standstill(5, 0.0)}, [], 59.0)
    assert watch == {}


def test_one_stalled_partition_among_many_is_enough() -> None:
    first = watched({}, [partition(1, 9, 0), partition(1, 9, 1)], 0)
    second = watched(first, [partition(2, 9, 0), partition(1, 9, 1)], 60)
    assert liveness(second, 60, WINDOW_S).reason == "no progress although there is lag: in/1 at offset 1 for 60 s"


@given(st.lists(st.integers(0, 5), min_size=1, max_size=30))
def test_a_stall_means_that_the_last_looks_over_the_window_saw_one_position(positions: list[int]) -> None:
    watch: Watch = {}
    for turn, position in enumerate(positions):
        watch = watched(watch, [partition(position, 10)], turn * 20.0)
    now_s = (len(positions) - 1) * 20.0
    assert alive(watch, now_s) == (len(positions) < 4 or len(set(positions[-4:])) > 1)


@dataclass
class Clock:
    now_s: float = 0.0

    def __call__(self) -> float:
        return self.now_s


@dataclass
class Progress:
    """What the transport says, and how many were listened to."""

    says: tuple[PartitionProgress, ...] = ()
    joined: bool = False
    sampled: list[tuple[PartitionProgress, ...]] = field(default_factory=list)
    looked: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))

    def __call__(self) -> tuple[PartitionProgress, ...]:
        self.looked.release()
        return self.says

    def wait_for_looks(self, count: int) -> None:
        for _ in range(count):
            assert self.looked.acquire(timeout=PATIENCE_S)


def test_ready_means_running_and_joined_and_not_told_to_stop() -> None:
    stop, progress = threading.Event(), Progress()
    health = HealthWatch(1.0, stop, progress.sampled.append, Clock())
    assert health.ready() == Health(healthy=False, reason="starting")
    health.running(progress, lambda: progress.joined)
    assert health.ready() == Health(healthy=False, reason="joining the consumer group")
    progress.joined = True
    assert health.ready() == Health(healthy=True, reason="model loaded, consumer group joined")
    stop.set()
    assert health.ready() == Health(healthy=False, reason="draining")
    health.not_ready("the reason")
    assert health.ready() == Health(healthy=False, reason="the reason")


def test_a_stall_is_found_by_looking_at_intervals_and_each_look_is_passed_on() -> None:
    clock, progress = Clock(), Progress((partition(5, 9),))
    health = HealthWatch(0.05, threading.Event(), progress.sampled.append, clock, show_stacks=lambda: None)
    health.running(progress, lambda: True)
    progress.wait_for_looks(2)
    assert health.live().healthy
    clock.now_s = 0.05
    assert not health.live().healthy
    assert progress.sampled[0] == (partition(5, 9),)
    health.not_ready("held")
    assert health.live().healthy


def test_a_held_worker_has_no_partitions_any_more() -> None:
    progress = Progress((partition(5, 9),))
    health = HealthWatch(0.05, threading.Event(), progress.sampled.append, Clock())
    health.running(progress, lambda: True)
    progress.wait_for_looks(1)
    health.not_ready("held")
    until(lambda: True if progress.sampled and progress.sampled[-1] == () else None)


def test_a_stall_is_told_once_with_its_partition_and_the_stacks_and_again_after_it_moved() -> None:
    clock, progress, shown = Clock(), Progress((partition(5, 9, 3),)), list[None]()

    def look_three_times() -> None:
        seen = len(progress.sampled)
        until(lambda: len(progress.sampled) > seen + 3 or None)

    with capture_logs() as logs:
        health = HealthWatch(0.05, threading.Event(), progress.sampled.append, clock, lambda: shown.append(None))
        health.running(progress, lambda: True)
        look_three_times()
        assert (shown, logs) == ([], [])
        for stall in (1, 2):
            clock.now_s += 0.05
            look_three_times()
            assert len(shown) == stall
            progress.says = (partition(5 + stall, 9, 3),)
            look_three_times()
        health.not_ready("held")
    assert [(entry["log_level"], entry["event"]) for entry in logs] == [("error", "stalled")] * 2
    assert logs[0]["reason"] == "no progress although there is lag: in/3 at offset 5 for 0 s"
