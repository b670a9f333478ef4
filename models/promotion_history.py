"""The history of the aliases: which version was current when, one line per promotion or rollback.

A signed line is JSON whose last field signs all bytes before it. Its entry has a sequence number, counted over the
whole file and not per alias: removing an entry from the middle always leaves a gap, and one number, MODEL_MIN_SEQUENCE,
says how much of the file must be there. The first signed entry may have any number: a history that was lost restarts
above what workers have seen. So a beginning that was cut off or overwritten cannot be detected, only reported:
`AliasHistory.beginning` says where the history begins.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from models import files
from models.errors import HistoryRolledBack, ModelError, NotSigned, PromotionRefused
from models.limits import HISTORY_LINE_MAX_BYTES, HISTORY_MAX_BYTES, HISTORY_MAX_ENTRIES, MAX_SEQUENCE
from models.manifest import VERSION_PATTERN, Digest, Verdict
from models.signing import PublicKeys, Purpose, SigningKey

ALIAS_PATTERN = r"^[A-Za-z0-9_-]{1,64}$"

_SIGNED_LINE = re.compile(rb'(\{.*),"signature":"([A-Za-z0-9+/]{86}==)"\}')


class AliasEntry(BaseModel):
    """One line of aliases.jsonl: from this time on the alias names this version."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    at: AwareDatetime
    alias: str = Field(pattern=ALIAS_PATTERN)
    action: Literal["promote", "rollback"]
    version: str = Field(pattern=VERSION_PATTERN)
    model_digest: Digest
    previous: str | None = Field(pattern=VERSION_PATTERN)
    verdict: Verdict
    accepted_no_structure: bool
    sequence: int | None = Field(default=None, ge=1, le=MAX_SEQUENCE, description="Only in signed entries.")


@dataclass(frozen=True, slots=True)
class AliasHistory:
    """Every valid entry, of all aliases, oldest first."""

    entries: tuple[AliasEntry, ...] = ()
    distrusted: int = 0
    """Number of lines before them that no trusted key has signed: unsigned, or signed with an old key."""

    @property
    def sequence(self) -> int | None:
        """The number of the last entry; None if entries are not signed."""
        return None if self.last is None else self.last.sequence

    @property
    def signed(self) -> bool:
        """Whether any entry is signed, checked or not."""
        return any(entry.sequence is not None for entry in self.entries)

    @property
    def last(self) -> AliasEntry | None:
        """The newest entry of any alias; None if there are no entries."""
        return self.entries[-1] if self.entries else None

    def continues(self, seen: AliasEntry) -> bool:
        """Whether this history once ended with `seen`; True if that entry has no number to check."""
        return seen.sequence is None or seen in self.entries

    @property
    def beginning(self) -> str | None:
        """Where it begins, in words; None if it is not signed, or begins at 1 with no distrusted lines before."""
        first = self.entries[0].sequence if self.entries else None
        if first is None or (first == 1 and not self.distrusted):
            return None
        count = f"{self.distrusted or 'no'} {'line' if self.distrusted == 1 else 'lines'} before it"
        verb = "is" if self.distrusted == 1 else "are"
        return f"begins at sequence {first}; {count}" + (
            f" {verb} not signed by a key of MODEL_PUBLIC_KEY" if self.distrusted else ""
        )

    def of(self, alias: str) -> tuple[AliasEntry, ...]:
        """Every promotion and rollback of an alias, oldest first; the last names the current version."""
        return tuple(entry for entry in self.entries if entry.alias == alias)

    def current(self, alias: str) -> AliasEntry | None:
        """The entry that names the current version of an alias; None if nothing was promoted yet."""
        entries = self.of(alias)
        return entries[-1] if entries else None

    def active_promotions(self, alias: str) -> tuple[AliasEntry, ...]:
        """The promotions of an alias that have not been rolled back, oldest first."""
        stack: list[AliasEntry] = []
        for entry in self.of(alias):
            if entry.action == "promote":
                stack.append(entry)
                continue
            del stack[-1:]
            if not stack:
                # Its target was promoted by an entry that no longer counts.
                stack.append(entry)
        return tuple(stack)

    def aliases(self) -> frozenset[str]:
        """The names of all aliases."""
        return frozenset(entry.alias for entry in self.entries)

    def accepted_without_structure(self) -> frozenset[str]:
        """The versions that were promoted although no segments were found in their data."""
        return frozenset(entry.version for entry in self.entries if entry.accepted_no_structure)


