import re
from typing import Any

import pytest

from schemas.formats.where import where


@pytest.mark.parametrize(
    ("text", "document", "matches"),
    [
        ("/event=profile_updated", {"event": "profile_updated"}, True),
        ("/event=profile_updated", {"event": "other"}, False),
        ("/event=profile_updated", {"event": ["profile_updated"]}, False),
        ("/event=Order Completed", {"event": "Order Completed"}, True),
        ("/event=", {"event": ""}, True),
        ('/a="x=y"', {"a": "x=y"}, True),
        ('/a="x && /b=1" && /c=2', {"a": "x && /b=1", "c": 2}, True),
        ('/a="x \\" && y"', {"a": 'x " && y'}, True),
        ("/a=Men's wear", {"a": "Men's wear"}, True),
        ('/a"b=1 && /c"d=2', {'a"b': 1, 'c"d': 2}, True),
        ("/v=18446744073709551615", {"v": 18446744073709551615}, True),
        ("/v=2", {"v": 2}, True),
        ("/v=2", {"v": 2.0}, True),
        ("/v=2", {"v": "2"}, False),
        ('/v="2"', {"v": "2"}, True),
        ("/v=1", {"v": True}, False),
        ("/v=true", {"v": 1}, False),
        ("/v=true", {"v": True}, True),
        ("/v=0.5", {"v": 0.5}, True),
        ("/v=null", {"v": None}, True),
        ("/v=null", {}, False),
        ("/v=NaN", {"v": "NaN"}, True),
        ("/a/1/b=x", {"a": [0, {"b": "x"}]}, True),
        ("/a=1&&/b=2", {"a": 1, "b": 2}, True),
        (" /a = 1 && /b = 2 ", {"a": 1, "b": 3}, False),
        ('/a="x \\u0026\\u0026 y"', {"a": "x && y"}, True),
        ("/a=1", [1], False),
        ("/a=1", "a", False),
        ("/a=1", None, False),
    ],
)
def test_a_condition_on_a_value_holds_for_the_same_json_scalar_only(text: str, document: Any, matches: bool) -> None:
    assert where(text).matches(document) == matches


@pytest.mark.parametrize(
    ("headers", "matches"),
    [
        ([("kind", b"user")], True),
        ([("kind", b"other"), ("kind", b"user")], True),
        ([("kind", b"user"), ("kind", b"other")], False),
        ([("kind", None)], False),
        ([], False),
        ([("Kind", b"user")], False),
    ],
)
def test_the_last_header_of_a_name_counts(headers: list[tuple[str, bytes | None]], matches: bool) -> None:
    assert where("header:kind=user").headers_match(tuple(headers)) == matches


def test_a_header_is_bytes_and_only_quotation_marks_are_taken_off() -> None:
    found = where(
        'header:a="eu" && header:b=5 && header:c=true && header:d={"e":1} && header:f=12345678901234567890123'
    )
    assert dict(found.headers) == {
        "a": b"eu",
        "b": b"5",
        "c": b"true",
        "d": b'{"e":1}',
        "f": b"12345678901234567890123",
    }


def test_without_a_condition_on_headers_none_is_needed() -> None:
    assert where("/a=1").headers_match(())


@pytest.mark.parametrize(
    "text",
    ["", "event=x", "/event", "/a=[1]", "/a={}", "header:=x", "/a=1 && ", "/a=1 && /a=2", "header:a=1&&header:a=1"],
)
def test_what_is_not_a_condition_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        where(text)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("/a!=b", "!="),
        ("/a>=1", ">="),
        ("/a==b", "'=b'"),
        ("/a=>1", "'>1'"),
        ("/a=~^b", "'~^b'"),
        ("/a='b'", "'b'"),
        ('/a="b', '"b'),
        ("/a=b and /c=1", "and /c"),
        ("/a=b & /c=1", "& /c"),
        ("header: tenant=eu", "header: tenant"),
        ("/id=12345678901234567890123", "12345678901234567890123"),
    ],
)
def test_what_somebody_may_mean_otherwise_is_refused_and_named(text: str, named: str) -> None:
    with pytest.raises(ValueError, match=re.escape(named)):
        where(text)
