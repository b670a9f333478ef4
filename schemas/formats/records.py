"""What a format reads of the records of a topic."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

Headers = tuple[tuple[str, bytes | None], ...]
"""Names and contents, in the order they were sent."""

HEADERS_MOST: Final = 1_000
"""If a record has more headers, only so many of them are read: 1 MB can hold half a million."""


class InputRecords(Protocol):
    """Records of one topic as columns of equal length."""

    @property
    def topic(self) -> str:
        """The topic that all of them are of."""
        ...

    @property
    def partitions(self) -> Sequence[int]:
        """The partition of each."""
        ...

    @property
    def offsets(self) -> Sequence[int]:
        """The offset of each."""
        ...

    @property
    def timestamps_ms(self) -> Sequence[int]:
        """The record's own time, milliseconds since 1970; -1 if the producer gave none."""
        ...

    @property
    def keys(self) -> Sequence[bytes | None]:
        """The key of each."""
        ...

    @property
    def values(self) -> Sequence[bytes | None]:
        """The value of each."""
        ...

    @property
    def headers(self) -> Sequence[Headers]:
        """The headers of each."""
        ...

    def __len__(self) -> int:
        """How many there are."""
        ...
