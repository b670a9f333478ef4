from __future__ import annotations

import pytest

from benchmarks.open_loop import Schedule, latency

SCHEDULE = Schedule(start_s=100.0, rate=500.0, warm_up=50, measured=1_000)


def test_an_event_is_due_at_its_place_in_the_schedule_whatever_happened_to_those_before() -> None:
    assert [SCHEDULE.due_s(number) for number in (0, 1, 500)] == [100.0, 100.002, 101.0]


@pytest.mark.parametrize(
    ("now_s", "due"), [(99.0, 0), (100.0, 1), (100.0021, 2), (101.0, 501), (1_000.0, SCHEDULE.events)]
)
def test_all_events_up_to_now_are_due_and_none_after_the_last(now_s: float, due: int) -> None:
    assert SCHEDULE.due_until(now_s) == due


def test_a_stall_counts_for_every_event_that_was_due_meanwhile() -> None:
    # All results are there at once, 3 s after the start: no event was sent late by its own clock, yet each has waited.
    found = latency(SCHEDULE, dict.fromkeys(range(SCHEDULE.events), 103.0))
    assert found is not None
    assert found.max == pytest.approx(3_000 - 50 * 2)
    assert found.p50 == pytest.approx(3_000 - 550 * 2, abs=2.1)


def test_what_is_received_during_the_warm_up_does_not_count() -> None:
    slow_start = {number: SCHEDULE.due_s(number) + (9.0 if number < 50 else 0.004) for number in range(SCHEDULE.events)}
    found = latency(SCHEDULE, slow_start)
    assert found is not None
    assert (found.p50, found.p99, found.p999, found.max) == pytest.approx((4.0,) * 4)


def test_there_is_no_figure_when_a_result_is_missing() -> None:
    received = {number: SCHEDULE.due_s(number) for number in range(SCHEDULE.events - 1)}
    assert latency(SCHEDULE, received) is None
