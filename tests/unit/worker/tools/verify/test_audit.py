import json
from typing import Any

from worker.tools.verify.audit import Audit, PartitionReport, Result, Scope, Verification
from worker.tools.verify.output import as_json, as_text
from worker.tools.verify.references import RecordReference

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


def answers(*offsets: int, partition: int = 0, time_ms: int = 0) -> list[tuple[RecordReference | None, int]]:
    return [(RecordReference(INPUT, partition, offset), time_ms) for offset in offsets]


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
    assert verification.result is Result.CLEAN
    assert (report.inputs, report.outcomes) == (4, 4)
    assert as_text(verification).endswith("clean: each of 4 committed input records has exactly one outcome\n")
    assert json.loads(as_json(verification))["ok"] is True


def test_an_ignored_input_needs_no_outcome_and_may_have_none() -> None:
    audit = Audit(scope())
    audit.add_inputs(0, [10, 11, 12, 13], ignored=[1, 3])
    audit.add_outcomes(OUTPUT, 0, answers(10, 12))
    verification, report = found(audit)
    assert (verification.result, report.inputs, report.ignored, report.missing) == (Result.CLEAN, 2, 2, 0)
    assert "\nignored: 2 input records" in as_text(verification)
    assert json.loads(as_json(verification))["partitions"][0]["ignored"] == 2
    audit.add_outcomes(REJECTED, 0, answers(13))
    verification, report = found(audit)
    assert (verification.result, report.examples["orphans"]) == (Result.DAMAGED, (13,))


def test_a_topic_of_ignored_records_only_is_clean() -> None:
    audit = Audit(scope())
    audit.add_inputs(0, [10, 11], ignored=[0, 1])
    assert found(audit)[0].result is Result.CLEAN


def test_an_outcome_in_both_topics_is_duplicates() -> None:
    audit = with_inputs(10, 11)
    audit.add_outcomes(OUTPUT, 0, answers(10, 11))
    audit.add_outcomes(REJECTED, 0, answers(11))
    verification, report = found(audit)
    assert (report.duplicates, report.examples["duplicates"], report.out_of_order) == (1, (11,), 0)
    assert verification.result is not Result.CLEAN
    assert "partition 0: duplicates: offset 11\n" in as_text(verification)


