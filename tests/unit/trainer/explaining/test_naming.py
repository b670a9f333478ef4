from collections.abc import Mapping, Sequence
from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import UserProfile
from schemas.roles import Kind
from tests.support.effect_values import FIELDS, elsewhere, having, less, more, titles_of
from trainer.explaining import naming
from trainer.explaining.effects import Middle
from trainer.explaining.naming import LONGEST_NAME, plain_name
from trainer.explaining.phrases import ADVICE, PHRASES, TOGETHER
from trainer.findings import Effect
from trainer.privacy import DEMOGRAPHIC

NOT_NAMED = frozenset({DEMOGRAPHIC})


def names(
    effects: Mapping[int, Sequence[Effect]],
    middles: Mapping[int, Sequence[Middle]],
    given_names: Mapping[int, str],
    not_named: frozenset[str],
) -> Mapping[int, str]:
    titles = titles_of([*chain.from_iterable(effects.values()), *chain.from_iterable(middles.values())])
    return naming.names(effects, middles, given_names, not_named, titles)


def name(*effects: Effect, not_named: frozenset[str] = NOT_NAMED) -> str:
    return names({3: effects}, {}, {}, not_named)[3]


def test_a_name_is_made_of_the_strongest_effects() -> None:
    assert name(more("click_through_rate", 2.0), less("likes_and_reactions", 1.0), more("followed_accounts", 0.5)) == (
        "High click-through, few likes"
    )
    assert name(having("device_usage", "Tablet"), having("top_interests", "Pet Care", 0.4)) == "Tablet, Pet Care"


def test_hours_of_weekend_and_weekdays_are_described_together() -> None:
    weekend = name(more("weekend_hours_online"), less("weekday_hours_online"), more("click_through_rate", 0.5))
    assert weekend == "Weekend-heavy, high click-through"
    assert name(less("weekend_hours_online"), more("weekday_hours_online")) == "Weekday-heavy"
    assert name(more("weekend_hours_online"), more("weekday_hours_online")) == "Long hours online"
    assert name(more("weekend_hours_online")) == "Many weekend hours"


def test_a_name_speaks_of_two_fields_before_two_items_of_one() -> None:
    items = having("top_interests", "Gaming", 0.6), having("top_interests", "Pet Care", 0.5)
    assert name(*items, having("device_usage", "Tablet", 0.3)) == "Gaming, Tablet"
    assert name(*items) == "Gaming, Pet Care"


def test_what_fewer_have_is_in_a_name_only_where_there_is_little_else() -> None:
    fewer = having("top_interests", "Gaming", -0.9)
    assert name(fewer, more("conversion_rate", 0.5), more("click_through_rate", 0.4)) == (
        "High conversion, high click-through"
    )
    assert name(fewer) == "Less Gaming"
    # Not "Tablet, less Mobile Only": that says one thing twice.
    assert name(having("device_usage", "Tablet"), having("device_usage", "Mobile Only", -0.5)) == "Tablet"


def test_demographic_fields_give_no_name_unless_asked_for() -> None:
    effects = more("age", 0.9), having("gender", "Female", 0.5), having("device_usage", "Tablet", 0.2)
    assert name(*effects) == "Tablet"
    assert name(*effects, not_named=frozenset()) == "Older, Gender: Female"
    assert name(more("age", 0.9)) == "Segment 3"


def test_a_label_keeps_its_spelling_at_the_start_of_a_name() -> None:
    assert name(having("top_interests", "iPhone", 0.6), more("click_through_rate", 0.2)) == "iPhone, high click-through"
    assert name(having("top_interests", "iPhone", -0.6)) == "Less iPhone"
    assert name(having("gender", "iPhone"), not_named=frozenset()) == "Gender: iPhone"


def test_a_segment_without_an_effect_has_a_number_only() -> None:
    assert name() == plain_name(3) == "Segment 3"


def test_two_segments_never_have_the_same_name() -> None:
    effects = [more("conversion_rate", 2.0), more("click_through_rate", 1.9), more("followed_accounts", 1.0)]
    swapped = [more("click_through_rate", 2.0), more("conversion_rate", 1.9)]
    assert [*names({4: effects, 0: effects, 9: swapped, 2: swapped, 5: swapped}, {}, {}, NOT_NAMED).values()] == [
        "High conversion, high click-through",
        "High conversion, many follows",
        "High click-through",
        "High conversion",
        "Segment 5",
    ]


def income(size: float) -> Effect:
    return elsewhere("income", "Annual Income (k$)", Kind.NUMBER, size=size)


