import pytest

from schemas.formats.pointers import ABSENT, LEVELS_MOST, as_text, find, find_first, pointer

# The examples of RFC 6901, section 5.
DOCUMENT = {
    "foo": ["bar", "baz"],
    "": 0,
    "a/b": 1,
    "c%d": 2,
    "e^f": 3,
    "g|h": 4,
    "i\\j": 5,
    'k"l': 6,
    " ": 7,
    "m~n": 8,
}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", DOCUMENT),
        ("/foo", ["bar", "baz"]),
        ("/foo/0", "bar"),
        ("/", 0),
        ("/a~1b", 1),
        ("/c%d", 2),
        ("/e^f", 3),
        ("/g|h", 4),
        ("/i\\j", 5),
        ('/k"l', 6),
        ("/ ", 7),
        ("/m~0n", 8),
        ("/foo/2", ABSENT),
        ("/foo/01", ABSENT),
        ("/foo/-", ABSENT),
        ("/foo/bar", ABSENT),
        ("/foo/0/b", ABSENT),
        ("/~01", ABSENT),
        ("/foo/" + "9" * 30, ABSENT),
    ],
)
def test_a_pointer_finds_what_the_standard_says(text: str, value: object) -> None:
    assert find(DOCUMENT, pointer(text)) == value
    assert as_text(pointer(text)) == text


@pytest.mark.parametrize("text", ["foo", "#/foo", "$key", "/a~", "/a~2", "/a" * (LEVELS_MOST + 1), "a/b"])
def test_what_is_not_a_pointer_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a JSON Pointer"):
        pointer(text)


def test_the_first_place_with_a_value_that_is_not_null_counts() -> None:
    places = (("a",), ("b", "0"), ("c",))
    assert find_first({"a": None, "b": [0], "c": 1}, places) == 0
    assert find_first({"a": None, "b": [], "c": None}, places) is ABSENT
    assert find_first({"b": {"0": False}}, places) is False
