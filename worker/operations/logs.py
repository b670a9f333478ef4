"""Structured logs: constant event names with fields; for people on a terminal, JSON lines otherwise."""

from __future__ import annotations

import contextlib
import json
import logging
import sys
import threading
import traceback
from typing import TextIO

import orjson
import structlog
from structlog.typing import EventDict

from worker.operations.client_log import ClientLog


def configure_logs(stream: TextIO, level: str) -> None:
    """Make every logger write to the stream, readable if that is a terminal; `level` is the lowest that is written.

    kafka-python's warnings and errors are included, at most two lines for each area that fails. A line that cannot be
    written is lost, and does not stop the worker.
    """
    lines = _Lines(stream)
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _frames_only,
            structlog.dev.ConsoleRenderer() if stream.isatty() else _as_json,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=lambda *_: lines,
        cache_logger_on_first_use=False,
    )
    kafka = logging.getLogger("kafka")
    kafka.handlers = [ClientLog(structlog.get_logger())]
    kafka.propagate = False
    kafka.setLevel(logging.WARNING)


class _Lines:
    """Whole lines from several threads to one stream."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lock = threading.Lock()

    def msg(self, line: str) -> None:
        # ValueError: the stream is closed already, at the very end of a process.
        with self._lock, contextlib.suppress(OSError, ValueError):
            self._stream.write(line + "\n")
            self._stream.flush()

    debug = info = warning = error = critical = exception = msg


def _frames_only(_logger: object, _method: str, event: EventDict) -> EventDict:
    """Where an exception came from and its type; its message and the local variables may hold a payload."""
    error = event.pop("exc_info", None)
    if error is True:
        error = sys.exc_info()[1]
    if isinstance(error, BaseException):
        event["exception"] = "".join(traceback.format_tb(error.__traceback__)) + type(error).__qualname__
    return event


def _as_json(_logger: object, _method: str, event: EventDict) -> str:
    first = {name: event.pop(name) for name in ("timestamp", "level", "event")}
    try:
        return orjson.dumps(first | dict(event), default=str, option=orjson.OPT_NON_STR_KEYS).decode()
    except TypeError:  # a file name that is not text
        return json.dumps(first | dict(event), default=str)
