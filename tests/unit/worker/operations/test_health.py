"""Health: dead is a loop that hangs, or one that reports success without progress; an outage is neither."""

import threading
from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from tests.support.transport_contract import PATIENCE_S, until
from worker.operations.health import NOT_READY_AFTER_S, Health, HealthWatch, Standstill, Turn, Watch, liveness, watched
from worker.stream.ports import PartitionProgress

WINDOW_S = 90.0
POLL_INTERVAL_S = 60.0


def partition(position: int | None, end: int | None, number: int = 0) -> PartitionProgress:
    return PartitionProgress("in", number, position, end)


def looked(*looks: tuple[float, PartitionProgress]) -> Watch:
    watch: Watch = {}
    for now_s, progress in looks:
        watch = watched(watch, [progress], now_s)
    return watch


def judged(watch: Watch, now_s: float) -> Health:
    """Of a loop whose turns all succeed."""
    return liveness(Turn(now_s), watch, now_s, WINDOW_S)


def alive(watch: Watch, now_s: float) -> bool:
    return judged(watch, now_s).healthy


def test_a_partition_with_lag_that_stands_still_for_the_window_while_the_loop_succeeds_is_a_stall() -> None:
    watch = looked((0, partition(5, 9)), (30, partition(5, 20)), (90, partition(5, 20)))
    assert alive(watch, 89.9)
    assert not alive(watch, 90)
    assert judged(watch, 105).reason == "no progress although there is lag: in/0 at offset 5 for 105 s"


def test_a_loop_that_makes_no_turn_for_the_window_is_dead_whatever_its_partitions_do() -> None:
    turn = Turn(0).succeeded(10).retried(20, "broker away")
    assert liveness(turn, {}, 109, WINDOW_S).healthy
    dead = liveness(turn, {}, 110, WINDOW_S)
    assert (dead.healthy, dead.reason) == (False, "the loop made no turn for 90 s")


def test_an_outage_that_is_reported_as_retries_is_no_death_however_long_it_lasts() -> None:
    # The output topic under min.insync.replicas, or a coordinator away: the input answers, with lag that stands still.
    turn, watch = Turn(0), looked((0, partition(5, 9)))
    for now_s in range(15, 24 * 3600, 15):
        turn = turn.retried(now_s, "NotEnoughReplicasError")
        watch = watched(watch, [partition(5, 9 + now_s)], now_s)
        assert liveness(turn, watch, now_s + 14, WINDOW_S).healthy
    # It is over, and the loop reports success: now the partition has to move within the window.
    now_s = 24 * 3600
    assert liveness(turn.succeeded(now_s), watch, now_s, WINDOW_S).healthy
    assert not liveness(turn.succeeded(now_s + 120), watch, now_s + 120, WINDOW_S).healthy


def test_a_rebalance_that_waits_for_a_stuck_member_is_no_death() -> None:
    # Polls return nothing meanwhile; the group expels the member after its poll interval, and records come again.
    watch = looked((0, partition(5, 9)), (POLL_INTERVAL_S + 10, partition(5, 50)))
    assert alive(watch, POLL_INTERVAL_S + 10)
    assert alive(watched(watch, [partition(6, 50)], POLL_INTERVAL_S + 11), POLL_INTERVAL_S + 11 + WINDOW_S - 1)


def test_a_partition_without_a_leader_is_no_death_while_the_others_move() -> None:
    watch: Watch = {}
    for now_s in range(0, 3600, 5):
        watch = watched(watch, [partition(5, None, 0), partition(now_s, 10**9, 1)], now_s)
        assert alive(watch, now_s)


def test_a_partition_that_moves_is_alive_however_far_behind() -> None:
    watch = looked((0, partition(5, 10**9)), (89, partition(6, 10**9)))
    assert alive(watch, 178)
    assert not alive(watch, 179)


def test_a_partition_without_lag_may_stand_still_for_ever() -> None:
    # So may one behind an upstream transaction that was left open: the last stable offset does not move either.
    watch = looked((0, partition(9, 9)), (3600, partition(9, 9)))
    assert alive(watch, 10**6)


def test_a_position_that_stays_unknown_while_the_partition_holds_something_is_a_stall() -> None:
    watch = looked((0, partition(None, 9)), (30, partition(None, 9)))
    assert not alive(watch, 90)
    assert "in/0 at offset unknown for 90 s" in judged(watch, 90).reason
    assert alive(looked((0, partition(None, 0))), 10**6)
    assert alive(looked((0, partition(None, None))), 10**6)


