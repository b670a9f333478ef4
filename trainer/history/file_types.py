"""Files that are not tables in text, recognised by how they begin, and how to get a table out of them."""

from __future__ import annotations

import codecs
import re
from pathlib import Path
from typing import Final

from trainer.errors import HistoryError

_WORKBOOK: Final = "a spreadsheet: export the sheet as CSV UTF-8 (in Excel: Save As, CSV UTF-8)"
_KINDS: Final = (
    (b"PK\x03\x04", f"{_WORKBOOK}; if it is another ZIP archive, unpack it"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", _WORKBOOK),
    (codecs.BOM_UTF16_LE, "UTF-16: save it as UTF-8"),
    (codecs.BOM_UTF16_BE, "UTF-16: save it as UTF-8"),
    (b"SQLite format 3\0", "an SQLite database: export the table as CSV"),
    (b"ARROW1", "an Arrow (Feather) file: write it as Parquet"),
    (b"ORC", "an ORC file: write it as Parquet"),
    (b"BZh", "compressed with bzip2: decompress it, or compress it with gzip"),
    (b"\x28\xb5\x2f\xfd", "compressed with zstd: decompress it, or compress it with gzip"),
    (b"\xfd7zXZ\0", "compressed with xz: decompress it, or compress it with gzip"),
    (b"%PDF-", "a PDF document: export the table as CSV where it was made"),
)
# An object, or an array of objects or arrays, which may go on in later lines.
_JSON: Final = re.compile(rb"\s*(\{\s*([\"}]|$)|\[\s*([\[{\"\]]|$))")
_MARKUP: Final = re.compile(rb"\s*<(!doctype|html|\?xml|table)", re.IGNORECASE)


def refuse_other_formats(path: Path, first_line: bytes) -> None:
    """Raise HistoryError, saying what the file is, where its first line is not text of a table."""
    for mark, kind in _KINDS:
        if first_line.startswith(mark):
            raise HistoryError(f"{path} is {kind}")
    if _MARKUP.match(first_line):
        raise HistoryError(f"{path} is HTML or XML, perhaps an error page: download or export the table as CSV")
    if _JSON.match(first_line.removeprefix(codecs.BOM_UTF8)):
        raise HistoryError(
            f"{path} is JSON: write it as CSV or Parquet, with one row per user (in pandas: "
            f"read_json({path.name!r}, lines=True).to_csv(…); lines=False for one array)"
        )
    if b"\0" in first_line:
        raise HistoryError(f"{path} is not text in UTF-8, perhaps UTF-16: save the table as CSV UTF-8, or as Parquet")
