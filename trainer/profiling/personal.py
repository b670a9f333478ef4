"""Which columns identify a person, by the words of their header in several languages and by the form of their cells."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from trainer.profiling.dates import date_forms
from trainer.profiling.words import PARTICLES, USERS, has_stem, is_measure, words_of

_PEOPLE: Final = USERS | frozenset(
    {
        *("person", "contact", "holder", "owner", "employee", "doctor", "agent", "driver", "seller", "buyer", "parent"),
        *("guardian", "spouse", "beneficiary", "insured", "passenger", "author", "teacher", "display", "titular"),
        *("father", "mother", "child", "legal", "emergency", "account", "card", "cardholder", "s", "1", "2"),
        *("first", "last", "full", "middle", "maiden", "given", "family", "sur", "nick", "fore", "completo", "complet"),
    }
)
_NAME: Final = frozenset(
    {"name", "names", "nombre", "nombres", "nom", "noms", "nome", "naam", "imie", "jmeno", "namn", "navn"}
)
_NAME_STEMS: Final = (
    *("vorname", "nachname", "surname", "forename", "nickname", "familienname"),
    *("apellid", "prenom", "cognom", "sobrenom", "voornaam", "achternaam", "nazwisk", "prijmeni", "fornamn"),
    *("efternamn", "fornavn", "efternavn", "etternavn"),
)
_ADDRESS_STEMS: Final = (
    *("address", "adress", "adresse", "anschrift", "strasse", "direccion", "domicil", "indirizz", "enderec"),
    *("postadres", "woonadres", "adresa"),
)
_ADDRESS: Final = frozenset({"addr", "street", "calle", "rue", "adres", "straat", "ulica", "ulice"})
_ADDRESS_MORE: Final = frozenset(
    {"home", "billing", "shipping", "mailing", "postal", "line", "1", "2", "name", "number", "full", "no", "nr"}
)
_EMAIL: Final = frozenset({"email", "mail", "e"})
_PHONE_STEMS: Final = (
    *("phone", "telef", "handy", "mobil", "movil", "celular", "cellul", "whatsapp"),
    *("rufnummer", "komork"),
)
_PHONE: Final = frozenset({"tel", "tlf", "cell", "fax", "portable", "gsm"})
_BIRTH: Final = ("birth", "geburt", "nacimi", "naissance", "nasci", "geboort", "urodz", "narozen", "fodsel", "fodels")
_IDENTITY: Final = frozenset(
    {"ssn", "passport", "iban", "dob", "birthdate", "birthday", "dni", "nif", "cpf", "bsn", "pesel"}
)
_FORMS: Final = (
    ("email addresses", re.compile(r"[^@\s]+@[^@\s]+\.[a-zA-Z]{2,}")),
    (
        "phone numbers",
        re.compile(r"(\+\d[\d ()/.-]{6,}|\(\d{2,4}\) ?[\d -]{5,}|0\d{2,4}[ /-]\d[\d -]{4,}|\d{3}-\d{3}-\d{4})"),
    ),
    ("IP addresses", re.compile(r"\d{1,3}(\.\d{1,3}){3}")),
    ("bank accounts", re.compile(r"[A-Z]{2}\d{2}( ?[A-Z0-9]{4}){3,}( ?[A-Z0-9]{1,3})?")),
)
_LETTERS: Final = re.compile(r".*[^\W\d_].*", re.DOTALL)
_DIGITS_OF_A_PHONE: Final = re.compile(r"\D?(?:\d\D{0,2}){7,15}")
EMAILS: Final = _FORMS[0][0]
BIRTHS: Final = "dates of birth"


def personal(header: str, cells: Mapping[str, int]) -> str | None:
    """What a column seems to hold that identifies a person, such as "names", by its header or by most of its cells."""
    words = words_of(header) - PARTICLES
    if _names(words) and _share(cells, _LETTERS) > 0.5:
        return "names"
    if (
        words
        and all(_is_address(word) or word in _ADDRESS_MORE | USERS for word in words)
        and any(map(_is_address, words))
    ):
        return "addresses"
    if words & {"email", "mail"} and words <= _EMAIL | _PEOPLE | {"address"}:
        return EMAILS
    if _is_phone(header, words, cells):
        return "phone numbers"
    # A year of birth, and a place of birth, are shared by many.
    if has_stem(words, _BIRTH) and date_forms("date", cells):
        return BIRTHS
    if words & _IDENTITY:
        return "personal data"
    return next((form for form, pattern in _FORMS if _share(cells, pattern) > 0.5), None)


def _names(words: frozenset[str]) -> bool:
    if has_stem(words, _NAME_STEMS) or (words & _NAME and words <= _NAME | _PEOPLE):
        return True
    # One word, such as "username" and "Kundenname", but not "filename".
    return any(word.removesuffix(end) in _PEOPLE for word in words for end in ("name", "naam") if word.endswith(end))


def _is_address(word: str) -> bool:
    return word in _ADDRESS or has_stem([word], _ADDRESS_STEMS)


def _is_phone(header: str, words: frozenset[str], cells: Mapping[str, int]) -> bool:
    """Whether a header names phones and the cells have as many digits, which "phone service" and "mobile" may not."""
    if not (words & _PHONE or has_stem(words, _PHONE_STEMS)) or is_measure(header):
        return False
    return _share(cells, _DIGITS_OF_A_PHONE) > 0.5


def _share(cells: Mapping[str, int], pattern: re.Pattern[str]) -> float:
    total = sum(cells.values())
    return sum(count for cell, count in cells.items() if pattern.fullmatch(cell.strip())) / total if total else 0
