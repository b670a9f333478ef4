"""Sends generated events to a topic, at a steady rate."""

from __future__ import annotations

import time
import uuid
from collections import Counter
from datetime import UTC, datetime
from itertools import islice, starmap

from demo.events import emitted
from demo.formats import Write
from demo.kafka.client import Sender
from demo.population import Population
from schemas.rejected import RejectReason

TURN_S = 0.1
"""Events are sent in small groups at this interval, which costs less per event."""
_MOST_AT_ONCE = 2000


class Emitter:
    """Sends the due events of a population on each call, and counts those that have arrived."""

    def __init__(
        self,
        sender: Sender,
        population: Population,
        *,
        count: int | None,
        bad_share: float,
        rate: float,
        write: Write,
    ) -> None:
        """Send `count` events (None: no limit), `rate` per second from now on; that share is invalid on purpose."""
        self._sender = sender
        self._rate = rate
        self._count = count
        events = emitted(population, count, bad_share, new_id=lambda: str(uuid.uuid4()), now=lambda: datetime.now(UTC))
        self._events = starmap(write, enumerate(events))
        self._begun = time.monotonic()
        self.good = 0
        self.bad = Counter[RejectReason]()
        self.ignored = 0

    @property
    def sent(self) -> int:
        """How many records have arrived."""
        return self.good + self.bad.total() + self.ignored

    @property
    def done(self) -> bool:
        """Whether all have been sent."""
        return self.sent == self._count

    def send_due(self) -> None:
        """Send what is due by now; return when it has arrived. Raises ClusterError."""
        due = int(self._rate * (time.monotonic() - self._begun)) + 1 - self.sent
        batch = tuple(islice(self._events, min(due, _MOST_AT_ONCE)))
        self._sender.send(event.record for event in batch)
        self._sender.flush()
        self.good += sum(event.reason is None and not event.ignored for event in batch)
        self.ignored += sum(event.ignored for event in batch)
        self.bad.update(event.reason for event in batch if event.reason is not None)
