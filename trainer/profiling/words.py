"""What a column means by the words of its header: group, bounds, codes, outcomes."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Final


def _set(*lines: str) -> frozenset[str]:
    return frozenset(" ".join(lines).split())


_AGES: Final = _set("age alter edad eta idade leeftijd wiek vek alder")
DEMOGRAPHIC: Final = _AGES | _set(
    "gender sex geschlecht income salary wage education school degree marital married family household",
    "children kids race ethnicity religion nationality country land city stadt region state location zip postcode",
    "postal plz language occupation job profession employment birth homeowner home ethnic salutation gehalt",
    "anrede beruf bildung ort sprache religion kinder gemeinde genero pais ciudad ingresos renta hijos idioma estudios",
    "profesion ocupacion ville revenu revenus enfants langue etudes genere paese citta comune regione reddito",
    "figli lingua professione cidade regiao renda filhos profissao cep stad woonplaats gemeente gezin kinderen",
    "beroep opleiding taal aanhef plec kraj miasto dochod dzieci zawod jezyk pohlavi kon kjonn",
)
_DEMOGRAPHIC_STEMS: Final = (
    *("sexo", "sexe", "sesso", "geslacht", "geschlecht", "leeftijd", "alters", "civil", "cywiln", "burgerlijk"),
    *("familienst", "einkommen", "jahresgehalt", "inkomen", "salair", "salario", "stipend", "wynagrodz", "provinc"),
    *("wojewodz", "bundesland", "wohnort", "postleit", "haushalt", "nationali", "nacionalid", "nazionalit", "escolar"),
    *("staatsangeh", "obywatel", "wyksztalc", "pocztow"),
)
# Books have a title and a genre, and a market has a cap, so these count where they are the whole header.
_DEMOGRAPHIC_ALONE: Final = _set("title titel genre titolo pays cap")
DEVICE: Final = _set("device browser os platform app")
NUMBER_WORDS: Final = _set("number num numero nummer numer no nr #")
"""At the end of a header the number of a thing ("Policy Number"); before others how many ("number of orders")."""
COUNTS: Final = _set(
    "count number num n # quantity qty orders visits purchases clicks likes items followers accounts transactions",
    "sessions logins children kids views tickets frequency calls messages reviews returns members people cards",
    "users customers clients subscribers anzahl",
)
AMOUNTS: Final = COUNTS | _set(
    "amount price spend spending spent income revenue cost salary wage sales value monetary recency tenure weight",
    "height length width area size distance duration time seconds sec minutes min hours hrs days weeks months years",
    "limit preis umsatz betrag usage total",
)
"""What is never negative, whatever the data has so far."""
SIGNED: Final = _set(
    "balance profit loss margin change delta diff difference growth temperature return returns net x y z pc component",
    "residual log zscore saldo roi uplift lift",
)
_MEASURES: Final = _set(
    "age alter edad leeftijd score points rate ratio average avg mean median sum max percent percentage pct share year",
    "jahr annee ano date day datum fecha ts timestamp ms epoch since at steps population mileage km kg kwh eur usd gbp",
    "chf sqft bytes mb gb calories impressions volume elevation",
)
_MEASURE_STEMS: Final = (
    *("umsatz", "betrag", "preis", "einkommen", "gehalt", "kosten", "anzahl", "dauer", "beitrag", "wert", "punkt"),
    *("import", "precio", "ingreso", "salari", "gasto", "cantidad", "saldo", "montant", "revenu", "salair", "quantit"),
    *("prezzo", "reddito", "bedrag", "prijs", "inkomen", "omzet", "aantal", "einwohner"),
)
_YEARS: Final = _set("years year yrs yr jahre jahren anos ans anni jaar")
_FRACTIONS: Final = _set("share fraction proportion probability prob propensity ctr")
_RATES: Final = _set("rate rates ratio growth increase markup")
_SHARES_OF_EVENTS: Final = _set(
    "click clickthrough conversion open bounce churn response retention redemption unsubscribe"
)
CODES: Final = _set(
    "code type class category segment cluster zip postcode postal plz store region gender sex race channel branch",
    "district sexo sexe sesso geschlecht geslacht plec",
)
"""Where digits are labels."""
USERS: Final = _set(
    "user customer cust client member subscriber shopper person patient guest visitor student participant respondent",
    "kunde kunden mitglied mitglieds patienten nutzer benutzer teilnehmer cliente usuario paciente socio abonne",
    "adherent utilisateur utente paziente assinante klant gebruiker klient klienta",
)
"""Who is segmented, in the singular: the plural counts them."""
PARTICLES: Final = _set("the my of de del du di da do der des van la el le il d l in at")
_TRUE_AND_FALSE: Final = (
    *("true false", "yes no", "y n", "t f", "1 0", "1.0 0.0", "on off", "ja nein", "ja nee", "ja nej", "j n"),
    *("oui non", "o n", "si no", "sí no", "s n", "sim não", "sim nao", "vrai faux", "wahr falsch", "waar onwaar"),
    *("verdadero falso", "vero falso", "verdadeiro falso", "tak nie", "ano ne", "ja nei", "✓ ✗", "✔ ✘"),
)
_BOOLEANS: Final = tuple(tuple(pair.split()) for pair in _TRUE_AND_FALSE)
TRUE: Final = frozenset(true for true, _ in _BOOLEANS)
FALSE: Final = frozenset(false for _, false in _BOOLEANS)
"""What stands for true and for false where a column has nothing else."""
OUTCOMES: Final = frozenset(
    {"target", "label", "churn", "churned", "outcome", "response", "survived", "converted", "readmitted"}
)
OUTCOMES_IF_FEW: Final = frozenset({"default", "class", "purchased", "exited"})
"""Outcomes where the header is nothing else, or the column true and false: not "default address"."""
# These have no accent that could be taken away.
_LETTERS: Final = str.maketrans({"ß": "ss", "ł": "l", "Ł": "L", "ø": "o", "Ø": "O"})
_WORD: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[^\W\d_]+|#")


def words_in_order(header: str) -> list[str]:
    """The words of a header in lower case and without accents; "Nº", "N°" and "№" are "no", like "No"."""
    letters = unicodedata.normalize("NFKD", header.replace("N°", "No").replace("n°", "no").translate(_LETTERS))
    return [word.casefold() for word in _WORD.findall("".join(c for c in letters if not unicodedata.combining(c)))]


def words_of(header: str) -> frozenset[str]:
    """The words of a header: "Time Spent (hrs)", "timeSpentHrs" and "time_spent_hrs" have the same."""
    return frozenset(words_in_order(header))


def has_stem(words: Iterable[str], stems: tuple[str, ...]) -> bool:
    """Whether a word begins or ends with a stem, as compounds and plurals do."""
    return any(word.startswith(stems) or word.endswith(stems) for word in words)


def is_measure(header: str) -> bool:
    """Whether a header names what is measured or counted, so that its numbers identify nobody even if all differ."""
    first, *others = words_in_order(header) or [""]
    if first in NUMBER_WORDS and ("of" in others or any(len(word) > 3 and word.endswith("s") for word in others)):
        return True
    words = {first, *others}
    return (
        bool(words & ((AMOUNTS | SIGNED | _MEASURES) - NUMBER_WORDS))
        or has_stem(words, _MEASURE_STEMS)
        or any(symbol in header for symbol in "%$€£")
    )


def are_true_and_false(texts: Collection[str]) -> bool:
    """Whether texts in lower case are nothing but true and false, in one language at least."""
    return {*texts} <= TRUE | FALSE and any({*pair} <= {*texts} for pair in _BOOLEANS)


# --- bounds ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Bounds:
    """The least and the largest value that a number can have by its meaning, and why."""

    low: float | None = None
    high: float | None = None
    why: str = "no bounds known"


UNBOUNDED: Final = Bounds()


def bounds_of(header: str, low: float, high: float, symbols: Iterable[str], *, whole: bool) -> Bounds:
    """What a number can be by its header; never narrower than the data, from low to high, and never taken from it."""
    words = words_of(header)
    for fits, bounds in _by_meaning(header, words, symbols):
        if fits and (bounds.low is None or bounds.low <= low) and (bounds.high is None or high <= bounds.high):
            return bounds
    if low >= 0 and not words & SIGNED and (whole or words & AMOUNTS):
        return Bounds(0, None, "never negative")
    return UNBOUNDED


def _by_meaning(header: str, words: frozenset[str], symbols: Iterable[str]) -> Iterable[tuple[bool, Bounds]]:
    named = re.search(r"[(\[]\s*(\d{1,9})\s*(?:-|–|to|\.\.)\s*(\d{1,9})\s*[)\]]", header)
    if named and int(named[1]) < int(named[2]):
        yield True, Bounds(int(named[1]), int(named[2]), "as its header says")
    yield _is_an_age(words), Bounds(0, 120, "an age in years")
    hours = bool(words & {"hours", "hrs", "hour", "stunden"})
    a_day = bool(words & {"day", "daily"} or re.search(r"(?:/|\bper)[ _]*weekday", header, re.IGNORECASE))
    yield hours and a_day, Bounds(0, 24, "hours of a day")
    yield bool(words & {"year", "jahr", "birthyear"}) and not words & AMOUNTS, Bounds(1800, 2200, "a year")
    yield bool(words & {"latitude", "lat"}), Bounds(-90, 90, "a latitude")
    yield bool(words & {"longitude", "lon", "lng"}), Bounds(-180, 180, "a longitude")
    fraction = bool(words & _FRACTIONS or (words & _RATES and words & _SHARES_OF_EVENTS))
    yield fraction, Bounds(0, 1, "a fraction")
    percent = "%" in symbols or "%" in header or bool(words & {"percent", "percentage", "pct"})
    # Growth and returns can be more than 100 %, and so can a ratio of two different things.
    yield percent and (fraction or not words & (SIGNED | _RATES)), Bounds(0, 100, "a percentage")
    if words & {"rating", "stars"}:
        yield from ((True, Bounds(0, most, "a rating")) for most in (5, 10, 100))


def _is_an_age(words: frozenset[str]) -> bool:
    """Of a person: that of an account may be in months, so no header that names another thing is one."""
    return bool(words & _AGES) and words <= _AGES | _YEARS | USERS | PARTICLES


def is_count(header: str) -> bool:
    """Whether a header names a number of things, which has no decimals."""
    return bool(words_of(header) & COUNTS)


def is_plural(header: str) -> bool:
    """Whether a header is a single word such as "pets": how many there are, even if there was at most one so far."""
    return re.fullmatch(r"[A-Za-z]{2,}[^\W\diIsSuU_][sS]", header.strip()) is not None


def group_of(header: str, otherwise: str) -> str:
    """The group of a field by its header."""
    words = words_of(header)
    if words & DEVICE:
        return "device"
    alone = bool(words) and words <= _DEMOGRAPHIC_ALONE
    return "demographic" if words & DEMOGRAPHIC or alone or has_stem(words, _DEMOGRAPHIC_STEMS) else otherwise
