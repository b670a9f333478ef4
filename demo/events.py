"""Events as upstream applications would send them: generated users, and some events that are invalid on purpose."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import Any

import numpy as np
import orjson

from demo.kafka.client import NewRecord
from demo.population import NUMBERS, Population, rounded
from schemas.events import CONTENT_TYPE, OBSERVED_TYPE
from schemas.rejected import RejectReason

# How much an observation differs from the user's history (standard deviation of the logarithm).
_OBSERVATION_SPREAD = 0.08
_BLOCK_EVENTS = 1_000
_HEADERS = {"content-type": CONTENT_TYPE.encode()}

Event = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Emitted:
    """One record to send; for an invalid one, the reason for which it must be rejected."""

    record: NewRecord
    reason: RejectReason | None = None
    ignored: bool = False
    """Whether it is another event, which a worker ignores."""


def emitted(
    population: Population,
    count: int | None,
    bad_share: float,
    *,
    new_id: Callable[[], str],
    now: Callable[[], datetime],
) -> Iterator[Emitted]:
    """Events of users drawn from the population: `count` of them, or without end.

    Exactly `bad_share` of them (rounded down) are invalid, evenly spread, each kind in turn. The draws depend on the
    population's seed; ids and times come from the two functions.
    """
    for position, (user, profile) in enumerate(islice(_observations(population), count)):
        event = {
            "specversion": "1.0",
            "type": OBSERVED_TYPE,
            "source": "/demo/web",
            "id": new_id(),
            "subject": user,
            "time": now().astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "data": profile,
        }
        bad_before = _bad_among(position, bad_share)
        if _bad_among(position + 1, bad_share) == bad_before:
            yield Emitted(NewRecord(user.encode(), orjson.dumps(event), _HEADERS))
        else:
            kind = BAD_KINDS[bad_before % len(BAD_KINDS)]
            yield Emitted(NewRecord(user.encode(), kind.spoil(event), _HEADERS), kind.reason)


def _bad_among(events: int, bad_share: float) -> int:
    return int(events * bad_share + 1e-9)  # 0.29 of 100 is 28.999999999999996


def _observations(population: Population) -> Iterator[tuple[str, Event]]:
    blocks = [*population.blocks()]
    users = [user for block in blocks for user in block.users]
    columns = {name: [value for block in blocks for value in block.profiles[name]] for name in blocks[0].profiles}
    del blocks
    draw = np.random.default_rng([population.seed, 0])
    while True:
        chosen = draw.integers(len(users), size=_BLOCK_EVENTS).tolist()
        profiles = {name: [values[position] for position in chosen] for name, values in columns.items()}
        for number in NUMBERS:
            strayed = np.array(profiles[number.name]) * np.exp(
                _OBSERVATION_SPREAD * draw.standard_normal(_BLOCK_EVENTS)
            )
            profiles[number.name] = rounded(number, strayed)
        names = [*profiles]
        for position, *values in zip(chosen, *profiles.values(), strict=True):
            yield users[position], dict(zip(names, values, strict=True))


@dataclass(frozen=True, slots=True)
class BadKind:
    """One way to be invalid: the reason for which it is rejected, and the value that it makes of a valid event."""

    reason: RejectReason
    spoil: Callable[[Event], bytes | None]


def _nothing_but(value: bytes | None) -> Callable[[Event], bytes | None]:
    return lambda _event: value


def _without(attribute: str) -> Callable[[Event], bytes]:
    return lambda event: orjson.dumps({name: value for name, value in event.items() if name != attribute})


def _with(**attributes: Any) -> Callable[[Event], bytes]:
    return lambda event: orjson.dumps({**event, **attributes})


def _with_profile(**fields: Any) -> Callable[[Event], bytes]:
    return lambda event: orjson.dumps({**event, "data": {**event["data"], **fields}})


def _with_number(text: bytes) -> Callable[[Event], bytes]:
    """A number that JSON does not allow, or that is out of range."""
    return lambda event: orjson.dumps({**event, "data": {**event["data"], "likes_and_reactions": "?"}}).replace(
        b'"?"', text
    )


_TOO_LARGE_BYTES = 910_000  # more than the worker accepts, less than topics do

BAD_KINDS = (
    BadKind(RejectReason.INVALID_PROFILE, _with_profile(click_through_rate=1.5)),
    BadKind(RejectReason.NOT_JSON, lambda event: orjson.dumps(event)[:-20]),
    BadKind(RejectReason.INVALID_ENVELOPE, _without("id")),
    BadKind(RejectReason.UNKNOWN_TYPE, _with(type="user.profile.observed.v2")),
    BadKind(RejectReason.EMPTY, _nothing_but(None)),
    BadKind(RejectReason.TOO_LARGE, _with(padding="x" * _TOO_LARGE_BYTES)),
    BadKind(RejectReason.INVALID_PROFILE, _with_profile(likes_and_reactions="5640")),
    BadKind(RejectReason.NOT_JSON, lambda event: b"\xff" + orjson.dumps(event)),
    BadKind(RejectReason.INVALID_ENVELOPE, _with(time="2026-11-22T12:00:00")),
    BadKind(RejectReason.EMPTY, _nothing_but(b"")),
    BadKind(RejectReason.INVALID_PROFILE, _with_profile(followed_accounts=True)),
    BadKind(RejectReason.NOT_JSON, _with_number(b"NaN")),
    BadKind(RejectReason.INVALID_ENVELOPE, lambda event: orjson.dumps([event])),
    BadKind(RejectReason.INVALID_PROFILE, _with(data={"age": "25-34"})),
    BadKind(RejectReason.NOT_JSON, _with_number(b"1e999")),
    BadKind(RejectReason.NOT_JSON, _nothing_but(b"[" * 10_000 + b"]" * 10_000)),
    BadKind(RejectReason.INVALID_PROFILE, _with_profile(likes_and_reactions=5640.5)),
)
