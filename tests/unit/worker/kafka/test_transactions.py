"""What becomes of a transaction that failed, with a stand-in for its producer."""

import threading
from typing import Any, cast

import pytest
from kafka.errors import FencedInstanceIdError, TopicAuthorizationFailedError

from worker.errors import RetryBatchError, StopProcessError
from worker.kafka.producer import Transactions
from worker.lifecycle import Deadline
from worker.settings import Settings
from worker.stream.records import Membership


class Refused:
    """A producer whose offsets are refused, and which can abort."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def send_offsets(self, *_: object) -> None:
        raise self._error

    def causes(self, error: Exception) -> tuple[Exception]:
        return (error,)

    def needs_replacement(self) -> bool:
        return False

    def abort(self) -> bool:
        return True

    def __getattr__(self, _: str) -> Any:
        return lambda *_: None


def committed(error: Exception) -> None:
    """Commit one offset, which is refused with this error."""
    deadline = Deadline(threading.Event())
    transactions = Transactions(Settings(), {}, "group:one", lambda _: cast(Any, Refused(error)), deadline)
    transactions.commit({}, {("in", 0): 1}, Membership("group", "member", 1, "one"))


def test_offsets_of_a_member_that_was_replaced_are_retried_for_it_may_be_this_process_that_joined_again() -> None:
    with pytest.raises(RetryBatchError, match="newer member of this instance id"):
        committed(FencedInstanceIdError())


def test_offsets_that_are_refused_for_another_reason_that_stays_stop_the_process() -> None:
    with pytest.raises(StopProcessError):
        committed(TopicAuthorizationFailedError("in"))
