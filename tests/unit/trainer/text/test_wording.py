from dataclasses import replace

import pytest

from models.manifest import Reassigned
from schemas.roles import Kind
from tests.support.findings_examples import clear, none, weak
from trainer.findings import Effect, Fate, Measure, MissingValues, SegmentFate, Tiers
from trainer.text.wording import (
    became,
    choice,
    count,
    decimal,
    difference,
    evidence,
    fates,
    headline,
    in_short,
    interval,
    no_tiers,
    pair,
    percent,
    probability,
    reassigned,
    related,
    sentence,
    short_count,
    strength,
    subject,
    tiers,
    title_of,
    unnamed,
)


@pytest.mark.parametrize(
    ("fraction", "text"),
    [
        (0.344, "34 %"),
        (0.0, "0 %"),
        (1.0, "100 %"),
        (0.004, "0.4 %"),
        (0.996, "99.6 %"),
        (0.9999, ">99.9 %"),
        (0.0001, "<0.1 %"),
        (-0.25, "−25 %"),
    ],
)
def test_a_share_is_shown_in_percent_and_never_rounded_to_none_or_all(fraction: float, text: str) -> None:
    assert percent(fraction).replace("\N{NO-BREAK SPACE}", " ") == text


@pytest.mark.parametrize(
    ("inside", "outside", "texts"),
    [
        (0.171, 0.061, ("0.17", "0.06")),
        (7_120.4, 1_840.2, ("7,120", "1,840")),
        (0.1712, 0.1685, ("0.1712", "0.1685")),
        (6.43, 2.1, ("6.4", "2.1")),
        (-3.0, 2.0, ("−3.0", "2.0")),
        (5.0, 5.0, ("5.0", "5.0")),
        (0.0, 0.0, ("0.0", "0.0")),
    ],
)
def test_two_numbers_have_the_decimals_that_tell_them_apart(
    inside: float, outside: float, texts: tuple[str, str]
) -> None:
    assert pair(inside, outside) == texts


def test_a_number_beyond_reading_is_a_power_of_ten() -> None:
    assert decimal(1.234e18) == "1.2 × 10^18"


def test_what_rounds_to_zero_has_no_sign() -> None:
    assert decimal(-0.001) == "0.00"


@pytest.mark.parametrize(
    ("p_value", "text"),
    [
        (0.05, "p = 0.05"),
        (0.0004, "p < 0.001"),
        (1.0, "p = 1"),
        (0.4, "p = 0.4"),
        (0.8774, "p = 0.88"),
        (0.0114, "p = 0.011"),
    ],
)
def test_a_p_value_has_three_decimals(p_value: float, text: str) -> None:
    assert probability(p_value) == text


@pytest.mark.parametrize(
    ("users", "text"), [(None, "<20"), (9_999, "9,999"), (12_345, "12k"), (1_234_567, "1.2M"), (999_700, "1.0M")]
)
def test_a_count_in_a_small_cell_is_short(users: int | None, text: str) -> None:
    assert short_count(users) == text


def test_a_count_that_may_not_be_shown_is_under_20() -> None:
    assert (count(None), count(1_234_567)) == ("<20", "1,234,567")


def test_a_reason_becomes_a_sentence() -> None:
    assert sentence("no two columns are related") == "No two columns are related."
    assert sentence("Done.") == "Done."


def test_a_segment_without_a_name_of_its_own_is_named_once() -> None:
    assert title_of(3, "Segment 3") == "Segment 3"
    assert title_of(3, "Late") == "Segment 3: Late"


def test_the_verdict_is_one_plain_sentence() -> None:
    assert headline(clear().judgement) == "Yes: 5 clearly separate segments"
    assert headline(weak().judgement) == "Perhaps: 3 segments, but not clearly separate"
    assert headline(none().judgement) == "No: there are no segments in these data"
    given = replace(none().judgement, k_was_given=True, k=7)
    assert headline(given) == "No: these data do not fall into 7 segments"


def test_the_evidence_names_the_users_between_the_draws_the_silhouette_and_the_stability() -> None:
    said = " ".join(evidence(clear().judgement)).replace("\N{NO-BREAK SPACE}", " ")
    assert said.startswith("1 % of users lie between segments")
    assert "19 synthetic data sets" in said
    assert "10 % to 12 % of users" in said
    assert "Separation = 0.89" in said
    assert "p = 0.05: none of the 19" in said
    assert "0.46, measured on 3,000 users" in said
    assert "reach 0.21 on average: E = 0.32" in said
    assert "least stable segment (5) overlaps with its match by 91" in said


