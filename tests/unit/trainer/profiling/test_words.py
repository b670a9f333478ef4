from collections.abc import Sequence

import pytest

from trainer.profiling.dates import date_forms
from trainer.profiling.words import UNBOUNDED, are_true_and_false, bounds_of, group_of, is_measure, words_of


@pytest.mark.parametrize("header", ["Time Spent (hrs)", "timeSpentHrs", "time_spent_hrs", "TIME-SPENT-HRS"])
def test_the_words_of_a_header_do_not_depend_on_how_it_is_written(header: str) -> None:
    assert words_of(header) == {"time", "spent", "hrs"}


def test_accents_make_no_other_word_and_a_sign_for_a_number_is_the_word() -> None:
    assert words_of("Numéro d'adhérent") == {"numero", "d", "adherent"}
    assert words_of("Größe") == {"grosse"}
    assert {words_of(f"{sign} client") for sign in ("Nº", "N°", "№", "No.")} == {frozenset({"no", "client"})}


@pytest.mark.parametrize(
    "header",
    ["Annual Income", "Jahreseinkommen", "number of orders", "num_clients", "account balance", "# visits", "Wert (€)"],
)
def test_what_is_measured_or_counted_identifies_nobody(header: str) -> None:
    assert is_measure(header)


@pytest.mark.parametrize("header", ["Policy Number", "Nº de cliente", "account", "Member #", "Vertragsnummer"])
def test_a_number_that_names_something_measures_nothing(header: str) -> None:
    assert not is_measure(header)


@pytest.mark.parametrize(
    "texts",
    [
        {"s", "n"},
        {"vrai", "faux"},
        {"wahr", "falsch"},
        {"✓", "✗"},
        {"tak", "nie"},
        {"ano", "ne"},
        {"ja", "nei"},
        {"true", "yes", "no"},
    ],
)
def test_true_and_false_are_known_in_several_languages(texts: set[str]) -> None:
    assert are_true_and_false(texts)


@pytest.mark.parametrize("texts", [{"s", "f"}, {"t", "n"}, {"m", "f"}, {"yes"}, {"yes", "no", "maybe"}, set()])
def test_two_words_of_different_languages_are_labels(texts: set[str]) -> None:
    assert not are_true_and_false(texts)


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
        ("exchange rate", 0.8, 0.94, (None, None)),
        ("debt to income ratio", 0.1, 0.9, (0, None)),
        ("market share", 0.1, 0.9, (0, 1)),
        ("roi %", 2, 80, (None, None)),
        ("conversion rate %", 2, 80, (0, 100)),
        ("account age months", 1, 90, (0, None)),
        ("page_age", 0, 40, (0, None)),
        ("Alter (Jahre)", 18, 70, (0, 120)),
        ("Âge du client", 18, 70, (0, 120)),
        ("Patient age", 18, 70, (0, 120)),
        ("weekend_hours", 0, 20, (0, None)),
        ("hours online (hrs/weekday)", 0, 20, (0, 24)),
        ("income per year", 1900, 2100, (0, None)),
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


@pytest.mark.parametrize(
    "header",
    [
        *("Sexo", "Edad", "Sesso", "Genre", "Civilité", "Anrede", "Title", "Leeftijd", "Wiek", "Płeć", "Estado civil"),
        *(
            "País",
            "Pays",
            "Kön",
            "Kjønn",
            "Provincia",
            "Ville",
            "Ingresos",
            "Âge du client",
            "Altersgruppe",
            "Familienstand",
            "Idade",
            "Età",
        ),
        *("Województwo", "Geslacht", "Woonplaats", "Nationalité", "Sexe", "Haushaltseinkommen", "Alter (Jahre)"),
    ],
)
def test_who_somebody_is_is_demographic_in_several_languages(header: str) -> None:
    assert group_of(header, "behaviour") == "demographic"


@pytest.mark.parametrize(
    "header",
    [
        "book title",
        "market cap",
        "pays online",
        "Fettgehalt",
        "favourite genre",
        "Umsatz",
        "visits",
        "Fecha de ingreso",
        "reddit posts",
    ],
)
def test_what_somebody_does_is_not_demographic(header: str) -> None:
    assert group_of(header, "behaviour") == "behaviour"


def test_a_fraction_without_a_name_has_no_bounds() -> None:
    assert bounds_of("x", 0.1, 0.2, (), whole=False) == UNBOUNDED


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