@dataclass(frozen=True, slots=True)
class AliasFile:
    """aliases.jsonl; appending to it needs the lock of the store."""

    path: Path
    trusted: PublicKeys | None
    """None: signatures are not checked."""
    min_sequence: int
    """With trusted keys: a history that ends below this number was restored to an older state."""

    def content(self) -> bytes:
        """The bytes of the file, empty if it is missing; raises ModelError if it cannot be read."""
        try:
            return files.read(self.path, HISTORY_MAX_BYTES)
        except FileNotFoundError:
            return b""
        except PermissionError:  # concerns the whole store, which the caller can name
            raise
        except OSError as error:
            raise ModelError(
                f"{self.path} cannot be read ({error.strerror}): check what it is, and restore it from a backup"
            ) from error

    def read(self, content: bytes | None = None) -> AliasHistory:
        """The history in these bytes, by default those of the file; with trusted keys, only signed lines are parsed.

        Raises NotSigned if no line is signed, or an unsigned line follows a signed one; HistoryRolledBack if entries
        are missing, repeated or out of order, or the history ends below the minimum sequence; ModelError for a damaged
        file.
        """
        history = self._history(self.content() if content is None else content)
        if history.distrusted and not history.entries:
            raise NotSigned(
                f"{self.path} holds {history.distrusted} entries, none of them signed by a key of MODEL_PUBLIC_KEY: "
                "give the key that signed them, or promote a version with MODEL_SIGNING_KEY"
            )
        return history

    def read_to_append(self) -> AliasHistory:
        """The history as `read` returns it, but empty if no line is signed."""
        return self._history(self.content())

    def _history(self, content: bytes) -> AliasHistory:
        lines = self._lines(content)
        if self.trusted is None:
            return AliasHistory(tuple(self._parsed(_split(line)[0]) for line in lines))
        history = self._signed(lines, self.trusted)
        if history.sequence is not None and history.sequence < self.min_sequence:
            raise HistoryRolledBack(
                f"{self.path} ends at sequence {history.sequence}, MODEL_MIN_SEQUENCE is {self.min_sequence}: an "
                "older state was restored; restore the newest one, or move the file away and promote a version with "
                "MODEL_MIN_SEQUENCE set, which starts a new history above that number"
            )
        return history

    def append(self, entry: AliasEntry, key: SigningKey | None) -> AliasEntry:
        """Append an entry, signed if there is a key, and return it with its sequence number."""
        content = self.content()
        lines = self._lines(content)
        if len(lines) >= HISTORY_MAX_ENTRIES:
            raise PromotionRefused(
                f"{self.path} has {len(lines):,} entries, the maximum: move it away and promote a version"
                + ("" if key is None else " with MODEL_MIN_SEQUENCE set to the last sequence")
            )
        if key is None:
            if any(_split(line)[1] is not None for line in lines):
                raise PromotionRefused(
                    f"the entries of {self.path} are signed, and a worker with the key refuses unsigned entries: "
                    "set MODEL_SIGNING_KEY"
                )
            self._write(entry.model_dump_json(exclude={"sequence"}).encode())
            return entry
        last = self._history(content).sequence
        signed = entry.model_copy(update={"sequence": (self.min_sequence if last is None else last) + 1})
        body = signed.model_dump_json().encode()
        signature = key.sign(Purpose.ALIAS_ENTRY, body)
        self._write(body[:-1] + b',"signature":"' + signature + b'"}')
        return signed

    def _signed(self, lines: Iterable[bytes], keys: PublicKeys) -> AliasHistory:
        entries: list[AliasEntry] = []
        distrusted = 0
        for number, line in enumerate(lines, 1):
            body, signature = _split(line)
            if signature is None or not keys.signed(Purpose.ALIAS_ENTRY, body, signature):
                if entries:
                    raise NotSigned(
                        f"line {number} of {self.path} is not signed by a key of MODEL_PUBLIC_KEY, but the line "
                        "before it is: add the new key if keys were rotated, otherwise restore the file from a backup"
                    )
                distrusted += 1
                continue
            entry = self._parsed(body)
            if entries and entry.sequence != (expected := (entries[-1].sequence or 0) + 1):
                raise HistoryRolledBack(
                    f"line {number} of {self.path} has sequence {entry.sequence}, expected {expected}: entries "
                    "were repeated, reordered or removed; restore the file from a backup"
                )
            entries.append(entry)
        return AliasHistory(tuple(entries), distrusted)

    def _lines(self, content: bytes) -> list[bytes]:
        # What follows the last line break is a write cut off by a crash: it never took effect.
        # Counted before splitting: an empty line takes one byte here, and sixty as a Python object.
        too_many = content.count(b"\n") > HISTORY_MAX_ENTRIES
        lines = [] if too_many else content.split(b"\n")[:-1]
        if too_many or any(len(line) > HISTORY_LINE_MAX_BYTES for line in lines):
            raise ModelError(
                f"{self.path} is damaged (more than {HISTORY_MAX_ENTRIES:,} lines, or a line of more than "
                f"{HISTORY_LINE_MAX_BYTES:,} bytes): restore it from a backup"
            )
        return lines

    def _parsed(self, body: bytes) -> AliasEntry:
        try:
            return AliasEntry.model_validate_json(body)
        except ValidationError as error:
            raise ModelError(
                f"{self.path} is damaged ({error.error_count()} invalid values in a line): restore it from a backup"
            ) from error

    def _write(self, line: bytes) -> None:
        with files.opened_to_write(self.path) as file:
            file.truncate(file.read(HISTORY_MAX_BYTES).rfind(b"\n") + 1)
            file.seek(0, os.SEEK_END)
            file.write(line + b"\n")
            file.flush()
            os.fsync(file.fileno())
        files.sync(self.path.parent)


def _split(line: bytes) -> tuple[bytes, bytes | None]:
    """The signed part and the signature; for an unsigned line, the line and None."""
    match = _SIGNED_LINE.fullmatch(line)
    return (line, None) if match is None else (match[1] + b"}", match[2])
