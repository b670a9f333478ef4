"""Randomly corrupted events: the same seed and number always give the same record."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import orjson

from schemas.events import USER_ERASED_TYPE
from tests.support.events import ENVELOPE, PROFILE, event_bytes
from worker.stream.records import Record

CANARY: Final = "c4n4ry"
"""Part of every text in a value; no detail of a rejection may contain it."""
TOPIC: Final = "user-activity"

_FIELDS: Final = (*ENVELOPE, "data", *PROFILE)
NUMBERS: Final = (
    *b"-0 -0.0 0e0 1e-400 5e-324 2.2250738585072014e-308 1e308 1.7976931348623157e308 1.8e308 1e999 -1e999".split(),
    *b"1E+2 1e+ 01 .5 5. +5 --1 0x10 1_000 Infinity -Infinity NaN nan null true false 24 5640.0 5640.5 0.1e1".split(),
    *b"9007199254740993 9223372036854775807 9223372036854775808 18446744073709551615 18446744073709551616".split(),
    *b"-9223372036854775809 1e22 24.0000000000000001 1.0000000000000001 0.99999999999999999999".split(),
    b"1" * 39,
    b"1" * 400,
    b"1" * 5000,
    b"0." + b"3" * 400,
    b"1e" + b"0" * 400 + b"1",
    b"1e-" + b"9" * 400,
    b"0" * 50,
)
TEXTS: Final = (
    *rb"\ud800 \udc00 \ud800\ud800 \udc00\ud800 \ud83d\ude00 \u0000 \u000a \uFFFF \u12 \x41 \u00e9 \/ \b\f\n".split(),
    b"",
    b"\x00",
    b"\n",
    b"\x7f",
    "é".encode(),
    "😀".encode(),
    "e\u0301\u202e\u2028\ufeff".encode(),
    b"\xed\xa0\x80",  # a surrogate, an overlong slash and a code point beyond the last, encoded like UTF-8
    b"\xc0\xaf",
    b"\xf4\x90\x80\x80",
    b"x" * 200,
    b"x" * 201,
    b"x" * 1024,
    b"x" * 1025,
    "😀".encode() * 1024,
)
TIMES: Final = (
    *b"2026-11-22T12:00:00Z 0000-01-01T00:00:00Z 0001-01-01T00:00:00+23:59 9999-12-31T23:59:59-23:59".split(),
    *b"9999-12-31T23:59:59.999999999Z 2016-12-31T23:59:60Z 2026-02-29T00:00:00Z 2024-02-29T00:00:00Z".split(),
    *b"2026-11-22T24:00:00Z 2026-11-22T12:00:00+24:00 2026-11-22T12:00:00+14:00 2026-11-22T12:00:00-00:00".split(),
    *b"2026-11-22t12:00:00z 2026-11-22T12:00:00.123456789012Z 2026-11-22T12:00:00+0530 2026-11-22T12:00".split(),
    *b"-001-01-01T00:00:00Z 1764000000 20261122T120000Z 2026-11-22T12:00:00.Z 2026-W47-7T12:00:00Z".split(),
    b"2026-11-22T12:00:00Z\\n",
    b"2026-11-22 12:00:00Z",
    "\uff12\uff10\uff12\uff16-11-22T12:00:00Z".encode(),  # the year in other digits
)
_VALUES: Final = (
    *b'null true false 0 -1 1.5 [] {} [[]] [null] [0] [""] {"a":1} "" "0" "c4n4ry" ["c4n4ry"] ["a","a"]'.split(),
)
_EVENT_BYTES: Final = 890_000
_ERASED_SHARE: Final = 0.05


def mutant(seed: int, number: int) -> Record:
    """The record with this number: an event, more or less corrupted."""
    draw = random.Random(f"{seed}/{number}")
    return _mutant(number, draw, _good(draw))


class Pool(NamedTuple):
    """Values of a further field, as JSON."""

    valid: Sequence[bytes]
    others: Sequence[bytes]


def optional_mutant(seed: int, number: int, further: Mapping[str, Pool]) -> Record:
    """The same with further fields, and with any field of the profile missing or null."""
    draw = random.Random(f"optional/{seed}/{number}")
    good = orjson.loads(_good(draw))
    data = good["data"]
    least = draw.choice((0.0, 0.1, 0.1, 0.6))
    texts = {name: orjson.dumps(value) for name, value in data.items()}
    texts |= {name: draw.choice(pool.valid if draw.random() < 0.9 else pool.others) for name, pool in further.items()}
    kept = {name: b"null" if draw.random() < least else text for name, text in texts.items() if draw.random() >= least}
    fields = b",".join(b'"%b":%b' % (name.encode(), text) for name, text in kept.items())
    return _mutant(number, draw, orjson.dumps({**good, "data": "@@"}).replace(b'"@@"', b"{%b}" % fields))


def _mutant(number: int, draw: random.Random, value: bytes) -> Record:
    for _ in range(draw.choice((0, 1, 1, 1, 2, 3))):
        value = draw.choice(_MUTATIONS)(draw, value)
    whole: bytes | None = value
    if draw.random() < 0.004:
        whole = draw.choice(_HUGE)(draw)
    elif draw.random() < 0.01:
        whole = draw.choice((None, b"", b"\x00", draw.randbytes(draw.randrange(300))))
    return Record(
        TOPIC,
        3,
        number,
        draw.choice((-1, 0, 1_764_000_000_000, 2**62)),
        draw.choice((b"user-1042", None, b"", b"\xff\x00", f"user-{number}".encode())),
        whole,
        _headers(draw),
    )


def _good(draw: random.Random) -> bytes:
    # An erasure needs no data; these carry some.
    erasure: dict[str, Any] = {"type": USER_ERASED_TYPE} if draw.random() < _ERASED_SHARE else {}
    # The values differ, so that neighbouring events do.
    return event_bytes(
        {
            "gender": draw.choice(("Female", "Male", CANARY)),
            "likes_and_reactions": draw.randrange(10_000),
            "conversion_rate": draw.random(),
            "top_interests": draw.sample(("Gaming", "Pet Care", "Data Science", CANARY), draw.randrange(4)),
        },
        id=f"{CANARY}-{draw.getrandbits(32):x}",
        subject=f"{CANARY}-{draw.randrange(1000)}",
        **erasure,
    )


def _headers(draw: random.Random) -> tuple[tuple[str, bytes | None], ...]:
    if draw.random() < 0.8:
        return ()
    names = ("trace", "", "é", "\x00", "rejected.reason", "rejected.nulls", "rejected.truncated")
    one = (draw.choice(names), draw.choice((None, b"", b"\xff", b"x" * 1000)))
    few = draw.choice((1, 1, 2, 5, 50))
    return (one,) * (draw.choice((1_000, 1_001, 10_000, 500_000)) if draw.random() < 0.01 else few)


# --- one mutation: bytes to bytes --------------------------------------------------------------------------------


def _flip(draw: random.Random, value: bytes) -> bytes:
    if not value:
        return value
    at = draw.randrange(len(value))
    return value[:at] + bytes([value[at] ^ (1 << draw.randrange(8))]) + value[at + 1 :]


def _cut(draw: random.Random, value: bytes) -> bytes:
    start = draw.randrange(len(value) + 1)
    return value[:start] + value[start + draw.randrange(1, 40) :]


def _truncate(draw: random.Random, value: bytes) -> bytes:
    return value[: draw.randrange(len(value) + 1)]


def _repeat(draw: random.Random, value: bytes) -> bytes:
    start = draw.randrange(len(value) + 1)
    part = value[start : start + draw.randrange(1, 80)]
    return value[:start] + part * draw.choice((2, 2, 3, 50)) + value[start + len(part) :]


def _insert(draw: random.Random, value: bytes) -> bytes:
    at = draw.randrange(len(value) + 1)
    syntax = (b'"', b"\\", b"{", b"}", b"[", b"]", b",", b":", b" ", b"\x00", b"\xff", b"\xef\xbb\xbf", b"\n", b"/**/")
    return value[:at] + draw.choice((*syntax, draw.randbytes(draw.randrange(1, 9)))) + value[at:]


def _around(draw: random.Random, value: bytes) -> bytes:
    return draw.choice(
        (
            b"\xef\xbb\xbf" + value,
            value + value,
            b"[" + value + b"]",
            value.decode("latin-1").encode("utf-16"),
            value.decode("latin-1").encode("utf-32-le"),
            b" \t\r\n" + value + b" \t\r\n",
            value + b"\x00",
            value.replace(b'"', b"'"),
            value.replace(b",", b",,", 1),
            value.replace(b":", b" : "),
        )
    )


def _replace(draw: random.Random, value: bytes) -> bytes:
    name = draw.choice(_FIELDS)
    pools: tuple[Callable[[], bytes], ...] = (
        lambda: draw.choice(NUMBERS),
        lambda: b'"' + draw.choice(TEXTS) * draw.choice((1, 1, 3)) + CANARY.encode() + b'"',
        lambda: b'"' + draw.choice(TIMES) + b'"',
        lambda: draw.choice(_VALUES),
        lambda: b"[" * (depth := draw.choice((10, 200, 255, 1023, 1025))) + b"]" * depth,
        lambda: b"[" + b",".join([draw.choice(_VALUES)] * draw.choice((3, 999, 1000, 1001))) + b"]",
    )
    return _with_value(value, name, draw.choice(pools)())


def _time(draw: random.Random, value: bytes) -> bytes:
    return _with_value(value, "time", b'"' + draw.choice(TIMES) + b'"')


def _number(draw: random.Random, value: bytes) -> bytes:
    numbers = [name for name, given in PROFILE.items() if isinstance(given, int | float)]
    return _with_value(value, draw.choice(numbers), draw.choice(NUMBERS))


def _with_value(value: bytes, name: str, raw: bytes) -> bytes:
    before, found, after = value.partition(b'"%s":' % name.encode())
    if not found:
        return value
    # Up to the next comma: wrong for lists and objects, which makes good mutants, too.
    _, comma, rest = after.partition(b",")
    return before + found + raw + comma + rest


def _again(draw: random.Random, value: bytes) -> bytes:
    """The same name twice, with another value before or after."""
    name = draw.choice(_FIELDS).encode()
    other = b'"%s":%s' % (name, draw.choice((*_VALUES, *NUMBERS)))
    if draw.random() < 0.5:
        return value.replace(b'"%s":' % name, other + b',"%s":' % name, 1)
    return value.replace(b"}", b"," + other + b"}", 1) if draw.random() < 0.5 else value[:-1] + b"," + other + b"}"


def _unknown(draw: random.Random, value: bytes) -> bytes:
    name = draw.choice((CANARY, "", "extra", "Age", "__class__", "model_config", "é", "a" * 300))
    return value.replace(b"{", b'{"%s":%s,' % (name.encode(), draw.choice((*_VALUES, *NUMBERS))), draw.choice((1, 2)))


def _rename(draw: random.Random, value: bytes) -> bytes:
    name = draw.choice(_FIELDS).encode()
    return value.replace(b'"%s":' % name, draw.choice((b'"x":', b'"%s ":' % name, b'"%s":' % name.upper(), b"1:")), 1)


_MUTATIONS: Final = (
    _flip,
    _cut,
    _truncate,
    _repeat,
    _insert,
    _around,
    _replace,
    _replace,
    _replace,
    _time,
    _number,
    _number,
    _again,
    _again,
    _unknown,
    _unknown,
    _rename,
)

# --- events of the maximum size: the most expensive ----------------------------------------------------------------


def _in_field(draw: random.Random, raw: bytes) -> bytes:
    name = draw.choice((*_FIELDS, "unknown"))
    placed: dict[str, Any] = {name: "@@"} if name in ENVELOPE or name == "data" else {}
    return event_bytes({} if placed else {name: "@@"}, **placed).replace(b'"@@"', raw)


def _text(draw: random.Random) -> bytes:
    unit = draw.choice((*TEXTS, b"x", b",", b'\\"', b"\\\\", b"[", rb"\n", rb"\u00e9", "é".encode())) or b"x"
    return _in_field(draw, b'"' + unit * (_EVENT_BYTES // len(unit)) + b'"')


def _list(draw: random.Random) -> bytes:
    unit = draw.choice((*_VALUES, *NUMBERS, b"[" * 900 + b"]" * 900))
    most = _EVENT_BYTES // (len(unit) + 1)
    count = draw.choice((most, min(most, 9_000 // (1 + unit.count(b"[")))))
    return _in_field(draw, b"[" + b",".join([unit] * count) + b"]")


def _names(draw: random.Random) -> bytes:
    count = draw.choice((9_000, 60_000))
    same = draw.random() < 0.3
    length = draw.choice((0, 30))
    tail = draw.choice((b'"', b',\\""')) + b":1"
    members = b",".join([b'"%0*x' % (length, 0 if same else number) + tail for number in range(count)])
    if draw.random() < 0.5:
        return event_bytes().replace(b"{", b"{" + members + b",", 1)
    return event_bytes().replace(b'"data":{', b'"data":{' + members + b",", 1)


def _digits(draw: random.Random) -> bytes:
    before = draw.choice((b"1", b"0.", b"1e", b"1e-", b"-", b"1.5e+", b"0.0"))
    return _in_field(draw, before + draw.choice((b"0", b"1", b"9")) * _EVENT_BYTES)


def _missing(draw: random.Random) -> bytes:
    """Few of the required fields, and many others."""
    much: dict[str, Any] = {"unknown": [[]] * draw.choice((4_000, 200_000))}
    return orjson.dumps({**much, "data": {**much}} if draw.random() < 0.5 else {**ENVELOPE, "data": much})


def _wrong(draw: random.Random) -> bytes:
    value = draw.choice(([0] * 400, "x" * 40_000, [["x"]] * 200, {"a": "b" * 40_000}))
    return orjson.dumps({**dict.fromkeys(ENVELOPE, value), "data": dict.fromkeys(PROFILE, value)})


def _noise(draw: random.Random) -> bytes:
    unit = draw.choice((b" ", b"\n", b"[", b"{", b'{"a":', b"\x00", b"\xff", b'"', b"\\", b",", b"[],", b'"",'))
    return unit * (draw.choice((_EVENT_BYTES, 1_000_000)) // len(unit)) + draw.choice((b"", event_bytes()))


_HUGE: Final = (_text, _text, _list, _list, _names, _digits, _missing, _wrong, _noise)


def own_class_mutant(seed: int, number: int) -> Record:
    """An event of a class with a number `x`, a `label` and `tags`, most of them invalid."""
    draw = random.Random(f"own/{seed}/{number}")
    pool = (*NUMBERS, *_VALUES, *(b'"%s"' % each for each in (*NUMBERS, *TEXTS)))
    x = draw.choice((b"1.5", draw.choice(pool)))
    label = draw.choice((b'"a"', draw.choice(pool)))
    tags = draw.choice((b'["a","b"]', b"[%s]" % draw.choice(pool), draw.choice(pool)))
    data = b'{"x":%s,"label":%s,"tags":%s}' % (x, label, tags)
    return Record(TOPIC, 3, number, 0, b"k", event_bytes(data=0).replace(b'"data":0', b'"data":' + data))
