"""A batch that took too long is followed by smaller ones, and one that did not by larger ones up to the setting."""

from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from worker.kafka.batch_limit import LARGE_SHARE, BatchLimit, next_limit
from worker.settings import Settings


def test_a_batch_that_took_a_large_share_of_its_time_is_followed_by_one_of_half_its_size() -> None:
    assert next_limit(500, 500, events=500, share=0.26) == 250
    assert next_limit(500, 500, events=40, share=5.0) == 20
    assert next_limit(1, 500, events=1, share=5.0) == 1


def test_a_full_batch_that_was_fast_is_followed_by_one_of_a_tenth_more_up_to_the_setting() -> None:
    assert next_limit(250, 500, events=250, share=0.01) == 275
    assert next_limit(490, 500, events=490, share=0.01) == 500
    assert next_limit(1, 500, events=1, share=0.01) == 2


def test_a_small_batch_says_nothing_of_larger_ones() -> None:
    assert next_limit(250, 500, events=249, share=0.01) == 250


def test_a_batch_at_half_of_the_large_share_is_the_right_size() -> None:
    assert next_limit(250, 500, events=250, share=LARGE_SHARE * 0.6) == 250


@given(st.floats(1e-7, 1e3), st.integers(1, 100_000))
def test_whatever_one_event_costs_the_batches_become_small_enough_and_not_needlessly_small(
    share_of_one: float, most: int
) -> None:
    limit = most
    for _ in range(300):
        limit = next_limit(limit, most, limit, limit * share_of_one)
    assert limit == 1 or limit * share_of_one <= LARGE_SHARE
    assert limit == most or limit * share_of_one >= LARGE_SHARE / 2 / 1.1 or limit < 10


def settings() -> Settings:
    return Settings(
        _env_file=None,
        worker_batch_max_events=400,
        worker_max_poll_interval_ms=60_000,
        worker_transaction_timeout_ms=10_000,
    )


def test_the_time_from_poll_to_commit_counts_against_the_poll_interval_and_the_commit_against_its_timeout() -> None:
    limit = BatchLimit(settings())
    limit.took(400, worked_s=14.0, commit_s=2.0)
    assert limit.events == 400
    limit.took(400, worked_s=16.0, commit_s=0.1)
    assert limit.events == 200
    limit.took(200, worked_s=3.0, commit_s=2.6)
    assert limit.events == 100


def test_a_lowered_limit_is_logged_with_what_was_slow_and_so_is_its_end() -> None:
    limit = BatchLimit(settings())
    with capture_logs() as logs:
        limit.took(300, worked_s=16.0, commit_s=0.5)
        for _ in range(20):
            limit.took(limit.events, worked_s=0.1, commit_s=0.1)
    assert [(entry["event"], entry["events"]) for entry in logs] == [
        ("batch_limit_lowered", 150),
        ("batch_limit_restored", 400),
    ]
    assert logs[0]["because"] == "300 events took 16.0 s, of which 0.5 s to commit"