def test_draws_that_are_as_well_separated_are_counted() -> None:
    assert "p = 0.4: 7 of the 19 data sets have as few" in " ".join(evidence(none().judgement))
    no_room = replace(none().judgement, separation=None, silhouette=0.1115)
    assert "p = 0.4: 8 of the 19 data sets have one as high" in " ".join(evidence(no_room))


def test_a_given_number_is_not_called_chosen() -> None:
    assert choice(replace(clear().judgement, k_was_given=True)) == [
        "The number of segments, 5, was given on the command line; it was not chosen."
    ]
    assert "runner-up is 4" in " ".join(choice(clear().judgement))


def test_a_number_that_the_silhouette_did_not_choose_is_explained() -> None:
    said = " ".join(choice(replace(clear().judgement, silhouette_k=2)))
    assert "highest for 2 segments" in said
    assert "but the evidence for 5 is better" in said
    assert "production" not in said


@pytest.mark.parametrize(
    ("cuts", "ranges"),
    [
        ((38.0, 61.0), ["below 38", "38 to below 61", "61 or more"]),
        ((-0.25, 0.5), ["below −0.25", "−0.25 to below 0.5", "0.5 or more"]),
        ((12_000.0,), ["below 12,000", "12,000 or more"]),
        ((3e-07,), ["below 0.0000003", "0.0000003 or more"]),
    ],
)
def test_tiers_are_ranges_that_leave_nobody_out(cuts: tuple[float, ...], ranges: list[str]) -> None:
    shares = (1 / (len(cuts) + 1),) * (len(cuts) + 1)
    assert tiers(Tiers("spend", "Spend", Kind.NUMBER, 0.9, cuts, shares)) == ranges


def test_tiers_by_a_date_are_days_ago() -> None:
    found = Tiers("order", "Last Order", Kind.DAYS_SINCE, 0.9, (30.0, 90.0), (0.3, 0.3, 0.4))
    assert tiers(found) == ["below 30 days ago", "30 to below 90 days ago", "90 days ago or more"]


def test_a_report_says_why_there_are_no_tiers_and_how_to_get_them() -> None:
    found = none()

    def reason(kind: Kind, *groups: str, options: str = "demographic") -> str:
        columns = [
            replace(each, left_out_because=None, group=group, kind=kind, header=f"c{place}")
            for place, (each, group) in enumerate(zip(found.quality.columns, groups, strict=False))
        ]
        quality = replace(found.quality, columns=tuple(columns))
        return no_tiers(replace(found, quality=quality, origin=replace(found.origin, options={"not named": options})))

    assert reason(Kind.CATEGORY, "usage", "demographic") == "no number is used in the distance"
    assert reason(Kind.NUMBER, "demographic", "demographic") == (
        "only demographic numbers are used in the distance (c0, c1); to cut one of these, fit again with "
        "--name-demographics"
    )
    uncut = "no cut of a number in the distance leaves a tenth of the users, and 20, on both sides"
    assert reason(Kind.NUMBER, "demographic", "usage") == uncut
    assert reason(Kind.NUMBER, "demographic", options="none") == uncut


def test_where_only_demographic_fields_set_a_segment_apart_the_option_that_names_it_is_said() -> None:
    found = replace(clear(), origin=replace(clear().origin, options={"not named": "demographic"}))
    assert unnamed(found) == ""
    effects = tuple(replace(each, group="demographic") for each in found.cards[0].effects)
    card = replace(found.cards[0], name=f"Segment {found.cards[0].segment}", effects=effects)
    assert "--name-demographics" in unnamed(replace(found, cards=(card, *found.cards[1:])))
    assert unnamed(replace(found, cards=(replace(card, name="Savers"),))) == ""


def test_an_effect_is_shown_in_the_unit_of_its_field() -> None:
    effect = clear().cards[0].effects[0]
    assert subject(effect) == "Click-Through Rates (CTR)"
    assert difference(effect) == "0.17 against 0.06 elsewhere"
    assert interval(effect) == "+1.90 sd (+1.76 to +2.06)"


def test_an_effect_of_a_label_is_shown_in_shares() -> None:
    effect = _effect(Measure.SHARE_DIFFERENCE, Kind.CATEGORY, level="Mobile Only", lift=1.94)
    assert subject(effect) == "Device: Mobile Only"
    assert difference(effect).replace("\N{NO-BREAK SPACE}", " ") == "78 % against 31 % elsewhere, 1.9 times the average"
    assert interval(effect) == "−47 points (−52 to +1)"


