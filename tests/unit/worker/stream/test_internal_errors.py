import pytest
from structlog.testing import capture_logs

from schemas.rejected import RejectReason
from worker.errors import ExitStatus, StopProcessError
from worker.stream.internal_errors import InternalErrorGuard
from worker.stream.records import Message, Outcome, Verdict

SECRET = "user-1042"


def raised() -> Exception:
    with pytest.raises(KeyError) as caught:
        dict[str, int]()[SECRET]
    return caught.value


REJECTED = Message(b"k", b"v")
FAILED = Outcome(rejected=(REJECTED,), verdicts=(RejectReason.INTERNAL_ERROR,), errors=(raised(),))
BAD_DATA = Outcome(rejected=(REJECTED,), verdicts=(RejectReason.EMPTY,))
SCORED = Outcome(results=(REJECTED,), verdicts=(Verdict.ASSIGNED,))
ERASED_ONLY = Outcome(results=(REJECTED,), rejected=(REJECTED,), errors=(raised(),), erasures={0: REJECTED})
PARTLY = Outcome(results=(REJECTED,), rejected=(REJECTED,), errors=(raised(),))


def test_a_failure_is_logged_once_with_its_traceback_and_without_values() -> None:
    guard = InternalErrorGuard()
    with capture_logs() as logs:
        guard.require_scoring(FAILED)
        guard.require_scoring(PARTLY)
    assert [(log["event"], log["log_level"], log["error"]) for log in logs] == [
        ("internal_error", "error", "KeyError")
    ] * len(logs)
    assert "in raised" in logs[0]["traceback"]
    assert SECRET not in str(logs)
    with capture_logs() as logs:
        guard.require_scoring(FAILED)
    assert logs == []


def committed(*outcomes: Outcome) -> InternalErrorGuard:
    guard = InternalErrorGuard()
    for outcome in outcomes:
        guard.require_scoring(outcome)
        guard.committed(outcome)
    return guard


@pytest.mark.parametrize(
    "before", [(FAILED, FAILED), (SCORED, FAILED, BAD_DATA, FAILED), (PARTLY, FAILED, FAILED), (FAILED, ERASED_ONLY)]
)
def test_the_third_batch_in_a_row_on_which_everything_fails_stops_the_worker(before: tuple[Outcome, ...]) -> None:
    guard = committed(*before)
    with pytest.raises(StopProcessError) as caught:
        guard.require_scoring(FAILED)
    assert caught.value.exit_status is ExitStatus.RESTART
    assert "KeyError" in str(caught.value)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    "before", [(FAILED,), (FAILED, FAILED, SCORED), (FAILED, PARTLY, FAILED), (BAD_DATA, BAD_DATA)]
)
def test_a_model_that_scores_now_and_then_goes_on(before: tuple[Outcome, ...]) -> None:
    committed(*before).require_scoring(FAILED)


def test_a_batch_that_was_not_committed_does_not_count() -> None:
    guard = InternalErrorGuard()
    for _ in range(5):
        guard.require_scoring(FAILED)
