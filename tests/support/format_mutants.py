"""Corrupted records of each mapped format, made of the mutants of events: the same seed and number give the same."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from schemas.events import USER_ERASED_TYPE
from schemas.formats.cloudevents import CloudEvents
from schemas.formats.input_format import InputFormat
from schemas.formats.mapped import PRESETS, PRESETS_IN_AVRO, Given, mapped
from schemas.formats.records import Headers
from schemas.formats.times import TimeFormat
from schemas.formats.where import where
from tests.support.avro_mutants import in_avro, load
from tests.support.events import ENVELOPE
from tests.support.mutants import NUMBERS, TEXTS, TIMES, mutant
from worker.stream.records import Record

_TIME: Final = b'"%s"' % ENVELOPE["time"].encode()


class Mutated(NamedTuple):
    """A format, and how an event's bytes become those of a record of it."""

    format: InputFormat
    written: Callable[[random.Random, bytes], bytes]
    headers: Callable[[random.Random], Headers] = lambda _: ()


def format_mutant(of: Mutated, seed: int, number: int) -> Record:
    """The record with this number."""
    draw = random.Random(f"format/{seed}/{number}")
    record = mutant(seed, number)
    # The condition on headers holds for most.
    kind = ("kind", draw.choice((b"user", b"user", b"user", b"", None)))
    headers = (*of.headers(draw), *record.headers, kind)[: draw.choice((1, 99))]
    value = None if draw.random() < 0.05 else record.value
    return record._replace(value=value and of.written(draw, value), headers=headers)


def _flat(value: bytes) -> bytes:
    """An event with the fields of its profile among its attributes."""
    return value.replace(b'"data":{', b"", 1)[:-1] if b'"data":{' in value else value


def _of_numbers(draw: random.Random, value: bytes) -> bytes:
    time = draw.choice(NUMBERS) if draw.random() < 0.1 else draw.choice((b"1764000000123", b"-62135596800001"))
    user = draw.choice(NUMBERS) if draw.random() < 0.1 else draw.choice((b"7", b"9007199254740993"))
    return value.replace(_TIME, time).replace(b'"subject":', b'"subject":%s,"was":' % user)


def _segment(draw: random.Random, value: bytes) -> bytes:
    names = ((b"subject", b"userId"), (b"id", b"messageId"), (b"time", b"timestamp"))
    for name, other in names:
        value = value.replace(b'"%s":' % name, b'"%s":' % other)
    value = value.replace(
        b'"type":"user.profile.observed.v1"', b'"type":"%s"' % draw.choice((b"identify", b"track", b"page"))
    )
    if draw.random() < 0.5:
        return value.replace(b'"data":', b'"traits":')
    both = draw.choice((b"", b"", b'"traits":null,', b'"traits":{},', b'"traits":[0],'))
    return value.replace(b'"data":', both + b'"context":{"traits":') + b"}"


def _debezium(draw: random.Random, value: bytes) -> bytes:
    op = draw.choice((b'"c"', b'"u"', b'"r"', b'"d"', b'"x"', b"null", b"1"))
    source = draw.choice((b'{"ts_ms":1764000000123}', b'{"ts_ms":1764000000123,"db":"a"}', b"{}", b"null"))
    row = draw.choice((_flat(value), _flat(value), _flat(value), b"null"))
    change = b'{"op":%s,"source":%s,"before":null,"after":%s}' % (op, source, row)
    wrapped = (b"%s", b'{"payload":%s}', b'{"schema":{},"payload":%s}', b'{"payload":null,%s', b'{"payload":{},%s')
    one = draw.choice(wrapped)
    return one % (change if one.endswith(b"}") or one == b"%s" else change[1:])


_BINARY: Final = (
    *(("ce_" + name, str(content).encode()) for name, content in ENVELOPE.items()),
    ("content-type", b"application/json"),
)
_MODES: Final = (
    b"application/cloudevents+json",
    b"application/cloudevents-batch+json",
    b"application/cloudevents",
    None,
)


def _binary_headers(draw: random.Random) -> Headers:
    headers: list[tuple[str, bytes | None]] = [*_BINARY]
    if draw.random() < 0.5:
        at = draw.randrange(len(headers))
        other = (headers[at][0], draw.choice((*TEXTS, *TIMES, *_MODES)))
        if draw.random() < 0.5:
            other = ("ce_type", USER_ERASED_TYPE.encode())
        headers[at : at + 1] = draw.choice(([], [other], [headers[at], other]))
    return tuple(headers) if draw.random() < 0.9 else ()


def _binary(draw: random.Random, value: bytes) -> bytes:
    return value.partition(b'"data":')[2][:-1] if draw.random() < 0.95 else value


def _of_others(draw: random.Random, value: bytes) -> bytes:
    """The event, or one of another source or type; an erasure, with any data."""
    erased = (b"type", USER_ERASED_TYPE.encode())
    name, other = draw.choice(((b"source", b"/apps/crm"), (b"type", b"order.placed.v1"), erased, erased, (b"", b"")))
    if name == b"type" and draw.random() < 0.5:
        value = value.replace(b'"data":{', b'"data":%s,"was":{' % draw.choice((b"null", b"[1]", b'{"age":1}')))
    was = b'"%s":"%s"' % (name, str(ENVELOPE.get(name.decode())).encode())
    return value.replace(was, b'"%s":"%s"' % (name, other)) if draw.random() < 0.6 else value


FORMATS: Final[Mapping[str, Mutated]] = {
    "structured": Mutated(CloudEvents(where("/source=/apps/web && /type=user.profile.observed.v1")), _of_others),
    "compacted": Mutated(CloudEvents(where("/source=/apps/web")).of_compacted_topic(), _of_others),
    "identify": Mutated(
        mapped(PRESETS["segment"], Given(where=where("/type=identify")), numeric_ids=False),
        _segment,
    ),
    "binary": Mutated(CloudEvents(where("/source=/apps/web && /data/language=Hindi")), _binary, _binary_headers),
    "flat": Mutated(
        mapped(
            PRESETS["json"],
            Given(
                user="/subject",
                time="/time",
                id="/id",
                time_format=TimeFormat.RFC3339,
                where=where("/type=user.profile.observed.v1 && header:kind=user"),
            ),
            numeric_ids=False,
        ),
        lambda _, value: _flat(value),
    ),
    "numbers": Mutated(
        mapped(
            PRESETS["json"],
            Given(
                user="/subject",
                time="/time",
                data="/data",
                time_format=TimeFormat.MILLISECONDS,
                where=where('/specversion="1.0" && /source=/apps/web'),
            ),
            numeric_ids=True,
        ),
        _of_numbers,
    ),
    "record": Mutated(
        mapped(PRESETS["json"], Given(user="$key", data="/data"), numeric_ids=False).of_compacted_topic(),
        lambda _, value: value,
    ),
    "segment": Mutated(mapped(PRESETS["segment"], Given(), numeric_ids=False), _segment),
    "avro": Mutated(
        mapped(
            PRESETS_IN_AVRO["avro"],
            Given(user="/subject", time="/time", where=where("/type=user.profile.observed.v1")),
            numeric_ids=True,
            load=load,
        ),
        in_avro,
    ),
    "debezium": Mutated(
        mapped(PRESETS["debezium"], Given(user="/subject", where=where("/source=/apps/web")), numeric_ids=False),
        _debezium,
    ),
}