def test_the_segment_with_the_strongest_effect_is_named_first_whatever_its_size() -> None:
    strong, weaker = income(-1.48), income(-0.9)
    visits = elsewhere("visits", "Visits", Kind.NUMBER, size=0.4)
    assert names({0: [weaker, visits], 1: [strong]}, {}, {}, NOT_NAMED) == {
        0: "Low Annual Income, high Visits", 1: "Low Annual Income",
    }  # fmt: skip
    assert names({0: [weaker], 1: [strong]}, {}, {}, NOT_NAMED) == {0: "Segment 0", 1: "Low Annual Income"}


def test_an_effect_under_half_as_strong_as_that_of_another_segment_gives_no_name() -> None:
    visits = elsewhere("visits", "Visits", Kind.NUMBER, size=0.4)
    assert names({0: [income(-0.34), visits], 1: [income(-1.48)]}, {}, {}, NOT_NAMED)[0] == "High Visits"
    assert names({0: [income(-0.34)], 1: [income(1.48)]}, {}, {}, NOT_NAMED)[0] == "Low Annual Income"
    assert names({0: [income(-0.34)], 1: [income(-1.48)]}, {}, {1: "Savers"}, NOT_NAMED)[0] == "Segment 0"


def test_a_segment_between_others_is_named_by_where_it_is_in_the_middle() -> None:
    middle = {
        0: [
            Middle("income", "Annual Income (k$)", "usage", Kind.NUMBER, 0.7),
            Middle("visits", "Visits", "usage", Kind.NUMBER, 0.6),
        ]
    }
    assert names({0: []}, middle, {}, NOT_NAMED)[0] == "Medium Annual Income, medium Visits"
    assert names({0: [income(1.0)]}, middle, {}, NOT_NAMED)[0] == "High Annual Income"
    assert names({0: []}, middle, {}, frozenset({"usage"}))[0] == "Segment 0"
    ours = {0: [Middle("age", "Age", "demographic", Kind.ORDERED, 0.7)]}
    assert names({0: []}, ours, {}, frozenset())[0] == "Middle-aged"
    last = {0: [Middle("order", "Last_Order", "usage", Kind.DAYS_SINCE, 0.7)]}
    assert names({0: []}, last, {}, frozenset())[0] == "Last Order: in between"


def test_a_name_that_a_person_gave_stays_and_is_given_to_no_other() -> None:
    tablet = having("device_usage", "Tablet")
    given = {3: "Tablet", 5: "Our friends"}
    assert names({0: [tablet], 3: [tablet], 5: []}, {}, given, NOT_NAMED) == {0: "Segment 0", **given}


def test_fields_of_another_profile_class_are_called_by_header_and_label() -> None:
    assert name(elsewhere("sessions", "Session Count (per week)", Kind.NUMBER)) == "High Session Count"
    assert name(elsewhere("avg_CTR", "avg_CTR", Kind.NUMBER, size=-0.5)) == "Low avg CTR"
    assert name(elsewhere("plan", "Plan", Kind.CATEGORY, "Premium")) == "Plan: Premium"
    assert name(elsewhere("sports", "Sports", Kind.SEVERAL_OF, "Golf")) == "Golf"
    # A category that happens to be called like a number of ours.
    assert name(elsewhere("click_through_rate", "Rate", Kind.CATEGORY, "top")) == "Rate: top"
    # A number that happens to be called like one of ours, and a device that is a plan.
    assert name(elsewhere("conversion_rate", "Currency Conversion", Kind.NUMBER)) == "High Currency Conversion"
    assert name(elsewhere("device_usage", "Insured Device", Kind.CATEGORY, "yes")) == "Insured Device: yes"


def test_a_header_keeps_its_spelling_and_only_the_first_letter_of_a_name_is_raised() -> None:
    size = elsewhere("groesse", "Größe des Haushalts", Kind.NUMBER, size=0.4)
    assert name(size) == "High Größe des Haushalts"
    assert name(elsewhere("letzter_kauf", "letzter_Kauf", Kind.DAYS_SINCE)) == "Letzter Kauf: long ago"
    assert name(elsewhere("iphone", "iPhone", Kind.BOOLEAN, "yes")) == "iPhone: yes"
    assert name(elsewhere("iphone", "iPhone", Kind.NUMBER)) == "High iPhone"


@pytest.mark.parametrize(
    ("headers", "titles"),
    [
        (
            ("satisfaction with our service team in spring", "satisfaction with our service team in autumn"),
            ("satisfaction…in spring", "satisfaction…in autumn"),
        ),
        (("conversion_rate", "Conversion Rate"), ("conversion_rate", "Conversion Rate")),
        (("Visits (2020)", "Visits (2021)"), ("Visits (2020)", "Visits (2021)")),
        (("Visits", "visits", "VISITS"), ("field_0", "field_1", "field_2")),
    ],
)
def test_two_fields_are_never_called_the_same(headers: tuple[str, ...], titles: tuple[str, ...]) -> None:
    effects = [elsewhere(f"field_{place}", header, Kind.NUMBER) for place, header in enumerate(headers)]
    whole = titles_of(effects)
    called = [naming.names({0: [effect]}, {}, {}, NOT_NAMED, whole)[0] for effect in effects]
    assert called == [f"High {title}" for title in titles]


