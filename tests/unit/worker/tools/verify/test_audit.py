import json
from typing import Any

from worker.tools.verify.audit import Audit, PartitionReport, Scope, Verification, as_json, as_text
from worker.tools.verify.references import Place

INPUT, OUTPUT, REJECTED = "in", "out", "rejected"


def scope(**changed: Any) -> Scope:
    given: dict[str, Any] = {
        "servers": "broker:9092",
        "group_id": "group",
        "input_topic": INPUT,
        "outcome_topics": (OUTPUT, REJECTED),
        "spans": {0: range(10, 20), 1: range(0)},
        "lost_before_ms": None,
        "begin_at_first_outcome": False,
        "asked_for_all": False,
        "inputs_vanish": False,
        "bounded": False,
        "gone_before": {},
        "gone_asked_for": frozenset(),
        "waiting": {},
    }
    return Scope(**{**given, **changed})


def answers(*offsets: int, partition: int = 0, time_ms: int = 0) -> list[tuple[Place | None, int]]:
    return [(Place(INPUT, partition, offset), time_ms) for offset in offsets]


def found(audit: Audit, committed: int = 20) -> tuple[Verification, PartitionReport]:
    verification = audit.verification({0: committed})
    return verification, verification.partitions[0]


def with_inputs(*offsets: int, **changed: Any) -> Audit:
    audit = Audit(scope(**changed))
    audit.add_inputs(0, offsets)
    return audit


def test_each_input_once_over_both_topics_is_clean() -> None:
    audit = with_inputs(10, 11, 12, 14)
    audit.add_outcomes(OUTPUT, 3, answers(10, 12))
    audit.add_outcomes(REJECTED, 0, answers(11, 14))
    verification, report = found(audit)
    assert verification.clean
    assert (report.inputs, report.outcomes) == (4, 4)
    assert as_text(verification).endswith("clean: each of 4 committed input records has exactly one outcome\n")
    assert json.loads(as_json(verification))["ok"] is True


def test_an_outcome_in_both_topics_is_doubled() -> None:
    audit = with_inputs(10, 11)
    audit.add_outcomes(OUTPUT, 0, answers(10, 11))
    audit.add_outcomes(REJECTED, 0, answers(11))
    verification, report = found(audit)
    assert (report.doubled, report.examples["doubled"], report.out_of_order) == (1, (11,), 0)
    assert not verification.clean
    assert "partition 0: doubled: offset 11\n" in as_text(verification)


def test_a_missing_one_is_named() -> None:
    audit = with_inputs(10, 11)
    audit.add_outcomes(OUTPUT, 0, answers(11))
    verification, report = found(audit)
    assert (report.missing, report.examples["missing"], report.not_checkable) == (1, (10,), 0)
    assert verification.damaged
    assert as_text(verification).splitlines()[-2:] == [
        "partition 0: missing: offset 10",
        "damaged: not each of 2 committed input records has exactly one outcome in its place",
    ]


def test_an_outcome_behind_a_later_ones_is_out_of_order_in_one_partition_only() -> None:
    audit = with_inputs(10, 11, 12, 13)
    audit.add_outcomes(OUTPUT, 0, answers(11, 10))
    audit.add_outcomes(OUTPUT, 1, answers(13))
    audit.add_outcomes(OUTPUT, 1, answers(12))
    assert found(audit)[1].out_of_order == 2
    assert found(audit)[1].examples["out_of_order"] == (10, 12)
    apart = with_inputs(10, 11, 12, 13)
    apart.add_outcomes(OUTPUT, 0, answers(11, 13))
    apart.add_outcomes(OUTPUT, 1, answers(10))
    apart.add_outcomes(REJECTED, 0, answers(12))
    assert found(apart)[0].clean


def test_a_second_outcome_that_comes_late_is_doubled_and_not_out_of_order() -> None:
    audit = with_inputs(10, 11)
    audit.add_outcomes(OUTPUT, 0, answers(10, 11, 10))
    report = found(audit)[1]
    assert (report.doubled, report.out_of_order) == (1, 0)


def test_an_outcome_of_no_record_is_a_stranger_unless_its_input_may_have_vanished() -> None:
    for vanish, strangers in ((False, 1), (True, 0)):
        audit = with_inputs(10, inputs_vanish=vanish)
        audit.add_outcomes(OUTPUT, 0, answers(10, 11))
        verification, report = found(audit)
        assert (report.strangers, verification.clean) == (strangers, vanish)


def test_outcomes_outside_the_span_are_none_of_its() -> None:
    audit = with_inputs(10)
    audit.add_outcomes(OUTPUT, 0, answers(3, 10, 25))
    verification, report = found(audit, committed=26)
    assert verification.clean
    assert report.outcomes == 1


