"""Sends made-up events to a topic, at a steady rate."""

from __future__ import annotations

import time
import uuid
from collections import Counter
from datetime import UTC, datetime
from itertools import islice

from demo.events import emitted
from demo.kafka.client import Sender
from demo.population import Population
from schemas.rejected import RejectReason

TURN_S = 0.1
"""Events go out in handfuls this far apart: a person does not see the difference, and each costs less."""
_HANDFUL = 2000


class Emitter:
    """Sends events of a population, as many as are due whenever it is asked to, and counts what has arrived."""

    def __init__(
        self, sender: Sender, population: Population, *, count: int | None, bad_share: float, rate: float
    ) -> None:
        """Send `count` events (None: without end), `rate` a second from now on, that share of them bad on purpose."""
        self._sender = sender
        self._rate = rate
        self._count = count
        self._events = emitted(
            population, count, bad_share, new_id=lambda: str(uuid.uuid4()), now=lambda: datetime.now(UTC)
        )
        self._begun = time.monotonic()
        self.good = 0
        self.bad = Counter[RejectReason]()

    @property
    def sent(self) -> int:
        """How many events have arrived, good and bad."""
        return self.good + self.bad.total()

    @property
    def done(self) -> bool:
        """Whether all have been sent."""
        return self.sent == self._count

    def send_due(self) -> None:
        """Send what the rate asks for by now and is not sent yet; return when it has arrived. Raises ClusterError."""
        due = int(self._rate * (time.monotonic() - self._begun)) + 1 - self.sent
        handful = tuple(islice(self._events, min(due, _HANDFUL)))
        self._sender.send(event.record for event in handful)
        self._sender.flush()
        self.good += sum(event.reason is None for event in handful)
        self.bad.update(event.reason for event in handful if event.reason is not None)
