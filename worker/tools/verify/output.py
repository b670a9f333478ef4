"""The findings of `segment-worker verify`, for people and for machines."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any, Final

import orjson

from schemas.counting import counted
from worker.tools.verify.audit import DAMAGE, PartitionReport, Result, Scope, Verification
from worker.tools.verify.current_table import CurrentReport

_COLUMNS: Final = ("partition", "offsets", "inputs", "outcomes", *(kind.replace("_", " ") for kind in DAMAGE))


def as_text(found: Verification) -> str:
    """The subject, a table with one line per partition, remarks, and the result in the last line."""
    rows = [_COLUMNS]
    for each in found.partitions:
        offsets = f"{each.from_offset}–{each.to_offset - 1}" if each.to_offset > each.from_offset else "none"
        damage = (str(getattr(each, kind)) for kind in DAMAGE)
        rows.append((str(each.partition), offsets, str(each.inputs), str(each.outcomes), *damage))
    widths = [max(len(row[column]) for row in rows) for column in range(len(_COLUMNS))]
    table = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    return "\n".join([_subject(found.scope), *table, *_remarks(found), _summary(found)]) + "\n"


def _subject(scope: Scope) -> str:
    results, rejected = scope.outcome_topics
    return (
        f"group {scope.group_id}, input topic {scope.input_topic}, outcome topics {results} and {rejected}, "
        f"at {scope.servers}"
    )


def _remarks(found: Verification) -> Iterator[str]:
    for each in found.partitions:
        yield from _partition_remarks(each, found.scope)
    if found.unparseable:
        named = f"a possible record of topic {found.scope.input_topic}"
        yield f"unparseable: {counted(found.unparseable, 'outcome')} without {named}"
    if found.of_other_topics:
        yield f"not checked: {counted(found.of_other_topics, 'outcome')} of other input topics"
    if ignored := sum(each.ignored for each in found.partitions):
        yield (
            f"ignored: {counted(ignored, 'input record')}, by WORKER_INPUT_FORMAT and WORKER_INPUT_WHERE as they are "
            "now; if they were changed, verify what came after that with --since"
        )
    if found.current is not None:
        yield from _current_remarks(found.current)
    if waiting := sum(each.waiting for each in found.partitions):
        yield f"up to {waiting} more records wait after the committed offsets"


def _current_remarks(current: CurrentReport) -> Iterator[str]:
    if current.stale:
        more = f" and {current.stale - len(current.examples)} more" if current.stale > len(current.examples) else ""
        yield (
            f"topic {current.topic}: {counted(current.stale, 'record')} is not the last result of its user: "
            f"partition/offset {', '.join(current.examples)}{more}; workers without WORKER_CURRENT_TOPIC wrote "
            "results, or another program writes there"
        )
    if current.absent:
        yield (
            f"topic {current.topic}: {counted(current.absent, 'user')} with results and without a record there; as it "
            "should be if those results are older than WORKER_CURRENT_TOPIC"
        )


def _partition_remarks(each: PartitionReport, scope: Scope) -> Iterator[str]:
    where = f"partition {each.partition}: "
    for kind in DAMAGE:
        count, offsets = getattr(each, kind), each.examples[kind]
        if count:
            more = f" and {count - len(offsets)} more" if count > len(offsets) else ""
            yield f"{where}{kind.replace('_', ' ')}: offset {', '.join(map(str, offsets))}{more}"
    if each.uncommitted is not None:
        yield (
            f"{where}offset {each.uncommitted} has an outcome, but group {scope.group_id} has not committed it: its "
            "offsets were moved back or deleted, or another program writes outcomes"
        )
    if each.not_checkable:
        why = (
            "the group started later (WORKER_START_AT=latest), or retention removed their outcomes"
            if scope.begin_at_first_outcome
            else "retention removed the outcomes of that time"
        )
        yield f"{where}not checkable: {counted(each.not_checkable, 'input record')} without an outcome; {why}"
    if each.gone_before is not None:
        yield f"{where}not checkable: retention removed the input records before offset {each.gone_before}"


def _summary(found: Verification) -> str:
    inputs = sum(each.inputs for each in found.partitions)
    left_out = sum(each.not_checkable for each in found.partitions)
    but = f", {left_out} not checkable" if left_out else ""
    where = "within these bounds" if found.scope.bounded else "to verify"
    finding = {
        Result.CLEAN: f"{_each_of(inputs - left_out)} has exactly one outcome{but}",
        Result.DAMAGED: f"not {_each_of(inputs)} has exactly one outcome, in order",
        Result.UNPROVEN: "the bounds include records that are not checkable, or a whole partition is not checkable",
        Result.NOTHING: f"no committed input record {where}",
    }[found.result]
    return f"{found.result}: {finding}"


def _each_of(inputs: int) -> str:
    return f"{'' if inputs == 1 else 'each of '}{counted(inputs, 'committed input record')}"


def as_json(found: Verification) -> str:
    """The same for machines: `result`, `ok` if that is `clean`, and `partitions` with the same figures."""
    partitions: list[dict[str, Any]] = [{**asdict(each), "damaged": each.damaged} for each in found.partitions]
    document = {
        "ok": found.result is Result.CLEAN,
        "result": found.result,
        "servers": found.scope.servers,
        "group": found.scope.group_id,
        "topic": found.scope.input_topic,
        "outcome_topics": found.scope.outcome_topics,
        "partitions": partitions,
        "of_other_topics": found.of_other_topics,
        "unparseable": found.unparseable,
        "current": None if found.current is None else asdict(found.current),
    }
    return orjson.dumps(document, option=orjson.OPT_INDENT_2).decode() + "\n"