def test_an_outcome_that_the_group_never_committed_is_damage() -> None:
    audit = with_inputs(10)
    audit.add_outcomes(OUTPUT, 0, answers(10, 20))
    verification, report = found(audit, committed=20)
    assert report.uncommitted == 20
    assert not verification.clean
    assert "outcome of offset 20, which group group has not committed" in as_text(verification)
    assert found(audit, committed=21)[0].clean


def test_what_names_no_record_is_damage_and_what_belongs_to_another_topic_is_none() -> None:
    audit = with_inputs(10)
    audit.add_outcomes(OUTPUT, 0, [*answers(10), (Place("other", 0, 10), 0)])
    verification = found(audit)[0]
    assert (verification.clean, verification.of_other_topics) == (True, 1)
    audit.add_outcomes(OUTPUT, 0, [(None, 0), (Place(INPUT, 7, 10), 0)])
    verification = found(audit)[0]
    assert (verification.clean, verification.nameless) == (False, 2)


def test_below_the_first_outcome_that_retention_cannot_have_reached_nothing_is_missing() -> None:
    audit = with_inputs(10, 11, 12, 13, 14, lost_before_ms=1000)
    audit.add_outcomes(OUTPUT, 0, answers(11, time_ms=999))
    audit.add_outcomes(OUTPUT, 0, answers(13, time_ms=1000))
    verification, report = found(audit)
    assert (report.not_checkable, report.missing, report.examples["missing"]) == (2, 1, (14,))
    audit.add_outcomes(OUTPUT, 0, answers(14, time_ms=1001))
    verification, report = found(audit)
    assert verification.clean
    assert as_text(verification).splitlines()[-2:] == [
        "partition 0: not checkable: 2 input records without an outcome; retention removed outcomes of that time",
        "clean: each of 3 committed input records has exactly one outcome, 2 not checkable",
    ]


def test_a_part_that_was_asked_for_and_cannot_be_checked_is_not_clean() -> None:
    audit = with_inputs(10, 11, lost_before_ms=1000, asked_for_all=True)
    audit.add_outcomes(OUTPUT, 0, answers(11, time_ms=1000))
    verification = found(audit)[0]
    assert (verification.clean, verification.damaged) == (False, False)
    assert as_text(verification).splitlines()[-1].startswith("not proven: ")


def test_a_partition_that_cannot_be_checked_at_all_is_not_clean() -> None:
    audit = with_inputs(10, 11, lost_before_ms=1000)
    audit.add_outcomes(OUTPUT, 0, [])
    verification = found(audit)[0]
    assert (verification.clean, verification.damaged) == (False, False)


def test_a_group_that_began_at_the_latest_owes_nothing_before_its_first_outcome() -> None:
    audit = with_inputs(10, 11, 12, 13, begin_at_first_outcome=True)
    audit.add_outcomes(OUTPUT, 0, answers(12))
    report = found(audit)[1]
    assert (report.not_checkable, report.missing) == (2, 1)


def test_the_table_has_a_line_for_each_partition() -> None:
    audit = with_inputs(10)
    audit.add_outcomes(OUTPUT, 0, answers(10))
    assert as_text(found(audit)[0]).splitlines()[:4] == [
        "group group, input topic in, outcome topics out and rejected, at broker:9092",
        "partition  offsets  inputs  outcomes  missing  doubled  out of order  strangers",
        "        0    10–19       1         1        0        0             0          0",
        "        1     none       0         0        0        0             0          0",
    ]


def test_without_any_input_record_that_is_said_and_where_there_were_bounds_it_is_not_clean() -> None:
    for changed, clean, said in (
        ({}, True, "no input record has been committed yet"),
        ({"bounded": True}, False, "nothing verified: no committed input record in these bounds"),
        ({"gone_before": {0: 10}}, False, "nothing verified: no committed input record is left"),
    ):
        verification = found(with_inputs(**changed))[0]
        document = json.loads(as_json(verification))
        assert (verification.clean, document["ok"], document["nothing_verified"]) == (clean, clean, True)
        assert as_text(verification).splitlines()[-1] == said


def test_what_waits_and_what_is_gone_is_told_and_is_no_damage() -> None:
    audit = with_inputs(10, waiting={0: 3, 1: 2}, gone_before={0: 10})
    audit.add_outcomes(OUTPUT, 0, answers(10))
    verification, report = found(audit)
    assert verification.clean
    assert (report.waiting, report.gone_before) == (3, 10)
    assert as_text(verification).splitlines()[-3:] == [
        "inputs before offset 10 of partition 0 are gone: not checkable",
        "up to 5 more wait behind the committed offsets",
        "clean: each of 1 committed input records has exactly one outcome",
    ]


def test_inputs_that_are_gone_and_were_asked_for_are_not_proven() -> None:
    audit = with_inputs(10, bounded=True, gone_before={0: 10}, gone_asked_for=frozenset({0}))
    audit.add_outcomes(OUTPUT, 0, answers(10))
    verification = found(audit)[0]
    assert (verification.clean, verification.damaged) == (False, False)
    assert as_text(verification).splitlines()[-1].startswith("not proven: ")
