"""How a history in CSV is written: a profile class declares it, so that nothing is guessed when a file is read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from pydantic import BaseModel

from schemas.errors import ProfileClassError

# Which separators of thousands are the same: people and programs use one for the other.
ALIKE: Final = {" ": " \N{NO-BREAK SPACE}\N{NARROW NO-BREAK SPACE}", "'": "'\N{RIGHT SINGLE QUOTATION MARK}"}


@dataclass(frozen=True, slots=True, kw_only=True)
class CsvFormat:
    """The dialect of a CSV file; raises ProfileClassError for one that nobody could read.

    A line such as `sep=;` at the start of a file, as Excel writes it, takes the place of the delimiter.
    """

    delimiter: str = ","
    quote: str = '"'
    encoding: str = "utf-8"
    """Any of Python's encodings in which a line ends with the byte 10; with "utf-8", a byte-order mark is skipped."""
    decimal: str = "."
    thousands: str = ""
    """What separates groups of three digits, such as "," or " "; empty where nothing does."""
    symbols: tuple[str, ...] = ()
    """What may stand before or after a number and is ignored, such as "$", "%" or "EUR"."""
    missing: tuple[str, ...] = ()
    """Cells that hold no value in any column, such as "N/A"; spaces around them do not matter.

    Empty cells never hold one. They hold for text in a Parquet file, too. A role has those of one column.
    """
    true: tuple[str, ...] = ("true",)
    """What stands for true in a field of booleans, such as "yes" or "1"; neither case nor spaces around it matter."""
    false: tuple[str, ...] = ("false",)
    """What stands for false in the same fields."""

    def __post_init__(self) -> None:
        for name in ("delimiter", "quote", "decimal"):
            character = getattr(self, name)
            if not isinstance(character, str) or len(character) != 1 or character in "\r\n\0":
                raise ProfileClassError(f"CsvFormat: {name} is {character!r}, expected one character")
        if self.delimiter == self.quote:
            raise ProfileClassError(f"CsvFormat: delimiter and quote are both {self.quote!r}")
        for name in ("symbols", "missing", "true", "false"):
            texts = getattr(self, name)
            if not isinstance(texts, tuple) or not all(isinstance(text, str) for text in texts):
                raise ProfileClassError(f'CsvFormat: {name} is {texts!r}, expected a tuple of strings, such as ("%",)')
        both = {*map(str.casefold, self.true)} & {*map(str.casefold, self.false)}
        if both:
            raise ProfileClassError(f"CsvFormat: {min(both)!r} is both true and false: keep one of them")
        _require_number_format(self)
        _require_lines(self.encoding)


def _require_number_format(written: CsvFormat) -> None:
    if written.decimal not in {".", ","}:
        raise ProfileClassError(f'CsvFormat: decimal is {written.decimal!r}, expected "." or ","')
    if written.thousands not in {"", ",", ".", " ", "'", "_"} or written.thousands == written.decimal:
        raise ProfileClassError(
            f'CsvFormat: thousands is {written.thousands!r}, expected one of ",", ".", " ", "\'" and "_" '
            "that is not the decimal sign, or nothing"
        )
    if any(not symbol.strip() or any(map(str.isdigit, symbol)) for symbol in written.symbols):
        raise ProfileClassError(f"CsvFormat: symbols is {written.symbols!r}, expected signs such as $ or EUR")


def _require_lines(encoding: str) -> None:
    try:
        lines_end_alike = "a\n".encode(encoding) == b"a\n"
    except (LookupError, TypeError) as error:
        raise ProfileClassError(
            f'CsvFormat: encoding is {encoding!r}, which Python does not know: try "windows-1252"'
        ) from error
    if not lines_end_alike:
        raise ProfileClassError(
            f"CsvFormat: files in the encoding {encoding!r} cannot be read line by line: save them as UTF-8"
        )


def history_format(profile_class: type[BaseModel]) -> CsvFormat:
    """How the class declares that its history is written: comma-separated UTF-8 where it declares nothing.

    Raises ProfileClassError if what it declares is not a CsvFormat.
    """
    declared = getattr(profile_class, "history_format", CsvFormat())
    if not isinstance(declared, CsvFormat):
        raise ProfileClassError(
            f"history_format of {profile_class.__name__} is not a CsvFormat: "
            'declare history_format: ClassVar[CsvFormat] = CsvFormat(delimiter=";") or the like'
        )
    return declared
