"""What a column means by the words of its header and the form of its values: group, bounds, personal data, dates."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

DEMOGRAPHIC: Final = frozenset(
    {
        *("age", "alter", "gender", "sex", "geschlecht", "income", "salary", "wage", "education", "school", "degree"),
        *("marital", "married", "family", "household", "children", "kids", "race", "ethnicity", "religion"),
        *(
            "nationality",
            "country",
            "land",
            "city",
            "stadt",
            "region",
            "state",
            "location",
            "zip",
            "postcode",
            "postal",
        ),
        *("plz", "language", "occupation", "job", "profession", "employment", "birth", "homeowner", "home"),
    }
)
DEVICE: Final = frozenset({"device", "browser", "os", "platform", "app"})
COUNTS: Final = frozenset(
    {
        *(
            "count",
            "number",
            "num",
            "n",
            "quantity",
            "qty",
            "orders",
            "visits",
            "purchases",
            "clicks",
            "likes",
            "items",
        ),
        *(
            "followers",
            "accounts",
            "transactions",
            "sessions",
            "logins",
            "children",
            "kids",
            "views",
            "tickets",
            "frequency",
        ),
        *("calls", "messages", "reviews", "returns", "members", "people", "cards", "anzahl"),
    }
)
AMOUNTS: Final = frozenset(
    {
        *(
            "amount",
            "price",
            "spend",
            "spending",
            "spent",
            "income",
            "revenue",
            "cost",
            "salary",
            "wage",
            "sales",
            "value",
        ),
        *(
            "monetary",
            "recency",
            "tenure",
            "weight",
            "height",
            "length",
            "width",
            "area",
            "size",
            "distance",
            "duration",
        ),
        *("time", "seconds", "sec", "minutes", "min", "hours", "hrs", "days", "weeks", "months", "years", "limit"),
        *("preis", "umsatz", "betrag", "usage", "total"),
        *COUNTS,
    }
)
"""What is never negative, whatever the data has so far."""
SIGNED: Final = frozenset(
    {
        *("balance", "profit", "loss", "margin", "change", "delta", "diff", "difference", "growth", "temperature"),
        *("return", "returns", "net", "x", "y", "z", "pc", "component", "residual", "log", "zscore", "saldo"),
    }
)
CODES: Final = frozenset(
    {
        *(
            "code",
            "type",
            "class",
            "category",
            "segment",
            "cluster",
            "zip",
            "postcode",
            "postal",
            "plz",
            "store",
            "region",
        ),
        *("gender", "sex", "race", "channel", "branch", "district"),
    }
)
"""Where digits are labels."""
DATE_FORMATS: Final = (
    "%Y-%m-%d",
    *(f"%Y-%m-%d{between}{time}" for between in " T" for time in ("%H:%M", "%H:%M:%S", "%H:%M:%S.%f")),
    *(f"%Y-%m-%d{between}{time}%z" for between in " T" for time in ("%H:%M:%S", "%H:%M:%S.%f")),
    *("%Y/%m/%d", "%Y%m%d", "%d.%m.%Y", "%d.%m.%y", "%d.%m.%Y %H:%M"),
    *(f"{day}{year}" for day in ("%d/%m/", "%m/%d/", "%d-%m-", "%m-%d-") for year in ("%Y", "%y", "%Y %H:%M")),
    *("%d %b %Y", "%d %B %Y", "%d-%b-%Y", "%d-%b-%y", "%b %d, %Y", "%B %d, %Y", "%b %d %Y", "%B %d %Y"),
)
"""How dates are written in tables, as `datetime.strptime` reads them."""
TRUE: Final = frozenset({"true", "yes", "t", "y", "1", "1.0", "on", "ja", "oui", "si", "sí"})
FALSE: Final = frozenset({"false", "no", "f", "n", "0", "0.0", "off", "nein", "non"})
"""What stands for true and for false where a column has nothing else."""
OUTCOMES: Final = frozenset(
    {"target", "label", "churn", "churned", "outcome", "response", "survived", "converted", "readmitted"}
)
OUTCOMES_IF_FEW: Final = frozenset({"default", "class", "purchased", "exited"})
"""Where only columns with a few values are outcomes."""
_PERSON: Final = frozenset(
    {
        *(
            "first",
            "last",
            "full",
            "middle",
            "maiden",
            "given",
            "family",
            "sur",
            "user",
            "customer",
            "client",
            "contact",
        ),
        *("person", "nick", "display", "fore", "holder", "member", "name", "my", "the"),
    }
)
_NAMES: Final = frozenset(
    {"firstname", "lastname", "surname", "fullname", "username", "vorname", "nachname", "forename", "nickname"}
)
_PHONE: Final = frozenset({"phone", "telephone", "telefon", "tel", "mobile", "cell", "fax"})
_PHONE_MORE: Final = frozenset({"number", "no", "nr", "home", "work", "contact", "customer", "user"})
_ADDRESS: Final = frozenset({"address", "addr", "street", "adresse", "strasse", "straße"})
_ADDRESS_MORE: Final = frozenset(
    {"home", "billing", "shipping", "mailing", "postal", "customer", "user", "line", "1", "2", "name", "number", "full"}
)
_IDENTITY: Final = frozenset({"ssn", "passport", "iban", "dob", "birthdate", "birthday"})
_FORMS: Final = (
    ("email addresses", re.compile(r"[^@\s]+@[^@\s]+\.[a-zA-Z]{2,}")),
    (
        "phone numbers",
        re.compile(r"(\+\d[\d ()/.-]{6,}|\(\d{2,4}\) ?[\d -]{5,}|0\d{2,4}[ /-]\d[\d -]{4,}|\d{3}-\d{3}-\d{4})"),
    ),
    ("IP addresses", re.compile(r"\d{1,3}(\.\d{1,3}){3}")),
    ("bank accounts", re.compile(r"[A-Z]{2}\d{2}( ?[A-Z0-9]{4}){3,}( ?[A-Z0-9]{1,3})?")),
)
_WORD: Final = re.compile(r"[A-Z]+(?![a-zß-ÿ])|[A-ZÀ-Þ]?[a-zß-ÿ]+|\d+|[^\W\d_]+")
_DATES: Final = tuple(
    re.compile(pattern)
    for pattern in (
        r"\d{4}-\d{1,2}-\d{1,2}([T ]\d{1,2}:\d{2}.*)?",
        r"\d{4}/\d{1,2}/\d{1,2}( \d{1,2}:\d{2}.*)?",
        r"\d{1,2}\.\d{1,2}\.(\d{4}|\d{2})( \d{1,2}:\d{2}.*)?",
        r"\d{1,2}/\d{1,2}/(\d{4}|\d{2})( \d{1,2}:\d{2}.*)?",
        r"\d{1,2}-\d{1,2}-(\d{4}|\d{2})( \d{1,2}:\d{2}.*)?",
        r"\d{1,2}[ -][A-Za-z]{3,9}[ ,-]+(\d{4}|\d{2})",
        r"[A-Za-z]{3,9}\.? \d{1,2},? \d{4}",
        r"(19|20)\d{2}(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])",
        r"\d{1,2}:\d{2}(:\d{2})?( ?[AaPp][Mm])?",
    )
)


def words_of(header: str) -> frozenset[str]:
    """The words of a header in lower case: "Time Spent (hrs)", "timeSpentHrs" and "time_spent_hrs" have the same."""
    return frozenset(word.casefold() for word in _WORD.findall(header))


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
    named = re.search(r"[(\[]\s*(\d+)\s*(?:-|–|to|\.\.)\s*(\d+)\s*[)\]]", header)
    if named and int(named[1]) < int(named[2]):
        yield True, Bounds(int(named[1]), int(named[2]), "as its header says")
    hours = bool(words & {"hours", "hrs", "hour", "stunden"})
    yield "age" in words or "alter" in words, Bounds(0, 120, "an age in years")
    yield hours and bool(words & {"day", "daily", "weekday", "weekend"}), Bounds(0, 24, "hours of a day")
    yield bool(words & {"year", "jahr", "birthyear"}), Bounds(1800, 2200, "a year")
    yield bool(words & {"latitude", "lat"}), Bounds(-90, 90, "a latitude")
    yield bool(words & {"longitude", "lon", "lng"}), Bounds(-180, 180, "a longitude")
    fraction = words & {"rate", "rates", "ratio", "share", "fraction", "ctr", "probability", "proportion", "prob"}
    yield bool(fraction), Bounds(0, 1, "a fraction")
    yield (
        "%" in symbols or "%" in header or bool(words & {"percent", "percentage", "pct"}),
        Bounds(0, 100, "a percentage"),
    )
    if words & {"rating", "stars"}:
        yield from ((True, Bounds(0, most, "a rating")) for most in (5, 10, 100))


def is_count(header: str) -> bool:
    """Whether a header names a number of things, which has no decimals."""
    return bool(words_of(header) & COUNTS)


def group_of(header: str, otherwise: str) -> str:
    """The group of a field by its header."""
    words = words_of(header)
    if words & DEVICE:
        return "device"
    return "demographic" if words & DEMOGRAPHIC else otherwise


# --- personal data, dates --------------------------------------------------------------------------------------------


def personal(header: str, cells: Mapping[str, int]) -> str | None:
    """What a column seems to hold that identifies a person, such as "names", by its header or by most of its cells."""
    words = words_of(header)
    if words & _NAMES or (words & {"name", "names"} and words <= _PERSON):
        return "names"
    if words & _ADDRESS and words <= _ADDRESS | _ADDRESS_MORE:
        return "addresses"
    if words & {"email", "mail"} and words <= {"email", "mail", "e", "address", "customer", "user", "contact"}:
        return "email addresses"
    if words & _PHONE and words <= _PHONE | _PHONE_MORE and _share(cells, re.compile(r"(?:\D*\d){6,}\D*")) > 0.5:
        return "phone numbers"
    if words & _IDENTITY:
        return "personal data"
    return next((form for form, pattern in _FORMS if _share(cells, pattern) > 0.5), None)


def date_forms(header: str, cells: Mapping[str, int]) -> list[str]:
    """An example of each way in which the dates of a column are written; empty for a column of other things."""
    found: dict[re.Pattern[str], str] = {}
    dates = 0
    plain_digits = not words_of(header) & {"date", "day", "datum", "time", "at", "on", "since"}
    for cell, count in cells.items():
        for pattern in _DATES:
            if pattern.fullmatch(cell.strip()) and not (plain_digits and cell.isdigit()):
                found.setdefault(pattern, cell)
                dates += count
                break
    return [*found.values()] if dates > 0.9 * sum(cells.values()) > 0 else []


def _share(cells: Mapping[str, int], pattern: re.Pattern[str]) -> float:
    total = sum(cells.values())
    return sum(count for cell, count in cells.items() if pattern.fullmatch(cell.strip())) / total if total else 0
