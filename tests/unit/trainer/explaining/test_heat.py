from typing import Any

import numpy as np
import pytest

from schemas.roles import Kind, ProfileField
from tests.support.samples import as_given, sample_of
from trainer.explaining.division import Division
from trainer.explaining.heat import MOST_ROWS, figure, heat_rows
from trainer.findings import FieldTest

# The largest segment has the last index.
TRUTH = np.repeat([0, 1, 2], [30, 60, 110])


def field(name: str, kind: Kind, *levels: str) -> ProfileField:
    return ProfileField(name, name.title(), "behaviour", kind, levels)


def division(columns: dict[str, Any], fields: list[ProfileField], left_out: tuple[str, ...] = ()) -> Division:
    return as_given(sample_of(columns, fields, left_out), TRUTH)


def test_cells_are_standardised_means_with_a_text_in_their_own_unit_largest_segment_first() -> None:
    generator = np.random.default_rng(1)
    hours = 4 + generator.normal(size=200) + TRUTH
    (row,) = heat_rows(division({"hours": hours.tolist()}, [field("hours", Kind.NUMBER)]), ())
    means = [hours[each == TRUTH].mean() for each in (2, 1, 0)]
    assert (row.label, row.group) == ("Hours", "behaviour")
    assert row.values == pytest.approx([(mean - hours.mean()) / hours.std() for mean in means], abs=0.005)
    assert all(value == round(value, 2) for value in row.values if value is not None)
    assert row.texts == tuple(f"{mean:.2f}" for mean in means)


def test_an_ordered_field_shows_the_label_in_the_middle() -> None:
    levels = ("low", "middle", "high")
    labels = np.array(levels, dtype=object)[TRUTH]
    labels[0] = "unheard of"
    labels[1] = "high"
    (row,) = heat_rows(division({"plan": labels.tolist()}, [field("plan", Kind.ORDERED, *levels)]), ())
    assert row.texts == ("high", "middle", "low")


def test_a_cell_of_under_20_users_is_suppressed() -> None:
    labels = np.where(np.arange(200) % 30 < 19, "web", "shop")
    labels[TRUTH == 2] = "web"
    labels[199] = "shop"
    rows = heat_rows(division({"from": labels.tolist()}, [field("from", Kind.CATEGORY)]), ())
    by_label = {row.label: row for row in rows}
    assert by_label["From: web"].texts == ("<20", "63\N{NO-BREAK SPACE}%", "<20")
    assert by_label["From: web"].values[2] is None
    assert by_label["From: shop"].texts == ("<20", "37\N{NO-BREAK SPACE}%", "<20")


@pytest.mark.parametrize(
    ("web_of_30", "texts"),
    [
        (29, ("50\N{NO-BREAK SPACE}%", "<20", "<20")),  # one alone could be worked out from the others
        (19, ("50\N{NO-BREAK SPACE}%", "<20", "<20")),
        (30, ("50\N{NO-BREAK SPACE}%", "50\N{NO-BREAK SPACE}%", "100\N{NO-BREAK SPACE}%")),
    ],
)
def test_a_share_that_fewer_than_20_lack_is_suppressed_and_a_second_one_with_it(
    web_of_30: int, texts: tuple[str, ...]
) -> None:
    labels = np.where(np.arange(200) % 2 == 0, "web", "shop")
    labels[TRUTH == 0] = ["web"] * web_of_30 + ["shop"] * (30 - web_of_30)
    rows = heat_rows(division({"from": labels.tolist()}, [field("from", Kind.CATEGORY)]), ())
    assert {row.label: row for row in rows}["From: web"].texts == texts


def test_a_row_without_a_cell_that_may_be_shown_is_left_out() -> None:
    labels = ["rare" if user % 11 == 0 else "usual" for user in range(200)]
    assert labels.count("rare") == 19
    rows = heat_rows(division({"from": labels}, [field("from", Kind.CATEGORY)]), ())
    assert rows == ()


def test_nothing_is_shown_of_a_segment_of_under_20_users() -> None:
    whole = division({"hours": TRUTH.tolist()}, [field("hours", Kind.NUMBER)])
    rows = heat_rows(Division(whole.sample, whole.labels, whole.resamples, (0, 1, 2), (19, 71, 110)), ())
    assert rows[0].texts[2] == "<20"


def test_the_most_uneven_rows_of_fields_that_count_or_survive_are_shown_in_the_order_of_the_profile() -> None:
    generator = np.random.default_rng(1)
    columns: dict[str, Any] = {f"noise_{i}": generator.normal(size=200).tolist() for i in range(15)}
    columns |= {f"told_{i}": (TRUTH + generator.normal(size=200)).tolist() for i in range(15)}
    columns |= {"survivor": (TRUTH + generator.normal(size=200)).tolist(), "free": TRUTH.tolist()}
    fields = [field(name, Kind.NUMBER) for name in columns]
    tests = [FieldTest("survivor", "Survivor", 0.001, survives=True), FieldTest("free", "Free", 0.2, survives=False)]
    labels = [row.label for row in heat_rows(division(columns, fields, ("survivor", "free")), tests)]
    assert len(labels) == MOST_ROWS == 25
    assert {f"Told_{i}" for i in range(15)} < set(labels)
    assert labels[-1] == "Survivor"
    assert labels == [each.header for each in fields if each.header in labels]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (4213.4, "4,213"),
        (57.25, "57.2"),
        (4.401, "4.40"),
        (0.01534, "0.0153"),
        (0.0, "0.00"),
        (-3.14159, "\N{MINUS SIGN}3.14"),
    ],
)
def test_a_number_is_written_to_about_three_digits(value: float, text: str) -> None:
    assert figure(value) == text
