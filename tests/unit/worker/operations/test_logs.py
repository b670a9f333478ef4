"""Logs: one JSON object per line unless on a terminal, and never a value."""

import io
import json
import logging
import os
from typing import Any

import pytest
import structlog

from worker.operations.logs import configure_logs


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_is_a_json_object_with_time_level_event_and_fields() -> None:
    stream = io.StringIO()
    configure_logs(stream, "info")
    structlog.get_logger().info("batch_committed", events=3)
    (line,) = lines(stream)
    assert list(line) == ["timestamp", "level", "event", "events"]
    assert (line["level"], line["event"], line["events"]) == ("info", "batch_committed", 3)
    assert line["timestamp"].endswith("Z")


def test_on_a_terminal_a_line_is_for_people() -> None:
    stream = Terminal()
    configure_logs(stream, "info")
    structlog.get_logger().info("batch_committed", events=3)
    assert "batch_committed" in stream.getvalue()
    assert not stream.getvalue().startswith("{")


def test_what_is_below_the_level_is_not_written() -> None:
    stream = io.StringIO()
    configure_logs(stream, "warning")
    structlog.get_logger().info("unimportant")
    structlog.get_logger().warning("important")
    assert [line["event"] for line in lines(stream)] == ["important"]


def test_a_logger_made_before_the_configuration_follows_it() -> None:
    log = structlog.get_logger()
    stream = io.StringIO()
    configure_logs(stream, "info")
    log.info("late")
    assert [line["event"] for line in lines(stream)] == ["late"]


@pytest.mark.parametrize("stream", [io.StringIO(), Terminal()])
def test_an_exception_shows_where_it_came_from_and_no_value(stream: io.StringIO) -> None:
    configure_logs(stream, "info")
    payload = "the payload of user-1042"
    try:
        dict[str, int]()[payload]
    except KeyError:
        structlog.get_logger().exception("unexpected_error")
    assert "KeyError" in stream.getvalue()
    assert "test_logs.py" in stream.getvalue()
    assert "user-1042" not in stream.getvalue()


def test_kafka_pythons_warnings_and_errors_come_along_as_warnings() -> None:
    stream = io.StringIO()
    configure_logs(stream, "info")
    logging.getLogger("kafka.net").info("chatter")
    logging.getLogger("kafka.net").error("lost %s", "node 1")
    (line,) = lines(stream)
    assert (line["event"], line["level"]) == ("kafka_client", "warning")
    assert (line["logger"], line["message"]) == ("kafka.net", "lost node 1")


def test_a_name_that_is_not_text_is_written_all_the_same() -> None:
    stream = io.StringIO()
    configure_logs(stream, "info")
    structlog.get_logger().info("lost", path=os.fsdecode(b"/srv/caf\xe9"))
    (line,) = lines(stream)
    assert os.fsencode(line["path"]) == b"/srv/caf\xe9"


def test_a_log_that_cannot_be_written_does_not_stop_the_worker() -> None:
    class Full(io.StringIO):
        def write(self, _: str) -> int:
            raise BrokenPipeError

    configure_logs(Full(), "info")
    structlog.get_logger().info("lost")
    closed = io.StringIO()
    configure_logs(closed, "info")
    closed.close()
    structlog.get_logger().info("lost")