def test_where_a_share_is_bounded_in_every_resample_the_difference_is_at_least_this_large() -> None:
    effect = replace(_effect(Measure.SHARE_DIFFERENCE, Kind.CATEGORY, level="Tablet", lift=None), low=0.83, high=0.83)
    assert interval(replace(effect, size=0.83)) == "at least 83 points higher"
    assert interval(replace(effect, size=-0.83)) == "at least 83 points lower"


def test_an_ordered_field_is_described_by_the_level_nearest_to_the_mean_rank() -> None:
    effect = replace(
        _effect(Measure.CLIFFS_DELTA, Kind.ORDERED, level=None, lift=None), levels=("low", "middle", "high")
    )
    assert difference(effect) == "around middle against low elsewhere"
    assert difference(replace(effect, inside=0.2)) == "around low as elsewhere, but more often below"
    assert interval(effect) == "−0.47 δ (−0.52 to +0.01)"


def _effect(measure: Measure, kind: Kind, *, level: str | None, lift: float | None) -> Effect:
    return Effect("device", "Device", "device", kind, level, measure, -0.47, -0.52, 0.009, 0.78, 0.31, lift)


@pytest.mark.parametrize(
    ("cramers_v", "word"), [(0.02, "hardly"), (0.1, "weakly"), (0.3, "clearly"), (0.8, "strongly")]
)
def test_a_strength_has_a_word(cramers_v: float, word: str) -> None:
    assert strength(cramers_v) == word


def test_how_many_users_are_reassigned_is_shown_unless_they_are_too_few() -> None:
    def read(users: int) -> str:
        found = Reassigned(against="20261124T120000Z-00000000", share=users / 12_300, users=users, compared=12_300)
        return reassigned(found).replace("\N{NO-BREAK SPACE}", " ")

    assert read(2_371) == "19 % of users (2,371 of 12,300) change their segment"
    assert read(19) == "fewer than 20 of 12,300 users change their segment"
    assert read(0) == "0 % of users (0 of 12,300) change their segment"


def test_segments_are_counted_by_what_became_of_them() -> None:
    lineage = clear().lineage
    assert lineage is not None
    assert fates(lineage) == "3 kept, 2 split off, 1 gone"
    assert fates(replace(lineage, fates=lineage.fates[:5])) == "3 kept, 2 split off"


@pytest.mark.parametrize(
    ("segment", "fate", "others", "words"),
    [
        (0, Fate.KEPT, (0,), "kept: mostly the same users"),
        (4, Fate.SPLIT, (3,), "split off from 3"),
        (3, Fate.SPLIT, (4, 5), "split up into 4 and 5"),
        (4, Fate.MERGED, (1, 2, 3), "merged from 1, 2 and 3"),
        (3, Fate.MERGED, (4,), "merged into 4"),
        (5, Fate.NEW, (), "new: not derived from a single earlier segment"),
        (3, Fate.RETIRED, (), "retired: its number is never used again"),
    ],
)
def test_what_became_of_a_segment_is_described_from_its_own_side(
    segment: int, fate: Fate, others: tuple[int, ...], words: str
) -> None:
    lineage = clear().lineage
    assert lineage is not None
    assert became(SegmentFate(segment, "", fate, None, others), lineage) == words


def test_the_facts_beside_the_verdict_tell_sizes_and_change() -> None:
    facts = {name: text.replace("\N{NO-BREAK SPACE}", " ") for name, text in in_short(clear())}
    assert facts["Users"] == "12,345"
    assert facts["Largest and smallest segment"] == "35 % and 7 %"
    assert facts["Since the last version"].startswith("3 kept, 2 split off, 1 gone; 19 % of users")
    assert dict(in_short(weak()))["Since the last version"] == "This is the first version."


def test_without_segments_the_facts_tell_nothing_of_them() -> None:
    assert [name for name, _ in in_short(none())] == ["Users", "Users between segments"]


def test_a_relation_is_said_no_surer_than_it_is() -> None:
    found = MissingValues("lead_status", "Lead Status", ("10 %", "20 %"), 0.049, is_related=False)
    assert related(found) == "perhaps (p = 0.049)"
    assert related(replace(found, p_value=0.06)) == "not proven"
    assert related(replace(found, p_value=0.0001, is_related=True)) == "yes (p < 0.001)"
