import pytest

from trainer.profiling.scales import known_order, numbered_steps


@pytest.mark.parametrize(
    "levels",
    [
        ("18-24", "25-34", "35-44", "65+"),
        ("under 18", "18–24", "25–34", "over 65"),
        ("0-20k", "20k-40k", "40k-60k", "100k+"),
        ("Under 15K", "15-24K", "25-34K", "100-124K", "250K+"),
        ("<$10", "$10-$20", ">=$20"),
        ("1", "2", "3", "5+"),
        ("1. < HS Grad", "2. HS Grad", "3. Some College", "4. College Grad", "5. Advanced Degree"),
        ("None", "Bronze", "Silver", "GOLD"),
        ("XS", "S", "M", "L", "XL"),
        ("low", "medium", "high"),
        ("Bad", "Medium", "Good"),
        ("Never", "Rarely", "Sometimes", "Often", "Always"),
        ("High School", "Technical", "Bachelor", "Master", "PhD"),
        ("1 - Strongly disagree", "2 - Disagree", "3 - Neutral", "4 - Agree", "5 - Strongly agree"),
        ("1 - Not at all", "2", "3", "4", "5 - Very much"),
        ("1 star", "2 stars", "3 stars", "5 stars"),
        ("1 Star", "2 Stars"),
        ("LOW", "MED", "HIGH"),
        ("Never", "Monthly", "Weekly", "Daily"),
        ("Basic", "Standard", "Premium"),
        ("bajo", "medio", "alto"),
        ("niska", "średnia", "wysoka"),
        ("strongly_disagree", "disagree", "neutral", "agree", "strongly_agree"),
    ],
)
def test_labels_whose_order_everybody_knows_are_put_in_it(levels: tuple[str, ...]) -> None:
    assert known_order(sorted(levels)) == levels
    assert known_order(reversed(levels)) == levels


@pytest.mark.parametrize(
    "labels",
    [
        ("red", "green"),
        ("free", "pro", "team"),
        ("M", "S"),  # married and single, perhaps
        ("yes", "no"),
        ("1. White", "2. Black", "3. Asian"),
        ("1 - Male", "2 - Female"),
        ("2024-09", "2024-10", "2024-11"),
        ("low", "high", "unknown"),
        ("10", "20", "30"),
        ("10-20", "10 - 20"),
        ("low",),
        (),
    ],
)
def test_labels_without_a_known_order_get_none(labels: tuple[str, ...]) -> None:
    assert known_order(labels) is None


def test_labels_with_numbers_may_be_steps_unless_they_are_as_many_as_the_houses_of_a_street() -> None:
    assert numbered_steps(["l2", "l0", "l1"]) == ("l0", "l1", "l2")
    assert numbered_steps(["10 - Max", "2 - Plus", "1 - Basis"]) == ("1 - Basis", "2 - Plus", "10 - Max")
    assert numbered_steps(["1 - Male", "2 - Female"]) == ()
    assert numbered_steps([f"Calle Mayor {i}" for i in range(80)]) == ()
