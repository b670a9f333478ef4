"""Limits for reading a model store, so that an attacker who can write to it cannot exhaust its readers."""

from typing import Final

# The largest integer that all JSON readers agree on.
MAX_SEQUENCE: Final = 2**53 - 1

# One promotion per day for 27 years; this many signatures are checked within a few seconds.
HISTORY_MAX_ENTRIES: Final = 10_000
# An entry takes about 500 bytes.
HISTORY_LINE_MAX_BYTES: Final = 2_000
HISTORY_MAX_BYTES: Final = HISTORY_MAX_ENTRIES * 1_000

# A manifest with a thousand columns takes about 100 kB, and its model well under a megabyte.
MANIFEST_MAX_BYTES: Final = 4 * 1024 * 1024
FILE_MAX_BYTES: Final = 16 * 1024 * 1024
# Tables have one row per user; they are never held in memory.
TABLE_MAX_BYTES: Final = 64 * 1024**3
# 88 characters and the line's end.
SIGNATURE_MAX_BYTES: Final = 100
KEY_MAX_BYTES: Final = 64 * 1024
# Far more digits than a number has, for an editor that left spaces behind.
NUMBER_MAX_BYTES: Final = 64

# Far more than the pictures of a report.
MANIFEST_MAX_FILES: Final = 1_000
# At this width a batch of 500 rows takes 400 MB; a wider model is a mistake, or an attack on a worker's memory.
MODEL_MAX_COLUMNS: Final = 100_000
# The trainer writes 32.
GOLDEN_MAX_ROWS: Final = 1_000
# Segment numbers are smaller: they fit the integers of every reader of the results.
NUMBERS_END: Final = 10**9
