"""Whether what came out is what was promised: pure functions of what was read, with a line for each violation."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

RECOVERY_MOST_S: Final = 30.0
LINES_MOST: Final = 10
NOT_COME_ABOUT: Final = "fault that did not come about"
CRASH: Final = "crash"
IGNORED: Final = "ignored"
ERASED: Final = "erased"
_VERIFIED_IGNORED: Final = re.compile(r"^ignored: ([\d,]+) ", re.MULTILINE)


class Input(NamedTuple):
    """One record that a read_committed reader of the input topic received."""

    partition: int
    offset: int
    expected: str
    """Why it has to be rejected, IGNORED, or ERASED; empty when it has an assignment."""


class Answer(NamedTuple):
    """One record that a read_committed reader of an outcome topic received, and the input record that it answers."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    input_partition: int
    input_offset: int
    reason: str
    """Why it was rejected, or ERASED; empty for an assignment."""


class Current(NamedTuple):
    """One record of the current topic, and the input record that it answers."""

    key: bytes | None
    input_partition: int
    input_offset: int
    erased: bool


class Commit(NamedTuple):
    """One record in the log of committed offsets, in the order of that log."""

    partition: int
    offset: int


class Ending(NamedTuple):
    """How one process of a worker ended."""

    name: str
    status: int
    allowed: frozenset[int]


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that is judged after a run."""

    inputs: Sequence[Input]
    answers: Sequence[Answer]
    """What a reader received that began when all was over."""
    answers_meanwhile: Sequence[Answer]
    """What a reader received that read all the time."""
    current: Sequence[Current]
    """The current topic, in the order of its logs."""
    commits: Sequence[Commit]
    committed: dict[int, int]
    endings: Sequence[Ending]
    recovery_s: float | None
    """From the last fault until there was no lag; None: there still was when the suite gave up."""
    verify_status: int
    verify_output: str
    bypasses: Sequence[str]
    """Connections of workers that did not go through the proxy."""
    not_come_about: Sequence[str]
    """Faults that could not be injected, so that nothing is known about them."""
    crashes: Sequence[str]
    """Log files of workers with a traceback or an error that nobody thought of."""


class Violation(NamedTuple):
    """One way in which a promise was broken, and where."""

    kind: str
    where: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a run came to."""

    inputs: int
    """Those that are events."""
    ignored: int
    missing: int
    duplicates: int
    out_of_order: int
    recovery_s: float | None
    violations: tuple[Violation, ...]

    @property
    def damaged(self) -> bool:
        """Whether a promise about records or offsets was broken, and not because a worker crashed."""
        kinds = {kind for kind, _ in self.violations}
        return bool(kinds & _DAMAGE) and CRASH not in kinds

    def lines(self) -> Iterator[str]:
        """Every kind of violation with its count, then where it was seen."""
        by_kind: dict[str, list[str]] = defaultdict(list)
        for kind, where in self.violations:
            by_kind[kind].append(where)
        for kind, places in by_kind.items():
            yield f"{kind}: {len(places)}"
            yield from (f"    {where}" for where in places)


_DAMAGE: Final = frozenset(
    {"missing", "duplicates", "out of order", "orphans", "committed offset moved back", "current topic"}
)


def judge(seen: Evidence) -> Verdict:
    """Everything that was promised, looked at."""
    answers = {(answer.input_partition, answer.input_offset): answer for answer in reversed(seen.answers)}
    events = [one for one in seen.inputs if one.expected != IGNORED]
    ignored = len(seen.inputs) - len(events)
    missing = [one for one in events if (one.partition, one.offset) not in answers]
    duplicates = list(_duplicates(seen.answers))
    late = list(_out_of_order(seen.answers))
    violations = (
        *_without_outcome(missing, seen.committed),
        *(Violation("duplicates", line) for line in duplicates),
        *(Violation("out of order", line) for line in late),
        *_orphans(seen.inputs, seen.answers),
        *_wrong_outcomes(seen.inputs, answers),
        *_readers_differ(seen.answers, seen.answers_meanwhile),
        *_not_current(seen.answers, seen.current),
        *_offsets_moved_back(seen.commits),
        *_endings(seen.endings),
        *_recovery(seen.recovery_s),
        *_verified(seen.verify_status, seen.verify_output, ignored),
        *(Violation("connection past the proxy", line) for line in seen.bypasses),
        *(Violation(NOT_COME_ABOUT, line) for line in seen.not_come_about),
        *(Violation(CRASH, line) for line in seen.crashes),
    )
    return Verdict(len(events), ignored, len(missing), len(duplicates), len(late), seen.recovery_s, violations)


def _without_outcome(inputs: Iterable[Input], committed: dict[int, int]) -> Iterator[Violation]:
    for one in inputs:
        lost = one.offset < committed.get(one.partition, 0)
        yield Violation("missing" if lost else "not processed", f"input {one.partition}/{one.offset}")


def _place(answer: Answer) -> str:
    return f"{answer.topic} {answer.partition}/{answer.offset}"


def _duplicates(answers: Iterable[Answer]) -> Iterator[str]:
    places: dict[tuple[int, int], list[str]] = defaultdict(list)
    for answer in answers:
        places[answer.input_partition, answer.input_offset].append(_place(answer))
    for (partition, offset), found in sorted(places.items()):
        if len(found) > 1:
            yield f"input {partition}/{offset} has {len(found)} outcomes: {', '.join(found)}"


