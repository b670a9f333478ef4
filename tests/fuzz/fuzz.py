"""Many mutants through `process`, alone and in batches: the outcome of each, its cost, and what stayed in memory."""

from __future__ import annotations

import gc
import statistics
import sys
import time
from array import array
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import orjson
from pydantic import TypeAdapter

from tests.fuzz.properties import Violated, check, check_agreement, one_by_one, processed
from tests.support.mutants import mutant
from worker.stream.processor import Scoring
from worker.stream.records import Outcome, Record, Verdict

BATCH: Final = 50
MAX_RATIO: Final = 100
# A worker's caches (of JSON names and texts) fill at the start.
_WARM_UP: Final = 0.1
# Objects that Python holds; a cache that grows with its input holds at least one per event.
_BLOCKS_MAX_PER_EVENT: Final = 0.05
_BLOCKS_TOLERATED: Final = 5_000
_SUSPICIOUS: Final = 20
_AGAIN: Final = 7


@dataclass(frozen=True, slots=True)
class Figures:
    """The figures of a run."""

    tried: int
    assigned: int
    erased: int
    reasons: Counter[str]
    median_us: float
    """Of all events, each alone, processor time."""
    median_assigned_us: float
    in_batch_us: float
    """The median over batches of the time for one of their events."""
    worst_us: float
    worst_number: int
    blocks_before: int
    """Objects that Python held when the caches were warm."""
    blocks_after: int

    @property
    def ratio(self) -> float:
        """The worst event's cost in medians."""
        return self.worst_us / self.median_us


def run(
    by: Scoring,
    seed: int,
    numbers: range,
    on_progress: Callable[[int], None] = lambda _: None,
    mutant: Callable[[int, int], Record] = mutant,
) -> Figures:
    """Process the mutants of these numbers; raises Violated for the first that breaks a promise.

    `on_progress` is called after each batch with the number of events tried.
    """
    costs_us = array("d", bytes(8 * len(numbers)))
    assigned = array("b", bytes(len(numbers)))
    erased = 0
    reasons: Counter[str] = Counter()
    in_batch_us: list[float] = []
    warm_at = int(len(numbers) * _WARM_UP)
    blocks_before, typical_us = 0, float("inf")
    exact = one_by_one(by)
    _fill_text_cache()
    for start in range(0, len(numbers), BATCH):
        records = [mutant(seed, number) for number in numbers[start : start + BATCH]]
        together, cost_us = _measured(by, records)
        in_batch_us.append(cost_us / len(records))
        messages = check(records, together)
        for place, record in enumerate(records, start):
            alone, costs_us[place] = _measured(by, [record], typical_us)
            if (*alone.results, *alone.rejected) != (messages[record.offset],):
                raise Violated(record.offset, "alone it has another outcome than in a batch")
            assigned[place] = alone.verdicts[0] is Verdict.ASSIGNED
            erased += alone.verdicts[0] is Verdict.ERASED
            reasons.update(alone.reasons)
        check_agreement(exact, records, together)
        if start == 0:
            typical_us = statistics.median(costs_us[: len(records)])
        if start <= warm_at < start + BATCH:
            blocks_before = _blocks()
        on_progress(start + len(records))
    worst = max(range(len(costs_us)), key=costs_us.__getitem__)
    accepted_us = [cost_us for cost_us, one in zip(costs_us, assigned, strict=True) if one]
    figures = Figures(
        tried=len(numbers),
        assigned=len(accepted_us),
        erased=erased,
        reasons=reasons,
        median_us=statistics.median(costs_us),
        median_assigned_us=statistics.median(accepted_us or [0.0]),
        in_batch_us=statistics.median(in_batch_us),
        worst_us=costs_us[worst],
        worst_number=numbers[worst],
        blocks_before=blocks_before,
        blocks_after=_blocks() - len(in_batch_us) - len(accepted_us),  # held by this function
    )
    _judge(figures)
    return figures


def _measured(by: Scoring, records: Sequence[Record], typical_us: float = float("inf")) -> tuple[Outcome, float]:
    began = time.thread_time_ns()
    outcome = processed(by, records)
    cost_us = (time.thread_time_ns() - began) / 1000
    if cost_us > _SUSPICIOUS * typical_us:
        # The cause may be the event, the garbage collector or another process: the minimum of several runs decides.
        for _ in range(_AGAIN):
            began = time.thread_time_ns()
            processed(by, records)
            cost_us = min(cost_us, (time.thread_time_ns() - began) / 1000)
    return outcome, cost_us


def _fill_text_cache() -> None:
    # pydantic keeps up to 16,384 short texts of JSON, each where its hash says; what fills that later is not a leak.
    TypeAdapter(list[str]).validate_json(orjson.dumps([str(number) for number in range(100_000)]))


def _blocks() -> int:
    gc.collect()
    return sys.getallocatedblocks()


def _judge(figures: Figures) -> None:
    if figures.ratio > MAX_RATIO:
        raise Violated(
            figures.worst_number,
            f"it costs {figures.worst_us:.0f} µs, {figures.ratio:.0f} times the median, at most {MAX_RATIO} allowed",
        )
    grown = figures.blocks_after - figures.blocks_before
    if grown > _BLOCKS_TOLERATED + figures.tried * _BLOCKS_MAX_PER_EVENT:
        raise Violated(0, f"Python holds {grown} more objects than after the first tenth of the events")
