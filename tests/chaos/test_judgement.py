"""Each kind of damage is seen where it was planted, and a clean run is clean."""

from dataclasses import replace

import pytest

from tests.chaos.judgement import (
    ERASED,
    IGNORED,
    RECOVERY_MOST_S,
    Answer,
    Commit,
    Current,
    Ending,
    Evidence,
    Input,
    judge,
)

INPUTS = tuple(
    Input(partition, offset, "empty" if offset == 7 else "") for partition in range(2) for offset in range(10)
)
ANSWERS = tuple(
    Answer(
        "rejected" if one.expected else "out",
        one.partition,
        0 if one.expected else one.offset * 3,
        b"user-%d-%d" % (one.partition, one.offset % 2),
        one.partition,
        one.offset,
        one.expected,
    )
    for one in INPUTS
)


def current(answers: tuple[Answer, ...]) -> tuple[Current, ...]:
    """The current topic as it must be, after whatever was there before."""
    before = (Current(b"user-0-0", 0, 0, erased=False),)
    last = {each.key: each for each in sorted(answers, key=lambda each: each.input_offset) if each.topic == "out"}
    return (*before, *(Current(key, *each[4:6], erased=each.reason == ERASED) for key, each in last.items()))


CLEAN = Evidence(
    inputs=INPUTS,
    answers=ANSWERS,
    answers_meanwhile=ANSWERS,
    current=current(ANSWERS),
    commits=(Commit(0, 0), Commit(1, 0), Commit(0, 4), Commit(1, 10), Commit(0, 10)),
    committed={0: 10, 1: 10},
    endings=(Ending("one", 0, frozenset({0, 1})), Ending("two", 137, frozenset({1, 137}))),
    recovery_s=3.0,
    verify_status=0,
    verify_output="clean\n",
    bypasses=(),
    not_come_about=(),
    crashes=(),
)


def changed(answers: tuple[Answer, ...]) -> Evidence:
    """Both readers received these."""
    return replace(CLEAN, answers=answers, answers_meanwhile=answers, current=current(answers))


def swapped() -> tuple[Answer, ...]:
    """The results of inputs 0/2 and 0/4 stand in each other's place."""
    two, four = ANSWERS[2], ANSWERS[4]
    others = tuple(answer for answer in ANSWERS if answer not in (two, four))
    return (*others, two._replace(offset=four.offset), four._replace(offset=two.offset))


def test_a_run_without_damage_is_clean() -> None:
    verdict = judge(CLEAN)
    assert verdict.violations == ()
    assert (verdict.inputs, verdict.missing, verdict.duplicates, verdict.out_of_order) == (20, 0, 0, 0)
    assert not verdict.damaged


def test_an_ignored_input_has_no_outcome_and_is_counted_by_verify() -> None:
    ignored = [one._replace(expected=IGNORED) if one.offset == 3 else one for one in INPUTS]
    without = tuple(answer for answer in ANSWERS if answer.input_offset != 3)
    seen = replace(changed(without), inputs=ignored, verify_output="ignored: 2 input records, by …\nclean: …\n")
    verdict = judge(seen)
    assert (verdict.violations, verdict.inputs, verdict.ignored, verdict.missing) == ((), 18, 2, 0)
    assert [kind for kind, _ in judge(replace(seen, verify_output="clean: …\n")).violations] == [
        "segment-worker verify"
    ]
    (many,) = judge(replace(seen, verify_output="ignored: 5,305 input records, by …\nclean: …\n")).violations
    assert many[1] == "it counts 5305 ignored records, and there are 2"
    answered = judge(replace(seen, answers=ANSWERS, answers_meanwhile=ANSWERS))
    assert [where for kind, where in answered.violations if kind == "wrong outcome"] == [
        f"input {partition}/3: a result, and should be ignored" for partition in (0, 1)
    ]


def test_an_erasure_has_a_result_and_a_tombstone() -> None:
    erased = (1, 9)
    inputs = tuple(one._replace(expected=ERASED) if one[:2] == erased else one for one in INPUTS)
    answers = tuple(answer._replace(reason=ERASED) if answer[4:6] == erased else answer for answer in ANSWERS)
    seen = replace(changed(answers), inputs=inputs)
    assert judge(seen).violations == ()
    assert [kind for kind, _ in judge(replace(seen, current=current(ANSWERS))).violations] == ["current topic"]
    assert {kind for kind, _ in judge(replace(seen, inputs=INPUTS)).violations} == {"wrong outcome"}


def test_an_input_without_an_outcome_is_missing() -> None:
    verdict = judge(changed(ANSWERS[:3] + ANSWERS[4:]))
    assert verdict.missing == 1
    assert verdict.violations == (("missing", "input 0/3"),)