def test_a_long_label_keeps_what_differs_and_leaves_room_for_its_field() -> None:
    wards = [
        elsewhere("ward", "Ward", Kind.CATEGORY, f"Intensive care and monitoring unit {letter}") for letter in "ABC"
    ]
    called = names(dict(enumerate([ward] for ward in wards)), {}, {}, NOT_NAMED)
    assert [*called.values()] == [f"Ward: Intensive care…unit {letter}" for letter in "ABC"]
    channel = elsewhere("channel", "Preferred channel of communication", Kind.CATEGORY, "Telephone call")
    assert name(channel) == "Preferred…communication: Telephone call"
    less = elsewhere("channel", "Preferred channel of communication", Kind.CATEGORY, wards[0].level, -0.5)
    assert name(less) == "Less Preferred…ication: Intensive care…unit A"


def test_how_much_follows_a_header_that_says_how_much_by_itself() -> None:
    fat = {size: elsewhere("fat", "high_fat_intake", Kind.NUMBER, size=size) for size in (0.5, -0.5)}
    assert [name(fat[0.5]), name(fat[-0.5])] == ["High fat intake: high", "High fat intake: low"]
    few = [Middle("few", "Few Visits", "usage", Kind.NUMBER, 0.7)]
    assert names({0: []}, {0: few}, {}, NOT_NAMED)[0] == "Few Visits: medium"
    assert name(elsewhere("risk", "High risk", Kind.BOOLEAN, "yes", -0.5)) == "High risk: no"
    assert name(elsewhere("diet", "Low fat diet", Kind.CATEGORY, "Keto", -0.5)) == "Low fat diet: less Keto"
    assert name(elsewhere("eats", "Eats", Kind.SEVERAL_OF, "High fat")) == "Eats: High fat"


def test_an_item_that_is_a_label_of_another_field_too_is_named_with_its_field() -> None:
    likes, bought = (elsewhere(field, field, Kind.SEVERAL_OF, "Golf") for field in ("likes", "bought"))
    titles = titles_of([likes, bought])
    assert naming.names({0: [bought]}, {}, {}, NOT_NAMED, titles)[0] == "Bought: Golf"
    assert name(bought) == "Golf"


def test_labels_are_cut_and_cleared_of_what_cannot_be_read() -> None:
    long = having("device_usage", "a very long label of a device that nobody would print", 0.9)
    assert name(long, more("conversion_rate")) == "a very long…would print, high conversion"
    assert name(having("device_usage", "Tab\x00\u202elet\n one")) == "Tablet one"
    assert name(having("device_usage", "\u202e\x07")) == "Segment 3"
    # Markup is a text like any other: whoever prints it escapes it.
    assert name(having("device_usage", "<script>alert(1)</script>")) == "<script>alert(1)</script>"


def test_an_interest_called_segment_3_is_not_taken_for_one() -> None:
    found = names({0: [having("top_interests", "Segment 3")], 3: []}, {}, {}, NOT_NAMED)
    assert len({*found.values()}) == 2


some_effects = st.lists(
    st.one_of(
        st.builds(more, st.sampled_from([*PHRASES]), st.floats(-2, 2).filter(bool)),
        st.builds(having, st.sampled_from(["device_usage", "top_interests"]), st.text(), st.sampled_from([-0.5, 0.5])),
    ),
    max_size=5,
    unique_by=lambda effect: (effect.field, effect.level),
)


@given(st.lists(some_effects, min_size=1, max_size=6))
def test_names_are_distinct_readable_and_short(found: Sequence[Sequence[Effect]]) -> None:
    called = names(dict(enumerate(found)), {}, {}, NOT_NAMED)
    assert [*called] == [*range(len(found))]
    assert len({each.casefold() for each in called.values()}) == len(found)
    for each in called.values():
        assert 0 < len(each) <= LONGEST_NAME
        assert "\n" not in each
        assert "\x00" not in each


@pytest.mark.parametrize("known", [PHRASES, *(each.signs for each in (*TOGETHER, *ADVICE))])
def test_every_field_that_is_known_by_name_is_a_number_or_ordered_field_of_the_profile(
    known: dict[str, object],
) -> None:
    assert set(known) <= set(UserProfile.model_fields)
    assert {FIELDS[each].kind for each in known} <= {Kind.NUMBER, Kind.ORDERED}
