"""The time of an event: text as in RFC 3339, or a number of seconds, milliseconds or microseconds since 1970."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import partial
from typing import Any, Final

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
# A part of what RFC 3339 allows: all other times are left to the exact way. -00:00 is one, and digits of a microsecond.
_TIME: Final = (
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]{1,6})?"
    r"(?:Z|(?:\+(?:[01][0-9]|2[0-3])|-(?!00:00)(?:[01][0-9]|2[0-3])):[0-5][0-9])"
)
_ONE_TIME: Final = re.compile(_TIME)
_TIMES: Final = re.compile(rf"(?:{_TIME}\n)*")

Wrong = Collection[int]
"""Positions in a column."""


class TimeFormat(StrEnum):
    """How the time of an event is written."""

    RFC3339 = "rfc3339"
    SECONDS = "s"
    MILLISECONDS = "ms"
    MICROSECONDS = "us"


UNITS: Final = {
    TimeFormat.SECONDS: "seconds",
    TimeFormat.MILLISECONDS: "milliseconds",
    TimeFormat.MICROSECONDS: "microseconds",
}


def moment(number: float, unit: TimeFormat) -> datetime:
    """The moment so long after 1970 began, or before; raises OverflowError outside of the years 1 to 9999."""
    return _EPOCH + timedelta(**{UNITS[unit]: number})


def moments_since_1970(unit: TimeFormat) -> Callable[[Sequence[Any]], tuple[Sequence[datetime], Wrong]]:
    """A reader of a column of numbers: the moments, and the positions of numbers outside of the years 1 to 9999."""
    return partial(_each, read=partial(moment, unit=unit))


def moments_in_text(times: Sequence[str]) -> tuple[Sequence[datetime], Wrong]:
    """The moments, and the positions of those that only the exact way can judge, where any moment stands for them."""
    text = "\n".join([*times, ""])
    # As many line ends as times: none of them has one in it.
    if text.count("\n") == len(times) and _TIMES.fullmatch(text):
        with suppress(ValueError):
            return [*map(datetime.fromisoformat, times)], ()
    return _each(times, _from_text)


def _from_text(time: str) -> datetime:
    if not _ONE_TIME.fullmatch(time):
        raise ValueError("left to the exact way")
    return datetime.fromisoformat(time)


def _each(values: Sequence[Any], read: Callable[[Any], datetime]) -> tuple[Sequence[datetime], Wrong]:
    moments, wrong = [], []
    for at, value in enumerate(values):
        try:
            moments.append(read(value))
        except (ValueError, OverflowError):
            moments.append(_EPOCH)
            wrong.append(at)
    return moments, wrong