def test_an_input_that_is_not_committed_either_is_not_processed_and_no_damage() -> None:
    verdict = judge(replace(changed(ANSWERS[:-1]), committed={0: 10, 1: 9}))
    assert verdict.violations == (("not processed", "input 1/9"),)
    assert verdict.missing == 1
    assert not verdict.damaged


def test_what_is_missing_because_workers_crash_is_no_damage_that_a_mutation_did() -> None:
    evidence = changed(ANSWERS[1:])
    assert judge(evidence).damaged
    assert not judge(replace(evidence, crashes=["worker-0.log"])).damaged


def test_a_second_outcome_is_a_duplicate_also_as_rejected() -> None:
    second = ANSWERS[3]._replace(topic="rejected", offset=9)
    verdict = judge(changed((*ANSWERS, second)))
    assert verdict.duplicates == 1
    assert verdict.violations == (("duplicates", "input 0/3 has 2 outcomes: out 0/9, rejected 0/9"),)


def test_results_of_a_partition_that_changed_places_are_out_of_order() -> None:
    verdict = judge(changed(swapped()))
    assert verdict.out_of_order >= 1
    assert {kind for kind, _ in verdict.violations} == {"out of order", "read out of order"}
    assert "out 0/12, of input 0/2, comes after out 0/9, of input 0/3," in [where for _, where in verdict.violations]


def test_results_of_one_user_in_two_partitions_have_no_order() -> None:
    moved = tuple(answer._replace(partition=1, offset=99) if answer[4:6] == (0, 9) else answer for answer in ANSWERS)
    assert judge(changed(moved)).out_of_order == 1


def test_what_a_late_second_outcome_says_about_order_is_nothing() -> None:
    assert judge(changed((*ANSWERS, ANSWERS[0]._replace(offset=99)))).out_of_order == 0


BROKEN = {
    "an outcome of an input that is not there": (
        changed((*ANSWERS, ANSWERS[0]._replace(offset=99, input_offset=77))),
        "orphans",
    ),
    "a bad event with a result": (
        replace(CLEAN, inputs=(INPUTS[0]._replace(expected="not_json"), *INPUTS[1:])),
        "wrong outcome",
    ),
    "an outcome that only the last reader saw": (replace(CLEAN, answers_meanwhile=ANSWERS[1:]), "visible once only"),
    "an outcome that vanished": (
        replace(CLEAN, answers_meanwhile=(*ANSWERS, ANSWERS[-1]._replace(offset=99))),
        "visible once only",
    ),
    "a user who is not in the current topic": (replace(CLEAN, current=CLEAN.current[:-1]), "current topic"),
    "a user with an older segment in the current topic": (
        replace(CLEAN, current=(*CLEAN.current, Current(b"user-1-0", 1, 2, erased=False))),
        "current topic",
    ),
    "a user who is in the current topic only": (
        replace(CLEAN, current=(*CLEAN.current, Current(b"nobody", 1, 2, erased=True))),
        "current topic",
    ),
    "offsets read backwards": (replace(CLEAN, answers_meanwhile=ANSWERS[::-1]), "read out of order"),
    "a committed offset that went back": (
        replace(CLEAN, commits=(*CLEAN.commits, Commit(1, 9))),
        "committed offset moved back",
    ),
    "an exit status that is not allowed": (
        replace(CLEAN, endings=(Ending("one", 2, frozenset({0, 1})),)),
        "exit status",
    ),
    "a lag that stays": (replace(CLEAN, recovery_s=None), "recovery"),
    "a recovery that takes too long": (replace(CLEAN, recovery_s=RECOVERY_MOST_S + 0.1), "recovery"),
    "damage that verify found": (replace(CLEAN, verify_status=1), "segment-worker verify"),
    "a connection past the proxy": (
        replace(CLEAN, bypasses=["one is connected to port 9"]),
        "connection past the proxy",
    ),
    "a fault that met nobody": (replace(CLEAN, not_come_about=["kill: nobody"]), "fault that did not come about"),
    "a crash": (replace(CLEAN, crashes=["worker-0.log"]), "crash"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_each_other_broken_promise_is_a_violation_of_its_own(name: str) -> None:
    evidence, kind = BROKEN[name]
    assert {found for found, _ in judge(evidence).violations} == {kind}


def test_a_violation_is_reported_with_its_count_and_offsets() -> None:
    verdict = judge(changed(ANSWERS[2:]))
    assert [*verdict.lines()] == [
        "missing: 2",
        "    input 0/0",
        "    input 0/1",
    ]
