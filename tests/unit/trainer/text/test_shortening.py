"""Texts in little room: plain, cut, and still different from each other."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.text.shortening import columns_of, in_two_lines, plain, shortened, told_apart


def test_a_label_has_no_sign_that_breaks_a_file_or_turns_the_text_around_it() -> None:
    assert plain(" a\x00b\u202ec\n d\t\ue000👩‍🔬 ") == "abc d \ue000👩‍🔬"
    assert plain("34\xa0%") == "34\xa0%"


def test_a_long_label_ends_in_an_ellipsis_and_wide_signs_count_twice() -> None:
    assert shortened("Photography", 11) == "Photography"
    assert shortened("Photography", 10) == "Photograp…"
    assert shortened("数据科学", 8) == "数据科学"
    assert shortened("数据科学", 7) == "数据科…"


def test_a_label_breaks_at_a_space_into_two_lines() -> None:
    assert in_two_lines("Likes", 20) == "Likes"
    assert in_two_lines("Time Spent Online (hrs/weekend)", 20) == "Time Spent Online\n(hrs/weekend)"
    assert in_two_lines("W" * 50, 10) == "W" * 10 + "\n" + "W" * 9 + "…"
    # Rather within a word than with an end that is lost.
    assert in_two_lines("W " + "W" * 17, 10) == "W WWWWWWWW\n" + "W" * 9


SPRING, AUTUMN = (f"satisfaction with our service team in {season}" for season in ("spring", "autumn"))
HOSPITAL, DOCTOR = (f"Number of visits to the {place} in the last twelve months" for place in ("hospital", "doctor"))


@pytest.mark.parametrize(
    ("texts", "columns", "short"),
    [
        ((SPRING, AUTUMN), 23, ("satisfaction…in spring", "satisfaction…in autumn")),
        ((HOSPITAL, DOCTOR), 23, ("Number of…hospital…", "Number of…doctor…")),
        (("Intensive care unit A", "Intensive care unit B"), 16, ("Intensive…unit A", "Intensive…unit B")),
        (("Donaudampfschifffahrtsgesellschaft",), 14, ("Donaudam…chaft",)),
        (("数据科学与机器学习", "数据科学与深度学习"), 11, ("…机器…", "…深度…")),
    ],
)
def test_long_texts_are_cut_where_they_are_alike(texts: tuple[str, ...], columns: int, short: tuple[str, ...]) -> None:
    assert tuple(told_apart(texts, columns)[text] for text in texts) == short


words = st.lists(st.sampled_from(["visits", "to", "the", "hospital", "Straße", "数据", "year", "e\u0301"]), max_size=20)


@given(st.lists(words.map(" ".join), unique=True, max_size=6), st.integers(12, 40))
def test_texts_fit_in_their_columns_and_stay_as_they_are_where_they_fit(texts: list[str], columns: int) -> None:
    short = told_apart(texts, columns)
    assert [*short] == texts
    for text, form in short.items():
        assert columns_of(form) <= columns
        assert form == text or columns_of(text) > columns


@given(st.lists(st.text("ab ", min_size=30, max_size=60).map(plain), unique=True, min_size=2, max_size=2))
def test_two_texts_are_always_told_apart(texts: list[str]) -> None:
    assert len({*told_apart(texts, 23).values()}) == 2


def test_spellings_of_one_text_that_fits_are_not_cut() -> None:
    assert told_apart(["Premium", "Premium ", "Basic"], 25) == {
        "Premium": "Premium",
        "Premium ": "Premium",
        "Basic": "Basic",
    }
