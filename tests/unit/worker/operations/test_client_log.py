"""An outage is two lines of the client's, not a thousand."""

import logging
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from structlog.testing import capture_logs
from structlog.typing import EventDict

from worker.operations.client_log import ClientLog


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def client(clock: Clock) -> ClientLog:
    return ClientLog(structlog.get_logger(), quiet_s=60.0, clock_s=clock)


@pytest.fixture
def lines() -> Iterator[list[EventDict]]:
    with capture_logs() as captured:
        yield captured


def say(client: ClientLog, logger: str, message: str, *args: Any) -> None:
    client.handle(logging.LogRecord(logger, logging.ERROR, "", 0, message, args, None))


def test_of_an_outage_the_first_line_is_written_and_when_it_is_over_how_many_there_were(
    client: ClientLog, clock: Clock, lines: list[EventDict]
) -> None:
    for second in range(200):
        clock.now_s = float(second)
        say(client, "kafka.net.manager", "Connection failed: %s", "111 ECONNREFUSED")
        say(client, "kafka.cluster", "Metadata refresh: failed %s", "111 ECONNREFUSED")
        client.log_recovered()
    clock.now_s += 60
    client.log_recovered()
    assert [(line["event"], line["area"]) for line in lines] == [
        ("kafka_client", "connection"),
        ("kafka_client_quiet", "connection"),
    ]
    assert lines[0]["message"] == "Connection failed: 111 ECONNREFUSED"
    assert (lines[1]["lines"], lines[1]["failed_s"]) == (400, 199.0)


def test_the_next_outage_is_written_again(client: ClientLog, clock: Clock, lines: list[EventDict]) -> None:
    for _ in range(2):
        say(client, "kafka.net.manager", "Connection failed")
        clock.now_s += 61
        client.log_recovered()
    assert [line["event"] for line in lines] == ["kafka_client", "kafka_client"]


def test_what_fails_in_another_area_is_written_too(client: ClientLog, lines: list[EventDict]) -> None:
    say(client, "kafka.net.manager", "Connection failed")
    say(client, "kafka.coordinator", "Heartbeat failed")
    say(client, "kafka.metrics", "Odd")
    assert [line["area"] for line in lines] == ["connection", "group", "kafka.metrics"]


@pytest.mark.parametrize(
    "message",
    [
        "Unknown error fetching offsets for in/0: [Error 88] UnstableOffsetCommitError",
        "Task ran for 0.102s (>0.100s threshold). It is blocking the event loop",
    ],
)
def test_what_is_not_a_failure_is_a_line_for_debugging(client: ClientLog, lines: list[EventDict], message: str) -> None:
    say(client, "kafka.coordinator", message)
    assert [line["log_level"] for line in lines] == ["debug"]


def test_the_end_is_written_without_another_line_of_the_client(lines: list[EventDict]) -> None:
    client = ClientLog(structlog.get_logger(), quiet_s=0.05)
    for _ in range(3):
        say(client, "kafka.net.manager", "Connection failed")
    # One that looks too early, because the last line came after the first, starts another.
    while timers := [each for each in threading.enumerate() if getattr(each, "interval", None) == 0.05]:
        for each in timers:
            each.join(timeout=10)
    assert [line["event"] for line in lines] == ["kafka_client", "kafka_client_quiet"]
