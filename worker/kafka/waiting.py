"""Waiting for brokers at a start."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, TypeVar

import structlog

from worker.errors import BrokersUnreachable, RetryBatchError
from worker.stream.ports import StopSignal

RETRY_S: Final = 0.5

T = TypeVar("T")

_log = structlog.get_logger()


def wait_for_brokers(attempt: Callable[[], T], servers: str, at_most_s: float, stop: StopSignal) -> T | None:
    """The result of `attempt`, which is repeated while brokers are unavailable; None when stopped before that.

    Raises the last BrokersUnreachable or RetryBatchError once the time is over, and any other error at once.
    """
    until_s = time.monotonic() + at_most_s
    warned = False
    while not stop.is_set():
        try:
            return attempt()
        except (BrokersUnreachable, RetryBatchError) as error:
            left_s = until_s - time.monotonic()
            if left_s <= 0:
                raise
            if not warned:
                _log.warning("waiting_for_broker", servers=servers, at_most_s=at_most_s, because=str(error))
                warned = True
            # The attempt may have failed without waiting.
            time.sleep(min(RETRY_S, left_s))
    return None