def test_a_missing_one_is_named() -> None:
    audit = with_inputs(10, 11)
    audit.add_outcomes(OUTPUT, 0, answers(11))
    verification, report = found(audit)
    assert (report.missing, report.examples["missing"], report.not_checkable) == (1, (10,), 0)
    assert verification.result is Result.DAMAGED
    assert as_text(verification).splitlines()[-2:] == [
        "partition 0: missing: offset 10",
        "damaged: not each of 2 committed input records has exactly one outcome, in order",
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
    assert found(apart)[0].result is Result.CLEAN


def test_a_second_outcome_that_comes_late_is_duplicates_and_not_out_of_order() -> None:
    audit = with_inputs(10, 11)
    audit.add_outcomes(OUTPUT, 0, answers(10, 11, 10))
    report = found(audit)[1]
    assert (report.duplicates, report.out_of_order) == (1, 0)


def test_an_outcome_of_no_record_is_an_orphan_unless_its_input_may_have_vanished() -> None:
    for vanish, orphans in ((False, 1), (True, 0)):
        audit = with_inputs(10, inputs_vanish=vanish)
        audit.add_outcomes(OUTPUT, 0, answers(10, 11))
        verification, report = found(audit)
        assert (report.orphans, verification.result is Result.CLEAN) == (orphans, vanish)


def test_outcomes_outside_the_span_are_none_of_its() -> None:
    audit = with_inputs(10)
    audit.add_outcomes(OUTPUT, 0, answers(3, 10, 25))
    verification, report = found(audit, committed=26)
    assert verification.result is Result.CLEAN
    assert report.outcomes == 1


def test_an_outcome_that_the_group_never_committed_is_damage() -> None:
    audit = with_inputs(10)
    audit.add_outcomes(OUTPUT, 0, answers(10, 20))
    verification, report = found(audit, committed=20)
    assert report.uncommitted == 20
    assert verification.result is not Result.CLEAN
    assert "partition 0: offset 20 has an outcome, but group group has not committed it" in as_text(verification)
    assert found(audit, committed=21)[0].result is Result.CLEAN


def test_what_names_no_record_is_damage_and_what_belongs_to_another_topic_is_none() -> None:
    audit = with_inputs(10)
    audit.add_outcomes(OUTPUT, 0, [*answers(10), (RecordReference("other", 0, 10), 0)])
    verification = found(audit)[0]
    assert (verification.result is Result.CLEAN, verification.of_other_topics) == (True, 1)
    audit.add_outcomes(OUTPUT, 0, [(None, 0), (RecordReference(INPUT, 7, 10), 0)])
    verification = found(audit)[0]
    assert (verification.result is Result.CLEAN, verification.unparseable) == (False, 2)


def test_below_the_first_outcome_that_retention_cannot_have_reached_nothing_is_missing() -> None:
    audit = with_inputs(10, 11, 12, 13, 14, lost_before_ms=1000)
    audit.add_outcomes(OUTPUT, 0, answers(11, time_ms=999))
    audit.add_outcomes(OUTPUT, 0, answers(13, time_ms=1000))
    verification, report = found(audit)
    assert (report.not_checkable, report.missing, report.examples["missing"]) == (2, 1, (14,))
    audit.add_outcomes(OUTPUT, 0, answers(14, time_ms=1001))
    verification, report = found(audit)
    assert verification.result is Result.CLEAN
    assert as_text(verification).splitlines()[-2:] == [
        "partition 0: not checkable: 2 input records without an outcome; retention removed the outcomes of that time",
        "clean: each of 3 committed input records has exactly one outcome, 2 not checkable",
    ]


def test_a_part_that_was_asked_for_and_cannot_be_checked_is_not_clean() -> None:
    audit = with_inputs(10, 11, lost_before_ms=1000, asked_for_all=True)
    audit.add_outcomes(OUTPUT, 0, answers(11, time_ms=1000))
    verification = found(audit)[0]
    assert verification.result is Result.UNPROVEN
    assert as_text(verification).splitlines()[-1].startswith("unproven: ")


def test_a_partition_that_cannot_be_checked_at_all_is_not_clean() -> None:
    audit = with_inputs(10, 11, lost_before_ms=1000)
    audit.add_outcomes(OUTPUT, 0, [])
    verification = found(audit)[0]
    assert verification.result is Result.UNPROVEN


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
        "partition  offsets  inputs  outcomes  missing  duplicates  out of order  orphans",
        "        0    10–19       1         1        0           0             0        0",
        "        1     none       0         0        0           0             0        0",
    ]


def test_without_any_committed_input_record_nothing_is_proven() -> None:
    for changed in ({}, {"bounded": True}, {"gone_before": {0: 10}}):
        verification = found(with_inputs(**changed))[0]
        document = json.loads(as_json(verification))
        assert (verification.result, document["result"], document["ok"]) == (Result.NOTHING, "nothing", False)
        assert as_text(verification).splitlines()[-1].startswith("nothing: ")


def test_waiting_and_removed_records_are_reported_and_are_not_damage() -> None:
    audit = with_inputs(10, waiting={0: 3, 1: 2}, gone_before={0: 10})
    audit.add_outcomes(OUTPUT, 0, answers(10))
    verification, report = found(audit)
    assert verification.result is Result.CLEAN
    assert (report.waiting, report.gone_before) == (3, 10)
    assert as_text(verification).splitlines()[-3:] == [
        "partition 0: not checkable: retention removed the input records before offset 10",
        "up to 5 more records wait after the committed offsets",
        "clean: 1 committed input record has exactly one outcome",
    ]


def test_inputs_that_are_gone_and_were_asked_for_are_not_proven() -> None:
    audit = with_inputs(10, bounded=True, gone_before={0: 10}, gone_asked_for=frozenset({0}))
    audit.add_outcomes(OUTPUT, 0, answers(10))
    verification = found(audit)[0]
    assert verification.result is Result.UNPROVEN
    assert as_text(verification).splitlines()[-1].startswith("unproven: ")
