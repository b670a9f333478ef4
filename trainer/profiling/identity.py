"""Which column identifies users: by the words of its header, and by what all of its values have in common."""

from __future__ import annotations

import re
from typing import Final

import numpy as np

from trainer.profiling.facts import Facts
from trainer.profiling.personal import EMAILS
from trainer.profiling.words import NUMBER_WORDS, PARTICLES, USERS, is_measure, words_in_order, words_of

BY_ITS_FORM: Final = 5
NO_RANK: Final = 9
# The share of the rows that may have the id of another.
MOST_REPEATED: Final = 0.05
_STANDS_FOR_A_USER: Final = USERS | {"household", "account", "card", "membership"}
_ID_WORDS: Final = NUMBER_WORDS | {
    *("id", "uid", "uuid", "guid", "key", "code", "codigo", "codice", "index", "rownames", "ref", "reference"),
    *("mrn", "msisdn", "imei", "cif"),
}
# "Vertragsnummer", "Kdnr".
_ID_ENDS: Final = ("number", "nummer", "numero", "nr")
# Beside an "id" these are of the user, who may have several or share one.
_THING_OF_A_USER: Final = re.compile("account|card|household")
_SOMEONE: Final = "|".join(sorted(_STANDS_FOR_A_USER, key=len, reverse=True))
_ID_OF_A_USER: Final = re.compile(rf"(?:{_SOMEONE})(?:id|key|no|nr|num|numero|number|nummer|ref|#)|id(?:{_SOMEONE})")
_NUMBER_OF_A_USER: Final = re.compile(rf"(?:no|nr|num|numero|number|nummer|#)(?:{_SOMEONE})")
# Fewer numbers are often all different, and in a row, by chance; and for so many, few measures look evenly spread.
_FEWEST_ROWS: Final = 20
_FEWEST_FOR_A_SPREAD: Final = 100
_FEWEST_DIGITS: Final = 4


def names_the_user(header: str) -> bool:
    """Whether a header says that each user has one value: "customer_id", "Mitgliedsnr.", "id"."""
    words = words_of(header)
    return (
        bool(_ID_OF_A_USER.fullmatch(_joined(header)))
        or words == {"id"}
        or (bool(words & USERS) and "id" in words and len(words) <= 3)
    )


def _names_an_id(header: str) -> bool:
    """Whether a header names the id of something, such as "Policy Number", "client code" or "customer"."""
    words = words_of(header)
    return not is_measure(header) and (
        bool(words & _ID_WORDS) or any(word.endswith(_ID_ENDS) for word in words) or _is_a_user(header)
    )


def _is_a_user(header: str) -> bool:
    """Whether a header names a user, and nothing else: "customer", "Nº de cliente"."""
    words = words_of(header) - PARTICLES
    return (bool(words) and words <= _STANDS_FOR_A_USER) or bool(_NUMBER_OF_A_USER.fullmatch(_joined(header)))


def _joined(header: str) -> str:
    return "".join(word for word in words_in_order(header) if word not in PARTICLES)


def identifies(facts: Facts) -> str:
    """How the numbers of a column show that they identify users instead of measuring them; empty where they do not.

    An income or a count can be different for every user, too: its header says so, or its values do.
    """
    header = facts.column.header
    if _numbers_the_rows(facts):
        return "its numbers are those of the rows"
    if is_measure(header) or facts.distinct < (1 - MOST_REPEATED) * facts.known or not _are_plain(facts):
        return ""
    if _names_an_id(header) or names_the_user(header):
        return "its header names an id, and its numbers are different"
    if not facts.unique or facts.known < _FEWEST_ROWS or facts.timestamps:
        return ""
    values = np.sort(np.array([*facts.numbers.values()]))
    if values[-1] - values[0] < (1 + MOST_REPEATED) * len(values):
        return "its numbers are all different, and follow each other"
    if facts.known >= _FEWEST_FOR_A_SPREAD and _have_one_length(facts) and _are_spread_evenly(values):
        return "its numbers are all different, of one length and spread evenly"
    return ""


def may_identify(facts: Facts) -> bool:
    """Whether only a person can say that numbers do not identify users: all differ, and have one length."""
    return (
        facts.unique
        and facts.known >= _FEWEST_ROWS
        and not is_measure(facts.column.header)
        and _are_plain(facts)
        and _have_one_length(facts)
    )


def _are_plain(facts: Facts) -> bool:
    """Whether a column has whole numbers in digits alone: nobody writes 12,345 or 7 % for an id."""
    return (
        facts.are_numbers
        and facts.dates is None
        and facts.known > 2
        and not facts.decimals
        and all(re.fullmatch(r"\d+(\.0*)?", cell.strip()) for cell in facts.numbers)
    )


def _have_one_length(facts: Facts) -> bool:
    lengths = {len(cell.strip().partition(".")[0]) for cell in facts.numbers}
    return len(lengths) == 1 and lengths.pop() >= _FEWEST_DIGITS


def _are_spread_evenly(ascending: np.ndarray) -> bool:
    """Whether no Kolmogorov-Smirnov test (1 %) tells the values from random ones between the least and the largest."""
    places = (ascending - ascending[0]) / (ascending[-1] - ascending[0])
    steps = np.arange(len(places) + 1) / len(places)
    distance = max(np.abs(places - steps[1:]).max(), np.abs(places - steps[:-1]).max())
    return bool(distance < 1.63 / np.sqrt(len(places)))


def id_rank(facts: Facts) -> int:
    """0 for the likeliest column with ids, 9 for a column without ids."""
    header = facts.column.header
    identifying = identifies(facts)
    code = not facts.are_numbers and facts.code_like
    of_a_thing = bool(_THING_OF_A_USER.search("".join(words_in_order(header))))
    if names_the_user(header):
        return 6 if facts.personal else 2 if words_of(header) == {"id"} else 3 if of_a_thing else 0
    if not facts.unique and not identifying:
        return NO_RANK
    if facts.personal:
        return 8 if code or identifying or facts.personal == EMAILS else NO_RANK
    if _is_a_user(header):  # in words, it may be a name
        single = identifying or (not facts.are_numbers and _are_single_words(facts))
        return NO_RANK if not single else 3 if of_a_thing else 1
    if _names_an_id(header) and (identifying or not facts.are_numbers):
        return 4
    if _numbers_the_rows(facts):
        return 7
    return BY_ITS_FORM if code or identifying else NO_RANK


def _numbers_the_rows(facts: Facts) -> bool:
    """Whether numbers count up like the rows; the header "x", which R gives them, measures nothing then."""
    header = facts.column.header.strip()
    return facts.counts_up and (len(header) == 1 or not is_measure(header))


def _are_single_words(facts: Facts) -> bool:
    return all(len(cell.split()) == 1 for cell in facts.cells)
