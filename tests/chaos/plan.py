"""Which faults happen when: a pure function of the seed."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

SESSION_TIMEOUT_S = 4.0
WORKERS = 3


class Kind(StrEnum):
    """What can be done to three workers, their broker, and what lies between."""

    KILL = "kill"
    """SIGKILL; a successor with the same identity starts later."""
    TERMINATE = "terminate"
    """SIGTERM; a successor starts later."""
    FREEZE = "freeze"
    """SIGSTOP for longer than the session timeout, then SIGCONT: a zombie."""
    JOIN = "join"
    """One more worker comes, and leaves again."""
    TWIN = "twin"
    """A second process with the same instance id."""
    BROKER_RESTART = "broker restart"
    BROKER_KILL = "broker kill"
    CUT = "cut"
    """Some or all connections between workers and broker end."""
    REFUSE = "refuse"
    """All connections end, and new ones too, for a while."""
    DELAY = "delay"
    """Everything between workers and broker takes longer, for a while."""
    STALL = "stall"
    """Connections stay open and carry nothing, for a while."""
    LOSE_ANSWER = "lose answer"
    """The broker ends a transaction, and the worker is not told."""
    KILL_BEFORE_COMMIT = "kill before commit"
    """SIGKILL when results and offsets are sent and the transaction is not over."""
    FREEZE_BEFORE_OFFSETS = "freeze before offsets"
    """A zombie whose results are sent and whose offsets are on their way; others work on meanwhile."""
    FREEZE_BEFORE_COMMIT = "freeze before commit"
    """A zombie whose end of the transaction is on its way; others work on meanwhile."""
    JOIN_MID_BATCH = "join in mid-batch"
    """A worker takes over partitions while others hold records of them that are not processed yet."""
    PROMOTION = "promotion"
    """Another version of the model goes into production, and the running workers take it up."""


ALONE = frozenset(
    {Kind.TWIN, Kind.KILL_BEFORE_COMMIT, Kind.FREEZE_BEFORE_OFFSETS, Kind.FREEZE_BEFORE_COMMIT, Kind.JOIN_MID_BATCH}
)
"""Kinds that aim at one point in a worker's course: no other fault meanwhile, or they would miss it."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing done; what `draw` and `length_s` mean depends on the kind."""

    kind: Kind
    pause_s: float
    """How long after the begin of the fault before it."""
    length_s: float
    """How long it lasts, or how long until what it took away comes back."""
    draw: float
    """In [0, 1): which worker, or how many connections, or how much later."""


@dataclass(frozen=True, slots=True)
class Worker:
    """How one of the three workers is started."""

    instance_id: str | None
    commit_interval_ms: int
    """A patient one holds records long before it processes them."""
    batch_max_events: int


@dataclass(frozen=True, slots=True)
class Plan:
    """All that happens in one run."""

    workers: tuple[Worker, ...]
    faults: tuple[Fault, ...]
    transaction_timeout_ms: int = 15_000
    """A worker waits half of it for an answer."""


HASTY_MS, PATIENT_MS = 50, 3_000
SMALL_BATCH, LARGE_BATCH = 100, 500
_EXTRA_FAULTS = 8
_PAUSE_S = (0.5, 4.0)
_FROZEN_S = (SESSION_TIMEOUT_S + 1.5, SESSION_TIMEOUT_S + 4.0)
_LENGTHS_S: Mapping[Kind, tuple[float, float]] = {
    Kind.KILL: (0.0, 6.0),
    Kind.TERMINATE: (0.0, 3.0),
    Kind.FREEZE: _FROZEN_S,
    Kind.JOIN: (2.0, 10.0),
    Kind.TWIN: (1.0, 1.0),
    Kind.BROKER_RESTART: (0.0, 3.0),
    Kind.BROKER_KILL: (0.0, 3.0),
    Kind.CUT: (0.0, 0.0),
    Kind.REFUSE: (0.5, 5.0),
    Kind.DELAY: (2.0, 6.0),
    Kind.STALL: (1.0, 5.0),
    Kind.LOSE_ANSWER: (1.0, 1.0),
    Kind.KILL_BEFORE_COMMIT: (0.0, 6.0),
    Kind.FREEZE_BEFORE_OFFSETS: _FROZEN_S,
    Kind.FREEZE_BEFORE_COMMIT: _FROZEN_S,
    Kind.JOIN_MID_BATCH: (4.0, 6.0),
    Kind.PROMOTION: (0.0, 0.0),
}


def random_plan(seed: int) -> Plan:
    """Every kind of fault once and some again, in an order, at times and of workers that follow from the seed."""
    draws = random.Random(seed)
    kinds = [*Kind, *draws.choices([*Kind], k=_EXTRA_FAULTS)]
    draws.shuffle(kinds)
    faults = tuple(
        Fault(kind, draws.uniform(*_PAUSE_S), draws.uniform(*_LENGTHS_S[kind]), draws.random()) for kind in kinds
    )
    identities = ["one", "two", None]
    draws.shuffle(identities)
    workers = tuple(
        Worker(identity, draws.choice((HASTY_MS, PATIENT_MS)), draws.choice((SMALL_BATCH, LARGE_BATCH)))
        for identity in identities
    )
    return Plan(workers, faults)


def directed_plan() -> Plan:
    """The faults that no worker survives which lacks one of the precautions, each aimed at one of them."""
    return Plan(
        _fixed_workers(PATIENT_MS),
        (
            _FREEZE_BEFORE_OFFSETS,
            Fault(Kind.FREEZE_BEFORE_COMMIT, 0.0, SESSION_TIMEOUT_S + 1.5, 0.0),
            Fault(Kind.JOIN_MID_BATCH, 0.0, 5.0, 0.0),
        ),
        # So that a zombie still waits for the answer when it comes back, however slow this machine is: one that has
        # given up waiting begins with a new producer, even if it lacks the precaution to do so.
        transaction_timeout_ms=40_000,
    )


def short_plan() -> Plan:
    """A few faults of different kinds in little time."""
    return Plan(
        _fixed_workers(HASTY_MS),
        (
            _FREEZE_BEFORE_OFFSETS,
            Fault(Kind.LOSE_ANSWER, 0.0, 0.0, 0.0),
            Fault(Kind.PROMOTION, 0.0, 0.0, 0.0),
            Fault(Kind.BROKER_KILL, 0.5, 0.0, 0.0),
            Fault(Kind.CUT, 1.0, 0.0, 0.99),
            Fault(Kind.KILL, 0.5, 0.0, 0.0),
        ),
    )


_FREEZE_BEFORE_OFFSETS = Fault(Kind.FREEZE_BEFORE_OFFSETS, 0.0, SESSION_TIMEOUT_S + 1.5, 0.0)


def _fixed_workers(commit_interval_ms: int) -> tuple[Worker, ...]:
    # Small batches, so that a burst of events is several.
    return tuple(Worker(identity, commit_interval_ms, SMALL_BATCH) for identity in ("one", "two", None))
