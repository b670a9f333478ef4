"""The short form of `make fuzz`, and a proof that it can fail."""

import re
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest

from schemas.events import TombstoneHeader
from schemas.formats.input_format import ignored_rows
from schemas.rejected import RejectReason
from tests.fuzz import __main__ as command
from tests.fuzz.fuzz import MAX_RATIO, run
from tests.fuzz.properties import EVENT_MAX_BYTES, Violated, check, check_agreement, one_by_one, processed, scoring
from tests.fuzz.subjects import SUBJECTS, Subject
from tests.support.format_mutants import FORMATS, format_mutant
from tests.support.mutants import mutant, own_class_mutant
from tests.support.nasty_classes import NASTY, Nasty
from tests.support.nasty_classes import scoring as of_own_class
from worker.stream.processor import Scoring
from worker.stream.records import Message, Outcome, Record, Records, Verdict

SOME = range(300)


def test_for_any_bytes_each_record_has_one_outcome_at_a_bounded_cost_without_a_memory_leak() -> None:
    figures = run(scoring(), seed=1, numbers=range(4_000))
    assert figures.tried == 4_000 == figures.assigned + figures.erased + figures.reasons.total()
    assert figures.assigned > 1_000
    assert figures.erased > 50
    assert set(figures.reasons) == {
        "empty",
        "too_large",
        "not_json",
        "invalid_envelope",
        "unknown_type",
        "invalid_profile",
    }
    assert 1 < figures.ratio <= MAX_RATIO


def test_where_values_may_be_missing_events_in_columns_and_one_by_one_have_the_same_outcome() -> None:
    optional = SUBJECTS["optional"]
    by = optional.scoring()
    assert by._reader.one_by_one_because is None
    figures = run(by, seed=1, numbers=range(1_000), mutant=optional.mutant)
    assert figures.assigned > 100
    assert figures.erased > 10
    assert figures.reasons["too_little_known"] > 5
    assert figures.reasons["invalid_profile"] > 100


@pytest.mark.parametrize("nasty", NASTY.values(), ids=NASTY)
def test_for_any_behaviour_of_a_profile_class_each_record_has_one_outcome(nasty: Nasty) -> None:
    by = of_own_class(nasty.of)
    for start in range(0, 200, 50):
        records = [own_class_mutant(1, number) for number in range(start, start + 50)]
        outcome = processed(by, records)
        check_agreement(one_by_one(by), records, outcome)
        together = check(records, outcome)
        assert together == {each.offset: check([each], processed(by, [each]))[each.offset] for each in records}
        assert all(b'"distance":null' not in (message.value or b"") for message in together.values())


def test_the_same_seed_and_number_give_the_same_record() -> None:
    assert [mutant(7, number) for number in range(50)] == [mutant(7, number) for number in range(50)]
    assert mutant(7, 1) != mutant(8, 1)


Change = Callable[[Sequence[Record], Outcome], Outcome]


class Broken(Scoring):
    """Processes correctly, then changes the outcome."""

    def __init__(self, change: Change) -> None:
        right = scoring()
        super().__init__(**{name: getattr(right, name) for name in right.__dataclass_fields__})
        object.__setattr__(self, "change", change)

    def process(self, records: Records, now: datetime) -> Outcome:
        change: Change = self.__dict__["change"]
        return change(records, super().process(records, now))


def one_lost(records: Sequence[Record], right: Outcome) -> Outcome:
    return replace(right, results=right.results[1:])


def one_duplicated(records: Sequence[Record], right: Outcome) -> Outcome:
    return replace(right, results=(*right.results, *right.results[:1]))


def out_of_order(records: Sequence[Record], right: Outcome) -> Outcome:
    return replace(right, results=right.results[::-1])


def rejected_out_of_order(records: Sequence[Record], right: Outcome) -> Outcome:
    return replace(right, rejected=right.rejected[::-1])


def by_its_neighbours(records: Sequence[Record], right: Outcome) -> Outcome:
    value = b'"margin":0.%06d,' % len(records)
    results = [
        message._replace(value=re.sub(rb'"margin":[^,]*,', value, message.value or b"")) for message in right.results
    ]
    return replace(right, results=tuple(results))


def no_json(records: Sequence[Record], right: Outcome) -> Outcome:
    return replace(right, results=tuple(message._replace(value=b"{") for message in right.results))


def none_valid(records: Sequence[Record], right: Outcome) -> Outcome:
    results = [message._replace(value=(message.value or b"")[:-1] + b',"more":1}') for message in right.results]
    return replace(right, results=tuple(results))


def of_another_user(records: Sequence[Record], right: Outcome) -> Outcome:
    return replace(right, results=tuple(message._replace(key=b"other") for message in right.results))


def without_tombstones(records: Sequence[Record], right: Outcome) -> Outcome:
    return replace(right, erasures={})


def with_values_as_tombstones(records: Sequence[Record], right: Outcome) -> Outcome:
    return replace(right, erasures={at: right.results[at] for at in right.erasures})


def with_tombstones_of(partition: bytes) -> Change:
    def change(records: Sequence[Record], right: Outcome) -> Outcome:
        name = TombstoneHeader.PARTITION.value
        return replace(
            right,
            erasures={
                at: each._replace(headers=tuple((n, partition if n == name else was) for n, was in each.headers))
                for at, each in right.erasures.items()
            },
        )

    return change


def with_header(name: str, content: bytes) -> Change:
    def change(records: Sequence[Record], right: Outcome) -> Outcome:
        return replace(
            right,
            rejected=tuple(
                message._replace(headers=tuple((n, content if n == name else was) for n, was in message.headers))
                for message in right.rejected
            ),
        )

    return change


