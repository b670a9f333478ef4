from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from schemas.rejected import RejectReason
from worker.errors import ExitStatus, StopProcessError
from worker.settings import Settings
from worker.stream.records import Message, Outcome, Verdict, Verdicts
from worker.stream.reject_limit import Breach, RejectGuard, RejectLimit, limit_warnings, reached, reject_limit

BAD, WORSE = RejectReason.NOT_JSON, RejectReason.INVALID_PROFILE
OK = Verdict.ASSIGNED
NONE = RejectLimit(None, 1000, None)
HALF = RejectLimit(0.5, 1000, None)
THREE = RejectLimit(None, 1000, 3)


def test_off_by_default() -> None:
    assert reject_limit(Settings(_env_file=None)) == NONE
    assert reached(NONE, (), (BAD,) * 5000) is None
    assert NONE.remembers == 0


def test_a_share_counts_from_a_hundred_events_on() -> None:
    assert reached(HALF, (), (BAD,) * 99) is None
    assert reached(HALF, (), (BAD,) * 100) == Breach("WORKER_REJECT_LIMIT_RATIO", 0.5, 100, Counter({BAD: 100}))
    assert reached(HALF, (OK,) * 51, (BAD,) * 50) is None
    assert reached(HALF, (OK,) * 51, (BAD,) * 51) is not None


def test_what_left_the_window_does_not_count() -> None:
    limit = RejectLimit(0.5, 100, None)
    assert reached(limit, (BAD,) * 49 + (OK,) * 51, (OK,) * 20 + (BAD,) * 20) is None
    breach = reached(limit, (BAD,) * 49 + (OK,) * 51, (WORSE, OK, WORSE, WORSE) + (BAD,) * 100)
    assert breach is not None
    assert (breach.events, breach.reasons.total()) == (100, 50)


def test_a_window_of_fewer_than_a_hundred_counts_when_it_is_full() -> None:
    limit = RejectLimit(0.5, 10, None)
    assert reached(limit, (), (BAD,) * 9) is None
    assert reached(limit, (), (BAD,) * 10) is not None


def test_so_many_in_a_row_over_batches_too_and_an_accepted_one_begins_anew() -> None:
    assert reached(THREE, (BAD, BAD), (OK, BAD, BAD, OK)) is None
    assert reached(THREE, (BAD, OK, BAD, BAD), (WORSE,)) == Breach(
        "WORKER_REJECT_LIMIT_CONSECUTIVE", 3, 3, Counter({BAD: 2, WORSE: 1})
    )
    assert reached(THREE, (), (OK, BAD, BAD, BAD, OK)) is not None


VERDICTS = st.lists(st.sampled_from([OK, BAD, WORSE]), max_size=40).map(tuple)


@given(VERDICTS, VERDICTS, st.integers(1, 15), st.sampled_from([None, 0.2, 0.5, 1.0]), st.sampled_from([None, 2, 20]))
def test_it_is_what_counting_anew_for_each_event_gives_and_the_cut_into_batches_changes_nothing(
    before: Verdicts, verdicts: Verdicts, window: int, ratio: float | None, consecutive: int | None
) -> None:
    limit = RejectLimit(ratio, window, consecutive)

    def over(line: Verdicts) -> bool:
        last = line[-window:]
        share = ratio is not None and len(last) == window and sum(v is not OK for v in last) / window >= ratio
        row = consecutive is not None and len(line) >= consecutive and OK not in line[-consecutive:]
        return line[-1] is not OK and (share or row)

    line = (*before, *verdicts)
    expected = any(over(line[:end]) for end in range(len(before) + 1, len(line) + 1))
    remembered = before[-limit.remembers :] if limit.remembers else ()
    assert (reached(limit, before, verdicts) is not None) == expected
    assert (reached(limit, remembered, verdicts) is not None) == expected


def outcome(*verdicts: Verdict | RejectReason) -> Outcome:
    rejected = tuple(Message(b"k", b"v") for verdict in verdicts if isinstance(verdict, RejectReason))
    return Outcome(rejected=rejected, verdicts=verdicts, ignored=verdicts.count(Verdict.IGNORED))


def test_a_batch_that_was_not_committed_does_not_count() -> None:
    reached_calls: list[None] = []
    guard = RejectGuard(THREE, lambda: reached_calls.append(None))
    for _ in range(5):
        guard.require_below(outcome(BAD, BAD))
    guard.committed(outcome(BAD, BAD))
    with capture_logs() as logs, pytest.raises(StopProcessError) as caught:
        guard.require_below(outcome(WORSE))
    assert caught.value.exit_status is ExitStatus.REJECT_LIMIT
    assert str(caught.value).startswith(
        "stopped by the reject limit: 3 of the last 3 events would be rejected (2 not_json, 1 invalid_profile), and "
        "WORKER_REJECT_LIMIT_CONSECUTIVE is 3; nothing of this batch was committed; "
    )
    assert [(log["event"], log["rejected"]) for log in logs] == [("reject_limit_reached", 3)]
    assert reached_calls == [None]


def test_ignored_records_are_no_part_of_any_share() -> None:
    guard = RejectGuard(THREE, lambda: None)
    guard.committed(outcome(Verdict.IGNORED, BAD, Verdict.IGNORED, Verdict.IGNORED))
    guard.require_below(outcome(Verdict.IGNORED, BAD, Verdict.IGNORED))
    guard.committed(outcome(BAD, Verdict.IGNORED))
    with pytest.raises(StopProcessError):
        guard.require_below(outcome(Verdict.IGNORED, BAD))


def test_a_guard_remembers_no_more_than_decides() -> None:
    guard = RejectGuard(replace(THREE, ratio=0.5, window=50), lambda: None)
    for _ in range(100):
        guard.committed(outcome(OK, BAD))
    assert len(guard._before) == 50


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, []),
        ({"worker_reject_limit_ratio": 0.2, "worker_reject_limit_window": 500}, []),
        ({"worker_reject_limit_window": 500}, ["WORKER_REJECT_LIMIT_WINDOW has no effect without"]),
        ({"worker_reject_limit_consecutive": 1}, ["WORKER_REJECT_LIMIT_CONSECUTIVE is 1: the first"]),
        ({"worker_reject_limit_ratio": 0.01}, ["WORKER_REJECT_LIMIT_RATIO is 0.01: one rejected event of 100"]),
        (
            {"worker_reject_limit_ratio": 0.05, "worker_reject_limit_window": 20},
            ["WORKER_REJECT_LIMIT_RATIO is 0.05: one rejected event of 20"],
        ),
    ],
)
def test_settings_that_are_hardly_meant_are_named(given: dict[str, float], expected: list[str]) -> None:
    lines = limit_warnings(Settings(_env_file=None, **given))  # type: ignore[arg-type]  # names and values of several fields
    assert len(lines) == len(expected)
    assert all(line.startswith(start) for line, start in zip(lines, expected, strict=True))