def _out_of_order(answers: Iterable[Answer]) -> Iterator[str]:
    """For each user, and for each pair of input and outcome partition, which holds more: users share partitions.

    A second outcome of the same input is counted as a duplicate, and says nothing about order.
    """
    last_of_log: dict[tuple[str, int, int], Answer] = {}
    last_of_user: dict[tuple[str, bytes | None], Answer] = {}
    seen: set[tuple[int, int]] = set()
    for answer in sorted(answers):
        at = (answer.input_partition, answer.input_offset)
        if at in seen:
            continue
        seen.add(at)
        before = last_of_log.setdefault((answer.topic, answer.partition, answer.input_partition), answer)
        before_of_user = last_of_user.setdefault((answer.topic, answer.key), answer)
        if before.input_offset > answer.input_offset:
            yield f"{_line(answer)} comes after {_line(before)}"
        elif before_of_user.partition != answer.partition:
            yield f"{_line(answer)} and {_line(before_of_user)} are of one user, in different partitions"
        last_of_log[answer.topic, answer.partition, answer.input_partition] = answer
        last_of_user[answer.topic, answer.key] = answer


def _line(answer: Answer) -> str:
    return f"{_place(answer)}, of input {answer.input_partition}/{answer.input_offset},"


def _orphans(inputs: Iterable[Input], answers: Iterable[Answer]) -> Iterator[Violation]:
    there = {(one.partition, one.offset) for one in inputs}
    for answer in answers:
        if (answer.input_partition, answer.input_offset) not in there:
            at = f"{answer.input_partition}/{answer.input_offset}"
            yield Violation("orphans", f"{_place(answer)} answers input {at}")


def _wrong_outcomes(inputs: Iterable[Input], answers: dict[tuple[int, int], Answer]) -> Iterator[Violation]:
    for one in inputs:
        answer = answers.get((one.partition, one.offset))
        if answer is not None and answer.reason != one.expected:
            said, meant = (reason or "a result" for reason in (answer.reason, one.expected))
            yield Violation("wrong outcome", f"input {one.partition}/{one.offset}: {said}, and should be {meant}")


def _readers_differ(last: Iterable[Answer], meanwhile: Iterable[Answer]) -> Iterator[Violation]:
    counted, counted_meanwhile = Counter(last), Counter(meanwhile)
    for answer in (counted_meanwhile - counted).elements():
        yield Violation("visible once only", f"{_place(answer)}, to the reader that read all the time")
    for answer in (counted - counted_meanwhile).elements():
        yield Violation("visible once only", f"{_place(answer)}, to the reader that began at the end")
    reached: dict[tuple[str, int], int] = {}
    for answer in meanwhile:
        log = (answer.topic, answer.partition)
        if answer.offset <= reached.get(log, -1):
            yield Violation("read out of order", f"{_place(answer)} after offset {reached[log]}")
        reached[log] = answer.offset


def _not_current(answers: Iterable[Answer], current: Iterable[Current]) -> Iterator[Violation]:
    """For each user, the last record of the current topic answers the same input as the user's last result."""
    results = [answer for answer in answers if answer.reason in {"", ERASED}]
    last: dict[bytes | None, Current] = {}
    for one in sorted(results, key=lambda answer: answer.input_offset):
        last[one.key] = Current(one.key, one.input_partition, one.input_offset, one.reason == ERASED)
    found = {one.key: one for one in current}
    for key in last.keys() | found.keys():
        if last.get(key) != found.get(key):
            yield Violation("current topic", f"{found.get(key)}, and the user's last result is {last.get(key)}")


def _offsets_moved_back(commits: Iterable[Commit]) -> Iterator[Violation]:
    reached: dict[int, int] = {}
    for partition, offset in commits:
        before = reached.get(partition, 0)
        if offset < before:
            yield Violation("committed offset moved back", f"input partition {partition} from {before} to {offset}")
        reached[partition] = offset


def _endings(endings: Iterable[Ending]) -> Iterator[Violation]:
    for name, status, allowed in endings:
        if status not in allowed:
            expected = ", ".join(map(str, sorted(allowed)))
            yield Violation("exit status", f"{name} ended with {status}, and may with: {expected}")


def _recovery(recovery_s: float | None) -> Iterator[Violation]:
    if recovery_s is None:
        yield Violation("recovery", "there still was a lag when the suite gave up waiting")
    elif recovery_s > RECOVERY_MOST_S:
        yield Violation(
            "recovery", f"no lag only {recovery_s:.1f} s after the last fault; {RECOVERY_MOST_S:g} s allowed"
        )


def _verified(status: int, output: str, ignored: int) -> Iterator[Violation]:
    counted = sum(int(number.replace(",", "")) for number in _VERIFIED_IGNORED.findall(output))
    if counted != ignored:
        yield Violation("segment-worker verify", f"it counts {counted} ignored records, and there are {ignored}")
    if status != 0:
        lines = [line for line in output.splitlines() if line.strip()]
        yield Violation("segment-worker verify", f"exit status {status}: {' | '.join(lines[-LINES_MOST:])}")