def test_the_window_begins_when_the_lag_does() -> None:
    watch = looked((0, partition(9, 9)), (1000, partition(9, 10)))
    assert alive(watch, 1089)
    assert not alive(watch, 1090)


def test_without_an_answer_of_the_brokers_nothing_is_a_stall_and_the_window_starts_over_after_it() -> None:
    watch = looked((0, partition(5, 9)), (50, partition(5, None)))
    assert alive(watch, 10**6)
    watch = looked((0, partition(5, 9)), (50, partition(5, None)), (100, partition(5, 9)))
    assert alive(watch, 189)
    assert not alive(watch, 190)


def test_a_partition_that_left_is_forgotten() -> None:
    watch = watched({("in", 0): Standstill(5, 0.0)}, [], 59.0)
    assert watch == {}


def test_one_stalled_partition_among_many_is_enough() -> None:
    first = watched({}, [partition(1, 9, 0), partition(1, 9, 1)], 0)
    second = watched(first, [partition(2, 9, 0), partition(1, 9, 1)], 90)
    assert judged(second, 90).reason == "no progress although there is lag: in/1 at offset 1 for 90 s"


@given(st.lists(st.integers(0, 5), min_size=1, max_size=30))
def test_a_stall_means_that_the_last_looks_over_the_window_saw_one_position(positions: list[int]) -> None:
    watch: Watch = {}
    for turn, position in enumerate(positions):
        watch = watched(watch, [partition(position, 10)], turn * 30.0)
    now_s = (len(positions) - 1) * 30.0
    assert alive(watch, now_s) == (len(positions) < 4 or len(set(positions[-4:])) > 1)


@dataclass
class Clock:
    now_s: float = 0.0

    def __call__(self) -> float:
        return self.now_s


@dataclass
class Progress:
    """The progress that the transport reports, and what was sampled of it."""

    now: tuple[PartitionProgress, ...] = ()
    joined: bool = False
    sampled: list[tuple[PartitionProgress, ...]] = field(default_factory=list)
    looked: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))

    def __call__(self) -> tuple[PartitionProgress, ...]:
        self.looked.release()
        return self.now

    def wait_for_looks(self, count: int) -> None:
        for _ in range(count):
            assert self.looked.acquire(timeout=PATIENCE_S)


def test_ready_means_running_and_joined_and_not_stopping() -> None:
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


def test_retries_that_go_on_make_the_worker_not_ready_until_a_turn_succeeds() -> None:
    clock = Clock()
    health = HealthWatch(WINDOW_S, threading.Event(), lambda _: None, clock)
    health.running(tuple, lambda: True)
    health.retrying("first")
    clock.now_s = NOT_READY_AFTER_S - 0.1
    assert health.ready().healthy
    clock.now_s = NOT_READY_AFTER_S
    health.retrying("topic out was deleted")
    assert health.ready() == Health(healthy=False, reason="retrying for 10 s: topic out was deleted")
    assert health.live().healthy
    health.turned()
    assert health.ready().healthy
    health.not_ready("over")


def test_a_start_may_take_longer_than_the_window() -> None:
    clock = Clock()
    health = HealthWatch(WINDOW_S, threading.Event(), lambda _: None, clock)
    clock.now_s = 1000
    assert health.live() == Health(healthy=True, reason="starting")
    health.running(tuple, lambda: True)
    assert health.live().healthy
    clock.now_s += WINDOW_S
    assert not health.live().healthy
    health.not_ready("over")


def test_a_stall_is_found_by_looking_at_intervals_and_each_look_is_passed_on() -> None:
    clock, progress = Clock(), Progress((partition(5, 9),))
    health = HealthWatch(0.05, threading.Event(), progress.sampled.append, clock, show_stacks=lambda: None)
    health.running(progress, lambda: True)
    progress.wait_for_looks(2)
    assert health.live().healthy
    clock.now_s = 0.05
    health.turned()
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


def test_a_stall_is_logged_once_with_its_partition_and_the_stacks_and_again_after_it_moved() -> None:
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
            health.turned()
            look_three_times()
            assert len(shown) == stall
            progress.now = (partition(5 + stall, 9, 3),)
            look_three_times()
        health.not_ready("held")
    assert [(entry["log_level"], entry["event"]) for entry in logs] == [("error", "stalled")] * 2
    assert logs[0]["reason"] == "no progress although there is lag: in/3 at offset 5 for 0 s"