def with_another_value(records: Sequence[Record], right: Outcome) -> Outcome:
    return replace(right, rejected=tuple(Message(m.key, b"other", m.headers) for m in right.rejected))


def without_its_headers(records: Sequence[Record], right: Outcome) -> Outcome:
    own = [tuple(header for header in m.headers if header[0].startswith("rejected.")) for m in right.rejected]
    return replace(right, rejected=tuple(Message(m.key, m.value, o) for m, o in zip(right.rejected, own, strict=True)))


def raising(records: Sequence[Record], right: Outcome) -> Outcome:
    if any(b"\x00" in (record.value or b"") for record in records):
        raise TypeError
    return right


def slow_with_digits(records: Sequence[Record], right: Outcome) -> Outcome:
    if len(records) == 1 and b"1" * 5000 in (records[0].value or b""):
        until = time.thread_time() + 0.2
        while time.thread_time() < until:
            pass
    return right


def remembering() -> Change:
    seen: list[object] = []

    def change(records: Sequence[Record], right: Outcome) -> Outcome:
        seen.append((right, [[record] for record in records], [{} for _ in range(20)]))
        return right

    return change


BROKEN: dict[str, tuple[Change, str]] = {
    "one lost": (one_lost, "results for"),
    "one duplicated": (one_duplicated, "results for"),
    "out of order": (out_of_order, "the result is out of order, it answers offset"),
    "rejected out of order": (rejected_out_of_order, "the rejected record is out of order"),
    "by its neighbours": (by_its_neighbours, "alone it has another outcome"),
    "no JSON": (no_json, "is not valid"),
    "none of the schema": (none_valid, "is not valid"),
    "of another user": (of_another_user, "the result's key is not the subject"),
    "no tombstones": (without_tombstones, "not each erasure has one tombstone"),
    "tombstones with values": (with_values_as_tombstones, "the tombstone has a value"),
    "tombstones of other records": (with_tombstones_of(b"2"), "the tombstone answers"),
    "tombstones without headers": (
        lambda _, right: replace(
            right, erasures={at: each._replace(headers=()) for at, each in right.erasures.items()}
        ),
        "the message is malformed",
    ),
    "unknown reason": (with_header("rejected.reason", b"because"), "the reason is 'because'"),
    "long detail": (with_header("rejected.detail", b"x" * 1001), "the detail is empty, too long or quotes the value"),
    "detail with the value": (
        with_header("rejected.detail", b"c4n4ry-7"),
        "the detail is empty, too long or quotes the value",
    ),
    "another header": (with_header("trace", b"other"), "the headers were changed"),
    "another value": (with_another_value, "the value was changed"),
    "headers lost": (without_its_headers, "the headers were changed"),
    "no headers": (
        lambda _, right: replace(right, rejected=tuple(message._replace(headers=()) for message in right.rejected)),
        "the message is malformed",
    ),
    "an exception": (raising, "process raised TypeError"),
    "slow": (slow_with_digits, "times the median, at most 100 allowed"),
    "a leak": (remembering(), "more objects than after the first tenth"),
}


@pytest.mark.parametrize(("change", "reason"), BROKEN.values(), ids=BROKEN)
def test_a_broken_promise_is_found(change: Change, reason: str) -> None:
    with pytest.raises(Violated, match=reason):
        run(Broken(change), seed=1, numbers=SOME)


def test_the_command_prints_its_figures(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["fuzz", "--events", "200", "--seed", "3"])
    assert command.main() == 0
    printed = capsys.readouterr().out
    assert printed.startswith("seed 3, events 0 to 199\n")
    assert re.search(r"tried +200 ", printed)
    assert re.search(r"ratio +\d+\.\d ", printed)


def test_the_command_saves_the_event_that_breaks_a_promise_and_prints_how_to_repeat_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["fuzz", "--events", "300", "--seed", "1"])
    monkeypatch.setattr(command, "SUBJECTS", {"whole": Subject(lambda: Broken(of_another_user), mutant)})
    assert command.main() == 1
    printed = capsys.readouterr().err
    number = int(re.findall(r"VIOLATED by event (\d+): ", printed)[0])
    assert f"repeat: python -m tests.fuzz --subject whole --seed 1 --first {number // 50 * 50} --events 50\n" in printed
    assert (tmp_path / f"build/fuzz/whole-1-{number}.bin").read_bytes() == mutant(1, number).value


@pytest.mark.parametrize("name", FORMATS)
def test_in_any_format_each_record_has_the_outcome_that_it_has_alone_and_in_the_exact_way(name: str) -> None:
    of = FORMATS[name]
    by = replace(scoring(), input_format=of.format)
    assert by.one_by_one_because is None
    exact = one_by_one(by)
    seen: Counter[Verdict | RejectReason] = Counter()
    for start in range(0, 1_000, 50):
        records = [format_mutant(of, 1, number) for number in range(start, start + 50)]
        outcome = processed(by, records)
        check_agreement(exact, records, outcome)
        assert len(outcome.results) + len(outcome.rejected) + outcome.ignored == len(records)
        for record, verdict in zip(records, outcome.verdicts, strict=True):
            alone = processed(by, [record])
            assert alone.verdicts == (verdict,)
            assert (*alone.results, *alone.rejected) != () or verdict is Verdict.IGNORED
        rows = ignored_rows(of.format, Records.of(records), EVENT_MAX_BYTES)
        assert [verdict is Verdict.IGNORED for verdict in outcome.verdicts] == [row in rows for row in range(50)]
        seen.update(outcome.verdicts)
    assert seen[Verdict.ASSIGNED] > 40
    assert (seen[Verdict.IGNORED] > 10) == (name != "record")
    assert (seen[Verdict.ERASED] > 10) == (name in {"compacted", "binary", "record"})
