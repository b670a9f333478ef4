from collections.abc import Sequence

import pytest

from trainer.profiling.dates import date_forms
from trainer.profiling.words import UNBOUNDED, bounds_of, personal, words_of


@pytest.mark.parametrize("header", ["Time Spent (hrs)", "timeSpentHrs", "time_spent_hrs", "TIME-SPENT-HRS"])
def test_the_words_of_a_header_do_not_depend_on_how_it_is_written(header: str) -> None:
    assert words_of(header) == {"time", "spent", "hrs"}


def test_digits_and_capitals_are_words_of_their_own() -> None:
    assert words_of("UserID2023") == {"user", "id", "2023"}


@pytest.mark.parametrize(
    ("header", "low", "high", "limits"),
    [
        ("Age", 18, 70, (0, 120)),
        ("Spending Score (1-100)", 3, 60, (1, 100)),
        ("Spending Score (1-100)", 0, 60, (0, None)),
        ("discount %", 0, 30, (0, 100)),
        ("discount_pct", 0, 130, (0, None)),
        ("conversion rate", 0.01, 0.2, (0, 1)),
        ("exchange rate", 0.9, 1.4, (None, None)),
        ("hours per weekday", 0.5, 5, (0, 24)),
        ("rating", 1, 4.5, (0, 5)),
        ("rating", 10, 90, (0, 100)),
        ("balance", 10, 5000, (None, None)),
        ("visits", 0, 17, (0, None)),
        ("visits", -1, 17, (None, None)),
        ("monetary", 12.5, 900.1, (0, None)),
        ("s1", 0.1, 0.9, (None, None)),
    ],
)
def test_bounds_come_from_what_a_header_means_and_never_exclude_a_value(
    header: str, low: float, high: float, limits: tuple[float | None, float | None]
) -> None:
    bounds = bounds_of(header, low, high, (), whole=float(low).is_integer() and float(high).is_integer())
    assert (bounds.low, bounds.high) == limits


def test_a_fraction_without_a_name_has_no_bounds() -> None:
    assert bounds_of("x", 0.1, 0.2, (), whole=False) == UNBOUNDED


@pytest.mark.parametrize(
    ("header", "cells", "what"),
    [
        ("email", ["x"], "email addresses"),
        ("Kontakt", ["ann@example.org", "b@example.com", ""], "email addresses"),
        ("First Name", ["Ann"], "names"),
        ("customerName", ["Ann"], "names"),
        ("surname", ["Li"], "names"),
        ("Phone Number", ["030 1234567"], "phone numbers"),
        ("contact", ["+49 30 1234567", "+1 (555) 123-4567"], "phone numbers"),
        ("street address", ["Main Street 5"], "addresses"),
        ("ip", ["10.0.0.1"], "IP addresses"),
        ("account", ["DE89 3704 0044 0532 0130 00"], "bank accounts"),
        ("SSN", ["x"], "personal data"),
        ("product name", ["Shoe"], None),
        ("phone service", ["Yes", "No"], None),
        ("email opens", ["3", "4"], None),
        ("mobile", ["Android", "iOS"], None),
        ("city", ["Paris"], None),
    ],
)
def test_a_column_that_identifies_a_person_is_recognised(header: str, cells: Sequence[str], what: str | None) -> None:
    assert personal(header, dict.fromkeys(cells, 1)) == what


@pytest.mark.parametrize(
    ("cells", "forms"),
    [
        (["2024-02-22", "2024-12-01"], 1),
        (["2024-02-22 10:00:01", "2024-12-01T01:02:03Z"], 1),
        (["2024-02-22", "22.02.2024", "2/22/24"], 3),
        (["22 Feb 2024", "March 3, 2024"], 2),
        (["12:30", "9:05 PM"], 1),
        (["20240222", "20231201"], 0),
        (["1.5", "2.5"], 0),
        (["a", "2024-02-22"], 0),
        ([], 0),
    ],
)
def test_dates_are_recognised_in_every_way_they_are_written(cells: Sequence[str], forms: int) -> None:
    assert len(date_forms("x", dict.fromkeys(cells, 1))) == forms


def test_digits_are_dates_only_where_the_header_says_so() -> None:
    assert date_forms("signup_date", {"20240222": 1}) == ["20240222"]
